"""Values as a simulated device lays them out in registers, and back.

Written with `struct` on purpose, apart from the codec in Rust: what a client decodes with that one was not made by it.

Obeys: V1.1b3 section 4.2 (a register is 16 bits, high byte first); wider types follow the makers' convention.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Sequence

from bifrost.errors import DataTypeError

__all__ = ["decode_words", "encode_words"]

_FORMATS = {
    "BOOL": ">H",
    "INT8": ">h",
    "UINT8": ">H",
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
_SMALL = {"INT8": (-128, 127), "UINT8": (0, 255)}
_TEXTS = frozenset({"STRING", "BYTES"})
_ORDERS = {"ABCD": (False, False), "CDAB": (True, False), "BADC": (False, True), "DCBA": (True, True)}
"""Byte order to (words reversed, bytes swapped within each word)."""


def encode_words(
    value: float | str | bytes, datatype: str, *, byte_order: str = "ABCD", length: int | None = None
) -> list[int]:
    """Lay a value out in registers.

    Args:
        value: fits `datatype`; text is UTF-8, unless it is given as bytes.
        datatype: BOOL, INT8 to UINT64, FLOAT16 to FLOAT64, BCD16, BCD32, STRING or BYTES. Eight bits fill a register
            of their own, with their sign.
        byte_order: ABCD, CDAB, BADC or DCBA.
        length: bytes of a STRING or BYTES; what is shorter is filled up with NUL. None takes what is needed.

    Raises:
        DataTypeError: the value does not fit, or type or order is unknown.
    """
    if datatype in _TEXTS:
        raw = value if isinstance(value, bytes) else str(value).encode()
        size = len(raw) if length is None else length
        if len(raw) > size:
            raise DataTypeError(f"expected text of at most {size} bytes, got {len(raw)}")
        raw = raw.ljust(size + size % 2, b"\0")
    else:
        try:
            raw = _packed(value, datatype)
        except (struct.error, OverflowError, TypeError) as exc:
            raise DataTypeError(f"expected a value that fits {datatype}, got {value!r}") from exc
    words = [int.from_bytes(raw[at : at + 2]) for at in range(0, len(raw), 2)]
    return _ordered(words, byte_order, straight=datatype in _TEXTS)


def decode_words(words: Sequence[int], datatype: str, *, byte_order: str = "ABCD") -> int | float | str | bytes:
    """Read a value out of the registers that it takes; text ends at the first NUL, BYTES with the last register.

    Raises:
        DataTypeError: the number of words is wrong, the text is no UTF-8, or type or order is unknown.
    """
    raw = b"".join(word.to_bytes(2) for word in _ordered(list(words), byte_order, straight=datatype in _TEXTS))
    if datatype == "BYTES":
        return raw
    if datatype in _DIGITS:
        return _decimal(raw)
    if datatype == "STRING":
        try:
            return raw.partition(b"\0")[0].decode()
        except UnicodeDecodeError as exc:
            raise DataTypeError(f"expected UTF-8 text, got {raw!r}") from exc
    layout = _format(datatype)
    if len(raw) != struct.calcsize(layout):
        raise DataTypeError(f"expected {struct.calcsize(layout) // 2} registers for {datatype}, got {len(words)}")
    value: int | float = struct.unpack(layout, raw)[0]
    return value


def _packed(value: float | str | bytes, datatype: str) -> bytes:
    digits = _DIGITS.get(datatype)
    if digits is None:
        low, high = _SMALL.get(datatype, (-math.inf, math.inf))
        if not isinstance(value, str | bytes) and (value < low or value > high):
            raise OverflowError
        return struct.pack(_format(datatype), value)
    if not isinstance(value, int):
        raise TypeError
    text = f"{value:0{digits}d}"
    if len(text) != digits or value < 0:
        raise OverflowError
    return bytes.fromhex(text)


def _decimal(raw: bytes) -> int:
    try:
        return int(raw.hex())
    except ValueError as exc:
        raise DataTypeError(f"expected decimal digits, got {raw.hex()}") from exc


def _format(datatype: str) -> str:
    try:
        return _FORMATS[datatype]
    except KeyError:
        known = ", ".join([*_FORMATS, *_DIGITS, *sorted(_TEXTS)])
        raise DataTypeError(f"expected one of {known}, got {datatype}") from None


def _ordered(words: list[int], byte_order: str, *, straight: bool) -> list[int]:
    """Put words and their bytes in order; text keeps the order of its words."""
    try:
        words_reversed, bytes_swapped = _ORDERS[byte_order]
    except KeyError:
        raise DataTypeError(f"expected byte order {', '.join(_ORDERS)}, got {byte_order}") from None
    if bytes_swapped:
        words = [word >> 8 | (word & 0xFF) << 8 for word in words]
    return words[::-1] if words_reversed and not straight else words
