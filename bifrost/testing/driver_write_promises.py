"""What every driver promises about writing: once at most, and nothing in silence."""

from __future__ import annotations

import abc
import asyncio
import unittest
from functools import partial
from typing import cast

from bifrost.core.clock import SystemClock
from bifrost.errors import (
    ConfigError,
    DataTypeError,
    DeviceFault,
    NotConnected,
    WriteError,
)
from bifrost.plc.drivers.base import MergingDriver
from bifrost.testing.driver_device import LONG, SHORT, DrivenDevice, flat
from bifrost.testing.expectations import refused, refused_later

__all__ = ["WritePromises"]


class WritePromises(DrivenDevice, abc.ABC):
    """Writes, refused and done."""

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
                assert list((await driver.read(plan, timeout=LONG)).values) != flat(tag, value)
                await driver.write(driver.prepare(tag, value), timeout=LONG)
                assert await self.writes_taken() == sent
                assert list((await driver.read(plan, timeout=LONG)).values) == flat(tag, value)

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
            error = await refused_later(DeviceFault, driver.write(item, timeout=LONG))
            assert str(error)
            tags = [tag for tag, _ in self.known()]
            self._check(tags, await driver.read(driver.plan(tags), timeout=LONG))

    async def test_a_write_without_an_answer_is_told_and_never_sent_again(self) -> None:
        """`WriteError` with `unknown_outcome`: the device may have acted, once at most."""
        self._needs_writing()
        async with self.device(), self._linked() as driver:
            await self._connect(driver)
            await self.mute()
            tag, value = self.writable()[0]
            async with asyncio.timeout(self.patience):
                error = await refused_later(WriteError, driver.write(driver.prepare(tag, value), timeout=SHORT))
            assert error.unknown_outcome
            assert tag.name in str(error)
            await self.restore()
            await asyncio.sleep(3 * SHORT)
            assert await self.writes_taken() <= 1

    async def test_a_cancelled_write_is_never_sent_again(self) -> None:
        """Cancelled before it was sent, or after: the device has seen it once at most, and is asked nothing later."""
        self._needs_writing()
        async with self.device():
            tag, value = self.writable()[0]
            for turns in range(5):
                async with self._linked() as driver:
                    await self._connect(driver)
                    before = await self.writes_taken()
                    writing = asyncio.ensure_future(driver.write(driver.prepare(tag, value), timeout=LONG))
                    for _ in range(turns):
                        await asyncio.sleep(0)
                    finished = writing.done()
                    writing.cancel()
                    await asyncio.wait([writing], timeout=self.patience)
                    assert finished or writing.cancelled(), "the cancellation of a write was swallowed"
                    await asyncio.sleep(SHORT / 4)
                    assert await self.writes_taken() - before <= 1

    async def test_a_write_whose_link_ends_is_told_and_never_sent_again(self) -> None:
        """`NotConnected` if it was not sent, `WriteError` if it may have been; no later link sends it."""
        self._needs_writing()
        async with self.device(), self._linked() as driver:
            await self._connect(driver)
            tag, value = self.writable()[0]
            await self.mute()
            writing = asyncio.ensure_future(driver.write(driver.prepare(tag, value), timeout=LONG))
            await asyncio.sleep(SHORT / 4)
            await driver.aclose()
            await asyncio.wait([writing], timeout=self.patience)
            assert writing.done(), "a write waits for a link that was closed"
            error = writing.exception()
            assert isinstance(error, NotConnected | WriteError)
            await self.restore()
            async with self._linked() as later:
                await self._connect(later)
                await later.read(later.plan([tag]), timeout=LONG)
                await asyncio.sleep(SHORT / 4)
                assert await self.writes_taken() <= 1

    async def test_merged_writes_arrive_in_order(self) -> None:
        """What was joined has the same effect as one after the other; nothing is left out."""
        self._needs_writing()
        async with self.device(), self._linked() as driver:
            if not driver.capabilities.merge_writes:
                raise unittest.SkipTest("this driver joins no writes")
            await self._connect(driver)
            items = [driver.prepare(tag, value) for tag, value in self.writable()]
            merged = cast(MergingDriver, driver).merge(items)
            assert len(merged) <= len(items)
            for item in merged:
                await driver.write(item, timeout=LONG)
            assert await self.writes_taken() == len(merged)
            for tag, value in self.writable():
                assert list((await driver.read(driver.plan([tag]), timeout=LONG)).values) == flat(tag, value)
