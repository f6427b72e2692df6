from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bifrost._native import modbus_encode_value
from bifrost.errors import DataTypeError
from bifrost.plc.sim.words import decode_words, encode_words

ORDERS = st.sampled_from(["ABCD", "CDAB", "BADC", "DCBA"])


def test_a_float_is_laid_out_as_the_makers_convention_says() -> None:
    """3.14159274 is 40 49 0F DB; each order moves these bytes as its letters say."""
    assert encode_words(3.14159274, "FLOAT32") == [0x4049, 0x0FDB]
    assert encode_words(3.14159274, "FLOAT32", byte_order="CDAB") == [0x0FDB, 0x4049]
    assert encode_words(3.14159274, "FLOAT32", byte_order="BADC") == [0x4940, 0xDB0F]
    assert encode_words(3.14159274, "FLOAT32", byte_order="DCBA") == [0xDB0F, 0x4940]


@given(st.integers(-(2**63), 2**63 - 1), ORDERS)
def test_a_whole_number_survives_every_order(value: int, byte_order: str) -> None:
    """What was laid out as INT64 is read back exactly."""
    assert decode_words(encode_words(value, "INT64", byte_order=byte_order), "INT64", byte_order=byte_order) == value


@given(st.floats(allow_nan=False, width=32), ORDERS)
def test_a_float_survives_every_order(value: float, byte_order: str) -> None:
    """What was laid out as FLOAT32 is read back exactly."""
    assert (
        decode_words(encode_words(value, "FLOAT32", byte_order=byte_order), "FLOAT32", byte_order=byte_order) == value
    )


NUMBERS = {
    **{f"INT{bits}": st.integers(-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) for bits in (8, 16, 32, 64)},
    **{f"UINT{bits}": st.integers(0, 2**bits - 1) for bits in (8, 16, 32, 64)},
    "FLOAT16": st.floats(width=16, allow_nan=False),
    "FLOAT32": st.floats(width=32, allow_nan=False),
    "FLOAT64": st.floats(allow_nan=False),
    "BCD16": st.integers(0, 9999),
    "BCD32": st.integers(0, 99_999_999),
}


@pytest.mark.parametrize("datatype", NUMBERS)
@given(st.data(), ORDERS)
def test_both_codecs_lay_out_the_same_words(datatype: str, data: st.DataObject, byte_order: str) -> None:
    """The device's codec and the client's, written apart, agree; and the device reads its own back."""
    value = data.draw(NUMBERS[datatype])
    words = encode_words(value, datatype, byte_order=byte_order)
    assert words == modbus_encode_value(value, datatype, byte_order, 0)
    assert decode_words(words, datatype, byte_order=byte_order) == value


@given(st.binary(min_size=1, max_size=20), ORDERS)
def test_both_codecs_lay_out_the_same_bytes(value: bytes, byte_order: str) -> None:
    """In text and bytes only those of each register change places."""
    words = encode_words(value, "BYTES", byte_order=byte_order)
    assert words == modbus_encode_value(value, "BYTES", byte_order, len(value))
    assert decode_words(words, "BYTES", byte_order=byte_order) == value.ljust(len(words) * 2, b"\0")


@given(st.text(st.characters(codec="ascii", exclude_characters="\0"), max_size=20), ORDERS)
def test_both_codecs_lay_out_the_same_text(value: str, byte_order: str) -> None:
    """Filled up with NUL."""
    words = encode_words(value, "STRING", byte_order=byte_order, length=20)
    assert words == modbus_encode_value(value, "STRING", byte_order, 20)
    assert decode_words(words, "STRING", byte_order=byte_order) == value


def test_text_is_filled_up_and_ends_at_the_first_nul() -> None:
    """Five bytes of room take three registers; what is read back is the text."""
    words = encode_words("oven", "STRING", length=5)
    assert words == [0x6F76, 0x656E, 0x0000]
    assert decode_words(words, "STRING") == "oven"


@pytest.mark.parametrize(
    ("value", "datatype"),
    [
        (65536, "UINT16"),
        (-1, "UINT32"),
        (1e39, "FLOAT32"),
        (1.5, "INT16"),
        (128, "INT8"),
        (256, "UINT8"),
        (10_000, "BCD16"),
        (-1, "BCD32"),
        (1.5, "BCD16"),
        (1e6, "FLOAT16"),
    ],
)
def test_a_value_that_does_not_fit_is_refused(value: float, datatype: str) -> None:
    """Nothing wraps around silently."""
    with pytest.raises(DataTypeError, match=f"fits {datatype}"):
        encode_words(value, datatype)


def test_unknown_types_orders_and_lengths_are_refused() -> None:
    """The text says what would have been right."""
    with pytest.raises(DataTypeError, match="expected one of BOOL"):
        encode_words(1, "INT24")
    with pytest.raises(DataTypeError, match="byte order ABCD"):
        encode_words(1, "INT32", byte_order="ACBD")
    with pytest.raises(DataTypeError, match="expected 2 registers for FLOAT32, got 1"):
        decode_words([1], "FLOAT32")
    with pytest.raises(DataTypeError, match="at most 2 bytes, got 3"):
        encode_words("abc", "STRING", length=2)
    with pytest.raises(DataTypeError, match="decimal digits, got 1a34"):
        decode_words([0x1A34], "BCD16")
    with pytest.raises(DataTypeError, match="UTF-8"):
        decode_words([0xFFFE], "STRING")


def test_not_a_number_keeps_being_one() -> None:
    """NaN travels as its bits."""
    words = encode_words(float("nan"), "FLOAT32")
    assert struct.pack(">HH", *words) == struct.pack(">f", float("nan"))
