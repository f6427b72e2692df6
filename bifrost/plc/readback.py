"""Whether a device kept what was written to it: what was sent and what it has now in, yes or no out. Pure.

Both are raw: a number that was rounded by its scale or its type on the way is the number that was sent.
"""

from __future__ import annotations

import struct

from bifrost.plc.datatypes import DataType, Tag

__all__ = ["was_kept"]

_FORMATS: dict[DataType | None, str] = {DataType.FLOAT16: "<e", DataType.FLOAT32: "<f"}
_OWN_TYPES = frozenset({DataType.AUTO, DataType.STRUCT})


def was_kept(tag: Tag, sent: object, found: object) -> bool:
    """Compare bit for bit, as far as the tag's type can tell.

    Args:
        tag: says what a number is rounded to; where only the device knows, 32 bits will do as well as 64.
        sent: raw, as it was given to the driver. Of a structure, only the members that were sent count.
        found: raw, as the driver read it.
    """
    if isinstance(sent, list | tuple):
        return (
            isinstance(found, list)
            and len(sent) == len(found)
            and all(was_kept(tag, *pair) for pair in zip(sent, found, strict=True))
        )
    if isinstance(sent, dict):
        return isinstance(found, dict) and all(
            name in found and was_kept(tag, value, found[name]) for name, value in sent.items()
        )
    if not _is_number(sent) or not _is_number(found):
        return sent == found
    if _same(sent, found):
        return True
    how = "<f" if tag.datatype in _OWN_TYPES and isinstance(found, float) else _FORMATS.get(tag.datatype)
    return how is not None and _same(_rounded(how, sent), found)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float)


def _same(sent: object, found: object) -> bool:
    return sent == found or (sent != sent and found != found)  # noqa: PLR0124 - NaN alone differs from itself


def _rounded(how: str, number: object) -> object:
    try:
        return struct.unpack(how, struct.pack(how, number))[0]
    except (OverflowError, struct.error):
        return number
