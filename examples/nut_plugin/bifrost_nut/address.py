"""Addresses such as ``cabinet/battery.charge:FLOAT64``: a UPS, a variable of it, and its type. Pure."""

from __future__ import annotations

import re

import msgspec

from bifrost.errors import AddressError, ConfigError, DataTypeError
from bifrost.plc import DataType, Tag

__all__ = ["NutAddress", "parse_nut_address"]

_FORM = re.compile(r"(?P<ups>[A-Za-z0-9_-]+)/(?P<variable>[A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]+)*)(?::(?P<type>\w+))?")
_KNOWN = (DataType.STRING, DataType.FLOAT64, DataType.INT64)


class NutAddress(msgspec.Struct, frozen=True):
    """A variable of a UPS; `datatype` and `count` are what every address has."""

    ups: str
    variable: str
    datatype: DataType
    count: int = 1


def parse_nut_address(tag: Tag) -> NutAddress:
    """Understand a tag's address.

    Raises:
        AddressError: it is none; the text shows the right form.
        DataTypeError: the protocol has no such type.
    """
    matched = _FORM.fullmatch(str(tag.address).strip())
    if matched is None:
        raise AddressError(f"expected UPS/VARIABLE such as 'cabinet/battery.charge', got {tag.address!r:.60}")
    if tag.count != 1:
        raise ConfigError("this protocol has no arrays; leave count out")
    written = None if matched["type"] is None else DataType(matched["type"])
    if written is not None and tag.datatype is not None and written is not tag.datatype:
        raise AddressError(f"the address says {written}, the tag says {tag.datatype}; keep one")
    datatype = written or tag.datatype or DataType.STRING
    if datatype not in _KNOWN:
        raise DataTypeError(f"expected {', '.join(_KNOWN)}, got {datatype}")
    return NutAddress(matched["ups"], matched["variable"], datatype)
