"""Looks at the messages of one actor while it works.

In: a path. Out: what becomes of each message to it, in order, in a bounded list and as an asynchronous iterator. Not
here: the messages themselves are not copied; a message that is changed later shows so.
"""

from __future__ import annotations

import asyncio
import enum
from collections import deque
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, Self

from bifrost.actors.exit_reason import error_text
from bifrost.actors.meters import add_meter

if TYPE_CHECKING:
    from bifrost.actors.cell import Cell
    from bifrost.actors.dead_letters import DeadLetterReason
    from bifrost.actors.mailbox import Envelope
    from bifrost.actors.system import ActorSystem

__all__ = ["MessageEvent", "Tap", "Tapped"]


class MessageEvent(enum.Enum):
    """What happened to a message."""

    QUEUED = "queued"
    """In the mailbox, or waiting for room in it."""
    BEGUN = "begun"
    HANDLED = "handled"
    CRASHED = "crashed"
    DROPPED = "dropped"


@dataclass(frozen=True, slots=True)
class Tapped:
    """One thing that happened to one message.

    Attributes:
        what: what.
        path: whose message it is.
        message: the message itself.
        at: monotonic seconds.
        seconds: in the mailbox, for BEGUN; in the handler, for HANDLED and CRASHED.
        detail: the error, for CRASHED; the dead letter's reason, for DROPPED.
    """

    what: MessageEvent
    path: str
    message: object
    at: float
    seconds: float | None = None
    detail: str | None = None

    def __str__(self) -> str:
        took = "" if self.seconds is None else f" after {self.seconds:.6f} s"
        why = "" if self.detail is None else f" ({self.detail})"
        return f"{self.at:.6f} {self.path} {self.what.value} {self.message!r}{took}{why}"


class Tap:
    """Listens from the beginning of its ``with`` block to the end; `ActorSystem.trace` makes it.

    While any tap is open, every message of the system costs a little more; without one, none does.

    Args:
        system: whose actor.
        path: whose messages; it stays right over restarts.
        keep: how many of the last entries are kept; older ones are forgotten and counted in `missed`.

    Attributes:
        missed: entries that were forgotten before anybody read them.
    """

    def __init__(self, system: ActorSystem, path: str, *, keep: int = 1000) -> None:
        self.path = path
        self.missed = 0
        self._system = system
        self._keep = keep
        self._entries: deque[Tapped] = deque()
        self._waiter: asyncio.Future[None] | None = None
        self._is_open = False

    def __enter__(self) -> Self:
        self._remove = add_meter(self._system, self)
        self._is_open = True
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._remove()
        self._is_open = False
        self._wake()

    def take(self) -> list[Tapped]:
        """The entries since the last call, oldest first."""
        taken = list(self._entries)
        self._entries.clear()
        return taken

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Tapped:
        """The next entry; the iteration ends when the block has ended and everything is read."""
        while not self._entries:
            if not self._is_open:
                raise StopAsyncIteration
            self._waiter = asyncio.get_running_loop().create_future()
            await self._waiter  # bounded by the block: its end wakes it
        return self._entries.popleft()

    # The meter

    def sent(self, cell: Cell, envelope: Envelope) -> None:
        """See `Meter`."""
        if cell.path == self.path:
            envelope.trace = self._add(MessageEvent.QUEUED, envelope.message)

    def begin(self, cell: Cell, envelope: Envelope) -> object:
        """See `Meter`."""
        if cell.path != self.path:
            return None
        queued_at = envelope.trace
        now = self._system.clock.monotonic()
        waited = now - queued_at if isinstance(queued_at, float) else None
        return self._add(MessageEvent.BEGUN, envelope.message, waited)

    def end(self, cell: Cell, envelope: Envelope, token: object, error: BaseException | None) -> None:
        """See `Meter`."""
        if cell.path != self.path:
            return
        took = self._system.clock.monotonic() - token if isinstance(token, float) else None
        if error is None:
            self._add(MessageEvent.HANDLED, envelope.message, took)
        else:
            self._add(MessageEvent.CRASHED, envelope.message, took, error_text(error))

    def dropped(self, cell: Cell, message: object, reason: DeadLetterReason) -> None:
        """See `Meter`."""
        if cell.path == self.path:
            self._add(MessageEvent.DROPPED, message, None, reason.value)

    def _add(
        self, what: MessageEvent, message: object, seconds: float | None = None, detail: str | None = None
    ) -> float:
        now = self._system.clock.monotonic()
        if len(self._entries) >= self._keep:
            self._entries.popleft()
            self.missed += 1
        self._entries.append(Tapped(what, self.path, message, now, seconds, detail))
        self._wake()
        return now

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)
