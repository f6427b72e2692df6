"""Reads a gateway's settings file: a path in; checked settings, or every mistake in one `ConfigError`, out.

Nothing is opened but the file, and no device or server is asked.
"""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

import msgspec

from bifrost.core.checking.mistakes import Mistake
from bifrost.core.checking.toml_file import TomlFile
from bifrost.errors import ConfigError
from bifrost.gateway.sections import check_sections
from bifrost.gateway.settings import GatewaySection, GatewaySettings

__all__ = ["parse_settings", "read_data_dir", "read_settings"]


def read_settings(path: str | Path, *, more_sinks: Collection[str] = ()) -> GatewaySettings:
    """Read and check a settings file.

    Args:
        path: the TOML file; a relative data directory in it is relative to the file's folder.
        more_sinks: names of sinks that the application brings, beside the gateway's own.

    Raises:
        ConfigError: the file cannot be read, or something in it is wrong; `.mistakes` has one line for each mistake,
            with the file's line number.
    """
    path = Path(path)
    return _placed(_checked(TomlFile.read(path), more_sinks, path.parent), path.parent)


def parse_settings(text: str, *, origin: str = "settings", more_sinks: Collection[str] = ()) -> GatewaySettings:
    """Check settings that are a text already.

    Args:
        text: TOML.
        origin: what the text is called in mistakes.
        more_sinks: as in `read_settings`.

    Raises:
        ConfigError: something is wrong.
    """
    return _checked(TomlFile(text, origin=origin), more_sinks, None)


def read_data_dir(path: Path) -> Path:
    """Tell the data directory that a settings file names, without checking the rest of the file.

    Raises:
        ConfigError: the file cannot be read.
    """
    file = TomlFile.read(path)
    section = file.table.get("gateway")
    named = section.get("data_dir") if isinstance(section, dict) else None
    return path.parent / (named if isinstance(named, str) else GatewaySection().data_dir)


def _checked(file: TomlFile, more_sinks: Collection[str], folder: Path | None) -> GatewaySettings:
    mistakes: list[Mistake] = []
    settings = check_sections(file.table, mistakes, more_sinks=more_sinks, folder=folder)
    file.check(mistakes)
    if settings is None:  # only a defect gives no settings and no mistake
        raise ConfigError(f"{file.origin}: the settings cannot be read")
    return settings


def _placed(settings: GatewaySettings, folder: Path) -> GatewaySettings:
    section = settings.gateway
    placed = msgspec.structs.replace(section, data_dir=str(folder / section.data_dir))
    return msgspec.structs.replace(settings, gateway=placed)
