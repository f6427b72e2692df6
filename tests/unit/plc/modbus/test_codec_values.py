"""Values of the Rust codec against a slow one in plain Python, pymodbus's own conversion, and printed bytes."""

from __future__ import annotations

import ast
import math
import struct
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pymodbus.client.mixin import ModbusClientMixin

from bifrost._native import ModbusPlan, modbus_encode_registers, modbus_encode_value
from bifrost.errors import ConfigError, DataTypeError
from tests.oracles import modbus as oracle

WORD = st.integers(0, 0xFFFF)
WORDS = {
    "INT8": 1,
    "UINT8": 1,
    "INT16": 1,
    "UINT16": 1,
    "INT32": 2,
    "UINT32": 2,
    "INT64": 4,
    "UINT64": 4,
    "FLOAT16": 1,
    "FLOAT32": 2,
    "FLOAT64": 4,
    "BCD16": 1,
    "BCD32": 2,
}
NUMERIC = st.sampled_from(sorted(WORDS))
ORDER = st.sampled_from(["ABCD", "CDAB", "BADC", "DCBA"])
PYMODBUS_WORD_ORDERS = {"ABCD": "big", "CDAB": "little"}
VECTORS = Path(__file__).parents[3] / "vectors"


def decode_one(datatype: str, order: str, words: Sequence[int], length: int = 0) -> object:
    """Read one value through a plan, as the driver does."""
    plan = ModbusPlan([(1, 3, 0, datatype, order, 1, length, None)])
    values: list[object] = [None]
    bad = plan.blocks[0].decode(modbus_encode_registers(3, words), values)
    if bad is not None:
        assert values == [None], "what is no value stays empty"
        raise ValueError(*bad)
    return values[0]


def printed_values() -> list[tuple[str, str, int, list[int], object]]:
    found = []
    for line in (VECTORS / "modbus_values.txt").read_text().splitlines():
        if line and not line.startswith("#"):
            head, value = line.split(" = ")
            (datatype, order, length), raw = head.split("|")[0].split(), bytes.fromhex(head.split("|")[1])
            words = [int.from_bytes(raw[at : at + 2], "big") for at in range(0, len(raw), 2)]
            meant = float(value) if value in {"nan", "inf", "-inf"} else ast.literal_eval(value)
            found.append((datatype, order, int(length), words, meant))
    return found


@pytest.mark.parametrize(("datatype", "order", "length", "words", "value"), printed_values())
def test_the_printed_bytes_are_the_printed_value(
    datatype: str, order: str, length: int, words: list[int], value: object
) -> None:
    """Golden bytes for each type and order, read and written, by the codec and by plain Python alike."""
    found = decode_one(datatype, order, words, length)
    assert type(found) is type(value)
    assert repr(found) == repr(value), "by text, for NaN is unlike itself"
    assert repr(oracle.decode_words(datatype, order, words, length)) == repr(value)
    assert modbus_encode_value(value, datatype, order, length) == words


@given(NUMERIC, ORDER, st.lists(WORD, min_size=4, max_size=4))
def test_registers_become_the_numbers_that_plain_python_reads(datatype: str, order: str, words: list[int]) -> None:
    """Every type in every order, NaN included; what is no decimal number is refused by both."""
    words = words[: WORDS[datatype]]
    try:
        expected = oracle.decode_words(datatype, order, words)
    except ValueError:
        with pytest.raises(ValueError, match=f"expected decimal digits for {datatype}, got 0x"):
            decode_one(datatype, order, words)
        return
    found = decode_one(datatype, order, words)
    assert type(found) is type(expected)
    assert repr(found) == repr(expected), "by text, for NaN is unlike itself"


@given(NUMERIC, st.sampled_from(sorted(PYMODBUS_WORD_ORDERS)), st.lists(WORD, min_size=4, max_size=4))
def test_registers_become_the_numbers_that_pymodbus_reads(datatype: str, order: str, words: list[int]) -> None:
    """For the types and orders that it knows, both ways."""
    kind = getattr(ModbusClientMixin.DATATYPE, datatype, None)
    if kind is None:
        return
    words = words[: WORDS[datatype]]
    word_order: Any = PYMODBUS_WORD_ORDERS[order]
    expected = ModbusClientMixin.convert_from_registers(words, kind, word_order=word_order)
    assert repr(decode_one(datatype, order, words)) == repr(expected)
    if not (isinstance(expected, float) and math.isnan(expected)):  # a NaN may change its payload on the way
        back = ModbusClientMixin.convert_to_registers(expected, kind, word_order=word_order)
        assert modbus_encode_value(expected, datatype, order, 0) == back == words


@given(st.sampled_from(["STRING", "BYTES"]), ORDER, st.integers(1, 60), st.lists(WORD, min_size=30, max_size=30))
def test_registers_become_the_text_and_bytes_that_plain_python_reads(
    datatype: str, order: str, length: int, words: list[int]
) -> None:
    """Any bytes are some text: UTF-8, or else Latin-1, up to the first NUL."""
    words = words[: (length + 1) // 2]
    assert decode_one(datatype, order, words, length) == oracle.decode_words(datatype, order, words, length)


@given(NUMERIC, ORDER, st.one_of(st.integers(-(2**70), 2**70), st.integers(-200, 100_000_000), st.floats()))
def test_numbers_become_the_registers_that_plain_python_writes(datatype: str, order: str, value: Any) -> None:
    """Or both refuse; nothing is wrapped, and no fraction is lost."""
    whole = not datatype.startswith("FLOAT")
    plain = int(value) if whole and isinstance(value, float) and value.is_integer() else value
    try:
        expected = oracle.encode_words(plain, datatype, order)
    except (struct.error, OverflowError, ValueError):
        with pytest.raises(DataTypeError):
            modbus_encode_value(value, datatype, order, 0)
        return
    if isinstance(value, int) and not whole and abs(value) >= 2**63:
        return  # beyond 64 bits an integer is refused even for a float: nobody means such a number
    found = modbus_encode_value(value, datatype, order, 0)
    if isinstance(value, float) and math.isnan(value):
        assert math.isnan(float(str(decode_one(datatype, order, found))))
    else:
        assert found == expected


@given(ORDER, st.integers(1, 40), st.text(alphabet=st.characters(codec="utf-8", exclude_characters="\0"), max_size=50))
def test_text_becomes_the_registers_that_plain_python_writes(order: str, length: int, text: str) -> None:
    """Text that does not fit is refused, never cut."""
    try:
        expected = oracle.encode_words(text, "STRING", order, length)
    except ValueError:
        with pytest.raises(DataTypeError, match="bytes in UTF-8"):
            modbus_encode_value(text, "STRING", order, length)
    else:
        assert modbus_encode_value(text, "STRING", order, length) == expected
        assert decode_one("STRING", order, expected, length) == text


@given(ORDER, st.integers(1, 40), st.binary(max_size=42))
def test_bytes_become_the_registers_that_plain_python_writes(order: str, length: int, raw: bytes) -> None:
    """Bytes are written as a whole: neither cut nor filled up."""
    try:
        expected = oracle.encode_words(raw, "BYTES", order, length)
    except ValueError:
        with pytest.raises(DataTypeError, match=f"expected exactly {length} bytes, got {len(raw)}"):
            modbus_encode_value(raw, "BYTES", order, length)
    else:
        assert modbus_encode_value(raw, "BYTES", order, length) == expected
        assert decode_one("BYTES", order, expected, length) == raw


@pytest.mark.parametrize(
    ("value", "datatype"),
    [
        ("1", "UINT16"),
        (b"1", "UINT16"),
        (1, "STRING"),
        (True, "INT8"),
        ("1", "BYTES"),
        (None, "BCD16"),
        (math.nan, "BCD16"),
    ],
)
def test_a_value_of_another_sort_is_refused(value: object, datatype: str) -> None:
    """Nothing is guessed from a value that does not belong."""
    with pytest.raises(DataTypeError, match="expected a"):
        modbus_encode_value(value, datatype, "ABCD", 2)


def test_one_bad_value_leaves_its_neighbours_alone() -> None:
    """Wrong digits cost only the value that they are in, and say where and what."""
    plan = ModbusPlan([(1, 3, 0, "BCD16", "ABCD", 3, 0, None), (1, 3, 3, "FLOAT32", "ABCD", 1, 0, None)])
    values: list[object] = [0, 0, 0, 0]
    bad = plan.blocks[0].decode(modbus_encode_registers(3, [0x1234, 0xFFFF, 0x0099, 0x7FC0, 0]), values)
    assert bad == [(1, "expected decimal digits for BCD16, got 0xffff")]
    assert values[:3] == [1234, None, 99]
    assert repr(values[3]) == "nan"


def test_a_value_wider_than_a_request_is_put_together() -> None:
    """A torn value appears when its last part is there, in whatever order the parts come, and is named as torn."""
    plan = ModbusPlan([(1, 3, 10, "UINT16", "ABCD", 1, 0, None), (1, 3, 11, "STRING", "BADC", 2, 501, None)])
    assert plan.torn == [1, 2]
    assert [block.quantity for block in plan.blocks] == [1, 125, 125, 1, 125, 125, 1]
    text = "Wörter" * 71
    raw = oracle.encode_words(text, "STRING", "BADC", 501)
    memory = [0] * 10 + [7] + raw + raw
    values: list[object] = [None] * plan.total
    for block in reversed(plan.blocks):
        words = memory[block.address : block.address + block.quantity]
        assert block.decode(modbus_encode_registers(3, words), values) is None
    assert values == [7, text, text]


def test_an_unknown_type_or_order_is_refused() -> None:
    """The text names what was expected."""
    with pytest.raises(DataTypeError, match="modbus has no data type STRUCT"):
        modbus_encode_value(1, "STRUCT", "ABCD", 0)
    with pytest.raises(ConfigError, match="expected byte order ABCD, CDAB, BADC or DCBA, got ACBD"):
        modbus_encode_value(1, "UINT32", "ACBD", 0)
