"""The data types of a Logix controller and how their values lie in memory: Python values to bytes and back.

In: values, declarations such as ``DINT[10]``. Out: little-endian bytes. Not here: how a structure's members are laid
out (`templates`), where a tag's bytes are kept (`store`).

Obeys: CIP volume 1, appendix C (type codes); 1756-PM020, "CIP data types" and "structured tags".
"""

from __future__ import annotations

import dataclasses
import math
import re
import struct
from collections.abc import Mapping, Sequence

from bifrost.errors import DataTypeError

__all__ = [
    "BOOL",
    "DWORD",
    "ELEMENTARY",
    "SHORT_STRING",
    "SINT",
    "DataType",
    "Declaration",
    "Elementary",
    "Member",
    "Structure",
    "decode",
    "decode_array",
    "encode",
    "encode_array",
    "fitting",
    "parse_declaration",
]

_DECLARATION = re.compile(r"\s*([A-Za-z_]\w*)\s*(?:\[\s*(\d+(?:\s*,\s*\d+){0,2})\s*\])?\s*")
_SHORT_STRING_BYTES = 81
_MAX_ELEMENTS = 1_000_000
_FLOAT32_MAX = 3.4028234663852886e38


@dataclasses.dataclass(frozen=True, slots=True)
class Elementary:
    """A type without members.

    Attributes:
        name: as Studio 5000 writes it.
        code: CIP type code, as it stands on the wire.
        format: of `struct`, without byte order.
        size: bytes of one element in memory.
    """

    name: str
    code: int
    format: str
    size: int


@dataclasses.dataclass(frozen=True, slots=True)
class Member:
    """One member of a structure.

    Attributes:
        name: unique within the structure.
        type: of one element.
        count: elements of an array; 0 means no array.
        offset: bytes from the structure's start; for a bit, of the byte that holds it.
        bit: position of a BOOL in its byte; None for everything else.
        hidden: the byte that holds bits; no program can see it.
    """

    name: str
    type: DataType
    count: int
    offset: int
    bit: int | None = None
    hidden: bool = False


@dataclasses.dataclass(frozen=True, slots=True)
class Structure:
    """A user-defined or predefined structure.

    Attributes:
        name: as in the template.
        template_id: instance of the template object.
        handle: names the layout in reads and writes; another layout has another handle.
        size: bytes of one element in memory, padding included.
        alignment: bytes at which an element must begin.
        members: in the order of the template, hidden ones included.
        text_length: characters that a string structure holds; None for other structures.
    """

    name: str
    template_id: int
    handle: int
    size: int
    alignment: int
    members: tuple[Member, ...]
    text_length: int | None = None

    def member(self, name: str) -> Member | None:
        """Find a visible member; controllers do not tell upper from lower case."""
        folded = name.casefold()
        return next((one for one in self.members if not one.hidden and one.name.casefold() == folded), None)


DataType = Elementary | Structure

BOOL = Elementary("BOOL", 0xC1, "?", 1)
SINT = Elementary("SINT", 0xC2, "b", 1)
DWORD = Elementary("DWORD", 0xD3, "I", 4)
"""Only ever the host of 32 elements of a BOOL array."""
SHORT_STRING = Elementary("SHORT_STRING", 0xDA, "", _SHORT_STRING_BYTES)
"""The STRING of a Micro800: a length byte and up to 80 characters; only the used part is sent."""

ELEMENTARY: Mapping[str, Elementary] = {
    one.name: one
    for one in (
        BOOL,
        SINT,
        Elementary("INT", 0xC3, "h", 2),
        Elementary("DINT", 0xC4, "i", 4),
        Elementary("LINT", 0xC5, "q", 8),
        Elementary("USINT", 0xC6, "B", 1),
        Elementary("UINT", 0xC7, "H", 2),
        Elementary("UDINT", 0xC8, "I", 4),
        Elementary("ULINT", 0xC9, "Q", 8),
        Elementary("REAL", 0xCA, "f", 4),
        Elementary("LREAL", 0xCB, "d", 8),
    )
}


@dataclasses.dataclass(frozen=True, slots=True)
class Declaration:
    """A type's name and its dimensions, ``()`` for a scalar."""

    name: str
    dimensions: tuple[int, ...]


def parse_declaration(text: str) -> Declaration:
    """Read ``DINT``, ``DINT[10]`` or ``REAL[2,3,4]``.

    Raises:
        DataTypeError: not of that form, a dimension of 0, or more than a million elements.
    """
    match = _DECLARATION.fullmatch(text)
    if match is None:
        raise DataTypeError(f"expected a type such as DINT, DINT[10] or REAL[2,3], got {text!r}")
    dimensions = tuple(int(one) for one in (match[2] or "").split(",") if one)
    elements = 1
    for one in dimensions:
        elements *= one
    if not 1 <= elements <= _MAX_ELEMENTS:
        raise DataTypeError(f"expected 1 to {_MAX_ELEMENTS} elements, got {elements} in {text!r}")
    return Declaration(match[1], dimensions)


def encode(kind: DataType, value: object) -> bytes:
    """Turn one value into the bytes that it takes in memory.

    Args:
        kind: its type.
        value: a number, a bool, a str for strings, a mapping for structures; members left out are 0.

    Raises:
        DataTypeError: the value does not fit.
    """
    if isinstance(kind, Structure):
        return _encode_structure(kind, value)
    if kind is SHORT_STRING:
        text = _text(kind.name, value, _SHORT_STRING_BYTES - 1)
        return bytes([len(text)]) + text.ljust(_SHORT_STRING_BYTES - 1, b"\0")
    try:
        return struct.pack(f"<{kind.format}", value)
    except (struct.error, OverflowError) as exc:
        raise DataTypeError(f"expected a value of type {kind.name}, got {value!r}") from exc


def decode(kind: DataType, data: bytes | bytearray, offset: int = 0) -> object:
    """Turn the bytes of one element into a value: number, bool, str or dict."""
    if isinstance(kind, Structure):
        if kind.text_length is not None:
            used = min(int.from_bytes(data[offset : offset + 4], "little"), kind.text_length)
            return bytes(data[offset + 4 : offset + 4 + used]).decode("iso-8859-1")
        return {one.name: _decode_member(one, data, offset) for one in kind.members if not one.hidden}
    if kind is SHORT_STRING:
        used = min(data[offset], _SHORT_STRING_BYTES - 1)
        return bytes(data[offset + 1 : offset + 1 + used]).decode("iso-8859-1")
    value: object = struct.unpack_from(f"<{kind.format}", data, offset)[0]
    return value


def fitting(kind: DataType, value: float) -> float | None:
    """Bring a measurement into what the type holds: rounded and at its limits for integers, infinity for floats.

    Returns:
        The value, or None if it is no number and the type knows only numbers.
    """
    assert isinstance(kind, Elementary)
    if kind.format == "d" or math.isnan(value):
        return value if kind.format in ("d", "f") else None
    if kind.format == "f":
        return value if abs(value) <= _FLOAT32_MAX else math.copysign(math.inf, value)
    bits = 8 * kind.size
    low, high = (-(1 << bits - 1), (1 << bits - 1) - 1) if kind.format.islower() else (0, (1 << bits) - 1)
    if kind is BOOL:
        return float(value != 0)
    return low if value <= low else high if value >= high else round(value)


def encode_array(kind: DataType, values: object, count: int) -> bytes:
    """Turn `count` values, a DWORD for 32 bools, into bytes; nested sequences of several dimensions are flattened.

    Raises:
        DataTypeError: another number of values, or one does not fit.
    """
    flat = list(_flattened(values))
    if kind is DWORD:
        if len(flat) != 32 * count:
            raise DataTypeError(f"expected {32 * count} bools, got {len(flat)}")
        whole = sum(1 << at for at, value in enumerate(flat) if value)
        return whole.to_bytes(4 * count, "little")
    if len(flat) != count:
        raise DataTypeError(f"expected {count} values of type {kind.name}, got {len(flat)}")
    return b"".join(encode(kind, value) for value in flat)


def decode_array(kind: DataType, data: bytes | bytearray, offset: int, count: int) -> list[object]:
    """Turn the bytes of `count` elements into values; DWORDs give 32 bools each."""
    if kind is DWORD:
        whole = int.from_bytes(data[offset : offset + 4 * count], "little")
        return [bool(whole >> at & 1) for at in range(32 * count)]
    return [decode(kind, data, offset + at * kind.size) for at in range(count)]


def _flattened(values: object) -> list[object]:
    if isinstance(values, str | bytes) or not isinstance(values, Sequence):
        return [values]
    return [one for value in values for one in _flattened(value)]


def _text(name: str, value: object, limit: int) -> bytes:
    if not isinstance(value, str):
        raise DataTypeError(f"expected a str for {name}, got {value!r}")
    try:
        text = value.encode("iso-8859-1")
    except UnicodeEncodeError as exc:
        raise DataTypeError(f"expected Latin-1 characters for {name}, got {value!r}") from exc
    if len(text) > limit:
        raise DataTypeError(f"expected at most {limit} characters for {name}, got {len(text)}")
    return text


def _encode_structure(kind: Structure, value: object) -> bytes:
    if kind.text_length is not None:
        text = _text(kind.name, value, kind.text_length)
        return (len(text).to_bytes(4, "little") + text).ljust(kind.size, b"\0")
    if not isinstance(value, Mapping):
        raise DataTypeError(f"expected a mapping of the members of {kind.name}, got {value!r}")
    data = bytearray(kind.size)
    for name, one in value.items():
        member = kind.member(str(name))
        if member is None:
            known = ", ".join(each.name for each in kind.members if not each.hidden)
            raise DataTypeError(f"{kind.name} has no member {name!r}: it has {known}")
        if member.bit is not None:
            data[member.offset] |= bool(one) << member.bit
            continue
        part = encode_array(member.type, one, member.count) if member.count else encode(member.type, one)
        data[member.offset : member.offset + len(part)] = part
    return bytes(data)


def _decode_member(member: Member, data: bytes | bytearray, start: int) -> object:
    if member.bit is not None:
        return bool(data[start + member.offset] >> member.bit & 1)
    if member.count:
        return decode_array(member.type, data, start + member.offset, member.count)
    return decode(member.type, data, start + member.offset)
