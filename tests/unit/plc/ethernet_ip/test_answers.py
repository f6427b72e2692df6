"""Answers of services: whatever comes gives answers or a `ProtocolError`."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bifrost.errors import ProtocolError
from bifrost.plc.ethernet_ip.answers import Answer, parse_answer, parse_answers


def test_an_answer_has_its_parts() -> None:
    """Service, general status, first word of the extended one, data; CIP volume 1 section 2-4.2."""
    assert parse_answer(bytes.fromhex("cc00 0000 c400 07000000")) == Answer(
        0x4C, 0, None, bytes.fromhex("c40007000000")
    )
    assert parse_answer(bytes.fromhex("cc00 ff01 0521")) == Answer(0x4C, 0xFF, 0x2105, b"")
    assert parse_answer(bytes.fromhex("cc00 0402 0100 0200 99")) == Answer(0x4C, 4, 1, b"\x99")
    assert parse_answer(bytes.fromhex("d200 0600 ca00")).ok
    assert not parse_answer(bytes.fromhex("d200 0500")).ok


@pytest.mark.parametrize("raw", [b"", b"\xcc\0\0", b"\x4c\0\0\0", b"\xcc\0\xff\x01", b"\xcc\0\xff\xff" + bytes(40)])
def test_what_is_no_answer_is_told(raw: bytes) -> None:
    """Too short, no answer, an extended status that is not there."""
    with pytest.raises(ProtocolError):
        parse_answer(raw)


def _joined(answers: list[bytes]) -> bytes:
    start, places = 2 + 2 * len(answers), []
    for one in answers:
        places.append(start)
        start += len(one)
    return struct.pack(f"<{len(answers) + 1}H", len(answers), *places) + b"".join(answers)


@given(st.lists(st.binary(max_size=20), min_size=1, max_size=20))
def test_several_answers_come_apart_as_they_were_joined(bodies: list[bytes]) -> None:
    """In order, each with its own data."""
    raw = [b"\xcc\0\0\0" + body for body in bodies]
    assert [one.data for one in parse_answers(_joined(raw), len(raw))] == bodies


@pytest.mark.parametrize("expected", [0, 1, 3])
def test_another_number_of_answers_is_told(expected: int) -> None:
    """More or fewer than were asked for."""
    with pytest.raises(ProtocolError):
        parse_answers(_joined([b"\xcc\0\0\0"] * 2), expected)


@given(st.binary(max_size=120), st.integers(1, 8))
def test_any_bytes_give_answers_or_a_named_error(raw: bytes, expected: int) -> None:
    """Nothing else is ever raised, and there are as many as were asked for."""
    try:
        assert len(parse_answers(raw, expected)) == expected
    except ProtocolError:
        return


@given(st.binary(max_size=60))
def test_any_bytes_give_an_answer_or_a_named_error(raw: bytes) -> None:
    """Nothing else is ever raised."""
    try:
        assert 0 <= parse_answer(raw).status <= 255
    except ProtocolError:
        return
