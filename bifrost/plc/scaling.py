"""Raw numbers into the trade's units and back: ``value = raw * scale + offset_value``, held within `clamp`.

In: a tag's options, raw values. Out: scaled ones, with the raw ones beside them. Pure. The drivers know nothing of it.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Mapping, Sequence

from bifrost.core.quality import StatusCode
from bifrost.core.value import Value
from bifrost.errors import DataTypeError
from bifrost.plc.datatypes import DataType, Tag

__all__ = ["Scaling", "raw_of", "unscaled", "with_held"]

_INTEGERS = frozenset(
    {
        DataType.INT8,
        DataType.UINT8,
        DataType.INT16,
        DataType.UINT16,
        DataType.INT32,
        DataType.UINT32,
        DataType.INT64,
        DataType.UINT64,
        DataType.BCD16,
        DataType.BCD32,
    }
)
_FLOATS = frozenset({DataType.FLOAT16, DataType.FLOAT32, DataType.FLOAT64})
_MOST_BITS = 64
_FLOAT_BITS = 1024
"""A whole number with more is beyond every float, too."""

_EXCEEDED = int(StatusCode.UNCERTAIN_ENGINEERING_UNITS_EXCEEDED)


class Scaling:
    """What is done to the values of one plan.

    Args:
        tags: in the plan's order.
        slots: where each tag's first value stands.
    """

    __slots__ = ("_steps",)

    def __init__(self, tags: Sequence[Tag], slots: Sequence[int]) -> None:
        self._steps = [
            (slot + index, tag.scale, tag.offset_value, tag.clamp)
            for tag, slot in zip(tags, slots, strict=True)
            if tag.scale is not None or tag.offset_value is not None or tag.clamp is not None
            for index in range(tag.count)
        ]

    def __bool__(self) -> bool:
        """True if there is anything to do."""
        return bool(self._steps)

    def apply(self, values: list[Value]) -> tuple[dict[int, Value], list[int]]:
        """Scale the numbers in place; what is None or no number stays as it is.

        Returns:
            The raw value of each slot that was scaled, and the slots that were held at a limit.
        """
        raw: dict[int, Value] = {}
        held: list[int] = []
        for slot, scale, offset, clamp in self._steps:
            value = values[slot]
            if value is None or isinstance(value, bool) or not isinstance(value, int | float):
                continue
            raw[slot] = value
            number: float = value
            if scale is not None or offset is not None:
                number = value * (1.0 if scale is None else scale) + (0.0 if offset is None else offset)
            if clamp is not None:
                low, high = clamp
                if number < low or number > high:
                    number = low if number < low else high
                    held.append(slot)
            values[slot] = number
        return raw, held


def with_held(status: list[int] | None, held: Sequence[int], total: int) -> list[int]:
    """Mark the slots that were held at a limit; a worse status stays."""
    status = [0] * total if status is None else list(status)
    for slot in held:
        status[slot] = max(status[slot], _EXCEEDED)
    return status


def unscaled(tag: Tag, value: object) -> object:
    """Turn a value that is to be written into what the device takes, each element of a list for itself.

    Raises:
        DataTypeError: it is no number, or scaled back it is beyond every number; nothing was sent.
    """
    value = _bounded(tag, value)
    if tag.scale is None and tag.offset_value is None and tag.clamp is None:
        return value
    if isinstance(value, list | tuple):
        return [_unscaled(tag, element) for element in value]
    return _unscaled(tag, value)


def _bounded(tag: Tag, value: object) -> object:
    """Refuse whole numbers that no type of any device holds; they may have more digits than Python writes down."""
    if isinstance(value, int):
        return value if value.bit_length() <= _MOST_BITS else _wide(tag, value)
    if isinstance(value, list | tuple):
        return [_bounded(tag, element) for element in value]
    if isinstance(value, Mapping):
        return {name: _bounded(tag, element) for name, element in value.items()}
    return value


def _wide(tag: Tag, value: int) -> float:
    if tag.datatype in {DataType.AUTO, DataType.STRUCT} and value.bit_length() <= _FLOAT_BITS:
        return value  # the device's own type has the last word
    if tag.datatype in _FLOATS or tag.scale is not None or tag.offset_value is not None:
        with contextlib.suppress(OverflowError):
            return float(value)
    text = f"a whole number of {value.bit_length()} bits does not fit {tag.datatype}"
    raise DataTypeError(f"tag {tag.name!r}: {text}")


def _unscaled(tag: Tag, value: object) -> object:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise DataTypeError(f"tag {tag.name!r}: expected a number, got {value!r:.60}")
    if tag.clamp is not None and not tag.clamp[0] <= value <= tag.clamp[1]:
        raise DataTypeError(f"tag {tag.name!r}: expected {tag.clamp[0]:g} to {tag.clamp[1]:g}, got {value!r:.60}")
    if tag.scale is None and tag.offset_value is None:
        return value
    try:
        raw = (value - (tag.offset_value or 0.0)) / (tag.scale or 1.0)
    except OverflowError:  # an integer beyond every float
        raw = math.inf
    if not math.isfinite(raw) and not (isinstance(value, float) and not math.isfinite(value)):
        text = f"tag {tag.name!r}: scaled back, the value is beyond the range of {tag.datatype}"
        raise DataTypeError(text)
    if tag.datatype in _INTEGERS and abs(raw) < 2**64:
        return round(raw)
    return raw


def raw_of(raw: Mapping[int, Value], slot: int, count: int) -> Value:
    """Tell the raw value of a tag; None if it was not scaled."""
    if slot not in raw:
        return None
    return raw[slot] if count == 1 else [raw.get(at) for at in range(slot, slot + count)]
