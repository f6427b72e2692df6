"""One RTU link: turns, pauses, and what counts as the answer; in virtual time, without a line."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from bifrost._native import modbus_frame, modbus_read_request, modbus_rtu_frame, modbus_write_request
from bifrost.errors import BifrostError, LinkTimeout, NotConnected, ProtocolError
from bifrost.plc.modbus.exchanging import Frame, Tally
from bifrost.plc.modbus.rtu_link import RtuLink
from bifrost.plc.modbus.rtu_timing import RtuTiming
from bifrost.plc.modbus.units import UnitHealth

SLOW = RtuTiming.of_line(9600, 11, quiet=0.0, turnaround=0.1, quiet_after_timeout=None)


class Line(asyncio.Transport):
    """Stands in the place of a port: keeps what is sent, and when."""

    def __init__(self, timing: RtuTiming = SLOW, *, pending: bytes = b"") -> None:
        super().__init__()
        self.losses: list[BifrostError] = []
        self.sent: list[bytes] = []
        self.times: list[float] = []
        self.pending = pending
        self.loop = asyncio.get_running_loop()
        self.link = RtuLink(self.loop, self.losses.append, UnitHealth(probe_interval=5.0), timing=timing)
        self.link.connection_made(self)

    def write(self, data: Any) -> None:
        self.sent.append(bytes(data))
        self.times.append(self.loop.time())

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return self._take_pending if name == "take_pending" else default

    def abort(self) -> None:
        self.loop.call_soon(self.link.connection_lost, None)

    def hear(self, unit: int, pdu: bytes) -> None:
        self.link.data_received(modbus_rtu_frame(unit, pdu))

    def ask(self, address: int = 0, *, unit: int = 1, timeout: float = 1.0, tally: Tally | None = None) -> Any:
        asking = self.link.exchange(read(address), unit, timeout, tally or Tally())
        return self.loop.create_task(asking)

    def _take_pending(self) -> None:
        pending, self.pending = self.pending, b""
        if pending:
            self.link.data_received(pending)


def read(address: int, quantity: int = 1) -> Frame:
    pdu = modbus_read_request(3, address, quantity)
    return lambda transaction: modbus_frame(transaction, 1, pdu)


def write(address: int, word: int) -> Frame:
    pdu = modbus_write_request(6, address, [word])
    return lambda transaction: modbus_frame(transaction, 1, pdu)


def words(*values: int) -> bytes:
    return bytes([3, 2 * len(values)]) + b"".join(value.to_bytes(2) for value in values)


async def test_requests_take_turns_with_silence_between_them() -> None:
    """The second leaves three and a half characters after the last byte of the first one's answer."""
    line = Line()
    first, second = line.ask(1), line.ask(2)
    await asyncio.sleep(0.1)
    assert len(line.sent) == 1
    line.hear(1, words(11))
    answered = line.loop.time()
    assert await first == words(11)
    await asyncio.sleep(0.1)
    assert line.times[1] == pytest.approx(answered + 3.5 * 11 / 9600, abs=1e-6)
    line.hear(1, words(12))
    assert await second == words(12)
    assert line.sent == [modbus_rtu_frame(1, modbus_read_request(3, at, 1)) for at in (1, 2)]


def test_the_silence_is_that_of_the_standard() -> None:
    """t3.5 up to 19,200 baud, 1.75 ms above."""
    options: dict[str, Any] = {"quiet": 0.0, "turnaround": 0.1, "quiet_after_timeout": None}
    assert RtuTiming.of_line(9600, 11, **options).silence == pytest.approx(3.5 * 11 / 9600)
    assert RtuTiming.of_line(19_200, 11, **options).silence == pytest.approx(3.5 * 11 / 19_200)
    assert RtuTiming.of_line(115_200, 11, **options).silence == 0.001_75
    assert RtuTiming.of_line(115_200, 11, **{**options, "quiet": 0.05}).silence == 0.05
    assert RtuTiming.of_line(9600, 10, **options).on_wire(8) == pytest.approx(80 / 9600 + 35 / 9600)


async def test_what_lies_in_the_input_is_no_answer() -> None:
    """It is taken and dropped right before a request is sent."""
    line = Line(pending=modbus_rtu_frame(1, words(99)))
    asking = line.ask()
    await asyncio.sleep(0.01)
    assert not asking.done()
    line.hear(1, words(1))
    assert await asking == words(1)
    assert line.link.late == 1


async def test_a_unit_that_owes_an_answer_is_left_alone_as_long_as_it_had_to_answer() -> None:
    """Its late answer would look like the next one's; another unit is asked meanwhile."""
    line = Line()
    with pytest.raises(LinkTimeout, match="unit 1 did not answer"):
        await line.ask(timeout=0.4)
    given_up = line.loop.time()
    again, other = line.ask(timeout=0.4), line.ask(unit=2, timeout=0.1)
    await asyncio.sleep(0.05)
    assert [frame[0] for frame in line.sent] == [1, 2]
    line.hear(2, words(2))
    assert await other == words(2)
    await asyncio.sleep(1.0)
    assert given_up + 0.4 <= line.times[2] < given_up + 0.45
    assert isinstance(again.exception(), LinkTimeout)


async def test_a_late_answer_ends_the_wait_for_it() -> None:
    """Then the unit owes nothing any more."""
    line = Line()
    with pytest.raises(LinkTimeout):
        await line.ask(timeout=1.0)
    again = line.ask(timeout=1.0)
    await asyncio.sleep(0.1)
    line.hear(1, words(1))
    late = line.loop.time()
    await asyncio.sleep(0.1)
    assert line.times[1] < late + 0.05
    line.hear(1, words(2))
    assert await again == words(2)
    assert line.link.counters()["late_answers"] == 1


async def test_a_cancelled_request_owes_its_answer_as_well() -> None:
    """Whoever waits behind it gets his own."""
    line = Line()
    asking, behind = line.ask(1), line.ask(2)
    await asyncio.sleep(0.01)
    asking.cancel()
    await asyncio.sleep(0.1)
    assert len(line.sent) == 1
    line.hear(1, words(1))
    await asyncio.sleep(0.1)
    line.hear(1, words(2))
    assert await behind == words(2)
    assert asking.cancelled()


async def test_a_cancelled_turn_is_passed_on() -> None:
    """Nobody behind it waits for ever."""
    line = Line()
    asking = [line.ask(at) for at in range(4)]
    await asyncio.sleep(0)
    asking[1].cancel()
    asking[2].cancel()
    await asyncio.sleep(0.01)
    line.hear(1, words(0))
    await asyncio.sleep(0.1)
    line.hear(1, words(3))
    assert [await asking[at] for at in (0, 3)] == [words(0), words(3)]
    assert len(line.sent) == 2


async def test_a_second_attempt_gets_what_is_left_of_the_time() -> None:
    """The deadline counts from the first one."""
    line = Line()
    tally = Tally()
    begin = line.loop.time()
    asking = line.ask(timeout=0.5, tally=tally)
    await asyncio.sleep(0.3)
    line.link.data_received(b"\x01\x03\x02\x00\x01\xff\xff")
    with pytest.raises(LinkTimeout):
        await asking
    assert line.loop.time() == pytest.approx(begin + 0.5, abs=0.001)
    assert line.sent[0] == line.sent[1]
    assert (tally.requests, tally.timeouts, line.link.retries) == (2, 1, 1)


async def test_the_second_answer_to_a_repeated_read_is_not_the_next_ones() -> None:
    """What looked like a broken answer was noise, and both requests are answered."""
    line = Line()
    asking = line.ask(1, timeout=1.0)
    await asyncio.sleep(0.01)
    line.link.data_received(b"\x01\x03\x02\x00\x01\xff\xff")
    await asyncio.sleep(0.05)
    assert len(line.sent) == 2
    line.hear(1, words(1))
    assert await asking == words(1)
    following = line.ask(2, timeout=1.0)
    await asyncio.sleep(0.04)
    line.hear(1, words(1))
    await asyncio.sleep(0.1)
    assert len(line.sent) == 3
    line.hear(1, words(2))
    assert await following == words(2)
    assert line.link.late == 1


async def test_a_write_with_a_garbled_answer_fails_at_once_and_is_not_repeated() -> None:
    """It may have been done."""
    line = Line()
    begin = line.loop.time()
    asking = line.loop.create_task(line.link.exchange(write(1, 5), 1, 10.0, Tally()))
    await asyncio.sleep(0.01)
    line.link.data_received(b"\x01\x06\x00\x01\x00\x05\xff\xff")
    with pytest.raises(ProtocolError, match="wrong CRC"):
        await asking
    assert line.loop.time() - begin < 0.1
    assert len(line.sent) == 1


async def test_an_answer_that_does_not_fit_is_told_at_the_deadline() -> None:
    """Ours might have come behind it: then it is taken."""
    line = Line()
    asking = line.ask(timeout=0.5)
    await asyncio.sleep(0.01)
    line.hear(1, words(1, 2))
    with pytest.raises(ProtocolError, match="expected"):
        await asking
    asking = line.ask(timeout=0.5)
    await asyncio.sleep(0.6)
    line.hear(1, words(1, 2))
    line.hear(2, words(5))
    line.hear(1, words(7))
    assert await asking == words(7)
    assert (line.link.late, line.link.misaddressed) == (2, 1)


async def test_a_broadcast_gives_the_units_time_to_act() -> None:
    """The next request waits for the request's own time on the wire, and the turnaround."""
    line = Line()
    await line.link.announce(write(1, 5), Tally())
    assert line.sent == [modbus_rtu_frame(0, modbus_write_request(6, 1, [5]))]
    asking = line.ask()
    await asyncio.sleep(0.01)
    line.link.data_received(b"\xff")  # noise does not cut it short
    await asyncio.sleep(1.5)
    assert line.times[1] >= line.times[0] + 0.1 + 8 * 11 / 9600
    assert isinstance(asking.exception(), LinkTimeout)


async def test_a_line_that_never_falls_silent_is_spoken_to_all_the_same() -> None:
    """Waiting would help nobody."""
    line = Line()

    async def babble() -> None:
        while True:
            line.link.data_received(b"\x55")
            await asyncio.sleep(0.002)

    babbling = asyncio.create_task(babble())
    with pytest.raises(LinkTimeout):
        await line.ask(timeout=1.0)
    assert len(line.sent) == 1
    assert line.times[0] < 2.0
    babbling.cancel()


async def test_a_user_who_leaves_fails_alone() -> None:
    """What he waits for ends at once; others go on."""
    line = Line()
    leaving, staying = Tally(), Tally()
    his = [line.ask(at, tally=leaving) for at in (1, 2)]
    other = line.ask(3, unit=2, tally=staying)
    await asyncio.sleep(0.01)
    line.link.withdraw(leaving, NotConnected("closed"))
    results = await asyncio.gather(*his, return_exceptions=True)
    assert [type(result) for result in results] == [NotConnected, NotConnected]
    await asyncio.sleep(0.1)
    line.hear(2, words(3))
    assert await other == words(3)
    assert len(line.sent) == 2


async def test_the_end_of_the_line_fails_everybody_at_once_and_is_told_once() -> None:
    """Those who wait for an answer, and those who wait for their turn."""
    line = Line()
    asking = [line.ask(at, timeout=60.0) for at in range(3)]
    await asyncio.sleep(0.01)
    line.link.connection_lost(OSError("gone"))
    results = await asyncio.gather(*asking, return_exceptions=True)
    assert [type(result) for result in results] == [NotConnected] * 3
    assert [str(loss) for loss in line.losses] == ["the link broke: gone"]
    await line.link.aclose()
    with pytest.raises(NotConnected):
        await line.ask()


async def test_closing_is_quick_and_says_nothing_to_the_listener() -> None:
    """Twice is once."""
    line = Line()
    asking = line.ask(timeout=60.0)
    await asyncio.sleep(0.01)
    await line.link.aclose()
    await line.link.aclose()
    assert isinstance((await asyncio.gather(asking, return_exceptions=True))[0], NotConnected)
    assert line.losses == []
