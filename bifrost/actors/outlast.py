"""A wait that goes on when the task that waits is cancelled.

In: futures and seconds. Out: nothing. Whoever cancels every task of the loop, as `asyncio.run` does at its end, cancels
the tasks that end actors, too. Nobody else would end those, so such a task finishes its work, which is bounded.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any

__all__ = ["outlast"]


async def outlast(futures: Iterable[asyncio.Future[Any]], seconds: float) -> None:
    """Return when all are done or `seconds` have passed, however often this task is cancelled meanwhile."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + seconds
    while (left := [one for one in futures if not one.done()]) and (remaining := deadline - loop.time()) > 0:
        try:
            await asyncio.wait(left, timeout=remaining)
        except asyncio.CancelledError:
            continue  # what a cancellation would have the task do is what it does: come to its end
