"""One link to a simulated device: bytes in, disturbed answers out, in order.

Not here: what the answers are (`device`), what faults do to them (`disturbance`), sockets and serial lines.
"""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Iterable
from typing import Protocol

from bifrost._native import ModbusFramer, RtuRequestFramer, modbus_frame, modbus_rtu_frame
from bifrost.errors import ProtocolError
from bifrost.plc.sim.actions import Send
from bifrost.plc.sim.disturbance import disturb
from bifrost.plc.sim.faults import Fault, Injection
from bifrost.plc.sim.framing import Frame, Framing
from bifrost.plc.sim.simulated_link import LinkOwner, SimulatedLink

__all__ = ["Session", "SessionOwner"]

_LINE_IDLE = 0.1
"""Seconds without a byte after which the beginning of a request on a serial line is given up."""

_REFUSED = frozenset({Fault.EXCEPTION, Fault.EXCEPTION_LENGTH})


class SessionOwner(LinkOwner, Protocol):
    """What a link asks of its server."""

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


class Session(SimulatedLink):
    """One link, on TCP or a serial line."""

    def __init__(self, server: SessionOwner, framing: Framing = Framing.TCP) -> None:
        super().__init__(server)
        self._server = server
        self._framing = framing
        self._framer = ModbusFramer()
        self._requests = RtuRequestFramer()
        self._quiet: asyncio.TimerHandle | None = None

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget everything that was still to be sent, and the beginning of a request."""
        if self._quiet is not None:
            self._quiet.cancel()
            self._quiet = None
        super().connection_lost(exc)

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
            self._do((Send(frame),))
        else:
            refused = injection.fault in _REFUSED
            answer = server.refuse(pdu, injection.code) if refused else server.serve(unit, pdu)
            request = Frame(self._framing, transaction, unit, pdu)
            frame = dataclasses.replace(request, pdu=answer).encode()
            self._do(disturb(injection, frame, self._framing, request=request.encode()))
