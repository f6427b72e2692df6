"""S7 jobs and answers: snap7's own as oracle, and answers that are none."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from snap7.datatypes import S7Area as Snap7Area
from snap7.datatypes import S7WordLen
from snap7.s7protocol import S7Protocol

from bifrost.errors import ProtocolError, S7Fault
from bifrost.plc.s7.pdu import (
    OK,
    READ_VAR,
    WRITE_VAR,
    Transport,
    item_specification,
    job,
    open_answer,
    read_parameters,
    read_results,
    write_data,
    write_parameters,
    write_results,
)

_places = st.tuples(
    st.sampled_from([0x81, 0x82, 0x83, 0x84]), st.integers(1, 65535), st.integers(0, 65535), st.integers(1, 480)
)


@given(st.lists(_places, min_size=1, max_size=20))
def test_a_read_of_many_items_is_snap7s(places: list[tuple[int, int, int, int]]) -> None:
    """Byte for byte."""
    protocol = S7Protocol()
    theirs = protocol.build_multi_read_request(places)
    ours = [
        item_specification(area, db if area == 0x84 else 0, start * 8, size, Transport.BYTE)
        for area, db, start, size in places
    ]
    assert job(protocol.sequence, read_parameters(ours)) == theirs


@given(st.integers(1, 65535), st.integers(0, 65535), st.binary(min_size=1, max_size=99))
def test_a_write_of_bytes_is_snap7s(db: int, start: int, data: bytes) -> None:
    """Byte for byte."""
    protocol = S7Protocol()
    theirs = protocol.build_write_request(Snap7Area.DB, db, start, S7WordLen.BYTE, data)
    parameters = write_parameters([item_specification(0x84, db, start * 8, len(data), Transport.BYTE)])
    assert job(protocol.sequence, parameters, write_data([(Transport.VALUE_BYTES, data)])) == theirs


@given(st.integers(0, 65535), st.integers(0, 7), st.booleans())
def test_a_write_of_a_bit_is_snap7s(byte: int, bit: int, on: bool) -> None:
    """Transport size BIT, length 1."""
    protocol = S7Protocol()
    value = bytes([on])
    theirs = protocol.build_write_request(Snap7Area.MK, 0, byte * 8 + bit, S7WordLen.BIT, value)
    parameters = write_parameters([item_specification(0x83, 0, byte * 8 + bit, 1, Transport.BIT)])
    assert job(protocol.sequence, parameters, write_data([(Transport.VALUE_BITS, value)])) == theirs


@given(st.integers(0, 65535), st.binary(min_size=2, max_size=2))
def test_a_write_of_a_timer_is_snap7s(number: int, data: bytes) -> None:
    """Addressed by number, its value as octets."""
    protocol = S7Protocol()
    theirs = protocol.build_write_request(Snap7Area.TM, 0, number, S7WordLen.TIMER, data)
    parameters = write_parameters([item_specification(0x1D, 0, number, 1, Transport.TIMER)])
    assert job(protocol.sequence, parameters, write_data([(Transport.VALUE_OCTETS, data)])) == theirs


def _answer(data: bytes, *, reference: int = 7, function: int = READ_VAR, items: int = 1, error: int = 0) -> bytes:
    header = bytes.fromhex("32030000") + reference.to_bytes(2) + (2).to_bytes(2) + len(data).to_bytes(2)
    return header + error.to_bytes(2) + bytes([function, items]) + data


def test_items_are_told_apart() -> None:
    """Good ones by their bytes, padded to even lengths; bad ones by their return code."""
    data = bytes.fromhex("ff040008 aa 000a000000ff090002 0102ff070004 3f80000005000000ff030001 01")
    opened = open_answer(_answer(data, items=6), 7, READ_VAR, 6)
    assert read_results(opened, [1, 4, 2, 4, 2, 1]) == [b"\xaa", 0x0A, b"\1\2", b"\x3f\x80\0\0", 0x05, b"\1"]


@pytest.mark.parametrize(
    ("data", "sizes"),
    [
        (bytes.fromhex("ff0400"), [1]),
        (bytes.fromhex("ff040010 aabb"), [1]),
        (bytes.fromhex("ff040010 aa"), [2]),
        (bytes.fromhex("ff040008 aa"), [1, 1]),
        (bytes.fromhex("ff040008 aa bb cc"), [1]),
    ],
)
def test_items_that_do_not_fit_are_a_protocol_error(data: bytes, sizes: list[int]) -> None:
    """Too short, too long, too few, too many bytes."""
    with pytest.raises(ProtocolError):
        read_results(data, sizes)


@pytest.mark.parametrize(
    "pdu",
    [
        b"",
        b"\x32\x03",
        _answer(b"", reference=8),
        _answer(b"\xff", function=WRITE_VAR),
        _answer(b"\xff", items=2),
        _answer(b"\xff")[:-1],
        _answer(b"\xff") + b"\0",
        b"\x31" + _answer(b"\xff")[1:],
        b"\x32\x07" + _answer(b"\xff")[2:],
    ],
)
def test_what_is_no_answer_to_the_job_is_a_protocol_error(pdu: bytes) -> None:
    """Another number, another function, another count, or no answer at all."""
    with pytest.raises(ProtocolError):
        open_answer(pdu, 7, READ_VAR, 1)


def test_a_refused_job_is_a_fault_with_its_code() -> None:
    """An S7-1200 without PUT/GET says 0x8104; the text says where to permit it."""
    with pytest.raises(S7Fault, match="PUT/GET") as caught:
        open_answer(_answer(b"", error=0x8104), 7, READ_VAR, 1)
    assert caught.value.code == 0x8104


@given(st.binary(max_size=80), st.lists(st.integers(1, 30), min_size=1, max_size=20))
def test_any_bytes_are_items_or_a_protocol_error(data: bytes, sizes: list[int]) -> None:
    """Nothing else is raised, whatever comes."""
    try:
        results = read_results(data, sizes)
    except ProtocolError:
        return
    for result, size in zip(results, sizes, strict=True):
        assert isinstance(result, int) or len(result) == size


@given(st.binary(max_size=60))
def test_any_bytes_are_an_answer_or_an_error_of_ours(pdu: bytes) -> None:
    """Nothing else is raised, whatever comes."""
    try:
        data = open_answer(pdu, 7, READ_VAR, 1)
    except (ProtocolError, S7Fault):
        return
    assert pdu.endswith(data)


def test_a_write_has_a_code_for_each_item() -> None:
    """Or its answer is none."""
    assert write_results(bytes([OK, 5]), 2) == [OK, 5]
    with pytest.raises(ProtocolError):
        write_results(bytes([OK]), 2)
