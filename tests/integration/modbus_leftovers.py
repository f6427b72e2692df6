"""A test of a fault leaves nothing behind: no task, no thread, no descriptor."""

from __future__ import annotations

import asyncio
import gc
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import psutil

__all__ = ["nothing_left_behind"]

_PATIENCE = 2.0


@asynccontextmanager
async def nothing_left_behind() -> AsyncIterator[None]:
    """Compare before and after; what is being closed has two seconds."""
    before = _held()
    yield
    loop = asyncio.get_running_loop()
    deadline = loop.time() + _PATIENCE
    while (after := _held()) > before and loop.time() < deadline:
        gc.collect()
        await asyncio.sleep(0.01)
    assert after <= before, f"tasks, threads and descriptors before: {before}, after: {after}"


def _held() -> _Held:
    process: Any = psutil.Process()
    handles = process.num_fds if hasattr(process, "num_fds") else process.num_handles
    return _Held((len(asyncio.all_tasks()), threading.active_count(), handles()))


class _Held(tuple[int, int, int]):
    """Compares each number by itself: fewer of one does not make up for more of another."""

    __slots__ = ()

    def __le__(self, other: tuple[int, ...]) -> bool:
        return all(mine <= theirs for mine, theirs in zip(self, other, strict=True))

    def __gt__(self, other: tuple[int, ...]) -> bool:
        return not self <= other
