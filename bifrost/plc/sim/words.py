"""Values as a simulated device lays them out in registers, and back.

Written with `struct` on purpose, apart from the codec in Rust: what a client decodes with that one was not made by it.

Obeys: V1.1b3 section 4.2 (a register is 16 bits, high byte first); wider types follow the makers' convention.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence

from bifrost.errors import DataTypeError

__all__ = ["decode_words", "encode_words"]

_FORMATS = {
    "BOOL": ">H",
    "INT16": ">h",
    "UINT16": ">H",
    "INT32": ">i",
    "UINT32": ">I",
    "INT64": ">q",
    "UINT64": ">Q",
    "FLOAT32": ">f",
    "FLOAT64": ">d",
}
_ORDERS = {"ABCD": (False, False), "CDAB": (True, False), "BADC": (False, True), "DCBA": (True, True)}
"""Byte order to (words reversed, bytes swapped within each word)."""


def encode_words(
    value: float | str, datatype: str, *, byte_order: str = "ABCD", length: int | None = None
) -> list[int]:
    """Lay a value out in registers.

    Args:
        value: fits `datatype`; text is UTF-8.
        datatype: BOOL, INT16 to UINT64, FLOAT32, FLOAT64 or STRING.
        byte_order: ABCD, CDAB, BADC or DCBA.
        length: bytes of a STRING; shorter text is filled up with NUL. None takes what the text needs.

    Raises:
        DataTypeError: the value does not fit, or type or order is unknown.
    """
    if datatype == "STRING":
        raw = str(value).encode()
        size = len(raw) if length is None else length
        if len(raw) > size:
            raise DataTypeError(f"expected text of at most {size} bytes, got {len(raw)}")
        raw = raw.ljust(size + size % 2, b"\0")
    else:
        try:
            raw = struct.pack(_format(datatype), value)
        except (struct.error, OverflowError) as exc:
            raise DataTypeError(f"expected a value that fits {datatype}, got {value!r}") from exc
    return _ordered([int.from_bytes(raw[at : at + 2]) for at in range(0, len(raw), 2)], byte_order)


def decode_words(words: Sequence[int], datatype: str, *, byte_order: str = "ABCD") -> int | float | str:
    """Read a value out of the registers that it takes; text ends at the first NUL.

    Raises:
        DataTypeError: the number of words is wrong, the text is no UTF-8, or type or order is unknown.
    """
    raw = b"".join(word.to_bytes(2) for word in _ordered(list(words), byte_order))
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


def _format(datatype: str) -> str:
    try:
        return _FORMATS[datatype]
    except KeyError:
        raise DataTypeError(f"expected one of {', '.join([*_FORMATS, 'STRING'])}, got {datatype}") from None


def _ordered(words: list[int], byte_order: str) -> list[int]:
    try:
        words_reversed, bytes_swapped = _ORDERS[byte_order]
    except KeyError:
        raise DataTypeError(f"expected byte order {', '.join(_ORDERS)}, got {byte_order}") from None
    if bytes_swapped:
        words = [word >> 8 | (word & 0xFF) << 8 for word in words]
    return words[::-1] if words_reversed else words
