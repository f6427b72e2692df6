"""What every driver promises about its link, and about what needs none."""

from __future__ import annotations

import abc
import asyncio
import threading
from functools import partial
from pathlib import Path

from bifrost.core.clock import SystemClock
from bifrost.errors import (
    AddressError,
    BifrostError,
    LinkError,
    NotConnected,
)
from bifrost.plc.datatypes import Tag
from bifrost.plc.drivers.base import Plan
from bifrost.testing.driver_device import LONG, SHORT, DrivenDevice, good, ignore
from bifrost.testing.expectations import refused, refused_later, until

__all__ = ["LinkPromises"]


class LinkPromises(DrivenDevice, abc.ABC):
    """Connecting, losing, closing."""

    # What needs no link

    async def test_a_wrong_address_is_refused_where_the_tag_is_made(self) -> None:
        """`AddressError`, before any driver sees it; the text names the tag."""
        protocol = self.known()[0][0].dialect
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
                await refused_later(NotConnected, driver.read(plan, timeout=SHORT))
                for tag, value in self.writable()[:1]:
                    await refused_later(NotConnected, driver.write(driver.prepare(tag, value), timeout=SHORT))
                await self._connected_once(driver)
            assert await self.writes_taken() == 0

    async def test_closing_is_idempotent_and_needs_no_link(self) -> None:
        """`aclose` works before `connect`, after it, twice, and twice at once; it leaves no task behind."""
        async with self.device():
            never = self.make(SystemClock())
            await never.aclose()
            tasks = asyncio.all_tasks()
            driver = self.make(SystemClock())
            await driver.connect(timeout=LONG, on_lost=ignore)
            async with asyncio.timeout(self.patience):
                await asyncio.gather(driver.aclose(), driver.aclose())
                await driver.aclose()
            # A device that lives in this loop may have tasks of its own to end.
            await until(lambda: not asyncio.all_tasks() - tasks, "the driver's tasks are left", timeout=1.0)

    async def test_nothing_is_left_of_a_closed_link(self) -> None:
        """No task, no thread and no descriptor, whether the link was used, lost or never came up."""
        async with self.device():
            await self._use_and_close()  # what a library keeps for good, it has by now
            before, tasks = _belongings(), asyncio.all_tasks()
            for _ in range(3):
                await self._use_and_close()
            unreachable = self.make_unreachable(SystemClock())
            await refused_later(LinkError, unreachable.connect(timeout=LONG, on_lost=ignore))
            await unreachable.aclose()
            await until(
                lambda: _at_most(before) and not asyncio.all_tasks() - tasks,
                "a closed link left a task, a thread or a descriptor",
                timeout=self.patience,
            )

    async def _use_and_close(self) -> None:
        driver = self.make(SystemClock())
        await driver.connect(timeout=LONG, on_lost=ignore)
        await driver.read(driver.plan([self.known()[0][0]]), timeout=LONG)
        await driver.aclose()

    # The link

    async def test_connecting_tells_the_endpoint(self) -> None:
        """`connect` returns what is known of the device."""
        async with self.device(), self._linked() as driver:
            info = await self._connect(driver)
            assert info.endpoint.strip()

    async def test_an_unreachable_device_is_a_link_error_in_time(self) -> None:
        """Not reachable is `LinkError` by the deadline, and the driver can be closed."""
        driver = self.make_unreachable(SystemClock())
        async with asyncio.timeout(LONG + 1.0):
            await refused_later(LinkError, driver.connect(timeout=LONG, on_lost=ignore))
        await driver.aclose()

    async def test_the_loss_of_the_link_is_told_once(self) -> None:
        """`on_lost` is called once, from then on there is no link, and nothing is sent."""
        losses: list[BifrostError] = []
        async with self.device():
            driver = self.make(SystemClock())
            await driver.connect(timeout=LONG, on_lost=losses.append)
            plan = driver.plan([self.known()[0][0]])
            assert good(await driver.read(plan, timeout=LONG))
            await self.cut()
            await until(lambda: bool(losses), "the loss of the link was not told", timeout=self.patience)
            await refused_later(NotConnected, driver.read(plan, timeout=SHORT))
            for tag, value in self.writable()[:1]:
                await refused_later(NotConnected, driver.write(driver.prepare(tag, value), timeout=SHORT))
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
            await driver.connect(timeout=LONG, on_lost=losses.append)
            await driver.aclose()
            await asyncio.sleep(0.05)
        assert losses == []


def _belongings() -> tuple[int, int]:
    """Count the threads and, where the system tells them, the descriptors of this process."""
    folder = Path("/proc/self/fd")
    return threading.active_count(), len(list(folder.iterdir())) if folder.exists() else 0


def _at_most(before: tuple[int, int]) -> bool:
    return all(now <= then for now, then in zip(_belongings(), before, strict=True))
