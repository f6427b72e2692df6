"""Frames and PDUs of the Rust codec against two others: a slow one in plain Python, and pymodbus's framer and PDUs."""

from __future__ import annotations

import struct
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
    modbus_encode_write,
    modbus_frame,
    modbus_read_request,
    modbus_write_request,
)
from bifrost.errors import ConfigError, ModbusFault, ProtocolError
from tests.oracles import modbus as oracle

WORD = st.integers(0, 0xFFFF)
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


@given(st.sampled_from([1, 2, 3, 4, 6]), st.integers(0, 255), st.binary(max_size=20))
def test_an_exception_answer_may_be_longer_than_it_should(function: int, code: int, surplus: bytes) -> None:
    """Some devices fill it up; its code is what counts."""
    request = modbus_read_request(function, 0, 1) if function < 5 else modbus_write_request(function, 0, [1])
    with pytest.raises(ModbusFault) as caught:
        modbus_decode_answer(request, bytes([function | 0x80, code]) + surplus)
    assert caught.value.code == code


def test_a_write_answered_with_another_value_is_malformed() -> None:
    """The echo is checked to the last byte."""
    with pytest.raises(ProtocolError, match="does not repeat"):
        modbus_decode_answer(modbus_write_request(6, 1, [3]), bytes.fromhex("0600010004"))
