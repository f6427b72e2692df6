"""The cell of an ordinary actor: its mailbox, its message loop and its end.

In: envelopes, and orders from the supervisor. Out: calls of `on_start`, `receive` and `on_stop`, one at a time; reports
to the supervisor.

An idle actor has no task. A task is made when mail arrives, handles what is queued, and ends. What must happen at the
end of an incarnation is done by the cell, not by the actor's coroutine, because a coroutine that is cancelled before
its first step never runs.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Hashable
from typing import TYPE_CHECKING, Any

from bifrost.actors import events, steps
from bifrost.actors.actor import Actor
from bifrost.actors.cell import Cell
from bifrost.actors.context import ActorContext
from bifrost.actors.dead_letters import DeadLetterReason
from bifrost.actors.ending import end_incarnation
from bifrost.actors.exit_reason import Crash, ExitReason, Killed, Shutdown, StartFailure, is_abnormal
from bifrost.actors.incarnation import FOR_THE_HOST, Incarnation
from bifrost.actors.mailbox import Envelope, Lane, MailboxQueue, OnRestart, Overflow
from bifrost.actors.ref import ActorRef
from bifrost.actors.state import ActorState, Delivery, Down
from bifrost.actors.steps import Fate
from bifrost.errors import ActorCrashed, ActorRestarted, MailboxFull

if TYPE_CHECKING:
    from bifrost.actors.child_spec import ChildSpec
    from bifrost.actors.supervisor_cell import SupervisorCell
    from bifrost.actors.system import ActorSystem

__all__ = ["WorkerCell"]

_log = logging.getLogger("bifrost.actors")

_FAIR_SHARE = 64  # messages handled in a row before the loop gets a turn, if no handler suspends


class WorkerCell(Cell):
    """One actor's place in the tree."""

    __slots__ = ("_fate", "_inc", "_senders", "mailbox")

    def __init__(self, system: ActorSystem, parent: SupervisorCell, spec: ChildSpec, path: str) -> None:
        super().__init__(system, parent, spec, path)
        self.mailbox = MailboxQueue(spec.mailbox)
        self._inc: Incarnation | None = None
        self._fate = Fate.UNDECIDED
        self._senders: deque[tuple[asyncio.Future[None], Envelope]] | None = None

    def make_ref(self) -> ActorRef[Any]:
        """A plain ref."""
        return ActorRef(self)

    def is_current(self, inc: Incarnation) -> bool:
        """True until `inc` has ended completely."""
        return self._inc is inc

    # Starting

    def launch(self) -> None:
        """Make a new instance and call its `on_start`."""
        self.begin_incarnation()
        self._fate = Fate.UNDECIDED
        self.mailbox.settings = self.spec.mailbox
        inc = self._inc = Incarnation(self.incarnation, self.system.context.copy())
        self._run(inc, self._start(inc))

    def _run(self, inc: Incarnation, coro: Any) -> None:
        task = self.system.loop.create_task(coro, name=f"{self.path}#{inc.number}", context=inc.context)
        inc.runner = None if task.done() else task  # an eager task factory may have run it to its end already

    async def _start(self, inc: Incarnation) -> None:
        overdue = self.system.loop.call_later(self.spec.start_timeout, self._start_overdue, inc)
        try:
            actor = self.spec.start(*self.spec.args, **self.spec.kwargs)
            if not isinstance(actor, Actor):
                raise TypeError(f"start must return an Actor, got {actor!r}")  # noqa: TRY301 - handled like any failure
            inc.actor = actor
            inc.ctx = actor.ctx = ActorContext(self, inc)
            await actor.on_start()
        except asyncio.CancelledError as error:
            if inc.killed:
                raise
            self._begin_end(inc, StartFailure(error))
            return
        except FOR_THE_HOST:
            raise
        except BaseException as error:  # noqa: BLE001 - whatever a user's start raises is a failed start
            self._begin_end(inc, StartFailure(error))
            return
        finally:
            overdue.cancel()
            if inc.runner is asyncio.current_task():
                inc.runner = None
        inc.started = True
        if inc.ending is not None or inc.fenced:
            return
        inc.announced = True
        self.is_up()
        event = events.ActorStarted if inc.number == 1 else events.ActorRestarted
        self.system.publish(event, self.path, incarnation=inc.number)
        assert self.parent is not None
        self.parent.feed(steps.Started(self.spec.id))
        self._wake()

    def _start_overdue(self, inc: Incarnation) -> None:
        seconds = self.spec.start_timeout
        error = TimeoutError(
            f"on_start took longer than start_timeout={seconds:g} s; connect in a running state instead"
        )
        self._begin_end(inc, StartFailure(error))

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
        settings = self.mailbox.settings
        if settings.key is not None and envelope.reply is None:
            envelope.key = self._key_of(envelope, settings.key)
            if self.mailbox.conflate(envelope):
                return Delivery.ACCEPTED
        if not self.mailbox.has_room and not self._make_room(envelope):
            self._bounce(envelope, DeadLetterReason.FULL)
            return Delivery.DROPPED
        self.mailbox.push(envelope)
        self._wake()
        return Delivery.ACCEPTED

    def _key_of(self, envelope: Envelope, key: Callable[[Any], Hashable]) -> Hashable:
        try:
            return key(envelope.message)
        except Exception as error:  # noqa: BLE001 - the key is the user's code, and tell never raises
            _log.warning("%s: the mailbox key failed; the message is queued by itself", self.path, exc_info=error)
            return envelope

    def _make_room(self, envelope: Envelope) -> bool:
        overflow = self.mailbox.settings.overflow
        if overflow is Overflow.DROP_OLDEST:
            victim = self.mailbox.drop_oldest(envelope.lane)
            if victim is not None:
                self._bounce(victim, DeadLetterReason.FULL)
                return True
        elif overflow is Overflow.FAIL and self._inc is not None:
            capacity = self.mailbox.settings.capacity
            self._crash(self._inc, MailboxFull(f"{self.path}: more than {capacity} messages waited, and overflow=fail"))
        return False

    def put_unbounded(self, envelope: Envelope, inc: Incarnation) -> None:
        """Take a timer's message or a notice, past the bound; only `inc`, which asked for it, will see it."""
        if self._takes_mail:
            envelope.bounded = False
            envelope.owner = inc
            self.mailbox.push(envelope)
            self._wake()

    def put_or_wait(self, envelope: Envelope) -> Delivery | asyncio.Future[None]:
        """Queue a message, or queue its sender until there is room."""
        if (
            self.mailbox.settings.overflow is not Overflow.BACKPRESSURE
            or (self.mailbox.has_room and not self._senders)
            or not self._takes_mail
        ):
            return self.put(envelope)
        waiter: asyncio.Future[None] = self.system.loop.create_future()
        if self._senders is None:
            self._senders = deque()
        self._senders.append((waiter, envelope))
        return waiter

    def admit(self, waiter: asyncio.Future[None]) -> None:
        """Take the message of a sender that waits for room, past the bound."""
        for index, (own, envelope) in enumerate(self._senders or ()):
            if own is waiter and self._senders is not None:
                if self._takes_mail and not waiter.done():
                    del self._senders[index]
                    self.mailbox.push(envelope)
                    waiter.set_result(None)
                    self._wake()
                return

    def withdraw(self, waiter: asyncio.Future[None]) -> None:
        """Forget a message whose sender no longer waits for room."""
        for index, (own, _) in enumerate(self._senders or ()):
            if own is waiter and self._senders is not None:
                del self._senders[index]
                return

    def _admit_senders(self) -> None:
        while self._senders and self.mailbox.has_room:
            waiter, envelope = self._senders.popleft()
            # An ask waits on its reply, not on the waiter: its sender is gone when the reply is done.
            if not waiter.done() and not envelope.is_dead:
                self.mailbox.push(envelope)
                waiter.set_result(None)

    def _bounce(self, envelope: Envelope, reason: DeadLetterReason, error: Exception | None = None) -> None:
        """Answer for a message that will not be handled."""
        if envelope.is_dead:
            return
        if envelope.reply is not None:
            if error is None and reason is DeadLetterReason.FULL:
                error = MailboxFull(f"{self.path}: the mailbox is full and the request was dropped")
            envelope.reply.set_exception(error or self.stopped_error())
        self.dead_letter(envelope.message, reason)

    def _wake(self) -> None:
        inc = self._inc
        if inc is None or not inc.started or inc.ending is not None:
            return
        # A runner that is done did not end by itself: someone cancelled it, maybe before its first step.
        if (inc.runner is None or inc.runner.done()) and len(self.mailbox):
            self._run(inc, self._drain(inc))

    async def _drain(self, inc: Incarnation) -> None:  # noqa: C901 - one loop, so that a message costs one await
        """Handle what is queued, then end."""
        actor = inc.actor
        assert actor is not None
        mailbox = self.mailbox
        share = _FAIR_SHARE
        while (inc.ending is None or inc.draining) and not inc.fenced:
            envelope = mailbox.pop()
            if envelope is None:
                break
            if self._senders:
                self._admit_senders()
            if envelope.is_dead or (envelope.owner is not None and envelope.owner is not inc):
                continue
            inc.current = envelope
            try:
                answer = await actor.receive(envelope.message)
            except asyncio.CancelledError as error:
                if inc.killed:
                    raise
                self._crash(inc, error)
                break
            except FOR_THE_HOST:
                raise
            except BaseException as error:  # noqa: BLE001 - whatever a user's handler raises is a crash
                self._crash(inc, error)
                break
            if inc.fenced:
                return
            inc.current = None
            if envelope.reply is not None and not envelope.reply.done():
                envelope.reply.set_result(answer)
            share -= 1
            if not share:
                share = _FAIR_SHARE
                await asyncio.sleep(0)
        inc.runner = None

    def _crash(self, inc: Incarnation, error: BaseException) -> None:
        if inc.fenced or self._inc is not inc:
            return
        if inc.ending is not None and not is_abnormal(inc.ending):
            inc.ending = Crash(error)  # it crashed while it was being stopped: that is its own reason
            self._note_crash(inc, error)
        self._begin_end(inc, Crash(error))
        self._fail_current(inc, error)

    def _fail_current(self, inc: Incarnation, error: BaseException) -> None:
        envelope, inc.current = inc.current, None
        if envelope is not None:
            failure = ActorCrashed(
                f"{self.path} crashed while it handled the request: {type(error).__name__}: {error}", cause=error
            )
            failure.__cause__ = error
            self._bounce(envelope, DeadLetterReason.CRASHED, failure)

    def task_crashed(self, inc: Incarnation, error: BaseException) -> None:
        """A task of the incarnation raised."""
        if inc is self._inc and (inc.started or inc.ending is None):
            self._begin_end(inc, Crash(error) if inc.started else StartFailure(error))

    # Ending

    def stop_self(self, inc: Incarnation, reason: ExitReason) -> None:
        """The actor wants to end after the message in hand."""
        if inc is self._inc and not inc.fenced:
            self._begin_end(inc, reason)

    def halt(self, fate: Fate) -> None:
        """Stop in order: the message in hand first, or the whole queue if the actor drains."""
        self._fate = fate
        inc = self._inc
        if inc is None:
            return
        if inc.ending is None and self.spec.drain and inc.announced and fate is not Fate.RESTART:
            inc.draining = True
        self._begin_end(inc, Shutdown())
        if fate is Fate.RESTART:
            inc.yield_to_restart()
        if not self._takes_mail and not inc.draining:
            self._flush(DeadLetterReason.STOPPED)

    def force(self) -> None:
        """Stop now."""
        inc = self._inc
        if inc is not None:
            self._begin_end(inc, Killed())
            inc.draining = False
            inc.force()

    def kill(self) -> None:
        """End the incarnation: its handler and tasks are cancelled, its stop hook runs."""
        if self._inc is not None:
            self._begin_end(self._inc, Killed())

    def _begin_end(self, inc: Incarnation, reason: ExitReason) -> None:
        if inc.ending is not None or self._inc is not inc:
            return
        inc.ending = reason
        self.state = ActorState.STOPPING
        if isinstance(reason, Crash):
            self._note_crash(inc, reason.error)
        elif isinstance(reason, StartFailure):
            self.last_crash = str(reason)
            self.system.publish(events.ActorStartFailed, self.path, incarnation=inc.number, error=reason.error)
            _log.warning("%s: %s", self.path, reason)
        if inc.draining and inc.runner is None and len(self.mailbox):
            self._run(inc, self._drain(inc))
        inc.ender = self.system.loop.create_task(
            self._end(inc), name=f"{self.path}#{inc.number}:end", context=self.system.context.copy()
        )

    def _note_crash(self, inc: Incarnation, error: BaseException) -> None:
        self.last_crash = f"{type(error).__name__}: {error}"
        self.system.publish(events.ActorCrashed, self.path, incarnation=inc.number, error=error)
        _log.error("%s: incarnation %d crashed", self.path, inc.number, exc_info=error)

    async def _end(self, inc: Incarnation) -> None:
        """End the incarnation completely, then report."""
        leaks = await end_incarnation(self, inc)
        reason = inc.ending
        assert reason is not None
        if leaks and isinstance(reason, Killed):
            reason = Killed(leaked=True)
        self._fail_current(inc, reason.error if isinstance(reason, Crash) else TimeoutError(str(reason)))
        for watched in inc.watching or ():
            watched.remove_watcher(self, inc)
        self.last_reason = reason
        self._inc = None
        assert self.parent is not None
        if inc.announced:
            self.system.publish(events.ActorStopped, self.path, incarnation=inc.number, reason=reason)
            self.parent.feed(steps.Exited(self.spec.id, reason))
        else:
            error = reason.error if isinstance(reason, StartFailure | Crash) else TimeoutError(str(reason))
            self.parent.feed(steps.StartFailed(self.spec.id, error))

    def on_settled(self, fate: Fate) -> None:
        """Keep or answer for what is still queued."""
        self._fate = fate
        if fate is not Fate.RESTART:
            self._flush(DeadLetterReason.STOPPED)
        elif self.mailbox.settings.on_restart is OnRestart.DROP:
            error = ActorRestarted(f"{self.path} was restarted before it saw the request; it is safe to send it again")
            self._flush(DeadLetterReason.RESTARTING_DROP, error)

    def _flush(self, reason: DeadLetterReason, error: Exception | None = None) -> None:
        for envelope in self.mailbox.clear():
            self._bounce(envelope, reason, error)
        senders, self._senders = self._senders, None
        for waiter, envelope in senders or ():
            if envelope.reply is not None:
                self._bounce(envelope, reason, error)
            elif not waiter.done():
                waiter.set_exception(error or self.stopped_error())

    # Watching

    def watch(self, inc: Incarnation, target: Cell) -> None:
        """Let this actor's incarnation `inc` hear of the end of `target`."""
        if inc.fenced or self._inc is not inc:
            return
        if inc.watching is None:
            inc.watching = set()
        inc.watching.add(target)
        target.add_watcher(self, inc)

    def unwatch(self, inc: Incarnation, target: Cell) -> None:
        """Take a watch back."""
        if inc.watching is not None:
            inc.watching.discard(target)
        target.remove_watcher(self, inc)

    def notify_down(self, inc: Incarnation, down: Down) -> None:
        """Queue a `Down` for the incarnation that asked for it."""
        if inc is self._inc and not inc.fenced:
            if inc.watching is not None:
                inc.watching.discard(down.ref.cell)
            self.put_unbounded(Envelope(down, lane=Lane.SYSTEM), inc)

    def waiting_messages(self) -> int:
        """What is in the mailbox."""
        return len(self.mailbox)
