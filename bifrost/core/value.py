"""One reading of one tag, as a person sees it. Programs that move thousands use `bifrost.core.batch.Batch`."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TypeVar, cast

import msgspec

from bifrost.core.quality import Quality, quality_of
from bifrost.errors import BadValue

__all__ = ["TagValue", "Value"]

Value = bool | int | float | str | bytes | list[object] | dict[str, object] | None

_T = TypeVar("_T")


class TagValue(msgspec.Struct, frozen=True):
    """One reading: value, status and both times.

    It can be used where its value would be: ``float(reading)``, ``f"{reading:.1f}"``, ``if reading:``. A reading
    without a value then raises `BadValue`; `expect` gives the value with a type that a type checker knows.

    Attributes:
        tag: the tag's name.
        value: None whenever the quality is BAD; never a zero that stands for an error.
        status: 32-bit OPC UA status code.
        source_ts_ns: the device's own time where it has one, else arrival; ns since 1970, UTC.
        server_ts_ns: when bifrost saw it; ns since 1970, UTC.
        error: why the quality is not GOOD, in words.
        raw: what the device sent, where `value` was scaled; None else.
        stale: true if this is an earlier value, kept while the device is out of reach; its `source_ts_ns` is old.
    """

    tag: str
    value: Value
    status: int
    source_ts_ns: int
    server_ts_ns: int
    error: str | None = None
    raw: Value = None
    stale: bool = False

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

    def expect(self, kind: type[_T]) -> _T:
        """Give the value if it is of this type; an int does where a float is asked for.

        Raises:
            BadValue: there is none, or it is of another type.
        """
        value = self._usable()
        if kind is float and isinstance(value, int) and not isinstance(value, bool):
            return cast(_T, float(value))
        if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
            text = f"tag {self.tag!r}: expected {kind.__name__}, got {type(value).__name__} {value!r:.60}"
            raise BadValue(text, status=self.status)
        return value

    def _usable(self) -> Value:
        if self.value is None:
            raise BadValue(f"tag {self.tag!r} has no value: {self.error or self.quality.name}", status=self.status)
        return self.value

    def __float__(self) -> float:
        return float(self._usable())  # type: ignore[arg-type]  # what is no number raises float's own TypeError

    def __int__(self) -> int:
        return int(self._usable())  # type: ignore[arg-type]  # as above

    def __bool__(self) -> bool:
        return bool(self._usable())

    def __format__(self, how: str) -> str:
        return format(self._usable(), how) if how else str(self)
