"""Links of Modbus RTU that do not come up, break, or only look as if they were there; and devices that are busy."""

from __future__ import annotations

from typing import Any

import pytest

from bifrost.core.quality import StatusCode
from bifrost.errors import ModbusFault, NotConnected
from bifrost.plc import Area, PLCConnection, Tag
from bifrost.plc.sim import Fault, FaultPlan, Injection, ModbusRtuServer, ModbusTcpServer, RegisterBank, open_pty_pair
from tests.faults.link_promises import LinkPromises, SimulatedDevice
from tests.integration.leftovers import nothing_left_behind

TAG = Tag("t", "HR1", access="rw")


class TestModbusRtuOverTcpLinks(LinkPromises):
    """On the simulated device, behind what a serial device server would be."""

    protocol = "modbus-rtu-over-tcp"
    tag = TAG
    value = 42

    def device(self) -> SimulatedDevice:
        """One register."""
        return ModbusTcpServer(_bank(), framing="rtu")


def _bank() -> RegisterBank:
    bank = RegisterBank()
    bank.put(Area.HOLDING, 0, 42)
    return bank


def _on_the_line(path: str, **options: Any) -> PLCConnection:
    return PLCConnection(
        "modbus-rtu", **{"serial_port": path, "baudrate": 115_200, "timeout": 0.3, "backoff_min": 0.05, **options}
    )


@pytest.mark.parametrize("code", [5, 6])
async def test_a_busy_device_on_a_line_is_asked_again_a_little_later(code: int) -> None:
    """Exceptions 5 and 6 are about now; a write is not repeated for them."""
    async with nothing_left_behind():
        with open_pty_pair() as line:
            async with ModbusRtuServer(_bank(), line.descriptor) as server, _on_the_line(line.path) as plc:
                busy = Injection(Fault.EXCEPTION, code=code)
                server.faults = FaultPlan.script(busy)
                assert await plc.read(TAG) == 42
                assert server.counters.requests == 2
                server.faults = FaultPlan.always(busy)
                reading = (await plc.read_tags([TAG]))["t"]
                assert (reading.value, reading.status) == (None, StatusCode.BAD_OUT_OF_SERVICE)
                before = server.counters.requests
                with pytest.raises(ModbusFault) as caught:
                    await plc.write(TAG, 1)
                assert caught.value.code == code
                assert server.counters.requests == before + 1


async def test_text_that_is_no_utf_8_comes_as_latin_1_from_a_line() -> None:
    """A character that ends in the middle spoils neither the text nor what stands beside it."""
    async with nothing_left_behind():
        with open_pty_pair() as line:
            async with ModbusRtuServer(_bank(), line.descriptor) as server, _on_the_line(line.path) as plc:
                server.faults = FaultPlan.script(Injection(Fault.VALUE_EDGE, noise=bytes.fromhex("c328")))
                assert await plc.read(Tag("text", "HR1:STRING(2)", protocol="modbus-rtu")) == "\u00c3("


async def test_a_port_that_is_not_there_is_told_by_name_and_tried_again() -> None:
    """Not plugged in yet: the reads are BAD, and the attempts go on."""
    async with nothing_left_behind(), _on_the_line("/dev/tty-no-such-port", backoff_max=0.1) as plc:
        with pytest.raises(NotConnected, match="tty-no-such-port"):
            await plc.read(TAG)
        assert (await plc.read_tags([TAG]))["t"].status == StatusCode.BAD_NOT_CONNECTED
        failures = plc.stats.connect_failures
        with pytest.raises(NotConnected):
            await plc.wait_connected(timeout=0.3)
        assert failures < plc.stats.connect_failures <= failures + 8
