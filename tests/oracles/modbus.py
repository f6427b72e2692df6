"""Modbus in slow, plain Python: written from the standard with `struct`, to be compared with the Rust codec.

Source: V1.1b3 sections 4.2 and 6, "MODBUS over Serial Line" V1.02 section 6.2.2; byte orders as in
`bifrost.plc.datatypes.ByteOrder`.
"""

from __future__ import annotations

import struct

__all__ = [
    "crc16",
    "decode_bits",
    "decode_words",
    "encode_bits",
    "encode_words",
    "frame",
    "rtu_answer_length",
    "rtu_frame",
    "rtu_request_length",
    "scan_rtu",
    "split_frames",
]

_FORMATS = {
    "INT16": ">h",
    "UINT16": ">H",
    "INT32": ">i",
    "UINT32": ">I",
    "INT64": ">q",
    "UINT64": ">Q",
    "FLOAT16": ">e",
    "FLOAT32": ">f",
    "FLOAT64": ">d",
}
_DIGITS = {"BCD16": 4, "BCD32": 8}


def _arranged(raw: bytes, order: str) -> bytes:
    words = [raw[at : at + 2] for at in range(0, len(raw), 2)]
    if order in {"BADC", "DCBA"}:
        words = [word[::-1] for word in words]
    if order in {"CDAB", "DCBA"}:
        words.reverse()
    return b"".join(words)


def _swapped(raw: bytes, order: str) -> bytes:
    return _arranged(raw, "BADC") if order in {"BADC", "DCBA"} else raw


def decode_words(datatype: str, order: str, words: list[int], length: int = 0) -> object:
    """Read one value from registers; `ValueError` if they hold none."""
    raw = b"".join(word.to_bytes(2, "big") for word in words)
    if datatype == "BYTES":
        return _swapped(raw, order)[:length]
    if datatype == "STRING":
        text = _swapped(raw, order)[:length].split(b"\0")[0]
        try:
            return text.decode("utf-8")
        except UnicodeDecodeError:
            return text.decode("latin-1")
    straight = _arranged(raw, order)
    if datatype in _DIGITS:
        return int(straight.hex(), 10)
    if datatype in {"INT8", "UINT8"}:
        return int.from_bytes(straight[-1:], "big", signed=datatype == "INT8")
    return struct.unpack(_FORMATS[datatype], straight)[0]


def encode_words(value: float | str | bytes, datatype: str, order: str, length: int = 0) -> list[int]:
    """Write one value as registers; `struct.error`, `OverflowError` or `ValueError` if it does not fit."""
    if isinstance(value, (str, bytes)):
        raw = value.encode() if isinstance(value, str) else value
        if len(raw) > length or (isinstance(value, bytes) and len(raw) < length):
            raise ValueError("another length")
        raw = _swapped(raw.ljust((length + 1) // 2 * 2, b"\0"), order)
    elif datatype in _DIGITS:
        digits = _DIGITS[datatype]
        if not isinstance(value, int) or not 0 <= value < 10**digits:
            raise ValueError("not so many digits")
        raw = _arranged(bytes.fromhex(f"{value:0{digits}}"), order)
    elif datatype in {"INT8", "UINT8"}:
        struct.pack("b" if datatype == "INT8" else "B", value)
        raw = _arranged(struct.pack(">h", value), order)
    else:
        raw = _arranged(struct.pack(_FORMATS[datatype], value), order)
    return [int.from_bytes(raw[at : at + 2], "big") for at in range(0, len(raw), 2)]


def encode_bits(bits: list[bool]) -> bytes:
    """Pack bits, the first into the lowest bit of the first byte."""
    number = sum(1 << at for at, bit in enumerate(bits) if bit)
    return number.to_bytes((len(bits) + 7) // 8, "little")


def decode_bits(raw: bytes, count: int) -> list[bool]:
    """Unpack bits."""
    number = int.from_bytes(raw, "little")
    return [bool(number >> at & 1) for at in range(count)]


def frame(transaction: int, unit: int, pdu: bytes) -> bytes:
    """Put a PDU into an MBAP frame."""
    return struct.pack(">HHHB", transaction, 0, len(pdu) + 1, unit) + pdu


def split_frames(stream: bytes) -> list[tuple[int, int, bytes]]:
    """Cut a stream of whole frames."""
    frames = []
    while stream:
        transaction, _, length, unit = struct.unpack(">HHHB", stream[:7])
        frames.append((transaction, unit, stream[7 : 6 + length]))
        stream = stream[6 + length :]
    return frames


def crc16(data: bytes) -> int:
    """Shift bit by bit, as the serial line guide describes."""
    crc = 0xFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0xA001 if crc & 1 else 0)
    return crc


def rtu_frame(unit: int, pdu: bytes) -> bytes:
    """Put a PDU into an RTU frame."""
    body = bytes([unit]) + pdu
    return body + crc16(body).to_bytes(2, "little")


def rtu_request_length(raw: bytes) -> int | None:
    """How long the request that begins here is; None if none does, or its length is still to come."""
    function = raw[1] if len(raw) > 1 else 0
    fixed = {7: 4, 8: 8, 11: 4, 12: 4, 17: 4, 22: 10, 24: 6, **dict.fromkeys(range(1, 7), 8)}
    counted = {15: 6, 16: 6, 20: 2, 21: 2, 23: 10}
    if function == 43:
        return 7 if raw[2:3] == b"\x0e" else None
    return fixed.get(function) or _counted(raw, counted.get(function))


def rtu_answer_length(raw: bytes) -> int | None:
    """How long the answer that begins here is; None if none does, or its length is still to come."""
    function = raw[1] if len(raw) > 1 else 0
    if function >= 0x80:
        return 5
    fixed = {5: 8, 6: 8, 7: 5, 8: 8, 11: 8, 15: 8, 16: 8, 22: 10}
    if function in fixed:
        return fixed[function]
    if function == 24:
        return int.from_bytes(raw[2:4], "big") + 6 if len(raw) >= 4 else None
    if function == 43:
        return _identification_length(raw)
    return _counted(raw, 2 if function in {1, 2, 3, 4, 12, 17, 20, 21, 23} else None)


def _counted(raw: bytes, place: int | None) -> int | None:
    return None if place is None or len(raw) <= place else place + 1 + raw[place] + 2


def _identification_length(raw: bytes) -> int | None:
    if len(raw) < 8 or raw[2] != 14:
        return None
    end = 8
    for _ in range(raw[7]):
        if len(raw) < end + 2:
            return None
        end += 2 + raw[end + 1]
    return end + 2


def scan_rtu(stream: bytes, *, requests: bool) -> tuple[list[tuple[int, bytes]], int]:
    """Find all frames of a line that has gone silent: `(unit, pdu)` each, and how many bytes were noise."""
    length_of = rtu_request_length if requests else rtu_answer_length
    frames, noise, at = [], 0, 0
    while at < len(stream):
        length = length_of(stream[at:])
        whole = stream[at : at + length] if length is not None and length <= 256 else b""
        if length is not None and whole and len(whole) == length and crc16(whole) == 0:
            frames.append((whole[0], whole[1:-2]))
            at += length
        else:
            noise += 1
            at += 1
    return frames, noise
