"""Neighbouring writes joined into one request; only for those who ask for it, for it changes what the device sees.

In: write items in order. Out: as few as there can be, in the same order. Pure.
"""

from __future__ import annotations

from collections.abc import Sequence

from bifrost.plc.drivers.base import WriteItem
from bifrost.plc.modbus.writing import MAX_WRITE_BITS, BitsWrite, ValuesWrite, WriteSingle

__all__ = ["merge_writes"]


def merge_writes(items: Sequence[WriteItem], *, single: WriteSingle, most: int) -> list[WriteItem]:
    """Join items that follow each other, in the list and in the device.

    Values join if the second begins right behind the first, in the same unit and area; bits if they are of one
    register. Nothing changes its place: a value that is written twice is written twice.

    Args:
        items: in the order in which they are written.
        single: ``6`` joins no values, for the device takes one at a time.
        most: registers in one request.
    """
    merged: list[WriteItem] = []
    for item in items:
        joined = _joined(merged[-1], item, single, most) if merged else None
        if joined is None:
            merged.append(item)
        else:
            merged[-1] = WriteItem(merged[-1].tag, joined, item.unit)
    return merged


def _joined(before: WriteItem, item: WriteItem, single: WriteSingle, most: int) -> ValuesWrite | BitsWrite | None:
    first, second = before.request, item.request
    if before.unit != item.unit:
        return None
    if isinstance(first, BitsWrite) and isinstance(second, BitsWrite):
        return _joined_bits(first, second)
    if isinstance(first, ValuesWrite) and isinstance(second, ValuesWrite) and single != "6":
        return _joined_values(first, second, single, most)
    return None


def _joined_bits(first: BitsWrite, second: BitsWrite) -> BitsWrite | None:
    # A bit that both name would be the second's to decide, but then the device would never see the first's.
    named_twice = ~first.and_mask & ~second.and_mask & 0xFFFF
    if first.address != second.address or named_twice:
        return None
    return BitsWrite(first.address, first.and_mask & second.and_mask, first.or_mask | second.or_mask)


def _joined_values(first: ValuesWrite, second: ValuesWrite, single: WriteSingle, most: int) -> ValuesWrite | None:
    if first.bits != second.bits or first.address + len(first.values) != second.address:
        return None
    if len(first.values) + len(second.values) > (MAX_WRITE_BITS if first.bits else most):
        return None
    return ValuesWrite.of(first.bits, first.address, first.values + second.values, single)
