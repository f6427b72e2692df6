"""Modbus TCP: opens the link that `ModbusDriver` rides on.

In: host and port. Out: a link. Obeys: MODBUS Messaging on TCP/IP V1.0b, section 4.2.
"""

from __future__ import annotations

import asyncio
from collections.abc import Hashable

from bifrost.core.clock import Clock
from bifrost.plc.drivers.base import Capabilities
from bifrost.plc.modbus.driver import ModbusDriver
from bifrost.plc.modbus.exchanging import Link, OnLost
from bifrost.plc.modbus.lax_link import LaxModbusLink
from bifrost.plc.modbus.link import ModbusLink
from bifrost.plc.modbus.opening import let_rest, open_tcp
from bifrost.plc.modbus.pipelined_link import PipelinedLink
from bifrost.plc.modbus.settings import ModbusSettings
from bifrost.plc.modbus.tcp_link import TcpLink
from bifrost.plc.modbus.units import UnitHealth

__all__ = ["ModbusTcpDriver"]


class ModbusTcpDriver(ModbusDriver):
    """One user of one Modbus TCP link; see `bifrost.plc.drivers.base.Driver` for the contract."""

    capabilities = Capabilities(merge_writes=True, max_in_flight=16, max_read_words=125, max_read_bits=2000)

    def __init__(self, settings: ModbusSettings, clock: Clock) -> None:
        super().__init__(settings, clock)
        self._tcp = settings
        self._one_by_one = settings.max_in_flight == 1

    def _place(self) -> Hashable:
        return "udp" if self._tcp.transport == "udp" else "tcp", self._tcp.host.lower(), self._tcp.port

    async def _open_link(self, on_lost: OnLost, health: UnitHealth, *, timeout: float) -> Link:
        host, port = self._tcp.host, self._tcp.port
        if self._tcp.engine == "pymodbus":
            from bifrost.plc.modbus.pymodbus_link import open_pymodbus_network

            return await open_pymodbus_network(self._tcp, on_lost, health, timeout=timeout)
        loop = asyncio.get_running_loop()
        link = await open_tcp(lambda: self._make_link(loop, on_lost, health), host, port, timeout=timeout)
        await let_rest(link, f"{host} port {port}", self._tcp.connect_delay)
        return link

    def _make_link(self, loop: asyncio.AbstractEventLoop, on_lost: OnLost, health: UnitHealth) -> TcpLink:
        settings = self._tcp
        policy = settings.unit_policy
        if settings.max_in_flight > 1:
            return PipelinedLink(loop, on_lost, health, max_in_flight=settings.max_in_flight, unit_policy=policy)
        kind = ModbusLink if settings.strict_tid else LaxModbusLink
        return kind(loop, on_lost, health, unit_policy=policy, quiet=settings.inter_request_delay)
