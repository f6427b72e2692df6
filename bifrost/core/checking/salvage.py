"""Asks a table that has mistakes for its other problems: the right part of it in, problems out.

A settings struct judges itself (`Settings.problems`), but only a table whose types are right becomes a struct. So that
a wrong port does not hide a wrong address until the next run, the right part of the table is made into a struct: what
is wrong is left out, a required text is stood in for, and what a problem says about those is not passed on.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any

import msgspec
from msgspec import inspect

from bifrost.core.checking.positions import Path
from bifrost.core.settings import Problem, Settings

__all__ = ["remaining_problems"]

_STAND_IN = "unknown"


def remaining_problems(
    info: inspect.StructType | inspect.DataclassType, value: Mapping[str, Any], wrong: Collection[Path]
) -> Iterator[Problem]:
    """Tell what the struct says of the right part of a table.

    Args:
        info: the struct's type.
        value: the table, with mistakes in it.
        wrong: paths of the mistakes, from the table.
    """
    if not issubclass(info.cls, Settings):
        return
    part = _RightPart(info, value, wrong)
    try:
        struct = msgspec.convert(part.kept, info.cls)
    except (msgspec.ValidationError, ValueError):
        return  # a number would have to be guessed: its problems are told once the rest is mended
    for problem in struct.problems():
        placed = part.place(problem)
        if placed is not None:
            yield placed


class _RightPart:
    """What of a table can be made into a struct."""

    def __init__(
        self, info: inspect.StructType | inspect.DataclassType, value: Mapping[str, Any], wrong: Collection[Path]
    ) -> None:
        self.kept: dict[str, Any] = {}
        self._value = value
        self._stood_in: set[str] = set()
        self._places: dict[str, list[int]] = {}  # of the list items that are kept, in the table
        self._lacks_parts = False
        types = {field.encode_name: field.type for field in msgspec.structs.fields(info.cls)}
        for field in info.fields:
            below = [path[1:] for path in wrong if path[:1] == (field.encode_name,)]
            self._add(field, types[field.encode_name], below)

    def _add(self, field: inspect.Field, annotation: Any, wrong: list[Path]) -> None:
        name = field.encode_name
        if name in self._value and (not wrong or _converts(self._value[name], annotation)):
            self.kept[name] = self._value[name]
        elif name in self._value and isinstance(self._value[name], list | tuple) and all(wrong):
            bad_items = {path[0] for path in wrong}
            self._places[name] = [index for index in range(len(self._value[name])) if index not in bad_items]
            self.kept[name] = [self._value[name][index] for index in self._places[name]]
        elif name in self._value or field.required:
            self._stood_in.add(name)
            self._lacks_parts = self._lacks_parts or isinstance(self._value.get(name), Mapping | list | tuple)
            if field.required:
                self.kept[name] = _STAND_IN

    def place(self, problem: Problem) -> Problem | None:
        """Turn a problem of the part into one of the table; None if it may come from what was left out."""
        head, *rest = problem.path or ("",)
        head = str(head)
        if head in self._stood_in:
            return None
        if head in self._places:
            if not rest or not isinstance(rest[0], int):
                return None
            return Problem((head, self._places[head][rest[0]], *rest[1:]), problem.text)
        if self._lacks_parts and not rest:
            return None  # it may miss what was left out
        if self._places and isinstance(self._value.get(head), str):
            return None  # a name may mean one of the items that were left out
        return problem


def _converts(value: object, annotation: Any) -> bool:
    try:
        msgspec.convert(value, annotation)
    except (msgspec.ValidationError, ValueError):
        return False
    return True
