"""The labelled windows of the recording, and how detected anomalies are held against them.

In: source times of anomalies. Out: which windows were found, and the false alarms. Not here: detection.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from importlib import resources

import msgspec

__all__ = ["Assessment", "LabelledWindow", "assess", "load_windows"]

_EPISODE_GAP_NS = 24 * 3600 * 10**9
"""Alarms closer than a day are one episode to the person who is called out."""


class LabelledWindow(msgspec.Struct, frozen=True):
    """A stretch of the recording that its owners labelled as anomalous; ns since 1970, UTC, both ends included."""

    start_ns: int
    end_ns: int

    def touches(self, ts_ns: int, span_ns: int) -> bool:
        """True if the time from `ts_ns` on, `span_ns` long, has a part in the window."""
        return ts_ns <= self.end_ns and ts_ns + span_ns >= self.start_ns


class Assessment(msgspec.Struct, frozen=True):
    """Detected anomalies held against the labelled windows.

    Attributes:
        windows: all labelled windows.
        found: for each window, the time of the first anomaly inside it, or None.
        false_alarms: anomalies outside every window.
        false_episodes: the same, where alarms less than a day apart count once.
    """

    windows: tuple[LabelledWindow, ...]
    found: tuple[int | None, ...]
    false_alarms: tuple[int, ...]
    false_episodes: int

    @property
    def found_count(self) -> int:
        """How many windows have at least one anomaly inside."""
        return sum(first is not None for first in self.found)


class _LabelFile(msgspec.Struct):
    source: str
    licence: str
    windows: list[tuple[datetime, datetime]]


def load_windows() -> tuple[LabelledWindow, ...]:
    """Read the four labelled windows of the machine temperature recording, in time order."""
    path = resources.files("bifrost.demo") / "data" / "machine_temperature_windows.json"
    labels = msgspec.json.decode(path.read_bytes(), type=_LabelFile)
    return tuple(
        LabelledWindow(start_ns=int(start.timestamp()) * 10**9, end_ns=int(end.timestamp()) * 10**9)
        for start, end in labels.windows
    )


def assess(anomalies_ns: Sequence[int], windows: Sequence[LabelledWindow], *, span_ns: int = 0) -> Assessment:
    """Hold the source times of anomalies against the labelled windows.

    Args:
        anomalies_ns: source times, ns since 1970, UTC, in any order.
        windows: the labelled windows.
        span_ns: how much time an anomaly judges from its source time on, such as the length of the mean that it was
            found in; it is inside a window if that time touches it.
    """
    ordered = sorted(anomalies_ns)
    found = tuple(next((ts for ts in ordered if window.touches(ts, span_ns)), None) for window in windows)
    outside = tuple(ts for ts in ordered if not any(window.touches(ts, span_ns) for window in windows))
    episodes = sum(
        previous is None or ts - previous > _EPISODE_GAP_NS
        for previous, ts in zip((None, *outside), outside, strict=False)
    )
    return Assessment(windows=tuple(windows), found=found, false_alarms=outside, false_episodes=episodes)
