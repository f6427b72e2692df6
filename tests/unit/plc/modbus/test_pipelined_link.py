"""Several requests on the wire: each gets its own answer, in whatever order they come, and no more than was allowed."""

from __future__ import annotations

import asyncio
import random

import pytest

from bifrost.errors import BifrostError, LinkTimeout, NotConnected
from bifrost.plc.modbus.exchanging import Tally
from bifrost.plc.modbus.pipelined_link import PipelinedLink
from bifrost.plc.modbus.units import UnitHealth
from tests.unit.plc.modbus.wire import Wire, request_for


def up(places: int = 4, losses: list[BifrostError] | None = None) -> tuple[PipelinedLink, Wire]:
    heard: list[BifrostError] = [] if losses is None else losses
    health = UnitHealth(probe_interval=5.0)
    link = PipelinedLink(asyncio.get_running_loop(), heard.append, health, max_in_flight=places)
    return link, Wire(link)


def ask(
    link: PipelinedLink, address: int, *, timeout: float = 1.0, tally: Tally | None = None
) -> asyncio.Future[bytes]:
    return link.begin(request_for(address), 1, timeout, tally or Tally())


@pytest.mark.parametrize("places", [2, 4, 16])
async def test_never_more_requests_are_on_the_wire_than_allowed_and_all_are_answered(places: int) -> None:
    """Answered in a random order, each with its own value; a place that becomes free goes to the next in the queue."""
    chance = random.Random(places)
    link, wire = up(places)
    tally = Tally()
    answers = [ask(link, address, tally=tally) for address in range(100)]
    open_places = list(range(places))
    assert len(wire.sent) == places
    while open_places:
        index = open_places.pop(chance.randrange(len(open_places)))
        before = len(wire.sent)
        wire.answer(index, value=wire.sent[index][9])
        open_places += range(before, len(wire.sent))
        assert len(open_places) <= places
    assert [await answer for answer in answers] == [bytes([3, 2, 0, address]) for address in range(100)]
    assert [request[9] for request in wire.sent] == list(range(100))
    assert (tally.requests, sum(tally.rtt)) == (100, 100)
    await link.aclose()


async def test_each_request_has_its_own_deadline() -> None:
    """One that is late does not take the others with it, and its late answer is nobody's."""
    link, wire = up()
    tally = Tally()
    slow, quick = ask(link, 0, timeout=2.0, tally=tally), ask(link, 1, timeout=0.5, tally=tally)
    with pytest.raises(LinkTimeout):
        await quick
    assert asyncio.get_running_loop().time() == pytest.approx(0.5)
    third = ask(link, 2, timeout=1.0)
    wire.answer(1)
    assert link.counters()["late_answers"] == 1
    with pytest.raises(LinkTimeout):
        await third
    assert asyncio.get_running_loop().time() == pytest.approx(1.5)
    wire.answer(0, value=9)
    assert await slow == b"\x03\x02\x00\x09"
    assert tally.timeouts == 1
    await link.aclose()


async def test_a_short_deadline_behind_a_long_one_is_kept_when_a_place_becomes_free() -> None:
    """The timer follows the earliest, also of those that were sent by an expiry."""
    link, wire = up(2)
    long_one, short_one = ask(link, 0, timeout=10.0), ask(link, 1, timeout=1.0)
    queued = ask(link, 2, timeout=3.0)
    for asked, when in ((short_one, 1.0), (queued, 4.0), (long_one, 10.0)):
        with pytest.raises(LinkTimeout):
            await asked
        assert asyncio.get_running_loop().time() == pytest.approx(when)
    assert len(wire.sent) == 3
    await link.aclose()


async def test_a_cancelled_request_keeps_its_place_until_the_device_is_done_with_it() -> None:
    """It still occupies the device; one that was not sent yet is simply forgotten."""
    link, wire = up(2)
    first, second, queued, last = (ask(link, address) for address in range(4))
    first.cancel()
    queued.cancel()
    assert len(wire.sent) == 2
    wire.answer(0)
    assert [request[9] for request in wire.sent] == [0, 1, 3]
    assert link.counters()["late_answers"] == 1
    wire.answer(1)
    wire.answer(2)
    assert len(await second) == len(await last) == 4
    await link.aclose()


async def test_the_place_of_a_cancelled_request_is_free_after_its_deadline() -> None:
    """A device that never answers does not block it for ever."""
    link, wire = up(2)
    for address in (0, 1):
        ask(link, address).cancel()
    last = ask(link, 2)
    await asyncio.sleep(0.9)
    assert len(wire.sent) == 2
    await asyncio.sleep(0.2)
    wire.answer(2)
    assert await last == b"\x03\x02\x00\x2a"
    await link.aclose()


async def test_no_two_requests_on_the_wire_have_the_same_number() -> None:
    """Also after the numbers have begun anew while one of them is still open."""
    link, wire = up(2)
    stuck = ask(link, 0, timeout=60.0)
    for _ in range(65_600):
        quick = ask(link, 1)
        assert wire.sent[-1][:2] != wire.sent[0][:2]
        wire.answer(-1)
        assert quick.done()
    wire.answer(0, value=5)
    assert await stuck == b"\x03\x02\x00\x05"
    await link.aclose()


async def test_users_take_turns_in_order_of_arrival() -> None:
    """One who asks for much is served no faster than one who asks for little."""
    link, wire = up(2)
    greedy, modest = Tally(), Tally()
    answers = [ask(link, address, tally=greedy) for address in range(4)]
    answers.append(ask(link, 100, tally=modest))
    answers += [ask(link, address, tally=greedy) for address in range(4, 8)]
    for index in range(9):
        wire.answer(index)
    assert [request[9] for request in wire.sent] == [0, 1, 2, 3, 100, 4, 5, 6, 7]
    await asyncio.gather(*answers)
    await link.aclose()


async def test_who_leaves_sends_nothing_more_and_others_go_on() -> None:
    """Its requests on the wire fail, those in the queue are never sent."""
    link, wire = up(2)
    leaver, stayer = Tally(), Tally()
    gone = [ask(link, address, tally=leaver) for address in range(3)]
    staying = ask(link, 3, tally=stayer)
    link.withdraw(leaver, NotConnected("closed"))
    for asked in gone:
        with pytest.raises(NotConnected, match="closed"):
            await asked
    wire.answer(0)
    wire.answer(2)
    assert await staying == b"\x03\x02\x00\x2a"
    with pytest.raises(NotConnected):
        ask(link, 4, tally=leaver)
    await link.aclose()


async def test_a_link_that_ends_fails_all_at_once() -> None:
    """On the wire or in the queue."""
    losses: list[BifrostError] = []
    link, _ = up(2, losses)
    answers = [ask(link, address) for address in range(5)]
    link.connection_lost(None)
    for answer in answers:
        with pytest.raises(NotConnected, match="closed the link"):
            await answer
    with pytest.raises(NotConnected):
        ask(link, 0)
    with pytest.raises(NotConnected):
        await link.announce(request_for(0, unit=0), Tally())
    assert len(losses) == 1
