"""Which units answer on a bus: asked one after the other, and never written to.

In: a serial port, or a converter, and unit ids. Out: one `FoundDevice` for each unit that is there. Obeys: V1.1b3
sections 6.3, 6.21 and 7; MODBUS over Serial Line V1.02 section 2.2.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from typing import Literal
from urllib.parse import parse_qsl, urlencode, urlsplit

from bifrost._native import modbus_decode_answer, modbus_frame, modbus_read_request
from bifrost.core.clock import SystemClock
from bifrost.errors import ConfigError, LinkTimeout, ModbusFault, ProtocolError
from bifrost.plc.drivers.base import FoundDevice
from bifrost.plc.modbus.exchanging import Link, Tally
from bifrost.plc.modbus.identification import DeviceIdentification, identify
from bifrost.plc.modbus.rtu_driver import ModbusRtuDriver, ModbusRtuOverTcpDriver
from bifrost.plc.modbus.rtu_settings import ModbusRtuOverTcpSettings, ModbusRtuSettings
from bifrost.plc.settings import refuse_problems, settings_from_options

__all__ = ["scan_bus_in_tcp", "scan_line"]

_ALL_UNITS = range(1, 248)
_ABSENT_CODES = frozenset({10, 11})
_IDENTIFICATION_TIMEOUT = 1.0
_DEFAULT_PORT = 502


async def scan_line(
    target: str,
    *,
    units: Iterable[int] = _ALL_UNITS,
    timeout: float = 0.3,
    baudrate: int = 19200,
    parity: Literal["N", "E", "O"] = "E",
    stopbits: Literal[1, 2] | None = None,
    local_echo: bool = False,
) -> AsyncIterator[FoundDevice]:
    """Ask each unit on a serial line for one holding register, and those that answer for their identification.

    Args:
        target: the port, such as ``/dev/ttyUSB0``, also with options as in a URL, ``/dev/ttyUSB0?baudrate=9600``;
            nobody else may have it open.
        units: unit ids to ask, 1 to 247.
        timeout: seconds for each answer, 0.01 to 60. One that is there has at least a second to say what it is.
        baudrate: as in `ModbusRtuSettings`; devices with another one stay silent.
        parity: as in `ModbusRtuSettings`.
        stopbits: as in `ModbusRtuSettings`.
        local_echo: as in `ModbusRtuSettings`.

    Raises:
        ConfigError: an argument is out of range.
        LinkError: the port is not there or in use, or vanished in the middle.
    """
    port, _, query = target.partition("?")
    line: dict[str, object] = {"baudrate": baudrate, "parity": parity, "stopbits": stopbits, "local_echo": local_echo}
    line |= dict(parse_qsl(query))
    # Each unit is asked once, so that no late answer can be taken for another.
    options = {"serial_port": port, "timeout": timeout, "quiet_after_timeout": 0.0, **line}
    settings = settings_from_options(ModbusRtuSettings, "modbus-rtu", options, lax=True)
    assert isinstance(settings, ModbusRtuSettings)
    said_of_line = {name: value for name, value in line.items() if value not in {None, False}}
    url = f"modbus-rtu://{port}" if port.startswith("/") else f"modbus-rtu:///{port}"
    wanted = _checked(units)
    link = await ModbusRtuDriver(settings, SystemClock()).open_link_alone(timeout=settings.connect_timeout)
    try:
        async for unit, said in _present(link, wanted, timeout):
            yield _found("modbus-rtu", port, f"{url}?{urlencode({'unit': unit, **said_of_line})}", unit, said)
    finally:
        await link.aclose()


async def scan_bus_in_tcp(
    target: str, *, units: Iterable[int] = _ALL_UNITS, timeout: float = 0.5, port: int = _DEFAULT_PORT
) -> AsyncIterator[FoundDevice]:
    """Do the same behind a converter that passes RTU on.

    Args:
        target: host name or address, also as ``host:port``.
        units: unit ids to ask, 1 to 247.
        timeout: seconds for each answer, 0.01 to 60.
        port: for a target that names none.

    Raises:
        ConfigError: an argument is out of range.
        LinkError: the converter cannot be reached, or hung up in the middle.
    """
    host, port = _address(target, port)
    settings = ModbusRtuOverTcpSettings(host=host, port=port, timeout=timeout, quiet_after_timeout=0.0)
    refuse_problems(settings)
    wanted = _checked(units)
    link = await ModbusRtuOverTcpDriver(settings, SystemClock()).open_link_alone(timeout=settings.connect_timeout)
    endpoint = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    try:
        async for unit, said in _present(link, wanted, timeout):
            url = f"modbus-rtu-over-tcp://{endpoint}?unit={unit}"
            yield _found("modbus-rtu-over-tcp", endpoint, url, unit, said)
    finally:
        await link.aclose()


async def _present(
    link: Link, units: Iterable[int], timeout: float
) -> AsyncIterator[tuple[int, DeviceIdentification | None]]:
    tally = Tally()
    for unit in units:

        async def ask(request: bytes, unit: int = unit, patience: float = timeout) -> bytes:
            return await link.exchange(lambda tid: modbus_frame(tid, unit, request), unit, patience, tally)

        async def ask_patiently(request: bytes, unit: int = unit) -> bytes:
            return await ask(request, unit, max(timeout, _IDENTIFICATION_TIMEOUT))

        request = modbus_read_request(3, 0, 1)
        try:
            modbus_decode_answer(request, await ask(request))
        except ModbusFault as fault:
            if fault.code in _ABSENT_CODES:
                continue
        except ProtocolError:
            pass  # something answers to this number, if badly
        except LinkTimeout:
            continue
        try:
            yield unit, await identify(ask_patiently)
        except (LinkTimeout, ModbusFault, ProtocolError):
            yield unit, None


def _found(protocol: str, endpoint: str, url: str, unit: int, said: DeviceIdentification | None) -> FoundDevice:
    return FoundDevice(
        protocol=protocol,
        endpoint=endpoint,
        url=url,
        name="" if said is None else said.name,
        vendor="" if said is None else said.vendor,
        description="" if said is None else said.revision,
        unit_id=unit,
    )


def _checked(units: Iterable[int]) -> list[int]:
    wanted = list(dict.fromkeys(units))
    for unit in wanted:
        if not 1 <= unit <= 247:
            raise ConfigError(f"expected unit ids from 1 to 247, got {unit}; 0 is the broadcast, which nobody answers")
    return wanted


def _address(target: str, port: int) -> tuple[str, int]:
    try:
        parts = urlsplit(target if "//" in target else f"//{target}")
        named = parts.port
    except ValueError:
        raise ConfigError(f"expected a host, or host:port with a port of 1 to 65535, got {target!r}") from None
    return parts.hostname or "", port if named is None else named
