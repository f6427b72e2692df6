"""Several requests on the wire: the same values as one by one, in less time, whatever order the answers come in."""

from __future__ import annotations

import asyncio
import gc
import random
from collections.abc import AsyncIterator
from typing import Any

import pytest

from bifrost.core.quality import StatusCode
from bifrost.plc import Area, PLCConnection, Tag
from bifrost.plc.sim import Fault, FaultPlan, Injection, ModbusTcpServer, RegisterBank
from tests.integration.modbus_setup import good, holding
from tests.integration.scripted_device import scripted_device

TAGS = [Tag(f"t{at}", f"HR{1 + 20 * at}") for at in range(40)]


pytestmark = pytest.mark.usefixtures("leaves_nothing_behind")


@pytest.fixture
async def server() -> AsyncIterator[ModbusTcpServer]:
    async with ModbusTcpServer(holding(range(1000))) as running:
        yield running


def connection(port: int, **options: Any) -> PLCConnection:
    settings = {"max_in_flight": 8, "timeout": 0.2, "backoff_min": 0.05, "max_gap": 0, **options}
    return PLCConnection(host="127.0.0.1", port=port, **settings)


EXPECTED = {tag.name: 20 * at for at, tag in enumerate(TAGS)}


@pytest.mark.parametrize("in_flight", [2, 8, 16])
async def test_a_read_of_many_blocks_brings_each_its_own_value(server: ModbusTcpServer, in_flight: int) -> None:
    """Again and again, from several tasks at once."""
    async with connection(server.port, max_in_flight=in_flight, timeout=5.0) as plc:
        for readings in await asyncio.gather(*(plc.read_tags(TAGS) for _ in range(5))):
            assert readings.values_dict() == EXPECTED
        assert plc.stats.protocol["requests"] == 200


@pytest.mark.parametrize("fault", [Fault.REORDER, Fault.JOIN, Fault.COALESCE, Fault.DUPLICATE, Fault.SPLIT])
async def test_the_order_and_the_cutting_of_the_answers_do_not_matter(server: ModbusTcpServer, fault: Fault) -> None:
    """Every second answer is held back until the next one has left, or leaves together with it, or twice."""
    server.faults = FaultPlan(Injection(fault, seconds=0.01) if at % 2 == 0 else None for at in range(1000))
    async with connection(server.port, timeout=2.0) as plc:
        for _ in range(3):
            assert (await plc.read_tags(TAGS)).values_dict() == EXPECTED
        assert plc.stats.connects == 1


async def test_answers_in_a_random_order_are_told_apart() -> None:
    """Each of them waits as long as it likes; never more than the limit are open."""
    chance = random.Random(3)
    held: set[asyncio.Task[None]] = set()
    most = 0

    async def some_time(request: bytes, writer: asyncio.StreamWriter) -> None:
        nonlocal most

        async def later() -> None:
            await asyncio.sleep(chance.uniform(0.0, 0.01))
            writer.write(good(request, int.from_bytes(request[8:10], "big")))

        task = asyncio.ensure_future(later())
        held.add(task)
        task.add_done_callback(held.discard)
        most = max(most, len(held))

    async with scripted_device(some_time) as device, connection(device.port, timeout=5.0) as plc:
        assert (await plc.read_tags(TAGS)).values_dict() == EXPECTED
        assert 4 <= most <= 8


async def test_blocks_wait_for_the_device_at_the_same_time() -> None:
    """Each answer takes 20 ms; 16 blocks with 16 places take little more than one."""

    async def slow(request: bytes, writer: asyncio.StreamWriter) -> None:
        asyncio.get_running_loop().call_later(0.02, writer.write, good(request))

    loop = asyncio.get_running_loop()
    async with scripted_device(slow) as device:
        took = {}
        for in_flight in (1, 16):
            async with connection(device.port, max_in_flight=in_flight) as plc:
                began = loop.time()
                assert (await plc.read_tags(TAGS[:16])).ok
                took[in_flight] = loop.time() - began
    assert took[1] >= 16 * 0.02
    assert took[16] < took[1] / 3


async def test_a_device_that_answers_only_the_first_of_a_segment_is_still_read(server: ModbusTcpServer) -> None:
    """With errors, for the option was wrong; every value that is GOOD is right, and none is another's."""
    server.faults = FaultPlan(Injection(Fault.DROP) if at % 3 else None for at in range(2000))
    async with connection(server.port, timeout=0.03, probe_interval=0.01) as plc:
        for _ in range(2):
            for name, reading in (await plc.read_tags(TAGS[:6])).items():
                assert reading.value in {None, EXPECTED[name]}
                assert (reading.value is None) == (reading.status != StatusCode.GOOD)
            await plc.wait_connected(timeout=2.0)


async def test_holes_are_found_and_learned_while_others_are_on_their_way() -> None:
    """A tag is GOOD exactly if the device has it."""
    bank = RegisterBank()
    for at in range(0, 40, 3):
        bank.put(Area.HOLDING, 20 * at, 20 * at)
    async with ModbusTcpServer(bank) as server, connection(server.port, timeout=2.0) as plc:
        for _ in range(2):
            readings = await plc.read_tags(TAGS)
            for at, tag in enumerate(TAGS):
                assert readings[tag.name].value == (20 * at if at % 3 == 0 else None)
        before = server.counters.requests
        await plc.read_tags(TAGS)
        assert server.counters.requests - before == 14


@pytest.mark.parametrize("how", ["cancel", "fin", "rst", "silence"])
async def test_a_read_that_ends_early_leaves_no_answer_unheard_of(
    server: ModbusTcpServer, how: str, caplog: pytest.LogCaptureFixture
) -> None:
    """What is still on its way is taken note of: the loop has nothing to report, and the next read is right."""
    fault = Injection(Fault.DELAY, seconds=0.1) if how == "cancel" else Fault(how)
    server.faults = FaultPlan.script(None, None, fault)
    async with connection(server.port, timeout=0.05 if how == "silence" else 2.0) as plc:
        reading = asyncio.ensure_future(plc.read_tags(TAGS))
        if how == "cancel":
            await asyncio.sleep(0.03)
            reading.cancel()
            with pytest.raises(asyncio.CancelledError):
                await reading
        else:
            readings = await reading
            assert not readings.ok
        server.faults = None
        await plc.wait_connected(timeout=2.0)
        while not (readings := await plc.read_tags(TAGS)).ok:
            await plc.wait_connected(timeout=2.0)
        assert readings.values_dict() == EXPECTED
    gc.collect()
    assert not [record for record in caplog.records if "never retrieved" in record.getMessage()]


async def test_a_silent_unit_does_not_take_the_places_of_the_others() -> None:
    """It is asked a few times; the others' blocks go on beside it."""

    async def all_but_two(request: bytes, writer: asyncio.StreamWriter) -> None:
        if request[6] != 2:
            writer.write(good(request))

    tags = [*(Tag(f"a{at}", f"1!HR{1 + 20 * at}") for at in range(10)), Tag("dead", "2!HR1"), Tag("b", "3!HR1")]
    async with scripted_device(all_but_two) as device, connection(device.port, timeout=0.05) as plc:
        for _ in range(8):
            readings = await plc.read_tags(tags)
            assert readings["dead"].status == StatusCode.BAD_TIMEOUT
            assert all(readings[tag.name].value == 42 for tag in tags if tag.name != "dead")
        assert [request[6] for request in device.requests].count(2) == 3
        assert plc.stats.connects == 1
