"""The two clocks of a machine behind one seam, so that tests can own time."""

from __future__ import annotations

import time
from typing import Protocol

__all__ = ["Clock", "SystemClock"]


class Clock(Protocol):
    """Where code reads time; nothing in bifrost reads it elsewhere."""

    def monotonic(self) -> float:
        """Seconds for durations between our own events; never jumps."""
        ...

    def time_ns(self) -> int:
        """Wall clock, ns since 1970, UTC; may jump."""
        ...


class SystemClock:
    """The machine's own clocks."""

    __slots__ = ()

    def monotonic(self) -> float:
        """Seconds from `time.monotonic`."""
        return time.monotonic()

    def time_ns(self) -> int:
        """Nanoseconds from `time.time_ns`."""
        return time.time_ns()
