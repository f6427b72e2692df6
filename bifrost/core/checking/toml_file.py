"""Reads one TOML file as far as it can be read: a path in; tables, the lines of their keys and all mistakes out."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path as FilePath
from typing import Any

from bifrost.core.checking.mistakes import Mistake, config_error
from bifrost.core.checking.positions import Path, Positions, locate
from bifrost.errors import ConfigError

__all__ = ["MAX_FILE_BYTES", "TomlFile"]

MAX_FILE_BYTES = 16 * 1024 * 1024
"""Longest settings file, about 150,000 tags."""

_MOST_SYNTAX_MISTAKES = 20
_AT_LINE = re.compile(r"(?P<what>.*) \(at line (?P<line>\d+), column (?P<column>\d+)\)")


class TomlFile:
    """One parsed file.

    Attributes:
        origin: its path as the user wrote it.
        table: what it holds.
    """

    def __init__(self, text: str, *, origin: str) -> None:
        self.origin = origin
        self._text = text
        self._positions: Positions | None = None
        self._mistakes: list[Mistake] = []
        self.table = self._parse()

    @classmethod
    def read(cls, path: FilePath) -> TomlFile:
        """Read a file.

        Raises:
            ConfigError: it cannot be read, is no UTF-8 text, or its syntax is wrong.
        """
        origin = str(path)
        try:
            with path.open("rb") as file:
                raw = file.read(MAX_FILE_BYTES + 1)
        except OSError as error:
            raise ConfigError(f"cannot read {origin}: {error.strerror or error}; nothing was started") from error
        if len(raw) > MAX_FILE_BYTES:
            raise ConfigError(f"{origin} is longer than {MAX_FILE_BYTES} bytes; is it a settings file?")
        try:
            text = raw.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            line = raw.count(b"\n", 0, error.start) + 1
            mistake = Mistake((), f"byte 0x{raw[error.start]:02x} is no UTF-8, expected a UTF-8 text", line)
            raise config_error(origin, [mistake]) from error
        return cls(text.replace("\r\n", "\n"), origin=origin)

    def check(self, mistakes: list[Mistake]) -> None:
        """Raise one `ConfigError` with the file's own mistakes and those found in its tables, each with its line."""
        found = [*self._mistakes, *mistakes]
        if found:
            raise config_error(self.origin, [self._placed(mistake) for mistake in found])

    def line_of(self, path: Path) -> int | None:
        """Tell the line of a key, or of the nearest table around it."""
        return self._located().line(path)

    def _placed(self, mistake: Mistake) -> Mistake:
        if mistake.line is not None or not mistake.path:
            return mistake
        return Mistake(mistake.path, mistake.text, self._located().line(mistake.path))

    def _located(self) -> Positions:
        if self._positions is None:
            try:
                self._positions = locate(self._text)
            except RecursionError:
                self._positions = Positions()  # nested beyond all measure: the mistakes are told without their lines
        return self._positions

    def _parse(self) -> dict[str, Any]:
        try:
            return tomllib.loads(self._text)
        except RecursionError:
            raise config_error(self.origin, [Mistake((), "nested deeper than any settings are")]) from None
        except ValueError:  # a TOMLDecodeError, or what Python says of an integer with thousands of digits
            pass
        # The parser stops at what is defined twice; every such place is told, and the rest is read without them.
        duplicates = self._located().duplicates
        self._mistakes = [
            Mistake(duplicate.path, f"defined twice, first in line {duplicate.first_line}", duplicate.line)
            for duplicate in duplicates
        ]
        blanked = bytearray(self._text.encode())
        for duplicate in duplicates:
            start, end = duplicate.span
            blanked[start:end] = re.sub(rb"[^\n]", b" ", blanked[start:end])
        table, wrong_syntax = _read_on(blanked.decode())
        if wrong_syntax:
            raise config_error(self.origin, [*self._mistakes, *wrong_syntax])
        return table


def _read_on(text: str) -> tuple[dict[str, Any], list[Mistake]]:
    """Parse, and after a mistake go on without its line, as long as the line stands for itself."""
    mistakes: list[Mistake] = []
    lines = text.split("\n")
    table: dict[str, Any] = {}
    while len(mistakes) < _MOST_SYNTAX_MISTAKES:
        try:
            table = tomllib.loads("\n".join(lines))
            break
        except ValueError as error:
            mistake = _syntax_mistake(error)
        if mistakes and (mistake.line or 0) <= (mistakes[-1].line or 0):
            break  # it comes from what was left out: the mistake is around that
        mistakes.append(mistake)
        if mistake.line is None or not _stands_alone(lines[mistake.line - 1]):
            break
        is_header = lines[mistake.line - 1].lstrip().startswith("[")
        lines[mistake.line - 1] = f'["unreadable line {mistake.line}"]' if is_header else ""
    if mistakes:
        last = mistakes[-1]
        mistakes[-1] = Mistake((), f"{last.text}; the rest is checked once this is mended", last.line)
    return table, mistakes


def _stands_alone(line: str) -> bool:
    """Tell whether a line is a header, or a key with a value that does not go on in the next line."""
    if line.lstrip().startswith("["):
        return "=" not in line
    is_open = line.count("[") != line.count("]") or line.count("{") != line.count("}")
    return "=" in line and not is_open and '"""' not in line and "'''" not in line


def _syntax_mistake(error: ValueError) -> Mistake:
    at = _AT_LINE.fullmatch(str(error))
    if at is None:
        return Mistake((), f"not TOML: {str(error)[:1].lower()}{str(error)[1:]}")
    what = at["what"][:1].lower() + at["what"][1:]
    return Mistake((), f"not TOML at column {at['column']}: {what}", int(at["line"]))
