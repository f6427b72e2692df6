"""What every driver promises, as tests: run them on a driver of your own.

In: a subclass that knows how to serve a device, how to make a driver for it, and how to trouble it. Out: the promises
of `bifrost.plc.drivers.base.Driver`, tested in real time.

Example:
    >>> class TestMyDriver(DriverContract):
    ...     @asynccontextmanager
    ...     async def device(self):
    ...         async with MyDevice() as self.served:
    ...             yield
    ...
    ...     def make(self, clock):
    ...         return MyDriver(MySettings(host="127.0.0.1", port=self.served.port), clock)
"""

from __future__ import annotations

import abc
import asyncio
import unittest
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from typing import Any

from bifrost.core.clock import Clock, SystemClock
from bifrost.core.quality import Quality, quality_of
from bifrost.core.value import Value
from bifrost.errors import (
    AddressError,
    BifrostError,
    ConfigError,
    DataTypeError,
    DeviceFault,
    LinkError,
    NotConnected,
    WriteError,
)
from bifrost.plc.datatypes import Tag
from bifrost.plc.drivers.base import Driver, Plan, Readings
from bifrost.testing.expectations import refused, refused_later, until

__all__ = ["DriverContract", "ShiftedClock"]

_TIMEOUT = 2.0  # seconds for what succeeds
_SHORT = 0.2  # seconds for what is known to fail
_PATIENCE = 10.0  # seconds after which anything that still waits counts as hanging
_SHIFT_NS = 86_400_000_000_000


class ShiftedClock(SystemClock):
    """The machine's clocks, the wall clock one day ahead: whoever reads the time elsewhere is found out."""

    def time_ns(self) -> int:
        """Nanoseconds since 1970, UTC, and a day."""
        return super().time_ns() + _SHIFT_NS


class DriverContract(abc.ABC):
    """Tests that any driver must pass against a device that serves its protocol; subclass it in a test module."""

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

    # What needs no link

    async def test_a_wrong_address_is_refused_where_the_tag_is_made(self) -> None:
        """`AddressError`, before any driver sees it; the text names the tag."""
        protocol = self.known()[0][0].protocol
        assert self.wrong_addresses(), "give at least one text that is no address"
        for address in self.wrong_addresses():
            error = refused(AddressError, partial(Tag, "wanted", address, protocol=protocol))
            assert "wanted" in str(error)

    async def test_planning_needs_no_link(self) -> None:
        """A plan has the tags in the caller's order and a slot for each value, without holes."""
        async with self.device(), self._linked() as driver:
            tags = [tag for tag, _ in self.known()]
            for chosen in (tags, tags[::-1], [tags[0], tags[0]], []):
                plan: Plan = driver.plan(chosen)
                assert list(plan.tags) == chosen
                assert list(plan.slots) == [sum(tag.count for tag in chosen[:at]) for at in range(len(chosen))]
                assert plan.total == sum(tag.count for tag in chosen)
                assert all(0 <= slot < plan.total for slot in plan.wide)

    async def test_a_fresh_driver_can_be_asked_how_it_is(self) -> None:
        """Before `connect` nothing is degraded and nothing was counted."""
        async with self.device(), self._linked() as driver:
            assert driver.degraded is False
            assert not any(driver.counters().values())

    async def test_without_a_link_there_is_nothing_to_read_or_write(self) -> None:
        """`NotConnected` before `connect` and after `aclose`."""
        async with self.device():
            driver = self.make(SystemClock())
            plan = driver.plan([self.known()[0][0]])
            for _ in range(2):
                await refused_later(NotConnected, driver.read(plan, timeout=_SHORT))
                for tag, value in self.writable()[:1]:
                    await refused_later(NotConnected, driver.write(driver.prepare(tag, value), timeout=_SHORT))
                await self._connected_once(driver)
            assert await self.writes_taken() == 0

    async def test_closing_is_idempotent_and_needs_no_link(self) -> None:
        """`aclose` works before `connect`, after it, twice, and twice at once; it leaves no task behind."""
        async with self.device():
            never = self.make(SystemClock())
            await never.aclose()
            tasks = asyncio.all_tasks()
            driver = self.make(SystemClock())
            await driver.connect(timeout=_TIMEOUT, on_lost=_ignore)
            async with asyncio.timeout(_PATIENCE):
                await asyncio.gather(driver.aclose(), driver.aclose())
                await driver.aclose()
            # A device that lives in this loop may have tasks of its own to end.
            await until(lambda: not asyncio.all_tasks() - tasks, "the driver's tasks are left", timeout=1.0)

    # The link

    async def test_connecting_tells_the_endpoint(self) -> None:
        """`connect` returns what is known of the device."""
        async with self.device(), self._linked() as driver:
            info = await self._connect(driver)
            assert info.endpoint.strip()

    async def test_an_unreachable_device_is_a_link_error_in_time(self) -> None:
        """Not reachable is `LinkError` by the deadline, and the driver can be closed."""
        driver = self.make_unreachable(SystemClock())
        async with asyncio.timeout(_TIMEOUT + 1.0):
            await refused_later(LinkError, driver.connect(timeout=_TIMEOUT, on_lost=_ignore))
        await driver.aclose()

    async def test_the_loss_of_the_link_is_told_once(self) -> None:
        """`on_lost` is called once, from then on there is no link, and nothing is sent."""
        losses: list[BifrostError] = []
        async with self.device():
            driver = self.make(SystemClock())
            await driver.connect(timeout=_TIMEOUT, on_lost=losses.append)
            plan = driver.plan([self.known()[0][0]])
            assert _good(await driver.read(plan, timeout=_TIMEOUT))
            await self.cut()
            await until(lambda: bool(losses), "the loss of the link was not told", timeout=_PATIENCE)
            await refused_later(NotConnected, driver.read(plan, timeout=_SHORT))
            for tag, value in self.writable()[:1]:
                await refused_later(NotConnected, driver.write(driver.prepare(tag, value), timeout=_SHORT))
            await driver.aclose()
            await asyncio.sleep(0.05)
            assert len(losses) == 1
            assert isinstance(losses[0], BifrostError)
            assert str(losses[0])

    async def test_an_end_that_was_asked_for_is_no_loss(self) -> None:
        """`on_lost` is not called by `aclose`."""
        losses: list[BifrostError] = []
        async with self.device():
            driver = self.make(SystemClock())
            await driver.connect(timeout=_TIMEOUT, on_lost=losses.append)
            await driver.aclose()
            await asyncio.sleep(0.05)
        assert losses == []

    # Reading

    async def test_a_read_brings_what_the_device_holds(self) -> None:
        """Each value with its exact type, arrays spread out, no status and no error; again and again."""
        async with self.device(), self._linked() as driver:
            await self._connect(driver)
            tags = [tag for tag, _ in self.known()]
            for chosen in (tags, tags[::-1], tags[:1], [tags[0], tags[-1], tags[0]]):
                plan = driver.plan(chosen)
                for _ in range(2):
                    self._check(chosen, await driver.read(plan, timeout=_TIMEOUT))

    async def test_reading_nothing_is_no_error(self) -> None:
        """A plan without tags brings no values."""
        async with self.device(), self._linked() as driver:
            await self._connect(driver)
            readings = await driver.read(driver.plan([]), timeout=_TIMEOUT)
            assert list(readings.values) == []

    async def test_a_plan_stays_valid_for_the_next_driver(self) -> None:
        """It was made by a driver that never had a link, and serves two others."""
        async with self.device():
            tags = [tag for tag, _ in self.known()]
            plan = self.make(SystemClock()).plan(tags)
            for _ in range(2):
                async with self._linked() as driver:
                    await self._connect(driver)
                    self._check(tags, await driver.read(plan, timeout=_TIMEOUT))

    async def test_the_time_of_arrival_comes_from_the_clock_that_was_given(self) -> None:
        """The driver reads no other clock."""
        clock = ShiftedClock()
        async with self.device():
            driver = self.make(clock)
            await self._connect(driver)
            before = clock.time_ns()
            readings = await driver.read(driver.plan([self.known()[0][0]]), timeout=_TIMEOUT)
            assert before <= readings.arrived_ns <= clock.time_ns()
            await driver.aclose()

    async def test_reads_at_the_same_time_get_their_own_values(self) -> None:
        """Many tasks share one link."""
        async with self.device(), self._linked() as driver:
            await self._connect(driver)
            chosen = [[tag] for tag, _ in self.known()] * 5
            async with asyncio.timeout(_PATIENCE):
                brought = await asyncio.gather(*(driver.read(driver.plan(c), timeout=_TIMEOUT) for c in chosen))
            for tags, readings in zip(chosen, brought, strict=True):
                self._check(tags, readings)

    async def test_a_tag_that_the_device_does_not_have_fails_alone(self) -> None:
        """Its values are None and BAD with a reason; the others are read, the first time and the second."""
        missing = self.missing()
        if missing is None:
            raise unittest.SkipTest("this protocol has no tags that a device may lack")
        async with self.device(), self._linked() as driver:
            await self._connect(driver)
            known = self.known()
            tags = [known[0][0], missing, *(tag for tag, _ in known[1:])]
            plan = driver.plan(tags)
            for _ in range(2):
                readings = await driver.read(plan, timeout=_TIMEOUT)
                assert len(readings.values) == plan.total
                assert readings.status is not None
                assert len(readings.status) == plan.total
                for tag, slot in zip(tags, plan.slots, strict=True):
                    for at in range(slot, slot + tag.count):
                        assert (readings.values[at] is None) == (tag is missing)
                        assert (quality_of(readings.status[at]) is Quality.BAD) == (tag is missing)
                        assert (at in readings.errors) == (tag is missing)
                assert all(str(error) for error in readings.errors.values())
            assert driver.degraded is False

    async def test_counters_only_rise(self) -> None:
        """What happened on the link is counted, and never counted back."""
        async with self.device(), self._linked() as driver:
            await self._connect(driver)
            plan = driver.plan([tag for tag, _ in self.known()])
            before: dict[str, int] = {}
            for _ in range(3):
                await driver.read(plan, timeout=_TIMEOUT)
                counters = dict(driver.counters())
                assert all(counters[name] >= count for name, count in before.items())
                assert counters != before, "a read was not counted"
                before = counters

    # Silence

    async def test_a_silent_device_ends_a_read_in_time_and_leaves_no_value(self) -> None:
        """Nothing waits for ever, and what was read before does not stand for what was not read."""
        async with self.device(), self._linked() as driver:
            await self._connect(driver)
            tags = [tag for tag, _ in self.known()]
            plans = [driver.plan(tags[:1]), driver.plan(tags)]
            for plan in plans:
                assert _good(await driver.read(plan, timeout=_TIMEOUT))
            await self.mute()
            for plan in plans:
                readings = await _read_or_none(driver, plan, _SHORT)
                if readings is None:
                    return  # a driver may give a silent link up
                assert set(readings.values) == {None}
                assert readings.status is not None
                assert {quality_of(status) for status in readings.status} == {Quality.BAD}
                assert len(readings.status) == plan.total
                assert all(slot in readings.errors for slot in range(plan.total))
                assert driver.degraded is True

    async def test_a_late_answer_is_not_taken_for_another_one(self) -> None:
        """After a read that was cancelled or too late, the next brings its own values or none."""
        known = self.known()
        async with self.device(), self._linked() as driver:
            first, *others = [driver.plan([tag]) for tag, _ in known]
            for turns in range(4):
                async with self._linked() as cancelled:
                    await self._connect(cancelled)
                    reading = asyncio.ensure_future(cancelled.read(first, timeout=_TIMEOUT))
                    for _ in range(turns):
                        await asyncio.sleep(0)
                    finished = reading.done()
                    reading.cancel()
                    await asyncio.wait([reading], timeout=_PATIENCE)
                    assert finished or reading.cancelled(), "the cancellation of a read was swallowed"
                    for (tag, _), plan in zip(known[1:], others, strict=True):
                        readings = await _read_or_none(cancelled, plan, _TIMEOUT)
                        if readings is None:
                            break  # without numbers in its answers, a protocol can only give the link up
                        self._check([tag], readings)
            await self._connect(driver)
            await self.mute()
            early = await _read_or_none(driver, first, _SHORT)
            assert early is None or set(early.values) == {None}
            await self.restore()
            for (tag, value), plan in [*zip(known[1:], others, strict=True)] * 3:
                readings = await _read_or_none(driver, plan, _TIMEOUT)
                if readings is not None and _good(readings):
                    assert list(readings.values) == _flat(tag, value), "an answer was taken for another one's"

    # Writing

    async def test_what_must_not_be_written_is_refused_before_it_is_sent(self) -> None:
        """A read-only tag is `ConfigError`, an unfit value `DataTypeError`, without a link."""
        async with self.device():
            driver = self.make(SystemClock())
            for tag, value in self.known():
                if tag.access == "r":
                    refused(ConfigError, partial(driver.prepare, tag, value))
            unfit = self.unfit()
            if unfit is not None:
                refused(DataTypeError, partial(driver.prepare, *unfit))
            assert bool(self.writable()) == driver.capabilities.write
            await driver.aclose()
            assert await self.writes_taken() == 0

    async def test_what_is_written_is_read_back(self) -> None:
        """Each write reaches the device once."""
        self._needs_writing()
        async with self.device(), self._linked() as driver:
            await self._connect(driver)
            for sent, (tag, value) in enumerate(self.writable(), 1):
                plan = driver.plan([tag])
                assert list((await driver.read(plan, timeout=_TIMEOUT)).values) != _flat(tag, value)
                await driver.write(driver.prepare(tag, value), timeout=_TIMEOUT)
                assert await self.writes_taken() == sent
                assert list((await driver.read(plan, timeout=_TIMEOUT)).values) == _flat(tag, value)

    async def test_a_refused_write_is_the_devices_fault(self) -> None:
        """`DeviceFault` with the device's code; the link goes on."""
        self._needs_writing()
        missing = self.missing()
        if missing is None:
            raise unittest.SkipTest("this protocol has no tags that a device may lack")
        like = [value for tag, value in self.known() if (tag.datatype, tag.count) == (missing.datatype, missing.count)]
        assert like, "let missing() be of the type of a known tag"
        async with self.device(), self._linked() as driver:
            await self._connect(driver)
            item = driver.prepare(missing, like[0])
            error = await refused_later(DeviceFault, driver.write(item, timeout=_TIMEOUT))
            assert str(error)
            tags = [tag for tag, _ in self.known()]
            self._check(tags, await driver.read(driver.plan(tags), timeout=_TIMEOUT))

    async def test_a_write_without_an_answer_is_told_and_never_sent_again(self) -> None:
        """`WriteError` with `unknown_outcome`: the device may have acted, once at most."""
        self._needs_writing()
        async with self.device(), self._linked() as driver:
            await self._connect(driver)
            await self.mute()
            tag, value = self.writable()[0]
            async with asyncio.timeout(_PATIENCE):
                error = await refused_later(WriteError, driver.write(driver.prepare(tag, value), timeout=_SHORT))
            assert error.unknown_outcome
            assert tag.name in str(error)
            await self.restore()
            await asyncio.sleep(3 * _SHORT)
            assert await self.writes_taken() <= 1

    # What the tests share

    @asynccontextmanager
    async def _linked(self) -> AsyncIterator[Driver]:
        driver = self.make(SystemClock())
        try:
            yield driver
        finally:
            async with asyncio.timeout(_PATIENCE):
                await driver.aclose()

    async def _connect(self, driver: Driver) -> Any:
        return await driver.connect(timeout=_TIMEOUT, on_lost=_ignore)

    async def _connected_once(self, driver: Driver) -> None:
        await driver.connect(timeout=_TIMEOUT, on_lost=_ignore)
        await driver.aclose()

    def _needs_writing(self) -> None:
        if not self.writable():
            raise unittest.SkipTest("this driver does not write")

    def _check(self, tags: Sequence[Tag], readings: Readings) -> None:
        values = {tag.name: _flat(tag, value) for tag, value in self.known()}
        expected = [value for tag in tags for value in values[tag.name]]
        assert _good(readings)
        assert list(readings.values) == expected
        assert [type(value) for value in readings.values] == [type(value) for value in expected]


def _flat(tag: Tag, value: Value) -> list[Any]:
    return list(value) if tag.count > 1 and isinstance(value, list) else [value]


def _good(readings: Readings) -> bool:
    return not any(readings.status or ()) and not readings.errors


def _ignore(error: BifrostError) -> None:
    """Take a loss that the test does not look at."""


async def _read_or_none(driver: Driver, plan: Any, timeout: float) -> Readings | None:
    try:
        async with asyncio.timeout(_PATIENCE):
            return await driver.read(plan, timeout=timeout)
    except NotConnected:
        return None
