"""Searching a bus: who is there is found, what it says of itself is told, and nothing is written."""

from __future__ import annotations

from contextlib import aclosing
from typing import Any

import pytest

from bifrost.errors import ConfigError, NotConnected
from bifrost.plc import FoundDevice, PLCConnection, Tag
from bifrost.plc.discovery import discover
from bifrost.plc.sim import Fault, FaultPlan, ModbusRtuServer, ModbusTcpServer, open_pty_pair
from tests.integration.leftovers import nothing_left_behind
from tests.integration.simulated_units import IDENTITY, simulated_unit


async def _search(protocol: str, target: str, **options: Any) -> list[FoundDevice]:
    searching: Any = discover(protocol, target, timeout=0.03, **{"units": range(1, 12), **options})
    async with aclosing(searching) as found:
        return [device async for device in found]


async def test_units_on_a_line_are_found_and_can_be_used_by_their_url() -> None:
    """Two of eleven, with their names; their banks saw reads only."""
    banks = {3: simulated_unit(), 9: simulated_unit()}
    async with nothing_left_behind():
        with open_pty_pair() as line:
            async with ModbusRtuServer(banks, line.descriptor, identification=IDENTITY):
                found = await _search("modbus-rtu", f"{line.path}?baudrate=115200&parity=N")
                assert [(device.unit_id, device.vendor) for device in found] == [(3, "bifrost"), (9, "bifrost")]
                assert [bank.write_count for bank in banks.values()] == [0, 0]
                assert found[1].url == f"modbus-rtu://{line.path}?unit=9&baudrate=115200&parity=N"
                async with PLCConnection.from_url(found[1].url) as plc:
                    assert await plc.read(Tag("t", "HR11")) == 10


async def test_units_behind_a_converter_are_found() -> None:
    """One that refuses, or that does not say what it is, is there as well."""
    banks = {2: simulated_unit(), 5: simulated_unit()}
    async with nothing_left_behind(), ModbusTcpServer(banks, framing="rtu") as server:
        server.faults = FaultPlan.script(Fault.EXCEPTION)
        found = await _search("modbus-rtu-over-tcp", f"127.0.0.1:{server.port}")
        assert [(device.unit_id, device.name) for device in found] == [(2, ""), (5, "")]
        async with PLCConnection.from_url(found[0].url) as plc:
            assert await plc.read(Tag("t", "HR11")) == 10


async def test_a_bus_that_is_not_there_is_told() -> None:
    """As are units that no bus has."""
    with pytest.raises(NotConnected, match="no-such-port"):
        await _search("modbus-rtu", "/dev/no-such-port")
    with pytest.raises(ConfigError, match="baudrate"):
        await _search("modbus-rtu", "/dev/ttyS0", baudrate=1)
    with pytest.raises(ConfigError, match="did you mean baudrate"):
        await _search("modbus-rtu", "/dev/ttyS0?boudrate=9600")
    with pytest.raises(ConfigError, match="expected a host"):
        await _search("modbus-rtu-over-tcp", "host:port")
    with pytest.raises(ConfigError, match="1 to 247, got 248"):
        await _search("modbus-rtu-over-tcp", "127.0.0.1", units=[248])
