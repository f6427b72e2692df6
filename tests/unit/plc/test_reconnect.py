"""A link that is kept alive: back-off, states, closing. The driver here is one whose every connect the test decides."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pytest

from bifrost.errors import BifrostError, ConfigError, MissingExtra, NotConnected
from bifrost.plc.datatypes import Tag
from bifrost.plc.drivers.base import Capabilities, DeviceInfo, Driver, Readings, WriteItem
from bifrost.plc.reconnect import LinkKeeper, LinkState
from bifrost.testing import VirtualClock


def _nothing(_: BifrostError) -> None:
    pass


class Plant:
    """What all drivers of one test share.

    Attributes:
        attempts: times at which a driver was asked to connect.
        reachable: whether the next one succeeds.
        lose: ends the link of the driver that connected last.
        closed: how many drivers were closed.
    """

    def __init__(self) -> None:
        self.attempts: list[float] = []
        self.reachable = False
        self.defect: Exception | None = None
        self.lose: Callable[[BifrostError], None] = _nothing
        self.closed = 0

    def create(self) -> Driver:
        return PlantDriver(self)


class PlantDriver:
    capabilities = Capabilities()
    degraded = False

    def __init__(self, plant: Plant) -> None:
        self.plant = plant

    def plan(self, tags: Sequence[Tag]) -> Any:
        raise AssertionError("not planned here")

    def prepare(self, tag: Tag, value: object) -> WriteItem:
        raise AssertionError("not written here")

    async def connect(self, *, timeout: float, on_lost: Callable[[BifrostError], None]) -> DeviceInfo:
        self.plant.attempts.append(asyncio.get_running_loop().time())
        if self.plant.defect is not None:
            raise self.plant.defect
        if not self.plant.reachable:
            raise NotConnected("nobody there")
        self.plant.lose = on_lost
        return DeviceInfo("plant")

    async def read(self, plan: Any, *, timeout: float) -> Readings:
        raise AssertionError("not read here")

    async def write(self, item: WriteItem, *, timeout: float) -> None:
        raise AssertionError("not written here")

    async def aclose(self) -> None:
        self.plant.closed += 1

    def counters(self) -> Mapping[str, int]:
        return {"requests": 10}


def keeper_of(plant: Plant, clock: VirtualClock) -> LinkKeeper:
    return LinkKeeper(plant.create, clock=clock, connect_timeout=3.0, backoff=(0.1, 30.0))


async def test_attempts_back_off_to_half_a_minute_with_jitter(clock: VirtualClock) -> None:
    """0.1 s, doubling, at most 30 s, each a quarter more or less; for ever."""
    plant = Plant()
    keeper = keeper_of(plant, clock)
    keeper.start()
    await asyncio.sleep(600)
    gaps = [after - before for before, after in zip(plant.attempts, plant.attempts[1:], strict=False)]
    expected = [min(0.1 * 2**index, 30.0) for index in range(len(gaps))]
    assert len(gaps) > 20
    assert all(0.75 * want <= gap <= 1.25 * want for gap, want in zip(gaps, expected, strict=True))
    assert len({round(gap, 6) for gap in gaps[9:]}) > 5
    assert plant.closed == len(plant.attempts) == keeper.failures + (keeper.state is LinkState.CONNECTING)
    await keeper.aclose()


async def test_the_driver_is_gone_the_moment_its_link_is(clock: VirtualClock) -> None:
    """Not when the task gets its turn; and the back-off starts over after a link that lived."""
    plant = Plant()
    plant.reachable = True
    keeper = keeper_of(plant, clock)
    keeper.start()
    await keeper.wait_connected(timeout=1.0)
    await asyncio.sleep(60)
    plant.lose(NotConnected("pulled"))
    assert keeper.driver is None
    assert keeper.state is LinkState.BACKOFF
    assert "pulled" in str(keeper.down())
    before = clock.monotonic()
    await keeper.wait_connected(timeout=1.0)
    assert clock.monotonic() - before <= 0.125 + 1e-9
    assert keeper.losses == 1
    assert keeper.past == {"requests": 10}
    await keeper.aclose()
    assert plant.closed == 2


async def test_a_link_that_is_dropped_at_once_is_not_tried_in_a_tight_loop(clock: VirtualClock) -> None:
    """A device whose connections are all taken accepts and hangs up."""
    plant = Plant()
    plant.reachable = True
    keeper = keeper_of(plant, clock)

    def drop(_: object) -> None:
        if keeper.state is LinkState.CONNECTED:
            plant.lose(NotConnected("too many connections"))

    keeper.on_change(drop)
    keeper.start()
    await asyncio.sleep(100)
    assert len(plant.attempts) < 15
    await keeper.aclose()


async def test_waiting_for_a_link_ends_at_its_deadline_or_with_the_connection(clock: VirtualClock) -> None:
    """And says why there is none."""
    keeper = keeper_of(Plant(), clock)
    with pytest.raises(NotConnected, match="not started"):
        await keeper.wait_connected(timeout=1.0)
    keeper.start()
    with pytest.raises(NotConnected, match="no link within 5 s: nobody there"):
        await keeper.wait_connected(timeout=5.0)
    waiting = asyncio.create_task(keeper.wait_connected(timeout=500.0))
    await asyncio.sleep(1)
    await keeper.aclose()
    with pytest.raises(NotConnected, match="closed"):
        await waiting
    await keeper.aclose()


async def test_a_defect_of_a_driver_is_not_taken_for_an_outage(clock: VirtualClock) -> None:
    """It is raised to whoever uses the connection, with its cause: a supervisor's business."""
    plant = Plant()
    plant.defect = ZeroDivisionError("a bug")
    keeper = keeper_of(plant, clock)
    keeper.start()
    await asyncio.sleep(1)
    with pytest.raises(RuntimeError, match="defect of the driver") as caught:
        keeper.down()
    assert isinstance(caught.value.__cause__, ZeroDivisionError)
    with pytest.raises(RuntimeError, match="defect"):
        await keeper.aclose()
    assert plant.closed == 1


async def test_changes_of_state_are_told_until_that_is_ended(clock: VirtualClock) -> None:
    """In order, with the reason."""
    plant = Plant()
    keeper = keeper_of(plant, clock)
    seen: list[tuple[LinkState, str]] = []
    remove = keeper.on_change(lambda change: seen.append((change.new, change.reason)))
    keeper.start()
    await asyncio.sleep(0.01)
    assert seen == [(LinkState.CONNECTING, ""), (LinkState.BACKOFF, "nobody there")]
    remove()
    remove()
    await keeper.aclose()
    assert len(seen) == 2


@pytest.mark.parametrize("error", [MissingExtra("pyfoo is missing"), ConfigError("max_in_flight differs")])
async def test_what_somebody_has_to_mend_is_an_outage_for_who_wants_it_so(
    clock: VirtualClock, error: Exception
) -> None:
    """With `retry_all` it is tried again with the same back-off, says why meanwhile, and ends once it is mended."""
    plant = Plant()
    plant.defect = error
    keeper = keeper_of(plant, clock)
    keeper.start(retry_all=True)
    await keeper.first_attempt()
    assert str(keeper.down()) == f"not connected: {error}"
    await asyncio.sleep(600)
    assert 20 < len(plant.attempts) < 40
    assert keeper.failures == len(plant.attempts) == plant.closed
    plant.defect, plant.reachable = None, True
    await keeper.wait_connected(timeout=60)
    await keeper.aclose()


async def test_a_defect_of_a_driver_is_no_outage(clock: VirtualClock) -> None:
    """Whatever is to be tried again: an error that no driver may raise ends the keeper's task and is told."""
    plant = Plant()
    plant.defect = ValueError("oops")
    keeper = keeper_of(plant, clock)
    keeper.start(retry_all=True)
    with pytest.raises(RuntimeError, match="defect"):
        await keeper.first_attempt()
    with pytest.raises(RuntimeError, match="defect"):
        await keeper.aclose()
