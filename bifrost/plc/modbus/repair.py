"""What can still be saved of a read when a block of it fails.

In: the block and its error. Out: values of the parts that work, errors for those that do not, and what to avoid next
time. Obeys: V1.1b3 section 7.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

from bifrost._native import ModbusBlock
from bifrost.core.clock import Clock
from bifrost.core.value import Value
from bifrost.errors import BifrostError, DataTypeError, LinkTimeout, ModbusFault, NotConnected
from bifrost.plc.modbus.exchanging import Link, Tally
from bifrost.plc.modbus.faults import BUSY_CODES, REFUSED_CODES

__all__ = ["Repair", "note_undecodable", "spread"]

_BUSY_WAITS = (0.02, 0.1, 0.5)  # seconds; the last one again and again


def spread(errors: dict[int, BifrostError], block: ModbusBlock, error: BifrostError) -> None:
    """Note one error for every value of a block."""
    errors.update(dict.fromkeys(block.slots(), error))


def note_undecodable(errors: dict[int, BifrostError], undecodable: Iterable[tuple[int, str]]) -> None:
    """Note the values whose bits are none of their type, such as a BCD digit above 9."""
    for slot, text in undecodable:
        errors[slot] = DataTypeError(text)


class Repair:
    """The failed blocks of one read.

    Attributes:
        refusals: single values or arrays that the device refused, by stretch.
        barriers: stretches that no request may read across.
        faults: exception answers that came.
        malformed: answers that did not fit their request.
        unanswered: what went wrong with the last request that got no valid answer.
        missed: units that gave no valid answer.
    """

    def __init__(
        self,
        link: Link,
        tally: Tally,
        values: list[Value],
        errors: dict[int, BifrostError],
        *,
        timeout: float,
        clock: Clock,
        busy_retries: int = 2,
    ) -> None:
        self.refusals: dict[tuple[int, int, int, int], ModbusFault] = {}
        self.barriers: list[tuple[int, int, int, int]] = []
        self.faults = 0
        self.malformed = 0
        self.unanswered: BifrostError | None = None
        self.missed: set[int] = set()
        self._link = link
        self._tally = tally
        self._health = link.health
        self._values = values
        self._errors = errors
        self._timeout = timeout
        self._clock = clock
        self._busy_retries = busy_retries

    async def settle(self, block: ModbusBlock, error: BifrostError) -> None:
        """Save what can be saved of a block that failed.

        Raises:
            NotConnected: the link is gone.
        """
        if isinstance(error, NotConnected):
            raise error
        if not self._link.connected:
            raise NotConnected(f"the link was closed: {error}")
        if not isinstance(error, ModbusFault):
            self._note_unanswered(block.unit, error)
            spread(self._errors, block, error)
            return
        self.faults += 1
        self._health.answered(block.unit)
        if error.code in REFUSED_CODES:
            await self._bisect(block, error)
        elif error.code in BUSY_CODES:
            await self._ask_again(block, error)
        else:
            spread(self._errors, block, error)

    def _note_unanswered(self, unit: int, error: BifrostError) -> None:
        timeout = isinstance(error, LinkTimeout)
        self.malformed += not timeout
        self._health.failed(unit, self._clock.monotonic(), timeout=timeout)
        self.unanswered = error
        self.missed.add(unit)

    async def _ask(self, block: ModbusBlock) -> BifrostError | None:
        try:
            answer = await self._link.exchange(block.frame, block.unit, self._timeout, self._tally)
            undecodable = block.decode(answer, self._values)
        except BifrostError as error:
            return error
        if undecodable is not None:
            note_undecodable(self._errors, undecodable)
        self._health.answered(block.unit)
        return None

    async def _ask_again(self, block: ModbusBlock, error: BifrostError) -> None:
        for turn in range(self._busy_retries):
            await asyncio.sleep(_BUSY_WAITS[min(turn, len(_BUSY_WAITS) - 1)])
            again = await self._ask(block)
            if again is None:
                return
            error = again
            if not isinstance(error, ModbusFault) or error.code not in BUSY_CODES:
                await self.settle(block, error)
                return
            self.faults += 1
        spread(self._errors, block, error)

    async def _bisect(self, block: ModbusBlock, fault: ModbusFault) -> None:
        halves = block.halves()
        if halves is None:
            self.refusals[block.range] = fault
            spread(self._errors, block, fault)
            return
        outcomes = []
        for half in halves:
            error = await self._ask(half)
            outcomes.append(error)
            if error is not None:
                await self.settle(half, error)
        if outcomes == [None, None]:
            # Each half is fine alone: what lies between, or the size of the whole, was refused.
            unit, function, _, stop = halves[0].range
            start = halves[1].range[2]
            self.barriers.append((unit, function, min(stop, start), start))
