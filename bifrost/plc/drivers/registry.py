"""Protocols by name: built-in ones and plug-ins come through the same door.

In: names. Out: `ProtocolSpec`s, loaded when first asked for, so that a broken plug-in harms nobody but its users.
"""

from __future__ import annotations

import importlib
import operator
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from bifrost.errors import AddressError, ConfigError, DataTypeError, PluginError
from bifrost.plc.drivers.base import ProtocolSpec

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

    from bifrost.plc.datatypes import Tag

__all__ = ["GROUP", "known_protocols", "parse_address", "protocol_named", "register_protocol"]

GROUP = "bifrost.plc.protocols"

_GUESSES = ("modbus-tcp", "s7", "ethernet-ip")
"""Whose address a tag without protocol may have, in this order: nearly every word is a tag of a Logix controller."""

_SAME_WORDS = ("s7",)
"""Whose addresses may look like one of Modbus and take other types."""

_registered: dict[str, ProtocolSpec | str] = {}


def register_protocol(name: str, spec: ProtocolSpec | str, *, replace: bool = False) -> None:
    """Make a protocol known.

    Args:
        name: as settings and `PLCConnection` write it; case and underscores do not matter.
        spec: the specification, or ``package.module:attribute`` where it is loaded from when first needed.
        replace: allow taking the place of one that is known already.

    Raises:
        ConfigError: the name is taken.
    """
    key = _key(name)
    if key in _registered and not replace:
        raise ConfigError(f"protocol {key!r} is registered already; pass replace=True to take its place")
    _registered[key] = spec


def known_protocols() -> list[str]:
    """Names of all protocols, registered and installed, loaded or not."""
    try:
        points = tuple(_entry_points())
    except PluginError:
        points = ()  # told to whoever asks for a protocol that is not built in
    return sorted({*_registered, *(_key(point.name) for point in points)})


def protocol_named(name: str) -> ProtocolSpec:
    """Find a protocol and load it.

    Raises:
        ConfigError: unknown, or its plug-in cannot be loaded; the text says which and why.
    """
    spec = _registered.get(name)
    if isinstance(spec, ProtocolSpec):
        return spec
    if not isinstance(name, str):
        raise ConfigError(f"expected the name of a protocol, got {name!r:.60}")
    key = _key(name)
    spec = _registered.get(key) or _installed(key)
    if isinstance(spec, str):
        spec = _load(key, spec)
    _registered[key] = spec
    return spec


def parse_address(tag: Tag) -> tuple[ProtocolSpec, Any]:
    """Understand a tag's address: as its protocol does, or, if it names none, as the first built-in one that can.

    Returns:
        The protocol, and what it made of the address.

    Raises:
        AddressError: no such address. Of a tag without protocol, Modbus says why.
        DataTypeError: the type does not fit the address.
    """
    refused: ConfigError
    guesses: tuple[str, ...]
    first = protocol_named(_GUESSES[0] if tag.protocol is None else tag.protocol)
    try:
        return first, first.parse_address(tag)
    except AddressError as error:
        sure = not isinstance(tag.address, str) or (first.recognises is not None and first.recognises(tag.address))
        if tag.protocol is not None or sure:
            raise
        refused, guesses = error, _GUESSES[1:]
    except DataTypeError as error:
        if tag.protocol is not None or not isinstance(tag.address, str):
            raise
        # C5 is a coil here and a counter there; a Logix controller would take any word with any type.
        refused, guesses = error, _SAME_WORDS
    for name in guesses:
        try:
            spec = protocol_named(name)
            return spec, spec.parse_address(tag)
        except ConfigError:
            continue
    raise refused


def _entry_points() -> Iterable[EntryPoint]:
    # Imported late: it is slow, and built-in protocols do not need it.
    from importlib.metadata import entry_points

    try:
        return entry_points(group=GROUP)
    except Exception as error:  # the metadata of any package can make it raise anything
        raise PluginError(
            f"the plug-ins that are installed cannot be listed; a package is broken: {error!r}"
        ) from error


def _key(name: str) -> str:
    return str(name).strip().lower().replace("_", "-")


def _installed(key: str) -> str:
    unlisted = ""
    try:
        for point in _entry_points():
            if _key(point.name) == key:
                return point.value
    except PluginError as error:
        unlisted = f"; {error}"
    known = known_protocols()
    import difflib

    close = difflib.get_close_matches(key, known, n=1)
    hint = f"did you mean {close[0]!r}" if close else f"known are {', '.join(known)}"
    raise ConfigError(f"unknown protocol {key!r}; {hint}{unlisted}")


def _load(key: str, where: str) -> ProtocolSpec:
    # An entry point may name extras behind, and an attribute of an attribute.
    module, _, attribute = where.partition("[")[0].strip().partition(":")
    try:
        spec = operator.attrgetter(attribute.strip())(importlib.import_module(module.strip()))
    except (Exception, SystemExit) as error:
        raise PluginError(f"protocol {key!r} cannot be loaded from {where}: {error!r}") from error
    if not isinstance(spec, ProtocolSpec):
        raise PluginError(f"protocol {key!r}: expected a ProtocolSpec at {where}, got {type(spec).__name__}")
    return spec


register_protocol("modbus-tcp", "bifrost.plc.modbus.protocol:MODBUS_TCP")
register_protocol("modbus-rtu", "bifrost.plc.modbus.rtu_protocol:MODBUS_RTU")
register_protocol("modbus-rtu-over-tcp", "bifrost.plc.modbus.rtu_protocol:MODBUS_RTU_OVER_TCP")
register_protocol("s7", "bifrost.plc.s7.protocol:S7")
register_protocol("ethernet-ip", "bifrost.plc.ethernet_ip.protocol:ETHERNET_IP")
