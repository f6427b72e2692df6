"""The clock of a system that was given none: the loop's own time.

In: a loop. Out: seconds and nanoseconds. On a loop with virtual time, monotonic time is virtual too.
"""

from __future__ import annotations

import asyncio

from bifrost.core.clock import SystemClock

__all__ = ["LoopClock"]


class LoopClock:
    """Monotonic time from the loop, wall time from the machine."""

    __slots__ = ("_loop", "_wall")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._wall = SystemClock()

    def monotonic(self) -> float:
        """Seconds from the loop's clock."""
        return self._loop.time()

    def time_ns(self) -> int:
        """Nanoseconds since 1970, UTC."""
        return self._wall.time_ns()
