"""Against pymodbus's server: another implementation, in Python, with exceptions of its own."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from pymodbus.server import ModbusTcpServer
from pymodbus.simulator import DataType as SimType
from pymodbus.simulator import SimData, SimDevice

from bifrost.core.quality import StatusCode
from bifrost.plc import PLCConnection, Tag


@pytest.fixture
async def port() -> AsyncIterator[int]:
    registers = SimData(0, count=100, values=7, datatype=SimType.REGISTERS)
    bits = SimData(0, count=4, values=[True] * 16, datatype=SimType.BITS)
    devices = [SimDevice(unit, simdata=([bits], [bits], [registers], [registers])) for unit in (1, 2)]
    server = ModbusTcpServer(devices, address=("127.0.0.1", 0))
    await server.listen()
    listener: Any = server.transport
    yield listener.sockets[0].getsockname()[1]
    stop: Any = server.shutdown
    await stop()


async def test_areas_and_units_are_read_over_one_link(port: int) -> None:
    """Two units behind one address share a connection."""
    tags = [Tag("one", "1!HR1[3]"), Tag("two", "2!IR5"), Tag("coil", "1!C1[16]")]
    async with PLCConnection(host="127.0.0.1", port=port) as plc:
        readings = await plc.read_tags(tags)
        assert readings.values_dict() == {"one": [7, 7, 7], "two": 7, "coil": [True] * 16}
        assert plc.stats.connects == 1


async def test_writes_arrive(port: int) -> None:
    """Read back after single and multiple writes."""
    async with PLCConnection(host="127.0.0.1", port=port) as plc:
        word, words = Tag("w", "HR10", access="rw"), Tag("ws", "HR20:INT32[4]", access="rw")
        await plc.write(word, 1234)
        await plc.write(words, [-1, 2, -3, 4])
        assert await plc.read(word) == 1234
        assert await plc.read(words) == [-1, 2, -3, 4]


async def test_an_exception_marks_its_tags_only(port: int) -> None:
    """Registers beyond the hundredth are not there."""
    async with PLCConnection(host="127.0.0.1", port=port) as plc:
        readings = await plc.read_tags([Tag("good", "HR100"), Tag("bad", "HR101"), Tag("far", "HR1001")])
        assert readings["good"].value == 7
        assert readings["bad"].status == readings["far"].status == StatusCode.BAD_CONFIGURATION_ERROR
        assert await asyncio.wait_for(plc.read(Tag("good", "HR99")), 2) == 7
