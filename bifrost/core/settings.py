"""Settings types: msgspec structs that refuse what they do not know.

In: the tables of one TOML file. Out: frozen, checked structs. Reading the file, and naming the line of each mistake,
is `bifrost.gateway.settings`.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated

import msgspec

__all__ = ["LocalPath", "Problem", "Secret", "Settings", "local_paths"]

LocalPath = Annotated[str, msgspec.Meta(min_length=1, extra={"local_path": True})]
"""A file or folder on this machine; a gateway takes a relative one as relative to its data directory."""

Secret = Annotated[str, msgspec.Meta(extra={"secret": True})]
"""A password or key: whoever reports a mistake in settings does not show what was found in its place."""


class Problem(msgspec.Struct, frozen=True):
    """A mistake in settings whose types are right.

    Attributes:
        path: keys and list indices from the struct that reports it, such as ``("tags", 2, "address")``.
        text: what was found and what was expected; lower case, no full stop.
    """

    path: tuple[str | int, ...]
    text: str


class Settings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Base of every section of a settings file: immutable, keyword-only, unknown keys are errors."""

    def problems(self) -> Iterable[Problem]:
        """Tell what is wrong although every field has its type: ranges between fields, forms, duplicates.

        Must be pure: no file, no socket, no name look-up. Whoever reads a settings file asks every struct in it, so
        that all mistakes come in one report; a struct that is built in code is asked by whoever starts its part.
        """
        return ()


def local_paths(settings: Settings) -> dict[str, str]:
    """List the fields of a section that are a `LocalPath`, optional or not, and that are given."""
    fields = msgspec.inspect.type_info(type(settings)).fields  # type: ignore[attr-defined]  # a struct has fields
    given = {field.name: getattr(settings, field.name) for field in fields if _is_local_path(field.type)}
    return {name: value for name, value in given.items() if isinstance(value, str)}


def _is_local_path(info: msgspec.inspect.Type) -> bool:
    if isinstance(info, msgspec.inspect.UnionType):
        return any(_is_local_path(option) for option in info.types)
    return isinstance(info, msgspec.inspect.Metadata) and bool((info.extra or {}).get("local_path"))
