"""Which values are news: another status, or another value beyond the tag's deadband.

In: values slot by slot. Out: the slots that changed since they were last reported. Pure; no clock of its own.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from typing import TypeGuard

from bifrost.core.value import Value
from bifrost.plc.datatypes import Tag

__all__ = ["ChangeFilter"]


class ChangeFilter:
    """Remembers what was reported last.

    A change is measured from there, not from the reading before: a slow drift shows as soon as its sum leaves the
    deadband. The first value is news, and so is a change of status, and NaN after a number; NaN after NaN is none.

    Args:
        tags: in the order of their slots.
    """

    __slots__ = ("_bands", "_status", "_values")

    def __init__(self, tags: Sequence[Tag]) -> None:
        self._bands = [(tag.deadband, tag.deadband_type == "pct") for tag in tags for _ in range(tag.count)]
        self._values: list[Value] | None = None
        self._status: list[int] = []

    def changed(self, values: Sequence[Value], status: Sequence[int] | None) -> list[int]:
        """Tell the slots that are news, and take them as reported.

        Args:
            values: one for each slot.
            status: one 32-bit status code for each slot, or None if all are GOOD.
        """
        now = list(status) if status is not None else [0] * len(values)
        last = self._values
        if last is None:
            self._values, self._status = [_own(value) for value in values], now
            return list(range(len(values)))
        if now == self._status and _same(values, last):
            return []
        news = [slot for slot in range(len(values)) if self._is_news(slot, last[slot], values[slot], now[slot])]
        for slot in news:
            last[slot] = _own(values[slot])
            self._status[slot] = now[slot]
        return news

    def forget(self) -> None:
        """Report everything again, the next time."""
        self._values = None

    def _is_news(self, slot: int, old: Value, new: Value, status: int) -> bool:
        if status != self._status[slot]:
            return True
        if _alike(old, new):
            return False
        band, per_cent = self._bands[slot]
        if not band or not _is_number(old) or not _is_number(new):
            return True
        if per_cent and not math.isfinite(old):
            return True  # of no end is no per cent
        limit = abs(old) * (band / 100) if per_cent else band
        # Written so that NaN, which is beyond every limit and within none, is news.
        return not abs(new - old) <= limit


def _is_number(value: Value) -> TypeGuard[int | float]:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _alike(old: object, new: object) -> bool:
    if isinstance(old, dict) and isinstance(new, dict):
        return old.keys() == new.keys() and all(_alike(old[key], new[key]) for key in new)
    if isinstance(old, list) and isinstance(new, list):
        return len(old) == len(new) and all(map(_alike, old, new))
    if new == old:
        return type(new) is type(old)
    return new != new and old != old  # noqa: PLR0124 - NaN, which alone differs from itself


def _own(value: Value) -> Value:
    # Whoever got a dictionary or a list may change it; a number or a text stays what it is.
    return copy.deepcopy(value) if isinstance(value, dict | list) else value


def _same(values: Sequence[Value], last: list[Value]) -> bool:
    # Compared in C; 1 == True and 0.0 == -0.0 are no news here either, for a tag does not change its type.
    return list(values) == last
