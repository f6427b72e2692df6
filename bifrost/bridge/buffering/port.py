"""A handle to the write-ahead log that outlives it: its actor may be restarted, the handle stays the same."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from bifrost.bridge.buffering.log import WriteAheadLog
from bifrost.bridge.buffering.records import DeadLetter, Gap, WalRecord, WalStatistics
from bifrost.core.batch import Batch
from bifrost.errors import BufferClosed

__all__ = ["WalPort"]

_T = TypeVar("_T")


class WalPort:
    """The log that is open at the moment, for everybody who writes to it or reads from it.

    Its owner calls `attach` and `detach`; all other calls go to the attached log, and wait `patience` seconds for one.
    Make it before the actors, and hand the same one to all.
    """

    def __init__(self, *, patience: float = 5.0) -> None:
        """Wait `patience` seconds for a log that is being reopened, before `BufferClosed`."""
        self._patience = patience
        self._log: WriteAheadLog | None = None
        self._attached = asyncio.Event()
        self._listeners: list[Callable[[int], None]] = []
        self._on_dead: Callable[[], object] | None = None
        self._unlisten: Callable[[], None] | None = None

    def attach(self, log: WriteAheadLog, on_dead: Callable[[], object] | None = None) -> None:
        """Let calls go to `log`; `on_dead` is called once if its thread turns out to have ended by itself."""
        self._log, self._on_dead = log, on_dead
        self._unlisten = log.listen(self._appended)
        self._attached.set()
        self._appended(log.last_seq)  # readers look again: there may be more than they know of

    def detach(self) -> None:
        """Let calls wait for the next `attach`."""
        if self._unlisten is not None:
            self._unlisten()
        self._log, self._on_dead, self._unlisten = None, None, None
        self._attached.clear()

    async def log(self) -> WriteAheadLog:
        """The attached log.

        Raises:
            BufferClosed: none was attached within `patience` seconds: retry later.
        """
        if self._log is None:
            try:
                async with asyncio.timeout(self._patience):
                    await self._attached.wait()
            except TimeoutError:
                raise BufferClosed(f"no write-ahead log was opened within {self._patience:g} s: retry later") from None
        if self._log is None:
            raise BufferClosed("the write-ahead log was closed again: retry later")
        return self._log

    @property
    def last_seq(self) -> int:
        """The newest place of the attached log; 0 without one."""
        return 0 if self._log is None else self._log.last_seq

    async def append(self, batch: Batch, stream: str = "telemetry", *, timeout: float | None = 30.0) -> int:
        """`WriteAheadLog.append`."""
        return await self._call(lambda log: log.append(batch, stream, timeout=timeout))

    async def register_destination(self, name: str, *, start: str = "oldest") -> int:
        """`WriteAheadLog.register_destination`."""
        return await self._call(lambda log: log.register_destination(name, start=start))

    async def forget_destination(self, name: str) -> None:
        """`WriteAheadLog.forget_destination`."""
        await self._call(lambda log: log.forget_destination(name))

    async def read(
        self, destination: str, after: int | None = None, *, limit: int = 64, max_bytes: int = 1 << 20
    ) -> list[WalRecord]:
        """`WriteAheadLog.read`."""
        return await self._call(lambda log: log.read(destination, after, limit=limit, max_bytes=max_bytes))

    async def ack(self, destination: str, seq: int) -> int:
        """`WriteAheadLog.ack`."""
        return await self._call(lambda log: log.ack(destination, seq))

    async def dead_letter(self, destination: str, seq: int, reason: str, *, attempts: int) -> None:
        """`WriteAheadLog.dead_letter`."""
        await self._call(lambda log: log.dead_letter(destination, seq, reason, attempts=attempts))

    async def dead_letters(self, *, limit: int = 100) -> list[DeadLetter]:
        """`WriteAheadLog.dead_letters`."""
        return await self._call(lambda log: log.dead_letters(limit=limit))

    async def gaps(self, *, limit: int = 100) -> list[Gap]:
        """`WriteAheadLog.gaps`."""
        return await self._call(lambda log: log.gaps(limit=limit))

    async def statistics(self) -> WalStatistics:
        """`WriteAheadLog.statistics`."""
        return await self._call(lambda log: log.statistics())

    def listen(self, listener: Callable[[int], None]) -> Callable[[], None]:
        """Have `listener(seq)` called on the loop after every append, whichever log it went to; returns its end."""
        self._listeners.append(listener)

        def unlisten() -> None:
            if listener in self._listeners:
                self._listeners.remove(listener)

        return unlisten

    async def _call(self, ask: Callable[[WriteAheadLog], Awaitable[_T]]) -> _T:
        log = await self.log()
        try:
            return await ask(log)
        except BufferClosed:
            if log is self._log and not log.closed and self._on_dead is not None:
                on_dead, self._on_dead = self._on_dead, None
                on_dead()
            raise

    def _appended(self, seq: int) -> None:
        for listener in self._listeners:
            listener(seq)
