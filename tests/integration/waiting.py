"""Waiting for what a real server does in its own time."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

__all__ = ["until"]


async def until(condition: Callable[[], Awaitable[bool] | bool], *, timeout: float = 10.0) -> None:
    """Return when `condition` holds; `TimeoutError` if it does not come to hold in time."""
    async with asyncio.timeout(timeout):
        while True:
            holds = condition()
            if holds is True or (not isinstance(holds, bool) and await holds):
                return
            await asyncio.sleep(0.005)
