"""What a read brings: flat columns underneath, for people a mapping from tag names to `TagValue`s.

In: a plan and a driver's readings. Out: one object per tag, made when somebody asks for it. Programs that move
thousands use batches instead.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from bifrost.core.quality import Quality, StatusCode, quality_of
from bifrost.core.value import TagValue, Value
from bifrost.errors import BadValue, BifrostError
from bifrost.plc.last_usable import StandIn
from bifrost.plc.prepared import PreparedRead
from bifrost.plc.scaling import raw_of

__all__ = ["Reading", "TagReadings", "first_error"]

_STALE = int(StatusCode.UNCERTAIN_LAST_USABLE_VALUE)


class Reading:
    """One read, column by column.

    Attributes:
        values: one for each slot of the plan, scaled; None where the status is BAD.
        status: one OPC UA status code for each slot, or None if all are GOOD.
        errors: for each slot that is not GOOD, why.
        source_ns: the values' time, ns since 1970, UTC.
        arrived_ns: when the last answer came; ns since 1970, UTC.
        monotonic: the same by the clock that never jumps, in seconds.
        raw: what came, for each slot that was scaled.
        stand_ins: for the first slot of a tag whose last good value stands in: the values, and their own time.
    """

    __slots__ = ("arrived_ns", "errors", "monotonic", "raw", "source_ns", "stand_ins", "status", "values")

    def __init__(
        self,
        values: list[Value],
        status: list[int] | None,
        errors: Mapping[int, BifrostError],
        *,
        source_ns: int,
        arrived_ns: int,
        monotonic: float,
        raw: Mapping[int, Value],
    ) -> None:
        self.values = values
        self.status = status
        self.errors = errors
        self.source_ns = source_ns
        self.arrived_ns = arrived_ns
        self.monotonic = monotonic
        self.raw = raw
        self.stand_ins: Mapping[int, StandIn] = {}

    @classmethod
    def all_bad(cls, total: int, status: int, error: BifrostError, *, now_ns: int, monotonic: float) -> Reading:
        """Say of every slot that it could not be read."""
        errors = dict.fromkeys(range(total), error)
        bad: list[Value] = [None] * total
        return cls(bad, [status] * total, errors, source_ns=now_ns, arrived_ns=now_ns, monotonic=monotonic, raw={})

    def shown(self) -> tuple[list[Value], list[int] | None]:
        """Give the values and their status as they are told, with those that stand in."""
        if not self.stand_ins:
            return self.values, self.status
        assert self.status is not None, "only what is BAD has a stand-in"
        values, status = list(self.values), list(self.status)
        for slot, (last, _) in self.stand_ins.items():
            values[slot : slot + len(last)] = last
            status[slot : slot + len(last)] = [_STALE] * len(last)
        return values, status

    def status_of(self, slot: int, count: int) -> int:
        """Tell the worst status of a tag."""
        return 0 if self.status is None else max(self.status[slot : slot + count])

    def error_of(self, slot: int, count: int) -> BifrostError | None:
        """Tell the first thing that is wrong with a tag."""
        reasons = (self.errors.get(at) for at in range(slot, slot + count))
        return next((reason for reason in reasons if reason is not None), None)


class TagReadings(Mapping[str, TagValue]):
    """Readings by tag name, in the order in which the tags were asked for; immutable.

    ``readings["temperature"].value`` is one value, with its quality beside it; `values_dict` gives all of them bare.
    """

    __slots__ = ("_made", "_prepared", "_reading")

    def __init__(self, prepared: PreparedRead, reading: Reading) -> None:
        self._prepared = prepared
        self._reading = reading
        self._made: dict[str, TagValue] = {}

    def __getitem__(self, name: str) -> TagValue:
        made = self._made.get(name)
        if made is None:
            made = self._made[name] = self._make(self._prepared.index[name])
        return made

    def _make(self, at: int) -> TagValue:
        """Gather a tag's slots; an array with one bad value is bad as a whole."""
        tag, slot = self._prepared.tags[at], self._prepared.plan.slots[at]
        reading, count = self._reading, tag.count
        status = reading.status_of(slot, count)
        values = reading.values
        value: Value = values[slot] if count == 1 else list(values[slot : slot + count])
        if status == StatusCode.GOOD:
            raw = raw_of(reading.raw, slot, count) if reading.raw else None
            return TagValue(tag.name, value, status, reading.source_ns, reading.arrived_ns, None, raw)
        reason = reading.error_of(slot, count)
        error = None if reason is None else str(reason)
        if (stand_in := reading.stand_ins.get(slot)) is not None:
            last, last_ns = stand_in
            value = last[0] if count == 1 else list(last)
            return TagValue(tag.name, value, _STALE, last_ns, reading.arrived_ns, error, stale=True)
        if quality_of(status) is Quality.BAD:
            value = None
        raw = raw_of(reading.raw, slot, count)
        return TagValue(tag.name, value, status, reading.source_ns, reading.arrived_ns, error, raw)

    def __iter__(self) -> Iterator[str]:
        return iter(self._prepared.index)

    def __len__(self) -> int:
        return len(self._prepared.index)

    def __contains__(self, name: object) -> bool:
        return name in self._prepared.index

    def __repr__(self) -> str:
        shown = ", ".join(f"{name}={reading.value!r} ({reading.quality.name})" for name, reading in self.items())
        return f"{type(self).__name__}({shown})"

    def values_dict(self) -> dict[str, Value]:
        """Give the bare values by name; None where the quality is BAD."""
        if self._reading.status is None and self._prepared.plan.total == len(self._prepared.index):
            return dict(zip(self._prepared.index, self._reading.values, strict=True))
        return {name: reading.value for name, reading in self.items()}

    @property
    def monotonic(self) -> float:
        """When the last answer came, by the connection's clock that never jumps, in seconds: for ages and durations."""
        return self._reading.monotonic

    @property
    def ok(self) -> bool:
        """True if every reading is GOOD."""
        return self._reading.status is None or not any(self._reading.status)

    @property
    def errors(self) -> dict[str, str]:
        """Why, for each tag that is not GOOD."""
        return {name: reading.error or reading.quality.name for name, reading in self.items() if not reading.ok}


def first_error(prepared: PreparedRead, reading: Reading) -> BifrostError | None:
    """Find the first thing that went wrong in a read; None if nothing did."""
    slots: Sequence[int] = prepared.plan.slots
    for tag, slot in zip(prepared.tags, slots, strict=True):
        if (error := reading.error_of(slot, tag.count)) is not None:
            return error
        if (status := reading.status_of(slot, tag.count)) >= StatusCode.BAD:
            return BadValue(f"tag {tag.name!r} has no value: status {status:#010x}, and no word why", status=status)
    return None
