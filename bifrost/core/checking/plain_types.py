"""What one msgspec type takes: whether a plain value fits it, and how to say so in words.

In: `msgspec.inspect` types. Out: true or false, and texts such as ``an integer from 1 to 65535``. Not here: walking
through tables, which is `bifrost.core.checking.checker`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any

import msgspec
from msgspec import inspect

__all__ = ["expected", "fits", "known_words", "one_of"]


def fits(info: inspect.Type, value: object) -> bool:
    """Tell whether a plain value fits a type that has no parts of its own."""
    plain = info.type if isinstance(info, inspect.Metadata) else info
    match plain:
        case inspect.AnyType() | inspect.RawType():
            return True
        case inspect.NoneType():
            return value is None
        case inspect.EnumType(cls=enum):
            return isinstance(value, enum) or _converts(value, enum)
        case inspect.LiteralType(values=values):
            return value in values
    check = _CHECKS.get(type(plain))
    if check is not None:
        return check(plain, value)
    cls: Any = getattr(plain, "cls", _PYTHON_TYPES.get(type(plain)))
    return cls is None or isinstance(value, cls) or _converts(value, cls)


def _converts(value: object, cls: Any) -> bool:
    try:
        msgspec.convert(value, cls)
    except (msgspec.ValidationError, ValueError):  # the latter from an enum that looks up its words itself
        return False
    return True


def _fits_number(info: Any, value: object) -> bool:
    kinds = (int,) if isinstance(info, inspect.IntType) else (int, float)
    if not isinstance(value, kinds) or isinstance(value, bool):
        return False
    return (
        (info.gt is None or value > info.gt)
        and (info.ge is None or value >= info.ge)
        and (info.lt is None or value < info.lt)
        and (info.le is None or value <= info.le)
        and (info.multiple_of is None or value % info.multiple_of == 0)
    )


def _fits_text(info: Any, value: object) -> bool:
    if not isinstance(value, str):
        return False
    try:
        meta = msgspec.Meta(pattern=info.pattern, min_length=info.min_length, max_length=info.max_length)
        msgspec.convert(value, Annotated[str, meta])
    except msgspec.ValidationError:
        return False
    return True


_CHECKS: dict[type[inspect.Type], Callable[[Any, object], bool]] = {
    inspect.BoolType: lambda _info, value: isinstance(value, bool),
    inspect.IntType: _fits_number,
    inspect.FloatType: _fits_number,
    inspect.StrType: _fits_text,
}
_PYTHON_TYPES: dict[type[inspect.Type], Any] = {inspect.BytesType: bytes}


def known_words(info: inspect.Type) -> list[str]:
    """List the words that a type of fixed words takes; empty for any other type."""
    match info:
        case inspect.Metadata(type=inner):
            return known_words(inner)
        case inspect.EnumType(cls=cls):
            return [str(member.value) for member in cls]
        case inspect.LiteralType(values=values):
            return [str(value) for value in values]
        case inspect.UnionType(types=types):
            return [word for option in types for word in known_words(option)]
    return []


def one_of(words: list[str]) -> str:
    """Write the words as a choice."""
    return words[0] if len(words) == 1 else f"one of {', '.join(words)}"


def expected(info: inspect.Type) -> str:  # noqa: C901, PLR0911 - a table of types reads best as one match
    """Say in words what a type takes."""
    match info:
        case inspect.Metadata(type=inner):
            return expected(inner)
        case inspect.UnionType(types=types):
            options = [expected(option) for option in types if not isinstance(option, inspect.NoneType)]
            return " or ".join(dict.fromkeys(options))
        case inspect.IntType():
            return "an integer" + _bounds(info)
        case inspect.FloatType():
            return "a number" + _bounds(info)
        case inspect.StrType():
            return "a string" + _text_form(info)
        case inspect.BoolType():
            return "true or false"
        case inspect.StructType() | inspect.DataclassType() | inspect.DictType():
            return "a table"
        case inspect.EnumType() | inspect.LiteralType():
            return one_of(known_words(info))
        case inspect.ListType(item_type=inner) | inspect.VarTupleType(item_type=inner):
            few = "" if not info.min_length else f" of at least {info.min_length}"
            many = "" if info.max_length is None else f" of at most {info.max_length}"
            return f"a list{few}{many} (each {expected(inner)})"
        case inspect.SetType(item_type=inner) | inspect.FrozenSetType(item_type=inner):
            return f"a list (each {expected(inner)})"
    return type(info).__name__.removesuffix("Type").lower()


def _bounds(info: inspect.IntType | inspect.FloatType) -> str:
    low = info.ge if info.ge is not None else info.gt
    high = info.le if info.le is not None else info.lt
    step = "" if info.multiple_of is None else f", a multiple of {info.multiple_of}"
    if info.ge is not None and info.le is not None:
        return f" from {low} to {high}{step}"
    parts = []
    if low is not None:
        parts.append(f"at least {low}" if info.ge is not None else f"above {low}")
    if high is not None:
        parts.append(f"at most {high}" if info.le is not None else f"below {high}")
    return (" " + " and ".join(parts) if parts else "") + step


def _text_form(info: inspect.StrType) -> str:
    if info.pattern is not None:
        return f" of the form {info.pattern}"
    if info.min_length == 1 and info.max_length is None:
        return " that is not empty"
    if info.max_length is not None:
        return f" of {info.min_length or 0} to {info.max_length} characters"
    return ""
