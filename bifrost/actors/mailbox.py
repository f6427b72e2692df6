"""The bounded queue in front of an actor.

In: envelopes with a lane. Out: the next envelope, SYSTEM before HIGH before NORMAL, first in first out within a lane.
Not here: tasks, waiting, dead letters; the cell does those.
"""

from __future__ import annotations

import asyncio
import enum
from collections import deque
from collections.abc import Callable, Hashable, Iterator
from dataclasses import dataclass
from typing import Any

from bifrost.actors.carrier import NOTHING
from bifrost.errors import ChildSpecError

__all__ = ["Envelope", "Lane", "Mailbox", "MailboxQueue", "OnRestart", "Overflow"]


class Overflow(enum.Enum):
    """What happens to a message that finds the mailbox full."""

    BACKPRESSURE = "backpressure"
    """`send` and `ask` wait for room; `tell` drops the new message."""
    DROP_NEWEST = "drop_newest"
    """The new message becomes a dead letter."""
    DROP_OLDEST = "drop_oldest"
    """The oldest queued message of the same lane becomes a dead letter; the new one gets in."""
    CONFLATE = "conflate"
    """A queued message with the same key is replaced in place, full or not; a new key on a full mailbox is dropped."""
    FAIL = "fail"
    """The receiver crashes: for actors to which falling behind is a defect."""


class OnRestart(enum.Enum):
    """What happens to queued messages when the actor restarts."""

    KEEP = "keep"
    """They wait for the next incarnation."""
    DROP = "drop"
    """Asks get `ActorRestarted`, the rest become dead letters: for actuator writes that must not come late."""


class Lane(enum.IntEnum):
    """Priority of a message; lower is taken first."""

    SYSTEM = 0
    """For what the runtime itself sends, `Down` and `Exit`; only that is past the bound."""
    HIGH = 1
    NORMAL = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Mailbox:
    """How an actor's mailbox behaves.

    Attributes:
        capacity: messages held in all lanes together, 1 to 2**31; notices of the runtime and messages of timers come on
            top of it.
        overflow: what happens to the message that finds it full.
        key: for `Overflow.CONFLATE`: the key of a message; messages with equal keys replace each other.
        on_restart: whether queued messages survive a restart.

    Raises:
        ChildSpecError: a value is of the wrong type or out of range, or key and policy do not go together.
    """

    capacity: int = 1024
    overflow: Overflow = Overflow.BACKPRESSURE
    key: Callable[[Any], Hashable] | None = None
    on_restart: OnRestart = OnRestart.KEEP

    def __post_init__(self) -> None:
        capacity: object = self.capacity
        if isinstance(capacity, bool) or not isinstance(capacity, int) or not 1 <= capacity <= 2**31:
            raise ChildSpecError(f"mailbox capacity must be an integer from 1 to 2**31, got {capacity!r}")
        # A word instead of the member would be taken for the default without a sound: mail kept that was to be dropped.
        overflow: object = self.overflow
        if not isinstance(overflow, Overflow):
            raise ChildSpecError(f"mailbox overflow must be an Overflow, got {overflow!r}")
        on_restart: object = self.on_restart
        if not isinstance(on_restart, OnRestart):
            raise ChildSpecError(f"mailbox on_restart must be an OnRestart, got {on_restart!r}")
        key: object = self.key
        if not (callable(key) if overflow is Overflow.CONFLATE else key is None):
            raise ChildSpecError(
                f"mailbox key must be a function with Overflow.CONFLATE and None with anything else, got {key!r}"
            )


class Envelope:
    """One message on its way, with what is owed for it; a plain `tell` of the NORMAL lane travels without one."""

    # Defaults stand here and not in slots: few messages set any of them.
    key: Hashable = None
    bounded: bool = True
    expires: float | None = None
    """Loop time after which nobody wants it handled; for an ask, its deadline."""
    stashed: bool = False
    """It was put aside by the handler that has it in hand."""
    on_taken: Callable[[], None] | None = None
    owner: object = None
    """The only incarnation that the message is for, if it asked for it itself."""
    trace: object = None
    """What telemetry attaches to it."""

    def __init__(self, message: Any, *, reply: asyncio.Future[Any] | None = None, lane: Lane = Lane.NORMAL) -> None:
        self.message = message
        self.reply = reply
        self.lane = lane

    @property
    def is_dead(self) -> bool:
        """True if nobody waits for the answer any more: timed out, cancelled or already failed."""
        return self.reply is not None and self.reply.done()


class MailboxQueue:
    """The messages that wait for one actor: envelopes, and bare messages in the NORMAL lane.

    Attributes:
        settings: how it behaves.
        normal: the NORMAL lane.
        rush: how many messages wait in the lanes above it.
        limit: how long the NORMAL lane may be: the capacity, less what is bounded in the HIGH lane, plus what is
            unbounded in the NORMAL one. So one comparison tells whether a message fits.
    """

    __slots__ = ("_conflated", "_high", "_system", "limit", "normal", "rush", "settings")

    def __init__(self, settings: Mailbox) -> None:
        self.settings = settings
        self.normal: deque[Any] = deque()
        self.rush = 0
        self.limit = settings.capacity
        self._high: deque[Envelope] | None = None
        self._system: deque[Envelope] | None = None
        self._conflated: dict[Hashable, Envelope] | None = None

    def __len__(self) -> int:
        return len(self.normal) + self.rush

    def __iter__(self) -> Iterator[Any]:
        for lane in (self._system, self._high, self.normal):
            yield from lane or ()

    @property
    def has_room(self) -> bool:
        """True if a bounded message fits."""
        return len(self.normal) < self.limit

    def resize(self, settings: Mailbox) -> None:
        """Go on with other settings; what is queued stays."""
        self.limit += settings.capacity - self.settings.capacity
        self.settings = settings

    def push(self, envelope: Envelope) -> None:
        """Append to the envelope's lane; the caller has checked the bound."""
        if envelope.lane is Lane.NORMAL:
            self.normal.append(envelope)
            if not envelope.bounded:
                self.limit += 1
        else:
            self.rush += 1
            if envelope.bounded:
                self.limit -= 1
            if envelope.lane is Lane.HIGH:
                if self._high is None:
                    self._high = deque()
                self._high.append(envelope)
            else:
                if self._system is None:
                    self._system = deque()
                self._system.append(envelope)
        if envelope.bounded and self.settings.key is not None and envelope.reply is None:
            if self._conflated is None:
                self._conflated = {}
            self._conflated[envelope.key] = envelope

    def push_front(self, envelope: Envelope) -> None:
        """Put an unbounded envelope before all others of its lane."""
        if envelope.lane is Lane.NORMAL:
            self.limit += 1
            self.normal.appendleft(envelope)
            return
        self.rush += 1
        if envelope.lane is Lane.HIGH:
            if self._high is None:
                self._high = deque()
            self._high.appendleft(envelope)
        else:
            if self._system is None:
                self._system = deque()
            self._system.appendleft(envelope)

    def take_out(self, unwanted: Callable[[Envelope], bool]) -> list[Envelope]:
        """Take the envelopes out for which `unwanted` is true, and return them; bare messages stay."""
        taken: list[Envelope] = []
        for queue in (self._system, self._high, self.normal):
            if queue and any(type(item) is Envelope for item in queue):
                gone = [item for item in queue if type(item) is Envelope and unwanted(item)]
                if gone:
                    kept = [item for item in queue if type(item) is not Envelope or not unwanted(item)]
                    queue.clear()
                    queue.extend(kept)
                    taken += gone
        for envelope in taken:
            self.left(envelope)
        return taken

    def conflate(self, envelope: Envelope) -> bool:
        """Give a queued message of the same key the new content; True if there was one."""
        queued = None if self._conflated is None else self._conflated.get(envelope.key)
        if queued is None:
            return False
        queued.message = envelope.message
        queued.expires = envelope.expires
        return True

    def pop(self) -> Any:
        """Take the next message, bare or in its envelope, or `NOTHING`."""
        if self.rush:
            envelope = (self._system or self._high or deque()).popleft()
        elif self.normal:
            envelope = self.normal.popleft()
        else:
            return NOTHING
        if type(envelope) is Envelope:
            self.left(envelope)
        return envelope

    def drop_oldest(self, lane: Lane) -> Any:
        """Take out the oldest bounded message of `lane`, else of the other one, to make room; or `NOTHING`."""
        for queue in (self._high, self.normal) if lane is Lane.HIGH else (self.normal, self._high):
            for index, item in enumerate(queue or ()):
                if queue is not None and (type(item) is not Envelope or item.bounded):
                    del queue[index]
                    if type(item) is Envelope:
                        self.left(item)
                    return item
        return NOTHING

    def left(self, envelope: Envelope) -> None:
        """Note that `envelope` is no longer queued."""
        if envelope.lane is not Lane.NORMAL:
            self.rush -= 1
            if envelope.bounded:
                self.limit += 1
        elif not envelope.bounded:
            self.limit -= 1
        if self._conflated and self._conflated.get(envelope.key) is envelope:
            del self._conflated[envelope.key]
        if envelope.on_taken is not None:
            envelope.on_taken()

    def clear(self) -> list[Any]:
        """Take everything out, in the order in which it would have been taken."""
        items = []
        while (item := self.pop()) is not NOTHING:
            items.append(item)
        return items
