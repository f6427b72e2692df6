"""Symbols: what a tag is, where in it a request path points, and how the symbol object lists tags.

In: segments of a path. Out: places, entries of the tag list. Not here: values (`types`), services on tags (`services`).

Obeys: 1756-PM020, "symbol object" and "CIP addressing"; general statuses of "Read Tag Service".
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from typing import Protocol

from bifrost.errors import CIPFault
from bifrost.plc.sim.cip.paths import Logical, LogicalKind, Segment, Symbolic
from bifrost.plc.sim.cip.templates import type_code
from bifrost.plc.sim.cip.types import BOOL, DataType, Structure

__all__ = ["SYMBOL_CLASS", "Place", "Symbol", "SymbolTable", "find_place", "split_scope", "symbol_entry"]

SYMBOL_CLASS = 0x6B
_PATH_SEGMENT_ERROR = 0x04
_PATH_UNKNOWN = 0x05
_GENERAL_ERROR = 0xFF
_BEYOND_END = 0x2105
_SYSTEM = 0x1000
_SYSTEM_TYPES = {"program": 0x68, "map": 0x69, "routine": 0x6D, "task": 0x70, "cxn": 0x7E}
_BASE_TAG = 1 << 26


@dataclasses.dataclass(eq=False, slots=True)
class Symbol:
    """One tag.

    Attributes:
        name: without a program.
        program: the program it belongs to, "" for the controller.
        instance: number in the symbol object.
        type: of one element.
        dimensions: up to three lengths; () for a scalar.
        access: 0 read and write, 2 read only, 3 none.
        system: no tag but a mark, such as the one for each program in the controller's list; it cannot be read.
        data: its memory.
    """

    name: str
    program: str
    instance: int
    type: DataType
    dimensions: tuple[int, ...]
    access: int = 0
    system: bool = False
    data: bytearray = dataclasses.field(default_factory=bytearray)

    @classmethod
    def marker(cls, name: str, instance: int) -> Symbol:
        """Make a symbol that is no tag, such as ``Program:Main``."""
        return cls(name, "", instance, BOOL, (), system=True)

    @property
    def elements(self) -> int:
        """Elements in all dimensions; 1 for a scalar."""
        return math.prod(self.dimensions)

    @property
    def full_name(self) -> str:
        """The name with its program."""
        return f"Program:{self.program}.{self.name}" if self.program else self.name

    @property
    def wire_type(self) -> int:
        """The 16-bit symbol type."""
        if self.system:
            return _SYSTEM | _SYSTEM_TYPES.get(self.name.partition(":")[0].casefold(), 0)
        return type_code(self.type, array=len(self.dimensions))


class SymbolTable(Protocol):
    """Where symbols are looked up."""

    def symbol(self, scope: str, key: str | int) -> Symbol | None:
        """Find a symbol by scope (``""`` or a program) and name or instance id."""
        ...


@dataclasses.dataclass(frozen=True, slots=True)
class Place:
    """Where a path points.

    Attributes:
        symbol: the tag.
        path: the place's name.
        type: of one element there.
        offset: bytes from the start of the tag's memory.
        count: elements from there to the end of the array; 1 if it is no array.
        whole_array: the path names an array and no element of it.
        bit: of a BOOL member, its position in the byte at `offset`.
    """

    symbol: Symbol
    path: str
    type: DataType
    offset: int
    count: int
    whole_array: bool
    bit: int | None = None

    @classmethod
    def of(cls, symbol: Symbol) -> Place:
        """Return the place of a whole tag."""
        return cls(symbol, symbol.full_name, symbol.type, 0, symbol.elements, bool(symbol.dimensions))


def split_scope(segments: Sequence[Segment]) -> tuple[str, Sequence[Segment]]:
    """Take a leading ``Program:Name`` off; "" if there is none."""
    if segments and isinstance(segments[0], Symbolic) and segments[0].name.casefold().startswith("program:"):
        return segments[0].name[len("program:") :], segments[1:]
    return "", segments


def find_place(table: SymbolTable, segments: Sequence[Segment]) -> Place:
    """Follow a path into a tag.

    Raises:
        CIPFault: 0x04 a name that does not exist or a path of the wrong shape, 0x05 an instance that does not exist,
            0xFF with 0x2105 an index beyond the end.
    """
    scope, rest = split_scope(segments)
    symbol, rest = _symbol(table, scope, rest)
    indexes, rest = _indexes(rest)
    place = _element(Place.of(symbol), symbol.dimensions, indexes)
    while rest:
        segment, rest = rest[0], rest[1:]
        if not isinstance(segment, Symbolic):
            raise CIPFault("expected a member's name", code=_PATH_SEGMENT_ERROR, extended=0)
        if not isinstance(place.type, Structure) or place.whole_array:
            raise CIPFault(f"{place.path} has no members", code=_PATH_SEGMENT_ERROR, extended=0)
        member = place.type.member(segment.name)
        if member is None:
            raise CIPFault(f"{place.type.name} has no {segment.name!r}", code=_PATH_SEGMENT_ERROR, extended=0)
        indexes, rest = _indexes(rest)
        name, start = f"{place.path}.{member.name}", place.offset + member.offset
        dimensions = (member.count,) if member.count else ()
        inner = Place(symbol, name, member.type, start, max(member.count, 1), bool(member.count), member.bit)
        place = _element(inner, dimensions, indexes)
    return place


def symbol_entry(symbol: Symbol, attributes: Sequence[int]) -> bytes:
    """Return one entry of Get Instance Attribute List: the instance id, then each attribute that was asked for.

    Raises:
        CIPFault: 0x0A, an attribute that does not exist.
    """
    lengths = (*symbol.dimensions, 0, 0, 0)[:3]
    known = {
        1: len(symbol.name).to_bytes(2, "little") + symbol.name.encode("ascii"),
        2: symbol.wire_type.to_bytes(2, "little"),
        3: (symbol.instance * 0x40).to_bytes(4, "little"),
        5: (0x8000_0000 + symbol.instance * 0x40).to_bytes(4, "little"),
        6: _BASE_TAG.to_bytes(4, "little"),
        7: symbol.type.size.to_bytes(2, "little"),
        8: b"".join(one.to_bytes(4, "little") for one in lengths),
        10: bytes([symbol.access]),
    }
    try:
        return symbol.instance.to_bytes(4, "little") + b"".join(known[one] for one in attributes)
    except KeyError as exc:
        raise CIPFault(f"the symbol object has no attribute {exc}", code=0x0A) from exc


def _symbol(table: SymbolTable, scope: str, rest: Sequence[Segment]) -> tuple[Symbol, Sequence[Segment]]:
    match rest:
        case [Symbolic(name), *after]:
            found = table.symbol(scope, name)
            code = _PATH_SEGMENT_ERROR
        case [Logical(LogicalKind.CLASS, value), Logical(LogicalKind.INSTANCE, instance), *after] if (
            value == SYMBOL_CLASS
        ):
            found = table.symbol(scope, instance)
            code = _PATH_UNKNOWN
        case _:
            raise CIPFault("the path names no tag", code=_PATH_SEGMENT_ERROR, extended=0)
    if found is None or found.system:
        raise CIPFault("no such tag", code=code, extended=0)
    return found, after


def _indexes(rest: Sequence[Segment]) -> tuple[list[int], Sequence[Segment]]:
    taken: list[int] = []
    for one in rest:
        if not (isinstance(one, Logical) and one.kind == LogicalKind.ELEMENT):
            break
        taken.append(one.value)
    return taken, rest[len(taken) :]


def _element(place: Place, dimensions: tuple[int, ...], indexes: list[int]) -> Place:
    if not indexes:
        return place
    if len(indexes) != len(dimensions):
        text = f"{place.path} has {len(dimensions)} dimensions, the path {len(indexes)} indexes"
        raise CIPFault(text, code=_PATH_SEGMENT_ERROR, extended=0)
    flat = 0
    for length, index in zip(dimensions, indexes, strict=True):
        if index >= length:
            raise CIPFault(f"{place.path} ends before {index}", code=_GENERAL_ERROR, extended=_BEYOND_END)
        flat = flat * length + index
    name = f"{place.path}[{','.join(map(str, indexes))}]"
    offset, left = place.offset + flat * place.type.size, place.count - flat
    return dataclasses.replace(place, path=name, offset=offset, count=left, whole_array=False)
