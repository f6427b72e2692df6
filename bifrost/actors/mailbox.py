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
    HIGH = 1
    NORMAL = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Mailbox:
    """How an actor's mailbox behaves.

    Attributes:
        capacity: messages held in the HIGH and NORMAL lanes together, 1 to 2**31.
        overflow: what happens to the message that finds it full.
        key: for `Overflow.CONFLATE`: the key of a message; messages with equal keys replace each other.
        on_restart: whether queued messages survive a restart.
    """

    capacity: int = 1024
    overflow: Overflow = Overflow.BACKPRESSURE
    key: Callable[[Any], Hashable] | None = None
    on_restart: OnRestart = OnRestart.KEEP

    def __post_init__(self) -> None:
        capacity: object = self.capacity
        if isinstance(capacity, bool) or not isinstance(capacity, int) or not 1 <= capacity <= 2**31:
            raise ChildSpecError(f"mailbox capacity must be an integer from 1 to 2**31, got {capacity!r}")
        if (self.overflow is Overflow.CONFLATE) != (self.key is not None):
            raise ChildSpecError("mailbox key is needed with Overflow.CONFLATE and with nothing else")


class Envelope:
    """One message on its way, with what is owed for it."""

    __slots__ = ("bounded", "key", "lane", "message", "on_taken", "owner", "reply")

    def __init__(self, message: Any, *, reply: asyncio.Future[Any] | None = None, lane: Lane = Lane.NORMAL) -> None:
        self.message = message
        self.reply = reply
        self.lane = lane
        self.key: Hashable = None
        self.bounded = True
        self.on_taken: Callable[[], None] | None = None
        self.owner: object = None
        """The only incarnation that the message is for, if it asked for it itself."""

    @property
    def is_dead(self) -> bool:
        """True if nobody waits for the answer any more: timed out, cancelled or already failed."""
        return self.reply is not None and self.reply.done()


class MailboxQueue:
    """The messages that wait for one actor. Empty lanes cost nothing."""

    __slots__ = ("_bounded", "_conflated", "_high", "_normal", "_system", "settings")

    def __init__(self, settings: Mailbox) -> None:
        self.settings = settings
        self._normal: deque[Envelope] | None = None
        self._high: deque[Envelope] | None = None
        self._system: deque[Envelope] | None = None
        self._conflated: dict[Hashable, Envelope] | None = None
        self._bounded = 0

    def __len__(self) -> int:
        return len(self._normal or ()) + len(self._high or ()) + len(self._system or ())

    def __iter__(self) -> Iterator[Envelope]:
        for lane in (self._system, self._high, self._normal):
            yield from lane or ()

    @property
    def has_room(self) -> bool:
        """True if a bounded message fits."""
        return self._bounded < self.settings.capacity

    def push(self, envelope: Envelope) -> None:
        """Append to the envelope's lane; the caller has checked the bound."""
        if envelope.lane is Lane.NORMAL:
            lane = self._normal
            if lane is None:
                lane = self._normal = deque()
        elif envelope.lane is Lane.HIGH:
            lane = self._high
            if lane is None:
                lane = self._high = deque()
        else:
            lane = self._system
            if lane is None:
                lane = self._system = deque()
        lane.append(envelope)
        if envelope.bounded:
            self._bounded += 1
            if self.settings.key is not None and envelope.reply is None:
                if self._conflated is None:
                    self._conflated = {}
                self._conflated[envelope.key] = envelope

    def conflate(self, envelope: Envelope) -> bool:
        """Give a queued message of the same key the new content; True if there was one."""
        queued = None if self._conflated is None else self._conflated.get(envelope.key)
        if queued is None:
            return False
        queued.message = envelope.message
        return True

    def pop(self) -> Envelope | None:
        """Take the next message, or None."""
        if self._system:
            envelope = self._system.popleft()
        elif self._high:
            envelope = self._high.popleft()
        elif self._normal:
            envelope = self._normal.popleft()
        else:
            return None
        self._left(envelope)
        return envelope

    def drop_oldest(self, lane: Lane) -> Envelope | None:
        """Take out the oldest bounded message of `lane`, else of the NORMAL lane, to make room."""
        for queue in (self._high, self._normal) if lane is Lane.HIGH else (self._normal, self._high):
            for index, envelope in enumerate(queue or ()):
                if envelope.bounded and queue is not None:
                    del queue[index]
                    self._left(envelope)
                    return envelope
        return None

    def _left(self, envelope: Envelope) -> None:
        if envelope.bounded:
            self._bounded -= 1
            if self._conflated and self._conflated.get(envelope.key) is envelope:
                del self._conflated[envelope.key]
        if envelope.on_taken is not None:
            envelope.on_taken()

    def clear(self) -> list[Envelope]:
        """Take everything out, in the order in which it would have been taken."""
        envelopes = []
        while (envelope := self.pop()) is not None:
            envelopes.append(envelope)
        return envelopes
