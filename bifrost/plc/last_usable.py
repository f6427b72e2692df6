"""The last good value of each tag that allows one to stand in while its device cannot be reached.

In: readings. Out: stand-ins for those that failed, with the time at which they were true. Pure.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from bifrost.core.quality import StatusCode
from bifrost.core.value import Value
from bifrost.plc.datatypes import Tag

__all__ = ["OUT_OF_REACH", "LastUsable", "StandIn"]

_WHOLES = 64
"""Sets of tags whose latest values are kept together."""

OUT_OF_REACH = frozenset(
    {
        StatusCode.BAD_COMMUNICATION_ERROR,
        StatusCode.BAD_NO_COMMUNICATION,
        StatusCode.BAD_NOT_CONNECTED,
        StatusCode.BAD_TIMEOUT,
    }
)
"""What a device did not say: where it said no, its last value is none."""

StandIn = tuple[list[Value], int]
"""The values of a tag and their source time, ns since 1970, UTC."""


class _Whole(NamedTuple):
    """A read of which every value was good."""

    tags: Sequence[Tag]
    slots: Sequence[int]
    values: list[Value]
    source_ns: int
    at: float
    max_age: float | None


class LastUsable:
    """Keeps what was good.

    A read without trouble costs one copy of its values, however many tags it has; they are taken apart only when
    something is out of reach.

    Args:
        room: tags whose values are kept; the oldest go first.
    """

    __slots__ = ("_kept", "_room", "_wholes")

    def __init__(self, room: int = 65_536) -> None:
        # By tag, not by name: another address of the same name is another value.
        self._kept: dict[Tag, tuple[list[Value], int, float]] = {}
        self._wholes: dict[int, _Whole] = {}
        self._room = room

    def note(
        self,
        tags: Sequence[Tag],
        slots: Sequence[int],
        values: Sequence[Value],
        status: Sequence[int] | None,
        *,
        source_ns: int,
        now: float,
        max_age: float | None,
    ) -> dict[int, StandIn]:
        """Keep the good values of a read, and tell what stands in for those out of reach.

        Args:
            tags: as they were read.
            slots: where each tag's first value stands.
            values: all values.
            status: a status code for each, or None if all are GOOD.
            source_ns: their time.
            now: monotonic time.
            max_age: seconds for tags that name none.

        Returns:
            For the first slot of each tag that has one: the values that stand in.
        """
        if status is None:
            # Taken out first: the latest stands last. Its tags are held by it, so their identity is theirs alone.
            before = self._wholes.pop(id(tags), None)
            if before is not None and max_age is None:
                max_age = before.max_age  # another reader of the same tags asked for an age
            self._wholes[id(tags)] = _Whole(tags, slots, list(values), source_ns, now, max_age)
            if len(self._wholes) > _WHOLES:
                self._take_apart()
            return {}
        self._take_apart()
        found: dict[int, StandIn] = {}
        for tag, slot in zip(tags, slots, strict=True):
            allowed = max_age if tag.max_age is None else tag.max_age
            if allowed is None:
                continue
            stop = slot + tag.count
            worst = max(status[slot:stop])
            if worst < StatusCode.BAD:
                self._keep(tag, list(values[slot:stop]), source_ns, now)
            elif worst not in OUT_OF_REACH:
                self._kept.pop(tag, None)
            elif (kept := self._kept.get(tag)) is not None:
                last, last_ns, at = kept
                if now - at <= allowed:
                    found[slot] = (last, last_ns)
        return found

    def _take_apart(self) -> None:
        for whole in self._wholes.values():
            for tag, slot in zip(whole.tags, whole.slots, strict=True):
                if whole.max_age is not None or tag.max_age is not None:
                    self._keep(tag, whole.values[slot : slot + tag.count], whole.source_ns, whole.at)
        self._wholes.clear()

    def _keep(self, tag: Tag, values: list[Value], source_ns: int, at: float) -> None:
        if len(self._kept) >= self._room and tag not in self._kept:
            del self._kept[next(iter(self._kept))]
        self._kept[tag] = (values, source_ns, at)
