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
from bifrost.plc.modbus.scan import scan_units


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


async def test_a_server_that_answers_one_request_of_a_segment_still_gives_no_wrong_value(port: int) -> None:
    """This one does; several in flight are the wrong option for it, and what is GOOD is right all the same."""
    tags = [Tag(f"t{at}", f"HR{1 + 10 * at}") for at in range(8)]
    async with PLCConnection(host="127.0.0.1", port=port, max_in_flight=8, max_gap=0, timeout=0.1) as plc:
        for _ in range(3):
            readings = await plc.read_tags(tags)
            assert set(readings.values_dict().values()) <= {7, None}
            await plc.wait_connected(timeout=2.0)


async def test_units_share_one_link_and_are_found_by_a_scan(port: int) -> None:
    """Two connections, two units, one link; the scan finds both."""
    async with (
        PLCConnection(host="127.0.0.1", port=port, unit_id=1) as one,
        PLCConnection(host="127.0.0.1", port=port, unit_id=2) as two,
    ):
        assert set(await asyncio.gather(one.read(Tag("a", "HR1")), two.read(Tag("b", "IR2")))) == {7}
    scan = scan_units("127.0.0.1", port=port, units=[1, 2], timeout=0.2, rate=100)
    assert [device.unit_id async for device in scan] == [1, 2]
