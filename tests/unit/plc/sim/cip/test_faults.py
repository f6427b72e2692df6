"""What each fault does to the bytes of a correct answer, and that a seed repeats itself."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bifrost.errors import ConfigError
from bifrost.plc.sim.actions import Action, Drop, Pause, Send, Silence
from bifrost.plc.sim.cip import CipFault, CipFaultPlan, CipInjection
from bifrost.plc.sim.cip.encapsulation import Frame, Item, decode_items, encode_items
from bifrost.plc.sim.cip.faults import disturb

CONNECTED = Frame(
    0x70,
    0x01020304,
    context=b"abcdefgh",
    data=encode_items([Item(0xA1, b"\x01\0\0\0"), Item(0xB1, b"\x07\0\xcc\0\0\0\xc4\0\x2a\0\0\0")]),
).encode()
UNCONNECTED = Frame(0x6F, 1, data=encode_items([Item(0), Item(0xB2, b"\x81\0\0\0")])).encode()


def disturbed(fault: CipFault, frame: bytes = CONNECTED, previous: bytes = b"", **options: object) -> list[Action]:
    return disturb(CipInjection(fault, **options), frame, previous)  # type: ignore[arg-type]  # options by name


def only(actions: list[Action]) -> Frame:
    (action,) = actions
    assert isinstance(action, Send)
    return Frame.decode(action.frame)


def test_no_fault_sends_the_frame_as_it_is() -> None:
    """One write, the very bytes; so do the faults that act before there is an answer."""
    assert disturb(None, CONNECTED, b"") == [Send(CONNECTED)]
    for fault in (CipFault.STATUS, CipFault.EMBEDDED, CipFault.PARTIAL, CipFault.CONNECTION_LOST):
        assert disturbed(fault) == [Send(CONNECTED)]


def test_each_fault_of_the_link_is_what_its_name_says() -> None:
    """Drops, delays, ends, hangs, pieces."""
    assert disturbed(CipFault.DROP) == []
    assert disturbed(CipFault.DELAY, seconds=2.0) == [Pause(2.0), Send(CONNECTED)]
    assert disturbed(CipFault.HANG, cut=30) == [Send(CONNECTED[:30]), Silence()]
    assert disturbed(CipFault.TRUNCATE, cut=9999) == [Send(CONNECTED[:-1]), Drop(reset=False)]
    assert disturbed(CipFault.FIN) == [Drop(reset=False)]
    assert disturbed(CipFault.RST) == [Drop(reset=True)]
    assert disturbed(CipFault.SILENCE) == [Silence()]
    assert disturbed(CipFault.DUPLICATE) == [Send(CONNECTED)] * 2
    assert disturbed(CipFault.GARBAGE, noise=b"xyz") == [Send(b"xyz")]
    assert disturbed(CipFault.STALE) == []
    assert disturbed(CipFault.STALE, previous=UNCONNECTED) == [Send(UNCONNECTED)]
    for fault, gap in ((CipFault.SPLIT, 0.0), (CipFault.SLOW_BYTES, 0.5)):
        actions = disturbed(fault, seconds=0.5)
        assert b"".join(one.frame for one in actions if isinstance(one, Send)) == CONNECTED
        assert actions.count(Pause(gap)) == len(CONNECTED) - 1


def test_each_fault_of_the_header_changes_its_field_and_no_other() -> None:
    """Session, context, sequence count, status; the length lies about the rest."""
    good = Frame.decode(CONNECTED)
    wrong = only(disturbed(CipFault.WRONG_SESSION))
    assert (wrong.session != good.session, wrong.context, wrong.data) == (True, good.context, good.data)
    wrong = only(disturbed(CipFault.WRONG_CONTEXT))
    assert (wrong.session, wrong.context != good.context, wrong.data) == (good.session, True, good.data)
    wrong = only(disturbed(CipFault.WRONG_SEQUENCE))
    assert wrong.data[20:22] == b"\x07\x55"
    assert (wrong.data[:20], wrong.data[22:]) == (good.data[:20], good.data[22:])
    assert disturbed(CipFault.WRONG_SEQUENCE, UNCONNECTED) == [Send(UNCONNECTED)]
    wrong = only(disturbed(CipFault.INVALID_SESSION))
    assert (wrong.status, wrong.data, wrong.context) == (0x64, b"", good.context)
    (action,) = disturbed(CipFault.WRONG_LENGTH)
    assert action == Send(CONNECTED[:2] + (len(good.data) - 4).to_bytes(2, "little") + CONNECTED[4:])
    (action,) = disturbed(CipFault.COALESCE)
    assert isinstance(action, Send)
    assert action.frame.endswith(CONNECTED)
    assert Frame.decode(action.frame[: len(CONNECTED)]).context != good.context


def test_an_answer_that_does_not_fit_is_well_formed() -> None:
    """Another service, or a byte less with every length in order; what carries no data, or no answer, stays."""
    good = Frame.decode(CONNECTED)
    wrong = only(disturbed(CipFault.WRONG_SERVICE))
    assert wrong.data == good.data[:22] + b"\xcd" + good.data[23:]
    short = only(disturbed(CipFault.SHORT_DATA))
    assert decode_items(short.data) == [Item(0xA1, b"\x01\0\0\0"), Item(0xB1, b"\x07\0\xcc\0\0\0\xc4\0\x2a\0\0")]
    wrong = only(disturbed(CipFault.WRONG_SERVICE, UNCONNECTED))
    assert decode_items(wrong.data) == [Item(0), Item(0xB2, b"\x80\0\0\0")]
    assert disturbed(CipFault.SHORT_DATA, UNCONNECTED) == [Send(UNCONNECTED)]
    registered = Frame(0x65, 1, data=b"\1\0\0\0").encode()
    for fault in (CipFault.WRONG_SERVICE, CipFault.SHORT_DATA):
        assert disturbed(fault, registered) == [Send(registered)]


def test_every_fault_has_an_effect_somewhere() -> None:
    """None is forgotten: it changes bytes, or services, or the connections."""
    for fault in CipFault:
        changes_bytes = disturbed(fault) != [Send(CONNECTED)]
        injection = CipInjection(fault)
        changes_services = injection.tampering.refusal is not None or injection.tampering.room is not None
        assert changes_bytes or changes_services or fault is CipFault.CONNECTION_LOST


@given(st.integers(0, 2**32), st.floats(0, 1))
def test_a_seed_gives_the_same_plan_byte_for_byte(seed: int, rate: float) -> None:
    """Two plans of one seed inject the same, noise and cuts included."""
    one, two = (CipFaultPlan.seeded(seed, rate=rate) for _ in range(2))
    drawn = [one.next_injection() for _ in range(30)]
    assert drawn == [two.next_injection() for _ in range(30)]
    assert one.history == drawn


def test_plans_are_scripts_rates_or_for_ever() -> None:
    """Entries in order and then none; a share of the requests; the same without end."""
    plan = CipFaultPlan.script(CipFault.DROP, None, CipInjection(CipFault.STATUS, code=6))
    drawn = [plan.next_injection() for _ in range(4)]
    assert drawn == [CipInjection(CipFault.DROP), None, CipInjection(CipFault.STATUS, code=6), None]
    plan = CipFaultPlan.seeded(5, rate=0.1)
    assert 150 <= sum(plan.next_injection() is not None for _ in range(2000)) <= 250
    plan = CipFaultPlan.always(CipFault.RST)
    assert {plan.next_injection() for _ in range(50)} == {CipInjection(CipFault.RST)}


@pytest.mark.parametrize(
    "options", [{"seconds": -1.0}, {"code": 0}, {"code": 256}, {"extended": 65536}, {"index": -1}, {"cut": -1}]
)
def test_impossible_injections_are_refused(options: dict[str, float]) -> None:
    """The text names the field."""
    with pytest.raises(ConfigError, match=next(iter(options))):
        CipInjection(CipFault.STATUS, **options)  # type: ignore[arg-type]  # options by name


def test_impossible_plans_are_refused() -> None:
    """A rate beyond 1, or nothing to draw from."""
    with pytest.raises(ConfigError, match="rate"):
        CipFaultPlan.seeded(1, rate=1.5)
    with pytest.raises(ConfigError, match="faults"):
        CipFaultPlan.seeded(1, faults=())
