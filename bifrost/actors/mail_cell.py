"""The mail side of an actor's cell: what gets into the mailbox, who waits for room, what becomes a dead letter.

In: envelopes and bare messages. Out: a queue that is within its bound, and an answer to everybody whose message will
not be handled. Not here: handling; see `handling_cell.py`.
"""

from __future__ import annotations

import asyncio
import logging
from abc import abstractmethod
from collections import deque
from collections.abc import Callable, Hashable
from typing import Any

from bifrost.actors import events
from bifrost.actors.carrier import NOTHING
from bifrost.actors.cell import Cell
from bifrost.actors.dead_letters import DeadLetterReason
from bifrost.actors.exit_reason import Crash, ExitReason, Normal
from bifrost.actors.incarnation import Incarnation
from bifrost.actors.mailbox import Envelope, Lane, MailboxQueue, OnRestart, Overflow
from bifrost.actors.stash import nudge
from bifrost.actors.state import ActorState, Delivery
from bifrost.actors.steps import Fate
from bifrost.errors import ActorRestarted, AskTimeout, MailboxFull

__all__ = ["MailCell"]

_log = logging.getLogger("bifrost.actors")

_TELL_FULL_EVERY = 1.0  # seconds between two `MailboxHighWater` of one actor


class MailCell(Cell):
    """A cell with a mailbox."""

    _mailbox: MailboxQueue | None = None
    _inc: Incarnation | None = None
    _tell_full_at = 0.0
    _fate = Fate.UNDECIDED
    _senders: deque[tuple[asyncio.Future[None], Envelope]] | None = None

    @abstractmethod
    def _burst(self) -> None:
        """Handle what is queued: this actor's turn has come."""

    @abstractmethod
    def _begin_end(self, inc: Incarnation, reason: ExitReason) -> None:
        """Begin to end the incarnation."""

    @property
    def present(self) -> Incarnation | None:
        """The incarnation that lives, from its making to the end of its stop hook."""
        return self._inc

    @property
    def mailbox(self) -> MailboxQueue:
        """The mailbox, made when the first message comes."""
        if self._mailbox is None:
            self._mailbox = MailboxQueue(self.spec.mailbox)
            self.inbox = self._mailbox.normal
            self.regate()
        return self._mailbox

    def regate(self) -> None:
        """Open or shut the short way into the mailbox: after every change of what it depends on."""
        box = self._mailbox
        if (
            box is None
            or box.settings.key is not None
            or self._senders
            or not self._takes_mail
            or self.system.meter is not None
        ):
            self.limit = 0
        else:
            self.limit = box.limit

    # Messages

    @property
    def _takes_mail(self) -> bool:
        if self.state in (ActorState.STOPPED, ActorState.FAILED):
            return False
        return self.state is not ActorState.STOPPING or self._fate is Fate.RESTART or self._is_undecided

    @property
    def _is_undecided(self) -> bool:
        return self._fate is Fate.UNDECIDED and not self.system.is_stopping

    def put(self, envelope: Envelope) -> Delivery:
        """Queue a message, or do what the overflow policy says."""
        if not self._takes_mail:
            self._bounce(envelope, DeadLetterReason.STOPPED)
            return Delivery.DEAD
        box = self.mailbox
        key = box.settings.key
        if key is not None and envelope.reply is None and self._conflate(envelope, key):
            return Delivery.ACCEPTED
        if not box.has_room:
            self._note_full()
            if not self._make_room(envelope):
                self._bounce(envelope, DeadLetterReason.FULL)
                return Delivery.DROPPED
        self._push(envelope)
        return Delivery.ACCEPTED

    def _note_full(self) -> None:
        """Tell that the mailbox is full, now and then."""
        if self.system.events.has_subscribers:
            now = self.system.loop.time()
            if now >= self._tell_full_at:
                self._tell_full_at = now + _TELL_FULL_EVERY
                capacity = self.mailbox.settings.capacity
                self.system.publish(
                    events.MailboxHighWater, self.path, depth=self.waiting_messages(), capacity=capacity
                )

    def _push(self, envelope: Envelope) -> None:
        """Queue a message that is to be queued."""
        box = self.mailbox
        box.push(envelope)
        if self.system.meter is not None and envelope.trace is None:
            self.system.meter.sent(self, envelope)
        if self.limit:
            self.limit = box.limit
        if self.idle:
            self.awaken()

    def awaken(self) -> None:
        """Handle what is queued when this actor's turn comes."""
        self.scheduler.add(self._burst)
        self.idle = False

    def _conflate(self, envelope: Envelope, key: Callable[[Any], Hashable]) -> bool:
        """Give a queued message of the same key the new content; True if there was one."""
        try:
            envelope.key = key(envelope.message)
            hash(envelope.key)
            return self.mailbox.conflate(envelope)
        # The key, its hash and its comparison are the user's code, and tell never raises.
        except (Exception, asyncio.CancelledError) as error:  # noqa: BLE001
            _log.warning("%s: the mailbox key failed; the message is queued by itself", self.path, exc_info=error)
            envelope.key = envelope
            return False

    def _make_room(self, envelope: Envelope) -> bool:
        overflow = self.mailbox.settings.overflow
        if overflow is Overflow.DROP_OLDEST:
            victim = self.mailbox.drop_oldest(envelope.lane)
            if victim is not NOTHING:
                self._bounce_item(victim, DeadLetterReason.FULL)
                self.regate()
                return True
        elif overflow is Overflow.FAIL and self._inc is not None:
            capacity = self.mailbox.settings.capacity
            error = MailboxFull(f"{self.path}: more than {capacity} messages waited, and overflow=fail")
            # The message in hand is not answered for yet: its handler may still come to its end.
            self._begin_end(self._inc, Crash(error))
        return False

    def drain(self) -> None:
        """End the incarnation that will have handled what is queued now."""
        if self._takes_mail:
            last = nudge()
            last.lane = Lane.NORMAL
            last.on_taken = self._drained
            self.mailbox.push(last)
            self.regate()
            if self.idle:
                self.awaken()

    def _drained(self) -> None:
        if self._inc is not None:
            self.stop_self(self._inc, Normal())

    @abstractmethod
    def stop_self(self, inc: Incarnation, reason: ExitReason) -> None:
        """End the incarnation after the message in hand."""

    def put_unbounded(self, envelope: Envelope, inc: Incarnation) -> None:
        """Take a timer's message or a notice, past the bound; only `inc`, which asked for it, will see it."""
        if self._takes_mail:
            envelope.bounded = False
            envelope.owner = inc
            self._push(envelope)

    def put_or_wait(self, envelope: Envelope) -> Delivery | asyncio.Future[None]:
        """Queue a message, or queue its sender until there is room."""
        if (
            self.mailbox.settings.overflow is not Overflow.BACKPRESSURE
            or not self._takes_mail
            or (self.mailbox.has_room and not self._senders)
        ):
            return self.put(envelope)
        self._note_full()
        if self.system.meter is not None:
            self.system.meter.sent(self, envelope)  # now: when there is room, another actor's code runs
        waiter: asyncio.Future[None] = self.system.loop.create_future()
        if self._senders is None:
            self._senders = deque()
        self._senders.append((waiter, envelope))
        self.regate()
        return waiter

    def admit(self, waiter: asyncio.Future[None]) -> None:
        """Take the message of a sender that waits for room, past the bound."""
        for index, (own, envelope) in enumerate(self._senders or ()):
            if own is waiter and self._senders is not None:
                if self._takes_mail and not waiter.done():
                    del self._senders[index]
                    self._push(envelope)
                    waiter.set_result(None)
                    self.regate()
                return

    def withdraw(self, waiter: asyncio.Future[None]) -> None:
        """Forget a message whose sender no longer waits for room."""
        for index, (own, _) in enumerate(self._senders or ()):
            if own is waiter and self._senders is not None:
                del self._senders[index]
                self.regate()
                return

    def _admit_senders(self) -> None:
        while self._senders and self.mailbox.has_room:
            waiter, envelope = self._senders.popleft()
            # An ask waits on its reply, not on the waiter: its sender is gone when the reply is done.
            if not waiter.done() and not envelope.is_dead:
                self._push(envelope)
                waiter.set_result(None)
        self.regate()

    def _bounce_item(self, item: Any, reason: DeadLetterReason, error: Exception | None = None) -> None:
        """Answer for what was taken out of the mailbox, bare or in its envelope."""
        if type(item) is Envelope:
            self._bounce(item, reason, error)
        else:
            self.dead_letter(item, reason)

    def _bounce(self, envelope: Envelope, reason: DeadLetterReason, error: Exception | None = None) -> None:
        """Answer for a message that will not be handled."""
        if envelope.is_dead:
            return
        if envelope.reply is not None:
            if error is None and reason is DeadLetterReason.FULL:
                error = MailboxFull(f"{self.path}: the mailbox is full and the request was dropped")
            envelope.reply.set_exception(error or self.stopped_error())
        self.dead_letter(envelope.message, reason)

    def on_settled(self, fate: Fate) -> None:
        """Keep or answer for what is still queued."""
        self._fate = fate
        self.regate()
        if fate is not Fate.RESTART:
            self._flush(DeadLetterReason.STOPPED)
        elif self._mailbox is None:
            return
        elif self._mailbox.settings.on_restart is OnRestart.DROP:
            error = ActorRestarted(f"{self.path} was restarted before it saw the request; it is safe to send it again")
            self._flush(DeadLetterReason.RESTARTING_DROP, error)
        else:
            for envelope in self._mailbox.take_out(self._is_unwanted):
                self._is_over(envelope)
            self._admit_senders()

    def _is_unwanted(self, envelope: Envelope) -> bool:
        if envelope.is_dead:
            return envelope.on_taken is None  # else it is no message, but asks for something to be done in its turn
        return envelope.expires is not None and envelope.expires <= self.system.loop.time()

    def _is_over(self, envelope: Envelope) -> bool:
        """True if nobody wants the message handled any more; if nobody has been told, this tells."""
        if not self._is_unwanted(envelope):
            return False
        error = AskTimeout(f"{self.path}: the request waited until its time was over; it was not handled")
        self._bounce(envelope, DeadLetterReason.TTL, error)
        return True

    def _flush(self, reason: DeadLetterReason, error: Exception | None = None) -> None:
        for item in self._mailbox.clear() if self._mailbox is not None else ():
            self._bounce_item(item, reason, error)
        senders, self._senders = self._senders, None
        for waiter, envelope in senders or ():
            if envelope.reply is not None:
                self._bounce(envelope, reason, error)
            elif not waiter.done():
                waiter.set_exception(error or self.stopped_error())
        self.regate()

    def urgent_messages(self) -> int:
        """What is in the mailbox in the lanes above NORMAL."""
        return 0 if self._mailbox is None else self._mailbox.rush

    def waiting_messages(self) -> int:
        """What is in the mailbox."""
        return 0 if self._mailbox is None else len(self._mailbox)
