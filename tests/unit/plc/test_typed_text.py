"""Values as a person types them, read by the type of their tag."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bifrost.errors import DataTypeError
from bifrost.plc.datatypes import DataType, Tag
from bifrost.plc.typed_text import value_from_text


def holding(datatype: DataType, *, count: int = 1, scale: float | None = None) -> Tag:
    length = 8 if datatype is DataType.STRING else None
    bit = 0 if datatype is DataType.BOOL else None
    return Tag("t", "HR1", datatype, count=count, scale=scale, length=length, bit=bit, protocol="modbus-tcp")


@pytest.mark.parametrize(
    ("datatype", "text", "value"),
    [
        (DataType.BOOL, "true", True),
        (DataType.BOOL, " ON ", True),
        (DataType.BOOL, "0", False),
        (DataType.UINT16, "42", 42),
        (DataType.UINT16, "0x2A", 42),
        (DataType.UINT16, "0b11", 3),
        (DataType.UINT16, "0042", 42),
        (DataType.INT16, "-7", -7),
        (DataType.INT32, "-0x10", -16),
        (DataType.UINT64, "18446744073709551615", 2**64 - 1),
        (DataType.FLOAT32, "1.5", 1.5),
        (DataType.FLOAT64, "-1e3", -1000.0),
        (DataType.FLOAT32, "inf", float("inf")),
        (DataType.STRING, " a=b ", " a=b "),
        (DataType.STRING, "", ""),
    ],
)
def test_a_value_is_read_by_the_type_of_its_tag(datatype: DataType, text: str, value: object) -> None:
    """Decimal, hexadecimal, words for true and false; text as it is."""
    read = value_from_text(holding(datatype), text)
    assert read == value
    assert type(read) is type(value)


@pytest.mark.parametrize(
    ("datatype", "text", "hint"),
    [
        (DataType.BOOL, "maybe", "true or false"),
        (DataType.UINT16, "1.5", "a whole number such as 42"),
        (DataType.UINT16, "", "a whole number"),
        (DataType.UINT16, "0x", "a whole number"),
        (DataType.UINT16, "--1", "a whole number"),
        (DataType.UINT16, "٣", "a whole number"),
        (DataType.INT64, "9" * 5000, "a whole number"),
        (DataType.FLOAT32, "1,5", "write 1.5"),
        (DataType.FLOAT32, "warm", "a number such as 1.5"),
    ],
)
def test_what_is_no_such_value_is_refused_with_what_is_expected(datatype: DataType, text: str, hint: str) -> None:
    """Nothing is guessed, and nothing becomes a zero."""
    with pytest.raises(DataTypeError, match=hint):
        value_from_text(holding(datatype), text)


def test_an_array_is_a_list_with_commas_or_in_json() -> None:
    """As many values as the tag has, each by its type."""
    tag = holding(DataType.INT16, count=3)
    assert value_from_text(tag, "1, 0x2,-3") == value_from_text(tag, "[1, 2, -3]") == [1, 2, -3]
    for text in ("1,2", "[1, 2, 3, 4]", "[", "1,,3"):
        with pytest.raises(DataTypeError):
            value_from_text(tag, text)


def test_a_scaled_value_may_have_a_fraction() -> None:
    """The device's integer is computed from it later."""
    assert value_from_text(holding(DataType.INT16, scale=0.1), "21.5") == 21.5


@given(st.sampled_from([DataType.BOOL, DataType.UINT16, DataType.FLOAT32, DataType.STRING]), st.text(max_size=30))
def test_any_text_gives_a_value_or_a_named_error(datatype: DataType, text: str) -> None:
    """For one value and for arrays."""
    for count in (1, 2):
        if count > 1 and datatype is DataType.BOOL:
            continue
        with contextlib.suppress(DataTypeError):
            value_from_text(holding(datatype, count=count), text)


def test_truth_values_in_a_list_are_those_that_stand_alone() -> None:
    """1 and 0 do in JSON as they do in a plain list; what is neither does not."""
    tag = Tag("t", "C1[4]", access="rw")
    assert value_from_text(tag, '[1, 0, true, "off"]') == [True, False, True, False]
    assert value_from_text(tag, "1,0,true,off") == [True, False, True, False]
    with pytest.raises(DataTypeError, match="expected true or false"):
        value_from_text(tag, "[1, 0, 1, 2]")
