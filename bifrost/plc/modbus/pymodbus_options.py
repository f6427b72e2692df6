"""Which options go with which engine: settings in, contradictions out. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from bifrost.core.settings import Problem

if TYPE_CHECKING:
    from bifrost.plc.modbus.settings import ModbusSettings

__all__ = ["engine_problems"]


def engine_problems(settings: ModbusSettings) -> Iterator[Problem]:
    """Tell what the chosen engine cannot do."""
    yield from _without_pymodbus(settings) if settings.engine == "bifrost" else _with_pymodbus(settings)
    if settings.transport == "tls":
        if settings.key_file is not None and settings.cert_file is None:
            yield Problem(("key_file",), "a key needs its certificate: give cert_file")
        return
    given = {key: getattr(settings, key) for key in ("ca_file", "cert_file", "key_file", "verify")}
    for key, value in given.items():
        if value not in {None, "full"}:
            yield Problem((key,), f"{key} is for transport = 'tls', got transport {settings.transport}")


def _without_pymodbus(settings: ModbusSettings) -> Iterator[Problem]:
    if settings.transport != "tcp":
        yield Problem(("transport",), f"transport {settings.transport} needs engine = 'pymodbus'")
    if settings.framer == "rtu":
        yield Problem(("framer",), "for RTU frames in TCP write protocol = 'modbus-rtu-over-tcp'")
    elif settings.framer != "socket":
        yield Problem(("framer",), f"framer {settings.framer} needs engine = 'pymodbus'")


def _with_pymodbus(settings: ModbusSettings) -> Iterator[Problem]:
    if settings.max_in_flight != 1:
        text = f"pymodbus sends one request at a time, got max_in_flight={settings.max_in_flight}"
        yield Problem(("max_in_flight",), text)
    if not settings.strict_tid:
        yield Problem(("strict_tid",), "pymodbus checks transaction ids; strict_tid=false needs engine = 'bifrost'")
    if settings.transport == "tls" and settings.framer != "socket":
        yield Problem(("framer",), f"in TLS there is only framer socket, got {settings.framer}")
