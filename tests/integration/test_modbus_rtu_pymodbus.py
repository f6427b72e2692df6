"""Modbus RTU against pymodbus, both ways: its servers for our client, its clients for our simulator."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from pymodbus.client import AsyncModbusSerialClient, AsyncModbusTcpClient
from pymodbus.framer import FramerType

from bifrost.core.clock import SystemClock
from bifrost.core.quality import StatusCode
from bifrost.plc import Area, DataType, PLCConnection, Tag
from bifrost.plc.modbus.rtu_driver import ModbusRtuDriver
from bifrost.plc.modbus.rtu_settings import ModbusRtuSettings
from bifrost.plc.sim import Constant, ModbusRtuServer, ModbusTcpServer, RegisterBank, Replay, open_pty_pair
from tests.integration.leftovers import nothing_left_behind
from tests.integration.null_modem import null_modem
from tests.integration.pymodbus_servers import serve_serial, serve_tcp
from tests.integration.simulated_units import IDENTITY, simulated_unit


async def _use(plc: PLCConnection) -> None:
    tags = [Tag("one", "1!HR1[3]"), Tag("two", "2!IR5"), Tag("coils", "1!C1[16]"), Tag("far", "1!HR200")]
    readings = await plc.read_tags(tags)
    assert readings["one"].value == [7, 7, 7]
    assert readings["two"].value == 7
    assert readings["coils"].value == [True] * 16
    assert readings["far"].status == StatusCode.BAD_CONFIGURATION_ERROR
    word, words = Tag("w", "HR10", access="rw"), Tag("ws", "2!HR20:INT32[4]", access="rw")
    coils = Tag("cs", "C3[5]", access="rw")
    await plc.write(word, 1234)
    await plc.write(words, [-1, 2, -3, 4])
    await plc.write(coils, [False] * 5)
    assert await plc.read(word) == 1234
    assert await plc.read(words) == [-1, 2, -3, 4]
    assert await plc.read(Tag("all", "C1[16]")) == [True] * 2 + [False] * 5 + [True] * 9
    whole = Tag("whole", "HR1[100]")
    assert len(await plc.read(whole)) == 100  # type: ignore[arg-type]  # a list, as its tag says
    assert plc.stats.connects == 1


@pytest.mark.parametrize("parity", ["N", "E"])
async def test_our_client_reads_and_writes_pymodbus_on_a_serial_line(parity: str) -> None:
    """Two units on one line, every area, arrays, an address that is not there."""
    async with nothing_left_behind():
        with null_modem() as (ours, theirs):
            async with (
                serve_serial(theirs, 1, 2),
                PLCConnection(protocol="modbus-rtu", serial_port=ours, baudrate=115_200, parity=parity) as plc,
            ):
                await _use(plc)


async def test_our_client_reads_and_writes_pymodbus_in_rtu_over_tcp() -> None:
    """The same through TCP."""
    async with (
        nothing_left_behind(),
        serve_tcp(1, 2, framer=FramerType.RTU) as port,
        PLCConnection(protocol="modbus-rtu-over-tcp", host="127.0.0.1", port=port) as plc,
    ):
        await _use(plc)


async def test_a_unit_that_is_not_on_the_line_is_its_own_trouble_alone() -> None:
    """Its tags time out; the other unit's are good in the same read."""
    with null_modem() as (ours, theirs):
        async with (
            serve_serial(theirs, 1),
            PLCConnection(protocol="modbus-rtu", serial_port=ours, baudrate=115_200, timeout=0.15) as plc,
        ):
            readings = await plc.read_tags([Tag("there", "1!HR1"), Tag("absent", "9!HR1"), Tag("there too", "1!IR1")])
            assert readings["there"].value == readings["there too"].value == 7
            assert readings["absent"].status != StatusCode.GOOD
            assert readings["absent"].value is None


@asynccontextmanager
async def _serial_client(bank: RegisterBank) -> AsyncIterator[tuple[Any, Any]]:
    with open_pty_pair() as line:
        async with ModbusRtuServer({1: bank, 2: simulated_unit()}, line.descriptor, identification=IDENTITY) as server:
            client = AsyncModbusSerialClient(line.path, baudrate=115_200, timeout=1, retries=0, reconnect_delay=0)
            assert await client.connect()
            try:
                yield server, client
            finally:
                client.close()
                await asyncio.sleep(0)


@asynccontextmanager
async def _tcp_client(bank: RegisterBank) -> AsyncIterator[tuple[Any, Any]]:
    async with ModbusTcpServer({1: bank, 2: simulated_unit()}, framing="rtu", identification=IDENTITY) as server:
        client = AsyncModbusTcpClient(
            "127.0.0.1", port=server.port, framer=FramerType.RTU, timeout=1, retries=0, reconnect_delay=0
        )
        assert await client.connect()
        try:
            yield server, client
        finally:
            client.close()
            await asyncio.sleep(0)


@pytest.mark.parametrize("partner", [_serial_client, _tcp_client], ids=["serial", "tcp"])
async def test_pymodbus_reads_and_writes_our_simulator(partner: Any) -> None:
    """Every function that the simulator knows, as another client understands its answers."""
    bank = simulated_unit()
    async with nothing_left_behind(), partner(bank) as (server, client):
        assert (await client.read_holding_registers(0, count=125)).registers == list(range(125))
        assert (await client.read_input_registers(5, count=2, device_id=2)).registers == [1005, 1006]
        assert (await client.read_coils(0, count=4)).bits[:4] == [True, False, False, True]
        assert (await client.read_discrete_inputs(1, count=2)).bits[:2] == [False, True]
        assert not (await client.write_register(3, 77)).isError()
        assert not (await client.write_registers(4, [1, 2, 3])).isError()
        assert not (await client.write_coil(1, value=True)).isError()
        assert not (await client.write_coils(8, [True] * 10)).isError()
        assert bank.read(Area.HOLDING, 3, 4) == [77, 1, 2, 3]
        assert bank.read(Area.COIL, 8, 10) == [1] * 10
        assert not (await client.mask_write_register(address=3, and_mask=0x00F0, or_mask=0x0005)).isError()
        assert bank.get(Area.HOLDING, 3) == 77 & 0xF0 | 0x05
        both = await client.readwrite_registers(read_address=20, read_count=3, write_address=21, values=[9])
        assert both.registers == [20, 9, 22]
        assert (await client.read_holding_registers(500, count=1)).exception_code == 2
        assert server.counters.exceptions == 1
        identity = await client.read_device_information(read_code=3, object_id=0)
        assert {number: bytes(text) for number, text in identity.information.items()} == {
            number: text if isinstance(text, bytes) else text.encode() for number, text in IDENTITY.items()
        }


@pytest.mark.parametrize("partner", [_serial_client, _tcp_client], ids=["serial", "tcp"])
async def test_a_broadcast_reaches_every_unit_and_is_answered_by_none(partner: Any) -> None:
    """Unit 0 on a bus: the next request gets its own answer."""
    bank = simulated_unit()
    async with partner(bank) as (server, client):
        await client.write_register(7, 4711, device_id=0, no_response_expected=True)
        await asyncio.sleep(0.01)  # a broadcast is over before the next request
        for unit in (1, 2):
            assert (await client.read_holding_registers(7, count=1, device_id=unit)).registers == [4711]
        assert server.counters.broadcasts == 1
        assert server.counters.requests == 2


async def test_a_bank_on_a_line_replays_recorded_signals() -> None:
    """The same bank as in TCP: values come from the signal at the time of the read."""
    bank = RegisterBank()
    bank.bind(Area.INPUT, 0, Replay([1.5, 2.5, 3.5], period=0.05), DataType.FLOAT32)
    bank.bind(Area.INPUT, 2, Constant(4.0), DataType.UINT16)
    with open_pty_pair() as line:
        async with (
            ModbusRtuServer(bank, line.descriptor),
            PLCConnection(protocol="modbus-rtu", serial_port=line.path, baudrate=115_200) as plc,
        ):
            recorded, constant = Tag("recorded", "IR1:FLOAT32"), Tag("constant", "IR3")
            readings = await plc.read_tags([recorded, constant])
            assert readings.values_dict() == {"recorded": 1.5, "constant": 4}
            await asyncio.sleep(0.15)
            assert await plc.read(recorded) == 3.5


async def test_our_client_writes_bits_and_broadcasts_on_a_line() -> None:
    """A bit by function 22, a broadcast to both units, and the next read waits until they have acted."""
    first, second = simulated_unit(), simulated_unit()
    with open_pty_pair() as line:
        async with (
            nothing_left_behind(),
            ModbusRtuServer({1: first, 2: second}, line.descriptor) as server,
            PLCConnection(protocol="modbus-rtu", serial_port=line.path, baudrate=115_200, turnaround_delay=0.05) as plc,
        ):
            await plc.write(Tag("bit", "2!HR9.4", access="rw"), True)
            assert second.get(Area.HOLDING, 8) == 8 | 1 << 4
            assert first.get(Area.HOLDING, 8) == 8
            begin = asyncio.get_running_loop().time()
            await plc.write(Tag("all", "0!HR5:UINT32", access="rw"), 0x1234_5678)
            assert await plc.read(Tag("one", "1!HR5:UINT32")) == 0x1234_5678
            assert asyncio.get_running_loop().time() - begin >= 0.05
            assert second.get(Area.HOLDING, 4, DataType.UINT32) == 0x1234_5678
            assert server.counters.broadcasts == 1


async def test_our_driver_learns_what_a_device_on_a_line_is() -> None:
    """Function 43 / 14, when the link comes up."""
    with open_pty_pair() as line:
        async with ModbusRtuServer(simulated_unit(), line.descriptor, identification=IDENTITY):
            settings = ModbusRtuSettings(serial_port=line.path, identify=True)
            driver = ModbusRtuDriver(settings, SystemClock())
            try:
                info = await driver.connect(timeout=1.0, on_lost=lambda _: None)
                assert info.endpoint == line.path
                assert "bifrost" in info.description
            finally:
                await driver.aclose()
