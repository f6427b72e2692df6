"""Tags and their addresses: understood, or refused with a hint, before anything is sent."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bifrost.errors import AddressError, BifrostError, ConfigError, DataTypeError
from bifrost.plc import Area, ByteOrder, DataType, Tag
from bifrost.plc.drivers.registry import protocol_named

HR, IR, DI, COIL = Area.HOLDING, Area.INPUT, Area.DISCRETE_INPUT, Area.COIL


@pytest.mark.parametrize(
    ("address", "area", "offset"),
    [
        (40001, HR, 0),
        (49999, HR, 9998),
        (400001, HR, 0),
        (465536, HR, 65535),
        (30001, IR, 0),
        (365536, IR, 65535),
        (10001, DI, 0),
        (100001, DI, 0),
        (165536, DI, 65535),
        ("40001", HR, 0),
        ("00001", COIL, 0),
        ("000001", COIL, 0),
        ("065536", COIL, 65535),
        ("4x00001", HR, 0),
        ("4X0001", HR, 0),
        ("3x000010", IR, 9),
        ("1x0001", DI, 0),
        ("0x00001", COIL, 0),
        ("HR1", HR, 0),
        ("HR_1", HR, 0),
        ("hr65536", HR, 65535),
        ("IR7", IR, 6),
        ("DI2", DI, 1),
        ("C3", COIL, 2),
        ("holding-register:1", HR, 0),
        ("input-register:2", IR, 1),
        ("discrete-input:3", DI, 2),
        ("coil:4", COIL, 3),
        (" HR1 ", HR, 0),
    ],
)
def test_every_form_of_an_address_means_one_place(address: str | int, area: Area, offset: int) -> None:
    """Numbers count from 1, protocol addresses from 0."""
    resolved = Tag("t", address).resolved
    assert (resolved.area, resolved.offset) == (area, offset)


@pytest.mark.parametrize(
    ("address", "fields"),
    [
        ("C1", {"count": 65536}),
        ("C1", {"count": 1.0}),
        ("HR1", {"unit": 1.5}),
        ("HR1", {"unit": "1"}),
        ("HR1", {"unit": True}),
        ("HR1", {"bit": 1.0}),
        ("HR1:STRING", {"length": 4.0}),
        ("HR1", {"scale": "2"}),
        ("HR1", {"scale": 10**400}),
        ("HR1", {"offset_value": True}),
        (10**5000, {}),
        ("HR" + "9" * 5000, {}),
    ],
    ids=range(12),
)
def test_a_number_of_the_wrong_kind_or_size_is_refused_where_the_tag_is_made(
    address: str | int, fields: dict[str, Any]
) -> None:
    """Not at the first read, and never with another exception than bifrost's own."""
    with pytest.raises(ConfigError):
        Tag("t", address, **fields)


def test_a_small_number_is_a_coil_if_it_is_a_bool() -> None:
    """What 00001 means once its zeros are lost."""
    assert Tag("t", 1, DataType.BOOL).resolved.area is COIL
    with pytest.raises(AddressError, match="'HR1'"):
        Tag("t", 1, DataType.INT16)


def test_suffixes_say_what_fields_say() -> None:
    """In any order; the prefix names the unit."""
    tag = Tag("t", "2!HR11[4]:float32{order=CDAB}")
    resolved = tag.resolved
    assert (resolved.unit, resolved.count, resolved.datatype) == (2, 4, DataType.FLOAT32)
    assert resolved.byte_order is ByteOrder.CDAB
    assert (tag.datatype, tag.count) == (DataType.FLOAT32, 4)
    assert tag.labels == ("t[0]", "t[1]", "t[2]", "t[3]")
    assert Tag("t", "holding-register:1:STRING(16)").resolved.length == 16
    assert Tag("t", "HR1{unit=3}").resolved.unit == 3
    assert Tag("t", "HR1.15").resolved.bit == 15
    assert Tag("t", "HR1.15").datatype is DataType.BOOL


def test_types_have_defaults() -> None:
    """Bits are BOOL, registers UINT16."""
    assert Tag("t", "C1").datatype is DataType.BOOL
    assert Tag("t", "IR1").datatype is DataType.UINT16


def test_an_explicit_offset_counts_from_zero() -> None:
    """The protocol's own numbering, for those who have the maker's table."""
    tag = Tag("t", area=Area.HOLDING, offset=0)
    assert (tag.resolved.area, tag.resolved.offset) == (HR, 0)
    assert Tag("t", area="coil", offset=65535).resolved.offset == 65535


@pytest.mark.parametrize(
    ("address", "fields", "error", "hint"),
    [
        (0, {}, AddressError, "cannot read address '0'"),
        (20001, {}, AddressError, "write 40001"),
        (50001, {}, AddressError, "write 40001"),
        (99999, {}, AddressError, "write 40001"),
        (40000, {}, AddressError, "from 1 to 65536"),
        (465537, {}, AddressError, "from 1 to 65536"),
        ("HR0", {}, AddressError, "the first is 'HR1'"),
        ("HR65537", {}, AddressError, "from 1 to 65536"),
        (40001.3, {}, AddressError, "write it as text"),
        (True, {}, AddressError, "expected an address"),
        (None, {}, AddressError, "has no address"),
        ("", {}, AddressError, "known forms"),
        ("DB1.DBD4", {"protocol": "modbus-tcp"}, AddressError, "address of an S7"),
        ("Speed", {"protocol": "modbus-tcp"}, AddressError, "known forms"),
        ("a speed", {}, AddressError, "known forms"),
        ("4x001", {}, AddressError, "4 to 6 digits"),
        ("0x0000001", {}, AddressError, "4 to 6 digits"),
        ("HR1;", {}, AddressError, "at the end of address"),
        ("HR1.3.4", {}, AddressError, "names the bit twice"),
        ("HR1{speed=3}", {}, AddressError, "unit=2"),
        ("HR1.16", {}, AddressError, "bits 0 to 15"),
        ("HR1[0]", {}, AddressError, "at least 1"),
        ("300!HR1", {}, AddressError, "0 to 255"),
        ("HR1:DOUBLE", {}, DataTypeError, "did you mean FLOAT64"),
        ("HR1:FLOAT31", {}, DataTypeError, "did you mean FLOAT3"),
        ("HR1", {"datatype": "BOOL"}, DataTypeError, "'HR1.0'"),
        ("HR1.2", {"datatype": "INT16"}, DataTypeError, "is a BOOL"),
        ("C1", {"datatype": "INT16"}, DataTypeError, "BOOL only"),
        ("HR65536", {"datatype": "FLOAT32"}, AddressError, "runs past"),
        ("HR65530[8]", {}, AddressError, "runs past"),
        ("HR1:STRING", {}, DataTypeError, "needs a length"),
        ("HR1:STRING(251)", {}, DataTypeError, "needs a length"),
        ("HR1", {"length": 4}, DataTypeError, "is for STRING"),
        ("HR1:INT16", {"datatype": "UINT16"}, AddressError, "keep one"),
        ("2!HR1", {"unit": 3}, AddressError, "keep one"),
        ("HR1", {"area": Area.COIL}, AddressError, "keep one"),
        ("HR1", {"offset": 3}, AddressError, "not both"),
        (None, {"offset": 3}, AddressError, "needs an area"),
        (None, {"offset": 65536, "area": Area.COIL}, AddressError, "0 to 65535"),
        ("IR1", {"access": "rw"}, AddressError, "can only be read"),
        ("HR1", {"access": "w"}, ConfigError, "'r' or 'rw'"),
        ("HR1", {"scale": 0}, ConfigError, "scale of 0"),
        ("HR1", {"scale": float("nan")}, ConfigError, "finite scale"),
        ("C1", {"scale": 2.0}, DataTypeError, "for numbers"),
        ("HR1", {"byte_order": "ABDC"}, ConfigError, "ABCD, CDAB"),
        ("HR1", {"protocol": "modbus-tpc"}, ConfigError, "did you mean 'modbus-tcp'"),
    ],
)
def test_wrong_tags_are_refused_with_a_hint(
    address: str | int | None, fields: dict[str, Any], error: type[Exception], hint: str
) -> None:
    """The text says what to write instead."""
    with pytest.raises(error, match=hint.replace("(", r"\(")):
        Tag("t", address, **fields)


def test_a_tag_needs_a_name() -> None:
    """An empty name could not be told apart, and a control character travels through no topic and no log."""
    with pytest.raises(ConfigError, match="expected a tag name"):
        Tag("  ", 40001)
    for name in ("a\nb", "a\0", "\x1b[31m", "a\x85b", "\ud800"):
        with pytest.raises(ConfigError, match="without control characters"):
            Tag(name, 40001)
    assert [Tag(name, 40001).name for name in ("a b", "Ofen 1 °C", "温度\u3000a")]


def test_tags_are_frozen_equal_by_meaning_and_usable_as_keys() -> None:
    """Metadata takes no part: it may hold what cannot be hashed."""
    one = Tag("t", 40001, metadata={"a": []})
    same = Tag("t", 40001, metadata={"b": {}})
    assert one == same
    assert {one: 1}[same] == 1
    assert one != Tag("t", 40002)
    assert one != Tag("t", 40001, scale=2.0)
    with pytest.raises(AttributeError):
        setattr(one, "name", "u")  # noqa: B010 - the type checker knows better than to assign it


@given(
    st.one_of(st.text(max_size=20), st.integers(), st.from_regex(r"(\d!)?(HR|C|4x)\d{1,6}(\.\d|\[\d\]|:[A-Z0-9]+)*"))
)
def test_any_address_is_understood_or_refused(address: str | int) -> None:
    """Never another exception, and never a place outside the device."""
    try:
        tag = Tag("t", address, protocol="modbus-tcp")
    except BifrostError as error:
        text = str(error)
        assert text.startswith("tag 't'")
    else:
        assert 0 <= tag.resolved.offset <= 65535


@pytest.mark.parametrize(
    ("address", "dialect", "datatype"),
    [
        (40001, "modbus-tcp", DataType.UINT16),
        ("C1", "modbus-tcp", DataType.BOOL),
        ("DB1.DBD4:REAL", "s7", DataType.FLOAT32),
        ("MW20", "s7", DataType.UINT16),
        ("Speed", "ethernet-ip", DataType.AUTO),
        ("Program:Main.Motor.Speed", "ethernet-ip", DataType.AUTO),
    ],
)
def test_a_tag_without_protocol_is_understood_by_the_first_that_can(
    address: str | int, dialect: str, datatype: DataType
) -> None:
    """Modbus, then S7, then EtherNet/IP; the connection's protocol has the last word."""
    tag = Tag("t", address)
    assert (tag.dialect, tag.datatype) == (dialect, datatype)
    assert tag.bound_to(protocol_named(dialect)) is tag


def test_a_tag_is_read_anew_by_the_protocol_of_its_connection() -> None:
    """What was written counts, not what another protocol made of it; what it names itself is kept."""
    coil = Tag("t", "C1")
    named = coil.bound_to(protocol_named("ethernet-ip"))
    assert (named.dialect, named.datatype) == ("ethernet-ip", DataType.AUTO)
    assert Tag("t", "HR1").bound_to(protocol_named("modbus-rtu")).dialect == "modbus-tcp", "the same addresses"
    with pytest.raises(AddressError, match="tag 't'"):
        Tag("t", "Speed").bound_to(protocol_named("modbus-tcp"))
    with pytest.raises(AddressError, match="has an address of s7, this connection speaks modbus-tcp"):
        Tag("t", "MW20", protocol="s7").bound_to(protocol_named("modbus-tcp"))


@pytest.mark.parametrize(
    ("fields", "hint"),
    [
        ({"clamp": (1.0, 0.0)}, "lowest, highest"),
        ({"clamp": (0.0,)}, "lowest, highest"),
        ({"clamp": (0.0, float("inf"))}, "lowest, highest"),
        ({"deadband": -1.0}, "deadband of 0 or more"),
        ({"deadband": float("nan")}, "finite deadband"),
        ({"deadband": 1.0, "deadband_type": "percent"}, "'abs' or 'pct'"),
        ({"max_age": -1.0}, "max_age of 0 or more"),
        ({"interval_ms": 0.5}, "interval_ms from 1"),
    ],
)
def test_wrong_options_of_a_tag_are_refused(fields: dict[str, Any], hint: str) -> None:
    """Where it is made."""
    with pytest.raises(ConfigError, match=hint):
        Tag("t", "HR1", **fields)


@pytest.mark.parametrize(
    ("written", "meant"),
    [("REAL", "FLOAT32"), ("dint", "INT32"), ("LREAL", "FLOAT64"), ("byte", "UINT8"), ("bcd16", "BCD16")],
)
def test_the_names_of_iec_61131_do_as_well(written: str, meant: str) -> None:
    """Automation engineers know them by heart."""
    assert DataType(written) is DataType[meant]
