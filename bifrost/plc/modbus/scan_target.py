"""What searches for units take and give, whatever carries them: where, which units, and what was found.

In: a target as a user writes it, unit ids. Out: host and port, checked ids, `FoundDevice`. Not here: asking.
"""

from __future__ import annotations

from collections.abc import Iterable
from urllib.parse import urlsplit

from bifrost.errors import ConfigError
from bifrost.plc.drivers.base import FoundDevice
from bifrost.plc.modbus.identification import DeviceIdentification

__all__ = [
    "ABSENT_CODES",
    "ALL_UNITS",
    "IDENTIFICATION_TIMEOUT",
    "checked_units",
    "endpoint_text",
    "found_unit",
    "host_and_port",
]

ABSENT_CODES = frozenset({10, 11})
"""A gateway's word for "nobody there": no path, no answer from the target."""

ALL_UNITS = range(1, 248)
"""All that the standard has for a bus."""

IDENTIFICATION_TIMEOUT = 1.0
"""Seconds at least: libmodbus rests for half a second before it says that it does not know a function."""


def host_and_port(target: str, port: int) -> tuple[str, int]:
    """Take ``host`` or ``host:port`` apart; `port` is for a target that names none.

    Raises:
        ConfigError: it is neither, or the port is none.
    """
    bare_ipv6 = target.count(":") > 1 and not target.startswith("[") and "//" not in target
    try:
        parts = urlsplit(f"//[{target}]" if bare_ipv6 else target if "//" in target else f"//{target}")
        host, port = parts.hostname or "", port if parts.port is None else parts.port
    except ValueError:
        host = ""
    if not host:
        raise ConfigError(f"expected a host, or host:port with a port of 1 to 65535, got {target!r}")
    if not 1 <= port <= 65535:
        raise ConfigError(f"expected a port of 1 to 65535, got {port}")
    return host, port


def endpoint_text(host: str, port: int) -> str:
    """Put host and port together, an IPv6 address in brackets."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def checked_units(units: Iterable[int], last: int) -> list[int]:
    """Give each unit id once, in order.

    Raises:
        ConfigError: one is not within 1 to `last`.
    """
    wanted = list(dict.fromkeys(units))
    for unit in wanted:
        if not 1 <= unit <= last:
            raise ConfigError(
                f"expected unit ids from 1 to {last}, got {unit}; 0 is the broadcast, which nobody answers"
            )
    return wanted


def found_unit(protocol: str, endpoint: str, url: str, unit: int, said: DeviceIdentification | None) -> FoundDevice:
    """Make what the caller of a search gets; `said` is None if the unit does not identify itself."""
    return FoundDevice(
        protocol=protocol,
        endpoint=endpoint,
        url=url,
        name="" if said is None else said.name,
        vendor="" if said is None else said.vendor,
        description="" if said is None else said.revision,
        unit_id=unit,
    )
