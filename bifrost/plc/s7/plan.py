"""The jobs that read a set of tags, and what they have learned of the device.

A plan is made before the link is up, when nobody knows yet how long an answer may be: it makes its jobs when it is told
the length of the PDU, and keeps them. In: tags. Out: jobs. Pure; no I/O.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from bifrost.errors import S7Fault
from bifrost.plc.datatypes import DataType, Tag
from bifrost.plc.s7.address import S7Address
from bifrost.plc.s7.areas import S7Area
from bifrost.plc.s7.blocks import Block, Piece, blocks_of
from bifrost.plc.s7.pdu import ITEM_BYTES, MAX_ITEMS, READ_OVERHEAD, padded, read_parameters
from bifrost.plc.s7.types import S7Type
from bifrost.plc.s7.values import ValueCodec, codec_of

__all__ = ["ReadJob", "S7ReadPlan", "pack_reads"]

_ITEM_HEADER = 4
_OPEN_JOBS = 8
_LONGEST_ITEM = 8191
"""Bytes: the length of an item's value is given in 16 bits, and counts bits."""

Place = tuple[S7Area, int, int, int]


class ReadJob:
    """One Read Var: blocks, and the parameters for the wire."""

    __slots__ = ("blocks", "parameters", "sizes")

    def __init__(self, blocks: Sequence[Block]) -> None:
        self.blocks = tuple(blocks)
        self.parameters = read_parameters([block.specification for block in blocks])
        self.sizes = [block.size for block in blocks]


def pack_reads(blocks: Iterable[Block], pdu: int) -> list[ReadJob]:
    """Put blocks into as few jobs as one pass finds; job and answer fit into `pdu` bytes."""
    most = min(MAX_ITEMS, (pdu - 12) // ITEM_BYTES)
    room = pdu - READ_OVERHEAD
    packed: list[tuple[list[Block], int]] = []
    for block in blocks:
        needed = _ITEM_HEADER + padded(block.size)
        for at in range(max(0, len(packed) - _OPEN_JOBS), len(packed)):
            inside, used = packed[at]
            if len(inside) < most and used + needed <= room:
                inside.append(block)
                packed[at] = (inside, used + needed)
                break
        else:
            packed.append(([block], needed))
    return [ReadJob(inside) for inside, _ in packed]


class S7ReadPlan:
    """The jobs for a set of tags.

    Attributes:
        tags: in the caller's order.
        slots: where each tag's first value stands.
        total: values in all.
        wide: slots of UINT64.
        refused: for each slot that is not asked for any more, what the device said.
        ask_again_at: monotonic time from which what was refused may be asked for again.
    """

    __slots__ = (
        "_codecs",
        "_cuts",
        "_jobs",
        "_link",
        "_max_gap",
        "_refusals",
        "ask_again_at",
        "refused",
        "slots",
        "tags",
        "total",
        "wide",
    )

    def __init__(self, tags: Sequence[Tag], *, max_gap: int, encoding: str) -> None:
        self.tags = tuple(tags)
        self._max_gap = max_gap
        self.slots: list[int] = []
        self._codecs: list[ValueCodec] = []
        self.wide: list[int] = []
        total = 0
        for tag in self.tags:
            address: S7Address = tag.resolved
            self.slots.append(total)
            self._codecs.append(codec_of(address.kind, address.length, encoding))
            if tag.datatype is DataType.UINT64:
                self.wide += range(total, total + address.count)
            total += address.count
        self.total = total
        self._jobs: dict[int, list[ReadJob]] = {}
        self._refusals: dict[Place, S7Fault] = {}
        self._cuts: set[tuple[S7Area, int, int]] = set()
        self._link: object = None
        self.refused: dict[int, S7Fault] = {}
        self.ask_again_at = 0.0

    def jobs(self, pdu: int) -> list[ReadJob]:
        """The jobs for a PDU of this many bytes."""
        jobs = self._jobs.get(pdu)
        if jobs is None:
            jobs = self._jobs[pdu] = self._make_jobs(pdu)
        return jobs

    def begin(self, link: object, now: float) -> None:
        """Note which link is used: what was refused is asked for again on another one, or when it is time."""
        if self._link is not link or (self._refusals and now >= self.ask_again_at):
            self._link = link
            self.forget()

    def learn(
        self, refusals: Mapping[Place, S7Fault], cuts: Iterable[tuple[S7Area, int, int]], *, ask_again_at: float
    ) -> None:
        """Plan anew around what the device refused, and without blocks across the cuts."""
        self.ask_again_at = ask_again_at
        self._refusals.update(refusals)
        self._cuts.update(cuts)
        for area, db, start, stop in refusals:
            self._cuts |= {(area, db, start), (area, db, stop)}
        self._jobs.clear()
        self.refused = {}

    def forget(self) -> None:
        """Ask for everything again: the device may be another one, or its program was changed."""
        if self._refusals or self._cuts:
            self._refusals.clear()
            self._cuts.clear()
            self._jobs.clear()
            self.refused = {}

    def _make_jobs(self, pdu: int) -> list[ReadJob]:
        most = min(pdu - READ_OVERHEAD - _ITEM_HEADER, _LONGEST_ITEM)
        pieces: list[Piece] = []
        for tag, slot, codec in zip(self.tags, self.slots, self._codecs, strict=True):
            wanted = list(_pieces(tag, slot, codec, most))
            for piece in wanted:
                fault = self._refusals.get(piece.place)
                if fault is not None:
                    self.refused.update(dict.fromkeys(piece.slots, fault))
            # A value without one of its parts is none: then the others need not be read.
            pieces += (piece for piece in wanted if piece.slot not in self.refused)
        blocks = blocks_of(pieces, max_bytes=most, max_gap=self._max_gap, cuts=frozenset(self._cuts))
        return pack_reads(blocks, pdu)


def _pieces(tag: Tag, slot: int, codec: ValueCodec, most: int) -> Iterator[Piece]:
    """Cut what does not fit an answer: arrays between their values, and a value that is longer than that."""
    address: S7Address = tag.resolved
    area, step, start = address.area, address.area.step, address.offset
    if address.kind is S7Type.BOOL:
        yield from _bit_pieces(tag, slot, codec, most)
        return
    each = min(most // codec.size, address.count)
    if each == 0:
        parts = -(-codec.size // most)
        for index in range(address.count):
            first = start + index * codec.size
            for part in range(parts):
                stretch = (first + part * most, min(first + (part + 1) * most, first + codec.size))
                yield Piece(tag.name, area, address.db, stretch, (slot + index, 1), codec=codec, part=(part, parts))
        return
    for index in range(0, address.count, each):
        count = min(each, address.count - index)
        first = start + index * codec.size // step
        stretch = (first, first + count * codec.size // step)
        yield Piece(tag.name, area, address.db, stretch, (slot + index, count), codec=codec)


def _bit_pieces(tag: Tag, slot: int, codec: ValueCodec, most: int) -> Iterator[Piece]:
    address: S7Address = tag.resolved
    at, index = address.offset * 8 + address.bit, 0
    while index < address.count:
        first = at // 8
        count = min(address.count - index, (first + most) * 8 - at)
        stretch = (first, (at + count + 7) // 8)
        yield Piece(tag.name, address.area, address.db, stretch, (slot + index, count), codec=codec, bit=at % 8)
        at += count
        index += count
