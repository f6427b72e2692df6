"""What is worth publishing of a poll, and when a device's polls begin: rows and seconds in, decisions out.

Not here: the polls themselves (`bifrost.plc.actor`), their ticks (`bifrost.plc.ticker`), any I/O, any clock.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence

from bifrost.core.quality import StatusCode
from bifrost.errors import ConfigError

__all__ = ["BadRowGate", "RecordCounter", "stagger"]

_BAD = int(StatusCode.BAD)
"""The top bit of a status code says BAD, whatever stands below it; OPC 10000-4 section 7.39."""

_STALE = int(StatusCode.UNCERTAIN_LAST_USABLE_VALUE)


def stagger(name: str, interval: float) -> float:
    """Choose the moment within `interval` at which a device's polls begin; the same name gives the same moment.

    Args:
        name: of the device, or of its polling group.
        interval: seconds between two polls.

    Returns:
        Seconds, 0 or more, less than `interval`, and at most one second: a slow device is not kept waiting either.
    """
    return zlib.crc32(name.encode()) / 2**32 * min(interval, 1.0)


class BadRowGate:
    """Lets a bad row through when its status is news, and again every `repeat` seconds; other rows always.

    A last value that stands in counts as bad: it is the same old one in each poll. So an outage is seen at once,
    whoever listens later learns of it, and a long one fills no buffer.

    Args:
        rows: how many rows a poll has.
        repeat: seconds between two rows of the same bad status; 0 lets every row through.

    Raises:
        ConfigError: `repeat` is negative or no number.
    """

    __slots__ = ("_next", "_repeat", "_status", "_troubled", "rows")

    def __init__(self, rows: int, *, repeat: float) -> None:
        if not repeat >= 0:
            raise ConfigError(f"bad_repeat: expected 0 or more seconds, got {repeat!r}")
        self.rows = rows
        self._repeat = repeat
        self._status = [0] * rows
        self._next = [0.0] * rows
        self._troubled = False

    def open_for(self, status: Sequence[int] | None, now: float) -> list[int] | None:
        """Say which rows of a poll are to be published.

        Args:
            status: one 32-bit status code for each row; None: all are GOOD.
            now: monotonic time of the poll.

        Returns:
            Positions in ascending order, or None for all of them.
        """
        if status is None or not any(status):
            # The usual case: every row is GOOD, and was before.
            if self._troubled:
                self._status = [0] * self.rows
                self._troubled = False
            return None
        self._troubled = True
        chosen: list[int] = []
        for at, code in enumerate(status):
            if code >= _BAD or code == _STALE:
                if code == self._status[at] and now < self._next[at]:
                    continue
                self._next[at] = now + self._repeat
            self._status[at] = code
            chosen.append(at)
        return None if len(chosen) == len(status) else chosen


class RecordCounter:
    """Tells a new record from one that was read before, by the number that the device gives its records.

    Attributes:
        missed: records that were never seen, since the number jumped by more than one.
    """

    __slots__ = ("_last", "missed")

    def __init__(self) -> None:
        self._last: int | None = None
        self.missed = 0

    def is_new(self, number: object) -> bool:
        """Take the number of the record at hand; None or no whole number, as in an outage, always counts as new.

        A number that goes back is a device that started again: a new record, and none is counted as missed.
        """
        if isinstance(number, bool) or not isinstance(number, int):
            # What was seen before the outage is still known: missed records are counted when the device is back.
            return True
        last, self._last = self._last, number
        if last is None:
            return True
        if number > last + 1:
            self.missed += number - last - 1
        return number != last
