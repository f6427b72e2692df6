"""Addresses of Logix tags: every form that is in use, one meaning.

In: a tag. Out: the path the controller is asked for, and the shape of its value. Pure; no I/O.
Obeys: Rockwell 1756-PM020, "CIP addressing"; IEC 61131-3 identifiers.
"""

from __future__ import annotations

import re
from typing import TypeVar

import msgspec

from bifrost.errors import AddressError, DataTypeError
from bifrost.plc.datatypes import DataType, Tag

__all__ = ["MAX_ELEMENTS", "LogixAddress", "Segment", "parse_logix_address", "path_of", "recognises_logix_address"]

_T = TypeVar("_T")

MAX_ELEMENTS = 65535  # the element count of a request has 16 bits
_SUPPORTED = frozenset(DataType) - {DataType.FLOAT16, DataType.BYTES, DataType.BCD16, DataType.BCD32}

_NAME = r"[A-Za-z_]\w*"
_INDEX = r"(?:\[\s*\d{1,10}(?:\s*,\s*\d{1,10}){0,2}\s*\])?"
# An I/O tag's name has colons in it: Local:1:I, Rack2:O.
_BASE = rf"(?:Program:{_NAME}\.)?{_NAME}(?::\d{{1,5}})?(?::[A-Za-z]\w{{0,9}})?{_INDEX}"
_FORM = re.compile(
    rf"(?P<percent>%?)(?P<path>{_BASE}(?:\.{_NAME}{_INDEX})*)(?:\.(?P<bit>\d{{1,4}}))?"
    rf"(?:\{{\s*(?P<count>\d{{1,10}})\s*\}})?$",
    re.ASCII | re.IGNORECASE,
)
_TYPED = re.compile(r":(?P<type>[A-Za-z]\w*)(?:\((?P<length>\d{1,5})\))?(?::(?P<count>\d{1,10}))?$", re.ASCII)
_SEGMENT = re.compile(rf"(?P<name>(?:Program:{_NAME}\.)?[^.\[]+)(?:\[(?P<index>[^\]]*)\])?", re.ASCII | re.IGNORECASE)
_S7 = re.compile(r"DB\d+[.,:]|[MIQEA][BWD]?\d+(\.\d)?(:|$)", re.IGNORECASE)
_SURELY_S7 = re.compile(r"DB\d+(\.DB[XBWD]\d|,|:)", re.IGNORECASE)
_MODBUS = re.compile(r"\d+(\[|:|\.|!|$)|\dx\d|(coil|discrete-input|input-register|holding-register):\d", re.IGNORECASE)
_FORMS = "'Tag', 'Program:Main.Tag[3].Member', 'Arr[2,3]', 'Arr{10}', 'Word.5', '%Tag[3]:DINT:10'"


class Segment(msgspec.Struct, frozen=True):
    """One name of a path, with the indexes behind it; the first has the program before it."""

    name: str
    index: tuple[int, ...] = ()


class LogixAddress(msgspec.Struct, frozen=True, kw_only=True):
    """A tag's place and shape.

    Attributes:
        segments: the path's names and indexes.
        datatype: type of one value; AUTO takes the controller's.
        count: values in a row.
        bit: bit of an integer, for a BOOL that lives in one; 0 is the lowest.
        length: most characters of a STRING; 0 leaves it to the controller.
        path: the whole path as the controller is asked for it.
    """

    segments: tuple[Segment, ...]
    datatype: DataType
    count: int = 1
    bit: int | None = None
    length: int = 0
    path: str = ""


def parse_logix_address(tag: Tag) -> LogixAddress:
    """Understand a tag's address; explicit fields of the tag and the address must agree.

    Raises:
        AddressError: no such address; the text names the right form.
        DataTypeError: the type does not fit the address.
    """
    _refuse_foreign_fields(tag)
    text = str(tag.address).strip()
    _refuse_foreign_forms(text)
    body, datatype, length, typed_count = _typed(text)
    matched = _FORM.match(body)
    if matched is None:
        raise AddressError(f"cannot read address {text!r}; write {_FORMS}")
    if matched["percent"] and datatype is None and ":" in text.removeprefix("%Program:"):
        raise AddressError(f"cannot read address {text!r}; write '%Tag:DINT' or '%Tag[3]:DINT:10'")
    count = _agreed("count", typed_count, int(matched["count"]) if matched["count"] else None)
    count = _agreed("count", tag.count if tag.count != 1 else None, count)
    bit = _agreed("bit", tag.bit, int(matched["bit"]) if matched["bit"] else None)
    datatype = _agreed("data type", tag.datatype, datatype)
    if datatype is None:
        datatype = DataType.AUTO if bit is None else DataType.BOOL
    address = LogixAddress(
        segments=_segments(matched["path"], text),
        datatype=datatype,
        count=1 if count is None else count,
        bit=bit,
        length=_agreed("length", tag.length, length) or 0,
    )
    given = tag.count if count is None else count
    _check(address, given)
    return msgspec.structs.replace(address, path=path_of(address.segments))


def recognises_logix_address(text: str) -> bool:
    """True if a text can be nothing but an address of a Logix tag, right or wrong.

    A word alone is none: other protocols have names as well.
    """
    text = text.strip()
    if text[:8].lower() == "program:":
        return True
    if _MODBUS.match(text) or _S7.match(text.removeprefix("%")):
        return False
    matched = _FORM.match(text)
    if matched is None:
        return False
    return bool(matched["count"]) or "," in matched["path"] or "." in matched["path"]


def path_of(segments: tuple[Segment, ...]) -> str:
    """Write segments the way the controller's programmer does."""
    parts = (
        segment.name + (f"[{','.join(str(at) for at in segment.index)}]" if segment.index else "")
        for segment in segments
    )
    return ".".join(parts)


def _refuse_foreign_fields(tag: Tag) -> None:
    if tag.address is None or tag.offset is not None or tag.area is not None:
        raise AddressError(f"a Logix tag is known by its name, without area and offset; write {_FORMS}")
    if tag.byte_order is not None:
        raise AddressError("EtherNet/IP has one byte order; leave byte_order out")
    if tag.unit is not None:
        raise AddressError("EtherNet/IP knows no unit ids; leave unit out, the connection's path says which controller")


def _refuse_foreign_forms(text: str) -> None:
    bare = text.removeprefix("%")
    if _MODBUS.match(text):
        raise AddressError(
            f"{text!r} is an address of a Modbus device (protocol 'modbus-tcp'); a Logix tag has a name: {_FORMS}"
        )
    if _SURELY_S7.match(bare) or (text.startswith("%") and _S7.match(bare)):
        raise AddressError(f"{text!r} is an address of an S7 (protocol 's7'); a Logix tag has a name: {_FORMS}")


def _typed(text: str) -> tuple[str, DataType | None, int | None, int | None]:
    """Cut ``:DINT:10`` off the end; what is no type there belongs to the name of an I/O tag."""
    matched = _TYPED.search(text)
    if matched is None:
        return text, None, None, None
    try:
        datatype = DataType(matched["type"])
    except DataTypeError:
        if text.startswith("%") or matched["count"] or matched["length"]:
            raise
        return text, None, None, None
    length = int(matched["length"]) if matched["length"] else None
    count = int(matched["count"]) if matched["count"] else None
    return text[: matched.start()], datatype, length, count


def _segments(path: str, text: str) -> tuple[Segment, ...]:
    segments = []
    for matched in _SEGMENT.finditer(path):
        index = tuple(int(number) for number in matched["index"].split(",")) if matched["index"] else ()
        if any(number > 0xFFFF_FFFF for number in index):
            raise AddressError(f"expected an index below 4294967296 in address {text!r}")
        if len(matched["name"]) > 255:
            raise AddressError(f"a name of {len(matched['name'])} characters is longer than any controller's")
        segments.append(Segment(matched["name"], index))
    return tuple(segments)


def _agreed(what: str, explicit: _T | None, written: _T | None) -> _T | None:
    if explicit is not None and written is not None and explicit != written:
        raise AddressError(f"the address says {what} {written}, the tag says {explicit}; keep one")
    return written if explicit is None else explicit


def _check(address: LogixAddress, count: object) -> None:
    if isinstance(count, bool) or not isinstance(count, int) or not 1 <= count <= MAX_ELEMENTS:
        raise AddressError(f"expected a count of 1 to {MAX_ELEMENTS}, got {count!r}")
    if address.datatype not in _SUPPORTED:
        raise DataTypeError(f"a Logix controller has no {address.datatype}; AUTO takes the type that it has")
    bit: object = address.bit
    if bit is not None:
        if isinstance(bit, bool) or not isinstance(bit, int) or not 0 <= bit <= 63:
            raise AddressError(f"expected a bit of 0 to 63, got {bit!r}")
        if address.datatype is not DataType.BOOL:
            raise DataTypeError(f"one bit of an integer is a BOOL, got {address.datatype}")
        if address.count != 1:
            raise AddressError("bits of integers have no arrays; name each bit, or read the integer")
    length: object = address.length
    if isinstance(length, bool) or not isinstance(length, int) or not 0 <= length <= 65535:
        raise DataTypeError(f"expected a length of 1 to 65535 characters, got {length!r}")
    if length and address.datatype is not DataType.STRING:
        raise DataTypeError(f"a length is for STRING, got {address.datatype}")
