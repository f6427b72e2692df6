"""Messages that an actor sends to itself later.

In: a key, seconds, a message. Out: the message in the actor's own mailbox, past its bound. Every timer ends with the
incarnation that set it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Hashable
from typing import TYPE_CHECKING, Any

from bifrost.actors.mailbox import Envelope

if TYPE_CHECKING:
    from bifrost.actors.incarnation import Incarnation
    from bifrost.actors.worker import WorkerCell

__all__ = ["Timers", "check_seconds"]


class _Periodic:
    """A timer that repeats; at most one of its messages is queued at a time."""

    __slots__ = ("handle", "interval", "message", "next_at", "queued")

    def __init__(self, interval: float, message: Any, next_at: float) -> None:
        self.interval = interval
        self.message = message
        self.next_at = next_at
        self.queued = False
        self.handle: asyncio.TimerHandle | None = None

    def taken(self) -> None:
        self.queued = False


class Timers:
    """The timers of one incarnation, by key; setting a key again replaces its timer."""

    __slots__ = ("_cell", "_incarnation", "_once", "_periodic")

    def __init__(self, cell: WorkerCell, incarnation: Incarnation) -> None:
        self._cell = cell
        self._incarnation = incarnation
        self._once: dict[Hashable, asyncio.TimerHandle] = {}
        self._periodic: dict[Hashable, _Periodic] = {}

    def once(self, key: Hashable, delay: float, message: Any) -> None:
        """Send `message` to this actor after `delay` seconds.

        Raises:
            ValueError: the delay is negative, or no finite number.
        """
        check_seconds(delay, least=0)
        self.cancel(key)
        if self._is_open:
            self._once[key] = self._cell.system.loop.call_later(delay, self._fire, key, message)

    def every(self, key: Hashable, interval: float, message: Any) -> None:
        """Send `message` every `interval` seconds, first after one interval, at a fixed rate.

        A tick that comes while the last one is still queued is left out, so a slow actor is not buried in ticks.

        Raises:
            ValueError: the interval is below a microsecond, or no finite number.
        """
        check_seconds(interval, least=1e-6)
        self.cancel(key)
        if self._is_open:
            loop = self._cell.system.loop
            timer = self._periodic[key] = _Periodic(interval, message, loop.time() + interval)
            timer.handle = loop.call_at(timer.next_at, self._tick, timer)

    def cancel(self, key: Hashable) -> bool:
        """End the timer named `key`; a message that it has already queued still comes. True if there was one."""
        handle = self._once.pop(key, None)
        if handle is not None:
            handle.cancel()
        timer = self._periodic.pop(key, None)
        if timer is not None and timer.handle is not None:
            timer.handle.cancel()
        return handle is not None or timer is not None

    def cancel_all(self) -> None:
        """End every timer."""
        for key in [*self._once, *self._periodic]:
            self.cancel(key)

    @property
    def _is_open(self) -> bool:
        return self._incarnation.ending is None and not self._incarnation.fenced

    def _fire(self, key: Hashable, message: Any) -> None:
        self._once.pop(key, None)
        self._cell.put_unbounded(Envelope(message), self._incarnation)

    def _tick(self, timer: _Periodic) -> None:
        loop = self._cell.system.loop
        missed = max(0, int((loop.time() - timer.next_at) / timer.interval))
        timer.next_at += (missed + 1) * timer.interval
        timer.handle = loop.call_at(timer.next_at, self._tick, timer)
        if not timer.queued:
            timer.queued = True
            envelope = Envelope(timer.message)
            envelope.on_taken = timer.taken
            self._cell.put_unbounded(envelope, self._incarnation)


def check_seconds(value: float, *, least: float) -> None:
    """Refuse seconds that are no time: not a number, endless, or less than `least`."""
    if not least <= value < float("inf"):
        raise ValueError(f"a timer needs finite seconds of at least {least:g}, got {value!r}")
