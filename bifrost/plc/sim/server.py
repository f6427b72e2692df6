"""A simulated device on a real TCP port: request frames in, answers (or what a fault plan makes of them) out.

Serves any client of Modbus TCP, or of RTU over TCP. Not here: what a request means (`device`), the registers (`bank`).

Obeys: MODBUS Messaging on TCP/IP V1.0b.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Literal

from bifrost.errors import ConfigError
from bifrost.plc.sim.bank import RegisterBank
from bifrost.plc.sim.device import ModbusDevice, ServerCounters
from bifrost.plc.sim.faults import FaultPlan
from bifrost.plc.sim.framing import Framing
from bifrost.plc.sim.session import Session
from bifrost.plc.sim.simulated_device import TcpDevice

__all__ = ["ModbusTcpServer", "ServerCounters"]

_FRAMINGS = {"mbap": Framing.TCP, "rtu": Framing.RTU_OVER_TCP}


class ModbusTcpServer(ModbusDevice, TcpDevice):
    """A device, or several behind one gateway address, that serves Modbus TCP, or RTU over TCP.

    Use it as ``async with``, or call `start` and `stop`; a stopped server can be started again and keeps its port.

    Args:
        banks: one bank that answers for every unit id, or a bank for each unit id. For other ids Modbus TCP answers
            with exception 11; in RTU nobody answers.
        host: address to listen on.
        port: TCP port; 0 lets the system choose, `port` then tells.
        framing: ``mbap`` is Modbus TCP; ``rtu`` sends unit id and CRC instead of the header, as serial servers do.
        faults: what goes wrong; None means nothing. May be replaced at any time through the attribute.
        identification: objects of function 43/14 by number, such as ``{0: "Acme", 1: "P-100", 2: "1.4"}``; None refuses
            the function.
        broadcast: a write to unit 0 acts on every bank and is not answered. None: in RTU only.
        max_clients: connections served at the same time. None: no limit.
        when_full: what happens to further ones: accepted and closed at once, or accepted and never answered.

    Raises:
        ConfigError: no bank, a unit id outside 0..255, or an unknown framing.
    """

    def __init__(
        self,
        banks: RegisterBank | Mapping[int, RegisterBank],
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        framing: Literal["mbap", "rtu"] = "mbap",
        faults: FaultPlan | None = None,
        identification: Mapping[int, str | bytes] | None = None,
        broadcast: bool | None = None,
        max_clients: int | None = None,
        when_full: Literal["close", "silence"] = "close",
    ) -> None:
        if framing not in _FRAMINGS:
            raise ConfigError(f"framing: expected mbap or rtu, got {framing!r}")
        super().__init__(
            banks,
            framing=_FRAMINGS[framing],
            faults=faults,
            identification=identification,
            broadcast=broadcast,
            max_clients=max_clients,
            silent_when_full=when_full == "silence",
        )
        self.host = host
        self.port = port

    async def _listen(self) -> asyncio.Server:
        return await asyncio.get_running_loop().create_server(lambda: Session(self, self.framing), self.host, self.port)
