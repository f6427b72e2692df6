"""Modbus RTU: opens the links that `ModbusDriver` rides on, on a serial line and in TCP.

In: a port or an address. Out: a link. Obeys: MODBUS over Serial Line V1.02.
"""

from __future__ import annotations

import asyncio
from collections.abc import Hashable

from bifrost.core.clock import Clock
from bifrost.plc.modbus.driver import ModbusDriver
from bifrost.plc.modbus.exchanging import Link, OnLost, unheard
from bifrost.plc.modbus.opening import let_rest, open_tcp
from bifrost.plc.modbus.rtu_link import RtuLink
from bifrost.plc.modbus.rtu_settings import ModbusRtuOverTcpSettings, ModbusRtuSettings
from bifrost.plc.modbus.serial_port import open_serial_port
from bifrost.plc.modbus.units import UnitHealth

__all__ = ["ModbusRtuDriver", "ModbusRtuOverTcpDriver"]


class _BusDriver(ModbusDriver):
    async def open_link_alone(self, *, timeout: float) -> Link:
        """Open a link that nobody shares, without anything above it: for searches.

        Raises:
            LinkError: not reachable within `timeout` seconds.
        """
        return await self._open_link(unheard, UnitHealth(probe_interval=1.0), timeout=timeout)


class ModbusRtuDriver(_BusDriver):
    """One user of one serial line; see `bifrost.plc.drivers.base.Driver` for the contract."""

    def __init__(self, settings: ModbusRtuSettings, clock: Clock) -> None:
        super().__init__(settings, clock)
        self._rtu = settings

    def _place(self) -> Hashable:
        return "serial", self._rtu.place

    async def _open_link(self, on_lost: OnLost, health: UnitHealth, *, timeout: float) -> Link:
        settings = self._rtu
        if settings.engine == "pymodbus":
            from bifrost.plc.modbus.pymodbus_link import open_pymodbus_serial

            return await open_pymodbus_serial(settings, on_lost, health, timeout=timeout)
        link = RtuLink(
            asyncio.get_running_loop(), on_lost, health, timing=settings.timing, local_echo=settings.local_echo
        )
        open_serial_port(settings.line, link)
        await let_rest(link, settings.line.port, settings.connect_delay)
        return link


class ModbusRtuOverTcpDriver(_BusDriver):
    """One user of one RTU link in TCP; see `bifrost.plc.drivers.base.Driver` for the contract."""

    def __init__(self, settings: ModbusRtuOverTcpSettings, clock: Clock) -> None:
        super().__init__(settings, clock)
        self._rtu = settings

    def _place(self) -> Hashable:
        return "tcp", self._rtu.host.lower(), self._rtu.port

    async def _open_link(self, on_lost: OnLost, health: UnitHealth, *, timeout: float) -> Link:
        loop = asyncio.get_running_loop()
        settings = self._rtu
        host, port = settings.host, settings.port

        def link() -> RtuLink:
            return RtuLink(loop, on_lost, health, timing=settings.timing, local_echo=settings.local_echo)

        opened = await open_tcp(link, host, port, timeout=timeout)
        await let_rest(opened, f"{host} port {port}", settings.connect_delay)
        return opened
