"""A read of many requests may have a deadline as a whole; on virtual time."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from bifrost.errors import ConfigError, LinkTimeout
from bifrost.plc import PLCConnection
from bifrost.testing import VirtualClock
from tests.unit.plc.memory import GOOD, TIMEOUT, Machine, memory


def connection(machine: Machine, clock: VirtualClock, **options: Any) -> PLCConnection:
    return memory(machine, **options)(clock)


async def test_a_read_that_takes_too_long_as_a_whole_is_a_timeout_of_every_tag(clock: VirtualClock) -> None:
    """However many requests it takes, each within its own deadline; the next read is as good as any."""
    machine = Machine({"a": 1, "b": 2}, delays=[5.0])
    loop = asyncio.get_running_loop()
    async with connection(machine, clock, overall_timeout=2.0) as plc:
        began = loop.time()
        readings = await plc.read_tags()
        assert loop.time() - began == pytest.approx(2.0)
        assert [(reading.value, reading.status) for reading in readings.values()] == [(None, TIMEOUT)] * 2
        assert "overall_timeout" in (readings["a"].error or "")
        assert (await plc.read_tags()).values_dict() == {"a": 1, "b": 2}


async def test_a_single_read_raises_and_the_last_good_value_stands_in(clock: VirtualClock) -> None:
    """As for any other timeout."""
    machine = Machine({"a": 1}, delays=[0.0, 5.0, 5.0])
    async with connection(machine, clock, overall_timeout=2.0) as plc:
        assert (await plc.read_tags(max_age=60.0))["a"].status == GOOD
        stale = (await plc.read_tags(max_age=60.0))["a"]
        assert (stale.value, stale.stale) == (1, True)
        with pytest.raises(LinkTimeout, match="overall_timeout"):
            await plc.read("a")


async def test_without_it_each_request_has_its_own_deadline_only(clock: VirtualClock) -> None:
    """The default; and one that no read could keep is refused."""
    machine = Machine({"a": 1}, delays=[50.0])
    async with connection(machine, clock) as plc:
        assert await plc.read("a") == 1
    with pytest.raises(ConfigError, match=r"overall_timeout from 0\.01 to 600"):
        connection(machine, clock, overall_timeout=0.0)


async def test_a_cancelled_read_is_cancelled_and_no_timeout(clock: VirtualClock) -> None:
    """Whoever gives up is not told something else."""
    machine = Machine({"a": 1}, delays=[5.0])
    async with connection(machine, clock, overall_timeout=2.0) as plc:
        reading = asyncio.create_task(plc.read_tags())
        await asyncio.sleep(1.0)
        reading.cancel()
        with pytest.raises(asyncio.CancelledError):
            await reading
