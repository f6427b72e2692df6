"""One device's table, of a settings file or of a program: checked against the settings of its protocol.

In: a plain table, or a TOML file with one. Out: `DeviceSettings`, or every mistake. Not here: gateways.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path as FilePath

from msgspec import structs

from bifrost.core.checking.checker import check_settings, check_table
from bifrost.core.checking.mistakes import Mistake, config_error, nearest, show_value
from bifrost.core.checking.positions import Path
from bifrost.core.checking.toml_file import TomlFile
from bifrost.errors import ConfigError
from bifrost.plc.datatypes import ProtocolType
from bifrost.plc.drivers.registry import known_protocols, protocol_named
from bifrost.plc.settings import DeviceSettings, doubled_names

__all__ = ["check_device", "device_from_file", "device_from_table", "with_tag_file"]

_SECTIONS = ("devices", "plc")


def device_from_table(table: Mapping[str, object]) -> DeviceSettings:
    """Check the table of one device.

    Raises:
        ConfigError: all that is wrong with it is in `.mistakes`.
    """
    mistakes: list[Mistake] = []
    settings = check_device(table, (), mistakes)
    if mistakes or settings is None:
        raise config_error("device", mistakes)
    return settings


def device_from_file(path: str | FilePath, name: str | None) -> tuple[str, DeviceSettings]:
    """Read one device of a TOML file with sections ``[devices.<name>]`` or ``[plc.<name>]``; others are not looked at.

    Args:
        path: the file.
        name: which device; None if there is one.

    Raises:
        ConfigError: the file cannot be read, has no such device, or something is wrong with it.
    """
    file = TomlFile.read(FilePath(path))
    found = {
        device: (section, device)
        for section in _SECTIONS
        if isinstance(file.table.get(section), dict)
        for device in file.table[section]
    }
    if name is None:
        if len(found) != 1:
            names = ", ".join(found) or "none"
            raise ConfigError(
                f"{file.origin}: expected one [devices.<name>] section, found {names}; name the one you mean"
            )
        (name,) = found
    if name not in found:
        close = nearest(name, list(found))
        hint = f"did you mean {close!r}" if close else f"known are {', '.join(found) or 'none'}"
        raise ConfigError(f"{file.origin} has no device {name!r}; {hint}")
    section, _ = where = found[name]
    mistakes: list[Mistake] = []
    settings = check_device(file.table[section][name], where, mistakes, folder=FilePath(path).parent)
    file.check(mistakes)
    assert settings is not None, "without a mistake there are settings"
    return name, settings


def check_device(
    value: object, path: Path, mistakes: list[Mistake], *, folder: FilePath | None = None
) -> DeviceSettings | None:
    """Check one device against the settings type of its protocol; None if there was a mistake.

    Args:
        value: its table. The tags of its `tag_file` take their place among the others, and the file is named no more.
        path: of the table in its file.
        mistakes: gets one entry for each mistake.
        folder: what a relative `tag_file` is relative to; None: the folder that the process runs in.
    """
    table = check_table(value, path=path, mistakes=mistakes)
    if not isinstance(value, Mapping):
        return None
    name = table.get("protocol", ProtocolType.MODBUS_TCP.value)
    if not isinstance(name, str):
        known = known_protocols()  # asked only now: it looks through everything that is installed
        mistakes.append(Mistake((*path, "protocol"), f"found {show_value(name)}, expected one of {', '.join(known)}"))
        return None
    try:
        settings_type = protocol_named(name).settings
    except ConfigError as error:
        mistakes.append(Mistake((*path, "protocol"), str(error)))
        return None
    checked = check_settings(table, settings_type, path=path, mistakes=mistakes)
    if checked is None:
        _check_tag_names(table.get("tags"), path, mistakes)
    if not isinstance(checked, DeviceSettings):
        return None
    try:
        return with_tag_file(checked, folder)
    except ConfigError as error:
        mistakes += [Mistake((*path, "tag_file"), text) for text in error.mistakes]
        return None


def with_tag_file(settings: DeviceSettings, folder: FilePath | None = None) -> DeviceSettings:
    """Read the file of tags that settings name, if they name one: its tags then stand behind their own.

    Args:
        settings: checked.
        folder: what a relative file is relative to; None: the folder that the process runs in.

    Raises:
        ConfigError: the file cannot be read, something in it is wrong, or a tag is in both places.
    """
    if settings.tag_file is None:
        return settings
    from bifrost.plc.tag_files import read_tag_settings  # few name a file, and everybody imports this

    found = read_tag_settings((folder or FilePath()) / settings.tag_file, protocol=settings.protocol)
    merged = structs.replace(settings, tags=(*settings.tags, *found), tag_file=None)
    if mistakes := [f"{settings.tag_file}: {problem.text}" for problem in merged.problems()]:
        raise ConfigError("; ".join(mistakes), mistakes=mistakes)
    return merged


def _check_tag_names(tags: object, path: Path, mistakes: list[Mistake]) -> None:
    """Tell names that come twice where one of the tags has another mistake, so that the settings cannot tell it."""
    told = {mistake.path for mistake in mistakes}
    tables = (tag if isinstance(tag, Mapping) else {} for tag in (tags if isinstance(tags, list | tuple) else ()))
    names = (name if isinstance(name := tag.get("name"), str) else None for tag in tables)
    mistakes += [
        Mistake(place, problem.text)
        for problem in doubled_names(names)
        if (place := (*path, *problem.path)) not in told
    ]
