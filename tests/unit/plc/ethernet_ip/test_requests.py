"""Requests of the tag services, byte by byte, and the types of their values."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bifrost.core.quality import StatusCode
from bifrost.core.value import Value
from bifrost.errors import AddressError, BifrostError, DataTypeError, LinkTimeout, NotConnected, ProtocolError
from bifrost.plc import DataType, Tag
from bifrost.plc.ethernet_ip.address import Segment
from bifrost.plc.ethernet_ip.cip_types import (
    atomic_type,
    atomic_type_of,
    decode_atomic,
    decode_bits,
    encode_atomic,
    fits,
    name_of,
)
from bifrost.plc.ethernet_ip.faults import cip_fault, status_of
from bifrost.plc.ethernet_ip.plan import LogixPlan
from bifrost.plc.ethernet_ip.requests import (
    encode_path,
    modify_request,
    multiple_request,
    read_part_request,
    read_request,
    write_part_request,
    write_request,
)


# 1756-PM020, "CIP services and the user-specified tag names": the examples of its pages.
@pytest.mark.parametrize(
    ("segments", "expected"),
    [
        ((Segment("rate"),), "03 9104 72617465"),
        ((Segment("TotalCount"),), "06 910a 546f74616c436f756e74"),
        ((Segment("array", (5,)),), "05 9105 617272617900 2805"),
        ((Segment("array", (300,)),), "06 9105 617272617900 2900 2c01"),
        ((Segment("array", (70000,)),), "07 9105 617272617900 2a00 70110100"),
        ((Segment("profile", (0, 1, 257)),), "09 9107 70726f66696c6500 2800 2801 2900 0101"),
        ((Segment("Program:Main.x"),), "09 910c 50726f6772616d3a4d61696e 9101 7800"),
        ((Segment("a"), Segment("b", (2,))), "05 9101 6100 9101 6200 2802"),
    ],
)
def test_paths_are_packed_as_the_manual_does(segments: tuple[Segment, ...], expected: str) -> None:
    """Names padded to words, indexes as short as they can be, the length in words before all."""
    assert encode_path(segments) == bytes.fromhex(expected)


def test_a_path_that_no_request_can_carry_is_refused() -> None:
    """Its length has one byte."""
    with pytest.raises(AddressError, match="510"):
        encode_path([Segment("x" * 200)] * 3)


def test_services_are_packed_as_the_manual_does() -> None:
    """Read, write, read-modify-write, parts, several in one."""
    path = encode_path([Segment("rate")])
    assert read_request(path, 2) == bytes.fromhex("4c 03 9104 72617465 0200")
    assert read_part_request(path, 2, 490) == bytes.fromhex("52 03 9104 72617465 0200 ea010000")
    assert write_request(path, b"\xc4\0", 1, b"\x0e\0\0\0") == bytes.fromhex("4d 03 9104 72617465 c400 0100 0e000000")
    assert write_part_request(path, b"\xc4\0", 2, 4, b"\1\0\0\0") == bytes.fromhex(
        "53 03 9104 72617465 c400 0200 04000000 01000000"
    )
    assert modify_request(path, 4, 0x4, 0xFFFF_FFDF) == bytes.fromhex("4e 03 9104 72617465 0400 04000000 dfffffff")
    assert multiple_request([b"\x4c\x01", b"\x4d"]) == bytes.fromhex("0a 02 2002 2401 0200 0600 0800 4c01 4d")


_CODES = [code for code in range(0x100) if atomic_type(code) is not None]


@given(st.sampled_from(_CODES), st.binary(max_size=64), st.integers(1, 8))
def test_any_bytes_give_values_or_a_named_error(code: int, raw: bytes, count: int) -> None:
    """As many as were asked for, or `ProtocolError`."""
    kind = atomic_type(code)
    assert kind is not None
    try:
        values = decode_atomic(kind, raw, count)
    except ProtocolError:
        return
    assert len(values) == count


@given(st.sampled_from(_CODES), st.data())
def test_values_survive_a_round_trip(code: int, data: st.DataObject) -> None:
    """What was packed comes back as it was."""
    kind = atomic_type(code)
    assert kind is not None
    if kind.datatype is DataType.STRING:
        values: list[object] = [data.draw(st.text(st.characters(max_codepoint=255), max_size=40))]
    elif kind.datatype is DataType.BOOL:
        values = [data.draw(st.booleans())]
    elif kind.form in "fd":
        values = [data.draw(st.floats(width=32 if kind.form == "f" else 64))]
    else:
        top = 1 << 8 * kind.size
        low, high = (-(top // 2), top // 2 - 1) if kind.form.islower() else (0, top - 1)
        values = [data.draw(st.integers(low, high))]
    (back,) = decode_atomic(kind, encode_atomic(kind, values), 1)
    assert back == values[0] or (isinstance(back, float) and math.isnan(back))
    assert type(back) is type(values[0])


@given(st.binary(min_size=1, max_size=16), st.data())
def test_bits_count_from_the_lowest_of_the_first_byte(raw: bytes, data: st.DataObject) -> None:
    """As the integer of these bytes has them."""
    first = data.draw(st.integers(0, len(raw) * 8 - 1))
    count = data.draw(st.integers(1, len(raw) * 8 - first))
    number = int.from_bytes(raw, "little")
    assert decode_bits(raw, first, count) == [bool(number >> at & 1) for at in range(first, first + count)]
    with pytest.raises(ProtocolError):
        decode_bits(raw, first, len(raw) * 8 - first + 1)


def test_types_fit_what_they_are() -> None:
    """Nothing is converted: a DINT is no UINT32."""
    assert fits(DataType.INT32, 0xC4)
    assert fits(DataType.AUTO, 0xC4)
    assert not fits(DataType.UINT32, 0xC4)
    assert not fits(DataType.FLOAT32, 0xC4)
    assert fits(DataType.BOOL, 0xD3)
    assert not fits(DataType.AUTO, 0xEE)
    assert name_of(0xCA) == "REAL"
    assert name_of(0x02A0) == "a structure"
    assert name_of(0xEE) == "type 0xee"
    made = {datatype: atomic_type_of(datatype) for datatype in DataType}
    assert {one.name for one in made.values() if one is not None} == {
        *("BOOL", "SINT", "INT", "DINT", "LINT", "USINT", "UINT", "UDINT", "ULINT", "REAL", "LREAL")
    }


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (cip_fault("x", 0x05), StatusCode.BAD_NODE_ID_UNKNOWN),
        (cip_fault("x", 0x10, 0x2101), StatusCode.BAD_OUT_OF_SERVICE),
        (cip_fault("x", 0xFF, 0x2107), StatusCode.BAD_TYPE_MISMATCH),
        (cip_fault("x", 0xFF), StatusCode.BAD_DEVICE_FAILURE),
        (cip_fault("x", 0x77), StatusCode.BAD_DEVICE_FAILURE),
        (LinkTimeout("x"), StatusCode.BAD_TIMEOUT),
        (NotConnected("x"), StatusCode.BAD_NOT_CONNECTED),
        (DataTypeError("x"), StatusCode.BAD_TYPE_MISMATCH),
        (ProtocolError("x"), StatusCode.BAD_DECODING_ERROR),
        (BifrostError("x"), StatusCode.BAD_COMMUNICATION_ERROR),
    ],
)
def test_what_goes_wrong_has_a_status(error: BifrostError, expected: StatusCode) -> None:
    """None of them is GOOD."""
    assert status_of(error) is expected


def test_a_plan_is_cut_into_chunks_and_put_together_again() -> None:
    """Slots without holes, wide ones named, errors for each value of an array."""
    tags = [Tag(f"t{at}", f"Arr{at}", DataType.INT32, count=7000, protocol="ethernet-ip") for at in range(4)]
    tags += [Tag(f"s{at}", f"Speed{at}", protocol="ethernet-ip") for at in range(600)]
    plan = LogixPlan(tags)
    assert plan.total == 4 * 7000 + 600
    assert list(plan.slots[:5]) == [0, 7000, 14000, 21000, 28000]
    assert plan.wide == tuple(range(28000, 28600))
    assert all(len(chunk.addresses) <= 500 for chunk in plan.chunks)
    assert [address for chunk in plan.chunks for address in chunk.addresses] == [one.resolved for one in tags]
    values: list[Value] = [None] * plan.total
    errors: dict[int, BifrostError] = {}
    for chunk in plan.chunks:
        brought: list[list[Value] | BifrostError] = [
            [slot] * one.count for slot, one in zip(chunk.slots, chunk.addresses, strict=True)
        ]
        plan.place(chunk, brought, values, errors)
    assert values[:2] == [0, 0]
    assert values[7000] == 7000
    assert values[-1] == plan.total - 1
    first = plan.chunks[0]
    plan.place(first, [NotConnected("x")] * len(first.addresses), values, errors)
    assert set(errors) == set(range(first.total))
