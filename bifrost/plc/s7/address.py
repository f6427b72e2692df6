"""S7 addresses: a tag's place and the shape of its value.

In: a tag. Out: its memory, its byte, its type. Pure; no I/O. Not here: how addresses are written (`notation`).
Obeys: S7 communication, item specification "S7ANY": a 24-bit address of bits, so 2,097,152 bytes in each area.
"""

from __future__ import annotations

import re
from typing import TypeVar

import msgspec

from bifrost.errors import AddressError, DataTypeError
from bifrost.plc.datatypes import DataType, Tag
from bifrost.plc.s7.areas import S7Area
from bifrost.plc.s7.notation import FORMS, S7Notation, read_notation
from bifrost.plc.s7.types import MAX_BYTES_LENGTH, MAX_STRING_LENGTH, MAX_WSTRING_LENGTH, S7Type, type_of

__all__ = ["S7Address", "parse_s7_address"]

_T = TypeVar("_T")
_LAST_BYTE = 2**21 - 1
_EXPLICIT_AREA = re.compile(r"(?P<area>[MIQEATCZ])|DB(?P<db>\d{1,5})", re.IGNORECASE)
_OF_WIDTH = {None: S7Type.USINT, "X": S7Type.BOOL, "B": S7Type.USINT, "W": S7Type.UINT, "D": S7Type.UDINT}
_COUNTED = {S7Area.TIMER: S7Type.TIMER, S7Area.COUNTER: S7Type.COUNTER}
_MAX_LENGTHS = {
    S7Type.STRING: MAX_STRING_LENGTH,
    S7Type.WSTRING: MAX_WSTRING_LENGTH,
    S7Type.CHAR: MAX_BYTES_LENGTH,
    S7Type.WCHAR: MAX_BYTES_LENGTH // 2,
    S7Type.BYTES: MAX_BYTES_LENGTH,
}
_DEFAULT_LENGTHS = {S7Type.STRING: 254, S7Type.WSTRING: 254, S7Type.CHAR: 1, S7Type.WCHAR: 1}


class S7Address(msgspec.Struct, frozen=True, kw_only=True):
    """A tag's place and shape.

    Attributes:
        area: which memory.
        db: number of the data block, else 0.
        offset: first byte, or number of the first timer or counter.
        bit: bit of that byte, 0 = lowest, if it is a BOOL, else 0.
        kind: type of one value, in S7's terms.
        datatype: the same in bifrost's.
        count: values in a row.
        length: characters or bytes of a value whose type has a length, else 0.
    """

    area: S7Area
    db: int
    offset: int
    bit: int
    kind: S7Type
    datatype: DataType
    count: int = 1
    length: int = 0

    @property
    def value_bytes(self) -> int:
        """Bytes that one value takes."""
        return self.kind.bytes_of(self.length)

    @property
    def span(self) -> int:
        """Steps of the address that all values take: bytes, or timers and counters."""
        if self.kind is S7Type.BOOL:
            return (self.bit + self.count + 7) // 8
        return self.value_bytes * self.count // self.area.step


def parse_s7_address(tag: Tag) -> S7Address:
    """Understand a tag's address; explicit fields of the tag and the address must agree.

    Raises:
        AddressError: no such address; the text names the right form.
        DataTypeError: the type does not fit the address.
    """
    if tag.unit is not None or tag.byte_order is not None:
        what = "unit" if tag.unit is not None else "byte_order"
        raise AddressError(f"an S7 address has no {what}; leave it out")
    said = _place(tag)
    bit = _agreed("bit", _whole("bit", tag.bit), said.bit)
    count = _agreed("count", None if _whole("count", tag.count) == 1 else tag.count, said.count)
    length = _agreed("length", _whole("length", tag.length), said.length)
    kind = _kind(said, tag, bit)
    address = S7Address(
        area=said.area,
        db=said.db,
        offset=said.offset,
        bit=bit or 0,
        kind=kind,
        datatype=kind.datatype,
        count=1 if count is None else count,
        length=_length(kind, length),
    )
    _check_bit(said, kind, bit, typed=tag.datatype is not None)
    _check_width(said, address)
    _check_range(address)
    return address


def _agreed(what: str, explicit: _T | None, written: _T | None) -> _T | None:
    if explicit is not None and written is not None and explicit != written:
        raise AddressError(f"the address says {what} {written}, the tag says {explicit}; keep one")
    return written if explicit is None else explicit


def _whole(what: str, number: object) -> int | None:
    if number is None or (isinstance(number, int) and not isinstance(number, bool)):
        return number
    raise AddressError(f"expected a whole number as {what}, got {number!r:.40}")


def _place(tag: Tag) -> S7Notation:
    if tag.offset is not None:
        if tag.address is not None:
            raise AddressError("give either an address, or area and offset, not both")
        offset = _whole("offset", tag.offset)
        area, db = _area(tag.area)
        assert offset is not None, "it was looked at above"
        return S7Notation(area=area, db=db, offset=offset)
    address: object = tag.address
    if not isinstance(address, str):
        hint = "a bare number is an address of Modbus; " if isinstance(address, int) else ""
        raise AddressError(f"expected an S7 address as text, got {address!r:.40}; {hint}known forms are {FORMS}")
    said = read_notation(address)
    if tag.area is not None and _area(tag.area) != (said.area, said.db):
        raise AddressError(f"the address {address!r:.60} is not in the area {tag.area!r:.20} of the tag; keep one")
    return said


def _area(name: object) -> tuple[S7Area, int]:
    matched = _EXPLICIT_AREA.fullmatch(name) if isinstance(name, str) else None
    if matched is None:
        raise AddressError(f"expected area 'DB1', 'M', 'I', 'Q', 'T' or 'C', got {name!r:.40}")
    if matched["db"] is not None:
        return S7Area.DB, int(matched["db"])
    letter = matched["area"].upper()
    return S7Area({"E": "I", "A": "Q", "Z": "C"}.get(letter, letter)), 0


def _kind(said: S7Notation, tag: Tag, bit: int | None) -> S7Type:
    default = _COUNTED.get(said.area)
    if default is None:
        default = S7Type.BOOL if bit is not None else _OF_WIDTH[said.width]
    kind = said.kind
    if kind is None:
        if tag.datatype is None or tag.datatype is default.datatype:
            return default
        kind = type_of(tag.datatype)
    elif tag.datatype is not None and tag.datatype is not kind.datatype:
        raise AddressError(f"the address says {kind}, which is {kind.datatype}, the tag says {tag.datatype}; keep one")
    if said.area in _COUNTED and kind is not default:
        raise DataTypeError(f"{said.area}{said.offset} is a {default}, a {default.datatype}; got {kind}")
    return kind


def _length(kind: S7Type, length: int | None) -> int:
    if not kind.has_length:
        if length is not None:
            raise DataTypeError(f"a length is for STRING, WSTRING, CHAR, WCHAR and BYTES, got {kind}")
        return 0
    if length is None:
        length = _DEFAULT_LENGTHS.get(kind)
    if length is None or not 1 <= length <= _MAX_LENGTHS[kind]:
        raise DataTypeError(f"{kind} needs a length of 1 to {_MAX_LENGTHS[kind]}, such as ':{kind}(16)'; got {length}")
    return length


def _check_bit(said: S7Notation, kind: S7Type, bit: int | None, *, typed: bool) -> None:
    if kind is S7Type.BOOL:
        if bit is None:
            where = f"DB{said.db}.DBX{said.offset}.0" if said.area is S7Area.DB else f"{said.area}{said.offset}.0"
            raise AddressError(f"a BOOL needs a bit of 0 to 7, such as {where!r}")
        if not 0 <= bit <= 7:
            raise AddressError(f"a byte has bits 0 to 7, got bit {bit}")
    elif bit is not None:
        raise DataTypeError(f"one bit is a BOOL, got {kind}")
    elif said.width is None and said.kind is None and said.area not in _COUNTED and not typed:
        where = f"{said.area}B{said.offset}" if said.db == 0 else f"DB{said.db}.DBB{said.offset}"
        raise AddressError(f"say what is at byte {said.offset}: a bit, a type, or {where!r} for the byte")


def _check_width(said: S7Notation, address: S7Address) -> None:
    """W stands for 2 bytes, D for 4 and, having no letter of their own, 8; B and X only say where a value begins."""
    size, kind = address.value_bytes, address.kind
    if kind is S7Type.BOOL and said.width in {"B", "W", "D"} and said.bit is not None:
        raise AddressError(f"a bit is addressed with X, such as 'DBX{said.offset}.{said.bit}', not with {said.width}")
    if (said.width == "W" and size != 2) or (said.width == "D" and size not in {4, 8}) or _is_word_of_text(said, kind):
        db = f"DB{address.db}:{address.offset}" if address.area is S7Area.DB else f"{address.area}{address.offset}"
        raise DataTypeError(f"{kind} takes {size} bytes, which {said.width} does not stand for; write '{db}:{kind}'")


def _is_word_of_text(said: S7Notation, kind: S7Type) -> bool:
    return said.width in {"W", "D"} and kind.has_length and kind is not S7Type.WCHAR


def _check_range(address: S7Address) -> None:
    if address.area is S7Area.DB and not 1 <= address.db <= 65535:
        raise AddressError(f"data blocks are numbered from 1 to 65535, got DB{address.db}")
    if not 1 <= address.count <= 65535:
        raise AddressError(f"expected a count of at least 1 and at most 65535, got {address.count}")
    last = 65535 if address.area.is_counted else _LAST_BYTE
    if address.offset < 0:
        raise AddressError(f"expected an offset of 0 to {last}, got {address.offset}")
    if address.offset + address.span - 1 > last:
        raise AddressError(f"{address.count} of {address.kind} at {address.offset} runs past {last}, the last address")
