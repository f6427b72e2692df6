"""A Modbus TCP link to a gateway that does not echo the transaction id.

In: requests as bytes. Out: the PDU of the answer. An answer is known by its unit, its function and its length alone;
so one request is on the wire at a time, and after one without an answer the link is quiet until the late one has come,
or as long again as the request could have taken.
"""

from __future__ import annotations

from bifrost.plc.modbus.exchanging import MBAP_BYTES, Frame, Tally
from bifrost.plc.modbus.link import ModbusLink

__all__ = ["LaxModbusLink", "fits"]

_MOMENT = 0.05
"""Seconds; some devices that are no gateway answer to unit 0, and the link is quiet for twice as long."""


class LaxModbusLink(ModbusLink):
    """See the module; everything else is as in `ModbusLink`."""

    _always_paced = True
    _request = b""
    _owed = False
    _sent_at = 0.0

    def _note_sent(self, frame: bytes) -> None:
        self._request = frame[MBAP_BYTES:]
        self._sent_at = self._loop.time()
        self._owed = True

    async def announce(self, frame: Frame, tally: Tally) -> None:
        """Send a broadcast; a device that answers it all the same has a moment to do so."""

        def noted(transaction: int) -> bytes:
            request = frame(transaction)
            self._note_sent(request)
            self._deadline = self._sent_at + _MOMENT
            return request

        await super().announce(noted, tally)

    async def _pace(self) -> None:
        if self._owed:
            # The last request got no answer: the next must not get it instead.
            await self._wait_until(self._deadline + (self._deadline - self._sent_at))
            self._owed = False
        await super()._pace()

    def _take(self, transaction: int, unit: int, pdu: bytes) -> None:
        waiter = self._waiter
        if waiter is None or waiter.done():
            self.late += 1
            if self._owed and fits(self._request, pdu):
                self._owed = False
                self._end_pause()
        elif unit != self._unit and self._is_foreign(self._unit, unit):
            self.misaddressed += 1
        elif not fits(self._request, pdu):
            self.late += 1
        else:
            self._owed = False
            waiter.set_result(pdu)


def fits(request: bytes, answer: bytes) -> bool:
    """Tell whether an answer can be the one to this request: the same function, and as many bytes as were asked for.

    Source: V1.1b3 sections 6.1 to 6.17 and 7.
    """
    function = request[0]
    if not answer or answer[0] & 0x7F != function:
        return False
    if answer[0] & 0x80:
        return len(answer) >= 2
    expected = _answer_bytes(function, request)
    return expected is None or len(answer) == expected


def _answer_bytes(function: int, request: bytes) -> int | None:
    if function in {1, 2, 3, 4, 23} and len(request) >= 5:
        quantity = int.from_bytes(request[3:5], "big")
        return 2 + (2 * quantity if function > 2 else (quantity + 7) // 8)
    return {5: 5, 6: 5, 15: 5, 16: 5, 22: 7}.get(function)
