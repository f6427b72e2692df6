"""What a test left behind: tasks, threads, descriptors."""

from __future__ import annotations

import asyncio
import gc
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import psutil

from tests.integration.waiting import until

__all__ = ["nothing_left_behind"]

_PATIENCE = 2.0


@asynccontextmanager
async def nothing_left_behind() -> AsyncIterator[None]:
    """Fail if there are more tasks, threads or descriptors after the block than before it."""
    process: Any = psutil.Process()
    descriptors = process.num_fds if hasattr(process, "num_fds") else process.num_handles

    def held() -> tuple[int, int, int]:
        return descriptors(), threading.active_count(), len(asyncio.all_tasks())

    def gone() -> bool:
        gc.collect()
        # Each number by itself: fewer of one does not make up for more of another.
        return all(after <= earlier for after, earlier in zip(held(), before, strict=True))

    before = held()
    yield
    try:
        await until(gone, timeout=_PATIENCE)
    except TimeoutError:
        names = [thread.name for thread in threading.enumerate()]
        opened = [file.path for file in process.open_files()]
        raise AssertionError(
            f"left behind: {held()} after {before}: {names}, {asyncio.all_tasks()}, {opened}"
        ) from None
