"""Values to write: what fits goes on as the type has it, what does not is refused."""

from __future__ import annotations

import math

import pytest

from bifrost.errors import ConfigError, DataTypeError
from bifrost.plc import DataType, Tag
from bifrost.plc.ethernet_ip.values import checked_value, prepare_write

_INTEGERS = {
    DataType.INT8: (-128, 127),
    DataType.UINT8: (0, 255),
    DataType.INT16: (-32768, 32767),
    DataType.UINT16: (0, 65535),
    DataType.INT32: (-(2**31), 2**31 - 1),
    DataType.UINT32: (0, 2**32 - 1),
    DataType.INT64: (-(2**63), 2**63 - 1),
    DataType.UINT64: (0, 2**64 - 1),
}


@pytest.mark.parametrize("datatype", _INTEGERS)
def test_integers_do_not_wrap(datatype: DataType) -> None:
    """Both ends fit, one beyond does not; a whole float is the integer, a fraction, NaN and True are not."""
    low, high = _INTEGERS[datatype]
    for value in (low, high, 3.0):
        assert checked_value(datatype, value) == value
        assert type(checked_value(datatype, value)) is int
    for unfit in (low - 1, high + 1, 1.5, math.nan, math.inf, True, "3", None):
        with pytest.raises(DataTypeError):
            checked_value(datatype, unfit)


def test_floats_keep_their_range() -> None:
    """FLOAT32 refuses what it would turn into infinity; NaN and infinity are numbers of both."""
    assert checked_value(DataType.FLOAT32, 1) == 1.0
    assert type(checked_value(DataType.FLOAT32, 1)) is float
    assert math.isnan(checked_value(DataType.FLOAT32, math.nan))  # type: ignore[arg-type]  # it is a float
    assert checked_value(DataType.FLOAT64, 1e300) == 1e300
    for datatype, unfit in (
        (DataType.FLOAT32, 1e39),
        (DataType.FLOAT64, 10**400),
        (DataType.FLOAT32, "1"),
        (DataType.FLOAT32, True),
    ):
        with pytest.raises(DataTypeError):
            checked_value(datatype, unfit)


def test_texts_are_latin_1_and_have_a_length() -> None:
    """Nothing is cut or replaced."""
    assert checked_value(DataType.STRING, "åé", length=2) == "åé"
    for unfit in ("abc", "€", b"ab", 1):
        with pytest.raises(DataTypeError):
            checked_value(DataType.STRING, unfit, length=2)


@pytest.mark.parametrize(
    ("datatype", "fit", "unfit"),
    [
        (DataType.BOOL, True, 1),
        (DataType.STRUCT, {"a": 1}, {1: 1}),
        (DataType.STRUCT, {}, [1]),
        (DataType.AUTO, 3, object()),
        (DataType.AUTO, "x", None),
    ],
)
def test_other_types_take_their_own(datatype: DataType, fit: object, unfit: object) -> None:
    """Nothing is converted."""
    assert checked_value(datatype, fit) == fit
    with pytest.raises(DataTypeError):
        checked_value(datatype, unfit)


def test_a_write_is_prepared_for_tags_that_may_be_written() -> None:
    """The item has the address and one value for each element; arrays need all of theirs."""
    arr = Tag("arr", "Arr", DataType.INT16, count=3, access="rw", protocol="ethernet-ip")
    item = prepare_write(arr, (1, 2, 3))
    assert item.request.values == [1, 2, 3]
    assert item.request.address.path == "Arr"
    for unfit in ([1, 2], 1, [1, 2, 70000], "abc"):
        with pytest.raises(DataTypeError, match="arr"):
            prepare_write(arr, unfit)
    with pytest.raises(ConfigError, match="rw"):
        prepare_write(Tag("speed", "Speed", protocol="ethernet-ip"), 1)


def test_the_declared_length_of_a_text_holds() -> None:
    """Whatever room the controller has."""
    name = Tag("name", "Name", DataType.STRING, length=4, access="rw", protocol="ethernet-ip")
    assert prepare_write(name, "abcd").request.values == ["abcd"]
    with pytest.raises(DataTypeError, match="4 characters"):
        prepare_write(name, "abcde")
