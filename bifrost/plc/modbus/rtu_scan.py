"""Which units answer on a bus: asked one after the other, and never written to.

In: a serial port, or a converter, and unit ids. Out: one `FoundDevice` for each unit that is there. Obeys: V1.1b3
sections 6.3, 6.21 and 7; MODBUS over Serial Line V1.02 section 2.2.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from typing import Literal
from urllib.parse import parse_qsl, urlencode

from bifrost._native import modbus_decode_answer, modbus_frame, modbus_read_request
from bifrost.core.clock import SystemClock
from bifrost.errors import LinkTimeout, ModbusFault, ProtocolError
from bifrost.plc.drivers.base import FoundDevice
from bifrost.plc.modbus.exchanging import Link, Tally
from bifrost.plc.modbus.identification import DeviceIdentification, identify
from bifrost.plc.modbus.rtu_driver import ModbusRtuDriver, ModbusRtuOverTcpDriver
from bifrost.plc.modbus.rtu_settings import ModbusRtuOverTcpSettings, ModbusRtuSettings
from bifrost.plc.modbus.scan_target import (
    ABSENT_CODES,
    ALL_UNITS,
    IDENTIFICATION_TIMEOUT,
    checked_units,
    endpoint_text,
    found_unit,
    host_and_port,
)
from bifrost.plc.settings import refuse_problems, settings_from_options

__all__ = ["scan_bus_in_tcp", "scan_line"]

_DEFAULT_PORT = 502


async def scan_line(
    target: str,
    *,
    units: Iterable[int] = ALL_UNITS,
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
    wanted = checked_units(units, ALL_UNITS[-1])
    link = await ModbusRtuDriver(settings, SystemClock()).open_link_alone(timeout=settings.connect_timeout)
    try:
        async for unit, said in _present(link, wanted, timeout):
            yield found_unit("modbus-rtu", port, f"{url}?{urlencode({'unit': unit, **said_of_line})}", unit, said)
    finally:
        await link.aclose()


async def scan_bus_in_tcp(
    target: str, *, units: Iterable[int] = ALL_UNITS, timeout: float = 0.5, port: int = _DEFAULT_PORT
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
    host, port = host_and_port(target, port)
    settings = ModbusRtuOverTcpSettings(host=host, port=port, timeout=timeout, quiet_after_timeout=0.0)
    refuse_problems(settings)
    wanted = checked_units(units, ALL_UNITS[-1])
    link = await ModbusRtuOverTcpDriver(settings, SystemClock()).open_link_alone(timeout=settings.connect_timeout)
    endpoint = endpoint_text(host, port)
    try:
        async for unit, said in _present(link, wanted, timeout):
            url = f"modbus-rtu-over-tcp://{endpoint}?unit={unit}"
            yield found_unit("modbus-rtu-over-tcp", endpoint, url, unit, said)
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
            return await ask(request, unit, max(timeout, IDENTIFICATION_TIMEOUT))

        request = modbus_read_request(3, 0, 1)
        try:
            modbus_decode_answer(request, await ask(request))
        except ModbusFault as fault:
            if fault.code in ABSENT_CODES:
                continue
        except ProtocolError:
            pass  # something answers to this number, if badly
        except LinkTimeout:
            continue
        try:
            yield unit, await identify(ask_patiently)
        except (LinkTimeout, ModbusFault, ProtocolError):
            yield unit, None
