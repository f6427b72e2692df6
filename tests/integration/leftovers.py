"""What a test left behind: tasks, threads, descriptors."""

from __future__ import annotations

import asyncio
import gc
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import psutil

from tests.integration.waiting import until

__all__ = ["nothing_left_behind"]


@asynccontextmanager
async def nothing_left_behind() -> AsyncIterator[None]:
    """Fail if there are more tasks, threads or descriptors after the block than before it."""
    process = psutil.Process()
    before = process.num_fds(), threading.active_count(), len(asyncio.all_tasks())
    yield
    gc.collect()

    def gone() -> bool:
        now = process.num_fds(), threading.active_count(), len(asyncio.all_tasks())
        return all(after <= earlier for after, earlier in zip(now, before, strict=True))

    try:
        await until(gone, timeout=2.0)
    except TimeoutError:
        names = [thread.name for thread in threading.enumerate()]
        opened = [file.path for file in process.open_files()]
        raise AssertionError(f"left behind: {names}, {asyncio.all_tasks()}, {opened}") from None
