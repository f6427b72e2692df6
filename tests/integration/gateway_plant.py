"""A plant with a device of each protocol, served by this process, and the settings of a gateway that reads them all."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from bifrost.plc.datatypes import DataType
from bifrost.plc.modbus.address import Area
from bifrost.plc.sim import Fault, FaultPlan, ModbusRtuServer, ModbusTcpServer, RegisterBank, open_pty_pair
from bifrost.plc.sim.cip import CipFault, CipFaultPlan, LogixTarget, TagStore
from bifrost.plc.sim.s7 import S7Target

__all__ = ["DEVICES", "EXPECTED", "INTERVAL", "Plant", "logix_target", "plant"]

INTERVAL = 0.05
"""Seconds between two polls of most tags."""

DEVICES = ("press", "meter", "bus", "cpu", "logix")

EXPECTED: dict[str, object] = {
    "press/temperature": 21.5,
    "press/slow": 7,
    "press/counts[0]": 10,
    "press/counts[1]": 20,
    "press/counts[2]": 30,
    "press/level": 5.0,  # 500 raw, scaled by 0.01
    "meter/energy": 123456,
    "meter/running": 1,
    "meter/power": -2.5,
    "bus/speed": 1450,
    "bus/torque": 12.25,
    "cpu/pressure": 4.75,
    "cpu/order": "A-4711",
    "cpu/ready": 1,
    "logix/speed": 1.5,
    "logix/steps[0]": 1,
    "logix/steps[1]": 2,
    "logix/steps[2]": 3,
    "logix/motor": '{"Speed":50.0,"Running":true,"Counts":[4,5,6]}',
    "logix/local": 42,
}
"""What every value of the plant is, as a historian stores it."""

_TAG_FILE = """\
name,address,datatype,scale,description
energy,IR1,UINT32,,kWh since it was built
running,C1,,,
power,HR10:FLOAT32,,,kW
"""


def logix_target() -> LogixTarget:
    """A controller with a structure, an array, and a tag of a program."""
    store = TagStore()
    store.define("Motor", {"Speed": "REAL", "Running": "BOOL", "Counts": "DINT[3]"})
    store.add("Speed", "REAL", 1.5)
    store.add("Steps", "DINT[10]", list(range(1, 11)))
    store.add("Motor", "Motor", {"Speed": 50.0, "Running": True, "Counts": [4, 5, 6]})
    store.add("Local", "DINT", 42, program="Main")
    return LogixTarget(store)


class Plant:
    """Five devices that can be broken and mended one by one.

    Attributes:
        logix: the controller.
        cpu: the S7; its memory may be changed.
    """

    def __init__(self) -> None:
        press = RegisterBank()
        press.put(Area.HOLDING, 0, 21.5, DataType.FLOAT32)
        for offset, value in ((2, 7), (3, 10), (4, 20), (5, 30), (6, 500)):
            press.put(Area.HOLDING, offset, value)
        meter = RegisterBank()
        meter.put(Area.INPUT, 0, 123456, DataType.UINT32)
        meter.put(Area.HOLDING, 9, -2.5, DataType.FLOAT32)
        meter.put(Area.COIL, 0, True)
        bus = RegisterBank()
        bus.put(Area.HOLDING, 0, 1450)
        bus.put(Area.HOLDING, 1, 12.25, DataType.FLOAT32)
        self.line = open_pty_pair()
        self._press = ModbusTcpServer(press)
        self._meter = ModbusTcpServer({3: meter}, framing="rtu")
        self._bus = ModbusRtuServer({17: bus}, self.line.descriptor)
        self.cpu = S7Target({1: 64})
        self.cpu.put("DB1.DBD4:REAL", 4.75)
        self.cpu.put("DB1,S20.30", "A-4711")
        self.cpu.put("M10.3", True)
        self.logix = logix_target()

    async def start(self) -> None:
        """Switch everything on."""
        for device in (self._press, self._meter, self._bus, self.cpu, self.logix):
            await device.start()

    async def stop(self) -> None:
        """Switch everything off."""
        for device in (self._press, self._meter, self._bus, self.cpu, self.logix):
            await device.stop()
        self.line.unplug()

    async def break_down(self, name: str) -> None:
        """Break one device, each in a way of its own."""
        match name:
            case "press":  # takes requests and is silent for ever
                self._press.faults = FaultPlan.always(Fault.SILENCE)
            case "meter":  # switched off
                await self._meter.stop()
            case "bus":  # off the bus; the line is there
                await self._bus.stop()
            case "cpu":  # pulled out
                await self.cpu.stop(reset=True)
            case "logix":  # hangs in the middle of an answer
                self.logix.faults = CipFaultPlan.always(CipFault.HANG)

    async def mend(self, name: str) -> None:
        """Bring it back."""
        match name:
            case "press":
                self._press.faults = None
                self._press.drop_clients()
            case "meter":
                await self._meter.start()
            case "bus":
                import termios

                # A device that is off hears nothing; a pseudo-terminal would keep it for later.
                with contextlib.suppress(OSError):
                    termios.tcflush(self.line.descriptor, termios.TCIOFLUSH)
                await self._bus.start()
            case "cpu":
                await self.cpu.start()
            case "logix":
                self.logix.faults = None

    def write_settings(self, folder: Path) -> Path:
        """Write the gateway's settings, with the list of tags beside them."""
        (folder / "meter.csv").write_text(_TAG_FILE, encoding="utf-8")
        quick = "timeout = 0.2\nconnect_timeout = 0.5\nbackoff_min = 0.05\nbackoff_max = 0.2"
        interval_ms = INTERVAL * 1000
        path = folder / "gateway.toml"
        path.write_text(f"""\
[gateway]
name = "plant"
data_dir = "data"

[devices.press]
host = "127.0.0.1"
port = {self._press.port}
probe_interval = 0.1
interval_ms = {interval_ms}
{quick}
tags = [
  {{ name = "temperature", address = "HR1:FLOAT32" }},
  {{ name = "slow", address = "HR3", interval_ms = 200 }},
  {{ name = "counts", address = "HR4:UINT16", count = 3 }},
  {{ name = "level", address = "HR7", scale = 0.01, clamp = [0.0, 10.0] }},
]

[devices.meter]
protocol = "modbus-rtu-over-tcp"
host = "127.0.0.1"
port = {self._meter.port}
unit_id = 3
probe_interval = 0.1
interval_ms = {interval_ms}
{quick}
tag_file = "meter.csv"

[devices.bus]
protocol = "modbus-rtu"
serial_port = "{self.line.path}"
baudrate = 115200
unit_id = 17
probe_interval = 0.1
interval_ms = {interval_ms}
{quick}
tags = [
  {{ name = "speed", address = "HR1" }},
  {{ name = "torque", address = "HR2:FLOAT32", max_age = 0.5 }},
]

[devices.cpu]
protocol = "s7"
host = "127.0.0.1"
port = {self.cpu.port}
interval_ms = {interval_ms}
{quick}
on_change = true
tags = [
  {{ name = "pressure", address = "DB1.DBD4:REAL", deadband = 0.5 }},
  {{ name = "order", address = "DB1,S20.30" }},
  {{ name = "ready", address = "M10.3" }},
]

[devices.logix]
protocol = "ethernet-ip"
host = "127.0.0.1"
port = {self.logix.port}
interval_ms = {interval_ms}
{quick}
tags = [
  {{ name = "speed", address = "Speed:REAL" }},
  {{ name = "steps", address = "Steps:DINT", count = 3 }},
  {{ name = "motor", address = "Motor" }},
  {{ name = "local", address = "Program:Main.Local:DINT" }},
]

[pipelines.all]
sources = ["*"]
sinks = ["wal"]

[uplinks.local]
kind = "historian"
path = "history.sqlite"
""")
        return path


@asynccontextmanager
async def plant() -> AsyncIterator[Plant]:
    """Run the plant for the length of the block."""
    made = Plant()
    await made.start()
    try:
        yield made
    finally:
        await made.stop()
