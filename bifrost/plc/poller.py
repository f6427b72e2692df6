"""Reads the same tags at a fixed rate, whoever is slow in taking them.

In: a way to read. Out: `Snapshot`s, the latest first to be had. Not here: drivers, reconnecting.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Awaitable, Callable

from bifrost.core.clock import Clock
from bifrost.errors import ClosedError
from bifrost.plc.changes import ChangeFilter
from bifrost.plc.prepared import PreparedRead
from bifrost.plc.readings import Reading
from bifrost.plc.snapshot import Snapshot
from bifrost.plc.ticker import Ticker

__all__ = ["Poller"]


class Poller:
    """One poll, from its first cycle to its end.

    Args:
        prepare: gives the tags as they are to be read now; planned once for each link.
        read: reads them; raises `ClosedError` when the connection was closed, which ends the poll.
        ticker: when cycles begin.
        clock: the wall clock.
        on_change: drop snapshots without news.
        queue: snapshots kept for a slow consumer, at least 1; the oldest goes first.
        on_overrun: told each cycle that was skipped.
    """

    def __init__(
        self,
        prepare: Callable[[], PreparedRead],
        read: Callable[[PreparedRead], Awaitable[Reading]],
        ticker: Ticker,
        clock: Clock,
        *,
        on_change: bool,
        queue: int,
        on_overrun: Callable[[int], None],
    ) -> None:
        self._prepare = prepare
        self._read = read
        self._ticker = ticker
        self._clock = clock
        self._on_change = on_change
        self._waiting: deque[Snapshot] = deque()
        self._room = queue
        self._on_overrun = on_overrun
        self._dropped = 0
        self._news = asyncio.Event()

    async def snapshots(self) -> AsyncGenerator[Snapshot, None]:
        """Poll as long as this is iterated; leaving the loop, or being cancelled, ends the polling."""
        task = asyncio.get_running_loop().create_task(self._run(), name="bifrost-plc-poll")
        task.add_done_callback(lambda _: self._news.set())
        try:
            while True:
                while self._waiting:
                    yield self._waiting.popleft()
                if task.done():
                    task.result()
                    return
                self._news.clear()
                await self._news.wait()
        finally:
            task.cancel()
            # Not awaited: the task ends at its next step. Whoever leaves now does not hear of what made it fail.
            if task.done() and not task.cancelled():
                task.exception()

    async def _run(self) -> None:
        ticker, loop = self._ticker, asyncio.get_running_loop()
        seq = 0
        changes: ChangeFilter | None = None
        while True:
            overruns, skipped = ticker.overruns, ticker.skipped
            await ticker.wait()
            if ticker.overruns != overruns:
                self._on_overrun(ticker.overruns - overruns)
                seq += ticker.skipped - skipped
            prepared = self._prepare()
            if changes is None:
                changes = ChangeFilter(prepared.tags)
            started, cycle_start_ns = loop.time(), self._clock.time_ns()
            try:
                reading = await self._read(prepared)
            except ClosedError:
                return
            news = changes.changed(*reading.shown())
            seq += 1
            if self._on_change and not news:
                continue
            self._hand(
                Snapshot(
                    prepared,
                    reading,
                    seq=seq - 1,
                    cycle_start_ns=cycle_start_ns,
                    due=ticker.due,
                    started=started,
                    duration=loop.time() - started,
                    overruns=ticker.overruns,
                    dropped=self._dropped,
                    changed=prepared.names_of(news),
                )
            )

    def _hand(self, snapshot: Snapshot) -> None:
        if len(self._waiting) >= self._room:
            oldest = self._waiting.popleft()
            self._dropped += 1
            snapshot.dropped = self._dropped
            self._waiting.append(snapshot)
            # What it had to tell is told by the one that is now given in its place.
            self._waiting[0].changed |= oldest.changed
        else:
            self._waiting.append(snapshot)
        self._news.set()
