"""How punctual polls are, told by the device's own notes alone.

In: for each device, when requests reached it. Out: how late each came, and how many never came. Nothing is measured
inside the process that polls: what is noted holds all that delays a poll, from its timer to its bytes at the device.

A device's polls are due on a grid of whole periods; where in the period the grid lies is known from the poll that came
earliest. A poll that drifts off its grid is late, more so with every period.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks._plc_table import at

__all__ = ["Punctuality", "punctuality"]


@dataclass(frozen=True, slots=True)
class Punctuality:
    """What came of the polls of a stretch of time.

    Attributes:
        late: how much later than due each poll reached its device, in seconds.
        when: when each of them was due, in seconds from the begin.
        made: polls that came.
        due: polls that should have come.
    """

    late: tuple[float, ...]
    when: tuple[float, ...]
    made: int
    due: int

    def tails(self, slices: int, seconds: float) -> list[float]:
        """The 99th percentile of each of so many equal slices: one burst of noise spoils one of them, not all."""
        parts: list[list[float]] = [[] for _ in range(slices)]
        for when, late in zip(self.when, self.late, strict=True):
            parts[min(slices - 1, int(when / seconds * slices))].append(late)
        return [at(part, 0.99) for part in parts if part]


def punctuality(devices: Sequence[Sequence[int]], *, begin: int, end: int, period: float) -> Punctuality:
    """Judge the polls that were due from `begin` to `end` (ns), of devices that are polled every `period` seconds.

    The polling must have gone on for a period before and after, so that each poll that was due had its chance.
    """
    step = round(period * 1e9)
    late: list[float] = []
    when: list[float] = []
    made = due = 0
    for polls in devices:
        near = [poll for poll in polls if begin - step <= poll < end + step]
        if not near:
            due += (end - begin) // step
            continue
        base = _earliest(near, step)
        # Numbered from the grid's first point in the stretch.
        base += -((base - begin) // step) * step
        points = range((end - 1 - base) // step + 1)
        first: dict[int, int] = {}
        for poll in near:
            first.setdefault((poll - base) // step, poll)
        found = [point for point in points if point in first]
        late += [(first[point] - base - point * step) / 1e9 for point in found]
        when += [(base + point * step - begin) / 1e9 for point in found]
        made += len(found)
        due += len(points)
    return Punctuality(tuple(late), tuple(when), made, due)


def _earliest(polls: Sequence[int], step: int) -> int:
    """A point of the grid: where, within the period, a poll came earliest, as seen from where most of them came."""
    half = step // 2
    shifts = [(poll - polls[0] + half) % step - half for poll in polls]
    usual = sorted(shifts)[len(shifts) // 2]
    return polls[0] + usual + min((shift - usual + half) % step - half for shift in shifts)
