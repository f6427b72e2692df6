"""The device that a driver is tested with, and how its tests ask it: what the parts of the driver's contract share.

In: what a driver's author says about a device. Out: nothing by itself. Not here: the promises
(`driver_link_promises`, `driver_read_promises`, `driver_write_promises`).
"""

from __future__ import annotations

import abc
import asyncio
import unittest
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

from bifrost.core.clock import Clock, SystemClock
from bifrost.core.value import Value
from bifrost.errors import BifrostError, NotConnected
from bifrost.plc.datatypes import Tag
from bifrost.plc.drivers.base import Driver, Readings

__all__ = ["LONG", "SHORT", "DrivenDevice", "flat", "good", "ignore"]

LONG = 2.0  # seconds for what succeeds
SHORT = 0.2  # seconds for what is known to fail


class DrivenDevice(abc.ABC):
    """What a driver's author supplies.

    Attributes:
        patience: seconds after which anything that still waits counts as hanging.
    """

    patience: float = 10.0

    @abc.abstractmethod
    def device(self) -> AbstractAsyncContextManager[None]:
        """Serve the device for the length of an `async with`; every test has one of its own."""

    @abc.abstractmethod
    def make(self, clock: Clock) -> Driver:
        """Make a driver for the device that is being served, not connected yet; all have the same settings."""

    @abc.abstractmethod
    def make_unreachable(self, clock: Clock) -> Driver:
        """Make a driver for an endpoint where nobody listens."""

    @abc.abstractmethod
    def known(self) -> Sequence[tuple[Tag, Value]]:
        """At least two tags of different values that the device holds; arrays too if the protocol has them."""

    @abc.abstractmethod
    def writable(self) -> Sequence[tuple[Tag, Value]]:
        """Tags that may be written, each with a value that the device does not hold yet; empty without writing."""

    @abc.abstractmethod
    def wrong_addresses(self) -> Sequence[str]:
        """Texts that are no addresses of this protocol, at least one."""

    @abc.abstractmethod
    async def cut(self) -> None:
        """Let the device end its links, as a power cut does."""

    @abc.abstractmethod
    async def mute(self) -> None:
        """Let the device answer nothing, or later than `restore`, while its links stay open."""

    @abc.abstractmethod
    async def restore(self) -> None:
        """Undo `mute`."""

    @abc.abstractmethod
    async def writes_taken(self) -> int:
        """How many write requests have reached the device; not called after `cut`, nor while it is mute."""

    def missing(self) -> Tag | None:
        """A writable tag of the type of a known one that the device does not have; None if that cannot be."""
        return None

    def unfit(self) -> tuple[Tag, object] | None:
        """A writable tag and a value that does not fit it; None without writing."""
        return None

    # What the tests share

    @asynccontextmanager
    async def _linked(self) -> AsyncIterator[Driver]:
        driver = self.make(SystemClock())
        try:
            yield driver
        finally:
            async with asyncio.timeout(self.patience):
                await driver.aclose()

    async def _connect(self, driver: Driver) -> Any:
        return await driver.connect(timeout=LONG, on_lost=ignore)

    async def _connected_once(self, driver: Driver) -> None:
        await driver.connect(timeout=LONG, on_lost=ignore)
        await driver.aclose()

    def _needs_writing(self) -> None:
        if not self.writable():
            raise unittest.SkipTest("this driver does not write")

    def _check(self, tags: Sequence[Tag], readings: Readings) -> None:
        values = {tag.name: flat(tag, value) for tag, value in self.known()}
        expected = [value for tag in tags for value in values[tag.name]]
        assert good(readings)
        assert list(readings.values) == expected
        assert [type(value) for value in readings.values] == [type(value) for value in expected]

    async def _read_or_none(self, driver: Driver, plan: Any, timeout: float) -> Readings | None:
        try:
            async with asyncio.timeout(self.patience):
                return await driver.read(plan, timeout=timeout)
        except NotConnected:
            return None


def flat(tag: Tag, value: Value) -> list[Any]:
    """Spread an array out, as a driver's readings do."""
    return list(value) if tag.count > 1 and isinstance(value, list) else [value]


def good(readings: Readings) -> bool:
    """Tell whether every value is GOOD."""
    return not any(readings.status or ()) and not readings.errors


def ignore(error: BifrostError) -> None:
    """Take a loss that the test does not look at."""
