"""One Modbus TCP link: one request at a time, its answer matched by transaction id.

In: requests as bytes. Out: the PDU of the answer. Not here: what a PDU means, reconnecting, retries.
Obeys: MODBUS Messaging on TCP/IP Implementation Guide V1.0b, sections 3.1.3 (MBAP) and 4.2 (client).
"""

from __future__ import annotations

import asyncio
import socket
from collections import deque
from collections.abc import Callable, Mapping
from typing import cast

from bifrost._native import ModbusFramer
from bifrost.errors import BifrostError, LinkTimeout, NotConnected, ProtocolError
from bifrost.plc.modbus.exchanging import Frame, Tally
from bifrost.plc.modbus.units import UnitHealth

__all__ = ["ModbusLink"]

_NO_TRANSACTION = -1


class ModbusLink(asyncio.Protocol):
    """The transport side of a driver; alive from `connection_made` to `connection_lost`.

    A second request waits for its turn: many devices answer only the first of two requests in one segment.

    Attributes:
        connected: false before the link is up and for good after it ended.
        health: which of its units are silent.
        writing: held by whoever writes.
        max_in_flight: 1.
        late: answers dropped because nobody waited for them any more, or never had.
        misaddressed: answers dropped because their unit id was another's.
    """

    def __init__(
        self, loop: asyncio.AbstractEventLoop, on_lost: Callable[[BifrostError], None], health: UnitHealth
    ) -> None:
        self.connected = False
        self.health = health
        self.writing = asyncio.Lock()
        self.max_in_flight = 1
        self.late = 0
        self.misaddressed = 0
        self._loop = loop
        self._on_lost: Callable[[BifrostError], None] | None = on_lost
        self._framer = ModbusFramer()
        self._feed = self._framer.feed
        self._transport: asyncio.Transport | None = None
        self._busy = False
        self._queue: deque[asyncio.Future[None]] = deque()
        self._closed = loop.create_future()
        self._waiter: asyncio.Future[bytes] | None = None
        self._transaction = 0
        self._expected = _NO_TRANSACTION
        self._unit = 0
        self._deadline = 0.0
        self._timer: asyncio.TimerHandle | None = None

    def counters(self) -> Mapping[str, int]:
        """Answers that were nobody's."""
        return {"late_answers": self.late, "misaddressed_answers": self.misaddressed}

    async def exchange(self, frame: Frame, unit: int, timeout: float, tally: Tally) -> bytes:
        """Send one request and wait for its answer.

        Args:
            frame: makes the whole request from a transaction id.
            unit: whose answer is meant.
            timeout: seconds from sending to the answer.
            tally: counts for the user who asks.

        Returns:
            The answer's PDU.

        Raises:
            NotConnected: the link is gone; `ProtocolError` if it ended because of what came. `self.connected` is false.
            LinkTimeout: no answer by the deadline; the link goes on, and a late answer is dropped.
        """
        if self._busy:
            await self._wait_turn()
        self._busy = True
        try:
            transport = self._transport
            if transport is None:
                raise NotConnected("the link to the device is down")
            loop = self._loop
            self._transaction = transaction = (self._transaction + 1) & 0xFFFF
            self._expected = transaction
            self._unit = unit
            waiter: asyncio.Future[bytes] = loop.create_future()
            self._waiter = waiter
            sent = loop.time()
            self._deadline = deadline = sent + timeout
            # One timer serves all requests: it is set forward when it fires, not cancelled for every answer.
            timer = self._timer
            if timer is None:
                self._timer = loop.call_at(deadline, self._expire)
            elif timer.when() > deadline:
                timer.cancel()
                self._timer = loop.call_at(deadline, self._expire)
            tally.requests += 1
            transport.write(frame(transaction))
            try:
                pdu = await waiter
            except LinkTimeout:
                tally.timeouts += 1
                raise
            tally.rtt[int((loop.time() - sent) * 1e6).bit_length() & 31] += 1
            return pdu
        finally:
            self._waiter = None
            self._expected = _NO_TRANSACTION
            if self._queue:
                self._pass_turn()
            else:
                self._busy = False

    async def announce(self, frame: Frame, tally: Tally) -> None:
        """Send one request that nobody answers, in its turn.

        Raises:
            NotConnected: the link is gone; nothing was sent.
        """
        if self._busy:
            await self._wait_turn()
        self._busy = True
        try:
            if self._transport is None:
                raise NotConnected("the link to the device is down")
            self._transaction = transaction = (self._transaction + 1) & 0xFFFF
            tally.requests += 1
            self._transport.write(frame(transaction))
        finally:
            self._give_turn_up()

    def _give_turn_up(self) -> None:
        if self._queue:
            self._pass_turn()
        else:
            self._busy = False

    async def _wait_turn(self) -> None:
        turn = self._loop.create_future()
        self._queue.append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self._pass_turn()
            raise

    def _pass_turn(self) -> None:
        while self._queue:
            turn = self._queue.popleft()
            if not turn.done():
                # `_busy` stays true: the link is handed over, nobody can step in between.
                turn.set_result(None)
                return
        self._busy = False

    def _expire(self) -> None:
        self._timer = None
        waiter = self._waiter
        if waiter is None or waiter.done():
            return
        if self._loop.time() < self._deadline:
            self._timer = self._loop.call_at(self._deadline, self._expire)
            return
        waiter.set_exception(LinkTimeout(f"unit {self._unit} did not answer in time"))

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the transport and make the kernel notice a dead peer."""
        self._transport = cast(asyncio.Transport, transport)
        self.connected = True
        _tune(transport.get_extra_info("socket"))

    def data_received(self, data: bytes) -> None:
        """Cut what came into frames and hand the awaited one over."""
        try:
            frames = self._feed(data)
        except ProtocolError as error:
            self._break(error)
            return
        for transaction, unit, pdu in frames:
            waiter = self._waiter
            if transaction != self._expected or waiter is None or waiter.done():
                self.late += 1
            elif unit != self._unit and unit not in {0, 255} and self._unit not in {0, 255}:
                self.misaddressed += 1
            else:
                # A second copy of this answer is late.
                self._expected = _NO_TRANSACTION
                waiter.set_result(pdu)
        if (failure := self._framer.failure) is not None:
            self._break(ProtocolError(failure))

    def connection_lost(self, exc: Exception | None) -> None:
        """Fail what is on its way at once."""
        reason = "the device closed the link" if exc is None else f"the link broke: {exc}"
        self._end(NotConnected(reason))
        if not self._closed.done():
            self._closed.set_result(None)

    def abort(self, error: BifrostError) -> None:
        """Drop the link without waiting for the peer; `on_lost` hears `error`."""
        self._break(error)

    async def aclose(self, *, timeout: float = 1.0) -> None:
        """End the link in order, by force after `timeout` seconds; idempotent; `on_lost` is not called."""
        self._on_lost = None
        transport = self._transport
        self._end(NotConnected("the connection was closed"))
        if transport is None:
            return
        transport.close()
        try:
            await asyncio.wait([self._closed], timeout=timeout)
        finally:
            transport.abort()

    def _break(self, error: BifrostError) -> None:
        transport = self._transport
        self._end(error)
        if transport is not None:
            transport.abort()

    def _end(self, error: BifrostError) -> None:
        self.connected = False
        self._transport = None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        waiter = self._waiter
        if waiter is not None and not waiter.done():
            waiter.set_exception(error)
        on_lost, self._on_lost = self._on_lost, None
        if on_lost is not None:
            on_lost(error)


def _tune(sock: socket.socket | None) -> None:
    """No delay for small requests, and probes on an idle link: a peer that vanished is noticed within 30 s."""
    if sock is None or sock.family not in {socket.AF_INET, socket.AF_INET6}:
        return
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    # Not every system has these; without them its own, slower, defaults hold.
    for name, value in (("TCP_KEEPIDLE", 10), ("TCP_KEEPINTVL", 5), ("TCP_KEEPCNT", 4), ("TCP_USER_TIMEOUT", 30_000)):
        option = getattr(socket, name, None)
        if option is not None:
            sock.setsockopt(socket.IPPROTO_TCP, option, value)
