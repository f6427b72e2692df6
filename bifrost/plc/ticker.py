"""Fixed-rate ticks on the monotonic clock, without drift.

In: a period. Out: a wait until the next tick. Not here: what is done on a tick.
"""

from __future__ import annotations

import asyncio

from bifrost.errors import ConfigError

__all__ = ["Ticker"]


class Ticker:
    """Ticks at start + n periods; ticks that the caller was too slow for are skipped and counted, never made up for.

    Attributes:
        overruns: ticks skipped so far.
    """

    __slots__ = ("_due", "_period", "overruns")

    def __init__(self, period: float) -> None:
        if not 0.0005 <= period <= 86_400:
            raise ConfigError(f"expected an interval of 0.5 ms to 24 h, got {period * 1000:g} ms")
        self.overruns = 0
        self._period = period
        self._due: float | None = None

    async def wait(self) -> None:
        """Wait for the next tick; the first comes at once."""
        loop = asyncio.get_running_loop()
        now = loop.time()
        if self._due is None:
            self._due = now
            return
        due = self._due + self._period
        if now >= due + self._period:
            missed = int((now - due) // self._period)
            self.overruns += missed
            due += missed * self._period
        self._due = due
        # At least one turn of the loop, so that a poll that is always late still lets others run.
        await asyncio.sleep(max(0.0, due - now))
