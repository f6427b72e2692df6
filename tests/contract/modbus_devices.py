"""Two Modbus devices for the driver's contract: the simulated one, and the C server made of libmodbus."""

from __future__ import annotations

import abc
import os
import signal
import socket
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import pytest

from bifrost.core.clock import Clock
from bifrost.core.value import Value
from bifrost.plc import Area, DataType, Tag
from bifrost.plc.drivers.base import Driver
from bifrost.plc.modbus.settings import ModbusSettings
from bifrost.plc.modbus.tcp_driver import ModbusTcpDriver
from bifrost.plc.sim import Fault, FaultPlan, ModbusTcpServer, RegisterBank
from bifrost.testing import DriverContract
from tests.integration.libmodbus import LibmodbusServer, missing_for_libmodbus, serve_libmodbus

__all__ = ["OnLibmodbus", "OnTheSimulator", "simulated_bank", "unused_port"]

_COUNT = 200


def unused_port() -> int:
    """A port of 127.0.0.1 where nobody listens."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port: int = taken.getsockname()[1]
        return port


def simulated_bank() -> RegisterBank:
    """What every one of these devices holds."""
    bank = RegisterBank()
    for at in range(_COUNT):
        bank.put(Area.HOLDING, at, at, DataType.UINT16)
        bank.put(Area.INPUT, at, at + 1000, DataType.UINT16)
        bank.put(Area.COIL, at, at % 3 == 0)
        bank.put(Area.DISCRETE_INPUT, at, at % 2 == 0)
    return bank


class _OnModbus(DriverContract, abc.ABC):
    """What both devices have in common: the registers hold their own address, as libmodbus_server.c fills them."""

    driver_type: type[Driver] = ModbusTcpDriver
    port = 0

    def _make(self, port: int, clock: Clock) -> Driver:
        make: type[ModbusTcpDriver] = self.driver_type  # type: ignore[assignment]  # broken ones are built like it
        return make(ModbusSettings(host="127.0.0.1", port=port, backoff_min=0.1), clock)

    def make(self, clock: Clock) -> Driver:
        return self._make(self.port, clock)

    def make_unreachable(self, clock: Clock) -> Driver:
        return self._make(unused_port(), clock)

    def known(self) -> Sequence[tuple[Tag, Value]]:
        return [
            (Tag("word", "HR11"), 10),
            (Tag("input", "IR11"), 1010),
            (Tag("words", "HR21[3]"), [20, 21, 22]),
            (Tag("wide", "HR12:UINT32"), (11 << 16) + 12),
            (Tag("scaled", "HR13", scale=0.5), 12),  # raw: scaling is done above the driver
            (Tag("coil", "C1"), True),
            (Tag("coils", "C1[4]"), [True, False, False, True]),
            (Tag("discrete", "DI2"), False),
            (Tag("far", "HR151"), 150),
            (Tag("may be written", "HR51", access="rw"), 50),
        ]

    def writable(self) -> Sequence[tuple[Tag, Value]]:
        return [
            (Tag("register", "HR61", access="rw"), 4711),
            (Tag("registers", "HR71:FLOAT32[2]", access="rw"), [1.5, -0.25]),
            (Tag("coil", "C62", access="rw"), True),
            (Tag("coils", "C101[9]", access="rw"), [True] * 9),
        ]

    def wrong_addresses(self) -> Sequence[str]:
        return ["HR0", "XY1", "HR65537", "DB1.DBX0.0", ""]

    def missing(self) -> Tag | None:
        return Tag("missing", f"HR{_COUNT + 1}", access="rw")

    def unfit(self) -> tuple[Tag, object] | None:
        return Tag("register", "HR61", access="rw"), 65536


class OnTheSimulator(_OnModbus):
    """A device of `bifrost.plc.sim`."""

    bank: RegisterBank
    server: ModbusTcpServer

    @asynccontextmanager
    async def device(self) -> AsyncIterator[None]:
        self.bank = simulated_bank()
        async with ModbusTcpServer(self.bank) as self.server:
            self.port = self.server.port
            yield

    async def cut(self) -> None:
        self.server.drop_clients()

    async def mute(self) -> None:
        self.server.faults = FaultPlan.always(Fault.DROP)

    async def restore(self) -> None:
        self.server.faults = None

    async def writes_taken(self) -> int:
        return self.bank.write_count


class OnLibmodbus(_OnModbus):
    """A C program that shares no line with bifrost; it is made mute by stopping its process."""

    server: LibmodbusServer

    @pytest.fixture(autouse=True)
    def _needs_libmodbus(self) -> None:
        if (missing := missing_for_libmodbus()) is not None:
            if os.environ.get("CI"):
                pytest.fail(f"libmodbus is missing; run: {missing}")
            pytest.skip(f"needs libmodbus; run: {missing}")

    @asynccontextmanager
    async def device(self) -> AsyncIterator[None]:
        with serve_libmodbus(_COUNT) as self.server:
            self.port = self.server.port
            try:
                yield
            finally:
                self.server.process.send_signal(signal.SIGCONT)

    async def cut(self) -> None:
        self.server.process.kill()

    async def mute(self) -> None:
        self.server.process.send_signal(signal.SIGSTOP)

    async def restore(self) -> None:
        self.server.process.send_signal(signal.SIGCONT)

    async def writes_taken(self) -> int:
        return self.server.writes_taken()
