"""A Modbus TCP link with several requests on the wire; each answer is matched by its transaction id.

In: requests as bytes. Out: the PDU of the answer, in whatever order the device gives them. Only for devices that take
it: many answer only the first of several requests. Obeys: V1.0b sections 3.1.3 and 4.4.1.4.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager

from bifrost.errors import BifrostError, LinkTimeout, NotConnected
from bifrost.plc.modbus.exchanging import Frame, OnLost, Tally
from bifrost.plc.modbus.tcp_link import TcpLink, UnitPolicy
from bifrost.plc.modbus.units import UnitHealth

__all__ = ["PipelinedLink"]


class _Asked:
    """One request, waiting for its turn or for its answer."""

    __slots__ = ("answer", "deadline", "frame", "sent", "tally", "timeout", "unit")

    def __init__(self, frame: Frame, unit: int, timeout: float, tally: Tally, answer: asyncio.Future[bytes]) -> None:
        self.frame = frame
        self.unit = unit
        self.timeout = timeout
        self.tally = tally
        self.answer = answer
        self.sent = 0.0
        self.deadline = 0.0


class PipelinedLink(TcpLink):
    """At most `max_in_flight` requests are on the wire; the others wait, first come, first served.

    A request that was cancelled still occupies the device: its place is free when its answer comes, or its time is up.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        on_lost: OnLost,
        health: UnitHealth,
        *,
        max_in_flight: int,
        unit_policy: UnitPolicy = "0/255",
    ) -> None:
        super().__init__(loop, on_lost, health, max_in_flight=max_in_flight, unit_policy=unit_policy)
        self._queue: deque[_Asked] = deque()
        self._sent: dict[int, _Asked] = {}
        self._transaction = 0
        self._timer: asyncio.TimerHandle | None = None
        self._held: list[bytes] | None = None

    @contextmanager
    def together(self) -> Iterator[None]:
        """Send what is begun within the `with` as one piece: one call of the system for all, one wake-up of the device.

        Nothing may be awaited within it.
        """
        held: list[bytes] = []
        self._held = held
        try:
            yield
        finally:
            self._held = None
            if held and self._transport is not None:
                self._transport.write(b"".join(held))

    def begin(self, frame: Frame, unit: int, timeout: float, tally: Tally) -> asyncio.Future[bytes]:
        """Send one request, or queue it; the future brings the answer, or what `exchange` raises.

        Cancelling the future takes a request back that was not sent yet.

        Raises:
            NotConnected: the link is gone.
        """
        if self._transport is None or tally.ended:
            raise NotConnected("the link to the device is down")
        answer: asyncio.Future[bytes] = self._loop.create_future()
        asked = _Asked(frame, unit, timeout, tally, answer)
        if len(self._sent) < self.max_in_flight and not self._queue:
            self._send(asked, self._transport)
        else:
            self._queue.append(asked)
        return answer

    async def exchange(self, frame: Frame, unit: int, timeout: float, tally: Tally) -> bytes:
        """Send one request and wait for its answer; see `bifrost.plc.modbus.exchanging.Link`."""
        return await self.begin(frame, unit, timeout, tally)

    async def announce(self, frame: Frame, tally: Tally) -> None:
        """Send one request that nobody answers; it does not wait for those on the wire.

        Raises:
            NotConnected: the link is gone; nothing was sent.
        """
        if self._transport is None or tally.ended:
            raise NotConnected("the link to the device is down")
        tally.requests += 1
        self._transport.write(frame(self._next_transaction()))

    def withdraw(self, tally: Tally, error: BifrostError) -> None:
        """Fail with `error` whatever this user waits for; the link goes on for the others."""
        tally.ended = True
        for asked in (*self._sent.values(), *self._queue):
            if asked.tally is tally and not asked.answer.done():
                asked.answer.set_exception(error)

    def _next_transaction(self) -> int:
        transaction = (self._transaction + 1) & 0xFFFF
        while transaction in self._sent:
            transaction = (transaction + 1) & 0xFFFF
        self._transaction = transaction
        return transaction

    def _send(self, asked: _Asked, transport: asyncio.Transport) -> None:
        transaction = self._next_transaction()
        asked.sent = sent = self._loop.time()
        asked.deadline = deadline = sent + asked.timeout
        self._sent[transaction] = asked
        timer = self._timer
        if timer is None or timer.when() > deadline:
            if timer is not None:
                timer.cancel()
            self._timer = self._loop.call_at(deadline, self._expire)
        asked.tally.requests += 1
        frame = asked.frame(transaction)
        if self._held is None:
            transport.write(frame)
        else:
            self._held.append(frame)

    def _send_more(self) -> None:
        while self._queue and len(self._sent) < self.max_in_flight:
            asked = self._queue.popleft()
            if asked.answer.done():
                continue  # taken back
            if self._transport is None:
                asked.answer.set_exception(NotConnected("the link to the device is down"))
            else:
                self._send(asked, self._transport)

    def _expire(self) -> None:
        self._timer = None
        now = self._loop.time()
        for transaction, asked in list(self._sent.items()):
            if asked.deadline > now:
                continue
            del self._sent[transaction]
            asked.tally.timeouts += 1
            if not asked.answer.done():
                asked.answer.set_exception(LinkTimeout(f"unit {asked.unit} did not answer in time"))
        if self._sent:
            self._timer = self._loop.call_at(min(asked.deadline for asked in self._sent.values()), self._expire)
        self._send_more()

    def _take(self, transaction: int, unit: int, pdu: bytes) -> None:
        asked = self._sent.get(transaction)
        if asked is None:
            self.late += 1
            return
        if unit != asked.unit and self._is_foreign(asked.unit, unit):
            self.misaddressed += 1
            return
        del self._sent[transaction]
        if asked.answer.done():
            self.late += 1
        else:
            asked.tally.rtt[int((self._loop.time() - asked.sent) * 1e6).bit_length() & 31] += 1
            asked.answer.set_result(pdu)
        self._send_more()

    def _fail(self, error: BifrostError) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        waiting = [*self._sent.values(), *self._queue]
        self._sent.clear()
        self._queue.clear()
        for asked in waiting:
            if not asked.answer.done():
                asked.answer.set_exception(error)
