"""RTU framing of the Rust codec against a slow scanner in plain Python, pymodbus's framer, and printed frames."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pymodbus.framer import FramerRTU
from pymodbus.pdu import DecodePDU

from bifrost._native import (
    RtuFramer,
    RtuRequestFramer,
    modbus_crc16,
    modbus_decode_request,
    modbus_device_id_request,
    modbus_encode_bits,
    modbus_encode_device_id,
    modbus_encode_exception,
    modbus_encode_registers,
    modbus_mask_write_request,
    modbus_read_request,
    modbus_read_write_request,
    modbus_rtu_frame,
    modbus_write_request,
)
from tests.oracles import modbus as oracle

UNIT = st.integers(0, 255)
ADDRESS = st.integers(0, 60_000)
WORD = st.integers(0, 0xFFFF)
WORDS = st.lists(WORD, min_size=1, max_size=121)
# Bytes that often look like the beginning of a frame, so that noise is hard to tell from one.
NOISE = st.one_of(
    st.binary(max_size=40), st.lists(st.sampled_from(b"\0\1\2\3\6\x0e\x10\x17\x2b\x83"), max_size=300).map(bytes)
)
REQUESTS = st.one_of(
    st.builds(modbus_read_request, st.integers(1, 4), ADDRESS, st.integers(1, 125)),
    st.builds(modbus_write_request, st.just(6), ADDRESS, st.lists(WORD, min_size=1, max_size=1)),
    st.builds(modbus_write_request, st.just(5), ADDRESS, st.lists(st.booleans(), min_size=1, max_size=1)),
    st.builds(modbus_write_request, st.just(15), ADDRESS, st.lists(st.booleans(), min_size=1, max_size=300)),
    st.builds(modbus_write_request, st.just(16), ADDRESS, WORDS),
    st.builds(modbus_mask_write_request, ADDRESS, WORD, WORD),
    st.builds(modbus_read_write_request, ADDRESS, st.integers(1, 125), ADDRESS, WORDS),
    st.builds(modbus_device_id_request, st.integers(1, 4), st.integers(0, 255)),
)
IDENTIFICATIONS = st.builds(
    lambda objects: modbus_encode_device_id(modbus_decode_request(modbus_device_id_request(3, 0)), objects),
    st.lists(st.tuples(st.integers(0, 255), st.binary(max_size=60)), max_size=8, unique_by=lambda item: item[0]),
)
ANSWERS = st.one_of(
    IDENTIFICATIONS,
    st.builds(modbus_encode_registers, st.sampled_from([3, 4, 23]), WORDS),
    st.builds(modbus_encode_bits, st.integers(1, 2), st.lists(st.booleans(), min_size=1, max_size=300)),
    st.builds(modbus_encode_exception, st.sampled_from([1, 3, 16, 43]), st.integers(1, 11)),
    st.builds(modbus_mask_write_request, ADDRESS, WORD, WORD),
    st.builds(modbus_write_request, st.just(6), ADDRESS, st.lists(WORD, min_size=1, max_size=1)),
)
VECTORS = Path(__file__).parents[3] / "vectors"


def pieces(stream: bytes, data: st.DataObject) -> list[bytes]:
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=8)))
    return [stream[begin:end] for begin, end in zip([0, *cuts], [*cuts, len(stream)], strict=True)]


def stream_of(pdus: st.SearchStrategy[bytes]) -> st.SearchStrategy[bytes]:
    """Frames, frames with a wrong byte, and noise in between."""
    frame = st.builds(modbus_rtu_frame, UNIT, pdus)
    broken = st.builds(
        lambda whole, at: whole[: at % len(whole)] + b"\xa5" + whole[at % len(whole) + 1 :], frame, st.integers(0, 255)
    )
    return st.lists(st.one_of(frame, frame, broken, NOISE), max_size=5).map(b"".join)


def printed_frames() -> list[bytes]:
    frames: list[bytes] = []
    before = ""
    for line in (VECTORS / "modbus_rtu.txt").read_text().splitlines():
        mark, field = line[:1], line[1:].split("#")[0]
        if mark in {">", "<"}:
            if mark != before:
                frames.append(b"")
            frames[-1] += bytes.fromhex(field)
        before = mark
    return frames


@pytest.mark.parametrize("whole", printed_frames(), ids=bytes.hex)
def test_printed_frames_have_the_printed_crc(whole: bytes) -> None:
    """The codec and plain Python both make the last two bytes that are printed."""
    assert modbus_rtu_frame(whole[0], whole[1:-2]) == oracle.rtu_frame(whole[0], whole[1:-2]) == whole


@given(st.binary(max_size=300))
def test_the_crc_is_that_of_plain_python_and_pymodbus(data: bytes) -> None:
    """Three ways to the same number; pymodbus holds it with its bytes swapped."""
    assert modbus_crc16(data) == oracle.crc16(data)
    assert modbus_crc16(data).to_bytes(2, "little") == FramerRTU.compute_CRC(data).to_bytes(2, "big")


@given(UNIT, REQUESTS)
def test_request_frames_are_those_of_pymodbus(unit: int, pdu: bytes) -> None:
    """Both make the same bytes, and each side's server cuts the other's."""
    framer = FramerRTU(DecodePDU(is_server=True))
    whole = modbus_rtu_frame(unit, pdu)
    assert framer.encode(pdu, unit, 0) == whole
    assert framer.decode(whole) == (len(whole), unit, 0, pdu)
    assert RtuRequestFramer().feed(whole) == [(unit, pdu)]


@given(UNIT, ANSWERS)
def test_answer_frames_are_those_of_pymodbus(unit: int, pdu: bytes) -> None:
    """Both make the same bytes, and each side's client cuts the other's."""
    framer = FramerRTU(DecodePDU(is_server=False))
    whole = modbus_rtu_frame(unit, pdu)
    assert framer.encode(pdu, unit, 0) == whole
    assert framer.decode(whole) == (len(whole), unit, 0, pdu)
    assert RtuFramer().feed(whole) == [(unit, pdu)]


@given(st.one_of(stream_of(ANSWERS), st.binary(max_size=400)), st.data())
def test_answers_are_found_where_plain_python_finds_them(stream: bytes, data: st.DataObject) -> None:
    """However the line cuts them, and whatever is between them; what is thrown away is counted to the byte."""
    framer = RtuFramer()
    found = []
    for piece in pieces(stream, data):
        found += framer.feed(piece)
        assert framer.pending <= 256
    found += framer.idle()
    assert (found, framer.noise_bytes) == oracle.scan_rtu(stream, requests=False)
    assert framer.pending == 0


@given(st.one_of(stream_of(REQUESTS), st.binary(max_size=400)), st.data())
def test_requests_are_found_where_plain_python_finds_them(stream: bytes, data: st.DataObject) -> None:
    """However the line cuts them, and whatever is between them; what is thrown away is counted to the byte."""
    framer = RtuRequestFramer()
    found = []
    for piece in pieces(stream, data):
        found += framer.feed(piece)
        assert framer.pending <= 256
    found += framer.idle()
    assert (found, framer.noise_bytes) == oracle.scan_rtu(stream, requests=True)
    assert framer.pending == 0


@given(NOISE, UNIT, st.lists(WORD, min_size=1, max_size=125), st.data())
def test_the_awaited_answer_is_found_behind_noise_at_once(
    noise: bytes, unit: int, words: list[int], data: st.DataObject
) -> None:
    """No silence is needed: the last byte of the answer is enough."""
    framer = RtuFramer()
    framer.expect(modbus_read_request(3, 0, len(words)), unit)
    answer = modbus_encode_registers(3, words)
    whole = modbus_rtu_frame(unit, answer)
    found: list[Any] = []
    for piece in pieces(noise + whole, data):
        found += framer.feed(piece)
    by_chance = (
        any(
            oracle.crc16((noise + whole)[start:stop]) == 0
            for start in range(len(noise))
            for stop in range(len(noise) + 1, min(start + 256, len(noise + whole)) + 1)
        )
        if (unit, answer) not in found
        else False
    )
    assert (unit, answer) in found or by_chance


@given(REQUESTS, UNIT, st.data())
def test_a_local_echo_is_swallowed_once(request: bytes, unit: int, data: st.DataObject) -> None:
    """What comes first and is exactly our own request is no answer; the same bytes again are."""
    framer = RtuFramer(local_echo=True)
    framer.expect(request, unit)
    refusal = modbus_encode_exception(request[0], 2)
    found = []
    for piece in pieces(modbus_rtu_frame(unit, request) + modbus_rtu_frame(unit, refusal), data):
        found += framer.feed(piece)
    assert found == [(unit, refusal)]
    assert (framer.echoes, framer.noise_bytes, framer.crc_errors) == (1, 0, 0)


def test_the_echo_of_a_write_is_not_its_answer_even_behind_noise() -> None:
    """The answer to function 6 repeats the request: the first is the echo, the second the answer."""
    framer = RtuFramer(local_echo=True)
    request = modbus_write_request(6, 1, [3])
    framer.expect(request, 17)
    whole = modbus_rtu_frame(17, request)
    assert framer.feed(b"\0" + whole) == []
    assert framer.feed(whole) == [(17, request)]
    assert (framer.echoes, framer.noise_bytes) == (1, 1)


def test_bytes_from_before_a_request_are_no_part_of_its_answer() -> None:
    """The beginning of a late answer is given up when the next request goes out."""
    framer = RtuFramer()
    framer.expect(modbus_read_request(3, 0, 1), 1)
    late = modbus_rtu_frame(1, modbus_encode_registers(3, [9]))
    assert framer.feed(late[:4]) == []
    framer.expect(modbus_read_request(3, 0, 1), 1)
    assert framer.noise_bytes == 4
    assert framer.feed(modbus_rtu_frame(1, modbus_encode_registers(3, [8]))) == [(1, b"\x03\x02\x00\x08")]


def test_a_wrong_crc_is_counted_and_never_handed_over() -> None:
    """One broken answer is one error, however many frames are tried in it."""
    framer = RtuFramer()
    framer.expect(modbus_read_request(3, 0, 2), 1)
    whole = bytearray(modbus_rtu_frame(1, modbus_encode_registers(3, [0x0103, 0x0203])))
    whole[5] ^= 1
    assert framer.feed(bytes(whole)) == []
    assert framer.idle() == []
    assert (framer.crc_errors, framer.noise_bytes) == (1, len(whole))
    framer.reset()
    assert framer.pending == 0


@pytest.mark.parametrize("pdu", [b"", bytes(254)])
def test_a_pdu_that_fits_no_frame_is_refused(pdu: bytes) -> None:
    """Frames hold 1 to 253 bytes."""
    with pytest.raises(ValueError, match=f"expected a PDU of 1 to 253 bytes, got {len(pdu)}"):
        modbus_rtu_frame(1, pdu)
