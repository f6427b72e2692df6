"""pymodbus's servers, each for the length of a block: partners written by others."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from pymodbus.framer import FramerType
from pymodbus.server import ModbusSerialServer, ModbusTcpServer, ModbusTlsServer, ModbusUdpServer
from pymodbus.simulator import DataType as SimType
from pymodbus.simulator import SimData, SimDevice

__all__ = ["pymodbus_devices", "serve_serial", "serve_tcp", "serve_tls", "serve_udp"]


def pymodbus_devices(*units: int) -> list[SimDevice]:
    """Units with a hundred registers that hold 7, and 64 coils that are on."""
    registers = SimData(0, count=100, values=7, datatype=SimType.REGISTERS)
    bits = SimData(0, count=4, values=[True] * 16, datatype=SimType.BITS)
    return [SimDevice(unit, simdata=([bits], [bits], [registers], [registers])) for unit in units or (1,)]


@asynccontextmanager
async def serve_serial(path: str, *units: int, framer: FramerType = FramerType.RTU) -> AsyncIterator[Any]:
    """Modbus RTU or ASCII on a serial line."""
    server = ModbusSerialServer(pymodbus_devices(*units), framer=framer, port=path, baudrate=115_200)
    async with _listening(server):
        yield server


@asynccontextmanager
async def serve_tcp(*units: int, framer: FramerType = FramerType.SOCKET) -> AsyncIterator[int]:
    """Modbus, RTU or ASCII in TCP; gives the port."""
    server = ModbusTcpServer(pymodbus_devices(*units), framer=framer, address=("127.0.0.1", 0))
    async with _listening(server) as listener:
        yield listener.sockets[0].getsockname()[1]


@asynccontextmanager
async def serve_udp(*units: int, framer: FramerType = FramerType.SOCKET) -> AsyncIterator[int]:
    """Modbus in UDP; gives the port."""
    server = ModbusUdpServer(pymodbus_devices(*units), framer=framer, address=("127.0.0.1", 0))
    async with _listening(server) as listener:
        yield listener.get_extra_info("sockname")[1]


@asynccontextmanager
async def serve_tls(*units: int, sslctx: object) -> AsyncIterator[int]:
    """Modbus/TCP Security; gives the port."""
    server = ModbusTlsServer(pymodbus_devices(*units), address=("127.0.0.1", 0), sslctx=sslctx)
    async with _listening(server) as listener:
        yield listener.sockets[0].getsockname()[1]


@asynccontextmanager
async def _listening(server: Any) -> AsyncIterator[Any]:
    assert await server.listen()
    try:
        yield server.transport
    finally:
        await server.shutdown()
