"""One RTU link, on a serial line or in TCP: one request at a time, its answer found by unit, function and length.

In: requests as bytes. Out: the PDU of the answer. Not here: what a PDU means, reconnecting, opening a line.

RTU has no transaction id: a late answer looks like the next one. So a unit that did not answer in time is not asked
again before it has had time to. Obeys: MODBUS over Serial Line V1.02, sections 2.4.1 (states) and 2.5.1 (RTU).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping

from bifrost._native import RtuFramer, modbus_decode_answer, modbus_rtu_frame
from bifrost.errors import BifrostError, LinkTimeout, ModbusFault, NotConnected, ProtocolError
from bifrost.plc.modbus.exchanging import MBAP_BYTES, Frame, OnLost, Tally
from bifrost.plc.modbus.live_link import TransportLink
from bifrost.plc.modbus.rtu_debts import Debts
from bifrost.plc.modbus.rtu_timing import RtuTiming
from bifrost.plc.modbus.turns import Turns
from bifrost.plc.modbus.units import UnitHealth

__all__ = ["RtuLink"]

_RETRIED = frozenset({1, 2, 3, 4, 7, 17, 43})
"""Functions that change nothing in the device; only these are sent again after an answer with a wrong CRC."""
_LINE_IDLE = 0.03
"""Seconds without a byte after which a broken frame stays broken: USB adapters pause for up to 16 ms in a frame."""
_MOST_PAUSES = 100
"""A line that never falls silent is spoken to all the same; nothing would get better by waiting."""
_CLOSE_SECONDS = 1.0


class _Garbled(Exception):
    """The answer came with a wrong CRC, and the line is silent."""


class RtuLink(TransportLink):
    """The transport side of a driver; alive from `connection_made` to `connection_lost`.

    Args:
        loop: the running loop.
        on_lost: called once if the link ends by itself.
        health: which units are silent.
        timing: pauses that the line needs.
        local_echo: the line gives back what is sent.

    Attributes:
        connected: false before the link is up and for good after it ended.
        health: which of its units are silent.
        writing: held by whoever writes.
        max_in_flight: 1; a bus takes no more.
        late: answers dropped because nobody waited for them any more, or that fit another request.
        misaddressed: answers dropped because another unit sent them.
        retries: reads sent again because the answer came with a wrong CRC.
    """

    max_in_flight = 1

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        on_lost: OnLost,
        health: UnitHealth,
        *,
        timing: RtuTiming,
        local_echo: bool = False,
    ) -> None:
        super().__init__(loop, on_lost, health)
        self.late = 0
        self.misaddressed = 0
        self.retries = 0
        self._timing = timing
        self._framer = RtuFramer(local_echo=local_echo)
        self._turns = Turns(loop)
        self._take_pending: Callable[[], None] | None = None
        self._waiter: asyncio.Future[bytes] | None = None
        self._asker: Tally | None = None
        self._request = b""
        self._unit = 0
        self._misfit: ProtocolError | None = None
        self._garbled_before = 0
        self._idle_timer: asyncio.TimerHandle | None = None
        self._busy_until = -1.0
        self._debts = Debts(timing.quiet_after_timeout)

    async def exchange(self, frame: Frame, unit: int, timeout: float, tally: Tally) -> bytes:
        """Send one request and wait for its answer; a read is sent once more if the answer's CRC is wrong.

        Args:
            frame: makes the request.
            unit: whose answer is meant.
            timeout: seconds from sending to the answer; a second attempt gets what is left of it.
            tally: counts for the user who asks.

        Returns:
            The answer's PDU.

        Raises:
            NotConnected: the link is gone. `connected` is false.
            LinkTimeout: no answer by the deadline.
            ProtocolError: what came instead of the answer does not fit the request; the link goes on.
        """
        # A unit that owes an answer is waited for outside of its turn: other units are asked meanwhile.
        await self._turns.take_when(tally, lambda: self._rest_of(unit))
        try:
            await self._line_is_free()
            transport = self._live(tally)
            request = frame(0)[MBAP_BYTES:]
            sent = self._loop.time()
            try:
                answer = await self._ask(transport, request, unit, sent + timeout, tally)
            except _Garbled:
                again = self._loop.time()
                answer = await self._ask_again(request, unit, sent + timeout, tally)
                # It may be the first one's, which only noise came before: then the second one's comes as much later.
                self._debts.may_repeat(unit, self._loop.time() + (again - sent) + _LINE_IDLE)
            tally.rtt[int((self._loop.time() - sent) * 1e6).bit_length() & 31] += 1
        finally:
            self._turns.pass_on()
        return answer

    async def announce(self, frame: Frame, tally: Tally) -> None:
        """Send one request that nobody answers, in its turn; the line then rests while the units work on it.

        Raises:
            NotConnected: the link is gone; nothing was sent.
        """
        await self._turns.take(tally)
        try:
            await self._line_is_free()
            transport = self._live(tally)
            adu = modbus_rtu_frame(0, frame(0)[MBAP_BYTES:])
            tally.requests += 1
            transport.write(adu)
            self._busy_until = self._loop.time() + self._timing.on_wire(len(adu)) + self._timing.turnaround
        finally:
            self._turns.pass_on()

    def withdraw(self, tally: Tally, error: BifrostError) -> None:
        """Fail with `error` whatever this user waits for; the link goes on for the others."""
        tally.ended = True
        if self._asker is tally:
            self._settle(error)
        self._turns.withdraw(tally, error)

    def counters(self) -> Mapping[str, int]:
        """What came that was nobody's answer."""
        framer = self._framer
        return {
            "late_answers": self.late,
            "misaddressed_answers": self.misaddressed,
            "crc_errors": framer.crc_errors,
            "noise_bytes": framer.noise_bytes,
            "echoes": framer.echoes,
            "reads_sent_again": self.retries,
        }

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the transport."""
        super().connection_made(transport)
        self._take_pending = transport.get_extra_info("take_pending")

    def data_received(self, data: bytes) -> None:
        """Cut what came into frames; what nobody waits for is counted and dropped."""
        silent = self._loop.time() + self._timing.silence
        # An answer proves that its request has left; a broadcast's rest is not cut short by noise.
        self._busy_until = silent if self._is_waiting() else max(self._busy_until, silent)
        for unit, pdu in self._framer.feed(data):
            self._take(unit, pdu)
        if self._is_waiting() and self._framer.crc_errors > self._garbled_before:
            self._watch_for_silence()

    async def aclose(self) -> None:
        """End the link; idempotent; `on_lost` is not called. Nothing is on its way that anybody still wants."""
        self._on_lost = None
        transport = self._transport
        self._end(NotConnected("the connection was closed"))
        if transport is None:
            return
        transport.abort()
        await asyncio.wait([self._closed], timeout=_CLOSE_SECONDS)

    async def _ask_again(self, request: bytes, unit: int, deadline: float, tally: Tally) -> bytes:
        if request[0] in _RETRIED and self._loop.time() < deadline:
            self.retries += 1
            try:
                return await self._ask(self._live(tally), request, unit, deadline, tally)
            except _Garbled:
                pass
        self._owes(unit, deadline - self._loop.time())
        raise ProtocolError(f"unit {unit}: the answer came with a wrong CRC; check wiring, termination and baud rate")

    async def _ask(
        self, transport: asyncio.Transport, request: bytes, unit: int, deadline: float, tally: Tally
    ) -> bytes:
        waiter: asyncio.Future[bytes] = self._loop.create_future()
        adu = modbus_rtu_frame(unit, request)
        self._framer.expect(request, unit)
        self._waiter, self._asker, self._request, self._unit = waiter, tally, request, unit
        self._misfit, self._garbled_before = None, self._framer.crc_errors
        timer = self._loop.call_at(deadline, self._expire)
        tally.requests += 1
        sent = self._loop.time()
        try:
            transport.write(adu)
            self._busy_until = sent + self._timing.on_wire(len(adu))
            return await waiter
        except _Garbled:
            raise
        except BaseException as error:
            if isinstance(error, LinkTimeout):
                tally.timeouts += 1
            self._owes(unit, deadline - sent)
            raise
        finally:
            timer.cancel()
            self._forget_silence()
            self._waiter = None

    def _live(self, tally: Tally) -> asyncio.Transport:
        transport = self._transport
        if transport is None or tally.ended:
            raise NotConnected("the link to the device is down")
        return transport

    def _rest_of(self, unit: int) -> float:
        return self._debts.remaining(unit, self._loop.time()) if self.connected else 0.0

    def _owes(self, unit: int, timeout: float) -> None:
        """Note that the answer of a unit may still come."""
        now = self._loop.time()
        self._debts.owes(unit, now, timeout)
        self._busy_until = max(self._busy_until, now + self._timing.silence)

    async def _line_is_free(self) -> None:
        """Wait for silence, then take what still lies in the input: it belongs to nobody."""
        for _ in range(_MOST_PAUSES):
            wait = self._busy_until - self._loop.time()
            if wait <= 0 or self._transport is None:
                break
            await asyncio.sleep(wait)
        if self._take_pending is not None:
            self._take_pending()
        else:
            # A socket is read by the loop: let it look twice, once for the event and once for its callback.
            await asyncio.sleep(0)
            await asyncio.sleep(0)

    def _take(self, unit: int, pdu: bytes) -> None:
        if not self._is_waiting():
            self.late += 1
            self._debts.paid(unit)
        elif unit != self._unit:
            self.misaddressed += 1
            self._debts.paid(unit)
        else:
            try:
                modbus_decode_answer(self._request, pdu)
            except ModbusFault:
                pass  # the driver reads it again and acts on it
            except ProtocolError as error:
                # It may be the answer to an earlier question. Ours may still come.
                self.late += 1
                self._misfit = error
                return
            assert self._waiter is not None
            self._waiter.set_result(pdu)

    def _is_waiting(self) -> bool:
        return self._waiter is not None and not self._waiter.done()

    def _settle(self, error: Exception) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_exception(error)

    def _watch_for_silence(self) -> None:
        self._forget_silence()
        self._idle_timer = self._loop.call_later(_LINE_IDLE, self._fell_silent)

    def _forget_silence(self) -> None:
        if self._idle_timer is not None:
            self._idle_timer.cancel()
            self._idle_timer = None

    def _fell_silent(self) -> None:
        self._idle_timer = None
        for unit, pdu in self._framer.idle():
            self._take(unit, pdu)
        self._settle(_Garbled())

    def _expire(self) -> None:
        if not self._is_waiting():
            return
        for unit, pdu in self._framer.idle():
            self._take(unit, pdu)
        self._settle(self._misfit or LinkTimeout(f"unit {self._unit} did not answer in time"))

    def _fail(self, error: BifrostError) -> None:
        self._take_pending = None
        self._forget_silence()
        self._settle(error)
