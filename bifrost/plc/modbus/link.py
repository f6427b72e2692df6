"""A Modbus TCP link with one request on the wire at a time; its answer is matched by transaction id.

In: requests as bytes. Out: the PDU of the answer. Not here: what a PDU means, reconnecting, retries.
Obeys: MODBUS Messaging on TCP/IP Implementation Guide V1.0b, sections 3.1.3 (MBAP) and 4.2 (client).
"""

from __future__ import annotations

import asyncio
import math

from bifrost.errors import BifrostError, LinkTimeout, NotConnected
from bifrost.plc.modbus.exchanging import Frame, OnLost, Tally
from bifrost.plc.modbus.tcp_link import TcpLink, UnitPolicy
from bifrost.plc.modbus.turns import Turns
from bifrost.plc.modbus.units import UnitHealth

__all__ = ["ModbusLink"]

_NO_TRANSACTION = -1


class ModbusLink(TcpLink):
    """A second request waits for its turn: many devices answer only the first of two requests in one segment.

    Args:
        loop: the running loop.
        on_lost: called once if the link ends by itself.
        health: which units are silent.
        unit_policy: whose answers count, if their unit id is not the one that was asked.
        quiet: seconds between the end of one exchange and the next request.
    """

    _always_paced = False

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        on_lost: OnLost,
        health: UnitHealth,
        *,
        unit_policy: UnitPolicy = "0/255",
        quiet: float = 0.0,
    ) -> None:
        super().__init__(loop, on_lost, health, unit_policy=unit_policy)
        self._turns = Turns(loop)
        self._waiter: asyncio.Future[bytes] | None = None
        self._asker: Tally | None = None
        self._transaction = 0
        self._expected = _NO_TRANSACTION
        self._unit = 0
        self._deadline = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self._quiet = quiet
        self._paced = quiet > 0.0 or self._always_paced
        self._ended = -math.inf
        self._pause: asyncio.Future[None] | None = None

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
        turns = self._turns
        if turns.taken:
            await turns.take(tally)
        turns.taken = True
        try:
            if self._paced:
                self._asker = tally
                await self._pace()
            transport = self._transport
            if transport is None or tally.ended:
                raise NotConnected("the link to the device is down")
            loop = self._loop
            self._transaction = transaction = (self._transaction + 1) & 0xFFFF
            self._expected = transaction
            self._unit = unit
            waiter: asyncio.Future[bytes] = loop.create_future()
            self._waiter = waiter
            self._asker = tally
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
            request = frame(transaction)
            if self._paced:
                self._note_sent(request)
            transport.write(request)
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
            if self._paced:
                self._ended = self._loop.time()
            turns.pass_on()

    async def announce(self, frame: Frame, tally: Tally) -> None:
        """Send one request that nobody answers, in its turn.

        Raises:
            NotConnected: the link is gone; nothing was sent.
        """
        await self._turns.take(tally)
        try:
            if self._paced:
                self._asker = tally
                await self._pace()
            transport = self._transport
            if transport is None or tally.ended:
                raise NotConnected("the link to the device is down")
            self._transaction = transaction = (self._transaction + 1) & 0xFFFF
            tally.requests += 1
            transport.write(frame(transaction))
        finally:
            self._ended = self._loop.time()
            self._turns.pass_on()

    def withdraw(self, tally: Tally, error: BifrostError) -> None:
        """Fail with `error` whatever this user waits for; the link goes on for the others."""
        tally.ended = True
        waiter = self._waiter
        if self._asker is tally:
            if waiter is not None and not waiter.done():
                waiter.set_exception(error)
            self._end_pause()
        self._turns.withdraw(tally, error)

    def _note_sent(self, frame: bytes) -> None:
        """Hear of a request that leaves; for links that must remember it."""

    async def _pace(self) -> None:
        """Keep quiet for a while before a request; the turn is held meanwhile."""
        await self._wait_until(self._ended + self._quiet)

    async def _wait_until(self, when: float) -> None:
        """Wait, but not for a link or a user that is gone."""
        loop = self._loop
        if self._transport is None or when <= loop.time():
            return
        self._pause = pause = loop.create_future()
        handle = loop.call_at(when, _resolve, pause)
        try:
            await pause
        finally:
            handle.cancel()
            self._pause = None

    def _end_pause(self) -> None:
        if self._pause is not None:
            _resolve(self._pause)

    def _expire(self) -> None:
        self._timer = None
        waiter = self._waiter
        if waiter is None or waiter.done():
            return
        if self._loop.time() < self._deadline:
            self._timer = self._loop.call_at(self._deadline, self._expire)
            return
        waiter.set_exception(LinkTimeout(f"unit {self._unit} did not answer in time"))

    def _take(self, transaction: int, unit: int, pdu: bytes) -> None:
        waiter = self._waiter
        if transaction != self._expected or waiter is None or waiter.done():
            self.late += 1
        elif unit != self._unit and self._is_foreign(self._unit, unit):
            self.misaddressed += 1
        else:
            # A second copy of this answer is late.
            self._expected = _NO_TRANSACTION
            waiter.set_result(pdu)

    def _fail(self, error: BifrostError) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._end_pause()
        waiter = self._waiter
        if waiter is not None and not waiter.done():
            waiter.set_exception(error)


def _resolve(pause: asyncio.Future[None]) -> None:
    if not pause.done():
        pause.set_result(None)
