"""Values to write, as items of a Write Var: everything that can be wrong with a value is found here, before any I/O.

A bit is written as a bit (transport size BIT), never by reading, changing and writing its byte, which would undo what
the CPU does to the other seven in between. In: a tag and a value. Out: a `WriteItem`. Pure.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import msgspec

from bifrost.errors import DataTypeError
from bifrost.plc.datatypes import Tag
from bifrost.plc.drivers.base import WriteItem
from bifrost.plc.drivers.writable import elements_to_write
from bifrost.plc.s7.address import S7Address
from bifrost.plc.s7.areas import S7Area
from bifrost.plc.s7.jobs import Job
from bifrost.plc.s7.pdu import (
    ITEM_BYTES,
    MAX_ITEMS,
    WRITE_OVERHEAD,
    Transport,
    item_specification,
    padded,
    write_data,
    write_parameters,
)
from bifrost.plc.s7.types import S7Type
from bifrost.plc.s7.values import codec_of

__all__ = ["Change", "encode_write_item", "merge_writes", "write_jobs"]

_ITEM_HEADER = 4
_STRING_ROOM_BYTES = {S7Type.STRING: 1, S7Type.WSTRING: 2}
"""Where a text begins with the room it has: that is the program's, and is never written."""
_COUNTED = {
    S7Area.TIMER: (Transport.TIMER, Transport.VALUE_OCTETS),
    S7Area.COUNTER: (Transport.COUNTER, Transport.VALUE_OCTETS),
}


class Change(msgspec.Struct, frozen=True):
    """Bytes, or one bit, that take their place with one item.

    Attributes:
        area: which memory.
        db: number of the data block, else 0.
        start: step of the address.
        data: the bytes; of a bit one byte, 0 or 1.
        each: bytes of one value: a change that is too long for a job is cut between values.
        bit: bit of the byte, if it is one.
    """

    area: S7Area
    db: int
    start: int
    data: bytes
    each: int
    bit: int | None = None

    def specification(self) -> bytes:
        """Name the place on the wire."""
        area = self.area
        if self.bit is not None:
            return item_specification(area.code, self.db, self.start * 8 + self.bit, 1, Transport.BIT)
        if area.is_counted:
            return item_specification(area.code, 0, self.start, len(self.data) // 2, _COUNTED[area][0])
        return item_specification(area.code, self.db, self.start * 8, len(self.data), Transport.BYTE)

    def value(self) -> tuple[int, bytes]:
        """Give what its length counts, and the bytes."""
        if self.bit is not None:
            return Transport.VALUE_BITS, self.data
        return _COUNTED[self.area][1] if self.area.is_counted else Transport.VALUE_BYTES, self.data

    def cut(self, most: int) -> Iterator[Change]:
        """Cut it into pieces of at most this many bytes; between values, unless one is longer than that."""
        if len(self.data) <= most:
            yield self
            return
        size = most // self.each * self.each or most
        for at in range(0, len(self.data), size):
            yield Change(
                self.area, self.db, self.start + at // self.area.step, self.data[at : at + size], self.each, None
            )


def encode_write_item(tag: Tag, value: object, *, encoding: str) -> WriteItem:
    """Check and encode a value.

    Raises:
        ConfigError: the tag may not be written.
        DataTypeError: the value does not fit the tag.
    """
    values = elements_to_write(tag, value)
    address: S7Address = tag.resolved
    codec = codec_of(address.kind, address.length, encoding)
    try:
        encoded = [codec.encode(one) for one in values]
    except DataTypeError as error:
        raise DataTypeError(f"tag {tag.name!r}: {error}") from None
    return WriteItem(tag, tuple(_changes(address, encoded)))


def _changes(address: S7Address, encoded: list[bytes]) -> Iterator[Change]:
    area, db, start = address.area, address.db, address.offset
    if address.kind is S7Type.BOOL:
        for bit, data in enumerate(encoded, address.bit):
            yield Change(area, db, start + bit // 8, data, 1, bit % 8)
        return
    room = _STRING_ROOM_BYTES.get(address.kind)
    if room is None:
        yield Change(area, db, start, b"".join(encoded), address.value_bytes)
        return
    for index, data in enumerate(encoded):
        yield Change(area, db, start + index * address.value_bytes + room, data, len(data))


def merge_writes(items: Sequence[WriteItem]) -> list[WriteItem]:
    """Join writes that follow each other without a gap, in the order given."""
    merged: list[WriteItem] = []
    for item in items:
        joined = _joined(merged[-1].request[-1], item.request[0]) if merged else None
        if joined is None:
            merged.append(item)
        else:
            last = merged[-1]
            merged[-1] = WriteItem(last.tag, (*last.request[:-1], joined, *item.request[1:]))
    return merged


def _joined(one: Change, other: Change) -> Change | None:
    """Two changes as one, if the second begins where the first ends."""
    end = one.start + len(one.data) // one.area.step
    if (one.area, one.db, end) != (other.area, other.db, other.start) or (one.bit, other.bit) != (None, None):
        return None
    # Nothing may come apart that was whole: a joined change is only cut where both could be.
    each = one.each if one.each == other.each else len(one.data) + len(other.data)
    return Change(one.area, one.db, one.start, one.data + other.data, each)


def write_jobs(changes: Sequence[Change], pdu: int) -> list[Job]:
    """Put changes into jobs of at most `pdu` bytes, in order."""
    most = pdu - WRITE_OVERHEAD - ITEM_BYTES - _ITEM_HEADER
    jobs: list[list[Change]] = []
    used = 0
    for change in changes:
        for piece in change.cut(most - (most & 1)):
            needed = ITEM_BYTES + _ITEM_HEADER + padded(len(piece.data))
            if jobs and len(jobs[-1]) < MAX_ITEMS and used + needed <= pdu - WRITE_OVERHEAD:
                jobs[-1].append(piece)
                used += needed
            else:
                jobs.append([piece])
                used = needed
    return [
        Job(write_parameters([piece.specification() for piece in job]), write_data([piece.value() for piece in job]))
        for job in jobs
    ]
