"""Checks the sections of a settings file, each against the type of whoever runs it, and the names between them.

In: plain tables. Out: `GatewaySettings`, or mistakes with their paths. A device's type is chosen by its `protocol`, an
uplink's by its `kind`; both registries load plug-ins only when they are named.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping
from functools import partial
from pathlib import Path as FilePath
from typing import Any, Final, TypeVar

from bifrost.bridge.buffering.settings import WalSettings
from bifrost.bridge.connectors.registry import connector, connector_names
from bifrost.bridge.delivery import DeliverySettings
from bifrost.core.checking.checker import check_settings, check_table
from bifrost.core.checking.mistakes import Mistake, nearest, show_value
from bifrost.core.checking.positions import Path
from bifrost.edge.settings import PipelineSettings
from bifrost.errors import ConfigError
from bifrost.gateway.references import LOG_SINK, WAL_SINK, check_references
from bifrost.gateway.settings import (
    NAME_FORM,
    NAME_WORDS,
    GatewaySection,
    GatewaySettings,
    SurfacesSettings,
    UplinkSettings,
)
from bifrost.plc.device_table import check_device

__all__ = ["check_device", "check_name", "check_sections"]

T = TypeVar("T")

_PLAIN_SECTIONS: Final = {"gateway": GatewaySection, "wal": WalSettings, "surfaces": SurfacesSettings}
_NAMED_SECTIONS: Final = ("devices", "pipelines", "uplinks")


def check_sections(
    table: Mapping[str, Any],
    mistakes: list[Mistake],
    *,
    more_sinks: Collection[str] = (),
    folder: FilePath | None = None,
) -> GatewaySettings | None:
    """Check a whole file's tables; None if there was a mistake.

    Args:
        table: the file's top level.
        mistakes: gets one entry for each mistake.
        more_sinks: names of sinks that the application brings, beside the gateway's own.
        folder: of the file; relative files of tags are taken from there.
    """
    before = len(mistakes)
    known = [*_PLAIN_SECTIONS, *_NAMED_SECTIONS]
    for key in table:
        if key not in known:
            close = nearest(key, known)
            hint = f"did you mean {close}?" if close else f"expected one of {', '.join(known)}"
            mistakes.append(Mistake((key,), f"unknown section; {hint}"))
    sections: dict[str, Any] = {
        name: check_settings(table[name], section_type, path=(name,), mistakes=mistakes)
        for name, section_type in _PLAIN_SECTIONS.items()
        if name in table
    }
    sections["devices"] = _each(table, "devices", partial(check_device, folder=folder), mistakes)
    sections["pipelines"] = _each(table, "pipelines", _check_pipeline, mistakes)
    sections["uplinks"] = _each(table, "uplinks", _check_uplink, mistakes)
    declared = table.get("devices")
    mistakes += check_references(
        sections["pipelines"],
        sections["devices"],
        declared=list(declared) if isinstance(declared, Mapping) else [],
        sinks=[WAL_SINK, *more_sinks],
        anomaly_sinks=[WAL_SINK, LOG_SINK, *more_sinks],
    )
    if len(mistakes) > before:
        return None
    settings = GatewaySettings(**sections)
    mistakes += [Mistake(_path_in_file(problem.path), problem.text) for problem in settings.problems()]
    return settings if len(mistakes) == before else None


def _path_in_file(path: Path) -> Path:
    """A path in the settings as a path in their file, where an uplink's own keys stand beside `kind`."""
    return tuple(part for index, part in enumerate(path) if (index, part) != (2, "connector"))


def check_name(name: str, path: Path, mistakes: list[Mistake]) -> None:
    """Check the name of a device, pipeline or uplink."""
    if not re.fullmatch(NAME_FORM, name):
        mistakes.append(Mistake(path, f'"{name}" is no name, expected {NAME_WORDS}'))


def _check_pipeline(value: object, path: Path, mistakes: list[Mistake]) -> PipelineSettings | None:
    return check_settings(value, PipelineSettings, path=path, mistakes=mistakes)


def _check_uplink(value: object, path: Path, mistakes: list[Mistake]) -> UplinkSettings | None:
    before = len(mistakes)
    table = check_table(value, path=path, mistakes=mistakes)
    if not isinstance(value, Mapping):
        return None
    delivery = None
    if "delivery" in table:
        delivery_path = (*path, "delivery")
        delivery = check_settings(table.pop("delivery"), DeliverySettings, path=delivery_path, mistakes=mistakes)
    kind = table.pop("kind", None)
    known = connector_names()
    if kind is None:
        mistakes.append(Mistake((*path, "kind"), f"missing, expected one of {', '.join(known)}"))
        return None
    if not isinstance(kind, str):
        mistakes.append(Mistake((*path, "kind"), f"found {show_value(kind)}, expected one of {', '.join(known)}"))
        return None
    try:
        settings_type = connector(kind).settings_type
    except ConfigError as error:
        mistakes.append(Mistake((*path, "kind"), str(error)))
        return None
    settings = check_settings(table, settings_type, path=path, mistakes=mistakes)
    if settings is None or len(mistakes) > before:
        return None
    return UplinkSettings(kind=kind, connector=settings, delivery=delivery or DeliverySettings())


def _each(
    table: Mapping[str, Any],
    section: str,
    check: Callable[[object, Path, list[Mistake]], T | None],
    mistakes: list[Mistake],
) -> dict[str, T]:
    """Check every named table of a section; what is wrong is left out."""
    checked: dict[str, T] = {}
    for name, value in check_table(table.get(section, {}), path=(section,), mistakes=mistakes).items():
        path = (section, name)
        check_name(name, path, mistakes)
        settings = check(value, path, mistakes)
        if settings is not None:
            checked[name] = settings
    return checked
