"""Addresses of Logix tags: every form, and what is said of those that are none."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bifrost.errors import AddressError, ConfigError, DataTypeError
from bifrost.plc import DataType, Tag
from bifrost.plc.ethernet_ip.address import LogixAddress, parse_logix_address, recognises_logix_address


def _parsed(address: object, datatype: object = None, **more: Any) -> LogixAddress:
    made = Tag("wanted", address, datatype, protocol="ethernet-ip", **more)  # type: ignore[arg-type]  # wrong ones too
    resolved: LogixAddress = made.resolved
    return resolved


@pytest.mark.parametrize(
    ("address", "path", "datatype", "count", "bit"),
    [
        ("Speed", "Speed", DataType.AUTO, 1, None),
        ("  Speed ", "Speed", DataType.AUTO, 1, None),
        ("_x1", "_x1", DataType.AUTO, 1, None),
        ("Program:Main.Tag[3].Member", "Program:Main.Tag[3].Member", DataType.AUTO, 1, None),
        ("Arr[2,3]", "Arr[2,3]", DataType.AUTO, 1, None),
        ("Arr[ 1, 2 ,3 ].x", "Arr[1,2,3].x", DataType.AUTO, 1, None),
        ("Arr{10}", "Arr", DataType.AUTO, 10, None),
        ("Arr[5]{10}", "Arr[5]", DataType.AUTO, 10, None),
        ("Word.5", "Word", DataType.BOOL, 1, 5),
        ("Arr[1].31", "Arr[1]", DataType.BOOL, 1, 31),
        ("Motor.Status.0", "Motor.Status", DataType.BOOL, 1, 0),
        ("%Tag[3]:DINT:10", "Tag[3]", DataType.INT32, 10, None),
        ("%Tag", "Tag", DataType.AUTO, 1, None),
        ("Speed:REAL", "Speed", DataType.FLOAT32, 1, None),
        ("Name:STRING(20)", "Name", DataType.STRING, 1, None),
        ("Local:1:I.Data.3", "Local:1:I.Data", DataType.BOOL, 1, 3),
        ("Rack:O.Data[2]", "Rack:O.Data[2]", DataType.AUTO, 1, None),
        ("Rack:O:DINT", "Rack:O", DataType.INT32, 1, None),
    ],
)
def test_every_form_has_one_meaning(address: str, path: str, datatype: DataType, count: int, bit: int | None) -> None:
    """Path, type, count and bit."""
    parsed = _parsed(address)
    assert (parsed.path, parsed.datatype, parsed.count, parsed.bit) == (path, datatype, count, bit)


def test_fields_of_the_tag_do_as_well() -> None:
    """Count, bit, length and type may stand beside the address, or in it, and must agree."""
    assert _parsed("Arr", count=5).count == 5
    assert _parsed("Word", bit=3).bit == 3
    assert _parsed("Name", "STRING", length=20).length == 20
    assert _parsed("Arr{5}", count=5).count == 5
    for address, more in (("Arr{5}", {"count": 6}), ("Word.3", {"bit": 4}), ("%T:DINT", {"datatype": "REAL"})):
        with pytest.raises(AddressError, match="keep one"):
            _parsed(address, **more)


@pytest.mark.parametrize(
    ("address", "hint"),
    [
        (40001, "modbus"),
        ("40001", "modbus"),
        ("00001", "modbus"),
        ("holding-register:1", "modbus"),
        ("4x00001", "modbus"),
        ("DB1.DBX0.0", "s7"),
        ("DB1,REAL4", "s7"),
        ("%DB1.DBD4:REAL", "s7"),
        ("%MW20:INT", "s7"),
        ("%M10.3:BOOL", "s7"),
        ("", "Program:Main"),
        ("Tag[", "Program:Main"),
        ("Tag[]", "Program:Main"),
        ("Tag[1,2,3,4]", "Program:Main"),
        ("Tag..x", "Program:Main"),
        ("Tag{}", "Program:Main"),
        ("1Tag", "Program:Main"),
        ("Tag x", "Program:Main"),
        ("Tag-x", "Program:Main"),
        ("Motör", "Program:Main"),
        ("Arr{0}", "count"),
        ("Arr{65536}", "count"),
        ("Word.64", "bit"),
        ("Word.3{2}", "arrays"),
        ("Arr[4294967296]", "index"),
    ],
)
def test_what_is_no_address_is_refused_with_the_right_form(address: object, hint: str) -> None:
    """`AddressError` with the tag's name, and what to write instead."""
    with pytest.raises(AddressError) as raised:
        _parsed(address)
    assert "wanted" in str(raised.value)
    assert hint in str(raised.value)


@pytest.mark.parametrize(
    "more", [{"unit": 1}, {"byte_order": "CDAB"}, {"area": "coil", "offset": 1, "address": None}, {"length": 3}]
)
def test_options_of_other_protocols_are_refused(more: dict[str, Any]) -> None:
    """They would mean nothing here."""
    with pytest.raises(ConfigError):
        _parsed(more.pop("address", "Speed"), **more)


@pytest.mark.parametrize("datatype", ["FLOAT16", "BCD16", "BYTES"])
def test_types_that_no_controller_has_are_refused(datatype: str) -> None:
    """The text says what to do."""
    with pytest.raises(DataTypeError, match="AUTO"):
        _parsed("Speed", datatype)


def test_a_bit_is_a_bool() -> None:
    """Any other type for it is refused."""
    with pytest.raises(DataTypeError):
        _parsed("Word.3", "DINT")


@pytest.mark.parametrize(
    ("text", "surely"),
    [
        ("Program:Main.x", True),
        ("program:", True),
        ("Arr[2,3]", True),
        ("Arr{4}", True),
        ("Motor.Speed", True),
        ("Speed", False),
        ("HR1", False),
        ("40001", False),
        ("DB1.DBX0.0", False),
        ("M10.3", False),
        ("%MW20", False),
    ],
)
def test_only_what_can_be_nothing_else_is_recognised(text: str, surely: bool) -> None:
    """Other protocols have names too."""
    assert recognises_logix_address(text) is surely


@given(st.text(max_size=60))
def test_any_text_is_an_address_or_a_named_error(text: str) -> None:
    """Nothing else is ever raised."""
    try:
        parsed = _parsed(text)
    except ConfigError:
        return
    assert parsed.path
    assert 1 <= parsed.count <= 65535


_NAMES = st.from_regex(r"[A-Za-z_][A-Za-z0-9_]{0,10}", fullmatch=True)


@given(st.lists(_NAMES, min_size=1, max_size=4), st.lists(st.integers(0, 1000), max_size=3), st.integers(1, 65535))
def test_the_path_of_an_address_is_an_address_with_the_same_path(
    names: list[str], index: list[int], count: int
) -> None:
    """Writing it down loses nothing."""
    text = ".".join(names) + (f"[{','.join(map(str, index))}]" if index else "")
    try:
        first = _parsed(f"{text}{{{count}}}")
    except AddressError:
        return  # it looks like an address of another protocol
    again = parse_logix_address(Tag("t", first.path, protocol="ethernet-ip"))
    assert again.segments == first.segments
    assert first.count == count
