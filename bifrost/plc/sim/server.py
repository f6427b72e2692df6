"""A simulated device on a real TCP port: request frames in, answers (or what a fault plan makes of them) out.

Serves any Modbus TCP client: functions 1 to 6, 15 and 16. Not here: the registers (`bank`), the faults (`faults`).

Obeys: MODBUS Messaging on TCP/IP V1.0b; V1.1b3 sections 6 and 7.
"""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Mapping
from types import TracebackType
from typing import Self

from bifrost._native import (
    modbus_decode_request,
    modbus_encode_bits,
    modbus_encode_exception,
    modbus_encode_registers,
    modbus_encode_write,
)
from bifrost.errors import ConfigError, LinkTimeout, ModbusFault
from bifrost.plc.modbus.address import Area
from bifrost.plc.sim.bank import RegisterBank
from bifrost.plc.sim.faults import FaultPlan, Injection
from bifrost.plc.sim.session import Session

__all__ = ["ModbusTcpServer", "ServerCounters"]

_READS = {area.function: area for area in Area}
_WRITES = {5: Area.COIL, 6: Area.HOLDING, 15: Area.COIL, 16: Area.HOLDING}
_NO_SUCH_UNIT = 11


@dataclasses.dataclass(slots=True)
class ServerCounters:
    """What a server has seen since it was made.

    Attributes:
        connections: connections accepted, those turned away included.
        turned_away: connections closed at once because `max_clients` were there.
        requests: request frames.
        exceptions: requests answered with an exception.
        injected: requests that met a fault.
        broken: connections ended because the client's bytes were no Modbus TCP.
    """

    connections: int = 0
    turned_away: int = 0
    requests: int = 0
    exceptions: int = 0
    injected: int = 0
    broken: int = 0


class ModbusTcpServer:
    """A device, or several behind one gateway address, that serves Modbus TCP.

    Use it as ``async with``, or call `start` and `stop`; a stopped server can be started again and keeps its port.

    Args:
        banks: one bank that answers for every unit id, or a bank for each unit id; other ids get exception 11.
        host: address to listen on.
        port: TCP port; 0 lets the system choose, `port` then tells.
        faults: what goes wrong; None means nothing. May be replaced at any time through the attribute.
        max_clients: connections served at the same time; further ones are accepted and closed at once. None: no limit.

    Raises:
        ConfigError: no bank, or a unit id outside 0..255.
    """

    def __init__(
        self,
        banks: RegisterBank | Mapping[int, RegisterBank],
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        faults: FaultPlan | None = None,
        max_clients: int | None = None,
    ) -> None:
        units = dict(banks) if isinstance(banks, Mapping) else {}
        if isinstance(banks, Mapping) and not units:
            raise ConfigError("banks: expected at least one unit, got none")
        if wrong := [unit for unit in units if not 0 <= unit <= 255]:
            raise ConfigError(f"banks: expected unit ids 0..255, got {wrong[0]}")
        self._units = units
        self._any_unit = None if isinstance(banks, Mapping) else banks
        self._server: asyncio.Server | None = None
        self._sessions: set[Session] = set()
        self._idle = asyncio.Event()
        self._idle.set()
        self._max_clients = max_clients
        self.host = host
        self.port = port
        self.faults = faults
        self.counters = ServerCounters()

    async def start(self) -> None:
        """Listen. Does nothing if it listens already.

        Raises:
            OSError: the port is taken or may not be used.
        """
        if self._server is not None:
            return
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: Session(self), self.host, self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self, *, reset: bool = False, timeout: float = 1.0) -> None:
        """Stop listening and end every connection, as a device does that is switched off. Idempotent.

        Args:
            reset: end the connections by RST instead of FIN.
            timeout: seconds until the connections must be gone.

        Raises:
            LinkTimeout: a connection was still open at the deadline.
        """
        server, self._server = self._server, None
        if server is None:
            return
        server.close()
        self.drop_clients(reset=reset)
        try:
            async with asyncio.timeout(timeout):
                await self._idle.wait()
                await server.wait_closed()
        except TimeoutError as exc:
            raise LinkTimeout(f"{len(self._sessions)} connections still open after {timeout:g} s") from exc

    def drop_clients(self, *, reset: bool = True) -> None:
        """End every connection at once, by RST or by FIN, and go on listening."""
        for session in list(self._sessions):
            session.drop(reset=reset)

    @property
    def clients(self) -> int:
        """Connections that are open now."""
        return len(self._sessions)

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.stop()

    def opened(self, session: Session) -> bool:
        """Take a new connection, or say no."""
        self.counters.connections += 1
        self._sessions.add(session)
        self._idle.clear()
        if self._max_clients is not None and len(self._sessions) > self._max_clients:
            self.counters.turned_away += 1
            return False
        return True

    def closed(self, session: Session) -> None:
        """Forget a connection that ended."""
        self._sessions.discard(session)
        if not self._sessions:
            self._idle.set()

    def broke(self) -> None:
        """Count a connection whose bytes were no Modbus TCP."""
        self.counters.broken += 1

    def next_injection(self) -> Injection | None:
        """Count a request and take the fault that it meets."""
        self.counters.requests += 1
        injection = None if self.faults is None else self.faults.next_injection()
        self.counters.injected += injection is not None
        return injection

    def serve(self, unit: int, pdu: bytes) -> bytes:
        """Act on a request and return the PDU of the answer."""
        bank = self._units.get(unit, self._any_unit)
        if bank is None:
            return self.refuse(pdu, _NO_SUCH_UNIT)
        try:
            request = modbus_decode_request(pdu)
            function, address = request.function, request.address
            if request.is_write:
                bank.write(_WRITES[function], address, [int(value) for value in request.values])
                return modbus_encode_write(request)
            values = bank.read(_READS[function], address, request.quantity)
        except ModbusFault as fault:
            return self.refuse(pdu, fault.code)
        if function <= 2:
            return modbus_encode_bits(function, [value != 0 for value in values])
        return modbus_encode_registers(function, values)

    def refuse(self, pdu: bytes, code: int) -> bytes:
        """Return the PDU of an exception answer."""
        self.counters.exceptions += 1
        return modbus_encode_exception(pdu[0], code)
