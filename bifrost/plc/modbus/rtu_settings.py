"""What a settings file says about a Modbus device on a serial line, or behind a converter that passes RTU on.

In: one table of the file. Out: checked options, before any I/O.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

from bifrost.core.settings import Problem
from bifrost.plc.datatypes import ProtocolType
from bifrost.plc.modbus.rtu_timing import RtuTiming
from bifrost.plc.modbus.serial_port import Rs485, SerialLine, place_of
from bifrost.plc.modbus.settings import ModbusDeviceSettings

__all__ = ["ModbusRtuOverTcpSettings", "ModbusRtuSettings"]


def _bus_problems(settings: ModbusRtuSettings | ModbusRtuOverTcpSettings) -> Iterable[Problem]:
    if settings.unit_id > 247:
        yield Problem(("unit_id",), f"expected unit_id from 1 to 247 on a bus, or 0 for all, got {settings.unit_id}")
    seconds = {"quiet_after_timeout": settings.quiet_after_timeout, "turnaround_delay": settings.turnaround_delay}
    for key, value in seconds.items():
        if value is not None and not 0 <= value <= 60:
            yield Problem((key,), f"expected {key} from 0 to 60 seconds, got {value:g}")


class ModbusRtuSettings(ModbusDeviceSettings, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One Modbus device on a serial line.

    All devices on one port need the same format, for they share the line.

    Attributes:
        serial_port: such as ``/dev/ttyUSB0`` or ``COM3``; opened for this process alone.
        baudrate: bits per second, 50 to 4,000,000; default 19200, as the standard asks for.
        bytesize: bits of a character, 8, or 7 for ASCII.
        parity: N (none), E (even, what the standard asks for; default) or O (odd).
        stopbits: 1 or 2; the standard wants 2 without parity. Default: what the standard wants.
        local_echo: the adapter gives back what it sends, as two-wire adapters without echo suppression do.
        rs485: the port switches an RS-485 driver with RTS and must be told when; most USB adapters do it by themselves.
        rs485_rts: level of RTS while sending.
        rs485_delay_before_send: seconds between switching and the first bit, 0 to 1.
        rs485_delay_after_send: seconds between the last bit and switching back, 0 to 1.
        turnaround_delay: seconds that the line rests after a broadcast, 0 to 60; default 0.1.
        quiet_after_timeout: seconds that a unit which owes an answer is not asked again, 0 to 60, so that a late answer
            is not taken for the next one's; default: as long as it had to answer, 1 s at most.
        framer: ``rtu``, or ``ascii``, which needs the engine ``pymodbus``.
        engine: ``bifrost``, or ``pymodbus`` with the extra of that name.
    """

    protocol: str = ProtocolType.MODBUS_RTU.value
    serial_port: str
    baudrate: int = 19200
    bytesize: Literal[7, 8] = 8
    parity: Literal["N", "E", "O"] = "E"
    stopbits: Literal[1, 2] | None = None
    local_echo: bool = False
    rs485: bool = False
    rs485_rts: Literal["high", "low"] = "high"
    rs485_delay_before_send: float = 0.0
    rs485_delay_after_send: float = 0.0
    turnaround_delay: float = 0.1
    quiet_after_timeout: float | None = None
    framer: Literal["rtu", "ascii"] = "rtu"
    engine: Literal["bifrost", "pymodbus"] = "bifrost"

    @property
    def endpoint(self) -> str:
        """The port."""
        return self.serial_port

    @property
    def place(self) -> str:
        """The port, by the one name that all its names mean."""
        return place_of(self.serial_port)

    @property
    def line(self) -> SerialLine:
        """The port and its format."""
        rs485 = Rs485(self.rs485_rts == "high", self.rs485_delay_before_send, self.rs485_delay_after_send)
        return SerialLine(
            self.serial_port,
            self.baudrate,
            self.bytesize,
            self.parity,
            self._stopbits,
            rs485 if self.rs485 else None,
        )

    @property
    def timing(self) -> RtuTiming:
        """The pauses that the line needs."""
        bits = 1 + self.bytesize + (self.parity != "N") + self._stopbits
        return RtuTiming.of_line(
            self.baudrate,
            bits,
            quiet=self.inter_request_delay,
            turnaround=self.turnaround_delay,
            quiet_after_timeout=self.quiet_after_timeout,
        )

    @property
    def link_options(self) -> dict[str, object]:
        """What the link is like; all who share it must want the same."""
        names = ("baudrate", "bytesize", "parity", "stopbits", "local_echo", "rs485", "framer", "engine")
        return {**{name: getattr(self, name) for name in names}, **super().link_options}

    @property
    def _stopbits(self) -> Literal[1, 2]:
        if self.stopbits is not None:
            return self.stopbits
        return 2 if self.parity == "N" else 1

    def problems(self) -> Iterable[Problem]:
        """The line, and what all Modbus devices check."""
        yield from super().problems()
        yield from _bus_problems(self)
        if not self.serial_port or not self.serial_port.isprintable():
            yield Problem(("serial_port",), f"expected a port such as /dev/ttyUSB0 or COM3, got {self.serial_port!r}")
        if not 50 <= self.baudrate <= 4_000_000:
            yield Problem(("baudrate",), f"expected baudrate from 50 to 4000000, got {self.baudrate}")
        if self.framer == "ascii" and self.engine != "pymodbus":
            yield Problem(("framer",), "framer ascii needs engine = 'pymodbus'")
        if self.framer == "rtu" and self.bytesize != 8:
            yield Problem(("bytesize",), "RTU needs characters of 8 bits; 7 are for ASCII")
        for key in ("rs485_delay_before_send", "rs485_delay_after_send"):
            if not 0 <= getattr(self, key) <= 1:
                yield Problem((key,), f"expected {key} from 0 to 1 seconds, got {getattr(self, key):g}")


class ModbusRtuOverTcpSettings(ModbusDeviceSettings, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One Modbus device behind a converter that passes RTU frames on as they are, without an MBAP header.

    Attributes:
        host: name or address of the converter.
        port: TCP port, 1 to 65535; default 502.
        local_echo: the line behind the converter gives back what is sent.
        turnaround_delay: seconds that the line rests after a broadcast, 0 to 60; default 0.1.
        quiet_after_timeout: seconds that a unit which owes an answer is not asked again, 0 to 60, so that a late answer
            is not taken for the next one's; default: as long as it had to answer, 1 s at most.
    """

    protocol: str = ProtocolType.MODBUS_RTU_OVER_TCP.value
    host: str
    port: int = 502
    local_echo: bool = False
    turnaround_delay: float = 0.1
    quiet_after_timeout: float | None = None

    @property
    def endpoint(self) -> str:
        """Host and port."""
        return f"{self.host}:{self.port}"

    @property
    def timing(self) -> RtuTiming:
        """The pauses that the line behind the converter needs; the converter keeps the short ones."""
        return RtuTiming(
            silence=self.inter_request_delay,
            turnaround=self.turnaround_delay,
            quiet_after_timeout=self.quiet_after_timeout,
        )

    @property
    def link_options(self) -> dict[str, object]:
        """What the link is like; all who share it must want the same."""
        return {**super().link_options, "framing": "rtu", "local_echo": self.local_echo}

    def problems(self) -> Iterable[Problem]:
        """Host, port and bus, and what all Modbus devices check."""
        yield from super().problems()
        if not self.host or " " in self.host or not self.host.isprintable():
            yield Problem(("host",), f"expected a host name or address, got {self.host!r}")
        if not 1 <= self.port <= 65535:
            yield Problem(("port",), f"expected port from 1 to 65535, got {self.port}")
        yield from _bus_problems(self)
