"""Request paths: each form of segment, and no bytes that break the reader."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bifrost.errors import AddressError, CIPFault
from bifrost.plc.sim.cip.paths import Logical, LogicalKind, Port, Segment, Symbolic, parse_path, parse_tag_name


@pytest.mark.parametrize(
    ("wire", "segments"),
    [
        ("206b2405", [Logical(LogicalKind.CLASS, 0x6B), Logical(LogicalKind.INSTANCE, 5)]),
        ("206b25000201", [Logical(LogicalKind.CLASS, 0x6B), Logical(LogicalKind.INSTANCE, 0x102)]),
        ("206b260078563412", [Logical(LogicalKind.CLASS, 0x6B), Logical(LogicalKind.INSTANCE, 0x12345678)]),
        ("2802", [Logical(LogicalKind.ELEMENT, 2)]),
        ("29002c01", [Logical(LogicalKind.ELEMENT, 300)]),
        ("2a0000000100", [Logical(LogicalKind.ELEMENT, 65536)]),
        ("3007", [Logical(LogicalKind.ATTRIBUTE, 7)]),
        ("910353756d00", [Symbolic("Sum")]),
        ("91024162", [Symbolic("Ab")]),
        ("0100", [Port(1, b"\0")]),
        ("1208" + b"10.0.0.1".hex(), [Port(2, b"10.0.0.1")]),
        ("120931302e302e302e313200", [Port(2, b"10.0.0.12")]),
        ("0f123400", [Port(0x3412, b"\0")]),
        ("", []),
    ],
)
def test_each_form_of_segment_is_read(wire: str, segments: list[object]) -> None:
    """Logical segments of 8, 16 and 32 bits, symbols of odd and even length, ports with short and long links."""
    assert parse_path(bytes.fromhex(wire)) == segments


@pytest.mark.parametrize(
    "wire",
    [
        "2b0000000100",
        "28",
        "2900",
        "29002c",
        "9105414243",
        "9100",
        "91",
        "e0",
        "9101ff00",
        "12",
        "1209313030",
        "01",
        "0f12",
    ],
)
def test_broken_segments_are_path_segment_errors(wire: str) -> None:
    """The reserved 32-bit format of one client, cut segments, empty and foreign symbols: status 0x04."""
    with pytest.raises(CIPFault) as caught:
        parse_path(bytes.fromhex(wire))
    assert (caught.value.code, caught.value.extended) == (0x04, 0)


@given(st.binary(max_size=60))
def test_no_bytes_make_the_reader_raise_anything_else(data: bytes) -> None:
    """Any bytes: segments, no more than bytes, or status 0x04."""
    segments, code = list[Segment](), 0x04
    try:
        segments = parse_path(data)
    except CIPFault as fault:
        code = fault.code
    assert code == 0x04
    assert len(segments) <= len(data)


def test_a_tag_name_gives_the_segments_that_clients_send() -> None:
    """Program, member and indexes."""
    assert parse_tag_name("Program:Main.Motor[3].Axis[1,2]") == [
        Symbolic("Program:Main"),
        Symbolic("Motor"),
        Logical(LogicalKind.ELEMENT, 3),
        Symbolic("Axis"),
        Logical(LogicalKind.ELEMENT, 1),
        Logical(LogicalKind.ELEMENT, 2),
    ]


@pytest.mark.parametrize("name", ["", "a b", "a.", "a[", "a[x]", "a.3", "[1]", "a[1]b"])
def test_what_is_no_tag_name_is_refused(name: str) -> None:
    """The text says what a name looks like."""
    with pytest.raises(AddressError, match="expected a tag such as"):
        parse_tag_name(name)
