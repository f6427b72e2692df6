"""`Clock` over the virtual time of an event loop.

In: a loop. Out: seconds and nanoseconds that move only when the loop's time moves.
"""

from __future__ import annotations

import asyncio

__all__ = ["VirtualClock"]

_EPOCH_NS = 1_767_225_600_000_000_000  # 2026-01-01T00:00:00Z: any fixed instant, so that a failing test repeats exactly


class VirtualClock:
    """The clock of a `VirtualLoop` behind the seam `core.clock.Clock`.

    Args:
        loop: whose time to read; None takes the running loop.
        epoch_ns: wall clock at loop time 0; ns since 1970, UTC.
    """

    __slots__ = ("_epoch_ns", "_loop", "_step_ns")

    def __init__(self, loop: asyncio.AbstractEventLoop | None = None, *, epoch_ns: int = _EPOCH_NS) -> None:
        self._loop = asyncio.get_running_loop() if loop is None else loop
        self._epoch_ns = epoch_ns
        self._step_ns = 0

    def monotonic(self) -> float:
        """Seconds of loop time."""
        return self._loop.time()

    def time_ns(self) -> int:
        """Wall clock: the epoch, plus loop time, plus every step made so far."""
        return self._epoch_ns + self._step_ns + round(self._loop.time() * 1e9)

    def step_wall_clock(self, seconds: float) -> None:
        """Let the wall clock jump, as after a time synchronisation; the monotonic time does not move."""
        self._step_ns += round(seconds * 1e9)
