"""Modbus in slow, plain Python: written from the standard with `struct`, to be compared with the Rust codec.

Source: V1.1b3 sections 4.2 and 6; byte orders as in `bifrost.plc.datatypes.ByteOrder`.
"""

from __future__ import annotations

import struct

__all__ = ["decode_bits", "decode_words", "encode_bits", "encode_words", "frame", "split_frames"]

_FORMATS = {
    "INT16": ">h",
    "UINT16": ">H",
    "INT32": ">i",
    "UINT32": ">I",
    "INT64": ">q",
    "UINT64": ">Q",
    "FLOAT32": ">f",
    "FLOAT64": ">d",
}


def _arranged(raw: bytes, order: str) -> bytes:
    words = [raw[at : at + 2] for at in range(0, len(raw), 2)]
    if order in {"BADC", "DCBA"}:
        words = [word[::-1] for word in words]
    if order in {"CDAB", "DCBA"}:
        words.reverse()
    return b"".join(words)


def decode_words(datatype: str, order: str, words: list[int], length: int = 0) -> object:
    """Read one value from registers."""
    raw = b"".join(word.to_bytes(2, "big") for word in words)
    if datatype == "STRING":
        text = _arranged(raw, "BADC") if order in {"BADC", "DCBA"} else raw
        text = text[:length].split(b"\0")[0]
        try:
            return text.decode("utf-8")
        except UnicodeDecodeError:
            return text.decode("latin-1")
    return struct.unpack(_FORMATS[datatype], _arranged(raw, order))[0]


def encode_words(value: float | str, datatype: str, order: str, length: int = 0) -> list[int]:
    """Write one value as registers; `struct.error`, `OverflowError` or `ValueError` if it does not fit."""
    if isinstance(value, str):
        raw = value.encode()
        if len(raw) > length:
            raise ValueError("too long")
        raw = raw.ljust((length + 1) // 2 * 2, b"\0")
        raw = _arranged(raw, "BADC") if order in {"BADC", "DCBA"} else raw
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
