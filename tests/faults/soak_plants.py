"""The devices of the soak: one of each protocol, that can be switched off and on, and remember what was written."""

from __future__ import annotations

import abc
import contextlib
import sys
from typing import Any, ClassVar, Literal

from bifrost.plc import Area, PLCConnection, Tag
from bifrost.plc.sim import ModbusRtuServer, ModbusTcpServer, RegisterBank, open_pty_pair
from bifrost.plc.sim.cip import LogixTarget, TagStore
from bifrost.plc.sim.s7 import S7Target

__all__ = ["CONSTANT", "Plant", "plants"]

CONSTANT = 4711

_OPTIONS: dict[str, Any] = {
    "timeout": 0.08,
    "connect_timeout": 0.3,
    "backoff_min": 0.05,
    "backoff_max": 0.1,
}


class Plant(abc.ABC):
    """One device.

    Attributes:
        name: its protocol.
        constant: a tag that always reads as `CONSTANT`.
        written: a tag that takes numbers from 0 to 32767; 0 at first.
    """

    name: ClassVar[str]
    constant: Tag
    written: Tag

    @abc.abstractmethod
    async def switch_on(self) -> None:
        """Answer from now on."""

    @abc.abstractmethod
    async def switch_off(self, *, reset: bool) -> None:
        """End every link, and answer no more."""

    @abc.abstractmethod
    def connection(self) -> PLCConnection:
        """A connection to it, not started."""

    @abc.abstractmethod
    def arrived(self) -> list[int]:
        """Every number that was written over the wire, in order."""

    def dispose(self) -> None:  # noqa: B027 - most have nothing that outlives `switch_off`
        """Give back what is left."""


class _Modbus(Plant):
    def __init__(self, protocol: str) -> None:
        self.constant = Tag("constant", "HR1", protocol=protocol)
        self.written = Tag("written", "HR2", protocol=protocol, access="rw")
        self.bank = RegisterBank()
        self.bank.put(Area.HOLDING, 0, CONSTANT)
        self.bank.put(Area.HOLDING, 1, 0)

    def arrived(self) -> list[int]:
        assert self.bank.write_count < 1000, "more than the bank remembers"
        return [record.values[0] for record in self.bank.writes]


class _ModbusTcp(_Modbus):
    name = "modbus-tcp"
    framing: ClassVar[Literal["mbap", "rtu"]] = "mbap"

    def __init__(self) -> None:
        super().__init__(self.name)
        self.server = ModbusTcpServer(self.bank, framing=self.framing)

    async def switch_on(self) -> None:
        await self.server.start()

    async def switch_off(self, *, reset: bool) -> None:
        await self.server.stop(reset=reset)

    def connection(self) -> PLCConnection:
        return PLCConnection(self.name, host="127.0.0.1", port=self.server.port, probe_interval=0.05, **_OPTIONS)


class _ModbusRtuOverTcp(_ModbusTcp):
    name = "modbus-rtu-over-tcp"
    framing = "rtu"


class _ModbusRtu(_Modbus):
    name = "modbus-rtu"

    def __init__(self) -> None:
        super().__init__(self.name)
        self.line = open_pty_pair()
        self.server = ModbusRtuServer(self.bank, self.line.descriptor)

    async def switch_on(self) -> None:
        import termios

        # A device that is off hears nothing; a pseudo-terminal would keep it for later.
        with contextlib.suppress(OSError):
            termios.tcflush(self.line.descriptor, termios.TCIOFLUSH)
        await self.server.start()

    async def switch_off(self, *, reset: bool) -> None:
        await self.server.stop()

    def connection(self) -> PLCConnection:
        return PLCConnection(self.name, serial_port=self.line.path, baudrate=115_200, probe_interval=0.05, **_OPTIONS)

    def dispose(self) -> None:
        self.line.unplug()


class _EtherNetIP(Plant):
    name = "ethernet-ip"

    def __init__(self) -> None:
        self.constant = Tag("constant", "Constant:DINT", protocol=self.name)
        self.written = Tag("written", "Written:DINT", protocol=self.name, access="rw")
        self.store = TagStore()
        self.store.add("Constant", "DINT", CONSTANT)
        self.store.add("Written", "DINT", 0)
        self.target = LogixTarget(self.store)

    async def switch_on(self) -> None:
        await self.target.start()

    async def switch_off(self, *, reset: bool) -> None:
        await self.target.stop(reset=reset)

    def connection(self) -> PLCConnection:
        return PLCConnection(self.name, host="127.0.0.1", port=self.target.port, **_OPTIONS)

    def arrived(self) -> list[int]:
        assert self.store.write_count < 1000, "more than the store remembers"
        return [int.from_bytes(record.data[:4], "little") for record in self.store.writes]


class _S7(Plant):
    name = "s7"

    def __init__(self) -> None:
        self.constant = Tag("constant", "DB1.DBW0", protocol=self.name)
        self.written = Tag("written", "DB1.DBW2", protocol=self.name, access="rw")
        self.target = S7Target({1: 16})
        self.target.put("DB1.DBW0", CONSTANT)

    async def switch_on(self) -> None:
        await self.target.start()

    async def switch_off(self, *, reset: bool) -> None:
        await self.target.stop(reset=reset)

    def connection(self) -> PLCConnection:
        return PLCConnection(self.name, host="127.0.0.1", port=self.target.port, **_OPTIONS)

    def arrived(self) -> list[int]:
        assert self.target.write_count < 1000, "more than the memory remembers"
        return [int.from_bytes(record.data) for record in self.target.memory.writes]


def plants() -> list[Plant]:
    """One of each; without a serial line where there are no pseudo-terminals."""
    everywhere: list[Plant] = [_ModbusTcp(), _ModbusRtuOverTcp(), _EtherNetIP(), _S7()]
    return everywhere if sys.platform == "win32" else [*everywhere, _ModbusRtu()]
