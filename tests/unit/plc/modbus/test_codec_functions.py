"""Functions 22, 23 and 43/14 of the Rust codec against pymodbus's PDUs."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pymodbus.pdu.mei_message import ReadDeviceInformationRequest, ReadDeviceInformationResponse
from pymodbus.pdu.register_message import (
    MaskWriteRegisterRequest,
    MaskWriteRegisterResponse,
    ReadWriteMultipleRegistersRequest,
    ReadWriteMultipleRegistersResponse,
)

from bifrost._native import (
    modbus_decode_answer,
    modbus_decode_device_id,
    modbus_decode_request,
    modbus_device_id_request,
    modbus_encode_device_id,
    modbus_encode_registers,
    modbus_encode_write,
    modbus_mask_write_request,
    modbus_read_write_request,
)
from bifrost.errors import ConfigError, ModbusFault, ProtocolError
from tests.unit.plc.modbus.test_codec import pymodbus_pdu

WORD = st.integers(0, 0xFFFF)
OBJECTS = st.dictionaries(st.integers(0, 255), st.binary(max_size=244), min_size=1, max_size=20)


@given(WORD, WORD, WORD)
def test_mask_writes_are_those_of_pymodbus(address: int, and_mask: int, or_mask: int) -> None:
    """Function 22, request and answer; the server sees both masks."""
    request = modbus_mask_write_request(address, and_mask, or_mask)
    theirs = MaskWriteRegisterRequest(address=address, and_mask=and_mask, or_mask=or_mask)
    assert request == pymodbus_pdu(theirs)
    seen = modbus_decode_request(request)
    assert (seen.function, seen.address, seen.and_mask, seen.or_mask) == (22, address, and_mask, or_mask)
    assert seen.is_write
    done = pymodbus_pdu(MaskWriteRegisterResponse(address=address, and_mask=and_mask, or_mask=or_mask))
    assert modbus_encode_write(seen) == done
    assert modbus_decode_answer(request, done) is None
    with pytest.raises(ProtocolError, match="does not repeat"):
        modbus_decode_answer(request, done[:-1] + bytes([done[-1] ^ 1]))


@given(
    st.integers(0, 60_000),
    st.integers(1, 125),
    st.integers(0, 60_000),
    st.lists(WORD, min_size=1, max_size=121),
    st.data(),
)
def test_read_writes_are_those_of_pymodbus(
    read_address: int, quantity: int, write_address: int, words: list[int], data: st.DataObject
) -> None:
    """Function 23, request and answer; the server sees both halves."""
    request = modbus_read_write_request(read_address, quantity, write_address, words)
    theirs = ReadWriteMultipleRegistersRequest(
        read_address=read_address, read_count=quantity, write_address=write_address, write_registers=words
    )
    assert request == pymodbus_pdu(theirs)
    seen = modbus_decode_request(request)
    assert (seen.address, seen.quantity, seen.write_address, seen.values) == (
        read_address,
        quantity,
        write_address,
        words,
    )
    assert seen.is_write
    held = data.draw(st.lists(WORD, min_size=quantity, max_size=quantity))
    answer = modbus_encode_registers(23, held)
    assert answer == pymodbus_pdu(ReadWriteMultipleRegistersResponse(registers=held))
    assert modbus_decode_answer(request, answer) == struct.pack(f">{quantity}H", *held)
    with pytest.raises(ProtocolError, match=f"expected {2 * quantity} bytes of values"):
        modbus_decode_answer(request, answer[:-1])


@pytest.mark.parametrize(("quantity", "words"), [(126, [1]), (0, [1]), (1, [0] * 122), (1, [])])
def test_a_read_write_of_too_much_is_refused(quantity: int, words: list[int]) -> None:
    """At most 125 registers are read and 121 written."""
    with pytest.raises(ConfigError, match="function 23 cannot carry a quantity of"):
        modbus_read_write_request(0, quantity, 0, words)


@given(st.integers(1, 4), st.integers(0, 255))
def test_identification_requests_are_those_of_pymodbus(code: int, object_id: int) -> None:
    """Function 43, MEI type 14."""
    request = modbus_device_id_request(code, object_id)
    assert request == pymodbus_pdu(ReadDeviceInformationRequest(read_code=code, object_id=object_id))
    seen = modbus_decode_request(request)
    assert (seen.function, seen.read_code, seen.object_id) == (43, code, object_id)
    assert not seen.is_write


@given(OBJECTS)
def test_an_identification_over_several_answers_is_that_of_pymodbus(objects: dict[int, bytes]) -> None:
    """Each answer holds what pymodbus puts into it, and asking on brings all objects once."""
    found: list[tuple[int, bytes]] = []
    rest = dict(sorted(objects.items()))
    following = 0
    while True:
        request = modbus_decode_request(modbus_device_id_request(3, following))
        answer = modbus_encode_device_id(request, list(objects.items()))
        assert answer == pymodbus_pdu(ReadDeviceInformationResponse(read_code=3, information=dict(rest)))
        conformity, more_follows, following, part = modbus_decode_device_id(answer)
        assert conformity == 0x83
        assert len(answer) <= 253
        assert modbus_decode_answer(request.encode(), answer) == answer[1:]
        found += part
        if not more_follows:
            break
        rest = {number: text for number, text in rest.items() if number >= following}
    assert found == sorted(objects.items())


def test_a_single_object_is_read_alone() -> None:
    """Code 4 gives one object, or exception 2 if there is none."""
    objects = [(0, b"Acme"), (5, b"Model 7"), (0x80, b"private")]
    request = modbus_decode_request(modbus_device_id_request(4, 5))
    assert modbus_decode_device_id(modbus_encode_device_id(request, objects))[3] == [(5, b"Model 7")]
    request = modbus_decode_request(modbus_device_id_request(4, 6))
    with pytest.raises(ModbusFault, match="there is no identification object 6") as caught:
        modbus_encode_device_id(request, objects)
    assert caught.value.code == 2


def test_a_stream_holds_the_objects_of_its_kind() -> None:
    """Basic ends at 2, regular at 127; a device of a lower level gives what it has; an unknown object begins anew."""
    objects = [(number, b"x") for number in (0, 1, 2, 6, 0x7F, 0x80, 0xFF)]

    def numbers(code: int, object_id: int, conformity: int = 0x83) -> list[int]:
        request = modbus_decode_request(modbus_device_id_request(code, object_id))
        answer = modbus_encode_device_id(request, objects, conformity=conformity)
        return [number for number, _ in modbus_decode_device_id(answer)[3]]

    assert numbers(1, 0) == [0, 1, 2]
    assert numbers(2, 1) == [1, 2, 6, 0x7F]
    assert numbers(3, 0x80) == [0x80, 0xFF]
    assert numbers(3, 0, conformity=0x81) == [0, 1, 2]
    assert numbers(2, 0x90) == [0, 1, 2, 6, 0x7F]


@given(st.binary(max_size=60))
def test_any_bytes_are_an_identification_or_a_named_error(tail: bytes) -> None:
    """An object that runs past the end, or bytes behind the last, are malformed."""
    pdu = b"\x2b\x0e" + tail
    try:
        conformity, _, _, objects = modbus_decode_device_id(pdu)
    except ProtocolError:
        return
    assert conformity == pdu[3]
    assert pdu[7:] == b"".join(bytes([number, len(text)]) + text for number, text in objects)


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        ("2b0d01830000 00", "expected an answer of MEI type 14, got 13"),
        ("2b0e0183000001 00 05 41", "expected an answer of 14 bytes, got 10"),
        ("2b0e0183000000 00", "expected the answer to end with its last object, got 1 bytes more"),
        ("2b0e01", "expected an answer of 7 bytes, got 3"),
        ("0302000a", "expected an answer to function 43, got function 3"),
    ],
)
def test_an_identification_that_does_not_fit_says_why(answer: str, reason: str) -> None:
    """The text says what was expected and what came."""
    with pytest.raises(ProtocolError, match=reason):
        modbus_decode_device_id(bytes.fromhex(answer))


def test_a_refused_identification_carries_its_code() -> None:
    """Most devices do not know the function, and say so."""
    with pytest.raises(ModbusFault, match="the device refused function 43: illegal function") as caught:
        modbus_decode_device_id(b"\xab\x01")
    assert caught.value.code == 1
    with pytest.raises(ProtocolError, match="expected an identification of kind 1, got 2"):
        modbus_decode_answer(modbus_device_id_request(1, 0), bytes.fromhex("2b0e0283000000"))


@pytest.mark.parametrize(
    ("request_pdu", "code"),
    [("2b0d0100", 1), ("2b0e0500", 3), ("2b0e01", 3), ("16000400f200", 3), ("1700030006000e00030400ff00ff", 3)],
)
def test_a_server_says_why_it_refuses(request_pdu: str, code: int) -> None:
    """Unknown MEI types are unknown functions; what is malformed is an illegal value."""
    with pytest.raises(ModbusFault) as caught:
        modbus_decode_request(bytes.fromhex(request_pdu))
    assert caught.value.code == code
