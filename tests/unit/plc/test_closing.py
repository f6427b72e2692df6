"""How a link that is kept alive is closed, by drivers that take their time; on virtual time."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from bifrost.errors import NotConnected
from bifrost.plc.drivers.base import Driver
from bifrost.plc.reconnect import LinkKeeper, LinkState
from bifrost.testing import VirtualClock
from tests.unit.plc.test_reconnect import Plant, PlantDriver, keeper_of


class SlowToClose(PlantDriver):
    """Takes `seconds` to close, and counts only what was done to its end."""

    seconds = 0.5

    async def aclose(self) -> None:
        await asyncio.sleep(self.seconds)
        self.plant.closed += 1


class NeverCloses(SlowToClose):
    seconds = 86_400.0


class FailsToClose(PlantDriver):
    async def aclose(self) -> None:
        raise ZeroDivisionError("a bug")


class SlowPlant(Plant):
    def __init__(self, kind: type[PlantDriver]) -> None:
        super().__init__()
        self.reachable = True
        self.kind = kind

    def create(self) -> Driver:
        return self.kind(self)


@pytest.fixture
def told() -> list[dict[str, Any]]:
    """What the event loop was told to report."""
    seen: list[dict[str, Any]] = []
    asyncio.get_event_loop().set_exception_handler(lambda _, context: seen.append(context))
    return seen


async def _connected(plant: Plant, clock: VirtualClock) -> LinkKeeper:
    keeper = keeper_of(plant, clock)
    keeper.start()
    await keeper.wait_connected(timeout=1.0)
    return keeper


async def test_two_who_close_at_once_do_not_disturb_each_other(clock: VirtualClock) -> None:
    """The driver is closed once, to the end, and both wait for it."""
    plant = SlowPlant(SlowToClose)
    keeper = await _connected(plant, clock)
    first = asyncio.create_task(keeper.aclose())
    await asyncio.sleep(0.1)
    await keeper.aclose()
    assert plant.closed == 1
    await first
    await keeper.aclose()
    assert plant.closed == 1
    assert len(asyncio.all_tasks()) == 1


async def test_closing_waits_for_a_driver_whose_link_was_just_lost(clock: VirtualClock) -> None:
    """What was begun is brought to its end, though nobody needs the link any more."""
    plant = SlowPlant(SlowToClose)
    keeper = await _connected(plant, clock)
    plant.lose(NotConnected("pulled"))
    await asyncio.sleep(0.1)
    await keeper.aclose()
    assert plant.closed == 1
    assert len(asyncio.all_tasks()) == 1


async def test_one_who_gives_up_closing_leaves_it_to_the_next(clock: VirtualClock) -> None:
    """A cancelled close goes on in the background; closing again waits for it."""
    plant = SlowPlant(SlowToClose)
    keeper = await _connected(plant, clock)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.1):
            await keeper.aclose()
    assert keeper.state is LinkState.CLOSED
    await keeper.aclose()
    assert plant.closed == 1
    assert len(asyncio.all_tasks()) == 1


async def test_a_driver_that_does_not_end_is_left_behind_and_told(
    clock: VirtualClock, told: list[dict[str, Any]]
) -> None:
    """Closing takes about a second at most, whatever a plug-in does."""
    plant = SlowPlant(NeverCloses)
    keeper = await _connected(plant, clock)
    loop = asyncio.get_running_loop()
    began = loop.time()
    await keeper.aclose()
    assert loop.time() - began <= 1.5
    assert len(told) == 1
    assert "did not end" in told[0]["message"]
    assert len(asyncio.all_tasks()) == 1


async def test_a_driver_that_does_not_end_keeps_nobody_from_connecting_again(
    clock: VirtualClock, told: list[dict[str, Any]]
) -> None:
    """After a loss the next attempt comes a second later at the latest."""
    plant = SlowPlant(NeverCloses)
    keeper = await _connected(plant, clock)
    plant.lose(NotConnected("pulled"))
    await keeper.wait_connected(timeout=3.0)
    assert len(plant.attempts) == 2
    await keeper.aclose()
    assert len(told) == 2


async def test_a_driver_that_fails_while_it_is_closed_is_told_as_a_defect(clock: VirtualClock) -> None:
    """Not lost because the connection had no more use for it."""
    keeper = await _connected(SlowPlant(FailsToClose), clock)
    with pytest.raises(RuntimeError, match="defect of the driver") as caught:
        await keeper.aclose()
    assert isinstance(caught.value.__cause__, ZeroDivisionError)
    assert keeper.state is LinkState.CLOSED
    assert len(asyncio.all_tasks()) == 1
