"""The memory of a simulated S7 CPU: data blocks, merkers, inputs, outputs, timers and counters, as bytes.

In: typed values, signals, writes from the wire. Out: what a client reads. Not here: frames, sockets, faults.
"""

from __future__ import annotations

import dataclasses
from collections import deque
from collections.abc import Mapping

from bifrost.core.clock import Clock, SystemClock
from bifrost.core.value import Value
from bifrost.errors import AddressError, ConfigError
from bifrost.plc.datatypes import Tag
from bifrost.plc.s7.address import S7Address
from bifrost.plc.s7.areas import S7Area
from bifrost.plc.s7.pdu import OK
from bifrost.plc.s7.types import S7Type
from bifrost.plc.s7.values import codec_of
from bifrost.plc.sim.signals import Signal

__all__ = ["S7Memory", "S7WriteRecord"]

_KEPT_WRITES = 1000
_NO_SUCH_OBJECT = 0x0A
_OUT_OF_RANGE = 0x05
_ROOM_BYTES = {S7Type.STRING: 1, S7Type.WSTRING: 2}


@dataclasses.dataclass(frozen=True, slots=True)
class S7WriteRecord:
    """One item of a write that came over the wire: where, and the bytes; of a bit one byte, 0 or 1."""

    area: S7Area
    db: int
    start: int
    bit: int | None
    data: bytes


@dataclasses.dataclass(frozen=True, slots=True)
class _Binding:
    address: S7Address
    text: str
    signal: Signal


class S7Memory:
    """The areas of one CPU.

    Args:
        dbs: bytes of each data block, by number.
        merkers: bytes.
        inputs: bytes.
        outputs: bytes.
        timers: how many.
        counters: how many.
        clock: where bound signals read time; it starts to count at the first read of a bound address.

    Attributes:
        areas: the bytes, by area and number of the data block (0 for other areas).
        refusing: return codes of areas to which access is refused.
        writes: the latest 1,000 items written over the wire, oldest first.
        write_count: all items that came over the wire to be written, refused ones included.
    """

    def __init__(
        self,
        dbs: Mapping[int, int],
        *,
        merkers: int = 256,
        inputs: int = 128,
        outputs: int = 128,
        timers: int = 64,
        counters: int = 64,
        clock: Clock | None = None,
    ) -> None:
        sizes = {
            **{(S7Area.DB, number): size for number, size in dbs.items()},
            (S7Area.MERKER, 0): merkers,
            (S7Area.INPUT, 0): inputs,
            (S7Area.OUTPUT, 0): outputs,
            (S7Area.TIMER, 0): 2 * timers,
            (S7Area.COUNTER, 0): 2 * counters,
        }
        for (area, number), size in sizes.items():
            if not 0 <= size <= 65536 or (area is S7Area.DB and not 1 <= number <= 65535):
                raise ConfigError(f"expected data blocks 1 to 65535 of 0 to 65536 bytes, got {number}: {size}")
        self.areas = {place: bytearray(size) for place, size in sizes.items()}
        self.refusing: dict[tuple[S7Area, int], int] = {}
        self.writes: deque[S7WriteRecord] = deque(maxlen=_KEPT_WRITES)
        self.write_count = 0
        self._clock = SystemClock() if clock is None else clock
        self._bindings: list[_Binding] = []
        self._began: float | None = None

    def put(self, address: str, value: object) -> None:
        """Store a value as the CPU's own program would, such as ``put("DB1.DBD4:REAL", 20.5)``; a list into an array.

        Raises:
            AddressError: no such address, or the area is smaller.
            DataTypeError: the value does not fit.
        """
        place = _resolved(address)
        data = self._bytes_of(place, address)
        if place.kind is S7Type.BOOL:
            for bit, on in enumerate(_listed(place, value), place.bit):
                codec_of(S7Type.BOOL).encode(on)
                _set_bit(data, place.offset + bit // 8, bit % 8, bool(on))
            return
        codec = codec_of(place.kind, place.length)
        room = _ROOM_BYTES.get(place.kind, 0)
        at = place.offset * place.area.step
        for one in _listed(place, value):
            encoded = place.length.to_bytes(room) + codec.encode(one) if room else codec.encode(one)
            data[at : at + len(encoded)] = encoded
            at += codec.size

    def get(self, address: str) -> Value:
        """Look at a value as `put` or a client left it.

        Raises:
            AddressError: no such address, or the area is smaller.
            ProtocolError: there is no value of this type there.
        """
        place = _resolved(address)
        data = self._bytes_of(place, address)
        if place.kind is S7Type.BOOL:
            bits = range(place.bit, place.bit + place.count)
            values: list[object] = [bool(data[place.offset + bit // 8] >> bit % 8 & 1) for bit in bits]
        else:
            codec = codec_of(place.kind, place.length)
            first = place.offset * place.area.step
            starts = range(first, first + codec.size * place.count, codec.size)
            values = [codec.decode(bytes(data[at : at + codec.size])) for at in starts]
        return values if place.count > 1 else values[0]  # type: ignore[return-value]  # one of them is a Value

    def bind(self, address: str, signal: Signal) -> None:
        """Let a signal drive a number: each read from the wire sees the signal as it stands at that moment.

        Raises:
            AddressError: no such address, or the area is smaller.
        """
        place = _resolved(address)
        self._bytes_of(place, address)
        if place.count != 1:
            raise AddressError(f"a signal drives one value, got {place.count} at {address!r}")
        self._bindings.append(_Binding(place, address, signal))

    def refuse(self, area: str, code: int | None = 0x03) -> None:
        """Refuse access to an area, such as ``DB2`` or ``M``, with this return code; None permits it again."""
        place = (S7Area.DB, int(area[2:])) if area.upper().startswith("DB") else (S7Area(area.upper()), 0)
        if code is None:
            self.refusing.pop(place, None)
        else:
            self.refusing[place] = code

    def refresh(self) -> None:
        """Let the signals take effect."""
        if not self._bindings:
            return
        now = self._clock.monotonic()
        if self._began is None:
            self._began = now
        for binding in self._bindings:
            value: object = binding.signal.at(now - self._began)
            if binding.address.kind is S7Type.BOOL:
                value = bool(value)
            elif binding.address.kind not in {S7Type.REAL, S7Type.LREAL}:
                value = round(binding.signal.at(now - self._began))
            self.put(binding.text, value)

    def write(self, record: S7WriteRecord) -> int:
        """Take one item of a write from the wire; returns its return code."""
        self.write_count += 1
        self.writes.append(record)
        place = (record.area, record.db)
        if place in self.refusing:
            return self.refusing[place]
        data = self.areas.get(place)
        if data is None:
            return _NO_SUCH_OBJECT
        at = record.start * record.area.step
        if at + len(record.data) > len(data):
            return _OUT_OF_RANGE
        if record.bit is None:
            data[at : at + len(record.data)] = record.data
        else:
            _set_bit(data, at, record.bit, record.data != b"\0")
        return OK

    def _bytes_of(self, place: S7Address, text: str) -> bytearray:
        data = self.areas.get((place.area, place.db))
        if data is None or (place.offset + place.span) * place.area.step > len(data):
            size = "there is no such area" if data is None else f"the area has {len(data)} bytes"
            raise AddressError(f"{text!r} is not in this CPU: {size}")
        return data


def _resolved(address: str) -> S7Address:
    resolved: S7Address = Tag("simulated", address, protocol="s7").resolved
    return resolved


def _listed(place: S7Address, value: object) -> list[object]:
    if place.count == 1:
        return [value]
    if not isinstance(value, list | tuple) or len(value) != place.count:
        raise AddressError(f"expected a list of {place.count} values, got {value!r:.60}")
    return list(value)


def _set_bit(data: bytearray, at: int, bit: int, on: bool) -> None:
    data[at] = data[at] | 1 << bit if on else data[at] & ~(1 << bit)
