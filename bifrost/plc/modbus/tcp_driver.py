"""Modbus TCP: opens the link that `ModbusDriver` rides on.

In: host and port. Out: a link. Obeys: MODBUS Messaging on TCP/IP V1.0b, section 4.2.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from bifrost.core.clock import Clock
from bifrost.errors import BifrostError, LinkTimeout, NotConnected
from bifrost.plc.modbus.driver import ModbusDriver
from bifrost.plc.modbus.exchanging import Lease
from bifrost.plc.modbus.link import ModbusLink
from bifrost.plc.modbus.settings import ModbusSettings
from bifrost.plc.modbus.units import UnitHealth

__all__ = ["ModbusTcpDriver"]


class ModbusTcpDriver(ModbusDriver):
    """One user of one Modbus TCP link; see `bifrost.plc.drivers.base.Driver` for the contract."""

    def __init__(self, settings: ModbusSettings, clock: Clock) -> None:
        super().__init__(settings, clock)
        self._host = settings.host
        self._port = settings.port

    async def _open(self, *, timeout: float, on_lost: Callable[[BifrostError], None]) -> Lease:
        loop = asyncio.get_running_loop()
        host, port = self._host, self._port
        health = UnitHealth(probe_interval=self._settings.probe_interval)
        try:
            async with asyncio.timeout(timeout):
                _, link = await loop.create_connection(lambda: ModbusLink(loop, on_lost, health), host, port)
        except TimeoutError:
            raise LinkTimeout(f"no link to {host} port {port} within {timeout} s") from None
        except OSError as error:
            raise NotConnected(f"cannot connect to {host} port {port}: {error.strerror or error}") from error
        return Lease(link)
