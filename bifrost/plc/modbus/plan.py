"""A read plan that learns which addresses the device does not have.

In: tags and limits. Out: blocks to read, in `ModbusPlan` (Rust). Pure; no I/O.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from typing import TypeAlias, TypedDict

from bifrost._native import ModbusBlock, ModbusPlan
from bifrost.errors import BifrostError, ConfigError, ModbusFault
from bifrost.plc.datatypes import ByteOrder, DataType, Tag
from bifrost.plc.modbus.address import ModbusAddress, words_of

__all__ = ["ModbusReadPlan", "ReadLimits"]


_Field: TypeAlias = tuple[int, int, int, str, str, int, int, int | None]

_BROADCAST = 0
_UNREADABLE = ConfigError("unit 0 is the broadcast: it can be written, but nobody answers; name the unit to read")


class ReadLimits(TypedDict):
    """How far requests are merged, as `ModbusPlan` takes it."""

    max_gap_registers: int
    max_gap_bits: int
    max_registers: int
    max_bits: int


class ModbusReadPlan:
    """The requests for a set of tags.

    Attributes:
        tags: in the caller's order.
        slots: where each tag's first value stands.
        total: values in all.
        blocks: the requests, in order of unit, area and address.
        ask_again_at: monotonic time from which what was refused may be asked for again.
        refused: for each slot that is not asked for, or not any more, why: what the device said, or that its unit is
            0, the broadcast, which nobody answers.
        wide: slots of UINT64, which may not fit 64 bits with a sign.
        torn: slots of values wider than one request may be, whose parts may be of different age.
    """

    __slots__ = (
        "_barriers",
        "_fields",
        "_limits",
        "_refusals",
        "_unreadable",
        "ask_again_at",
        "blocks",
        "refused",
        "slots",
        "tags",
        "torn",
        "total",
        "wide",
    )

    def __init__(
        self, tags: Sequence[Tag], *, unit: int, byte_order: ByteOrder, limits: ReadLimits, base: int = 1
    ) -> None:
        self.tags = tuple(tags)
        self._limits = limits
        self._fields = [_field(tag, unit, byte_order, base) for tag in self.tags]
        self._refusals: dict[tuple[int, int, int, int], ModbusFault] = {}
        self._barriers: list[tuple[int, int, int, int]] = []
        self._unreadable = [_stretch(field, words) for field, words in self._sized() if field[0] == _BROADCAST]
        self.ask_again_at = 0.0
        plan = ModbusPlan(self._fields, **limits, refused=self._unreadable)
        self.slots: list[int] = plan.slots
        self.total: int = plan.total
        self.torn: list[int] = plan.torn
        self.blocks: list[ModbusBlock] = plan.blocks
        self.refused: dict[int, BifrostError] = dict.fromkeys(plan.refused, _UNREADABLE) if self._unreadable else {}
        self.wide = [
            slot + index
            for tag, slot in zip(self.tags, self.slots, strict=True)
            if tag.datatype is DataType.UINT64
            for index in range(tag.count)
        ]

    def learn(
        self,
        refusals: dict[tuple[int, int, int, int], ModbusFault],
        barriers: list[tuple[int, int, int, int]],
        *,
        ask_again_at: float,
    ) -> None:
        """Plan anew around what the device refused: values it does not have, and gaps it cannot be read across."""
        self.ask_again_at = ask_again_at
        self._refusals.update(refusals)
        self._barriers.extend(barriers)
        refused = [*self._refusals, *self._unreadable]
        plan = ModbusPlan(self._fields, **self._limits, refused=refused, barriers=self._barriers)
        self.blocks = plan.blocks
        self.torn = plan.torn
        said: dict[tuple[int, int, int], BifrostError] = {
            (unit, function, at): fault
            for (unit, function, start, stop), fault in self._refusals.items()
            for at in range(start, stop)
        }
        self.refused = {slot: said.get(self._place(slot), _UNREADABLE) for slot in plan.refused}

    def forget(self) -> None:
        """Ask for everything again: the device may be another one, or its program was changed."""
        if self._refusals or self._barriers:
            self._refusals.clear()
            self._barriers.clear()
            self.learn({}, [], ask_again_at=0.0)

    def _sized(self) -> Iterable[tuple[_Field, int]]:
        for field, tag in zip(self._fields, self.tags, strict=True):
            yield field, words_of(tag.resolved.datatype, tag.resolved.length) * tag.count

    def _place(self, slot: int) -> tuple[int, int, int]:
        """Tell unit, function and address of the value in a slot."""
        index = bisect_right(self.slots, slot) - 1
        unit, function, address, *_ = self._fields[index]
        place: ModbusAddress = self.tags[index].resolved
        return unit, function, address + (slot - self.slots[index]) * words_of(place.datatype, place.length)


def _stretch(field: _Field, words: int) -> tuple[int, int, int, int]:
    unit, function, address, *_ = field
    return unit, function, address, address + words


def _field(tag: Tag, unit: int, byte_order: ByteOrder, base: int) -> _Field:
    address: ModbusAddress = tag.resolved
    return (
        unit if address.unit is None else address.unit,
        address.area.function,
        address.offset_from(base),
        address.datatype.value,
        (address.byte_order or byte_order).value,
        address.count,
        address.length,
        address.bit,
    )
