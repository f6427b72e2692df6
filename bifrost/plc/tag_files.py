"""Lists of tags in files: CSV from a spreadsheet or a maker's tool, or TOML, in; tags out, or every mistake at once.

Not here: the cells of a CSV (`bifrost.plc.tag_table`), writing such files (`bifrost.plc.tag_writing`).
"""

from __future__ import annotations

import codecs
from pathlib import Path

import msgspec

from bifrost.core.checking.checker import check_settings
from bifrost.core.checking.mistakes import Mistake, config_error, show_value
from bifrost.core.checking.toml_file import MAX_FILE_BYTES, TomlFile
from bifrost.errors import AddressError, ConfigError
from bifrost.plc.datatypes import Tag
from bifrost.plc.settings import TagSettings
from bifrost.plc.tag_table import rows_of_csv

__all__ = ["read_tag_file", "read_tag_settings", "tags_from_csv", "tags_from_toml"]

_MOST_MISTAKES = 200
_KEYS = frozenset(TagSettings.__struct_fields__) - {"name", "address"}
_Made = tuple[TagSettings, Tag]


def read_tag_file(path: str | Path, *, protocol: str | None = None) -> list[Tag]:
    """Read the tags in a file, CSV or TOML by its ending.

    Args:
        path: ``.toml`` with ``[[tags]]`` tables; anything else is CSV with a header. At most 16 MiB.
        protocol: whose addresses they are; None tries the protocols in turn.

    Returns:
        The tags in file order.

    Raises:
        ConfigError: the file cannot be read, or something in it is wrong; `.mistakes` has one line for each mistake,
            with its line number, 200 at most.
    """
    return [tag for _, tag in _read(path, protocol)]


def read_tag_settings(path: str | Path, *, protocol: str | None = None) -> tuple[TagSettings, ...]:
    """Read the tags in a file as a device's section holds them, checked; otherwise as `read_tag_file`."""
    return tuple(settings for settings, _ in _read(path, protocol))


def _read(path: str | Path, protocol: str | None) -> list[_Made]:
    path = Path(path)
    if path.suffix.lower() == ".toml":
        return _toml_tags(TomlFile.read(path), protocol)
    return _csv_tags(_read_text(path), str(path), protocol)


def tags_from_csv(text: str, *, origin: str = "tags", protocol: str | None = None) -> list[Tag]:
    """Read tags from comma, semicolon or tab separated values with a header.

    Args:
        text: the whole list.
        origin: what it is called in mistakes.
        protocol: as in `read_tag_file`.

    Raises:
        ConfigError: as in `read_tag_file`.
    """
    return [tag for _, tag in _csv_tags(text.removeprefix("\ufeff"), origin, protocol)]


def tags_from_toml(text: str, *, origin: str = "tags", protocol: str | None = None) -> list[Tag]:
    """Read tags from TOML: ``[[tags]]`` tables with the keys of a tag; otherwise as `tags_from_csv`."""
    return [tag for _, tag in _toml_tags(TomlFile(text, origin=origin), protocol)]


def _read_text(path: Path) -> str:
    try:
        with path.open("rb") as file:
            raw = file.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        raise ConfigError(f"cannot read {path}: {error.strerror or error}; name a CSV or TOML file of tags") from error
    if len(raw) > MAX_FILE_BYTES:
        raise ConfigError(f"{path} is longer than {MAX_FILE_BYTES} bytes; is it a list of tags?")
    encoding = "utf-16" if raw.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) else "utf-8-sig"
    try:
        return raw.decode(encoding)
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        text = f"byte 0x{raw[error.start]:02x} is no UTF-8; save the sheet as 'CSV UTF-8'"
        raise config_error(str(path), [Mistake((), text, line)]) from error


def _csv_tags(text: str, origin: str, protocol: str | None) -> list[_Made]:
    mistakes: list[Mistake] = []
    names = _Names()
    tags = []
    for row in rows_of_csv(text, mistakes):
        found: list[Mistake] = []
        entry = _made(row.table, (), protocol, found) if row.whole else None
        first = names.note(row.table.get("name"), row.line)
        if first is not None:
            found.append(Mistake(("name",), _taken(row.table["name"], f"line {first}")))
        mistakes += [Mistake(mistake.path, mistake.text, row.line) for mistake in found]
        if entry is not None:
            tags.append(entry)
        if len(mistakes) >= _MOST_MISTAKES:
            break
    if mistakes:
        raise config_error(origin, _first(mistakes))
    return tags


def _toml_tags(file: TomlFile, protocol: str | None) -> list[_Made]:
    mistakes = [
        Mistake((key,), "unknown key, expected tags: one [[tags]] table for each tag")
        for key in file.table
        if key != "tags"
    ]
    tables = file.table.get("tags", [])
    if not isinstance(tables, list):
        mistakes.append(Mistake(("tags",), f"found {show_value(tables)}, expected [[tags]] tables"))
        tables = []
    names = _Names()
    tags = []
    for index, table in enumerate(tables):
        path = ("tags", index)
        entry = _made(table, path, protocol, mistakes)
        if isinstance(table, dict):
            first = names.note(table.get("name"), index)
            if first is not None:
                where = f"line {file.line_of(('tags', first))}"
                mistakes.append(Mistake((*path, "name"), _taken(table["name"], where)))
        if entry is not None:
            tags.append(entry)
        if len(mistakes) >= _MOST_MISTAKES:
            break
    file.check(_first(mistakes))
    return tags


def _first(mistakes: list[Mistake]) -> list[Mistake]:
    """Keep as many as anybody mends at a time; a list that is wrong in every line must not take minutes."""
    if len(mistakes) < _MOST_MISTAKES:
        return mistakes
    *kept, last = sorted(mistakes, key=lambda mistake: mistake.line or 0)[:_MOST_MISTAKES]
    return [*kept, Mistake(last.path, f"{last.text}; the rest is checked once these are mended", last.line)]


class _Names:
    """Names that have been taken, and where."""

    def __init__(self) -> None:
        self._taken: dict[str, int] = {}

    def note(self, name: object, place: int) -> int | None:
        """Take a name; tells where it was taken before, if it was."""
        if not isinstance(name, str):
            return None
        first = self._taken.setdefault(name, place)
        return None if first == place else first


def _taken(name: str, where: str) -> str:
    return f"the name {name!r} is taken by the tag in {where}"


def _made(table: object, path: tuple[str | int, ...], protocol: str | None, mistakes: list[Mistake]) -> _Made | None:
    """Make one tag of its table; None if there was a mistake."""
    settings = _settings(table, path, mistakes)
    if settings is None:
        return None
    try:
        tag = settings.tag(protocol)
    except ConfigError as error:
        mistakes.append(Mistake((*path, *_key_of(error, settings)), str(error)))
        return None
    return settings, tag


def _key_of(error: ConfigError, settings: TagSettings) -> tuple[str, ...]:
    """Tell which key an error is about: the address, or the one whose name is in the text."""
    if isinstance(error, AddressError):
        return ("address",)
    words = str(error).partition(f"{settings.name!r}: ")[2].replace(",", " ").split()
    return next(((word,) for word in words if word in _KEYS), ())


def _settings(table: object, path: tuple[str | int, ...], mistakes: list[Mistake]) -> TagSettings | None:
    try:
        return msgspec.convert(table, TagSettings)
    except (msgspec.ValidationError, ValueError):  # the latter from an enum that looks up its words itself
        return check_settings(table, TagSettings, path=path, mistakes=mistakes)
