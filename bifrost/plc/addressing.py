"""The suffixes that address forms of several protocols share: ``2!HR1.3[10]:FLOAT32{unit=2,order=CDAB}``.

Options may be written as PLC4X does, too: ``{unit-id: 2, byte-order: LITTLE_ENDIAN_BYTE_SWAP}``.

In: one address as text. Out: its head and what its prefix and suffixes say. Not here: what the head means.
"""

from __future__ import annotations

import re

import msgspec

from bifrost.errors import AddressError
from bifrost.plc.datatypes import ByteOrder, DataType

__all__ = ["AddressParts", "split_address"]

_UNIT = re.compile(r"(\d{1,3})!")
_SUFFIX = re.compile(
    r"\.(?P<bit>\d{1,2})"
    r"|\[(?P<count>\d{1,5})\]"
    r"|:(?P<type>[A-Za-z]\w*)(?:\((?P<length>\d{1,3})\))?"
    r"|\{(?P<options>[^{}]*)\}"
)
_ASSIGNED = re.compile(r"[=:]")
_ORDER_NAMES = {  # as PLC4X calls them
    "BIG_ENDIAN": "ABCD",
    "LITTLE_ENDIAN": "DCBA",
    "BIG_ENDIAN_BYTE_SWAP": "BADC",
    "LITTLE_ENDIAN_BYTE_SWAP": "CDAB",
}


class AddressParts(msgspec.Struct, frozen=True):
    """An address taken apart; None where it says nothing."""

    head: str
    bit: int | None = None
    count: int | None = None
    datatype: DataType | None = None
    length: int | None = None
    unit: int | None = None
    byte_order: ByteOrder | None = None
    base: int | None = None


def split_address(text: str, head: re.Pattern[str]) -> AddressParts:
    """Take an address apart; the suffixes may come in any order, each once.

    Args:
        text: the address; blanks around it are ignored.
        head: matches the protocol's own part at the start.

    Raises:
        AddressError: the head is none, or a suffix is unknown or comes twice.
    """
    rest = text.strip()
    found: dict[str, object] = {}
    if prefix := _UNIT.match(rest):
        found["unit"] = int(prefix[1])
        rest = rest[prefix.end() :]
    matched = head.match(rest)
    if matched is None:
        raise AddressError(f"cannot read address {text!r}")
    name, rest = matched[0], rest[matched.end() :]
    while rest:
        suffix = _SUFFIX.match(rest)
        if suffix is None:
            raise AddressError(
                f"cannot read {rest!r} at the end of address {text!r}; "
                "known are .3 (bit), [10] (array), :FLOAT32 (type), {unit=2,order=CDAB}"
            )
        for key, value in _meaning(suffix).items():
            if key in found:
                raise AddressError(f"address {text!r} names the {key} twice")
            found[key] = value
        rest = rest[suffix.end() :]
    return msgspec.convert({"head": name, **found}, AddressParts)


def _meaning(suffix: re.Match[str]) -> dict[str, object]:
    if suffix["bit"] is not None:
        return {"bit": int(suffix["bit"])}
    if suffix["count"] is not None:
        return {"count": int(suffix["count"])}
    if suffix["type"] is not None:
        length = {} if suffix["length"] is None else {"length": int(suffix["length"])}
        return {"datatype": DataType(suffix["type"]), **length}
    options: dict[str, object] = {}
    for part in suffix["options"].split(","):
        if not part.strip():
            continue
        name, value = _option(part)
        if name in options:
            raise AddressError(f"the options {{{suffix['options']}}} name the {name} twice")
        options[name] = value
    return options


def _option(part: str) -> tuple[str, object]:
    key, value = (word.strip() for word in _ASSIGNED.split(part, maxsplit=1)) if _ASSIGNED.search(part) else (part, "")
    key, value = key.lower().replace("_", "-"), value.strip("'\"")
    if key in {"unit", "unit-id"} and value.isdecimal() and len(value) <= 3:
        return "unit", int(value)
    if key in {"order", "byte-order"}:
        return "byte_order", ByteOrder(_ORDER_NAMES.get(value.upper(), value))
    if key == "base" and value in {"0", "1"}:
        return "base", int(value)
    raise AddressError(f"cannot read option {part.strip()!r}; known are unit=2, order=CDAB and base=0")
