"""Writes on a link: each is sent once, never twice, and what became of it is told.

In: write items. Out: nothing, or the error that says whether the device may have acted. Not here: checking values
(`bifrost.plc.modbus.writing`). Obeys: V1.1b3 sections 6.5, 6.6, 6.11, 6.12, 6.16; 4.1 (broadcast).
"""

from __future__ import annotations

from bifrost._native import modbus_decode_answer, modbus_frame, modbus_read_request
from bifrost.core.clock import Clock
from bifrost.errors import BifrostError, LinkError, LinkTimeout, ModbusFault, NotConnected, ProtocolError, WriteError
from bifrost.plc.drivers.base import WriteItem
from bifrost.plc.modbus.exchanging import Link, Tally
from bifrost.plc.modbus.writing import BitsWrite, ValuesWrite, WriteSingle

__all__ = ["BROADCAST", "Writer"]

BROADCAST = 0
"""The unit id that means all units; nobody answers it."""

_READ_HOLDING = 3
_UNKNOWN_FUNCTION = 1


class Writer:
    """What one user writes on one link.

    Attributes:
        faults: exception answers that came.
    """

    def __init__(self, clock: Clock, *, single: WriteSingle, allow_rmw: bool) -> None:
        self.faults = 0
        self._clock = clock
        self._single: WriteSingle = single
        self._allow_rmw = allow_rmw
        self._without_mask_write: set[int] = set()

    async def write(self, link: Link, tally: Tally, item: WriteItem, *, timeout: float) -> None:
        """Send one write, once.

        Raises:
            NotConnected: nothing was sent.
            ModbusFault: the device refused.
            WriteError: it was sent, and what became of it is not known (`unknown_outcome`).
        """
        # Writes take turns as a whole, so that nothing of ours comes between the halves of a read-modify-write.
        async with link.writing:
            request: ValuesWrite | BitsWrite = item.request
            if isinstance(request, BitsWrite):
                await self._write_bits(link, tally, item, request, timeout)
            else:
                await self._send(link, tally, item, request.pdu, timeout)

    async def _write_bits(self, link: Link, tally: Tally, item: WriteItem, request: BitsWrite, timeout: float) -> None:
        if item.unit not in self._without_mask_write:
            try:
                await self._send(link, tally, item, request.pdu, timeout)
            except ModbusFault as fault:
                if fault.code != _UNKNOWN_FUNCTION:
                    raise
                # It said that it did nothing, so another request is no second write.
                self._without_mask_write.add(item.unit)
            else:
                return
        if not self._allow_rmw:
            raise ModbusFault(
                f"tag {item.tag.name!r}: unit {item.unit} cannot write single bits of a register (function 22); "
                "write the whole register, or set allow_rmw=True to read, change and write it, which undoes what "
                "others write in between",
                code=_UNKNOWN_FUNCTION,
            )
        word = await self._read_word(link, tally, item, request.address, timeout)
        changed = ValuesWrite.of(False, request.address, [request.applied_to(word)], self._single)
        await self._send(link, tally, item, changed.pdu, timeout)

    async def _read_word(self, link: Link, tally: Tally, item: WriteItem, address: int, timeout: float) -> int:
        unit = item.unit
        request = modbus_read_request(_READ_HOLDING, address, 1)
        try:
            answer = await link.exchange(lambda tid: modbus_frame(tid, unit, request), unit, timeout, tally)
            words = modbus_decode_answer(request, answer)
        except ModbusFault:
            self._note_answer(link, unit, fault=True)
            raise
        except (LinkTimeout, ProtocolError) as error:
            self._note_failure(link, unit, error)
            raise WriteError(
                f"tag {item.tag.name!r}: nothing was written, for reading the register: {error}"
            ) from error
        self._note_answer(link, unit)
        return int.from_bytes(words or b"", "big")

    async def _send(self, link: Link, tally: Tally, item: WriteItem, pdu: bytes, timeout: float) -> None:
        unit = item.unit
        sent = False

        def frame(transaction: int) -> bytes:
            nonlocal sent
            sent = True
            return modbus_frame(transaction, unit, pdu)

        if unit == BROADCAST:
            await link.announce(frame, tally)
            return
        try:
            modbus_decode_answer(pdu, await link.exchange(frame, unit, timeout, tally))
        except (LinkError, ProtocolError) as error:
            if not sent:
                raise error if isinstance(error, NotConnected) else NotConnected(str(error)) from error
            self._note_failure(link, unit, error)
            raise _unknown(item, error) from error
        except ModbusFault:
            self._note_answer(link, unit, fault=True)
            raise
        self._note_answer(link, unit)

    def _note_failure(self, link: Link, unit: int, error: BifrostError) -> None:
        if link.connected and not isinstance(error, NotConnected):
            link.health.failed(unit, self._clock.monotonic(), timeout=isinstance(error, LinkTimeout))

    def _note_answer(self, link: Link, unit: int, *, fault: bool = False) -> None:
        self.faults += fault
        if link.health.troubled:
            link.health.answered(unit)
        else:
            link.health.last_good = unit


def _unknown(item: WriteItem, error: BifrostError) -> WriteError:
    text = f"tag {item.tag.name!r}: the write was sent, but {error}; the device may have acted"
    return WriteError(text, unknown_outcome=True)
