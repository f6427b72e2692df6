"""How long the event loop stood still: a task that wakes every millisecond and looks how late it is."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

__all__ = ["LoopGap", "loop_gap"]

_STEP = 0.001
_TASKS = Path("/proc/self/task")


class LoopGap:
    """What was measured.

    Attributes:
        longest: seconds between two turns of the loop, the step and the time that other processes took left out.
        turns: how often it was looked.
    """

    def __init__(self) -> None:
        self.longest = 0.0
        self.turns = 0


@asynccontextmanager
async def loop_gap() -> AsyncIterator[LoopGap]:
    """Measure for the length of a block."""
    gap = LoopGap()
    ticker = asyncio.create_task(_tick(gap))
    await asyncio.sleep(0.01)
    gap.longest = 0.0
    try:
        yield gap
        await asyncio.sleep(0.005)
    finally:
        ticker.cancel()
        await asyncio.wait([ticker])


async def _tick(gap: LoopGap) -> None:
    while True:
        before = _waits()
        began = time.perf_counter()
        await asyncio.sleep(_STEP)
        late = time.perf_counter() - began - _STEP
        waited = sum(wait - before.get(thread, 0) for thread, wait in _waits().items())
        gap.longest = max(gap.longest, late - waited / 1e9)
        gap.turns += 1


def _waits() -> dict[str, int]:
    """Nanoseconds for which each thread of this process could have run, but other processes had the cores.

    Not only the loop's own: one that holds the interpreter's lock and has no core keeps the loop as well. Empty where
    nobody counts them.
    """
    waits = {}
    for counts in _TASKS.glob("*/schedstat"):
        with contextlib.suppress(OSError):  # the thread has ended
            waits[counts.parent.name] = int(counts.read_text().split()[1])
    return waits
