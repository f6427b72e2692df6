"""One value as the bytes that an S7 CPU keeps, and back. Pure.

In: bytes, or a value. Out: a value, or bytes. Bytes that are no value of their type raise `ProtocolError`, a value
that does not fit raises `DataTypeError`; nothing is cut, wrapped or guessed.
Obeys: STEP 7 "LAD, FBD, STL data types"; big-endian throughout.
"""

from __future__ import annotations

import datetime as dt
import struct
from collections.abc import Callable

import msgspec

from bifrost.core.value import Value
from bifrost.errors import DataTypeError, ProtocolError
from bifrost.plc.s7 import dates
from bifrost.plc.s7.types import S7Type

__all__ = ["ValueCodec", "codec_of"]

_FORMATS = {
    S7Type.SINT: "b",
    S7Type.USINT: "B",
    S7Type.INT: "h",
    S7Type.UINT: "H",
    S7Type.DINT: "i",
    S7Type.UDINT: "I",
    S7Type.LINT: "q",
    S7Type.ULINT: "Q",
    S7Type.REAL: "f",
    S7Type.LREAL: "d",
    S7Type.TIME: "i",
    S7Type.LTIME: "q",
}
_S5_BASES_MS = (10, 100, 1000, 10_000)


class ValueCodec(msgspec.Struct, frozen=True):
    """How one value is encoded.

    Attributes:
        size: bytes.
        encode: value to bytes.
        decode: bytes to value; exactly `size` of them.
        format: its letter in `struct`, if it is a plain number; many of them are then decoded at once.
    """

    size: int
    encode: Callable[[object], bytes]
    decode: Callable[[bytes], Value]
    format: str = ""


def codec_of(kind: S7Type, length: int = 0, encoding: str = "latin-1") -> ValueCodec:
    """Make the codec of a type.

    Args:
        kind: the type.
        length: characters or bytes, where the type has a length.
        encoding: how CHAR and STRING are encoded.
    """
    size = kind.bytes_of(length)
    if kind in _FORMATS:
        return _number(kind, size)
    if kind.has_length:
        return _TEXTS[kind](length, encoding)
    encode, decode = _FIXED[kind]
    return ValueCodec(size, encode, decode)


def _number(kind: S7Type, size: int) -> ValueCodec:
    layout = struct.Struct(">" + _FORMATS[kind])
    encode = _float if kind in {S7Type.REAL, S7Type.LREAL} else _integer

    def decode(data: bytes) -> Value:
        (value,) = layout.unpack(data)
        return value  # type: ignore[no-any-return]  # the format says: a number

    return ValueCodec(size, lambda value: encode(kind, layout, value), decode, _FORMATS[kind])


def _integer(kind: S7Type, layout: struct.Struct, value: object) -> bytes:
    if isinstance(value, dt.timedelta) and kind in {S7Type.TIME, S7Type.LTIME}:
        value = _duration(value, kind)
    try:
        return layout.pack(_whole(kind, value))
    except struct.error:
        bits = 8 * layout.size
        signed = layout.format[-1:].islower()
        low, high = (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if signed else (0, 2**bits - 1)
        raise DataTypeError(f"expected {kind} from {low} to {high}, got {value}") from None


def _duration(value: dt.timedelta, kind: S7Type) -> int:
    microseconds = value // dt.timedelta(microseconds=1)
    if kind is S7Type.LTIME:
        return microseconds * 1000
    milliseconds, rest = divmod(microseconds, 1000)
    if rest:
        raise DataTypeError(f"a {kind} counts whole milliseconds, got {value}")
    return milliseconds


def _whole(kind: S7Type, value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise DataTypeError(f"expected a whole number for {kind}, got {value!r:.60}")
    if isinstance(value, float):
        if not value.is_integer():  # NaN and infinity are no integers either
            raise DataTypeError(f"expected a whole number for {kind}, got {value!r}")
        return int(value)
    return value


def _float(kind: S7Type, layout: struct.Struct, value: object) -> bytes:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise DataTypeError(f"expected a number for {kind}, got {value!r:.60}")
    try:
        return layout.pack(value)
    except OverflowError:
        raise DataTypeError(f"{value!r:.60} is beyond the range of {kind}") from None


def _bool_bytes(value: object) -> bytes:
    if not isinstance(value, bool):
        raise DataTypeError(f"expected True or False for BOOL, got {value!r:.60}")
    return b"\x01" if value else b"\x00"


def _bcd(digits: int) -> tuple[Callable[[object], bytes], Callable[[bytes], Value]]:
    def encode(value: object) -> bytes:
        number = _whole(S7Type(f"BCD{digits * 4}"), value)
        if not 0 <= number < 10**digits:
            raise DataTypeError(f"expected a number of at most {digits} digits, got {number}")
        return dates.to_bcd(number, digits)

    return encode, dates.from_bcd


def _decode_s5time(data: bytes) -> Value:
    return dates.from_bcd(bytes([data[0] & 0x0F, data[1]])) * _S5_BASES_MS[data[0] >> 4 & 0x3]


def _encode_s5time(value: object) -> bytes:
    if isinstance(value, dt.timedelta):
        value = _duration(value, S7Type.S5TIME)
    milliseconds = _whole(S7Type.S5TIME, value)
    for index, base in enumerate(_S5_BASES_MS):
        steps, rest = divmod(milliseconds, base)
        if 0 <= steps <= 999 and not rest:
            digits = dates.to_bcd(steps, 4)
            return bytes([index << 4 | digits[0], digits[1]])
    raise DataTypeError(
        f"an S5TIME has three digits, in steps of 10 ms, 100 ms, 1 s or 10 s, up to 9,990,000 ms; got {milliseconds} ms"
    )


def _decode_counter(data: bytes) -> Value:
    return dates.from_bcd(bytes([data[0] & 0x0F, data[1]]))


def _encode_counter(value: object) -> bytes:
    count = _whole(S7Type.COUNTER, value)
    if not 0 <= count <= 999:
        raise DataTypeError(f"a counter runs from 0 to 999, got {count}")
    return dates.to_bcd(count, 4)


def _encoded(value: object, kind: S7Type, length: int, encoding: str) -> bytes:
    each = 2 if kind in {S7Type.WCHAR, S7Type.WSTRING} else 1
    if not isinstance(value, str):
        raise DataTypeError(f"expected a text for {kind}, got {value!r:.60}")
    try:
        data = value.encode(encoding)
    except UnicodeError:
        raise DataTypeError(f"{value!r:.60} has characters that {encoding} does not know") from None
    if len(data) > length * each:
        raise DataTypeError(f"expected at most {length} characters, got {len(data) // each}: {value!r:.60}")
    return data


def _decoded(data: bytes, encoding: str) -> str:
    try:
        return data.decode(encoding)
    except UnicodeError:
        raise ProtocolError(f"the text is not encoded as {encoding}: 0x{data[:20].hex()}") from None


def _characters(kind: S7Type, length: int, encoding: str, each: int) -> ValueCodec:
    """CHAR and WCHAR: as many characters as there are; what is missing at the end is NUL."""
    size = length * each
    nul = bytes(each)

    def decode(data: bytes) -> Value:
        while data.endswith(nul) and len(data) >= each:
            data = data[:-each]
        return _decoded(data, encoding)

    return ValueCodec(size, lambda value: _encoded(value, kind, length, encoding).ljust(size, b"\0"), decode)


def _string(length: int, encoding: str) -> ValueCodec:
    """STRING: a byte with the room, a byte with the length, the characters. What is written leaves the room alone."""

    def decode(data: bytes) -> Value:
        room, used = data[0], data[1]
        _check_header("STRING", room, used, length)
        return _decoded(data[2 : 2 + used], encoding)

    def encode(value: object) -> bytes:
        data = _encoded(value, S7Type.STRING, length, encoding)
        return bytes([len(data)]) + data

    return ValueCodec(2 + length, encode, decode)


def _wstring(length: int) -> ValueCodec:
    """WSTRING: as STRING, with two bytes for each number and each character."""

    def decode(data: bytes) -> Value:
        room, used = int.from_bytes(data[:2]), int.from_bytes(data[2:4])
        _check_header("WSTRING", room, used, length)
        return _decoded(data[4 : 4 + 2 * used], "utf-16-be")

    def encode(value: object) -> bytes:
        data = _encoded(value, S7Type.WSTRING, length, "utf-16-be")
        return (len(data) // 2).to_bytes(2) + data

    return ValueCodec(4 + 2 * length, encode, decode)


def _check_header(kind: str, room: int, used: int, length: int) -> None:
    if used > room:
        raise ProtocolError(f"there is no {kind} here: it would hold {used} characters and have room for {room}")
    if used > length:
        raise ProtocolError(f"the {kind} holds {used} characters, the address declares {length}; write {kind}({room})")


def _bytes(length: int) -> ValueCodec:
    def encode(value: object) -> bytes:
        if not isinstance(value, bytes | bytearray | memoryview):
            raise DataTypeError(f"expected bytes, got {value!r:.60}")
        data = bytes(value)
        if len(data) != length:
            raise DataTypeError(f"expected {length} bytes, got {len(data)}")
        return data

    return ValueCodec(length, encode, bytes)


_TEXTS: dict[S7Type, Callable[[int, str], ValueCodec]] = {
    S7Type.CHAR: lambda length, encoding: _characters(S7Type.CHAR, length, encoding, 1),
    S7Type.WCHAR: lambda length, _: _characters(S7Type.WCHAR, length, "utf-16-be", 2),
    S7Type.STRING: _string,
    S7Type.WSTRING: lambda length, _: _wstring(length),
    S7Type.BYTES: lambda length, _: _bytes(length),
}

_FIXED: dict[S7Type, tuple[Callable[[object], bytes], Callable[[bytes], Value]]] = {
    S7Type.BOOL: (_bool_bytes, lambda data: data[0] != 0),
    S7Type.BCD16: _bcd(4),
    S7Type.BCD32: _bcd(8),
    S7Type.DATE: (dates.encode_date, dates.decode_date),
    S7Type.TOD: (dates.encode_tod, dates.decode_tod),
    S7Type.S5TIME: (_encode_s5time, _decode_s5time),
    S7Type.TIMER: (_encode_s5time, _decode_s5time),
    S7Type.DT: (dates.encode_dt, dates.decode_dt),
    S7Type.DTL: (dates.encode_dtl, dates.decode_dtl),
    S7Type.LTOD: (dates.encode_ltod, dates.decode_ltod),
    S7Type.LDT: (dates.encode_ldt, dates.decode_ldt),
    S7Type.COUNTER: (_encode_counter, _decode_counter),
}
