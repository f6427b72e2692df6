"""One reading of one tag, as a person sees it. Programs that move thousands use `bifrost.core.batch.Batch`."""

from __future__ import annotations

from datetime import UTC, datetime

import msgspec

from bifrost.core.quality import Quality, quality_of

__all__ = ["TagValue", "Value"]

Value = bool | int | float | str | bytes | list[object] | None


class TagValue(msgspec.Struct, frozen=True):
    """One reading: value, status and both times.

    Attributes:
        tag: the tag's name.
        value: None whenever the quality is BAD; never a zero that stands for an error.
        status: 32-bit OPC UA status code.
        source_ts_ns: the device's own time where it has one, else arrival; ns since 1970, UTC.
        server_ts_ns: when bifrost saw it; ns since 1970, UTC.
        error: why the quality is not GOOD, in words.
    """

    tag: str
    value: Value
    status: int
    source_ts_ns: int
    server_ts_ns: int
    error: str | None = None

    @property
    def quality(self) -> Quality:
        """GOOD, UNCERTAIN or BAD."""
        return quality_of(self.status)

    @property
    def ok(self) -> bool:
        """True if the quality is GOOD."""
        return self.quality is Quality.GOOD

    @property
    def source_time(self) -> datetime:
        """The source time as an aware datetime (microseconds; the integer keeps the rest)."""
        return datetime.fromtimestamp(self.source_ts_ns // 1_000 / 1e6, tz=UTC)
