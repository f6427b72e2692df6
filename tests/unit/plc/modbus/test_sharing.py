"""One link for all who talk to the same place: opened once, closed by the last, lost for all."""

from __future__ import annotations

import asyncio
import gc
import weakref
from collections.abc import Mapping

import pytest

from bifrost.errors import BifrostError, ConfigError, LinkError, LinkTimeout, NotConnected
from bifrost.plc.modbus import sharing
from bifrost.plc.modbus.exchanging import Lease, Link, OnLost, Tally
from bifrost.plc.modbus.link import ModbusLink
from bifrost.plc.modbus.sharing import lease_shared
from bifrost.plc.modbus.units import UnitHealth
from tests.unit.plc.modbus.wire import Wire, request_for


class Place:
    """Where links lead to.

    Attributes:
        opened: the links that were opened.
        delay: seconds until a link is up.
        error: what an attempt ends with instead.
        closing_delay: seconds until a link that is being closed has ended.
    """

    def __init__(self) -> None:
        self.opened: list[ModbusLink] = []
        self.wires: list[Wire] = []
        self.attempts = 0
        self.delay = 0.5
        self.error: LinkError | None = None
        self.closing_delay = 0.0

    async def open(self, on_lost: OnLost) -> Link:
        self.attempts += 1
        await asyncio.sleep(self.delay)
        if self.error is not None:
            raise self.error
        link = SlowToClose(self.closing_delay, on_lost)
        self.wires.append(Wire(link))
        self.opened.append(link)
        return link

    async def lease(
        self,
        options: Mapping[str, object] | None = None,
        *,
        losses: list[BifrostError] | None = None,
        timeout: float = 3.0,
        key: str = "here",
    ) -> Lease:
        heard: list[BifrostError] = [] if losses is None else losses
        return await lease_shared(key, options or {}, self.open, timeout=timeout, on_lost=heard.append, tally=Tally())


class SlowToClose(ModbusLink):
    def __init__(self, delay: float, on_lost: OnLost) -> None:
        super().__init__(asyncio.get_running_loop(), on_lost, UnitHealth(probe_interval=5.0))
        self._delay = delay

    async def aclose(self, *, timeout: float = 1.0) -> None:
        await asyncio.sleep(self._delay)
        await super().aclose(timeout=timeout)


async def test_all_who_come_while_it_is_being_opened_wait_for_the_same_attempt() -> None:
    """And those who come later get the same link; another place has its own."""
    place = Place()
    early = await asyncio.gather(*(place.lease() for _ in range(5)))
    late = await place.lease()
    elsewhere = await place.lease(key="there")
    assert place.attempts == 2
    assert {id(lease.link) for lease in (*early, late)} == {id(place.opened[0])}
    assert elsewhere.link is place.opened[1]
    for lease in (*early, late, elsewhere):
        await lease.aclose()


async def test_the_last_one_closes_it() -> None:
    """Not before; giving it back twice counts once; the next one gets a new link."""
    place = Place()
    first, second = await place.lease(), await place.lease()
    await first.aclose()
    await first.aclose()
    assert place.opened[0].connected
    await second.aclose()
    assert not place.opened[0].connected
    third = await place.lease()
    assert third.link is place.opened[1]
    await third.aclose()
    assert not _links()


async def test_a_loss_is_told_to_everybody_once_and_nobody_gets_the_dead_link() -> None:
    """Who closes hears nothing; who comes next gets a new one, although the others still hold the old."""
    place = Place()
    heard: list[list[BifrostError]] = [[], [], []]
    leases = [await place.lease(losses=losses) for losses in heard]
    await leases[0].aclose()
    place.opened[0].connection_lost(None)
    assert [len(losses) for losses in heard] == [0, 1, 1]
    fresh = await place.lease()
    assert fresh.link is place.opened[1]
    for lease in (*leases, fresh):
        await lease.aclose()
    assert [len(losses) for losses in heard] == [0, 1, 1]
    assert not _links()


async def test_a_failed_attempt_fails_for_all_and_the_next_is_a_new_one() -> None:
    """Each gets an error of its own, of the same kind and words."""
    place = Place()
    place.error = NotConnected("cannot connect to here: refused")
    outcomes = await asyncio.gather(*(place.lease() for _ in range(3)), return_exceptions=True)
    assert [str(outcome) for outcome in outcomes] == ["cannot connect to here: refused"] * 3
    assert all(type(outcome) is NotConnected for outcome in outcomes)
    assert len({id(outcome) for outcome in outcomes}) == 3
    place.error = None
    lease = await place.lease()
    assert place.attempts == 2
    await lease.aclose()


async def test_an_attempt_goes_on_while_one_waits_for_it_and_ends_with_the_last() -> None:
    """A cancelled user takes nobody else's attempt away, and leaves none behind."""
    place = Place()
    first, second = asyncio.ensure_future(place.lease()), asyncio.ensure_future(place.lease())
    await asyncio.sleep(0.1)
    first.cancel()
    lease = await second
    assert place.attempts == 1
    await lease.aclose()
    place.delay = 60.0
    third = asyncio.ensure_future(place.lease(timeout=100.0))
    await asyncio.sleep(0.1)
    third.cancel()
    await asyncio.wait([third])
    assert not [task for task in asyncio.all_tasks() if task.get_name() == "bifrost-modbus-connect"]
    assert not _links()


async def test_one_with_less_patience_gives_up_alone() -> None:
    """The attempt that others wait for goes on."""
    place = Place()
    place.delay = 2.0
    patient = asyncio.ensure_future(place.lease(timeout=5.0))
    await asyncio.sleep(0)
    with pytest.raises(LinkTimeout):
        await place.lease(timeout=0.5)
    lease = await patient
    assert place.attempts == 1
    await lease.aclose()


async def test_contradicting_options_are_refused_by_name() -> None:
    """While the link is there; the text says what the others have, and how to get out of it."""
    place = Place()
    lease = await place.lease({"framing": "tcp", "max_in_flight": 1})
    same = await place.lease({"framing": "tcp", "max_in_flight": 1})
    with pytest.raises(ConfigError, match=r"expected max_in_flight=1.*got 4.*share_link=False"):
        await place.lease({"framing": "tcp", "max_in_flight": 4})
    with pytest.raises(ConfigError, match=r"framing='tcp'"):
        await place.lease({"framing": "rtu", "max_in_flight": 1})
    await lease.aclose()
    await same.aclose()
    other = await place.lease({"framing": "tcp", "max_in_flight": 4})
    await other.aclose()


async def test_a_new_link_waits_for_the_end_of_the_one_that_is_being_closed() -> None:
    """A device that takes one connection would refuse the second."""
    place = Place()
    place.closing_delay = 0.7
    lease = await place.lease()
    closing = asyncio.ensure_future(lease.aclose())
    await asyncio.sleep(0)
    began = asyncio.get_running_loop().time()
    fresh = await place.lease()
    assert closing.done()
    assert asyncio.get_running_loop().time() - began == pytest.approx(0.7 + place.delay)
    await fresh.aclose()
    lease = await place.lease()
    place.closing_delay = 9.0
    slow = asyncio.ensure_future(lease.aclose())
    await asyncio.sleep(0)
    await slow
    stuck = Place()
    stuck.closing_delay = 9.0
    lease = await stuck.lease()
    closing = asyncio.ensure_future(lease.aclose())
    await asyncio.sleep(0)
    with pytest.raises(LinkTimeout, match="did not end"):
        await stuck.lease(timeout=2.0)
    await closing


async def test_who_closes_fails_what_it_waits_for_and_nothing_of_the_others() -> None:
    """At once, although the link stays up for them."""
    place = Place()
    leaving, staying = await place.lease(), await place.lease()
    link = leaving.link
    gone = asyncio.ensure_future(link.exchange(request_for(0), 1, 30.0, leaving.tally))
    kept = asyncio.ensure_future(link.exchange(request_for(1), 1, 30.0, staying.tally))
    await asyncio.sleep(0)
    await leaving.aclose()
    with pytest.raises(NotConnected, match="closed"):
        await gone
    await asyncio.sleep(0.01)
    place.wires[0].answer(1)
    assert await kept == b"\x03\x02\x00\x2a"
    await staying.aclose()


async def test_one_dead_unit_is_no_proof_against_a_link_that_others_have_not_tried() -> None:
    """Only when all have asked in vain is the link given up; or after so many requests that it makes no sense."""
    place = Place()
    first, second = await place.lease(), await place.lease()
    health = first.link.health
    first.tally.requests = 3
    for _ in range(3):
        health.failed(2, 0.0, timeout=True)
    assert not first.link_is_dead
    second.tally.requests = 1
    assert first.link_is_dead
    health.answered(1)
    for _ in range(50):
        health.failed(2, 0.0, timeout=True)
    assert not first.link_is_dead
    health.renew()
    second.tally.requests = 0
    for _ in range(9):
        health.failed(2, 0.0, timeout=True)
        assert not first.link_is_dead
    health.failed(2, 0.0, timeout=True)
    assert first.link_is_dead
    await first.aclose()
    await second.aclose()


def test_nothing_outlives_a_loop_that_was_closed_without_closing_its_links() -> None:
    """The map of links holds neither the loop nor the link."""

    async def forget() -> weakref.ref[asyncio.AbstractEventLoop]:
        place = Place()
        place.delay = 0.0
        lease = await place.lease()
        asyncio.get_running_loop().call_soon(lambda: lease)
        return weakref.ref(asyncio.get_running_loop())

    others = len(sharing._LINKS)
    gone = asyncio.run(forget())
    gc.collect()
    assert gone() is None
    assert len(sharing._LINKS) <= others


def _links() -> list[object]:
    return list(sharing._LINKS.get(asyncio.get_running_loop(), {}))
