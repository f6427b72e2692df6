"""How a pipeline cuts time into windows."""

from __future__ import annotations

import math

import msgspec

from bifrost._native import TumblingWindows
from bifrost.edge.aggregator import Aggregator
from bifrost.errors import ConfigError

__all__ = ["Window"]


class Window(msgspec.Struct, frozen=True, kw_only=True):
    """A way to cut time; made by `Window.tumbling`.

    Windows run on event time: the rows' own source times, never the time of arrival. Each tag has its own watermark,
    the latest source time seen less `max_out_of_order`; a window is emitted once, when the watermark reaches its end.

    Attributes:
        seconds: length, above 0.
        offset: shift of the alignment to 1970-01-01 00:00 UTC, in seconds, from 0 up to `seconds`.
        max_out_of_order: how many seconds of source time an older row may come after a newer one of its tag. Rows that
            come later than that are counted as late and dropped.
        idle_timeout: seconds without any row of a tag after which the monotonic clock moves its watermark, so that a
            dead device stops no window.
        max_future: seconds that a row may be ahead of the wall clock and be believed; rows beyond it are used and
            counted, but move the watermark as if they were of now, so that a wrong device clock cannot close the
            windows of honest rows. Ten such rows in a row, over `idle_timeout` at least, are believed after all.
    """

    seconds: float
    offset: float = 0.0
    max_out_of_order: float = 2.0
    idle_timeout: float = 10.0
    max_future: float = 60.0

    @staticmethod
    def tumbling(
        seconds: float,
        *,
        offset: float = 0.0,
        max_out_of_order: float = 2.0,
        idle_timeout: float = 10.0,
        max_future: float = 60.0,
    ) -> Window:
        """Cut time into windows without gap or overlap: half-open, aligned to the epoch. Arguments as in the class.

        Raises:
            ConfigError: a number is outside its range.
        """
        window = Window(
            seconds=seconds,
            offset=offset,
            max_out_of_order=max_out_of_order,
            idle_timeout=idle_timeout,
            max_future=max_future,
        )
        window.start([Aggregator.count()])
        return window

    def start(self, aggregators: list[Aggregator]) -> TumblingWindows:
        """Make the running state of this window.

        Raises:
            ConfigError: a number is outside its range.
        """
        return TumblingWindows(
            [aggregator.name for aggregator in aggregators],
            size_ns=_nanoseconds("seconds", self.seconds),
            offset_ns=_nanoseconds("offset", self.offset),
            max_out_of_order_ns=_nanoseconds("max_out_of_order", self.max_out_of_order),
            max_future_ns=_nanoseconds("max_future", self.max_future),
            idle_ns=_nanoseconds("idle_timeout", self.idle_timeout),
        )


def _nanoseconds(name: str, seconds: object) -> int:
    # Nine thousand years keep sums of times far from the end of 64 bits.
    if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not math.isfinite(seconds):
        raise ConfigError(f"window {name}: expected a finite number of seconds, got {seconds!r}")
    if abs(seconds) > 1e8:
        raise ConfigError(f"window {name}: expected at most 1e8 s, got {seconds!r}")
    return round(seconds * 1e9)
