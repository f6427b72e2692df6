"""Many connections to one address use one TCP link, and none can harm the others."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import pytest

from bifrost.core.quality import StatusCode
from bifrost.errors import ConfigError, NotConnected
from bifrost.plc import Area, LinkState, Tag
from bifrost.plc.sim import Fault, FaultPlan, ModbusTcpServer, RegisterBank
from tests.integration.modbus_setup import TAG, connection, good
from tests.integration.scripted_device import scripted_device

pytestmark = pytest.mark.usefixtures("leaves_nothing_behind")


@pytest.fixture
async def server() -> AsyncIterator[ModbusTcpServer]:
    banks = {}
    for unit in range(1, 11):
        banks[unit] = RegisterBank()
        for address in range(20):
            banks[unit].put(Area.HOLDING, address, unit * 100 + address)
    async with ModbusTcpServer(banks) as running:
        yield running


async def test_ten_units_behind_one_gateway_take_one_link(server: ModbusTcpServer) -> None:
    """Each connection gets its own unit's values, at the same time; a new link is made when all have left."""
    async with AsyncExitStack() as stack:
        made = [connection(server.port, unit_id=unit, timeout=2.0) for unit in range(1, 11)]
        await asyncio.gather(*(stack.enter_async_context(plc) for plc in made))
        for _ in range(3):
            values = await asyncio.gather(*(plc.read(TAG) for plc in made))
            assert values == [unit * 100 for unit in range(1, 11)]
        assert server.counters.connections == 1
        assert [plc.stats.protocol["requests"] for plc in made] == [3] * 10
        assert [plc.stats.connects for plc in made] == [1] * 10
    assert server.clients == 0
    async with connection(server.port) as plc:
        assert await plc.read(TAG) == 100
    assert server.counters.connections == 2


async def test_who_wants_a_link_of_its_own_gets_one(server: ModbusTcpServer) -> None:
    """`share_link=False` is beside the shared one."""
    async with (
        connection(server.port) as shared,
        connection(server.port) as also_shared,
        connection(server.port, share_link=False, max_in_flight=4) as alone,
    ):
        assert [await plc.read(TAG) for plc in (shared, also_shared, alone)] == [100] * 3
        assert server.counters.connections == 2


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("max_in_flight", 4),
        ("strict_tid", False),
        ("inter_request_delay", 0.01),
        ("connect_delay", 0.01),
        ("unit_policy", "strict"),
        ("probe_interval", 1.0),
    ],
)
async def test_links_that_contradict_each_other_are_refused_by_the_option(
    server: ModbusTcpServer, option: str, value: object
) -> None:
    """The first one goes on; the second one never tries again by itself, for no time mends it."""
    async with connection(server.port) as first:
        with pytest.raises(ConfigError, match=option):
            async with connection(server.port, **{option: value}):
                pass
        assert await first.read(TAG) == 100
        async with connection(server.port, **{option: value, "share_link": False}) as second:
            assert await second.read(TAG) == 100


async def test_one_who_leaves_in_the_middle_of_a_request_does_not_disturb_the_others(server: ModbusTcpServer) -> None:
    """Its own read fails at once, the others' are answered."""
    server.faults = FaultPlan.script(Fault.DROP)
    leaving = connection(server.port, timeout=30.0)
    async with connection(server.port, timeout=0.5) as staying:
        async with leaving:
            lost = asyncio.ensure_future(leaving.read(TAG))
            await asyncio.sleep(0.02)
            kept = asyncio.ensure_future(staying.read(TAG))
            await asyncio.sleep(0.02)
        with pytest.raises(NotConnected):
            await lost
        assert await kept == 100
        assert staying.stats.connects == 1
        assert server.counters.connections == 1


@pytest.mark.parametrize("in_flight", [1, 4])
async def test_a_lost_link_is_lost_for_all_and_comes_back_once(server: ModbusTcpServer, in_flight: int) -> None:
    """Each notices at once, and all are back on one new link."""
    async with AsyncExitStack() as stack:
        made = [
            await stack.enter_async_context(connection(server.port, unit_id=unit, max_in_flight=in_flight))
            for unit in range(1, 6)
        ]
        for _ in range(3):
            server.drop_clients()
            for plc in made:
                while plc.state is LinkState.CONNECTED:  # noqa: ASYNC110 - what is waited for is another state
                    await asyncio.sleep(0.001)
            await asyncio.gather(*(plc.wait_connected(timeout=3.0) for plc in made))
            assert [await plc.read(TAG) for plc in made] == [unit * 100 for unit in range(1, 6)]
            assert server.clients == 1
        assert [plc.stats.losses for plc in made] == [3] * 5


@pytest.mark.parametrize("in_flight", [1, 4])
async def test_a_dead_unit_of_one_never_costs_another_its_link(in_flight: int) -> None:
    """Even if the other has not asked for anything yet; it is asked three times and then only probed."""

    async def only_unit_one(request: bytes, writer: asyncio.StreamWriter) -> None:
        if request[6] == 1:
            writer.write(good(request))

    options = {"max_in_flight": in_flight, "timeout": 0.03}
    async with (
        scripted_device(only_unit_one) as device,
        connection(device.port, unit_id=1, **options) as alive,
        connection(device.port, unit_id=2, **options) as dead,
    ):
        for _ in range(6):
            assert (await dead.read_tags([TAG]))["t"].status == StatusCode.BAD_TIMEOUT
        assert await alive.read(TAG) == 42
        for _ in range(6):
            assert (await dead.read_tags([TAG]))["t"].status == StatusCode.BAD_TIMEOUT
            assert await alive.read(TAG) == 42
        assert [request[6] for request in device.requests].count(2) == 3
        assert (alive.state, dead.state) == (LinkState.CONNECTED, LinkState.DEGRADED)
        assert (alive.stats.connects, dead.stats.connects, device.links) == (1, 1, 1)
        assert alive.stats.protocol["timeouts"] == 0


async def test_a_link_on_which_nobody_is_answered_is_given_up_for_all() -> None:
    """The device accepts and says nothing: the second link is better."""

    async def mute_at_first(request: bytes, writer: asyncio.StreamWriter) -> None:
        if device.links > 1:
            writer.write(good(request))

    async with (
        scripted_device(mute_at_first) as device,
        connection(device.port, timeout=0.03) as one,
        connection(device.port, unit_id=2, timeout=0.03) as two,
    ):
        for _ in range(3):
            await asyncio.gather(one.read_tags([TAG]), two.read_tags([TAG]))
        await asyncio.gather(one.wait_connected(timeout=2.0), two.wait_connected(timeout=2.0))
        assert [await one.read(TAG), await two.read(TAG)] == [42, 42]
        assert device.links == 2


async def test_turns_are_fair_between_a_greedy_and_a_modest_user(server: ModbusTcpServer) -> None:
    """One block of the modest one comes after at most one of the greedy one's, not after all of them."""
    scattered = [Tag(f"t{at}", f"HR{1 + at % 20}") for at in range(20)]
    async with (
        connection(server.port, unit_id=1, max_gap=0, max_registers=1, timeout=5.0) as greedy,
        connection(server.port, unit_id=2, timeout=5.0) as modest,
    ):
        order: list[int] = []
        for unit in (1, 2):
            server.bank(unit).on_read = lambda _area, _address, _quantity, unit=unit: order.append(unit)
        reading = asyncio.ensure_future(greedy.read_tags(scattered))
        await asyncio.sleep(0)
        for _ in range(3):
            await modest.read(TAG)
        await reading
        places = [index for index, unit in enumerate(order) if unit == 2]
        assert len(order) == 23
        assert places[-1] <= 8, f"the modest user's requests came at {places}"


async def test_a_failed_attempt_is_told_to_all_and_all_come_back() -> None:
    """Nobody is there at first; each has its own back-off, the link is one again."""
    async with ModbusTcpServer(RegisterBank()) as server:
        server.bank(1).map(Area.HOLDING, 0, 5)
        await server.stop()
        async with AsyncExitStack() as stack:
            made = [connection(server.port, backoff_max=0.2) for _ in range(4)]
            await asyncio.gather(*(stack.enter_async_context(plc) for plc in made))
            for plc in made:
                with pytest.raises(NotConnected, match="cannot connect"):
                    await plc.read(TAG)
            await server.start()
            await asyncio.gather(*(plc.wait_connected(timeout=3.0) for plc in made))
            assert server.clients == 1
            assert [await plc.read(TAG) for plc in made] == [0] * 4
