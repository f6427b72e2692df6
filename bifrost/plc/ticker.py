"""Fixed-rate ticks on the monotonic clock, without drift.

In: a period. Out: a wait until the next tick. Not here: what is done on a tick.
"""

from __future__ import annotations

import asyncio

from bifrost.errors import ConfigError

__all__ = ["Ticker"]


class Ticker:
    """Ticks at start + n periods.

    Args:
        period: seconds, 0.0005 to 86,400.
        catch_up: make ticks up that the caller was too slow for, at once and one after the other; otherwise they are
            skipped and counted.

    Attributes:
        due: loop time for which the latest tick was meant.
        overruns: ticks that came a whole period late or more: skipped, or made up for.
        skipped: those that were skipped.
    """

    __slots__ = ("__weakref__", "_catch_up", "_ended", "_started", "_waiting", "due", "overruns", "period", "skipped")

    def __init__(self, period: float, *, catch_up: bool = False) -> None:
        if not 0.0005 <= period <= 86_400:
            raise ConfigError(f"expected an interval of 0.5 ms to 24 h, got {period * 1000:g} ms")
        self.due = 0.0
        self.overruns = 0
        self.skipped = 0
        self.period = period
        self._catch_up = catch_up
        self._started = False
        self._ended = False
        self._waiting: asyncio.Future[None] | None = None

    async def wait(self) -> None:
        """Wait for the next tick; the first comes at once, and so do all after `end`."""
        loop = asyncio.get_running_loop()
        now = loop.time()
        if not self._started:
            self._started = True
            self.due = now
            return
        due = self.due + self.period
        if now >= due + self.period:
            missed = 1 if self._catch_up else int((now - due) // self.period)
            self.overruns += missed
            if not self._catch_up:
                self.skipped += missed
                due += missed * self.period
        self.due = due
        if due <= now or self._ended:
            # At least one turn of the loop, so that a poll that is always late still lets others run.
            await asyncio.sleep(0)
            return
        self._waiting = waiting = loop.create_future()
        timer = loop.call_at(due, _wake, waiting)
        try:
            await waiting
        finally:
            timer.cancel()

    def end(self) -> None:
        """Wake who waits, and let nobody wait any more; what becomes of the tick is up to the caller."""
        self._ended = True
        if self._waiting is not None:
            _wake(self._waiting)


def _wake(waiting: asyncio.Future[None]) -> None:
    if not waiting.done():
        waiting.set_result(None)
