"""A protocol whose machine lives in memory, so that time can be virtual: it serves what stands above the drivers."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from bifrost.core.clock import Clock
from bifrost.core.quality import StatusCode
from bifrost.errors import BifrostError, ConfigError, LinkTimeout, ModbusFault, NotConnected
from bifrost.plc import DataType, DeviceSettings, PLCConnection, Tag, register_protocol
from bifrost.plc.actor import Connect
from bifrost.plc.drivers.base import Capabilities, DeviceInfo, ProtocolSpec, Readings, WriteItem

__all__ = ["GONE", "GOOD", "TIMEOUT", "Machine", "MemoryDriver", "memory"]

GOOD, GONE, TIMEOUT = (
    int(StatusCode.GOOD),
    int(StatusCode.BAD_NOT_CONNECTED),
    int(StatusCode.BAD_TIMEOUT),
)


@dataclass
class Machine:
    """What is at the other end: the test turns its knobs."""

    values: dict[str, Any]
    present: bool = True
    hangs: bool = False
    silent: set[str] = field(default_factory=set)
    refused: set[str] = field(default_factory=set)
    delays: list[float] = field(default_factory=list)
    driver_type: type[MemoryDriver] | None = None
    read_takes: float = 0.0
    defect: Exception | None = None
    write_fails: BifrostError | None = None
    write_takes: float = 0.01
    reads: list[float] = field(default_factory=list)
    log: list[str] = field(default_factory=list)
    driver: MemoryDriver | None = None
    on_read: Callable[[], None] = lambda: None

    def pull_the_plug(self) -> None:
        self.present = False
        if self.driver is not None and self.driver.on_lost is not None:
            self.driver.on_lost(NotConnected("the plug was pulled"))


class MemoryPlan:
    def __init__(self, tags: Sequence[Tag]) -> None:
        self.tags = tags
        self.slots = list(range(len(tags)))
        self.total = len(tags)
        self.wide: Sequence[int] = ()


class MemoryDriver:
    """Reads and writes a `Machine`, as a driver of a real protocol would."""

    capabilities = Capabilities()
    degraded = False

    def __init__(self, machine: Machine, clock: Clock) -> None:
        self.machine = machine
        self.clock = clock
        self.on_lost: Callable[[BifrostError], None] | None = None

    def plan(self, tags: Sequence[Tag]) -> MemoryPlan:
        return MemoryPlan(tags)

    def prepare(self, tag: Tag, value: object) -> WriteItem:
        if tag.access != "rw":
            raise ConfigError(f"tag {tag.name!r} is read-only")
        return WriteItem(tag, repr(value).encode())

    async def connect(self, *, timeout: float, on_lost: Callable[[BifrostError], None]) -> DeviceInfo:
        if self.machine.hangs:
            await asyncio.sleep(timeout)
            raise LinkTimeout("nobody answers")
        if not self.machine.present:
            raise NotConnected("nobody there")
        self.on_lost = on_lost
        self.machine.driver = self
        return DeviceInfo("memory")

    async def read(self, plan: MemoryPlan, *, timeout: float) -> Readings:
        machine = self.machine
        machine.on_read()
        machine.log.append("read")
        machine.reads.append(self.clock.monotonic())
        await asyncio.sleep(machine.delays.pop(0) if machine.delays else machine.read_takes)
        if machine.defect is not None:
            defect, machine.defect = machine.defect, None
            raise defect
        if not machine.present:
            raise NotConnected("the plug was pulled")
        out = machine.silent | machine.refused
        values = [None if tag.name in out else machine.values[tag.name] for tag in plan.tags]
        errors: dict[int, BifrostError] = {
            at: ModbusFault("refused", code=2) if tag.name in machine.refused else LinkTimeout("no answer")
            for at, tag in enumerate(plan.tags)
            if tag.name in out
        }
        status = [_status(errors.get(at)) for at in range(len(values))] if errors else None
        return Readings(values, self.clock.time_ns(), status, errors)

    async def write(self, item: WriteItem, *, timeout: float) -> None:
        self.machine.log.append(f"write {item.tag.name} {item.request.decode()}")
        await asyncio.sleep(self.machine.write_takes)
        self.machine.log.append("written")
        if self.machine.write_fails is not None:
            raise self.machine.write_fails

    async def aclose(self) -> None:
        self.machine.log.append("close")

    def counters(self) -> Mapping[str, int]:
        return {"requests": len(self.machine.reads)}


def _status(error: BifrostError | None) -> int:
    if error is None:
        return GOOD
    return TIMEOUT if isinstance(error, LinkTimeout) else int(StatusCode.BAD_CONFIGURATION_ERROR)


@dataclass(frozen=True)
class MemoryAddress:
    datatype: DataType
    count: int = 1


def memory(machine: Machine, *, interval: float = 0.1, **options: Any) -> Connect:
    """Make the factory of a connection to a machine in memory, with one tag for each of its values."""
    protocol = f"memory-{id(machine)}"
    spec = ProtocolSpec(
        name=protocol, default_port=0, settings=DeviceSettings,
        parse_address=lambda tag: MemoryAddress(tag.datatype or DataType.UINT32),
        create=lambda _, clock: (machine.driver_type or MemoryDriver)(machine, clock),
    )  # fmt: skip
    register_protocol(protocol, spec, replace=True)
    tags = [Tag(name, name, DataType.UINT32, access="rw", protocol=protocol) for name in machine.values]

    def connect(clock: Clock) -> PLCConnection:
        return PLCConnection(protocol, name="press", tags=tags, clock=clock, interval_ms=interval * 1000, **options)

    return connect
