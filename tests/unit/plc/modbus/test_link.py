"""One request on the wire at a time: turns, deadlines, and what becomes of requests that are given up."""

from __future__ import annotations

import asyncio

import pytest

from bifrost.errors import BifrostError, LinkTimeout, NotConnected, ProtocolError
from bifrost.plc.modbus.exchanging import Tally
from bifrost.plc.modbus.link import ModbusLink
from bifrost.plc.modbus.units import UnitHealth
from tests.unit.plc.modbus.wire import Wire, request_for


def up(*, quiet: float = 0.0, losses: list[BifrostError] | None = None) -> tuple[ModbusLink, Wire]:
    heard: list[BifrostError] = [] if losses is None else losses
    link = ModbusLink(asyncio.get_running_loop(), heard.append, UnitHealth(probe_interval=5.0), quiet=quiet)
    return link, Wire(link)


def ask(link: ModbusLink, address: int, *, timeout: float = 1.0, tally: Tally | None = None) -> asyncio.Task[bytes]:
    exchange = link.exchange(request_for(address), 1, timeout, tally or Tally())
    return asyncio.ensure_future(exchange)


async def turn() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_requests_go_out_one_after_the_other_in_order_of_arrival() -> None:
    """Whoever asks, the next is sent when the one before has been answered."""
    link, wire = up()
    tasks = [ask(link, address) for address in range(4)]
    for index in range(4):
        await turn()
        assert [request[9] for request in wire.sent] == list(range(index + 1))
        wire.answer(index, value=index)
    assert [await task for task in tasks] == [bytes([3, 2, 0, index]) for index in range(4)]
    await link.aclose()


async def test_the_deadline_counts_from_sending_not_from_asking() -> None:
    """A request that waits long for its turn has its whole time left."""
    link, wire = up()
    first, second = ask(link, 0, timeout=5.0), ask(link, 1, timeout=1.0)
    await asyncio.sleep(4.5)
    wire.answer(0)
    await first
    await asyncio.sleep(0.9)
    assert not second.done()
    with pytest.raises(LinkTimeout, match="unit 1 did not answer"):
        await second
    assert asyncio.get_running_loop().time() == pytest.approx(wire.times[1] + 1.0)
    await link.aclose()


async def test_a_request_that_is_cancelled_in_the_queue_is_never_made() -> None:
    """Its frame is not even asked for, which is how a write knows that it was not sent."""
    link, wire = up()
    made = []

    def frame(transaction: int) -> bytes:
        made.append(transaction)
        return bytes(request_for(1)(transaction))

    first = ask(link, 0)
    queued = asyncio.ensure_future(link.exchange(frame, 1, 1.0, Tally()))
    third = ask(link, 2)
    await turn()
    queued.cancel()
    wire.answer(0)
    await first
    await turn()
    wire.answer(1)
    await third
    assert made == []
    assert len(wire.sent) == 2
    await link.aclose()


async def test_the_answer_to_a_cancelled_request_is_not_the_next_ones() -> None:
    """It has another transaction id, and is counted as late."""
    link, wire = up()
    first = ask(link, 0)
    await turn()
    first.cancel()
    second = ask(link, 1)
    await turn()
    wire.answer(0, value=1)
    await turn()
    assert not second.done()
    wire.answer(1, value=2)
    assert await second == b"\x03\x02\x00\x02"
    assert link.counters()["late_answers"] == 1
    await link.aclose()


async def test_between_two_requests_there_is_as_much_quiet_as_was_asked_for() -> None:
    """From the end of one exchange, answered or not, to the next request; a broadcast counts as well."""
    link, wire = up(quiet=0.25)
    first, second, third = ask(link, 0), ask(link, 1, timeout=0.5), ask(link, 2)
    await asyncio.sleep(0.1)
    wire.answer(0)
    await first
    with pytest.raises(LinkTimeout):
        await second
    await asyncio.sleep(0.3)
    wire.answer(2)
    await third
    await link.announce(request_for(3, unit=0), Tally())
    await link.announce(request_for(4, unit=0), Tally())
    assert wire.times == pytest.approx([0.0, 0.35, 1.1, 1.4, 1.65])
    await link.aclose()


async def test_a_link_that_ends_fails_everybody_at_once() -> None:
    """The one on the wire, those in the queue, and those that keep quiet; `on_lost` hears it once."""
    losses: list[BifrostError] = []
    link, wire = up(quiet=5.0, losses=losses)
    first = ask(link, 0)
    await turn()
    wire.answer(0)
    await first
    resting, queued = ask(link, 1), ask(link, 2)
    await turn()
    link.connection_lost(ConnectionResetError("reset"))
    for task in (resting, queued):
        with pytest.raises(NotConnected):
            await task
    assert asyncio.get_running_loop().time() < 1.0
    assert [str(loss) for loss in losses] == ["the link broke: reset"]
    with pytest.raises(NotConnected):
        await ask(link, 3)
    assert len(wire.sent) == 1


async def test_bytes_that_are_no_modbus_end_the_link_with_the_reason() -> None:
    """Nothing that follows could be cut any more."""
    losses: list[BifrostError] = []
    link, _ = up(losses=losses)
    asking = ask(link, 0)
    await turn()
    link.data_received(b"HTTP/1.1 400 Bad Request\r\n\r\n")
    with pytest.raises(ProtocolError):
        await asking
    assert not link.connected
    assert isinstance(losses[0], ProtocolError)


async def test_a_user_who_leaves_gets_nothing_more_and_others_go_on() -> None:
    """What it waits for fails, what it has in the queue is never sent, what it asks later is refused."""
    link, wire = up()
    leaver, stayer = Tally(), Tally()
    on_the_wire = ask(link, 0, tally=leaver)
    queued, staying = ask(link, 1, tally=leaver), ask(link, 2, tally=stayer)
    await turn()
    link.withdraw(leaver, NotConnected("the connection was closed"))
    for task in (on_the_wire, queued):
        with pytest.raises(NotConnected, match="was closed"):
            await task
    await turn()
    wire.answer(0, value=1)
    wire.answer(1, value=2)
    assert await staying == b"\x03\x02\x00\x02"
    with pytest.raises(NotConnected):
        await ask(link, 3, tally=leaver)
    assert [request[9] for request in wire.sent] == [0, 2]
    assert (leaver.requests, stayer.requests) == (1, 1)
    await link.aclose()


async def test_a_user_who_leaves_while_it_has_been_given_the_turn_sends_nothing() -> None:
    """The turn goes on to the next."""
    link, wire = up()
    leaver = Tally()

    async def first_then_withdraw() -> None:
        await link.exchange(request_for(0), 1, 1.0, Tally())
        # The turn is the second's from here on, although it has not run yet.
        link.withdraw(leaver, NotConnected("closed"))

    first = asyncio.ensure_future(first_then_withdraw())
    await turn()
    second, third = ask(link, 1, tally=leaver), ask(link, 2)
    await turn()
    wire.answer(0)
    await first
    with pytest.raises(NotConnected):
        await second
    await turn()
    wire.answer(1)
    await third
    assert [request[9] for request in wire.sent] == [0, 2]
    await link.aclose()


@pytest.mark.parametrize(
    ("policy", "asked", "answered", "taken"),
    [
        ("0/255", 1, 0, True),
        ("0/255", 1, 255, True),
        ("0/255", 255, 3, True),
        ("0/255", 1, 2, False),
        ("strict", 1, 0, False),
        ("strict", 255, 1, False),
        ("strict", 7, 7, True),
        ("any", 1, 2, True),
    ],
)
async def test_whose_answer_counts_is_a_policy(policy: str, asked: int, answered: int, taken: bool) -> None:
    """A device that is no gateway may call itself 0 or 255; a gateway's other units never speak for each other."""
    loop = asyncio.get_running_loop()
    link = ModbusLink(loop, lambda _: None, UnitHealth(probe_interval=5.0), unit_policy=policy)  # type: ignore[arg-type]  # a text of the table
    wire = Wire(link)
    asking = asyncio.ensure_future(link.exchange(request_for(0, unit=asked), asked, 1.0, Tally()))
    await turn()
    wire.answer(0, unit=answered)
    if taken:
        assert await asking == b"\x03\x02\x00\x2a"
    else:
        with pytest.raises(LinkTimeout):
            await asking
    assert link.counters()["misaddressed_answers"] == (not taken)
    await link.aclose()
