"""Values to write: what is wrong with them is found before anything is sent."""

from __future__ import annotations

from typing import Any

import pytest

from bifrost.errors import ConfigError, DataTypeError
from bifrost.plc import ByteOrder, Tag
from bifrost.plc.modbus.writing import BitsWrite, WriteSingle, encode_write_item
from bifrost.plc.scaling import unscaled


def request(tag: Tag, value: object) -> bytes:
    item = encode_write_item(tag, unscaled(tag, value), unit=1, byte_order=ByteOrder.ABCD)
    return bytes(item.request.pdu)


def test_single_values_take_functions_5_and_6_and_several_15_and_16() -> None:
    """V1.1b3 sections 6.5, 6.6, 6.11, 6.12."""
    assert request(Tag("t", "C173", access="rw"), True).hex(" ") == "05 00 ac ff 00"
    assert request(Tag("t", "HR2", access="rw"), 3).hex(" ") == "06 00 01 00 03"
    assert request(Tag("t", "C20[2]", access="rw"), [True, False]).hex(" ") == "0f 00 13 00 02 01 01"
    assert request(Tag("t", "HR2[2]", access="rw"), (10, 258)).hex(" ") == "10 00 01 00 02 04 00 0a 01 02"
    assert request(Tag("t", "HR1:FLOAT32{order=CDAB}", access="rw"), 1).hex(" ") == "10 00 00 00 02 04 00 00 3f 80"


@pytest.mark.parametrize(
    ("tag", "value"),
    [  # by number, for the values have hundreds of digits
        (Tag("t", "HR1:FLOAT64", scale=0.5, access="rw"), 10**400),
        (Tag("t", "HR1:INT16", scale=0.5, access="rw"), -(10**400)),
        (Tag("t", "HR1:FLOAT64", scale=1e-10, access="rw"), 1e308),
        (Tag("t", "HR1:INT16", scale=0.5, access="rw"), float("nan")),
        (Tag("t", "HR1:INT64", scale=0.5, access="rw"), float("inf")),
        (Tag("t", "HR1:FLOAT64", access="rw"), 10**400),
        (Tag("t", "HR1:STRING(8)", access="rw"), "\ud800"),
    ],
    ids=range(7),
)
def test_what_no_register_can_hold_is_a_data_type_error(tag: Tag, value: object) -> None:
    """Never another exception, which would crash the device's actor; never a value that means something else."""
    with pytest.raises(DataTypeError, match="tag 't'"):
        request(tag, value)


def test_a_scaled_number_is_scaled_back_and_rounded() -> None:
    """20.1 at a scale of 0.1 is 201 in the register."""
    tag = Tag("t", "HR1:INT16", scale=0.1, offset_value=-40.0, access="rw")
    assert request(tag, -19.9).hex(" ") == "06 00 00 00 c9"


@pytest.mark.parametrize(
    ("address", "value", "error", "hint"),
    [
        ("HR1", 65536, DataTypeError, "does not fit UINT16"),
        ("HR1", -1, DataTypeError, "does not fit UINT16"),
        ("HR1", 1.5, DataTypeError, "does not fit UINT16"),
        ("HR1", float("nan"), DataTypeError, "finite"),
        ("HR1", True, DataTypeError, "a bool"),
        ("HR1", "1", DataTypeError, "text"),
        ("HR1", None, DataTypeError, "NoneType"),
        ("HR1:UINT64", 2**64, DataTypeError, "does not fit UINT64"),
        ("HR1:FLOAT32", 1e39, DataTypeError, "does not fit FLOAT32"),
        ("HR1:STRING(3)", "äöü", DataTypeError, "at most 3 bytes"),
        ("HR1[2]", [1], DataTypeError, "list of 2 values"),
        ("HR1[2]", 1, DataTypeError, "list of 2 values"),
        ("HR1[200]", [0] * 200, ConfigError, "at most 123 registers in one write, got 200"),
        ("C1", 1, DataTypeError, "True or False"),
        ("HR1.3", 1, DataTypeError, "True or False"),
    ],
)
def test_values_that_do_not_fit_are_refused(address: str, value: Any, error: type[Exception], hint: str) -> None:
    """Nothing is wrapped, rounded or cut in silence."""
    with pytest.raises(error, match=hint):
        request(Tag("t", address, access="rw"), value)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 1e300, "x", True])
def test_a_scaled_value_that_is_no_number_of_the_tag_is_refused(value: Any) -> None:
    """Scaling back does not hide it."""
    with pytest.raises(DataTypeError):
        request(Tag("t", "HR1", scale=0.1, access="rw"), value)


def test_a_tag_is_read_only_unless_it_says_otherwise() -> None:
    """A write to a machine is meant, or it is not sent."""
    with pytest.raises(ConfigError, match="access='rw'"):
        request(Tag("t", "HR1"), 1)


def test_a_bit_is_a_masked_write_that_leaves_the_others() -> None:
    """V1.1b3 section 6.16, with its own example."""
    assert request(Tag("t", "HR5.2", access="rw"), True).hex(" ") == "16 00 04 ff fb 00 04"
    assert request(Tag("t", "HR5.2", access="rw"), False).hex(" ") == "16 00 04 ff fb 00 00"
    assert BitsWrite(4, 0x00F2, 0x0025).applied_to(0x0012) == 0x0017
    assert BitsWrite(4, 0x00F2, 0x0025).pdu.hex(" ") == "16 00 04 00 f2 00 25"


@pytest.mark.parametrize(
    ("single", "address", "value", "expected"),
    [
        ("auto", "HR1", 3, "06 00 00 00 03"),
        ("6", "HR1", 3, "06 00 00 00 03"),
        ("16", "HR1", 3, "10 00 00 00 01 02 00 03"),
        ("16", "C1", True, "0f 00 00 00 01 01 01"),
        ("6", "C1", True, "05 00 00 ff 00"),
        ("auto", "HR1:INT32", -1, "10 00 00 00 02 04 ff ff ff ff"),
    ],
)
def test_the_function_of_a_single_write_can_be_chosen(
    single: WriteSingle, address: str, value: object, expected: str
) -> None:
    """For devices that know only one of them."""
    item = encode_write_item(Tag("t", address, access="rw"), value, unit=1, byte_order=ByteOrder.ABCD, single=single)
    assert item.request.pdu.hex(" ") == expected


def test_limits_of_the_device_are_kept_before_anything_is_sent() -> None:
    """In registers, and for one that takes a single value at a time."""
    tag = Tag("t", "HR1[11]", access="rw")
    encode_write_item(tag, [0] * 11, unit=1, byte_order=ByteOrder.ABCD, most=11)
    with pytest.raises(ConfigError, match="tag 't': expected at most 10 registers in one write, got 11"):
        encode_write_item(tag, [0] * 11, unit=1, byte_order=ByteOrder.ABCD, most=10)
    with pytest.raises(ConfigError, match="tag 't': expected one value, for write_single is '6'"):
        encode_write_item(tag, [0] * 11, unit=1, byte_order=ByteOrder.ABCD, single="6")


def test_numbers_may_count_from_zero() -> None:
    """The same tag, one register further."""
    tag = Tag("t", "HR5", access="rw")
    item = encode_write_item(tag, 1, unit=1, byte_order=ByteOrder.ABCD, base=0)
    assert item.request.address == 5
