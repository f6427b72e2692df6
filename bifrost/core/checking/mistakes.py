"""Mistakes in settings and how they read: path, found, expected, nearest known key; one line of text each."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from bifrost.core.checking.positions import Path
from bifrost.errors import ConfigError

__all__ = ["Mistake", "config_error", "nearest", "show_path", "show_value"]

_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")
_SHOWN_CHARACTERS = 60


@dataclass(frozen=True, slots=True)
class Mistake:
    """One mistake.

    Attributes:
        path: of the key; empty if the whole file is meant.
        text: what was found and what was expected; lower case, no full stop.
        line: of the file, from 1; None outside a file, or when it is to be found from the path.
    """

    path: Path
    text: str
    line: int | None = None

    def show(self, origin: str) -> str:
        """Write it as ``file:line: path: text``."""
        where = origin if self.line is None else f"{origin}:{self.line}"
        return ": ".join(part for part in (where, show_path(self.path), self.text) if part)


def config_error(origin: str, mistakes: Iterable[Mistake]) -> ConfigError:
    """Put all mistakes into one error, in file order."""
    ordered = sorted(mistakes, key=lambda mistake: mistake.line or 0)
    lines = [mistake.show(origin) for mistake in ordered]
    many = "1 mistake" if len(lines) == 1 else f"{len(lines)} mistakes"
    head = f"{many} in {origin}" if origin else many
    return ConfigError("\n  ".join([f"{head}; nothing was started", *lines]), mistakes=lines)


def nearest(found: str, known: Sequence[str]) -> str | None:
    """Tell the known word that a misspelt one most likely stands for."""
    by_folded = {word.casefold().replace("-", "_"): word for word in known}
    folded = found.casefold().replace("-", "_")
    if len(longer := [word for key, word in by_folded.items() if folded in key.split("_")]) == 1:
        return longer[0]  # port for serial_port, unit for unit_id
    close = difflib.get_close_matches(folded, by_folded, n=1, cutoff=0.6)
    return by_folded[close[0]] if close else None


def show_path(path: Path) -> str:
    """Write a path as TOML would: ``devices.press.tags[2].address``."""
    shown = ""
    for part in path:
        if isinstance(part, int):
            shown += f"[{part}]"
        else:
            bare = part if _BARE_KEY.fullmatch(part) else f'"{part}"'
            shown += f".{bare}" if shown else bare
    return shown


def show_value(value: object) -> str:
    """Write a value and its TOML type shortly: ``"502" (a string)``."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, dict):
        return "a table" if value else "an empty table"
    if isinstance(value, list | tuple):
        return f"a list of {len(value)}"
    if isinstance(value, str):
        short = value if len(value) <= _SHOWN_CHARACTERS else value[:_SHOWN_CHARACTERS] + "…"
        return f'"{short}" (a string)'
    if isinstance(value, int | float):
        return str(value)
    return f"{value} (a {type(value).__name__})"
