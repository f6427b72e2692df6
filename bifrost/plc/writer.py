"""Writes: checked before anything is sent, sent once, in the given order.

In: tags and values. Out: what became of each. Not here: drivers, reconnecting.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast

from bifrost.core.value import Value
from bifrost.errors import BifrostError, ConfigError, WriteError
from bifrost.plc.datatypes import Tag
from bifrost.plc.drivers.base import MergingDriver, WriteItem
from bifrost.plc.prepared import PreparedReads
from bifrost.plc.readback import was_kept
from bifrost.plc.reader import Reader
from bifrost.plc.readings import first_error
from bifrost.plc.reconnect import LinkKeeper
from bifrost.plc.scaling import raw_of, unscaled
from bifrost.plc.writes import WriteResults

__all__ = ["Writer"]

_Job = tuple[WriteItem, list[WriteItem]]
"""What is sent at once, and the items that are in it."""


class Writer:
    """The way of every write of one connection.

    Attributes:
        writes: values that were sent, or tried to be.
    """

    __slots__ = ("_keeper", "_planner", "_plans", "_reader", "_timeout", "writes")

    def __init__(self, keeper: LinkKeeper, plans: PreparedReads, reader: Reader, *, timeout: float) -> None:
        self.writes = 0
        self._keeper = keeper
        self._plans = plans
        self._planner = plans.planner
        self._reader = reader
        self._timeout = timeout

    async def write(self, tag: Tag | str, value: object) -> None:
        """Write one value; raises what went wrong."""
        await self._send(self._prepare(self._plans.tag(tag), value), 1)

    async def write_tags(
        self, values: Mapping[Any, object], *, atomic: bool, verify: bool, merge: bool
    ) -> WriteResults:
        """Write several values in order; see `PLCConnection.write_tags`."""
        tags, jobs = self.planned(values, atomic=atomic, merge=merge)
        outcomes: dict[str, BifrostError | None] = {}
        for item, members in jobs:
            error = await self._outcome(item, len(members))
            outcomes.update(dict.fromkeys([member.tag.name for member in members], error))
        if verify:
            await self._verify(tags, list(values.values()), outcomes)
        return WriteResults(outcomes)

    def planned(self, values: Mapping[Any, object], *, atomic: bool, merge: bool) -> tuple[list[Tag], list[_Job]]:
        """Check and encode several values, and tell what is to be sent; pure; raises what is wrong."""
        asked: object = values
        if not isinstance(asked, Mapping):
            raise ConfigError(f"expected values by tag, such as {{'speed': 5}}, got {asked!r:.60}")
        tags = [self._plans.tag(tag) for tag in values]
        if len({tag.name for tag in tags}) != len(tags):
            raise ConfigError("two of the tags have the same name; write each once")
        items = [self._prepare(tag, value) for tag, value in zip(tags, values.values(), strict=True)]
        jobs = self._jobs(items, merge=merge)
        if atomic and len(jobs) > 1:
            text = (
                f"{len(tags)} values need {len(jobs)} requests; atomic writes go out as one, to neighbours of one kind"
            )
            raise ConfigError(text)
        return tags, jobs

    def _prepare(self, tag: Tag, value: object) -> WriteItem:
        return self._planner.prepare(tag, unscaled(tag, value))

    def _jobs(self, items: Sequence[WriteItem], *, merge: bool) -> list[_Job]:
        if not merge or not items or not self._planner.capabilities.merge_writes:
            return [(item, [item]) for item in items]
        merged = cast(MergingDriver, self._planner).merge(items)
        # A merged item bears the tag of the first of its neighbours: up to the next one's first, they are its own.
        starts = [next(at for at, item in enumerate(items) if item.tag is job.tag) for job in merged]
        stops = [*starts[1:], len(items)]
        return [(job, list(items[start:stop])) for job, start, stop in zip(merged, starts, stops, strict=True)]

    async def _outcome(self, item: WriteItem, count: int) -> BifrostError | None:
        try:
            await self._send(item, count)
        except BifrostError as error:
            return error
        return None

    async def _send(self, item: WriteItem, count: int) -> None:
        driver = self._keeper.driver
        if driver is None:
            raise self._keeper.down()
        self.writes += count
        await driver.write(item, timeout=self._timeout)

    async def _verify(
        self, tags: Sequence[Tag], values: Sequence[object], outcomes: dict[str, BifrostError | None]
    ) -> None:
        for tag, value in zip(tags, values, strict=True):
            if outcomes[tag.name] is not None:
                continue
            prepared = self._plans.one(tag, self._keeper.connects)
            reading = await self._reader.read(prepared)
            if (error := first_error(prepared, reading)) is not None:
                outcomes[tag.name] = WriteError(f"it was written, but reading it back failed: {error}")
                continue
            found: Value = reading.values[0] if tag.count == 1 else list(reading.values)
            raw = raw_of(reading.raw, 0, tag.count) if reading.raw else found
            if not was_kept(tag, unscaled(tag, value), raw):
                outcomes[tag.name] = WriteError(
                    f"it was written, but the device now has {found!r:.60}, not {value!r:.60}"
                )
