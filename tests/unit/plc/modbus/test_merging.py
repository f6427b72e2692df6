"""Neighbouring writes become one request, and the device ends up with the same values."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bifrost.plc import Area, ByteOrder, Tag
from bifrost.plc.drivers.base import WriteItem
from bifrost.plc.modbus.merging import merge_writes
from bifrost.plc.modbus.writing import BitsWrite, ValuesWrite, WriteSingle, encode_write_item


def item(address: str, value: object, *, single: WriteSingle = "auto") -> WriteItem:
    tag = Tag(address, address, access="rw", protocol="modbus-tcp")
    return encode_write_item(tag, value, unit=1, byte_order=ByteOrder.ABCD, single=single)


def merged(items: Sequence[WriteItem], *, single: WriteSingle = "auto", most: int = 123) -> list[str]:
    return [one.request.pdu.hex() for one in merge_writes(items, single=single, most=most)]


def test_what_follows_each_other_in_list_and_device_is_one_request() -> None:
    """Single registers, wide values, arrays; the item bears the first one's tag."""
    items = [item("HR1", 1), item("HR2:INT32", 2), item("HR4[2]", [3, 4])]
    (one,) = merge_writes(items, single="auto", most=123)
    assert one.request.pdu.hex() == "100000" + "00050a" + "00010000000200030004"
    assert one.tag.name == "HR1"
    assert merged([item("C1", True), item("C2", False), item("C3", True)]) == ["0f0000" + "00030105"]


@pytest.mark.parametrize(
    "addresses",
    [
        ("HR1", "HR3"),
        ("HR2", "HR1"),
        ("HR1", "HR1"),
        ("HR1", "2!HR2"),
        ("HR1", "HR9.3"),
    ],
)
def test_what_does_not_is_left_alone(addresses: tuple[str, str]) -> None:
    """A gap, the wrong order, the same place twice, another unit, a bit."""
    items = [item(address, True if "." in address else 7) for address in addresses]
    assert merge_writes(items, single="auto", most=123) == items


def test_coils_and_registers_are_never_one() -> None:
    """They are different functions, whatever their numbers."""
    items = [item("C1", True), item("HR2", 1)]
    assert merge_writes(items, single="auto", most=123) == items


def test_bits_of_one_register_are_one_masked_write() -> None:
    """The other bits stay; a bit that is named twice is written twice."""
    assert merged([item("HR5.0", True), item("HR5.1", False), item("HR5.15", True)]) == ["160004" + "7ffc" + "8001"]
    assert len(merged([item("HR5.0", True), item("HR5.0", False)])) == 2
    assert len(merged([item("HR5.0", True), item("HR6.1", False)])) == 2


def test_limits_are_kept() -> None:
    """No request is longer than the device takes, and none is joined for one that takes single values only."""
    items = [item(f"HR{at}", at) for at in range(1, 8)]
    assert [len(pdu) for pdu in merged(items, most=3)] == [2 * (6 + 6), 2 * (6 + 6), 2 * 5]
    singles = [item(f"HR{at}", at, single="6") for at in range(1, 4)]
    assert merged(singles, single="6") == ["0600000001", "0600010002", "0600020003"]
    alone = [item("HR1", 9, single="16")]
    assert merged(alone, single="16") == ["10000000010200" + "09"]


WRITES = st.lists(
    st.one_of(
        st.tuples(st.just(Area.HOLDING), st.integers(1, 12), st.lists(st.integers(0, 65535), min_size=1, max_size=3)),
        st.tuples(st.just(Area.COIL), st.integers(1, 12), st.lists(st.booleans(), min_size=1, max_size=3)),
        st.tuples(st.integers(0, 15), st.integers(1, 4), st.lists(st.booleans(), min_size=1, max_size=1)),
    ),
    max_size=12,
)


@given(WRITES, st.integers(1, 6))
def test_merging_changes_no_outcome(writes: list[tuple[Area | int, int, list[int]]], most: int) -> None:
    """The device's memory is the same after the merged requests as after the single ones, and none is too long."""
    items = []
    for where, number, values in writes:
        if isinstance(where, Area):
            prefix = "HR" if where is Area.HOLDING else "C"
            suffix = f"[{len(values)}]" if len(values) > 1 else ""
            items.append(item(f"{prefix}{number}{suffix}", values if suffix else values[0]))
        else:
            items.append(item(f"HR{number}.{where}", values[0]))
    joined = merge_writes(items, single="auto", most=max(3, most))
    assert _memory(items) == _memory(joined)
    assert len(joined) <= len(items)
    assert [one.tag for one in joined] == [one.tag for one in items if any(one.tag is other.tag for other in joined)]
    for one in joined:
        assert not isinstance(one.request, ValuesWrite) or one.request.bits or len(one.request.values) <= max(3, most)


def _memory(items: Sequence[WriteItem]) -> dict[tuple[bool, int], int]:
    memory: dict[tuple[bool, int], int] = {}
    for one in items:
        request = one.request
        if isinstance(request, BitsWrite):
            memory[False, request.address] = request.applied_to(memory.get((False, request.address), 0))
        else:
            memory.update({(request.bits, request.address + at): value for at, value in enumerate(request.values)})
    return memory
