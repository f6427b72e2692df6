"""One connection to a simulated device: bytes in, disturbed answers out, in order.

Not here: what the answers are (`server`), what faults do to them (`disturbance`).
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
import sys
from collections import deque
from typing import Protocol

from bifrost._native import ModbusFramer, modbus_frame
from bifrost.errors import ProtocolError
from bifrost.plc.sim.disturbance import Action, Drop, Pause, Send, Silence, disturb
from bifrost.plc.sim.faults import Fault, Injection

__all__ = ["Session", "SessionOwner"]

_LINGER_RESET = struct.pack("hh" if sys.platform == "win32" else "ii", 1, 0)
"""Lingering for 0 seconds makes the kernel answer a close with RST; the structure differs on Windows."""


class SessionOwner(Protocol):
    """What a connection asks of its server."""

    def opened(self, session: Session) -> bool:
        """Take a new connection, or say no."""
        ...

    def closed(self, session: Session) -> None:
        """Forget a connection that ended."""
        ...

    def broke(self) -> None:
        """Count a connection whose bytes were no Modbus TCP."""
        ...

    def next_injection(self) -> Injection | None:
        """Count a request and take the fault that it meets."""
        ...

    def serve(self, unit: int, pdu: bytes) -> bytes:
        """Act on a request and return the PDU of the answer."""
        ...

    def refuse(self, pdu: bytes, code: int) -> bytes:
        """Return the PDU of an exception answer."""
        ...


class Session(asyncio.Protocol):
    """One connection. Actions run in order; a pause holds back everything behind it."""

    def __init__(self, server: SessionOwner) -> None:
        self._server = server
        self._framer = ModbusFramer()
        self._actions: deque[Action] = deque()
        self._timer: asyncio.TimerHandle | None = None
        self._silent = False
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Announce the connection; turned away, it ends at once."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        if not self._server.opened(self):
            transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget everything that was still to be sent."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._actions.clear()
        self._transport = None
        self._server.closed(self)

    def pause_writing(self) -> None:
        """Take no more requests: a client that never reads must not fill this process's memory with answers."""
        if self._transport is not None and not self._transport.is_closing():
            self._transport.pause_reading()

    def resume_writing(self) -> None:
        """Go on once the client has read."""
        if self._transport is not None and not self._transport.is_closing():
            self._transport.resume_reading()

    def data_received(self, data: bytes) -> None:
        """Take requests, whole or in pieces."""
        try:
            for transaction, unit, pdu in self._framer.feed(data):
                self._take(transaction, unit, pdu)
        except ProtocolError:
            self._broken()
        else:
            if self._framer.failure is not None:
                self._broken()

    def drop(self, *, reset: bool) -> None:
        """End the connection, by RST or by FIN after what was written."""
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
        self._server.broke()
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
