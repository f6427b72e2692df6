"""How long an event loop did not get to run: a task that wants to run every millisecond, and how late it was.

In: the running loop. Out: how late each beat came. The timer of the loop itself rounds up to a millisecond.
"""

from __future__ import annotations

import asyncio
import time
from types import TracebackType
from typing import Self

__all__ = ["Heartbeat"]

_EVERY = 0.001


class Heartbeat:
    """Beats for the length of an ``async with``.

    Attributes:
        late: how much later than wanted each beat came, in seconds.
    """

    def __init__(self) -> None:
        self.late: list[float] = []
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self._task = asyncio.get_running_loop().create_task(self._beat())
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        assert self._task is not None
        self._task.cancel()
        await asyncio.wait([self._task])

    async def _beat(self) -> None:
        clock, late = time.perf_counter, self.late
        while True:
            begin = clock()
            await asyncio.sleep(_EVERY)
            late.append(clock() - begin - _EVERY)
