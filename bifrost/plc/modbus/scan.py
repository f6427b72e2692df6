"""Which units answer behind one Modbus TCP address: asked one after the other, slowly, and never written to.

In: a host, and unit ids. Out: one `FoundDevice` for each unit that is there. Only for networks that are one's own: a
scan is traffic that a device did not expect. Obeys: V1.1b3 sections 6.3, 6.21 and 7.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import aclosing

from bifrost._native import modbus_decode_answer, modbus_frame, modbus_read_request
from bifrost.errors import ConfigError, LinkTimeout, ModbusFault, NotConnected, ProtocolError
from bifrost.plc.drivers.base import FoundDevice
from bifrost.plc.modbus.exchanging import Tally, unheard
from bifrost.plc.modbus.identification import DeviceIdentification, identify
from bifrost.plc.modbus.link import ModbusLink
from bifrost.plc.modbus.opening import open_tcp
from bifrost.plc.modbus.scan_target import (
    ABSENT_CODES,
    ALL_UNITS,
    IDENTIFICATION_TIMEOUT,
    checked_units,
    endpoint_text,
    found_unit,
    host_and_port,
)
from bifrost.plc.modbus.units import UnitHealth

__all__ = ["scan_units"]


async def scan_units(
    target: str,
    *,
    units: Iterable[int] = ALL_UNITS,
    timeout: float = 0.5,
    rate: float = 10.0,
    port: int = 502,
    connect_timeout: float = 3.0,
) -> AsyncIterator[FoundDevice]:
    """Ask each unit for one holding register, and those that answer for their identification; never writes.

    A unit is there if it answers anything but the exceptions 10 and 11, with which gateways speak for units that do
    not; one that is silent is not. One request is on the wire at a time, on a link of its own.

    Args:
        target: host name or address, also as ``host:port``.
        units: unit ids to ask, 1 to 255; default 1 to 247, all that the standard has for a bus.
        timeout: seconds for each answer, 0.01 to 60; default 0.5. One that is there has at least a second to say what
            it is.
        rate: requests in a second at most, 0.1 to 1000; default 10.
        port: for a target that names none; default 502.
        connect_timeout: seconds for the link to come up, 0.01 to 60; default 3.

    Raises:
        ConfigError: an argument is out of range.
        LinkError: the target is not reachable, or was not any more in the middle.
    """
    host, port = host_and_port(target, port)
    wanted = checked_units(units, 255)
    for name, value, low, high in (
        ("timeout", timeout, 0.01, 60),
        ("rate", rate, 0.1, 1000),
        ("connect_timeout", connect_timeout, 0.01, 60),
    ):
        if not low <= value <= high:
            raise ConfigError(f"expected {name} from {low:g} to {high:g}, got {value:g}")
    scanner = _Scanner(host, port, timeout=timeout, gap=1.0 / rate, connect_timeout=connect_timeout)
    async with aclosing(scanner):
        await scanner.connect()
        for unit in wanted:
            if await scanner.is_there(unit):
                yield scanner.describe(unit, await scanner.identification(unit))


class _Scanner:
    """One link after the other to one host: some devices hang up when they are asked for a unit they do not have."""

    def __init__(self, host: str, port: int, *, timeout: float, gap: float, connect_timeout: float) -> None:
        self._host = host
        self._port = port
        self._timeout = timeout
        self._gap = gap
        self._connect_timeout = connect_timeout
        self._link: ModbusLink | None = None
        self._not_before = 0.0
        self._tally = Tally()

    async def connect(self) -> ModbusLink:
        """Have a link."""
        link = self._link
        if link is not None and link.connected:
            return link
        await self.aclose()
        link = ModbusLink(asyncio.get_running_loop(), unheard, UnitHealth(probe_interval=1.0), unit_policy="strict")
        await open_tcp(lambda: link, self._host, self._port, timeout=self._connect_timeout)
        self._link = link
        return link

    async def is_there(self, unit: int) -> bool:
        """Ask for one register."""
        request = modbus_read_request(3, 0, 1)
        try:
            modbus_decode_answer(request, await self._ask(unit, request, self._timeout))
        except ModbusFault as fault:
            return fault.code not in ABSENT_CODES
        except ProtocolError:
            # Something answered, if badly; but bytes that end the link may come from anything.
            return self._link is not None and self._link.connected
        except (LinkTimeout, NotConnected):
            if self._link is None:  # there was no link to ask on
                raise
            return False
        return True

    async def identification(self, unit: int) -> DeviceIdentification | None:
        """Ask what it is; None if it does not say."""

        async def ask(request: bytes) -> bytes:
            return await self._ask(unit, request, max(self._timeout, IDENTIFICATION_TIMEOUT))

        try:
            return await identify(ask)
        except (ModbusFault, ProtocolError):
            return None
        except (LinkTimeout, NotConnected):
            if self._link is None:
                raise
            # It may still be busy with a function that it does not know, and throw away what comes meanwhile.
            await self.aclose()
            return None

    def describe(self, unit: int, said: DeviceIdentification | None) -> FoundDevice:
        """Make what the caller gets."""
        endpoint = endpoint_text(self._host, self._port)
        return found_unit("modbus-tcp", endpoint, f"modbus-tcp://{endpoint}?unit={unit}", unit, said)

    async def aclose(self) -> None:
        """End the link."""
        link, self._link = self._link, None
        if link is not None:
            await link.aclose()

    async def _ask(self, unit: int, request: bytes, timeout: float) -> bytes:
        loop = asyncio.get_running_loop()
        if (wait := self._not_before - loop.time()) > 0.0:
            await asyncio.sleep(wait)
        self._not_before = loop.time() + self._gap
        link = await self.connect()
        return await link.exchange(lambda tid: modbus_frame(tid, unit, request), unit, timeout, self._tally)
