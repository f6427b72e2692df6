"""The elementary types of CIP: their codes, their names, and what they mean in bifrost.

In: type codes and bytes. Out: Python values, and back. Pure. Not here: structures, whose layout the controller tells.
Obeys: CIP volume 1 appendix C (type codes, little-endian); Rockwell 1756-PM020, "Data types".
"""

from __future__ import annotations

import struct

import msgspec

from bifrost.errors import ProtocolError
from bifrost.plc.datatypes import DataType

__all__ = [
    "BOOL_CODE",
    "DWORD_CODE",
    "STRUCT_CODE",
    "AtomicType",
    "atomic_type",
    "atomic_type_of",
    "codes_by_name",
    "decode_atomic",
    "decode_bits",
    "encode_atomic",
    "fits",
    "name_of",
]

BOOL_CODE = 0xC1
DWORD_CODE = 0xD3
STRUCT_CODE = 0x02A0
"""What stands in the place of a type code before a structure; its handle follows."""


class AtomicType(msgspec.Struct, frozen=True):
    """One elementary type.

    Attributes:
        code: as it travels.
        name: as the controller's programmer knows it.
        datatype: as bifrost knows it.
        form: of `struct`, without the byte order; empty for texts.
        size: bytes; 0 for texts.
    """

    code: int
    name: str
    datatype: DataType
    form: str
    size: int


_TYPES = (
    AtomicType(0xC1, "BOOL", DataType.BOOL, "B", 1),
    AtomicType(0xC2, "SINT", DataType.INT8, "b", 1),
    AtomicType(0xC3, "INT", DataType.INT16, "h", 2),
    AtomicType(0xC4, "DINT", DataType.INT32, "i", 4),
    AtomicType(0xC5, "LINT", DataType.INT64, "q", 8),
    AtomicType(0xC6, "USINT", DataType.UINT8, "B", 1),
    AtomicType(0xC7, "UINT", DataType.UINT16, "H", 2),
    AtomicType(0xC8, "UDINT", DataType.UINT32, "I", 4),
    AtomicType(0xC9, "ULINT", DataType.UINT64, "Q", 8),
    AtomicType(0xCA, "REAL", DataType.FLOAT32, "f", 4),
    AtomicType(0xCB, "LREAL", DataType.FLOAT64, "d", 8),
    AtomicType(0xCD, "DATE", DataType.UINT16, "H", 2),
    AtomicType(0xCE, "TIME_OF_DAY", DataType.UINT32, "I", 4),
    AtomicType(0xC0, "DT", DataType.UINT64, "Q", 8),
    AtomicType(0xCC, "LDT", DataType.UINT64, "Q", 8),
    AtomicType(0xD1, "BYTE", DataType.UINT8, "B", 1),
    AtomicType(0xD2, "WORD", DataType.UINT16, "H", 2),
    AtomicType(0xD3, "DWORD", DataType.UINT32, "I", 4),
    AtomicType(0xD4, "LWORD", DataType.UINT64, "Q", 8),
    AtomicType(0xD6, "FTIME", DataType.INT32, "i", 4),
    AtomicType(0xD7, "LTIME", DataType.INT64, "q", 8),
    AtomicType(0xD8, "ITIME", DataType.INT16, "h", 2),
    AtomicType(0xDB, "TIME", DataType.INT32, "i", 4),
    AtomicType(0xD0, "STRING", DataType.STRING, "H", 0),
    AtomicType(0xDA, "SHORT_STRING", DataType.STRING, "B", 0),
)
_BY_CODE = {one.code: one for one in _TYPES}
_CODES = {one.name: one.code for one in _TYPES}
_BY_DATATYPE = {one.datatype: one for one in reversed(_TYPES) if one.size and one.code <= 0xCB and one.code != 0xC0}


def atomic_type(code: int) -> AtomicType | None:
    """The type with this code; None if it is none that bifrost knows."""
    return _BY_CODE.get(code)


def atomic_type_of(datatype: DataType) -> AtomicType | None:
    """The type that a Logix controller would have for this one; None for texts, structures and AUTO."""
    return _BY_DATATYPE.get(datatype)


def codes_by_name() -> dict[str, int]:
    """Codes by the names that pycomm3 gives the types."""
    return _CODES


def name_of(code: int) -> str:
    """What to call a type in a text."""
    if code == STRUCT_CODE:
        return "a structure"
    known = _BY_CODE.get(code)
    return known.name if known is not None else f"type 0x{code:02x}"


def fits(datatype: DataType, code: int) -> bool:
    """True if values of this type may be declared as `datatype`; nothing is converted."""
    known = _BY_CODE.get(code)
    if known is None:
        return False
    return datatype in {DataType.AUTO, known.datatype} or (datatype is DataType.BOOL and code == DWORD_CODE)


def decode_atomic(kind: AtomicType, data: bytes, count: int) -> list[bool | int | float | str]:
    """Read `count` values.

    Raises:
        ProtocolError: there are fewer bytes than that takes.
    """
    if not kind.size:
        return _texts(kind, data, count)
    need = kind.size * count
    if len(data) < need:
        raise ProtocolError(f"expected {need} bytes for {count} of {kind.name}, got {len(data)}")
    values = struct.unpack_from(f"<{count}{kind.form}", data)
    return [bool(value) for value in values] if kind.code == BOOL_CODE else list(values)


def decode_bits(data: bytes, first: int, count: int) -> list[bool]:
    """Read bits of consecutive bytes, the lowest of the first byte being bit 0.

    Raises:
        ProtocolError: there are fewer bytes than that takes.
    """
    if len(data) * 8 < first + count:
        raise ProtocolError(f"expected {first + count} bits, got {len(data) * 8}")
    return [bool(data[bit >> 3] >> (bit & 7) & 1) for bit in range(first, first + count)]


def encode_atomic(kind: AtomicType, values: list[object]) -> bytes:
    """Pack values that were checked before; a text is cut by nobody, it must fit its length field."""
    if kind.code == BOOL_CODE:
        # Logix takes any byte but 0 as true and stores 1; 0xFF is what its own messages carry.
        return bytes(0xFF if value else 0 for value in values)
    if kind.size:
        return struct.pack(f"<{len(values)}{kind.form}", *values)
    raw = [str(value).encode("latin-1") for value in values]
    return b"".join(struct.pack(f"<{kind.form}", len(one)) + one for one in raw)


def _texts(kind: AtomicType, data: bytes, count: int) -> list[bool | int | float | str]:
    texts: list[bool | int | float | str] = []
    at = 0
    width = struct.calcsize(f"<{kind.form}")
    for _ in range(count):
        if len(data) < at + width:
            raise ProtocolError(f"expected {count} texts, got {len(texts)}")
        length = int.from_bytes(data[at : at + width], "little")
        at += width
        if len(data) < at + length:
            raise ProtocolError(f"expected a text of {length} bytes, got {len(data) - at}")
        texts.append(data[at : at + length].decode("latin-1"))
        at += length
    return texts
