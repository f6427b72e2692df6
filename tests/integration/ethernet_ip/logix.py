"""A simulated controller with known tags, and links to it: what the tests of EtherNet/IP share."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from bifrost.core.clock import SystemClock
from bifrost.core.quality import StatusCode
from bifrost.errors import BifrostError
from bifrost.plc import DataType, Tag
from bifrost.plc.drivers.base import Readings
from bifrost.plc.ethernet_ip import EtherNetIPSettings
from bifrost.plc.ethernet_ip.driver import EtherNetIPDriver
from bifrost.plc.sim.cip import TagStore

__all__ = ["Linked", "link", "linked", "status", "tag", "tag_store"]


def tag_store() -> TagStore:
    """Tags of every sort, each with a value of its own."""
    store = TagStore()
    store.define("Motor", {"Speed": "REAL", "Running": "BOOL", "Fault": "BOOL", "Counts": "DINT[3]", "Name": "STRING"})
    store.define("Line", {"First": "Motor", "Others": "Motor[2]", "Mode": "SINT"})
    store.add("Speed", "REAL", 1.5)
    store.add("Count", "DINT", 7)
    store.add("Small", "SINT", -3)
    store.add("Word", "INT", 0b1010)
    store.add("Long", "LINT", -(2**40))
    store.add("Flag", "BOOL", True)
    store.add("Arr", "DINT[10]", list(range(10)))
    store.add("Grid", "INT[3,4]", list(range(12)))
    store.add("Flags", "BOOL[96]", [at % 3 == 0 for at in range(96)])
    store.add("Text", "STRING", "hello")
    store.add("Large", "REAL[3000]", [number / 2 for number in range(3000)])
    store.add("Motors", "Motor[4]")
    store.add("Line", "Line")
    store.add("Local", "DINT", 42, program="Main")
    return store


def tag(address: str, datatype: DataType | str | None = None, **more: Any) -> Tag:
    """A tag that is called like its address."""
    return Tag(address, address, datatype, protocol="ethernet-ip", **more)  # type: ignore[arg-type]  # a name does


def status(readings: Readings, slot: int = 0) -> StatusCode:
    """The status of one value."""
    return StatusCode.GOOD if readings.status is None else StatusCode(readings.status[slot])


class Linked:
    """A driver with a link.

    Attributes:
        driver: the driver.
        losses: what `on_lost` was told.
    """

    def __init__(self, driver: EtherNetIPDriver) -> None:
        self.driver = driver
        self.losses: list[BifrostError] = []

    async def read(self, *tags: Tag | str, timeout: float = 2.0) -> Readings:
        """Read tags, or addresses."""
        chosen = [one if isinstance(one, Tag) else tag(one) for one in tags]
        return await self.driver.read(self.driver.plan(chosen), timeout=timeout)

    async def values(self, *tags: Tag | str, timeout: float = 2.0) -> list[Any]:
        """Read tags that must all be good."""
        readings = await self.read(*tags, timeout=timeout)
        assert not readings.errors, readings.errors
        return list(readings.values)

    async def write(self, address: str, value: object, *, timeout: float = 2.0, **more: Any) -> None:
        """Write one tag."""
        written = tag(address, access="rw", **more)
        await self.driver.write(self.driver.prepare(written, value), timeout=timeout)


def link(port: int, **options: Any) -> Linked:
    """A driver that is not connected yet."""
    return Linked(EtherNetIPDriver(EtherNetIPSettings(host="127.0.0.1", port=port, **options), SystemClock()))


@asynccontextmanager
async def linked(port: int, *, timeout: float = 2.0, **options: Any) -> AsyncIterator[Linked]:
    """Connect for the length of a block."""
    made = link(port, **options)
    try:
        await made.driver.connect(timeout=timeout, on_lost=made.losses.append)
        yield made
    finally:
        await made.driver.aclose()
