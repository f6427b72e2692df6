"""What every driver promises about reading, and about a device that answers nothing."""

from __future__ import annotations

import abc
import asyncio
import unittest
from dataclasses import replace
from typing import cast

from bifrost.core.clock import SystemClock
from bifrost.core.quality import Quality, quality_of
from bifrost.plc.datatypes import Tag
from bifrost.plc.drivers.base import BrowsingDriver
from bifrost.testing.driver_device import LONG, SHORT, DrivenDevice, flat, good

__all__ = ["ReadPromises", "ShiftedClock"]

_SHIFT_NS = 86_400_000_000_000


class ShiftedClock(SystemClock):
    """The machine's clocks, the wall clock one day ahead: whoever reads the time elsewhere is found out."""

    def time_ns(self) -> int:
        """Nanoseconds since 1970, UTC, and a day."""
        return super().time_ns() + _SHIFT_NS


class ReadPromises(DrivenDevice, abc.ABC):
    """Values, their quality and time."""

    # Reading

    async def test_a_read_brings_what_the_device_holds(self) -> None:
        """Each value with its exact type, arrays spread out, no status and no error; again and again."""
        async with self.device(), self._linked() as driver:
            await self._connect(driver)
            tags = [tag for tag, _ in self.known()]
            for chosen in (tags, tags[::-1], tags[:1], [tags[0], tags[-1], tags[0]]):
                plan = driver.plan(chosen)
                for _ in range(2):
                    self._check(chosen, await driver.read(plan, timeout=LONG))

    async def test_scaling_is_left_to_the_connection(self) -> None:
        """A driver brings what the device holds; `Tag.scale` is applied above it, once."""
        numbers = [
            (tag, value)
            for tag, value in self.known()
            if tag.datatype is not None and tag.datatype.is_number and isinstance(value, int | float)
        ]
        if not numbers:
            raise unittest.SkipTest("this device holds no numbers")
        tag, value = numbers[0]
        async with self.device(), self._linked() as driver:
            await self._connect(driver)
            scaled = replace(tag, scale=2.0, offset_value=1.0)
            readings = await driver.read(driver.plan([scaled]), timeout=LONG)
            assert list(readings.values) == [value]

    async def test_browsing_tells_what_can_be_read(self) -> None:
        """Where a device can be asked, what it names can be read under the address it gives."""
        async with self.device(), self._linked() as driver:
            if not driver.capabilities.browse:
                raise unittest.SkipTest("this protocol's devices cannot be asked what they have")
            await self._connect(driver)
            found = await cast(BrowsingDriver, driver).browse(timeout=LONG)
            assert found, "the device named nothing"
            dialect = self.known()[0][0].dialect
            for browsed in found[:50]:
                tag = Tag(browsed.name, browsed.address, browsed.datatype, count=browsed.count, protocol=dialect)
                assert good(await driver.read(driver.plan([tag]), timeout=LONG)), f"{browsed} cannot be read"

    async def test_reading_nothing_is_no_error(self) -> None:
        """A plan without tags brings no values."""
        async with self.device(), self._linked() as driver:
            await self._connect(driver)
            readings = await driver.read(driver.plan([]), timeout=LONG)
            assert list(readings.values) == []

    async def test_a_plan_stays_valid_for_the_next_driver(self) -> None:
        """It was made by a driver that never had a link, and serves two others."""
        async with self.device():
            tags = [tag for tag, _ in self.known()]
            plan = self.make(SystemClock()).plan(tags)
            for _ in range(2):
                async with self._linked() as driver:
                    await self._connect(driver)
                    self._check(tags, await driver.read(plan, timeout=LONG))

    async def test_the_time_of_arrival_comes_from_the_clock_that_was_given(self) -> None:
        """The driver reads no other clock."""
        clock = ShiftedClock()
        async with self.device():
            driver = self.make(clock)
            await self._connect(driver)
            before = clock.time_ns()
            readings = await driver.read(driver.plan([self.known()[0][0]]), timeout=LONG)
            assert before <= readings.arrived_ns <= clock.time_ns()
            await driver.aclose()

    async def test_reads_at_the_same_time_get_their_own_values(self) -> None:
        """Many tasks share one link."""
        async with self.device(), self._linked() as driver:
            await self._connect(driver)
            chosen = [[tag] for tag, _ in self.known()] * 5
            async with asyncio.timeout(self.patience):
                brought = await asyncio.gather(*(driver.read(driver.plan(c), timeout=LONG) for c in chosen))
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
                readings = await driver.read(plan, timeout=LONG)
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
                await driver.read(plan, timeout=LONG)
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
                assert good(await driver.read(plan, timeout=LONG))
            await self.mute()
            for plan in plans:
                readings = await self._read_or_none(driver, plan, SHORT)
                if readings is None:
                    return  # a driver may give a silent link up
                assert set(readings.values) == {None}
                assert readings.status is not None
                assert {quality_of(status) for status in readings.status} == {Quality.BAD}
                assert len(readings.status) == plan.total
                assert all(slot in readings.errors for slot in range(plan.total))
                assert driver.degraded is True

    async def test_the_loop_goes_on_while_the_device_is_silent(self) -> None:
        """Waiting for a device keeps nothing else waiting.

        A busy machine stands still by itself now and then; a driver that blocks does so for its whole timeout.
        """
        async with self.device(), self._linked() as driver:
            await self._connect(driver)
            plan = driver.plan([self.known()[0][0]])
            await self.mute()
            turns = asyncio.ensure_future(_longest_turn())
            await asyncio.sleep(0)
            await self._read_or_none(driver, plan, 3 * SHORT)
            turns.cancel()
            await asyncio.wait([turns])
            assert turns.result() < 3 * SHORT / 2, f"the loop stood still for {turns.result():.3f} s"

    async def test_a_late_answer_is_not_taken_for_another_one(self) -> None:
        """After a read that was cancelled or too late, the next brings its own values or none."""
        known = self.known()
        async with self.device(), self._linked() as driver:
            first, *others = [driver.plan([tag]) for tag, _ in known]
            for turns in range(4):
                async with self._linked() as cancelled:
                    await self._connect(cancelled)
                    reading = asyncio.ensure_future(cancelled.read(first, timeout=LONG))
                    for _ in range(turns):
                        await asyncio.sleep(0)
                    finished = reading.done()
                    reading.cancel()
                    await asyncio.wait([reading], timeout=self.patience)
                    assert finished or reading.cancelled(), "the cancellation of a read was swallowed"
                    for (tag, _), plan in zip(known[1:], others, strict=True):
                        readings = await self._read_or_none(cancelled, plan, LONG)
                        if readings is None:
                            break  # without numbers in its answers, a protocol can only give the link up
                        self._check([tag], readings)
            await self._connect(driver)
            await self.mute()
            early = await self._read_or_none(driver, first, SHORT)
            assert early is None or set(early.values) == {None}
            await self.restore()
            for (tag, value), plan in [*zip(known[1:], others, strict=True)] * 3:
                readings = await self._read_or_none(driver, plan, LONG)
                if readings is not None and good(readings):
                    assert list(readings.values) == flat(tag, value), "an answer was taken for another one's"


async def _longest_turn() -> float:
    """Turn until cancelled; tell how long the longest turn took, in seconds."""
    loop = asyncio.get_running_loop()
    longest, last = 0.0, loop.time()
    try:
        while True:
            await asyncio.sleep(0.001)
            now = loop.time()
            longest, last = max(longest, now - last), now
    except asyncio.CancelledError:
        return max(longest, loop.time() - last)
