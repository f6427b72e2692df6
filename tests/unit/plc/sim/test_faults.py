from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bifrost._native import (
    ModbusFramer,
    RtuFramer,
    modbus_decode_answer,
    modbus_encode_exception,
    modbus_encode_registers,
    modbus_frame,
    modbus_read_request,
    modbus_rtu_frame,
    modbus_write_request,
)
from bifrost.errors import ConfigError, ProtocolError
from bifrost.plc.sim.actions import Action, Drop, Hold, Pause, Send, Silence
from bifrost.plc.sim.disturbance import disturb
from bifrost.plc.sim.faults import Fault, FaultPlan, Injection
from bifrost.plc.sim.framing import Frame, Framing

FRAME = modbus_frame(0x1234, 7, modbus_encode_registers(3, [10, 20]))
REQUEST = modbus_read_request(3, 0, 2)


def sent(actions: list[Action]) -> bytes:
    return b"".join(action.frame for action in actions if isinstance(action, Send))


def frames(wire: bytes) -> list[tuple[int, int, bytes]]:
    return ModbusFramer().feed(wire)


@given(st.integers(0, 2**32), st.floats(0, 1))
def test_a_seed_gives_the_same_plan_byte_for_byte(seed: int, rate: float) -> None:
    """Two plans of one seed inject the same, noise and cuts included."""
    one, two = (FaultPlan.seeded(seed, rate=rate) for _ in range(2))
    drawn = [one.next_injection() for _ in range(30)]
    assert drawn == [two.next_injection() for _ in range(30)]
    assert one.history == drawn


def test_the_rate_is_the_share_of_requests_that_suffer() -> None:
    """Of 2,000 requests about a tenth at 0.1, none at 0, all at 1."""
    for rate, low, high in ((0.1, 150, 250), (0.0, 0, 0), (1.0, 2000, 2000)):
        plan = FaultPlan.seeded(5, rate=rate)
        assert low <= sum(plan.next_injection() is not None for _ in range(2000)) <= high


def test_a_script_names_one_fault_for_each_request_and_then_ends() -> None:
    """Entries in order of arrival, None for a good answer; after the last one all is well."""
    plan = FaultPlan.script(Fault.DROP, None, Injection(Fault.EXCEPTION, code=6))
    drawn = [plan.next_injection() for _ in range(5)]
    assert drawn == [Injection(Fault.DROP), None, Injection(Fault.EXCEPTION, code=6), None, None]


def test_always_never_ends() -> None:
    """The same fault for every request."""
    plan = FaultPlan.always(Fault.RST)
    assert {plan.next_injection() for _ in range(100)} == {Injection(Fault.RST)}


def test_no_fault_sends_the_frame_as_it_is() -> None:
    """One write, the very bytes."""
    assert disturb(None, FRAME) == [Send(FRAME)]


@pytest.mark.parametrize("fault", [Fault.DELAY, Fault.SLOW_BYTES, Fault.SPLIT])
def test_late_and_split_answers_are_whole(fault: Fault) -> None:
    """Timing faults change no byte."""
    actions = disturb(Injection(fault, seconds=0.25), FRAME)
    assert sent(actions) == FRAME
    pauses = [action.seconds for action in actions if isinstance(action, Pause)]
    assert len(pauses) == (1 if fault is Fault.DELAY else len(FRAME) - 1)
    assert set(pauses) == ({0.0} if fault is Fault.SPLIT else {0.25})


def test_identity_faults_change_only_what_they_name() -> None:
    """Transaction id, unit id or function differ; the frame stays well-formed."""
    [good] = frames(FRAME)
    for fault, place in ((Fault.WRONG_TRANSACTION, 0), (Fault.WRONG_UNIT, 1)):
        [found] = frames(sent(disturb(Injection(fault), FRAME)))
        assert [a != b for a, b in zip(good, found, strict=True)] == [place == at for at in range(3)]
    [(_, _, pdu)] = frames(sent(disturb(Injection(Fault.WRONG_FUNCTION), FRAME)))
    with pytest.raises(ProtocolError):
        modbus_decode_answer(REQUEST, pdu)


@pytest.mark.parametrize("words", [[1], [1, 2], list(range(125))])
def test_a_wrong_byte_count_is_well_formed_and_does_not_fit(words: list[int]) -> None:
    """The framer passes it; the check against the request does not."""
    frame = modbus_frame(1, 1, modbus_encode_registers(3, words))
    [(_, _, pdu)] = frames(sent(disturb(Injection(Fault.WRONG_BYTE_COUNT), frame)))
    assert pdu[1] == len(pdu) - 2
    with pytest.raises(ProtocolError):
        modbus_decode_answer(modbus_read_request(3, 0, len(words)), pdu)


def test_a_wrong_protocol_id_breaks_the_framing() -> None:
    """The framer refuses the stream."""
    with pytest.raises(ProtocolError):
        frames(sent(disturb(Injection(Fault.BAD_PROTOCOL_ID), FRAME)))


def test_a_device_that_dies_mid_frame_sends_a_part_and_ends() -> None:
    """Never the whole frame, whatever the cut."""
    for cut in (0, 1, 9, len(FRAME), 1000):
        actions = disturb(Injection(Fault.TRUNCATE, cut=cut), FRAME)
        assert sent(actions) == FRAME[: min(cut, len(FRAME) - 1)]
        assert actions[-1] == Drop(reset=False)


def test_the_other_faults_do_what_their_name_says() -> None:
    """Nothing, an end, a reset, silence, twice, two in one, or noise."""
    assert disturb(Injection(Fault.DROP), FRAME) == []
    assert disturb(Injection(Fault.FIN), FRAME) == [Drop(reset=False)]
    assert disturb(Injection(Fault.RST), FRAME) == [Drop(reset=True)]
    assert disturb(Injection(Fault.SILENCE), FRAME) == [Silence()]
    assert disturb(Injection(Fault.DUPLICATE), FRAME) == [Send(FRAME), Send(FRAME)]
    [both] = disturb(Injection(Fault.COALESCE), FRAME)
    assert isinstance(both, Send)
    foreign, own = frames(both.frame)
    assert foreign[0] != 0x1234
    assert own[0] == 0x1234
    assert disturb(Injection(Fault.GARBAGE, noise=b"\x01\x02"), FRAME) == [Send(b"\x01\x02")]


@given(
    st.sampled_from(list(Fault)),
    st.sampled_from(list(Framing)),
    st.integers(0, 20),
    st.binary(min_size=2, max_size=253),
    st.binary(max_size=9),
)
def test_every_fault_can_meet_every_answer(fault: Fault, framing: Framing, cut: int, pdu: bytes, noise: bytes) -> None:
    """No answer, however odd, breaks the server that disturbs it; where a fault cannot happen, it does not."""
    frame = Frame(framing, 1, 1, pdu).encode()
    actions = disturb(Injection(fault, cut=cut, noise=noise), frame, framing, request=b"request")
    if not fault.applies_to(framing):
        assert actions == [Send(frame)]


@given(st.integers(0, 2**16 - 1), st.integers(0, 255), st.binary(min_size=1, max_size=253))
def test_frames_are_those_of_the_codec(transaction: int, unit: int, pdu: bytes) -> None:
    """Made apart from it, byte for byte the same; taken apart they give what they were made of."""
    for framing, frame in (
        (Framing.TCP, modbus_frame(transaction, unit, pdu)),
        (Framing.RTU, modbus_rtu_frame(unit, pdu)),
        (Framing.RTU_OVER_TCP, modbus_rtu_frame(unit, pdu)),
    ):
        assert Frame(framing, transaction, unit, pdu).encode() == frame
        cut = Frame.cut(framing, frame)
        assert (cut.unit, cut.pdu) == (unit, pdu)
        assert cut.transaction == (transaction if framing is Framing.TCP else 0)


def rtu_frames(wire: bytes) -> list[tuple[int, bytes]]:
    framer = RtuFramer()
    return framer.feed(wire) + framer.idle()


RTU_REQUEST = modbus_rtu_frame(7, REQUEST)
RTU_FRAME = modbus_rtu_frame(7, modbus_encode_registers(3, [10, 20]))


def on_a_bus(how: Injection) -> bytes:
    return sent(disturb(how, RTU_FRAME, Framing.RTU, request=RTU_REQUEST))


def test_faults_of_a_bus_break_what_they_name() -> None:
    """A wrong CRC, noise around the frame, the request's echo, a pause within it."""
    good = (7, RTU_FRAME[1:-2])
    assert rtu_frames(on_a_bus(Injection(Fault.CRC_ERROR))) == []
    assert rtu_frames(on_a_bus(Injection(Fault.NOISE_BEFORE, noise=b"\xfe\xfd"))) == [good]
    assert rtu_frames(on_a_bus(Injection(Fault.NOISE_AFTER, noise=b"\xfe\xfd"))) == [good]
    assert on_a_bus(Injection(Fault.ECHO)) == RTU_REQUEST + RTU_FRAME
    assert on_a_bus(Injection(Fault.ECHO_ONLY)) == RTU_REQUEST
    gap = Injection(Fault.GAP, seconds=0.5, cut=3)
    assert disturb(gap, RTU_FRAME, Framing.RTU) == [Send(RTU_FRAME[:3]), Pause(0.5), Send(RTU_FRAME[3:])]
    assert rtu_frames(on_a_bus(Injection(Fault.COALESCE))) == [(7 ^ 0x55, good[1]), good]
    [(unit, _)] = rtu_frames(on_a_bus(Injection(Fault.WRONG_UNIT)))
    assert unit != 7
    truncated = Injection(Fault.TRUNCATE, cut=4)
    assert disturb(truncated, RTU_FRAME, Framing.RTU) == [Send(RTU_FRAME[:4])]
    assert disturb(truncated, RTU_FRAME, Framing.RTU_OVER_TCP) == [Send(RTU_FRAME[:4]), Drop(reset=False)]


@pytest.mark.parametrize("fault", [Fault.LENGTH_ZERO, Fault.LENGTH_HUGE])
def test_a_length_that_no_frame_has_breaks_the_framing(fault: Fault) -> None:
    """The framer refuses the stream."""
    with pytest.raises(ProtocolError):
        frames(sent(disturb(Injection(fault), FRAME)))


def test_a_transaction_that_is_not_echoed_is_0() -> None:
    """All else is right."""
    [(transaction, unit, pdu)] = frames(sent(disturb(Injection(Fault.TRANSACTION_NOT_ECHOED), FRAME)))
    assert (transaction, unit, pdu) == (0, 7, FRAME[7:])


def test_an_exception_may_have_a_byte_too_many() -> None:
    """Good answers stay as they are."""
    exception = modbus_frame(1, 1, modbus_encode_exception(3, 2))
    [(_, _, pdu)] = frames(sent(disturb(Injection(Fault.EXCEPTION_LENGTH), exception)))
    assert pdu == b"\x83\x02\x00"
    assert disturb(Injection(Fault.EXCEPTION_LENGTH), FRAME) == [Send(FRAME)]


def test_values_at_the_edge_fill_a_well_formed_answer() -> None:
    """The pattern is repeated, and cut where the answer ends; writes are left alone."""
    frame = modbus_frame(1, 1, modbus_encode_registers(3, [1] * 5))
    [(_, _, pdu)] = frames(sent(disturb(Injection(Fault.VALUE_EDGE, noise=bytes.fromhex("7fc00000")), frame)))
    assert modbus_decode_answer(modbus_read_request(3, 0, 5), pdu) == bytes.fromhex("7fc000007fc000007fc0")
    written = modbus_frame(1, 1, modbus_write_request(6, 1, [2]))
    assert disturb(Injection(Fault.VALUE_EDGE), written) == [Send(written)]


def test_an_answer_may_wait_for_the_next() -> None:
    """To leave after it, or in one segment with it."""
    assert disturb(Injection(Fault.REORDER, seconds=0.2), FRAME) == [Hold(FRAME, 0.2, joined=False)]
    assert disturb(Injection(Fault.JOIN, seconds=0.2), FRAME) == [Hold(FRAME, 0.2, joined=True)]


@pytest.mark.parametrize("framing", list(Framing))
def test_a_plan_draws_only_what_can_happen(framing: Framing) -> None:
    """A serial line is never reset, and only MBAP has transaction ids."""
    plan = FaultPlan.seeded(1, rate=1.0, framing=framing)
    drawn = {injection.fault for injection in (plan.next_injection() for _ in range(1000)) if injection is not None}
    assert drawn == {fault for fault in Fault if framing in fault.framings} - {Fault.VALUE_EDGE}
    if framing is Framing.RTU:
        assert not drawn & {Fault.RST, Fault.FIN, Fault.BAD_PROTOCOL_ID, Fault.WRONG_TRANSACTION}


def test_impossible_plans_are_refused() -> None:
    """Rates, codes, times and cuts have their ranges."""
    with pytest.raises(ConfigError, match=r"rate: expected 0\.\.1"):
        FaultPlan.seeded(1, rate=1.5)
    with pytest.raises(ConfigError, match="at least one kind"):
        FaultPlan.seeded(1, faults=())
    with pytest.raises(ConfigError, match="can happen in rtu"):
        FaultPlan.seeded(1, faults=[Fault.RST], framing=Framing.RTU)
    with pytest.raises(ConfigError, match=r"1\.\.255"):
        Injection(Fault.EXCEPTION, code=0)
    with pytest.raises(ConfigError, match="seconds"):
        Injection(Fault.DELAY, seconds=-1.0)
    with pytest.raises(ConfigError, match="cut"):
        Injection(Fault.TRUNCATE, cut=-1)
