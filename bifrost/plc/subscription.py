"""A function that is called with what a poll brings."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from typing import Self

from bifrost.plc.snapshot import Snapshot

__all__ = ["OnSnapshot", "Subscription"]

OnSnapshot = Callable[[Snapshot], Awaitable[None] | None]


_GOES_ON = "a subscriber's function failed; the subscription goes on"


class Subscription:
    """Runs until `cancel`, or until its connection is closed; leaving an ``async with`` cancels it, too."""

    def __init__(
        self,
        snapshots: AsyncGenerator[Snapshot, None],
        callback: OnSnapshot,
        *,
        on_end: Callable[[Subscription], object],
    ) -> None:
        self._snapshots = snapshots
        self._callback = callback
        self._cancelled = False
        self._loop = asyncio.get_running_loop()
        self._task = self._loop.create_task(self._run(), name="bifrost-plc-subscription")
        self._task.add_done_callback(self._ended)
        self._on_end = on_end

    @property
    def active(self) -> bool:
        """True while snapshots are still to come."""
        return not self._task.done()

    def cancel(self) -> None:
        """End it; the function is not called any more. Idempotent."""
        self._cancelled = True
        self._task.cancel()

    async def wait_ended(self) -> None:
        """Wait until it has ended, a call of the function that is under way included."""
        await asyncio.wait([self._task])

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        self.cancel()
        await self.wait_ended()

    async def _run(self) -> None:
        async with aclosing(self._snapshots) as snapshots:
            async for snapshot in snapshots:
                await self._call(snapshot)
                # Asked, for a cancellation may have been swallowed, or the next snapshot may be here already.
                if self._cancelled:
                    return

    async def _call(self, snapshot: Snapshot) -> None:
        try:
            outcome = self._callback(snapshot)
            if inspect.isawaitable(outcome):
                await outcome
        except asyncio.CancelledError as error:
            if self._task.cancelling():
                raise
            self._report(_GOES_ON, error)  # of what the function awaited; the subscription itself was not cancelled
        except Exception as error:  # noqa: BLE001 - it is the user's: reported, and the next change still comes
            self._report(_GOES_ON, error)

    def _ended(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            # At once: nobody awaits the task, and whoever keeps the subscription would never hear of it.
            self._report("a subscription ended; there will be no more calls", error)
        self._on_end(self)

    def _report(self, message: str, error: BaseException) -> None:
        self._loop.call_exception_handler({"message": message, "exception": error})
