"""Searching for devices: a protocol and a place in, the devices that answer out. Nothing is ever written.

How a protocol searches is its own business (`ProtocolSpec.discover`); it is loaded when it is first asked for.
"""

from __future__ import annotations

import asyncio
import importlib
import inspect
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from typing import Any

from bifrost.core.checking.mistakes import nearest
from bifrost.errors import ConfigError, MissingExtra, PluginError
from bifrost.plc.drivers.base import FoundDevice, ProtocolSpec
from bifrost.plc.drivers.registry import known_protocols, protocol_named

__all__ = ["FoundDevice", "discover", "search_options"]

_LONGEST = 3600.0


async def discover(
    protocol: str, target: str, *, timeout: float = 2.0, **options: object
) -> AsyncIterator[FoundDevice]:
    """Search for devices.

    Args:
        protocol: name of a protocol that can search.
        target: where: a host, or what else the protocol takes, such as a broadcast address.
        timeout: seconds for each answer, 0.01 to 3600.
        options: the protocol's own, such as `units` of Modbus; `search_options` lists them.

    Yields:
        Each device as it answers.

    Raises:
        ConfigError: the protocol cannot search, or an option is unknown or wrong. Nothing was sent.
        MissingExtra: the protocol needs a package that is not installed.
        LinkError: the target cannot be reached at all.
    """
    spec = protocol_named(protocol)
    search = _search(spec)
    if not 0.01 <= timeout <= _LONGEST:
        raise ConfigError(f"expected a timeout of 0.01 to {_LONGEST:g} seconds, got {timeout:g}")
    known = search_options(protocol)
    for name in options:
        if known is not None and name not in known:
            close = nearest(name, known)
            hint = f"did you mean {close}" if close else f"known are {', '.join(known) or 'none'}"
            raise ConfigError(f"unknown option {name} of a search for {spec.name} devices; {hint}")
    async with aclosing(search(target, timeout=timeout, **options)) as devices:
        async for device in devices:
            yield device
            await asyncio.sleep(0)  # a search that has many answers at hand must not keep the loop


def search_options(protocol: str) -> list[str] | None:
    """List the options that a protocol's search takes, besides `timeout`; None if only the search itself knows.

    Raises:
        ConfigError: the protocol is unknown or cannot search.
    """
    parameters = inspect.signature(_search(protocol_named(protocol))).parameters.values()
    if any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters):
        return None
    return [
        parameter.name
        for parameter in parameters
        if parameter.kind is parameter.KEYWORD_ONLY and parameter.name != "timeout"
    ]


def _search(spec: ProtocolSpec) -> Callable[..., Any]:
    if spec.discover is None:
        able = ", ".join(_able()) or "none"
        raise ConfigError(f"{spec.name} devices cannot be searched for; protocols that can be are {able}")
    module, _, attribute = spec.discover.partition(":")
    try:
        search: Callable[..., Any] = getattr(importlib.import_module(module), attribute)
    except MissingExtra:
        raise
    except Exception as error:
        raise PluginError(f"the search of {spec.name} cannot be loaded from {spec.discover}: {error!r}") from error
    return search


def _able() -> list[str]:
    able = []
    for name in known_protocols():
        try:
            spec = protocol_named(name)
        except ConfigError:
            continue  # a broken plug-in cannot search either
        if spec.discover is not None:
            able.append(name)
    return able
