"""The memory of a simulated device: four tables of coils and registers, only some addresses of which exist.

In: typed values, signals, writes from the wire. Out: what a client reads. Not here: frames, sockets, faults.

Obeys: V1.1b3 sections 4.3 and 4.4 (data model), 7 (exception codes).
"""

from __future__ import annotations

import bisect
import dataclasses
from collections import deque
from collections.abc import Callable, Sequence

from bifrost.core.clock import Clock, SystemClock
from bifrost.errors import AddressError, ModbusFault
from bifrost.plc.datatypes import DataType
from bifrost.plc.modbus.address import Area, words_of
from bifrost.plc.sim.signals import Signal
from bifrost.plc.sim.words import decode_words, encode_words

__all__ = ["RegisterBank", "WriteRecord"]

_ADDRESSES = 65536
_KEPT_WRITES = 1000
_ILLEGAL_ADDRESS = 2


@dataclasses.dataclass(frozen=True, slots=True)
class WriteRecord:
    """One write that came over the wire: where, and the coils (0 or 1) or words as they came."""

    area: Area
    address: int
    values: tuple[int, ...]


class _Table:
    """Addresses that exist, as disjoint blocks in ascending order; a request must lie within one block."""

    def __init__(self) -> None:
        self._starts: list[int] = []
        self._blocks: list[list[int]] = []

    def map(self, address: int, count: int) -> None:
        start, stop = address, address + count
        touched = [
            at
            for at, (begin, block) in enumerate(zip(self._starts, self._blocks, strict=True))
            if begin <= stop and start <= begin + len(block)
        ]
        if touched:
            first, last = touched[0], touched[-1]
            start = min(start, self._starts[first])
            stop = max(stop, self._starts[last] + len(self._blocks[last]))
        merged = [0] * (stop - start)
        for at in touched:
            offset = self._starts[at] - start
            merged[offset : offset + len(self._blocks[at])] = self._blocks[at]
        for at in reversed(touched):
            del self._starts[at], self._blocks[at]
        where = bisect.bisect(self._starts, start)
        self._starts.insert(where, start)
        self._blocks.insert(where, merged)

    def find(self, address: int, count: int) -> tuple[list[int], int] | None:
        at = bisect.bisect(self._starts, address) - 1
        if at < 0 or address + count > self._starts[at] + len(self._blocks[at]):
            return None
        return self._blocks[at], address - self._starts[at]


@dataclasses.dataclass(frozen=True, slots=True)
class _Binding:
    address: int
    words: int
    signal: Signal
    datatype: DataType
    byte_order: str


class RegisterBank:
    """Coils, discrete inputs, input and holding registers of one unit.

    An address exists once it was mapped, put or bound; touching any other is answered with exception 2.

    Args:
        clock: where bound signals read time; it starts to count at the first read of a bound address.

    Attributes:
        writes: the latest 1,000 writes from the wire, oldest first.
        write_count: all writes from the wire so far.
        read_count: all reads from the wire so far.
        on_read: called before a read from the wire is answered, with area, first address and quantity.
        on_write: called after a write from the wire took effect.
    """

    def __init__(self, *, clock: Clock | None = None) -> None:
        self._clock = SystemClock() if clock is None else clock
        self._tables = {area: _Table() for area in Area}
        self._bindings: dict[Area, list[_Binding]] = {area: [] for area in Area}
        self._began: float | None = None
        self.writes: deque[WriteRecord] = deque(maxlen=_KEPT_WRITES)
        self.write_count = 0
        self.read_count = 0
        self.on_read: Callable[[Area, int, int], None] | None = None
        self.on_write: Callable[[WriteRecord], None] | None = None

    def map(self, area: Area, address: int, count: int) -> None:
        """Let `count` addresses exist, from `address` (0-based) on; new ones hold 0, old ones keep their value.

        Raises:
            AddressError: outside 0..65535.
        """
        if count < 1 or address < 0 or address + count > _ADDRESSES:
            raise AddressError(f"expected addresses within 0..65535, got {address} and {count - 1} more")
        self._tables[area].map(address, count)

    def put(
        self,
        area: Area,
        address: int,
        value: float | str | bytes,
        datatype: DataType = DataType.UINT16,
        *,
        byte_order: str = "ABCD",
        length: int | None = None,
    ) -> None:
        """Store a value at `address` (0-based) as the device itself would; maps what is missing.

        Args:
            area: coils and discrete inputs take any value by its truth; `datatype` is ignored there.
            address: of the first register.
            value: fits `datatype`.
            datatype: how many registers, and how they are laid out.
            byte_order: ABCD, CDAB, BADC or DCBA.
            length: bytes of a STRING or BYTES.

        Raises:
            AddressError: outside 0..65535.
            DataTypeError: the value does not fit.
        """
        if area.is_bits:
            words = [int(bool(value))]
        else:
            words = encode_words(value, datatype, byte_order=byte_order, length=length)
        self._store(area, address, words)

    def get(
        self,
        area: Area,
        address: int,
        datatype: DataType = DataType.UINT16,
        *,
        byte_order: str = "ABCD",
        length: int | None = None,
    ) -> int | float | str | bytes:
        """Look at a value as `put` or a client left it; coils and discrete inputs give 0 or 1.

        Raises:
            AddressError: nothing is mapped there.
        """
        count = 1 if area.is_bits else words_of(datatype, length or 0)
        found = self._tables[area].find(address, count)
        if found is None:
            raise AddressError(f"nothing is mapped at {area} {address}: map or put it first")
        block, at = found
        if area.is_bits:
            return block[at]
        return decode_words(block[at : at + count], datatype, byte_order=byte_order)

    def bind(
        self,
        area: Area,
        address: int,
        signal: Signal,
        datatype: DataType = DataType.FLOAT32,
        *,
        byte_order: str = "ABCD",
    ) -> None:
        """Let a signal drive a value: each read from the wire sees the signal as it stands at that moment.

        Raises:
            AddressError: outside 0..65535.
        """
        words = 1 if area.is_bits else words_of(datatype)
        self.map(area, address, words)
        self._bindings[area].append(_Binding(address, words, signal, datatype, byte_order))

    def read(self, area: Area, address: int, quantity: int) -> list[int]:
        """Answer a read from the wire: `quantity` words, or bits as 0 and 1.

        Raises:
            ModbusFault: code 2, one of the addresses does not exist.
        """
        if self.on_read is not None:
            self.on_read(area, address, quantity)
        found = self._tables[area].find(address, quantity)
        if found is None:
            raise _unmapped(area, address, quantity)
        self.read_count += 1
        if self._bindings[area]:
            self._refresh(area, address, quantity)
        block, at = found
        return block[at : at + quantity]

    def write(self, area: Area, address: int, values: Sequence[int]) -> None:
        """Take a write from the wire: words, or bits as 0 and 1. All addresses change or none.

        Raises:
            ModbusFault: code 2, one of the addresses does not exist.
        """
        found = self._tables[area].find(address, len(values))
        if found is None:
            raise _unmapped(area, address, len(values))
        block, at = found
        block[at : at + len(values)] = values
        record = WriteRecord(area, address, tuple(values))
        self.writes.append(record)
        self.write_count += 1
        if self.on_write is not None:
            self.on_write(record)

    def _refresh(self, area: Area, address: int, quantity: int) -> None:
        now = self._clock.monotonic()
        if self._began is None:
            self._began = now
        for binding in self._bindings[area]:
            if binding.address < address + quantity and address < binding.address + binding.words:
                value: float = binding.signal.at(now - self._began)
                if not binding.datatype.startswith("FLOAT"):
                    value = round(value)
                self.put(area, binding.address, value, binding.datatype, byte_order=binding.byte_order)

    def _store(self, area: Area, address: int, words: list[int]) -> None:
        found = self._tables[area].find(address, len(words))
        if found is None:
            self.map(area, address, len(words))
            found = self._tables[area].find(address, len(words))
            assert found is not None
        block, at = found
        block[at : at + len(words)] = words


def _unmapped(area: Area, address: int, quantity: int) -> ModbusFault:
    return ModbusFault(f"nothing is mapped at {area} {address}, {quantity} asked", code=_ILLEGAL_ADDRESS)
