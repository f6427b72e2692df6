"""The device's own clock, carried by one of its tags, as the time of the other tags of the same poll.

In: readings. Out: nanoseconds since 1970, UTC.
"""

from __future__ import annotations

from bifrost.plc.drivers.base import Readings

__all__ = ["SourceTime"]

_NS = {"s": 1_000_000_000, "ms": 1_000_000, "us": 1_000, "ns": 1}
_I64_MAX = 2**63 - 1


class SourceTime:
    """Where the source time of a poll comes from.

    Attributes:
        tag: name of the tag that carries the device's clock; None: there is none, and the arrival counts.
    """

    __slots__ = ("_unit_ns", "tag")

    def __init__(self, tag: str | None, unit: str) -> None:
        self.tag = tag
        self._unit_ns = _NS[unit]

    def read(self, readings: Readings, slot: int | None) -> int:
        """Tell the source time of a poll: the device's if it was read and is a time after 1970, else the arrival."""
        if slot is None:
            return readings.arrived_ns
        value = readings.values[slot]
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value <= _I64_MAX:
            return readings.arrived_ns
        # Integers stay integers: a float has no room for nanoseconds since 1970.
        source_ns = value * self._unit_ns if isinstance(value, int) else round(value * self._unit_ns)
        return source_ns if source_ns <= _I64_MAX else readings.arrived_ns
