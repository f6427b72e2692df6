"""A PLC connection keeps the source's contract."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager

from bifrost.core.ports import Source
from bifrost.plc import Area, PLCConnection, Tag
from bifrost.plc.sim import ModbusTcpServer, RegisterBank
from bifrost.testing import SourceContract

__all__ = ["OnAPlc"]


class OnAPlc(SourceContract):
    """`PLCConnection.batches` of a simulated device that can be switched off and on."""

    server: ModbusTcpServer
    name: str | None = "press"

    @asynccontextmanager
    async def source(self) -> AsyncIterator[Source]:
        bank = RegisterBank()
        for at in range(8):
            bank.put(Area.HOLDING, at, at)
        tags = [Tag("speed", "HR1"), Tag("axes", "HR2[3]"), Tag("level", "HR6")]
        async with ModbusTcpServer(bank) as self.server:
            made = PLCConnection(
                tags=tags, name=self.name, host="127.0.0.1", port=self.server.port, interval_ms=20, backoff_max=0.1
            )
            async with made as connection:
                yield connection

    def labels(self) -> Mapping[str, Sequence[str]]:
        prefix = "" if self.name is None else f"{self.name}/"
        of = {"speed": ["speed"], "axes": ["axes[0]", "axes[1]", "axes[2]"], "level": ["level"]}
        return {tag: [prefix + label for label in labels] for tag, labels in of.items()}

    async def fail(self) -> None:
        await self.server.stop()

    async def mend(self) -> None:
        await self.server.start()


class TestPlcConnection(OnAPlc):
    """With a name, as in a gateway."""


class TestPlcConnectionWithoutAName(OnAPlc):
    """Its labels are the bare names of the tags."""

    name = None
