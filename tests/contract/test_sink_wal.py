"""The write-ahead log as a sink keeps the sink's contract."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from bifrost.bridge.buffering.log import WriteAheadLog
from bifrost.bridge.buffering.port import WalPort
from bifrost.bridge.buffering.settings import WalSettings
from bifrost.bridge.buffering.sink import WalSink
from bifrost.core.batch import Batch
from bifrost.core.ports import Sink
from bifrost.testing import SinkContract
from bifrost.testing.sink_contract import StoredRow

__all__ = ["OnTheWal"]

_NAME = "wal.sqlite"


class OnTheWal(SinkContract):
    """A `WalSink` on a log whose owner may be gone for a while; what is stored is read from a copy of its files."""

    port: WalPort
    log: WriteAheadLog

    @asynccontextmanager
    async def sink(self, folder: Path) -> AsyncIterator[Sink]:
        self.settings = WalSettings(path=str(folder / _NAME))
        self.port = WalPort(patience=0.2)
        await self.mend()
        try:
            yield WalSink(self.port, timeout=2.0)
        finally:
            await self.log.aclose()

    async def stored(self, folder: Path) -> Sequence[StoredRow]:
        # The files as a killed process would leave them: nothing that is only in memory counts.
        with tempfile.TemporaryDirectory() as copied:
            _copy(folder, Path(copied))
            async with await WriteAheadLog.open(WalSettings(path=str(Path(copied) / _NAME))) as log:
                await log.register_destination("test")
                records = await log.read("test", limit=10_000, max_bytes=1 << 30)
                return [row[:4] for record in records for row in record.batch().rows()]

    async def fail(self) -> None:
        self.port.detach()
        await self.log.aclose()

    async def mend(self) -> None:
        self.log = await WriteAheadLog.open(self.settings)
        self.port.attach(self.log)

    def unacceptable(self) -> Batch | None:
        return Batch.from_columns(["noise"], [1], [os.urandom(9 << 20)])


class TestWalSink(OnTheWal):
    """Durable after every write."""


def _copy(source: Path, target: Path) -> None:
    for file in source.glob(f"{_NAME}*"):
        if not file.name.endswith("lock"):
            shutil.copy(file, target)
