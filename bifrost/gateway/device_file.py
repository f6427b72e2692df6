"""One device's settings from a file and from the command line: a path and ``key=value`` words in, a plain table out."""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bifrost.core.checking.mistakes import Mistake, config_error
from bifrost.core.checking.toml_file import TomlFile
from bifrost.errors import ConfigError

__all__ = ["read_device_table"]


def read_device_table(path: Path | None, name: str, *, overrides: Sequence[str] = ()) -> dict[str, Any]:
    """Read the settings of one device, unchecked.

    Args:
        path: a TOML file with the keys of the device, or with a table ``[devices.<name>]``; None for an empty one.
        name: the device's name.
        overrides: ``key=value`` words, values as in TOML, bare text as a string; dotted keys reach into tables.

    Raises:
        ConfigError: the file or a word cannot be read.
    """
    table: dict[str, Any] = {}
    if path is not None:
        file = TomlFile.read(path)
        file.check([])
        table = file.table
        devices = table.get("devices")
        if isinstance(devices, dict):
            if not isinstance(devices.get(name), dict):
                found = ", ".join(devices) or "none"
                raise ConfigError(f"{path} has no table [devices.{name}]; its devices: {found}")
            table = devices[name]
        # Whoever checks the table may run in another folder.
        if isinstance(named := table.get("tag_file"), str):
            table = {**table, "tag_file": str((path.parent / named).absolute())}
    for word in overrides:
        _override(table, word)
    if overrides and isinstance(named := table.get("tag_file"), str):
        table["tag_file"] = str(Path(named).absolute())
    if not table:
        raise ConfigError(f"no settings for device {name}; name a file, or give --set protocol=... --set host=...")
    return table


def _override(table: dict[str, Any], word: str) -> None:
    key, equals, value = word.partition("=")
    if not equals or not key.strip():
        raise ConfigError(f'found --set "{word}", expected KEY=VALUE such as port=502')
    try:
        change = tomllib.loads(f"{key} = {value}")
    except tomllib.TOMLDecodeError:
        try:
            change = tomllib.loads(f"{key} = 0")
        except tomllib.TOMLDecodeError as error:
            raise config_error("--set", [Mistake((), f'"{key}" is no key: {error}')]) from error
        _replace_zero(change, value.strip())
    _merge(table, change)


def _replace_zero(change: dict[str, Any], text: str) -> None:
    key = next(iter(change))
    if isinstance(change[key], dict):
        _replace_zero(change[key], text)
    else:
        change[key] = text


def _merge(table: dict[str, Any], change: dict[str, Any]) -> None:
    for key, value in change.items():
        if isinstance(value, dict) and isinstance(table.get(key), dict):
            _merge(table[key], value)
        else:
            table[key] = value
