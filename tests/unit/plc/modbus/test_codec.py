"""The Rust codec against two others: a slow one in plain Python, and pymodbus's framer and PDUs."""

from __future__ import annotations

import math
import struct
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pymodbus.framer import FramerSocket
from pymodbus.pdu import DecodePDU
from pymodbus.pdu.bit_message import (
    ReadCoilsRequest,
    ReadCoilsResponse,
    ReadDiscreteInputsRequest,
    ReadDiscreteInputsResponse,
    WriteMultipleCoilsRequest,
    WriteMultipleCoilsResponse,
    WriteSingleCoilRequest,
    WriteSingleCoilResponse,
)
from pymodbus.pdu.register_message import (
    ReadHoldingRegistersRequest,
    ReadHoldingRegistersResponse,
    ReadInputRegistersRequest,
    ReadInputRegistersResponse,
    WriteMultipleRegistersRequest,
    WriteMultipleRegistersResponse,
    WriteSingleRegisterRequest,
    WriteSingleRegisterResponse,
)

from bifrost._native import (
    ModbusFramer,
    ModbusPlan,
    modbus_decode_answer,
    modbus_decode_request,
    modbus_encode_bits,
    modbus_encode_exception,
    modbus_encode_registers,
    modbus_encode_value,
    modbus_encode_write,
    modbus_frame,
    modbus_read_request,
    modbus_write_request,
)
from bifrost.errors import ConfigError, DataTypeError, ModbusFault, ProtocolError
from tests.oracles import modbus as oracle

WORD = st.integers(0, 0xFFFF)
WORDS = {"INT16": 1, "UINT16": 1, "INT32": 2, "UINT32": 2, "INT64": 4, "UINT64": 4, "FLOAT32": 2, "FLOAT64": 4}
NUMERIC = st.sampled_from(sorted(WORDS))
ORDER = st.sampled_from(["ABCD", "CDAB", "BADC", "DCBA"])
PDU = st.binary(min_size=1, max_size=253)

READS: dict[int, tuple[Any, Any]] = {
    1: (ReadCoilsRequest, ReadCoilsResponse),
    2: (ReadDiscreteInputsRequest, ReadDiscreteInputsResponse),
    3: (ReadHoldingRegistersRequest, ReadHoldingRegistersResponse),
    4: (ReadInputRegistersRequest, ReadInputRegistersResponse),
}


def pymodbus_pdu(message: Any) -> bytes:
    encoded: bytes = message.encode()
    return bytes([message.function_code]) + encoded


def decode_one(datatype: str, order: str, words: Sequence[int], length: int = 0) -> object:
    """Read one value through a plan, as the driver does."""
    plan = ModbusPlan([(1, 3, 0, datatype, order, 1, length, None)])
    values: list[object] = [None]
    plan.blocks[0].decode(modbus_encode_registers(3, words), values)
    return values[0]


@given(NUMERIC, ORDER, st.lists(WORD, min_size=4, max_size=4))
def test_registers_become_the_numbers_that_plain_python_reads(datatype: str, order: str, words: list[int]) -> None:
    """Every type in every order, NaN included."""
    words = words[: WORDS[datatype]]
    found, expected = decode_one(datatype, order, words), oracle.decode_words(datatype, order, words)
    assert type(found) is type(expected)
    assert repr(found) == repr(expected), "by text, for NaN is unlike itself"


@given(ORDER, st.integers(1, 60), st.lists(WORD, min_size=30, max_size=30))
def test_registers_become_the_text_that_plain_python_reads(order: str, length: int, words: list[int]) -> None:
    """Any bytes are some text: UTF-8, or else Latin-1, up to the first NUL."""
    words = words[: (length + 1) // 2]
    assert decode_one("STRING", order, words, length) == oracle.decode_words("STRING", order, words, length)


@given(NUMERIC, ORDER, st.one_of(st.integers(-(2**70), 2**70), st.floats()))
def test_numbers_become_the_registers_that_plain_python_writes(datatype: str, order: str, value: Any) -> None:
    """Or both refuse; nothing is wrapped, and no fraction is lost."""
    whole = datatype.startswith(("INT", "UINT"))
    plain = int(value) if whole and isinstance(value, float) and value.is_integer() else value
    try:
        expected = oracle.encode_words(plain, datatype, order)
    except (struct.error, OverflowError):
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


@given(st.lists(st.tuples(WORD, st.integers(0, 255), PDU), max_size=5), st.data())
def test_any_split_of_a_stream_gives_the_frames_of_plain_python(
    frames: list[tuple[int, int, bytes]], data: st.DataObject
) -> None:
    """However TCP cuts the stream, the frames are the same."""
    stream = b"".join(oracle.frame(*frame) for frame in frames)
    assert stream == b"".join(modbus_frame(*frame) for frame in frames)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=8)))
    framer, found = ModbusFramer(), []
    for begin, end in zip([0, *cuts], [*cuts, len(stream)], strict=True):
        found += framer.feed(stream[begin:end])
    assert found == oracle.split_frames(stream) == frames
    assert framer.pending == 0


@given(WORD, st.integers(0, 255), PDU)
def test_frames_are_those_of_pymodbus(transaction: int, unit: int, pdu: bytes) -> None:
    """Both make the same bytes, and pymodbus cuts ours as we meant them."""
    framer = FramerSocket(DecodePDU(is_server=False))
    whole = modbus_frame(transaction, unit, pdu)
    assert framer.encode(pdu, unit, transaction) == whole
    assert framer.decode(whole) == (len(whole), unit, transaction, pdu)


@given(st.lists(st.binary(max_size=300), max_size=4))
def test_any_bytes_give_frames_or_a_named_error(chunks: list[bytes]) -> None:
    """After the error every further call says so too, until reset."""
    framer, broken = ModbusFramer(), False
    for chunk in chunks:
        try:
            frames = framer.feed(chunk)
        except ProtocolError:
            assert framer.failure is not None
            broken = True
        else:
            assert not broken
            assert all(1 <= len(pdu) <= 253 for _, _, pdu in frames)
            broken = framer.failure is not None
    framer.reset()
    assert framer.feed(modbus_frame(1, 2, b"\x03")) == [(1, 2, b"\x03")]


@given(st.sampled_from(sorted(READS)), WORD, st.integers(1, 125))
def test_read_requests_are_those_of_pymodbus(function: int, address: int, quantity: int) -> None:
    """And our server side reads what pymodbus wrote."""
    if address + quantity > 65536:
        with pytest.raises(ConfigError, match="runs past"):
            modbus_read_request(function, address, quantity)
        return
    theirs = pymodbus_pdu(READS[function][0](address=address, count=quantity))
    assert modbus_read_request(function, address, quantity) == theirs
    request = modbus_decode_request(theirs)
    assert (request.function, request.address, request.quantity) == (function, address, quantity)
    assert not request.is_write


@given(st.sampled_from([3, 4]), st.lists(WORD, min_size=1, max_size=125))
def test_registers_survive_a_round_trip_through_pymodbus(function: int, words: list[int]) -> None:
    """Our server writes what pymodbus's does, and our client reads it."""
    theirs = pymodbus_pdu(READS[function][1](registers=words))
    assert modbus_encode_registers(function, words) == theirs
    payload = modbus_decode_answer(modbus_read_request(function, 0, len(words)), theirs)
    assert payload is not None
    assert list(struct.unpack(f">{len(words)}H", payload)) == words


@given(st.sampled_from([1, 2]), st.lists(st.booleans(), min_size=1, max_size=2000))
def test_bits_survive_a_round_trip_through_pymodbus(function: int, bits: list[bool]) -> None:
    """Our server writes what pymodbus's does, and our client reads it."""
    theirs = pymodbus_pdu(READS[function][1](bits=bits))
    ours = modbus_encode_bits(function, bits)
    assert ours == theirs
    payload = modbus_decode_answer(modbus_read_request(function, 0, len(bits)), ours)
    assert payload == oracle.encode_bits(bits)
    plan = ModbusPlan([(1, function, 0, "BOOL", "ABCD", len(bits), 0, None)])
    values: list[object] = [None] * len(bits)
    plan.blocks[0].decode(ours, values)
    assert values == bits == oracle.decode_bits(payload, len(bits))


@given(st.integers(0, 60_000), st.lists(WORD, min_size=1, max_size=123))
def test_register_writes_are_those_of_pymodbus(address: int, words: list[int]) -> None:
    """Functions 6 and 16, request and answer."""
    many = modbus_write_request(16, address, words)
    assert many == pymodbus_pdu(WriteMultipleRegistersRequest(address=address, registers=words))
    done = pymodbus_pdu(WriteMultipleRegistersResponse(address=address, count=len(words)))
    assert modbus_encode_write(modbus_decode_request(many)) == done
    assert modbus_decode_answer(many, done) is None
    single = modbus_write_request(6, address, words[:1])
    assert single == pymodbus_pdu(WriteSingleRegisterRequest(address=address, registers=words[:1]))
    assert modbus_encode_write(modbus_decode_request(single)) == pymodbus_pdu(
        WriteSingleRegisterResponse(address=address, registers=words[:1])
    )
    assert modbus_decode_request(many).values == words


@given(st.integers(0, 60_000), st.lists(st.booleans(), min_size=1, max_size=1968))
def test_coil_writes_are_those_of_pymodbus(address: int, bits: list[bool]) -> None:
    """Functions 5 and 15, request and answer."""
    many = modbus_write_request(15, address, bits)
    assert many == pymodbus_pdu(WriteMultipleCoilsRequest(address=address, bits=bits))
    done = pymodbus_pdu(WriteMultipleCoilsResponse(address=address, count=len(bits)))
    assert modbus_encode_write(modbus_decode_request(many)) == done
    assert modbus_decode_request(many).values == bits
    single = modbus_write_request(5, address, bits[:1])
    assert single == pymodbus_pdu(WriteSingleCoilRequest(address=address, bits=bits[:1]))
    assert modbus_encode_write(modbus_decode_request(single)) == pymodbus_pdu(
        WriteSingleCoilResponse(address=address, bits=bits[:1])
    )


@given(st.binary(max_size=260))
def test_any_bytes_give_a_request_or_a_named_error(pdu: bytes) -> None:
    """What a server reads is written back as it came; the rest names the exception to answer with."""
    try:
        request = modbus_decode_request(pdu)
    except ModbusFault as fault:
        code = fault.code
        assert modbus_encode_exception(pdu[0] & 0x7F, code) == bytes([pdu[0] | 0x80, code])
        assert code in {1, 2, 3}
    except ProtocolError:
        assert pdu == b""
    else:
        assert request.encode() == pdu


@given(st.sampled_from(sorted(READS)), st.integers(1, 125), st.binary(max_size=260))
def test_any_bytes_give_words_or_a_named_error(function: int, quantity: int, pdu: bytes) -> None:
    """No answer is taken for good unless its function and its byte count are those asked for."""
    size = (quantity + 7) // 8 if function <= 2 else 2 * quantity
    try:
        payload = modbus_decode_answer(modbus_read_request(function, 0, quantity), pdu)
    except ModbusFault as fault:
        code = fault.code
        assert pdu[:2] == bytes([function | 0x80, code])
    except ProtocolError:
        assert pdu[:2] != bytes([function, size]) or len(pdu) != 2 + size
    else:
        assert pdu == bytes([function, size]) + (payload or b"")


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        ("0404000a0102", "expected an answer to function 3, got function 4"),
        ("0302000a", "expected 4 bytes of values in the answer, got 2"),
        ("0304000a01", "expected 4 bytes of values in the answer, got 3"),
        ("", "expected an answer of 2 bytes, got 0"),
    ],
)
def test_an_answer_that_does_not_fit_says_why(answer: str, reason: str) -> None:
    """These are what pymodbus's client takes for good data."""
    with pytest.raises(ProtocolError, match=reason):
        modbus_decode_answer(modbus_read_request(3, 0, 2), bytes.fromhex(answer))


def test_an_exception_answer_carries_its_code_and_name() -> None:
    """The text is what a person needs to look it up."""
    with pytest.raises(ModbusFault, match=r"the device refused function 3: illegal data address \(0x02\)") as caught:
        modbus_decode_answer(modbus_read_request(3, 0, 2), b"\x83\x02")
    assert caught.value.code == 2


def test_a_write_answered_with_another_value_is_malformed() -> None:
    """The echo is checked to the last byte."""
    with pytest.raises(ProtocolError, match="does not repeat"):
        modbus_decode_answer(modbus_write_request(6, 1, [3]), bytes.fromhex("0600010004"))
