"""S7 addresses: every dialect, one meaning; snap7's own parser as oracle."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from snap7.tags import parse_tag
from snap7.type import Area as Snap7Area

from bifrost.errors import AddressError, ConfigError, DataTypeError
from bifrost.plc import DataType, Tag
from bifrost.plc.s7 import S7Address, S7Area, S7Type
from bifrost.plc.s7.notation import surely_s7
from bifrost.plc.s7.types import type_named

_AREAS = {
    Snap7Area.DB: S7Area.DB,
    Snap7Area.MK: S7Area.MERKER,
    Snap7Area.PE: S7Area.INPUT,
    Snap7Area.PA: S7Area.OUTPUT,
}


def _resolved(address: str, **more: object) -> S7Address:
    resolved: S7Address = Tag("x", address, protocol="s7", **more).resolved  # type: ignore[arg-type]  # fields of Tag
    return resolved


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("DB1.DBX0.3", (S7Area.DB, 1, 0, 3, S7Type.BOOL, 1, 0)),
        ("DB1.DBB4", (S7Area.DB, 1, 4, 0, S7Type.USINT, 1, 0)),
        ("DB1.DBW4", (S7Area.DB, 1, 4, 0, S7Type.UINT, 1, 0)),
        ("DB1.DBD4", (S7Area.DB, 1, 4, 0, S7Type.UDINT, 1, 0)),
        ("db1.dbd4:real", (S7Area.DB, 1, 4, 0, S7Type.REAL, 1, 0)),
        ("%DB1.DBD4:REAL", (S7Area.DB, 1, 4, 0, S7Type.REAL, 1, 0)),
        ("%DB1:4:REAL", (S7Area.DB, 1, 4, 0, S7Type.REAL, 1, 0)),
        ("DB1:4.3:BOOL", (S7Area.DB, 1, 4, 3, S7Type.BOOL, 1, 0)),
        ("DB1.DBX4:LREAL", (S7Area.DB, 1, 4, 0, S7Type.LREAL, 1, 0)),
        ("DB1,REAL4", (S7Area.DB, 1, 4, 0, S7Type.REAL, 1, 0)),
        ("DB1,R4", (S7Area.DB, 1, 4, 0, S7Type.REAL, 1, 0)),
        ("DB1,X0.3", (S7Area.DB, 1, 0, 3, S7Type.BOOL, 1, 0)),
        ("DB1,X14.2.9", (S7Area.DB, 1, 14, 2, S7Type.BOOL, 9, 0)),
        ("DB10,INT6.2", (S7Area.DB, 10, 6, 0, S7Type.INT, 2, 0)),
        ("DB1,S20.30", (S7Area.DB, 1, 20, 0, S7Type.STRING, 1, 30)),
        ("DB1,STRING20.30", (S7Area.DB, 1, 20, 0, S7Type.STRING, 1, 30)),
        ("DB1,S20.30.2", (S7Area.DB, 1, 20, 0, S7Type.STRING, 2, 30)),
        ("DB1:4:STRING(20)", (S7Area.DB, 1, 4, 0, S7Type.STRING, 1, 20)),
        ("DB1:4:STRING[20]", (S7Area.DB, 1, 4, 0, S7Type.STRING, 1, 20)),
        ("DB1:4:STRING(20)[3]", (S7Area.DB, 1, 4, 0, S7Type.STRING, 3, 20)),
        ("DB1:4:STRING", (S7Area.DB, 1, 4, 0, S7Type.STRING, 1, 254)),
        ("DB1,C22.30", (S7Area.DB, 1, 22, 0, S7Type.CHAR, 1, 30)),
        ("DB1:22:CHAR[30]", (S7Area.DB, 1, 22, 0, S7Type.CHAR, 30, 1)),
        ("DB1:0:DATE_AND_TIME", (S7Area.DB, 1, 0, 0, S7Type.DT, 1, 0)),
        ("M10.3", (S7Area.MERKER, 0, 10, 3, S7Type.BOOL, 1, 0)),
        ("%M10.3:BOOL", (S7Area.MERKER, 0, 10, 3, S7Type.BOOL, 1, 0)),
        ("MW20", (S7Area.MERKER, 0, 20, 0, S7Type.UINT, 1, 0)),
        ("M20:REAL", (S7Area.MERKER, 0, 20, 0, S7Type.REAL, 1, 0)),
        ("IW22", (S7Area.INPUT, 0, 22, 0, S7Type.UINT, 1, 0)),
        ("%IW2:INT[4]", (S7Area.INPUT, 0, 2, 0, S7Type.INT, 4, 0)),
        ("EW22", (S7Area.INPUT, 0, 22, 0, S7Type.UINT, 1, 0)),
        ("QB4", (S7Area.OUTPUT, 0, 4, 0, S7Type.USINT, 1, 0)),
        ("A4.0", (S7Area.OUTPUT, 0, 4, 0, S7Type.BOOL, 1, 0)),
        ("T5", (S7Area.TIMER, 0, 5, 0, S7Type.TIMER, 1, 0)),
        ("C3", (S7Area.COUNTER, 0, 3, 0, S7Type.COUNTER, 1, 0)),
        ("Z3[2]", (S7Area.COUNTER, 0, 3, 0, S7Type.COUNTER, 2, 0)),
    ],
)
def test_every_form_has_its_meaning(text: str, place: tuple[object, ...]) -> None:
    """STEP 7, PLC4X and nodeS7 notation, German mnemonics included."""
    at = _resolved(text)
    assert (at.area, at.db, at.offset, at.bit, at.kind, at.count, at.length) == place
    assert at.datatype is at.kind.datatype


@pytest.mark.parametrize(
    ("more", "same"),
    [
        ({"address": "DB1.DBD4", "datatype": DataType.FLOAT32}, "DB1:4:REAL"),
        ({"address": "DB1.DBW4", "datatype": "INT", "count": 3}, "DB1:4:INT[3]"),
        ({"address": "DB1.DBB4", "datatype": "STRING", "length": 8}, "DB1:4:STRING(8)"),
        ({"address": "M10", "bit": 3}, "M10.3"),
        ({"area": "DB1", "offset": 4, "datatype": "REAL"}, "DB1:4:REAL"),
        ({"area": "M", "offset": 10, "bit": 3}, "M10.3"),
        ({"area": "T", "offset": 5}, "T5"),
    ],
)
def test_fields_of_the_tag_say_the_same_as_the_address(more: dict[str, object], same: str) -> None:
    """Type, length, count, bit, area and offset may be given beside the address, or instead of it."""
    tag = Tag("x", protocol="s7", **more)  # type: ignore[arg-type]  # fields of Tag
    assert tag.resolved == _resolved(same)


@pytest.mark.parametrize(
    ("more", "hint"),
    [
        ({"address": "40001"}, "address of Modbus"),
        ({"address": 40001}, "address of Modbus"),
        ({"address": '"Motor".Speed'}, "optimized"),
        ({"address": "Data.Motor.Speed"}, "optimized"),
        ({"address": "DB1"}, "known forms"),
        ({"address": "DB1.DBX0.8"}, "bits 0 to 7"),
        ({"address": "DB1.DBX0"}, "DB1.DBX0.0"),
        ({"address": "DB1.DBB0.1"}, "DBX0.1"),
        ({"address": "DB0.DBB0"}, "1 to 65535"),
        ({"address": "M10"}, "MB10"),
        ({"address": "PIW256"}, "process image"),
        ({"address": "DB1:4:INT[0]"}, "count"),
        ({"address": "DB1.DBB2097152"}, "runs past"),
        ({"address": "DB1:4:REAL{unit=1}"}, "at the end"),
        ({"address": "DB1,R4.5.6"}, "after the offset"),
        ({"address": "DB1.DBX0.1", "bit": 2}, "keep one"),
        ({"address": "DB1:4:INT", "datatype": DataType.UINT16}, "keep one"),
        ({"address": "DB1:4:INT[3]", "count": 2}, "keep one"),
        ({"address": "DB1.DBW4", "area": "DB2"}, "keep one"),
        ({"address": "DB1.DBW4", "unit": 1}, "no unit"),
        ({"address": "DB1.DBW4", "byte_order": "CDAB"}, "no byte_order"),
        ({"area": "coil", "offset": 1}, "expected area"),
        ({"area": "M", "offset": -1, "datatype": "INT"}, "0 to 2097151"),
        ({"area": "M", "offset": 4, "address": "MW4"}, "not both"),
        ({"area": "M", "offset": 4.5}, "whole number"),
        ({"address": "MW4", "bit": True}, "whole number"),
        ({"address": "DB1:4:INT[2][3]"}, "count twice"),
        ({"address": "DB1.DBW\u0664"}, "known forms"),
    ],
)
def test_a_wrong_address_tells_the_right_one(more: dict[str, object], hint: str) -> None:
    """`AddressError` where the tag is made, with a suggestion."""
    with pytest.raises(AddressError, match=hint):
        Tag("x", protocol="s7", **more)  # type: ignore[arg-type]  # fields of Tag


@pytest.mark.parametrize(
    ("address", "hint"),
    [
        ("DB1.DBW4:REAL", "DB1:4:REAL"),
        ("DB1:4:STRING(255)", "1 to 254"),
        ("DB1:4:BYTES", r"BYTES\(16\)"),
        ("DB1:4:INT(3)", "a length is for"),
        ("T5:INT", "is a TIMER"),
        ("MW4:TIMER", "unknown data type"),
        ("DB1.DBX0.3:INT", "one bit is a BOOL"),
        ("DB1:4:FLOAT16", "S7 has no FLOAT16"),
        ("DB1:4:NONSENSE", "unknown data type"),
    ],
)
def test_a_type_that_does_not_fit_is_refused(address: str, hint: str) -> None:
    """`DataTypeError` where the tag is made."""
    with pytest.raises(DataTypeError, match=hint):
        _resolved(address)


@pytest.mark.parametrize("text", ["%MW4", "DB1.DBW4", "DB3,INT4", "DB1:4:REAL", "M10.3", "IW22", "QB4"])
def test_what_is_surely_meant_for_s7_is_recognised(text: str) -> None:
    """So that a mistake in it is told in S7's words."""
    assert surely_s7(text)


@pytest.mark.parametrize("text", ["C3", "T5", "IR1", "40001", "Motor.Speed", "M10", "Program:Main.Tag", "DB_Motor.x"])
def test_what_may_be_another_protocols_is_not(text: str) -> None:
    """C3 is a coil, T5 a tag of a Logix controller, IR1 an input register."""
    assert not surely_s7(text)


_NODE_CODES = ["B", "I", "W", "D", "DI", "DW", "R", "LR", "LI", "ULI", "LW", "SINT", "USINT"]
_PLC4X_TYPES = [
    *("BYTE", "SINT", "USINT", "INT", "UINT", "WORD", "DATE", "DINT", "UDINT", "DWORD", "REAL", "TIME", "TOD"),
    *("LINT", "ULINT", "LWORD", "LREAL", "LTIME", "LTOD", "LDT", "DT", "DTL"),
]
_numbers = st.integers(0, 60_000)
_texts = st.one_of(
    st.builds("DB{},X{}.{}".format, st.integers(1, 65535), _numbers, st.integers(0, 7)),
    st.builds("DB{},{}{}".format, st.integers(1, 65535), st.sampled_from(_NODE_CODES), _numbers),
    st.builds("DB{},{}{}.{}".format, st.integers(1, 99), st.sampled_from(["S", "WS"]), _numbers, st.integers(1, 254)),
    st.builds("{}{}.{}".format, st.sampled_from("MIQEA"), _numbers, st.integers(0, 7)),
    st.builds("{}{}{}".format, st.sampled_from("MIQEA"), st.sampled_from(_NODE_CODES), _numbers),
    st.builds("DB{}.DBX{}.{}:BOOL".format, st.integers(1, 65535), _numbers, st.integers(0, 7)),
    st.builds("DB{}:{}:{}".format, st.integers(1, 65535), _numbers, st.sampled_from(_PLC4X_TYPES)),
    st.builds("DB{}:{}:{}[{}]".format, st.just(1), _numbers, st.sampled_from(_PLC4X_TYPES), st.integers(2, 99)),
    st.builds(
        "DB{}:{}:{}[{}]".format, st.just(1), _numbers, st.sampled_from(["STRING", "WSTRING"]), st.integers(1, 254)
    ),
    st.builds("%{}{}:{}".format, st.sampled_from("MIQ"), _numbers, st.sampled_from(_PLC4X_TYPES)),
)


@given(_texts)
def test_snap7_reads_the_same_in_both_dialects(text: str) -> None:
    """Area, block, byte, bit, type and length as snap7's `parse_tag` has them."""
    ours, theirs = _resolved(text), parse_tag(text, strict=False)
    assert (ours.area, ours.db, ours.offset) == (_AREAS[theirs.area], theirs.db_number, theirs.byte_offset)
    assert (ours.bit, ours.count) == (theirs.bit, theirs.count)
    kind, _, length = theirs.datatype.partition("[")
    assert ours.kind is type_named(kind)
    assert ours.length == int(length.rstrip("]") or 0)
    if ours.kind is not S7Type.BOOL:
        assert ours.span == theirs.size


@given(st.text(max_size=20) | st.text("DBXWM%0123456789.,:[]()STRINGREAL", max_size=20))
def test_any_text_is_an_address_or_a_config_error(text: str) -> None:
    """Nothing else is raised."""
    try:
        address = _resolved(text)
    except ConfigError:
        return
    assert address.count >= 1
    assert address.span >= 1
