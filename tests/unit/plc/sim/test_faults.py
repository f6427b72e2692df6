from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bifrost._native import (
    ModbusFramer,
    modbus_decode_answer,
    modbus_encode_registers,
    modbus_frame,
    modbus_read_request,
)
from bifrost.errors import ConfigError, ProtocolError
from bifrost.plc.sim.disturbance import Action, Drop, Pause, Send, Silence, disturb
from bifrost.plc.sim.faults import Fault, FaultPlan, Injection

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


@given(st.sampled_from(list(Fault)), st.integers(0, 20), st.binary(min_size=2, max_size=253))
def test_every_fault_can_meet_every_answer(fault: Fault, cut: int, pdu: bytes) -> None:
    """No answer, however odd, breaks the server that disturbs it."""
    disturb(Injection(fault, cut=cut), modbus_frame(1, 1, pdu))


def test_impossible_plans_are_refused() -> None:
    """Rates, codes, times and cuts have their ranges."""
    with pytest.raises(ConfigError, match=r"rate: expected 0\.\.1"):
        FaultPlan.seeded(1, rate=1.5)
    with pytest.raises(ConfigError, match="at least one kind"):
        FaultPlan.seeded(1, faults=())
    with pytest.raises(ConfigError, match=r"1\.\.255"):
        Injection(Fault.EXCEPTION, code=0)
    with pytest.raises(ConfigError, match="seconds"):
        Injection(Fault.DELAY, seconds=-1.0)
    with pytest.raises(ConfigError, match="cut"):
        Injection(Fault.TRUNCATE, cut=-1)
