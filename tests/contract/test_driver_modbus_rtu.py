"""The drivers for Modbus RTU keep the driver's contract: on a serial line, by threads, in TCP, and by pymodbus."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from bifrost.core.clock import Clock
from bifrost.plc.drivers.base import Driver
from bifrost.plc.modbus import serial_port
from bifrost.plc.modbus.rtu_driver import ModbusRtuDriver, ModbusRtuOverTcpDriver
from bifrost.plc.modbus.rtu_settings import ModbusRtuOverTcpSettings, ModbusRtuSettings
from bifrost.plc.modbus.settings import ModbusSettings
from bifrost.plc.modbus.tcp_driver import ModbusTcpDriver
from bifrost.plc.sim import Fault, FaultPlan, ModbusRtuServer, ModbusTcpServer, PtyPair, open_pty_pair
from tests.contract.modbus_devices import OnTheSimulator, simulated_bank, unused_port


class TestModbusRtuOnALine(OnTheSimulator):
    """On a pseudo-terminal, whose device's end vanishes when the link is cut."""

    line: PtyPair
    rtu: ModbusRtuServer

    @asynccontextmanager
    async def device(self) -> AsyncIterator[None]:
        self.bank = simulated_bank()
        with open_pty_pair() as self.line:
            async with ModbusRtuServer(self.bank, self.line.descriptor) as self.rtu:
                yield

    def make(self, clock: Clock) -> Driver:
        return ModbusRtuDriver(ModbusRtuSettings(serial_port=self.line.path, baudrate=115_200), clock)

    def make_unreachable(self, clock: Clock) -> Driver:
        return ModbusRtuDriver(ModbusRtuSettings(serial_port="/dev/no-such-port"), clock)

    async def cut(self) -> None:
        await self.rtu.stop()
        self.line.unplug()

    async def mute(self) -> None:
        self.rtu.faults = FaultPlan.always(Fault.DROP)

    async def restore(self) -> None:
        self.rtu.faults = None


class TestModbusRtuByAThread(TestModbusRtuOnALine):
    """The same, the way it is done on Windows."""

    @pytest.fixture(autouse=True)
    def _threads(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(serial_port, "_THREADED", True)


class TestModbusRtuOverTcp(OnTheSimulator):
    """RTU frames in TCP."""

    @asynccontextmanager
    async def device(self) -> AsyncIterator[None]:
        self.bank = simulated_bank()
        async with ModbusTcpServer(self.bank, framing="rtu") as self.server:
            self.port = self.server.port
            yield

    def make(self, clock: Clock) -> Driver:
        return ModbusRtuOverTcpDriver(ModbusRtuOverTcpSettings(host="127.0.0.1", port=self.port), clock)

    def make_unreachable(self, clock: Clock) -> Driver:
        return ModbusRtuOverTcpDriver(ModbusRtuOverTcpSettings(host="127.0.0.1", port=unused_port()), clock)


class TestModbusTcpByPymodbus(OnTheSimulator):
    """Modbus TCP with the other engine."""

    def make(self, clock: Clock) -> Driver:
        return ModbusTcpDriver(ModbusSettings(host="127.0.0.1", port=self.port, engine="pymodbus"), clock)

    def make_unreachable(self, clock: Clock) -> Driver:
        return ModbusTcpDriver(ModbusSettings(host="127.0.0.1", port=unused_port(), engine="pymodbus"), clock)


class TestModbusRtuByPymodbus(TestModbusRtuOnALine):
    """A serial line with the other engine."""

    def make(self, clock: Clock) -> Driver:
        settings = ModbusRtuSettings(serial_port=self.line.path, baudrate=115_200, engine="pymodbus")
        return ModbusRtuDriver(settings, clock)

    def make_unreachable(self, clock: Clock) -> Driver:
        return ModbusRtuDriver(ModbusRtuSettings(serial_port="/dev/no-such-port", engine="pymodbus"), clock)
