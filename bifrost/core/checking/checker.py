"""Checks plain tables against msgspec types and collects every mistake: values in, a struct or mistakes out.

`msgspec.convert` stops at the first mistake; this walks the types field by field. What it cannot judge itself (a
struct's own `__post_init__`, a custom type) it leaves to `msgspec.convert` once everything inside is right.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

import msgspec
from msgspec import inspect

from bifrost.core.checking.mistakes import Mistake, nearest, show_value
from bifrost.core.checking.plain_types import expected, fits, known_words, one_of
from bifrost.core.checking.positions import Path
from bifrost.core.checking.salvage import remaining_problems
from bifrost.core.settings import Problem, Settings
from bifrost.errors import ConfigError

__all__ = ["check_settings", "check_table", "problems_of"]

T = TypeVar("T")
Mistakes = list[Mistake]


def check_settings(value: object, settings_type: type[T], *, path: Path, mistakes: Mistakes) -> T | None:
    """Check a table against a settings type.

    Args:
        value: what a TOML parser gave, or a mapping from code.
        settings_type: a `Settings` type, or any type that msgspec knows.
        path: of `value` in its file.
        mistakes: gets one entry for each mistake found, at its own path.

    Returns:
        The settings, or None if there was a mistake.
    """
    before = len(mistakes)
    _walk(inspect.type_info(settings_type), value, path, mistakes)
    if len(mistakes) > before:
        return None
    return _convert(value, settings_type, path, mistakes)


def check_table(value: object, *, path: Path, mistakes: Mistakes) -> dict[str, Any]:
    """Take a table as it is; a mistake and an empty table if it is something else."""
    if isinstance(value, Mapping):
        return dict(value)
    mistakes.append(_wrong(value, path, "a table"))
    return {}


def _walk(info: inspect.Type, value: object, path: Path, mistakes: Mistakes) -> None:
    match info:
        case inspect.Metadata(type=inner, extra=extra) if (extra or {}).get("secret"):
            if not fits(inner, value):
                mistakes.append(Mistake(path, f"found a value that is not shown here, expected {expected(inner)}"))
        case inspect.Metadata(type=inner):
            _walk(inner, value, path, mistakes)
        case inspect.StructType() | inspect.DataclassType():
            _walk_struct(info, value, path, mistakes)
        case inspect.UnionType():
            _walk_union(info, value, path, mistakes)
        case inspect.DictType(value_type=inner):
            for key, item in check_table(value, path=path, mistakes=mistakes).items():
                _walk(inner, item, (*path, key), mistakes)
        case (
            inspect.ListType(item_type=inner)
            | inspect.VarTupleType(item_type=inner)
            | inspect.SetType(item_type=inner)
            | inspect.FrozenSetType(item_type=inner)
        ):
            _walk_list(info, inner, value, path, mistakes)
        case _:
            if not fits(info, value):
                mistakes.append(_wrong(value, path, expected(info), known_words(info)))


def _walk_struct(
    info: inspect.StructType | inspect.DataclassType, value: object, path: Path, mistakes: Mistakes
) -> None:
    if isinstance(value, info.cls):
        mistakes += [Mistake((*path, *problem.path), problem.text) for problem in problems_of(value)]
        return
    if not isinstance(value, Mapping):
        mistakes.append(_wrong(value, path, "a table"))
        return
    before = len(mistakes)
    fields = {field.encode_name: field for field in info.fields}
    known = list(fields)
    if isinstance(info, inspect.StructType) and info.tag_field is not None:
        known.insert(0, info.tag_field)
    absent = [name for name, field in fields.items() if field.required and name not in value]
    for key in value:
        if key not in known:
            mistakes.append(Mistake((*path, key), _unknown_key(key, known, absent)))
    misspelt = {nearest(key, known) for key in value if key not in known}
    mistakes += [
        Mistake((*path, name), f"missing, expected {expected(fields[name].type)}")
        for name in absent
        if name not in misspelt
    ]
    for name, field in fields.items():
        if name in value:
            _walk(field.type, value[name], (*path, name), mistakes)
    if len(mistakes) > before:
        wrong = {mistake.path[len(path) :] for mistake in mistakes[before:]}
        problems = list(remaining_problems(info, value, wrong))
    else:
        struct: object = _convert(value, info.cls, path, mistakes)
        problems = list(struct.problems()) if isinstance(struct, Settings) else []
    mistakes += [Mistake((*path, *problem.path), problem.text) for problem in problems]


def problems_of(value: object) -> list[Problem]:
    """List the problems of settings that were built in code: of the struct and of every struct inside it."""
    parts: list[tuple[str | int, object]]
    if isinstance(value, msgspec.Struct):
        parts = [(name, getattr(value, name)) for name in value.__struct_fields__]
    elif isinstance(value, Mapping):
        parts = list(value.items())
    elif isinstance(value, list | tuple):
        parts = list(enumerate(value))
    else:
        return []
    own = list(value.problems()) if isinstance(value, Settings) else []
    return own + [Problem((key, *inner.path), inner.text) for key, part in parts for inner in problems_of(part)]


def _unknown_key(key: str, known: list[str], absent: list[str]) -> str:
    close = nearest(key, known)
    if close is None:
        return f"unknown key, expected one of {', '.join(known)}"
    required = " (required)" if close in absent else ""
    return f"unknown key; did you mean {close}{required}?"


def _walk_union(info: inspect.UnionType, value: object, path: Path, mistakes: Mistakes) -> None:
    options = [option for option in info.types if not isinstance(option, inspect.NoneType)]
    structs = [option for option in options if isinstance(option, inspect.StructType)]
    if value is None and info.includes_none:
        return
    if len(options) == 1:
        _walk(options[0], value, path, mistakes)
    elif isinstance(value, Mapping) and len(structs) == 1:
        _walk(structs[0], value, path, mistakes)
    elif isinstance(value, Mapping) and structs and structs[0].tag_field is not None:
        _walk_tagged(structs, structs[0].tag_field, value, path, mistakes)
    elif isinstance(value, list | tuple):
        lists = [option for option in options if isinstance(option, inspect.ListType | inspect.VarTupleType)]
        if lists:
            _walk(lists[0], value, path, mistakes)
        else:
            mistakes.append(_wrong(value, path, expected(info)))
    elif not any(fits(option, value) for option in options):
        mistakes.append(_wrong(value, path, expected(info), known_words(info)))


def _walk_tagged(
    structs: list[inspect.StructType], tag_field: str, value: Mapping[str, Any], path: Path, mistakes: Mistakes
) -> None:
    by_tag = {struct.tag: struct for struct in structs}
    words = [str(tag) for tag in by_tag]
    if tag_field not in value:
        mistakes.append(Mistake((*path, tag_field), f"missing, expected {one_of(words)}"))
    elif not isinstance(tag := value[tag_field], str | int) or tag not in by_tag:
        mistakes.append(_wrong(tag, (*path, tag_field), one_of(words), words))
    else:
        _walk_struct(by_tag[tag], value, path, mistakes)


def _walk_list(info: inspect.Type, inner: inspect.Type, value: object, path: Path, mistakes: Mistakes) -> None:
    if not isinstance(value, list | tuple | set | frozenset):
        mistakes.append(_wrong(value, path, expected(info)))
        return
    least = getattr(info, "min_length", None)
    most = getattr(info, "max_length", None)
    if (least is not None and len(value) < least) or (most is not None and len(value) > most):
        mistakes.append(_wrong(value, path, expected(info)))
    for index, item in enumerate(value):
        _walk(inner, item, (*path, index), mistakes)


def _convert(value: object, settings_type: type[T], path: Path, mistakes: Mistakes) -> T | None:
    try:
        return msgspec.convert(value, settings_type, from_attributes=False)
    except msgspec.ValidationError as error:
        cause = error.__cause__
        texts = cause.mistakes if isinstance(cause, ConfigError) else [str(cause or error)]
        mistakes += [Mistake(_named_key(text, value, path), text) for text in texts]
        return None


def _named_key(text: str, value: object, path: Path) -> Path:
    """Tell which key a struct's own complaint is about: it often begins with the key's name."""
    first_word = text.partition(" ")[0].rstrip(":")
    return (*path, first_word) if isinstance(value, Mapping) and first_word in value else path


def _wrong(value: object, path: Path, wanted: str, words: list[str] | None = None) -> Mistake:
    text = f"found {show_value(value)}, expected {wanted}"
    close = nearest(value, words) if words and isinstance(value, str) else None
    return Mistake(path, f"{text}; did you mean {close}?" if close else text)
