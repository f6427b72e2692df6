"""What is read with one item of a job: a stretch of an area, with the values in it.

In: pieces of tags. Out: specifications for the wire, values from the bytes that came. Pure; no I/O.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence
from operator import attrgetter

from bifrost.core.quality import StatusCode
from bifrost.core.value import Value
from bifrost.errors import BifrostError, ProtocolError
from bifrost.plc.s7.areas import S7Area
from bifrost.plc.s7.pdu import Transport, item_specification
from bifrost.plc.s7.values import ValueCodec

__all__ = ["Block", "Gathered", "Piece", "blocks_of"]

_AREA_TRANSPORT = {S7Area.TIMER: Transport.TIMER, S7Area.COUNTER: Transport.COUNTER}


class Gathered:
    """What a read has brought so far.

    Attributes:
        values: one for each slot of the plan.
        errors: for each slot without a good value, why.
        statuses: for each slot that is not GOOD without an error, its status.
        parts: what came of values that are longer than an answer, by their first slot.
    """

    __slots__ = ("errors", "parts", "statuses", "values")

    def __init__(self, total: int) -> None:
        self.values: list[Value] = [None] * total
        self.errors: dict[int, BifrostError] = {}
        self.statuses: dict[int, StatusCode] = {}
        self.parts: dict[int, dict[int, bytes]] = {}


class Piece:
    """Values of one tag that are read together: all of them, or as many as fit an answer, or a part of one.

    Attributes:
        tag: name of the tag.
        area: which memory.
        db: number of the data block, else 0.
        start: first step of the address.
        stop: the step after the last.
        slot: where the first value stands.
        count: values.
        codec: of one value.
        bit: bit of the first value, if they are BOOL.
        part: which part of how many, if it is one of a value that is longer than an answer.
    """

    __slots__ = ("area", "bit", "codec", "count", "db", "part", "slot", "start", "stop", "tag")

    def __init__(
        self,
        tag: str,
        area: S7Area,
        db: int,
        stretch: tuple[int, int],
        slots: tuple[int, int],
        *,
        codec: ValueCodec,
        bit: int | None = None,
        part: tuple[int, int] | None = None,
    ) -> None:
        self.tag = tag
        self.area = area
        self.db = db
        self.start, self.stop = stretch
        self.slot, self.count = slots
        self.codec = codec
        self.bit = bit
        self.part = part

    @property
    def place(self) -> tuple[S7Area, int, int, int]:
        """Area, data block, first step and the one after the last."""
        return self.area, self.db, self.start, self.stop

    @property
    def slots(self) -> range:
        """Where its values stand."""
        return range(self.slot, self.slot + self.count)

    def take(self, data: bytes, at: int, gathered: Gathered) -> None:
        """Decode its values from the bytes of its block, in which they begin at `at`."""
        if self.bit is not None:
            for index in range(self.count):
                bit = self.bit + index
                gathered.values[self.slot + index] = bool(data[at + (bit >> 3)] >> (bit & 7) & 1)
        elif self.part is not None:
            self._take_part(data[at : at + self.stop - self.start], self.part, gathered)
        else:
            size = self.codec.size
            for slot in self.slots:
                self._decode(data[at : at + size], slot, gathered)
                at += size

    def _take_part(self, data: bytes, part: tuple[int, int], gathered: Gathered) -> None:
        parts = gathered.parts.setdefault(self.slot, {})
        parts[part[0]] = data
        if len(parts) == part[1]:
            self._decode(b"".join(parts[index] for index in range(part[1])), self.slot, gathered)
            if self.slot not in gathered.errors:
                # It came in several answers, between which the device may have changed it.
                gathered.statuses[self.slot] = StatusCode.UNCERTAIN_SUB_NORMAL

    def _decode(self, data: bytes, slot: int, gathered: Gathered) -> None:
        try:
            gathered.values[slot] = self.codec.decode(data)
        except ProtocolError as error:
            gathered.errors[slot] = ProtocolError(f"tag {self.tag!r}: {error}")


class Block:
    """A stretch that is read with one item.

    Attributes:
        pieces: what is in it, by address.
        start: first step.
        stop: the step after the last.
        size: bytes.
        specification: for the wire.
    """

    __slots__ = ("_layout", "_others", "_slots", "pieces", "size", "specification", "start", "stop")

    def __init__(self, pieces: Sequence[Piece]) -> None:
        self.pieces = tuple(pieces)
        first = self.pieces[0]
        area = first.area
        self.start = first.start
        self.stop = max(piece.stop for piece in self.pieces)
        steps = self.stop - self.start
        self.size = steps * area.step
        self.specification = item_specification(
            area.code,
            first.db,
            self.start if area.is_counted else self.start * 8,
            steps,
            _AREA_TRANSPORT.get(area, Transport.BYTE),
        )
        self._layout, self._slots, self._others = _layout(self)

    def take(self, data: bytes, gathered: Gathered) -> None:
        """Decode everything in it from the bytes that came."""
        values = gathered.values
        for slot, value in zip(self._slots, self._layout.unpack_from(data), strict=True):
            values[slot] = value
        for piece, at in self._others:
            piece.take(data, at, gathered)

    def split(self, parts: int) -> list[Block]:
        """Cut it between its pieces into at most this many."""
        each = -(-len(self.pieces) // parts)
        return [Block(self.pieces[at : at + each]) for at in range(0, len(self.pieces), each)]

    def describe(self) -> str:
        """Say where it is, in words."""
        first = self.pieces[0]
        where = f"DB{first.db}" if first.db else first.area.value
        unit = "number" if first.area.is_counted else "byte"
        last = "" if self.stop == self.start + 1 else f" to {self.stop - 1}"
        names = ", ".join(dict.fromkeys(piece.tag for piece in self.pieces))
        return f"{where} {unit} {self.start}{last} (tag {names:.60})"


def _layout(block: Block) -> tuple[struct.Struct, list[int], list[tuple[Piece, int]]]:
    """Plain numbers that do not overlap are decoded with one call; the rest one by one."""
    step = block.pieces[0].area.step
    layout, end = ">", 0
    slots: list[int] = []
    others: list[tuple[Piece, int]] = []
    for piece in block.pieces:
        at = (piece.start - block.start) * step
        if piece.codec.format and piece.part is None and piece.bit is None and at >= end:
            layout += f"{at - end}x" * (at > end) + f"{piece.count}{piece.codec.format}"
            slots += piece.slots
            end = at + piece.count * piece.codec.size
        else:
            others.append((piece, at))
    return struct.Struct(layout), slots, others


def blocks_of(
    pieces: Iterable[Piece], *, max_bytes: int, max_gap: int, cuts: frozenset[tuple[S7Area, int, int]]
) -> list[Block]:
    """Merge pieces that lie close together.

    Args:
        pieces: each fits a block.
        max_bytes: of one block.
        max_gap: unwanted bytes between two pieces of a block.
        cuts: area, data block and step: no block reaches across one.
    """
    blocks: list[Block] = []
    run: list[Piece] = []
    end = 0
    for piece in sorted(pieces, key=attrgetter("area", "db", "start", "stop")):
        step = piece.area.step
        fits = (
            bool(run)
            and (run[0].area, run[0].db) == (piece.area, piece.db)
            and (piece.start - end) * step <= max_gap
            and (max(end, piece.stop) - run[0].start) * step <= max_bytes
            and not any((piece.area, piece.db, at) in cuts for at in range(end, piece.start + 1))
        )
        if not fits:
            if run:
                blocks.append(Block(run))
            run, end = [], piece.stop
        run.append(piece)
        end = max(end, piece.stop)
    if run:
        blocks.append(Block(run))
    return blocks
