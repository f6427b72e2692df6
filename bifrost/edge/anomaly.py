"""What a detector reports."""

from __future__ import annotations

import msgspec

__all__ = ["Anomaly"]


class Anomaly(msgspec.Struct, frozen=True, kw_only=True):
    """One number that its tag's past does not explain.

    Attributes:
        tag: the label of the tag, without the suffix of an aggregate.
        source_ts_ns: the row's source time; of a windowed row the window's start. ns since 1970, UTC.
        value: the number that was judged.
        score: above 0.5, the threshold, up to 1.
        detector: the method, such as ``mad``.
        on: the aggregate that was judged, such as ``mean``; None for raw rows.
        reasons: why, in words.
    """

    tag: str
    source_ts_ns: int
    value: float
    score: float
    detector: str
    on: str | None
    reasons: tuple[str, ...]
