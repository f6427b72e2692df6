"""A simulated device on a real TCP port: request frames in, answers (or what a fault plan makes of them) out.

Serves any Modbus TCP client: functions 1 to 6, 15 and 16. Not here: the registers (`bank`), the faults (`faults`).

Obeys: MODBUS Messaging on TCP/IP V1.0b; V1.1b3 sections 6 and 7.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import socket
import struct
import sys
from collections import deque
from collections.abc import Mapping
from types import TracebackType
from typing import Self

from bifrost._native import (
    ModbusFramer,
    modbus_decode_request,
    modbus_encode_bits,
    modbus_encode_exception,
    modbus_encode_registers,
    modbus_encode_write,
    modbus_frame,
)
from bifrost.errors import ConfigError, LinkTimeout, ModbusFault, ProtocolError
from bifrost.plc.modbus.address import Area
from bifrost.plc.sim.bank import RegisterBank
from bifrost.plc.sim.faults import Action, Drop, Fault, FaultPlan, Injection, Pause, Send, Silence, disturb

__all__ = ["ModbusTcpServer", "ServerCounters"]

_READS = {area.function: area for area in Area}
_WRITES = {5: Area.COIL, 6: Area.HOLDING, 15: Area.COIL, 16: Area.HOLDING}
_NO_SUCH_UNIT = 11
_LINGER_RESET = struct.pack("hh" if sys.platform == "win32" else "ii", 1, 0)
"""Lingering for 0 seconds makes the kernel answer a close with RST; the structure differs on Windows."""


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
        self._sessions: set[_Session] = set()
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
        self._server = await loop.create_server(lambda: _Session(self), self.host, self.port)
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

    def opened(self, session: _Session) -> bool:
        """Take a new connection, or say no."""
        self.counters.connections += 1
        self._sessions.add(session)
        self._idle.clear()
        if self._max_clients is not None and len(self._sessions) > self._max_clients:
            self.counters.turned_away += 1
            return False
        return True

    def closed(self, session: _Session) -> None:
        """Forget a connection that ended."""
        self._sessions.discard(session)
        if not self._sessions:
            self._idle.set()

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


class _Session(asyncio.Protocol):
    """One connection. Actions run in order; a pause holds back everything behind it."""

    def __init__(self, server: ModbusTcpServer) -> None:
        self._server = server
        self._framer = ModbusFramer()
        self._actions: deque[Action] = deque()
        self._timer: asyncio.TimerHandle | None = None
        self._silent = False
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        if not self._server.opened(self):
            transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._actions.clear()
        self._transport = None
        self._server.closed(self)

    def pause_writing(self) -> None:
        # A client that asks and never reads must not fill this process's memory with answers.
        if self._transport is not None and not self._transport.is_closing():
            self._transport.pause_reading()

    def resume_writing(self) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.resume_reading()

    def data_received(self, data: bytes) -> None:
        try:
            for transaction, unit, pdu in self._framer.feed(data):
                self._take(transaction, unit, pdu)
        except ProtocolError:
            self._broken()
        else:
            if self._framer.failure is not None:
                self._broken()

    def drop(self, *, reset: bool) -> None:
        if self._transport is None:
            return
        if not reset:
            self._transport.close()
            return
        peer = self._transport.get_extra_info("socket")
        if peer is not None:
            with contextlib.suppress(OSError):  # the peer may have gone first
                peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_RESET)
        self._transport.abort()

    def _broken(self) -> None:
        self._server.counters.broken += 1
        self.drop(reset=True)

    def _take(self, transaction: int, unit: int, pdu: bytes) -> None:
        if self._silent:
            return
        injection = self._server.next_injection()
        if injection is not None and injection.fault is Fault.EXCEPTION:
            answer = self._server.refuse(pdu, injection.code)
        else:
            answer = self._server.serve(unit, pdu)
        self._actions.extend(disturb(injection, modbus_frame(transaction, unit, answer)))
        if self._timer is None:
            self._run()

    def _run(self) -> None:
        self._timer = None
        while self._actions and self._transport is not None and not self._transport.is_closing():
            match self._actions.popleft():
                case Send(frame):
                    self._transport.write(frame)
                case Pause(seconds):
                    self._timer = asyncio.get_running_loop().call_later(seconds, self._run)
                    return
                case Drop(reset):
                    self.drop(reset=reset)
                case Silence():
                    self._silent = True
                    self._actions.clear()
