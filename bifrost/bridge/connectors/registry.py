"""Which connectors there are: the built-in ones, those of installed plug-ins, those an application adds.

In: a name from a settings file. Out: the settings type and the factory behind it. Nothing is imported before
it is asked for.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from difflib import get_close_matches
from importlib import import_module
from importlib.metadata import entry_points
from typing import Any, Final

from bifrost.core.ports import Uplink
from bifrost.core.settings import Settings
from bifrost.errors import ConfigError

__all__ = ["ENTRY_POINT_GROUP", "Connector", "connector", "connector_names", "register_connector"]

ENTRY_POINT_GROUP: Final = "bifrost.bridge.connectors"
"""A plug-in names a `Connector` under this group; the entry point's name is the connector's."""


@dataclass(frozen=True, slots=True)
class Connector:
    """One kind of destination.

    Attributes:
        settings_type: type of its section in a settings file.
        make: makes the uplink of checked settings, without any I/O.
    """

    settings_type: type[Settings]
    make: Callable[[Any], Uplink]


_BUILT_IN: Final = {
    "historian": "bifrost.bridge.connectors.historian:HISTORIAN",
    "mqtt": "bifrost.bridge.connectors.mqtt:MQTT",
}
_added: dict[str, Connector] = {}


def register_connector(name: str, added: Connector) -> None:
    """Add a connector of the application's own for this process.

    Raises:
        ConfigError: the name is taken.
    """
    if name in connector_names():
        raise ConfigError(f"there is a connector named '{name}' already: choose another name")
    _added[name] = added


def connector_names() -> list[str]:
    """Every name that `connector` knows, in order."""
    plugged = {point.name for point in entry_points(group=ENTRY_POINT_GROUP)}
    return sorted({*_BUILT_IN, *_added, *plugged})


def connector(name: str) -> Connector:
    """Find a connector by its name.

    Raises:
        ConfigError: there is none; the text names the nearest.
        MissingExtra: raised later, by opening the uplink, if its library is not installed.
    """
    if name in _added:
        return _added[name]
    if name in _BUILT_IN:
        module, _, attribute = _BUILT_IN[name].partition(":")
        found = getattr(import_module(module), attribute)
    else:
        points = entry_points(group=ENTRY_POINT_GROUP, name=name)
        if not points:
            near = get_close_matches(name, connector_names(), 1)
            hint = f": did you mean '{near[0]}'?" if near else ""
            raise ConfigError(f"there is no connector named '{name}', known are {', '.join(connector_names())}{hint}")
        found = next(iter(points)).load()
    if not isinstance(found, Connector):
        raise ConfigError(f"the plug-in behind connector '{name}' gives a {type(found).__name__}, expected a Connector")
    return found
