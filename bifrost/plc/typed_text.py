"""A value as a person types it: text in, what a tag takes out. Pure.

Not here: whether it fits the tag's range, which the protocol checks before anything is sent.
"""

from __future__ import annotations

import contextlib
import json
import math

from bifrost.errors import DataTypeError
from bifrost.plc.datatypes import DataType, Tag

__all__ = ["value_from_text"]

_TRUE = frozenset({"true", "1", "on", "yes"})
_FALSE = frozenset({"false", "0", "off", "no"})
_BASES = {"0x": 16, "0b": 2, "0o": 8}
_FLOATS = frozenset({DataType.FLOAT16, DataType.FLOAT32, DataType.FLOAT64})


def value_from_text(tag: Tag, text: str) -> object:
    """Read a value for a tag.

    Args:
        tag: says what is expected: its type, `count` for an array, `scale` for a number with a fraction.
        text: ``true``/``on``/``1``, ``42``, ``0x2a``, ``1.5``, text as it is, bytes as ``0a1b``, an array as ``1,2,3``
            or ``[1, 2, 3]``, a structure as a JSON object.

    Raises:
        DataTypeError: it is no such value; the text says what is expected.
    """
    if tag.count == 1:
        return _single(tag, text)
    if text.lstrip().startswith("["):
        elements = _json(tag, text)
        assert isinstance(elements, list), "JSON that begins with a bracket is a list"
        values = [element if _is_plain(tag, element) else _single(tag, str(element)) for element in elements]
    else:
        values = [_single(tag, element.strip()) for element in text.split(",")]
    if len(values) != tag.count:
        raise DataTypeError(f"tag {tag.name!r}: expected {tag.count} values such as 1,2,3, got {len(values)}")
    return values


def _is_plain(tag: Tag, element: object) -> bool:
    if tag.datatype is DataType.BOOL:
        return isinstance(element, bool)  # 1 and 0 are read as they are outside of JSON
    return isinstance(element, bool | int | float | dict | list)


def _single(tag: Tag, text: str) -> object:
    datatype = tag.datatype
    if datatype is DataType.STRING:
        return text
    word = text.strip()
    if datatype is DataType.BOOL:
        return _truth(tag, word)
    if datatype is DataType.BYTES:
        return _bytes(tag, word)
    if datatype is DataType.STRUCT:
        value = _json(tag, word)
        if not isinstance(value, dict):
            raise DataTypeError(f'tag {tag.name!r}: expected a JSON object such as {{"speed": 5}}, got {text!r:.60}')
        return value
    if datatype is DataType.AUTO:
        return _guessed(text)
    is_scaled = tag.scale is not None or tag.offset_value is not None
    return _float(tag, word) if is_scaled or datatype in _FLOATS else _integer(tag, word)


def _truth(tag: Tag, word: str) -> bool:
    folded = word.casefold()
    if folded not in _TRUE | _FALSE:
        raise DataTypeError(f"tag {tag.name!r}: expected true or false, got {word!r:.60}")
    return folded in _TRUE


def _bytes(tag: Tag, word: str) -> bytes:
    try:
        return bytes.fromhex(word.removeprefix("0x"))
    except ValueError:
        raise DataTypeError(f"tag {tag.name!r}: expected bytes such as 0a1b2c, got {word!r:.60}") from None


def _integer(tag: Tag, word: str) -> int:
    sign, digits = (word[:1], word[1:]) if word[:1] in {"+", "-"} else ("", word)
    base = _BASES.get(digits[:2].lower(), 10)
    if digits.isascii() and len(digits) <= 100:
        with contextlib.suppress(ValueError):
            return int(f"{sign}{digits if base == 10 else digits[2:]}", base)
    raise DataTypeError(
        f"tag {tag.name!r}: expected a whole number such as 42 or 0x2a for {tag.datatype}, got {word!r:.60}"
    )


def _float(tag: Tag, word: str) -> float:
    try:
        number = float(word) if word.isascii() else math.nan
    except ValueError:
        number = math.nan
    if math.isnan(number) and word.casefold() != "nan":
        hint = f"; write {word.replace(',', '.')}" if word.count(",") == 1 and "." not in word else ""
        raise DataTypeError(f"tag {tag.name!r}: expected a number such as 1.5, got {word!r:.60}{hint}")
    return number


def _json(tag: Tag, text: str) -> object:
    try:
        value: object = json.loads(text)
    except (ValueError, RecursionError):
        raise DataTypeError(f"tag {tag.name!r}: expected JSON, got {text!r:.60}") from None
    return value


def _guessed(text: str) -> object:
    """Read a value for a tag whose type only the device knows: JSON if it is, else text."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text
