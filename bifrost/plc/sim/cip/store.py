"""The tags of a simulated controller: what exists, what it holds, what was written to it.

In: definitions, values, signals, writes from the wire. Out: places in memory, values. Not here: services, frames.

Obeys: 1756-PM020, "symbol object" (class 0x6B) for names, instance ids and the symbol type.
"""

from __future__ import annotations

import dataclasses
import re
from collections import deque
from collections.abc import Callable, Mapping
from enum import IntEnum

from bifrost.core.clock import Clock, SystemClock
from bifrost.errors import AddressError, CIPFault, ConfigError, DataTypeError
from bifrost.plc.sim.cip.paths import Logical, Symbolic, parse_tag_name
from bifrost.plc.sim.cip.symbols import Place, Symbol, find_place
from bifrost.plc.sim.cip.type_table import TypeTable
from bifrost.plc.sim.cip.types import (
    BOOL,
    DWORD,
    Structure,
    decode,
    decode_array,
    encode,
    encode_array,
    fitting,
)
from bifrost.plc.sim.signals import Signal

__all__ = ["Access", "TagStore", "WriteRecord"]

_KEPT_WRITES = 1000
_NAME = re.compile(r"[A-Za-z_][\w:]{0,39}", re.ASCII)
_PROGRAM = re.compile(r"[A-Za-z_]\w{0,39}", re.ASCII)


class Access(IntEnum):
    """What clients may do with a tag: the external access of Studio 5000."""

    READ_WRITE = 0
    READ_ONLY = 2
    NONE = 3


@dataclasses.dataclass(frozen=True, slots=True)
class WriteRecord:
    """One write that came over the wire and took effect.

    Attributes:
        tag: where, as one would write it: ``Program:Main.Motor[3].Speed``.
        service: 0x4D Write Tag, 0x53 Write Tag Fragmented, 0x4E Read Modify Write.
        offset: bytes from `tag` on; other than 0 only for later fragments.
        data: the bytes as they came; for 0x4E what stands there now.
    """

    tag: str
    service: int
    offset: int
    data: bytes


@dataclasses.dataclass(frozen=True, slots=True)
class _Binding:
    place: Place
    signal: Signal


class TagStore:
    """The memory of one controller.

    Args:
        micro800: behave as a Micro800 does: STRING is a short string, BOOL arrays are bytes, no structures.
        clock: where bound signals read time; it starts to count at the first read of a bound tag.

    Attributes:
        micro800: as it was given.
        types: the types that it knows.
        writes: the latest 1,000 writes from the wire, oldest first.
        write_count: all writes from the wire so far; a fragment counts as one.
        read_count: all reads from the wire so far.
        on_write: called after a write from the wire took effect.
    """

    def __init__(self, *, micro800: bool = False, clock: Clock | None = None) -> None:
        self.micro800 = micro800
        self._clock = SystemClock() if clock is None else clock
        self.types = TypeTable(micro800=micro800)
        self._instances: dict[tuple[str, int], Symbol] = {}
        self._scopes: dict[str, dict[str, Symbol]] = {"": {}}
        self._programs: dict[str, str] = {}
        self._next_instance = 1
        self._bindings: dict[int, list[_Binding]] = {}
        self._began: float | None = None
        self.writes: deque[WriteRecord] = deque(maxlen=_KEPT_WRITES)
        self.write_count = 0
        self.read_count = 0
        self.on_write: Callable[[WriteRecord], None] | None = None

    def define(self, name: str, members: Mapping[str, str]) -> Structure:
        """Define a structure from its members' declarations, in order; see `TypeTable.define`."""
        return self.types.define(name, members)

    def define_string(self, name: str, length: int) -> Structure:
        """Define a string type of `length` characters; see `TypeTable.define_string`."""
        return self.types.define_string(name, length)

    def add(
        self,
        name: str,
        declaration: str,
        value: object = None,
        *,
        program: str | None = None,
        access: Access = Access.READ_WRITE,
    ) -> Symbol:
        """Let a tag exist.

        Args:
            name: of the tag, without a program.
            declaration: ``REAL``, ``DINT[10]``, ``DINT[2,3]``, ``BOOL[64]``, or a defined structure.
            value: its first value; None for 0, "" and all of their kind.
            program: the program it belongs to; None for a tag of the controller.
            access: what clients may do with it.

        Raises:
            ConfigError: the name is taken, or no name; or a program on a Micro800.
            DataTypeError: there is no such type, or the value does not fit.
        """
        if not _NAME.fullmatch(name):
            raise ConfigError(f"expected a tag name of up to 40 letters, digits and underscores, got {name!r}")
        kind, dimensions = self.types.declared(name, declaration)
        folded = (program or "").casefold()
        if name.casefold() in self._scopes.get(folded, {}):
            raise ConfigError(f"tag {name!r} exists already")
        symbol = Symbol(name, self._programs.get(folded, program or ""), 0, kind, dimensions, access=int(access))
        symbol.data = bytearray(symbol.elements * kind.size)
        if value is not None:
            self._put(Place.of(symbol), value)
        scope = self._scope(program)
        symbol.instance = self._take_instance()
        scope[name.casefold()] = self._instances[folded, symbol.instance] = symbol
        return symbol

    def mark(self, name: str, *, program: str | None = None) -> None:
        """List a symbol that is no tag, as controllers do: ``Task:MainTask``, ``Routine:Main``, ``Map:Local``.

        Raises:
            ConfigError: the name is taken, or has no colon.
        """
        if not _NAME.fullmatch(name) or ":" not in name:
            raise ConfigError(f"expected a mark such as Task:MainTask, got {name!r}")
        scope = self._scope(program)
        if name.casefold() in scope:
            raise ConfigError(f"symbol {name!r} exists already")
        scope[name.casefold()] = Symbol.marker(name, self._take_instance())

    def remove(self, name: str) -> None:
        """Let a tag exist no more; instance ids of others stay until `download`.

        Raises:
            AddressError: no such tag.
        """
        symbol = self.place(name).symbol
        del self._scopes[symbol.program.casefold()][symbol.name.casefold()]
        del self._instances[symbol.program.casefold(), symbol.instance]
        self._bindings.pop(id(symbol), None)

    def download(self) -> None:
        """Number all symbols anew from 1, as after a download: clients that kept ids now read other tags, or none."""
        self._instances.clear()
        self._next_instance = 1
        for scope, symbols in self._scopes.items():
            for symbol in symbols.values():
                symbol.instance = self._take_instance()
                self._instances[scope, symbol.instance] = symbol

    def put(self, name: str, value: object) -> None:
        """Store a value as the program in the controller would: a tag, an element, a member, or a whole array.

        Raises:
            AddressError: no such tag.
            DataTypeError: the value does not fit.
        """
        self._put(self.place(name), value)

    def value(self, name: str) -> object:
        """Look at a value as it stands now: number, bool, str, dict, or a list of them.

        Raises:
            AddressError: no such tag.
        """
        place = self.place(name)
        self.refresh(place.symbol)
        if place.bit is not None:
            return bool(place.symbol.data[place.offset] >> place.bit & 1)
        if place.whole_array:
            return decode_array(place.type, place.symbol.data, place.offset, place.count)
        return decode(place.type, place.symbol.data, place.offset)

    def bind(self, name: str, signal: Signal) -> None:
        """Let a signal drive a number: each read from the wire sees the signal as it stands at that moment.

        Raises:
            AddressError: no such tag.
            DataTypeError: the tag is no number.
        """
        place = self.place(name)
        if place.whole_array or isinstance(place.type, Structure) or not place.type.format:
            raise DataTypeError(f"expected a number to bind a signal to, got {name!r} of type {place.type.name}")
        self._bindings.setdefault(id(place.symbol), []).append(_Binding(place, signal))

    def place(self, name: str) -> Place:
        """Find a tag, an element or a member by its name; an index into a BOOL array counts BOOLs, not DWORDs.

        Raises:
            AddressError: no such tag.
        """
        segments = parse_tag_name(name)
        try:
            last = segments[-1]
            if isinstance(last, Logical) and isinstance(segments[-2], Symbolic):
                array = find_place(self, segments[:-1])
                if array.type is DWORD and array.whole_array and last.value < 32 * array.count:
                    start, bit = array.offset + last.value // 8, last.value % 8
                    return Place(
                        array.symbol, f"{array.path}[{last.value}]", BOOL, start, 1, whole_array=False, bit=bit
                    )
            return find_place(self, segments)
        except CIPFault as exc:
            raise AddressError(f"no tag {name!r}: {exc}") from exc

    def symbol(self, scope: str, key: str | int) -> Symbol | None:
        """Find a symbol by scope (``""`` or a program) and name or instance id."""
        if isinstance(key, str):
            return self._scopes.get(scope.casefold(), {}).get(key.casefold())
        return self._instances.get((scope.casefold(), key))

    def symbols(self, scope: str) -> list[Symbol] | None:
        """List the symbols of a scope by ascending instance id; None if there is no such program."""
        symbols = self._scopes.get(scope.casefold())
        # Instance ids are given in the order in which symbols come to be.
        return None if symbols is None else list(symbols.values())

    def refresh(self, symbol: Symbol) -> None:
        """Let bound signals put their present values."""
        bindings = self._bindings.get(id(symbol))
        if not bindings:
            return
        now = self._clock.monotonic()
        if self._began is None:
            self._began = now
        for one in bindings:
            value = fitting(one.place.type, one.signal.at(now - self._began))
            if value is not None:
                self._put(one.place, value)

    def wrote(self, record: WriteRecord) -> None:
        """Keep account of a write from the wire that took effect."""
        self.writes.append(record)
        self.write_count += 1
        if self.on_write is not None:
            self.on_write(record)

    def _put(self, place: Place, value: object) -> None:
        data = place.symbol.data
        if place.bit is not None:
            data[place.offset] = data[place.offset] & ~(1 << place.bit) | bool(value) << place.bit
            return
        if place.whole_array:
            part = encode_array(place.type, value, place.count)
        else:
            part = encode(place.type, bool(value) if place.type is BOOL else value)
        data[place.offset : place.offset + len(part)] = part

    def _scope(self, program: str | None) -> dict[str, Symbol]:
        if program is None:
            return self._scopes[""]
        folded = program.casefold()
        if folded not in self._scopes:
            if self.micro800:
                raise ConfigError("a Micro800 lists no programs: add its tags without one")
            if not _PROGRAM.fullmatch(program):
                raise ConfigError(f"expected a program's name such as Main, got {program!r}")
            self._scopes[folded] = {}
            self._programs[folded] = program
            marker = Symbol.marker(f"Program:{program}", self._take_instance())
            self._scopes[""][marker.name.casefold()] = marker
        return self._scopes[folded]

    def _take_instance(self) -> int:
        taken, self._next_instance = self._next_instance, self._next_instance + 1
        return taken
