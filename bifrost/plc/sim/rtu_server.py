"""A simulated device on a serial line: request frames in, answers (or what a fault plan makes of them) out.

Serves any client of Modbus RTU on a port, or on a pseudo-terminal made by `open_pty_pair`. Not here: what a request
means (`device`), the registers (`bank`). Obeys: MODBUS over Serial Line V1.02.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping
from typing import Literal

from bifrost.errors import LinkTimeout
from bifrost.plc.modbus.serial_port import SerialLine, open_serial_port
from bifrost.plc.modbus.serial_transport import SerialTransport
from bifrost.plc.sim.bank import RegisterBank
from bifrost.plc.sim.device import ModbusDevice
from bifrost.plc.sim.faults import FaultPlan
from bifrost.plc.sim.framing import Framing
from bifrost.plc.sim.session import Session
from bifrost.plc.sim.simulated_device import SwitchedDevice

__all__ = ["ModbusRtuServer"]


class ModbusRtuServer(ModbusDevice, SwitchedDevice):
    """A device, or several on one bus, that serves Modbus RTU.

    Use it as ``async with``, or call `start` and `stop`.

    Args:
        banks: one bank that answers for every unit id, or a bank for each unit id; nobody answers for others. A write
            to unit 0 acts on every bank, and is not answered.
        port: name of a serial port, such as ``/dev/ttyUSB0``, which needs pyserial; or a descriptor that is open and
            set up already, such as that of `open_pty_pair`. A descriptor stays its owner's: it is not closed here.
        baudrate: bits per second; a descriptor keeps what it has.
        parity: N, E or O.
        stopbits: 1 or 2; None: what the standard wants, 2 without parity.
        faults: what goes wrong; None means nothing. May be replaced at any time through the attribute.
        identification: objects of function 43/14 by number; None refuses the function.

    Raises:
        ConfigError: no bank, or a unit id outside 0..255.
    """

    def __init__(
        self,
        banks: RegisterBank | Mapping[int, RegisterBank],
        port: str | int,
        *,
        baudrate: int = 19200,
        parity: Literal["N", "E", "O"] = "E",
        stopbits: Literal[1, 2] | None = None,
        faults: FaultPlan | None = None,
        identification: Mapping[int, str | bytes] | None = None,
    ) -> None:
        super().__init__(banks, framing=Framing.RTU, faults=faults, identification=identification)
        self._port = port
        self._format = (baudrate, parity, stopbits or (2 if parity == "N" else 1))
        self._transport: asyncio.Transport | None = None

    async def start(self) -> None:
        """Listen to the line. Does nothing if it listens already.

        Raises:
            NotConnected: the port is not there, or is in use.
            MissingExtra: a port is given by name, and pyserial is not installed.
        """
        if self._transport is not None and not self._transport.is_closing():
            return
        session = Session(self, self.framing)
        if isinstance(self._port, int):
            # A copy: closing it ends this server's hold on the line, and nobody else's.
            copy = os.dup(self._port)
            self._transport = SerialTransport(
                asyncio.get_running_loop(), copy, session, close=lambda: os.close(copy), name=f"descriptor {self._port}"
            )
        else:
            baudrate, parity, stopbits = self._format
            line = SerialLine(self._port, baudrate, 8, parity, stopbits)
            self._transport = open_serial_port(line, session)

    async def stop(self, *, timeout: float = 1.0) -> None:
        """Leave the line; requests are answered no more. Idempotent.

        Raises:
            LinkTimeout: the line was still held at the deadline.
        """
        transport, self._transport = self._transport, None
        if transport is None:
            return
        transport.abort()
        try:
            async with asyncio.timeout(timeout):
                await self._idle.wait()
        except TimeoutError as exc:
            raise LinkTimeout(f"the line was still held after {timeout:g} s") from exc
