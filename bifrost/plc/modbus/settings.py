"""What a settings file says about a Modbus device.

In: one table of the file. Out: checked options, and tags whose addresses were understood, before any I/O.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

from bifrost.core.settings import Problem
from bifrost.errors import ConfigError
from bifrost.plc.datatypes import ByteOrder
from bifrost.plc.modbus.plan import ReadLimits
from bifrost.plc.settings import DeviceSettings

__all__ = ["ModbusDeviceSettings", "ModbusSettings"]


class ModbusDeviceSettings(DeviceSettings, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What all Modbus devices have in common, whatever carries their requests.

    Attributes:
        unit_id: unit that tags belong to unless they name another, 0 to 255; default 1.
        byte_order: order of tags that name none; default ABCD.
        max_gap: unwanted registers that are read to save a request, 0 to 124; default 8.
        max_gap_bits: the same for coils and discrete inputs, 0 to 1999; default 64.
        max_registers: registers in one request, 1 to 125.
        max_bits: bits in one request, 1 to 2000.
        probe_interval: seconds between two attempts to reach a unit that is silent while others answer; default 5.
    """

    unit_id: int = 1
    byte_order: Literal["ABCD", "CDAB", "BADC", "DCBA"] = "ABCD"
    max_gap: int = 8
    max_gap_bits: int = 64
    max_registers: int = 125
    max_bits: int = 2000
    probe_interval: float = 5.0

    @property
    def endpoint(self) -> str:
        """Where the device is, for people."""
        return self.protocol

    @property
    def order(self) -> ByteOrder:
        """The byte order as its type."""
        return ByteOrder(self.byte_order)

    @property
    def limits(self) -> ReadLimits:
        """The planner's limits, as `ModbusPlan` takes them."""
        return {
            "max_gap_registers": self.max_gap,
            "max_gap_bits": self.max_gap_bits,
            "max_registers": self.max_registers,
            "max_bits": self.max_bits,
        }

    def problems(self) -> Iterable[Problem]:
        """Ranges, and what the tags say."""
        yield from super().problems()
        ranges = {
            "unit_id": (0, 255),
            "max_gap": (0, 124),
            "max_gap_bits": (0, 1999),
            "max_registers": (1, 125),
            "max_bits": (1, 2000),
        }
        for key, (low, high) in ranges.items():
            value = getattr(self, key)
            if not low <= value <= high:
                yield Problem((key,), f"expected {key} from {low} to {high}, got {value}")
        if not 0.01 <= self.probe_interval <= 3600:
            yield Problem(("probe_interval",), f"expected 0.01 to 3600 seconds, got {self.probe_interval}")
        yield from self._too_wide()

    def _too_wide(self) -> Iterable[Problem]:
        for index, settings in enumerate(self.tags):
            try:
                tag = settings.tag(self.protocol)
            except ConfigError:
                continue  # reported by the base class
            from bifrost.plc.modbus.address import words_of

            words = words_of(tag.resolved.datatype, tag.resolved.length)
            if words > self.max_registers:
                text = f"one value takes {words} registers, but max_registers is {self.max_registers}"
                yield Problem(("tags", index), text)


class ModbusSettings(ModbusDeviceSettings, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One Modbus TCP device.

    Attributes:
        host: name or address.
        port: TCP port, 1 to 65535; default 502.
    """

    host: str
    port: int = 502

    @property
    def endpoint(self) -> str:
        """Host and port."""
        return f"{self.host}:{self.port}"

    def problems(self) -> Iterable[Problem]:
        """Host and port, and what all Modbus devices check."""
        yield from super().problems()
        try:
            usable = self.host.isprintable() and " " not in self.host and bool(self.host.encode("idna"))
        except UnicodeError:
            usable = False
        if not usable:
            yield Problem(("host",), f"expected a host name or address, got {self.host!r}")
        if not 1 <= self.port <= 65535:
            yield Problem(("port",), f"expected port from 1 to 65535, got {self.port}")
