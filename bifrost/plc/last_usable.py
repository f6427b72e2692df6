"""The last good value of each tag that allows one to stand in while its device cannot be reached.

In: readings. Out: stand-ins for those that failed, with the time at which they were true. Pure.
"""

from __future__ import annotations

from collections.abc import Sequence

from bifrost.core.quality import StatusCode
from bifrost.core.value import Value
from bifrost.plc.datatypes import Tag

__all__ = ["LastUsable", "StandIn"]

_OUT_OF_REACH = frozenset(
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


class LastUsable:
    """Keeps what was good.

    Args:
        room: tags whose values are kept; the oldest go first.
    """

    __slots__ = ("_kept", "_room")

    def __init__(self, room: int = 65_536) -> None:
        # By tag, not by name: another address of the same name is another value.
        self._kept: dict[Tag, tuple[list[Value], int, float]] = {}
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
        found: dict[int, StandIn] = {}
        for tag, slot in zip(tags, slots, strict=True):
            allowed = max_age if tag.max_age is None else tag.max_age
            if allowed is None:
                continue
            stop = slot + tag.count
            worst = 0 if status is None else max(status[slot:stop])
            if worst < StatusCode.BAD:
                if len(self._kept) >= self._room and tag not in self._kept:
                    del self._kept[next(iter(self._kept))]
                self._kept[tag] = (list(values[slot:stop]), source_ns, now)
            elif worst not in _OUT_OF_REACH:
                self._kept.pop(tag, None)
            elif (kept := self._kept.get(tag)) is not None:
                last, last_ns, at = kept
                if now - at <= allowed:
                    found[slot] = (last, last_ns)
        return found
