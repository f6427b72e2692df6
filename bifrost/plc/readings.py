"""What a read brings, for people: a mapping from tag names to `TagValue`s.

In: a plan and a driver's readings. Out: one object per tag. Programs that move thousands use batches instead.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from bifrost.core.quality import StatusCode
from bifrost.core.value import TagValue, Value
from bifrost.errors import BifrostError
from bifrost.plc.datatypes import Tag

__all__ = ["TagReadings"]


class TagReadings(Mapping[str, TagValue]):
    """Readings by tag name, in the order in which the tags were asked for; immutable.

    ``readings["temperature"].value`` is one value, with its quality beside it; `values_dict` gives all of them bare.
    """

    __slots__ = ("_by_name",)

    def __init__(self, by_name: dict[str, TagValue]) -> None:
        self._by_name = by_name

    @classmethod
    def collect(
        cls,
        tags: Sequence[Tag],
        slots: Sequence[int],
        values: Sequence[Value],
        status: Sequence[int] | None,
        errors: Mapping[int, BifrostError],
        *,
        times: tuple[int, int],
    ) -> TagReadings:
        """Gather flat values into tags; an array with one bad value is bad as a whole.

        Args:
            tags: as they were asked for.
            slots: where each tag's first value stands.
            values: all values.
            status: a status code for each, or None if all are GOOD.
            errors: why, for those that are not.
            times: source time and arrival, ns since 1970, UTC.
        """
        source_ns, arrived_ns = times
        by_name: dict[str, TagValue] = {}
        for tag, slot in zip(tags, slots, strict=True):
            code: int = StatusCode.GOOD
            error = None
            if status is not None:
                code = max(status[slot : slot + tag.count])
            value: Value = values[slot] if tag.count == 1 else list(values[slot : slot + tag.count])
            if code != StatusCode.GOOD:
                value = None
                reasons = (errors.get(at) for at in range(slot, slot + tag.count))
                error = next((str(reason) for reason in reasons if reason is not None), None)
            by_name[tag.name] = TagValue(tag.name, value, code, source_ns, arrived_ns, error)
        return cls(by_name)

    @classmethod
    def all_bad(cls, tags: Sequence[Tag], status: int, error: str, now_ns: int) -> TagReadings:
        """Say of every tag that it could not be read."""
        return cls({tag.name: TagValue(tag.name, None, status, now_ns, now_ns, error) for tag in tags})

    def __getitem__(self, name: str) -> TagValue:
        return self._by_name[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._by_name)

    def __len__(self) -> int:
        return len(self._by_name)

    def __repr__(self) -> str:
        shown = ", ".join(f"{name}={reading.value!r} ({reading.quality.name})" for name, reading in self.items())
        return f"TagReadings({shown})"

    def values_dict(self) -> dict[str, Value]:
        """Give the bare values by name; None where the quality is BAD."""
        return {name: reading.value for name, reading in self._by_name.items()}

    @property
    def ok(self) -> bool:
        """True if every reading is GOOD."""
        return all(reading.ok for reading in self._by_name.values())
