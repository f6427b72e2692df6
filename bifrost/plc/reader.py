"""Reads prepared tags over whatever link there is: device trouble becomes a status, raw numbers become scaled ones.

In: prepared reads. Out: `Reading`s. Not here: drivers, reconnecting, who asks.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable

from bifrost.core.clock import Clock
from bifrost.core.quality import StatusCode
from bifrost.core.value import Value
from bifrost.errors import BifrostError, LinkError, LinkTimeout, NotConnected
from bifrost.plc.drivers.base import Driver, Readings
from bifrost.plc.last_usable import LastUsable
from bifrost.plc.prepared import PreparedRead
from bifrost.plc.readings import Reading
from bifrost.plc.reconnect import LinkKeeper, LinkState
from bifrost.plc.scaling import with_held
from bifrost.plc.source_time import SourceTime

__all__ = ["Reader"]

_NO_RAW: dict[int, Value] = {}
_NO_ERRORS: dict[int, BifrostError] = {}


class Reader:
    """The way of every read of one connection.

    Attributes:
        reads: reads that reached the device.
    """

    __slots__ = ("_clock", "_keeper", "_last", "_overall", "_source_time", "_timeout", "reads")

    def __init__(
        self, keeper: LinkKeeper, clock: Clock, source_time: SourceTime, *, timeout: float, overall: float | None = None
    ) -> None:
        self.reads = 0
        self._keeper = keeper
        self._clock = clock
        self._source_time = source_time
        self._timeout = timeout
        self._overall = overall
        self._last = LastUsable()

    async def read(self, prepared: PreparedRead, max_age: float | None = None) -> Reading:
        """Read; an outage is a status of every tag.

        Args:
            prepared: what to read.
            max_age: seconds for which the last good value stands in, of tags that say nothing about it.
        """
        driver = self._keeper.driver
        if driver is None:
            return self._out_of_reach(prepared, StatusCode.BAD_NOT_CONNECTED, self._keeper.down(), max_age)
        try:
            readings = await self._ask(driver, prepared)
        except NotConnected as error:
            return self._out_of_reach(prepared, StatusCode.BAD_NOT_CONNECTED, error, max_age)
        except LinkTimeout as error:
            return self._out_of_reach(prepared, StatusCode.BAD_TIMEOUT, error, max_age)
        reading = self._take(prepared, readings, driver)
        if max_age is not None or prepared.ages:
            self._stand_in(prepared, reading, max_age)
        return reading

    async def read_strictly(self, prepared: PreparedRead) -> Reading:
        """Read; an outage is raised."""
        driver = self._keeper.driver
        if driver is None:
            raise self._keeper.down()
        return self._take(prepared, await self._ask(driver, prepared), driver)

    def _ask(self, driver: Driver, prepared: PreparedRead) -> Awaitable[Readings]:
        # No coroutine of its own: this is on the way of every read.
        if self._overall is None:
            return driver.read(prepared.plan, timeout=self._timeout)
        return self._read_in_time(driver, prepared, self._overall)

    async def _read_in_time(self, driver: Driver, prepared: PreparedRead, overall: float) -> Readings:
        deadline = asyncio.timeout(overall)
        try:
            async with deadline:
                return await driver.read(prepared.plan, timeout=self._timeout)
        except TimeoutError:
            if not deadline.expired():
                raise
            raise LinkTimeout(f"the read took longer than overall_timeout, {overall:g} s") from None

    def _take(self, prepared: PreparedRead, readings: Readings, driver: Driver) -> Reading:
        self.reads += 1
        status = readings.status
        if status is not None or self._keeper.state is not LinkState.CONNECTED:
            self._keeper.note_quality(driver)
        source_ns = self._source_time.read(readings, prepared.clock_slot)
        raw = _NO_RAW
        if prepared.scaling is not None:
            raw, held = prepared.scaling.apply(readings.values)
            if held:
                status = with_held(status, held, len(readings.values))
        return Reading(
            readings.values,
            status,
            readings.errors or _NO_ERRORS,
            source_ns=source_ns,
            arrived_ns=readings.arrived_ns,
            monotonic=self._clock.monotonic(),
            raw=raw,
        )

    def _out_of_reach(
        self, prepared: PreparedRead, status: StatusCode, error: LinkError, max_age: float | None
    ) -> Reading:
        now_ns, now = self._clock.time_ns(), self._clock.monotonic()
        reading = Reading.all_bad(prepared.plan.total, status, error, now_ns=now_ns, monotonic=now)
        if max_age is not None or prepared.ages:
            self._stand_in(prepared, reading, max_age)
        return reading

    def _stand_in(self, prepared: PreparedRead, reading: Reading, max_age: float | None) -> None:
        reading.stand_ins = self._last.note(
            prepared.tags,
            prepared.plan.slots,
            reading.values,
            reading.status,
            source_ns=reading.source_ns,
            now=reading.monotonic,
            max_age=max_age,
        )
