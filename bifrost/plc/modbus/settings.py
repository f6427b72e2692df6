"""What a settings file says about a Modbus device.

In: one table of the file. Out: checked options, and tags whose addresses were understood, before any I/O.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

import msgspec

from bifrost.core.settings import Problem
from bifrost.plc.datatypes import ByteOrder, Tag
from bifrost.plc.drivers.tcp import host_problems, port_problems
from bifrost.plc.modbus.plan import ReadLimits
from bifrost.plc.modbus.pymodbus_options import engine_problems
from bifrost.plc.modbus.tcp_link import UnitPolicy
from bifrost.plc.modbus.writing import MAX_WRITE_REGISTERS, WriteSingle
from bifrost.plc.settings import DeviceSettings, TagSettings

__all__ = ["ModbusDeviceSettings", "ModbusSettings"]


class ModbusDeviceSettings(DeviceSettings, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What all Modbus devices have in common, whatever carries their requests.

    Attributes:
        unit_id: unit that tags belong to unless they name another, 0 to 255; default 1.
        byte_order: order of tags that name none; default ABCD.
        max_gap: unwanted registers that are read to save a request, 0 to 124; default 8.
        max_gap_bits: the same for coils and discrete inputs, 0 to 1999; default 64.
        max_registers: registers in one request, 1 to 125. A value that takes more is read in parts, and UNCERTAIN.
        max_bits: bits in one request, 1 to 2000.
        probe_interval: seconds between two attempts to reach a unit that is silent while others answer; default 5.
        max_write_registers: registers in one write, 1 to 123; default 123.
        write_single: how one register is written: ``auto`` (default) with function 6, and with 16 only several;
            ``16`` always with 16; ``6`` never with 16, so that no tag of more than one register can be written. Coils
            follow with functions 5 and 15.
        allow_rmw: write a bit of a register by reading the register, changing the bit and writing it back, if the
            device does not know function 22. It undoes what another master or the device itself writes in between;
            default false.
        address_base: number of the first coil or register in numbered addresses such as ``HR1`` and 40001: 1
            (default), or 0 if the maker's table begins with 0. Area and offset always count from 0.
        busy_retries: how often a read is repeated if the device says that it is busy (exceptions 5 and 6), 0 to 10;
            default 2. Writes never are.
        close_after_poll: close the link after each read or write and open it for the next; default false.
        identify: ask the device what it is when the link is up (function 43 / 14); default false.
        share_link: use one link together with all other connections of this event loop to the same place; default
            true. Devices take few links at a time, and one link may lead to many units.
        connect_delay: seconds between the link's coming up and the first request, 0 to 60; default 0. Some devices are
            deaf for a while.
        inter_request_delay: seconds of quiet between an answer and the next request, 0 to 10; default 0.
    """

    unit_id: int = 1
    byte_order: Literal["ABCD", "CDAB", "BADC", "DCBA"] = "ABCD"
    max_gap: int = 8
    max_gap_bits: int = 64
    max_registers: int = 125
    max_bits: int = 2000
    probe_interval: float = 5.0
    max_write_registers: int = MAX_WRITE_REGISTERS
    write_single: WriteSingle = "auto"
    allow_rmw: bool = False
    address_base: Literal[0, 1] = 1
    busy_retries: int = 2
    close_after_poll: bool = False
    identify: bool = False
    share_link: bool = True
    connect_delay: float = 0.0
    inter_request_delay: float = 0.0

    @property
    def endpoint(self) -> str:
        """Where the device is, for people."""
        return self.protocol

    @property
    def link_options(self) -> dict[str, object]:
        """What the link is like; all who share it must want the same."""
        names = ("close_after_poll", "connect_delay", "inter_request_delay", "probe_interval")
        return {name: getattr(self, name) for name in names}

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

    def make_tag(self, settings: TagSettings) -> Tag:
        """Make one tag; with numbers from 0, one whose address says nothing about it counts from 0.

        Raises:
            ConfigError: it is wrong.
        """
        address = settings.address
        if self.address_base == 0 and address is not None and "base" not in str(address):
            settings = msgspec.structs.replace(settings, address=f"{address}{{base=0}}")
        return super().make_tag(settings)

    def problems(self) -> Iterable[Problem]:
        """Ranges, and what the tags say."""
        yield from super().problems()
        ranges = {
            "unit_id": (0, 255),
            "max_gap": (0, 124),
            "max_gap_bits": (0, 1999),
            "max_registers": (1, 125),
            "max_bits": (1, 2000),
            "max_write_registers": (1, MAX_WRITE_REGISTERS),
            "busy_retries": (0, 10),
        }
        for key, (low, high) in ranges.items():
            value = getattr(self, key)
            if not low <= value <= high:
                yield Problem((key,), f"expected {key} from {low} to {high}, got {value}")
        seconds = {"probe_interval": (0.01, 3600), "connect_delay": (0, 60), "inter_request_delay": (0, 10)}
        for key, (least, most) in seconds.items():
            value = getattr(self, key)
            if not least <= value <= most:
                yield Problem((key,), f"expected {key} from {least:g} to {most:g} seconds, got {value:g}")


class ModbusSettings(ModbusDeviceSettings, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One Modbus TCP device.

    Attributes:
        host: name or address.
        port: TCP port, 1 to 65535; default 502.
        max_in_flight: requests on the wire at the same time, 1 to 16; default 1. More is faster if the device takes it;
            many answer only the first of several requests.
        strict_tid: false accepts answers that do not echo the transaction id, by unit, function and length; for
            gateways with this defect, and only with one request in flight; default true.
        unit_policy: whose answers count if they carry another unit id than was asked. ``0/255`` (default): where
            either is 0 or 255, as devices that are no gateway do; ``strict``: none; ``any``: all.
        engine: ``bifrost``, or ``pymodbus`` with the extra of that name, for what bifrost does not speak itself.
        transport: ``tcp``; with pymodbus also ``tls`` (devices listen on port 802) and ``udp``.
        framer: ``socket``, which is Modbus TCP's own; with pymodbus also ``ascii`` and ``rtu``.
        ca_file: certificates that a TLS device's must be signed with; default: those that the system trusts.
        cert_file: our own certificate, for a TLS device that asks for it.
        key_file: its key, if it is not in `cert_file`.
        verify: ``full`` (default) refuses a TLS device that cannot prove to be `host`; ``none`` takes any, and so
            anybody in between.
    """

    host: str
    port: int = 502
    max_in_flight: int = 1
    strict_tid: bool = True
    unit_policy: UnitPolicy = "0/255"
    engine: Literal["bifrost", "pymodbus"] = "bifrost"
    transport: Literal["tcp", "tls", "udp"] = "tcp"
    framer: Literal["socket", "ascii", "rtu"] = "socket"
    ca_file: str | None = None
    cert_file: str | None = None
    key_file: str | None = None
    verify: Literal["full", "none"] = "full"

    @property
    def endpoint(self) -> str:
        """Host and port."""
        return f"{self.host}:{self.port}"

    @property
    def link_options(self) -> dict[str, object]:
        """What the link is like; all who share it must want the same."""
        names = ("max_in_flight", "strict_tid", "unit_policy", "engine", "transport", "framer")
        # Who trusts nobody must not be given the link of one who trusts anybody.
        trust = ("verify", "ca_file", "cert_file", "key_file")
        own = {name: getattr(self, name) for name in (*names, *trust)}
        return {"framing": "tcp", **own, **super().link_options}

    def problems(self) -> Iterable[Problem]:
        """Host and port, and what all Modbus devices check."""
        yield from super().problems()
        yield from host_problems(self.host)
        yield from port_problems(self.port)
        if not 1 <= self.max_in_flight <= 16:
            yield Problem(("max_in_flight",), f"expected max_in_flight from 1 to 16, got {self.max_in_flight}")
        elif self.max_in_flight > 1:
            yield from self._needs_one_in_flight()
        yield from engine_problems(self)
        if not self.strict_tid and self.unit_policy == "any":
            text = "expected strict_tid=true with unit_policy 'any', or nothing would tell whose answer it is"
            yield Problem(("unit_policy",), text)

    def _needs_one_in_flight(self) -> Iterable[Problem]:
        many = f"max_in_flight=1, got {self.max_in_flight}"
        if not self.strict_tid:
            yield Problem(("strict_tid",), f"strict_tid=false needs {many}: answers are told apart by it")
        if self.inter_request_delay > 0.0:
            yield Problem(("inter_request_delay",), f"inter_request_delay needs {many}")
