"""Tumbling windows the slow way: keeps every row, sorts, and asks `statistics` and `fractions`.

In: rows in order of arrival. Out: the rows that the native windows must derive, and what they must count.
"""

from __future__ import annotations

import statistics
from fractions import Fraction

Row = tuple[str, int, object, int]
Derived = tuple[str, int, object, int]

PARTIAL = 0x405


def aggregate(name: str, rows: list[tuple[int, int | float]]) -> object:
    numbers = [number for _, number in rows]
    by_time = sorted(rows, key=lambda row: row[0])  # stable: equal times stay in order of arrival
    first = by_time[0][1]
    last = by_time[-1][1]
    whole = all(isinstance(number, int) for number in numbers)
    by_name: dict[str, object] = {
        "count": len(numbers),
        "sum": sum(numbers) if whole else float(exact_sum(numbers)),
        "mean": float(exact_sum(numbers) / len(numbers)),
        "min": min(numbers),
        "max": max(numbers),
        "std": statistics.stdev([Fraction(number) for number in numbers]) if len(numbers) > 1 else 0.0,
        "first": first,
        "last": last,
        "delta": last - first,
    }
    return by_name[name]


def exact_sum(numbers: list[int | float]) -> Fraction:
    return sum((Fraction(number) for number in numbers), Fraction(0))


class Windows:
    """As `TumblingWindows`, for rows whose values are int, float, bool or None."""

    def __init__(self, aggregates: list[str], *, size: int, disorder: int) -> None:
        self.aggregates = aggregates
        self.size = size
        self.disorder = disorder
        self.marks: dict[str, int] = {}
        self.open: dict[tuple[int, str], list[tuple[int, int | float, int]]] = {}
        self.tags: list[str] = []
        self.late = 0
        self.bad = 0

    def push(self, rows: list[Row]) -> list[Derived]:
        done: list[tuple[int, int, list[tuple[int, int | float, int]]]] = []
        for tag, time, value, status in rows:
            if tag not in self.tags:
                self.tags.append(tag)
            start = time // self.size * self.size
            mark = self.marks.get(tag)
            is_bad = status >> 30 >= 2
            self.bad += is_bad
            if mark is not None and start + self.size <= mark:
                self.late += 1
            elif not is_bad and isinstance(value, int | float):
                number = int(value) if isinstance(value, bool) else value
                self.open.setdefault((start, tag), []).append((time, number, status))
            new = time - self.disorder
            if mark is None or new > mark:
                self.marks[tag] = mark = new
            over = [key for key in self.open if key[1] == tag and key[0] + self.size <= mark]
            done += [(key[0], self.tags.index(tag), self.open.pop(key)) for key in over]
        return self.derive(done, 0)

    def flush(self) -> list[Derived]:
        done = [(start, self.tags.index(tag), rows) for (start, tag), rows in self.open.items()]
        self.open.clear()
        return self.derive(done, PARTIAL)

    def derive(self, done: list[tuple[int, int, list[tuple[int, int | float, int]]]], mark: int) -> list[Derived]:
        derived: list[Derived] = []
        for start, tag, rows in sorted(done, key=lambda each: each[:2]):
            uncertain = 0x4000_0000 if any(status >> 30 == 1 for _, _, status in rows) else 0
            for name in self.aggregates:
                value = aggregate(name, [(time, number) for time, number, _ in rows])
                derived.append((f"{self.tags[tag]}.{name}", start, value, uncertain | mark))
        return derived
