"""Gateways that do not echo the transaction id: an answer is known by unit, function and length, and never by luck."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bifrost._native import (
    modbus_frame,
    modbus_mask_write_request,
    modbus_read_request,
    modbus_read_write_request,
    modbus_write_request,
)
from bifrost.errors import LinkTimeout
from bifrost.plc.modbus.exchanging import Tally
from bifrost.plc.modbus.lax_link import LaxModbusLink, fits
from bifrost.plc.modbus.units import UnitHealth
from tests.unit.plc.modbus.wire import Wire, request_for


def up() -> tuple[LaxModbusLink, Wire]:
    link = LaxModbusLink(asyncio.get_running_loop(), lambda _: None, UnitHealth(probe_interval=5.0))
    return link, Wire(link)


def ask(link: LaxModbusLink, address: int, quantity: int = 1) -> asyncio.Task[bytes]:
    return asyncio.ensure_future(link.exchange(request_for(address, quantity=quantity), 1, 1.0, Tally()))


async def turn() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_an_answer_with_any_transaction_id_is_taken() -> None:
    """Also one that is constant, or one behind."""
    link, wire = up()
    for index, transaction in enumerate((7, 7, 0, 65535)):
        asking = ask(link, 0)
        await turn()
        wire.answer(index, value=index, transaction=transaction)
        assert await asking == bytes([3, 2, 0, index])
    await link.aclose()


async def test_an_answer_of_another_length_function_or_unit_is_dropped() -> None:
    """It cannot be the one that was asked for."""
    link, wire = up()
    asking = ask(link, 0, quantity=2)
    await turn()
    for frame in (
        modbus_frame(9, 1, bytes.fromhex("03020001")),
        modbus_frame(9, 1, bytes.fromhex("040400010002")),
        modbus_frame(9, 5, bytes.fromhex("030400010002")),
        modbus_frame(9, 1, bytes.fromhex("8402")),
    ):
        link.data_received(frame)
        await turn()
        assert not asking.done()
    wire.answer(0, value=3, transaction=9)
    assert await asking == bytes.fromhex("030400030003")
    assert link.counters() == {"late_answers": 3, "misaddressed_answers": 1}
    await link.aclose()


async def test_after_a_timeout_the_late_answer_is_waited_for_before_the_next_request() -> None:
    """So it is not taken for the next one's; once it is here, the link goes on at once."""
    link, wire = up()
    first = ask(link, 0)
    with pytest.raises(LinkTimeout):
        await first
    second = ask(link, 1)
    await asyncio.sleep(0.4)
    assert len(wire.sent) == 1
    wire.answer(0, value=1, transaction=9)
    await turn()
    assert len(wire.sent) == 2
    wire.answer(1, value=2, transaction=9)
    assert await second == b"\x03\x02\x00\x02"
    await link.aclose()


@pytest.mark.parametrize("how", ["timeout", "cancel"])
async def test_without_a_late_answer_the_link_is_quiet_for_as_long_again(how: str) -> None:
    """Twice the timeout after the request, whatever ended the wait for its answer."""
    link, wire = up()
    first = ask(link, 0)
    if how == "timeout":
        with pytest.raises(LinkTimeout):
            await first
    else:
        await asyncio.sleep(0.2)
        first.cancel()
        await asyncio.wait([first])
    second = ask(link, 1)
    await asyncio.sleep(2.5 - asyncio.get_running_loop().time())
    assert second.done() is False
    assert wire.times == pytest.approx([0.0, 2.0], abs=0.01)
    wire.answer(1)
    await second
    await link.aclose()


async def test_a_device_that_answers_a_broadcast_is_not_taken_for_the_next_one() -> None:
    """The echo of a write to unit 0 would fit the write to unit 1 that follows."""

    def write(unit: int, value: int) -> Callable[[int], bytes]:
        return lambda transaction: modbus_frame(transaction, unit, modbus_write_request(6, 0, [value]))

    link, wire = up()
    await link.announce(write(0, 1), Tally())
    writing = asyncio.ensure_future(link.exchange(write(1, 2), 1, 1.0, Tally()))
    await asyncio.sleep(0.02)
    assert len(wire.sent) == 1
    link.data_received(wire.sent[0])
    await turn()
    assert len(wire.sent) == 2
    link.data_received(wire.sent[1])
    assert await writing == modbus_write_request(6, 0, [2])
    await link.announce(write(0, 1), Tally())
    began = asyncio.get_running_loop().time()
    asking = ask(link, 0)
    await asyncio.sleep(0.2)
    assert wire.times[-1] - began == pytest.approx(0.1)
    wire.answer(-1)
    await asking
    await link.aclose()


async def test_closing_does_not_wait_for_the_quiet_to_end() -> None:
    """Nobody is held up by an answer that may never come."""
    link, _ = up()
    with pytest.raises(LinkTimeout):
        await ask(link, 0)
    queued = ask(link, 1)
    await turn()
    await link.aclose()
    await asyncio.wait([queued], timeout=0.1)
    assert queued.done()


REQUESTS = st.one_of(
    st.builds(modbus_read_request, st.sampled_from([1, 2]), st.just(0), st.integers(1, 2000)),
    st.builds(modbus_read_request, st.sampled_from([3, 4]), st.just(0), st.integers(1, 125)),
    st.builds(lambda bits: modbus_write_request(15, 0, bits), st.lists(st.booleans(), min_size=1, max_size=1968)),
    st.builds(lambda words: modbus_write_request(16, 0, words), st.lists(st.just(7), min_size=1, max_size=123)),
    st.builds(lambda word: modbus_write_request(6, 0, [word]), st.integers(0, 65535)),
    st.builds(lambda bit: modbus_write_request(5, 0, [bit]), st.booleans()),
    st.builds(lambda mask: modbus_mask_write_request(0, mask, 0), st.integers(0, 65535)),
    st.builds(lambda quantity: modbus_read_write_request(0, quantity, 0, [1]), st.integers(1, 125)),
)


@given(REQUESTS, st.binary(max_size=253))
def test_only_an_answer_of_the_right_function_and_length_fits(request_pdu: bytes, answer: bytes) -> None:
    """What fits begins with the function, or with it and the exception bit, and is as long as the request asks."""
    if fits(request_pdu, answer):
        assert answer[0] & 0x7F == request_pdu[0]
        assert answer[0] & 0x80 or len(answer) >= 3
    assert fits(request_pdu, bytes([request_pdu[0] | 0x80, 2]))
    right = _right_answer(request_pdu)
    assert fits(request_pdu, right)
    assert not fits(request_pdu, right + b"\0")
    assert not fits(request_pdu, right[:-1])


def _right_answer(request: bytes) -> bytes:
    function, quantity = request[0], int.from_bytes(request[3:5], "big")
    if function in {1, 2}:
        size = -(-quantity // 8)
        return bytes([function, size]) + bytes(size)
    if function in {3, 4, 23}:
        return bytes([function, 2 * quantity]) + bytes(2 * quantity)
    return request[:7] if function == 22 else request[:5]
