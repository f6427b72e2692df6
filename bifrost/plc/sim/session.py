"""One link to a simulated device: bytes in, disturbed answers out, in order.

Not here: what the answers are (`device`), what faults do to them (`disturbance`), sockets and serial lines.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import socket
import struct
import sys
from collections import deque
from collections.abc import Iterable
from typing import Protocol

from bifrost._native import ModbusFramer, RtuRequestFramer, modbus_frame, modbus_rtu_frame
from bifrost.errors import ProtocolError
from bifrost.plc.sim.disturbance import Action, Drop, Hold, Pause, Send, Silence, disturb
from bifrost.plc.sim.faults import Fault, Injection
from bifrost.plc.sim.framing import Frame, Framing

__all__ = ["Session", "SessionOwner"]

_LINGER_RESET = struct.pack("hh" if sys.platform == "win32" else "ii", 1, 0)
"""Lingering for 0 seconds makes the kernel answer a close with RST; the structure differs on Windows."""

_LINE_IDLE = 0.1
"""Seconds without a byte after which the beginning of a request on a serial line is given up."""

_REFUSED = frozenset({Fault.EXCEPTION, Fault.EXCEPTION_LENGTH})


class SessionOwner(Protocol):
    """What a link asks of its server."""

    def opened(self, session: Session) -> bool:
        """Take a new link, or say no: it is then closed, or kept in silence."""
        ...

    def closed(self, session: Session) -> None:
        """Forget a link that ended."""
        ...

    def broke(self) -> None:
        """Count a link whose bytes were no Modbus."""
        ...

    def next_injection(self) -> Injection | None:
        """Count a request and take the fault that it meets."""
        ...

    def is_broadcast(self, unit: int) -> bool:
        """Tell whether a request to this unit is for all of them, and answered by none."""
        ...

    def serves(self, unit: int) -> bool:
        """Tell whether a request to this unit is answered at all: on a bus, not by anybody else."""
        ...

    def serve(self, unit: int, pdu: bytes) -> bytes:
        """Act on a request and return the PDU of the answer."""
        ...

    def refuse(self, pdu: bytes, code: int) -> bytes:
        """Return the PDU of an exception answer."""
        ...


class Session(asyncio.Protocol):
    """One link. Actions run in order; a pause holds back everything behind it."""

    def __init__(self, server: SessionOwner, framing: Framing = Framing.TCP, *, silent: bool = False) -> None:
        self._server = server
        self._framing = framing
        self._framer = ModbusFramer()
        self._requests = RtuRequestFramer()
        self._actions: deque[Action] = deque()
        self._timer: asyncio.TimerHandle | None = None
        self._held: Hold | None = None
        self._release: asyncio.TimerHandle | None = None
        self._quiet: asyncio.TimerHandle | None = None
        self._silent = False
        self._silent_when_full = silent
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Announce the link; turned away, it ends at once, or is never answered."""
        self._transport = transport  # type: ignore[assignment]  # the servers make two-way transports only
        if not self._server.opened(self):
            if self._silent_when_full:
                self._silent = True
            else:
                transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget everything that was still to be sent."""
        for timer in (self._timer, self._release, self._quiet):
            if timer is not None:
                timer.cancel()
        self._timer = self._release = self._quiet = self._held = None
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
        if self._framing.has_crc:
            # What is no frame of RTU is noise on the line: it is skipped, never an end.
            self._take_rtu(self._requests.feed(data))
            return
        try:
            self._take_all(self._framer.feed(data))
        except ProtocolError:
            self._broken()
        else:
            if self._framer.failure is not None:
                self._broken()

    def drop(self, *, reset: bool) -> None:
        """End the link, by RST or by FIN after what was written."""
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

    def _take_rtu(self, requests: list[tuple[int, bytes]]) -> None:
        if self._quiet is not None:
            self._quiet.cancel()
            self._quiet = None
        self._take_all((0, unit, pdu) for unit, pdu in requests)
        if self._requests.pending and self._transport is not None:
            self._quiet = asyncio.get_running_loop().call_later(_LINE_IDLE, self._fell_silent)

    def _fell_silent(self) -> None:
        self._take_rtu(self._requests.idle())

    def _broken(self) -> None:
        self._server.broke()
        self.drop(reset=True)

    def _take_all(self, requests: Iterable[tuple[int, int, bytes]]) -> None:
        for transaction, unit, pdu in requests:
            if not self._silent:
                self._take(transaction, unit, pdu)

    def _take(self, transaction: int, unit: int, pdu: bytes) -> None:
        server = self._server
        if server.is_broadcast(unit):
            server.serve(unit, pdu)
            return
        if not server.serves(unit):
            return
        injection = server.next_injection()
        if injection is None:
            answer = server.serve(unit, pdu)
            rtu = self._framing.has_crc
            frame = modbus_rtu_frame(unit, answer) if rtu else modbus_frame(transaction, unit, answer)
            self._actions.append(Send(frame))
        else:
            refused = injection.fault in _REFUSED
            answer = server.refuse(pdu, injection.code) if refused else server.serve(unit, pdu)
            request = Frame(self._framing, transaction, unit, pdu)
            frame = dataclasses.replace(request, pdu=answer).encode()
            self._actions.extend(disturb(injection, frame, self._framing, request=request.encode()))
        if self._timer is None:
            self._run()

    def _run(self) -> None:
        self._timer = None
        while self._actions and self._transport is not None and not self._transport.is_closing():
            match self._actions.popleft():
                case Send(frame):
                    self._send(self._transport, frame)
                case Hold(seconds=seconds) as hold:
                    self._let_go()
                    self._held = hold
                    self._release = asyncio.get_running_loop().call_later(seconds, self._let_go)
                case Pause(seconds):
                    self._timer = asyncio.get_running_loop().call_later(seconds, self._run)
                    return
                case Drop(reset):
                    self.drop(reset=reset)
                case Silence():
                    self._silent = True
                    self._actions.clear()

    def _send(self, transport: asyncio.Transport, frame: bytes) -> None:
        held, self._held = self._held, None
        if held is None:
            transport.write(frame)
        elif held.joined:
            transport.write(held.frame + frame)
        else:
            transport.write(frame)
            transport.write(held.frame)

    def _let_go(self) -> None:
        """Send what waited for a next answer that did not come."""
        if self._release is not None:
            self._release.cancel()
            self._release = None
        held, self._held = self._held, None
        if held is not None and self._transport is not None and not self._transport.is_closing():
            self._transport.write(held.frame)
