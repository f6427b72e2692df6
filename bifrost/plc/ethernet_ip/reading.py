"""Values from a controller: many tags in few requests, one bad tag never another's trouble.

In: addresses. Out: for each its values, or why not. Called in the thread of the link; not here: pycomm3, the socket.
Obeys: Rockwell 1756-PM020, "Read Tag", "Read Tag Fragmented", "Multiple Service Packet".
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Protocol

from bifrost.core.value import Value
from bifrost.errors import AddressError, BifrostError, CIPFault, DataTypeError, ProtocolError
from bifrost.plc.datatypes import DataType
from bifrost.plc.ethernet_ip.address import LogixAddress, Segment, path_of
from bifrost.plc.ethernet_ip.answers import Answer, parse_answers
from bifrost.plc.ethernet_ip.cip_types import (
    DWORD_CODE,
    STRUCT_CODE,
    atomic_type,
    atomic_type_of,
    decode_atomic,
    decode_bits,
    fits,
    name_of,
)
from bifrost.plc.ethernet_ip.faults import PATH_STATUS, cip_fault
from bifrost.plc.ethernet_ip.requests import encode_path, multiple_request, read_part_request, read_request
from bifrost.plc.ethernet_ip.tag_table import TagTable, TypeInfo

__all__ = ["Exchanger", "Outcome", "TagReader", "bits_place"]

Outcome = list[Value] | BifrostError
"""A tag's values, arrays spread out, or why there are none."""

_KEPT = 20_000  # addresses whose requests are remembered
_MORE, _TOO_LARGE, _UNSUPPORTED, _PART = 0x06, 0x11, 0x08, 0x1E
_LOGIX_STRING = 0x0FCE  # handle of the text type that every Logix controller has


class Exchanger(Protocol):
    """What a reader needs of a session; see `bifrost.plc.ethernet_ip.session.LogixSession`."""

    table: TagTable | None
    stale: bool
    several: bool

    @property
    def budget(self) -> int:
        """Bytes that fit into a request or an answer."""
        ...

    def exchange(self, message: bytes) -> Answer:
        """Send one message and wait for its answer."""
        ...


class _Ask:
    """One request of a read."""

    __slots__ = ("count", "first_bit", "name", "path", "reply", "result")

    def __init__(self, name: str, path: bytes, count: int, reply: int, first_bit: int | None) -> None:
        self.name = name
        self.path = path
        self.count = count
        self.reply = reply  # bytes that the answer is expected to take
        self.first_bit = first_bit  # of an array of BOOL
        self.result: bytes | BifrostError = b""


class TagReader:
    """Reads tags over one session; remembers what types it met."""

    def __init__(self, session: Exchanger) -> None:
        self._session = session
        self._learned: dict[tuple[Segment, ...], tuple[int, bytes]] = {}
        self._asked: dict[LogixAddress, _Ask] = {}
        self._worked: set[bytes] = set()
        self._table = session.table

    def read(self, addresses: Sequence[LogixAddress]) -> list[Outcome]:
        """Read every address; an outcome for each, in order.

        Raises:
            LinkError: the link is gone.
            ProtocolError: what came was no answer; the link is of no use any more.
        """
        self._follow_table()
        asks: dict[tuple[bytes, int], _Ask] = {}
        mine: list[tuple[_Ask, int | None] | BifrostError] = []
        for address in addresses:
            try:
                ask = self._ask(address)
            except (AddressError, DataTypeError) as error:
                mine.append(error)
                continue
            mine.append((asks.setdefault((ask.path, ask.count), ask), ask.first_bit))
        for group in self._groups(list(asks.values())):
            self._group(group)
        return [
            one if isinstance(one, BifrostError) else self._outcome(address, *one)
            for address, one in zip(addresses, mine, strict=True)
        ]

    def learn(self, segments: tuple[Segment, ...]) -> tuple[int, bytes]:
        """Tell type code and first element of a path by reading it once.

        Raises:
            CIPFault: the controller refused.
        """
        self._follow_table()
        if segments not in self._learned:
            ask = _Ask(path_of(segments), encode_path(segments), 1, 8, None)
            self._one(ask)
            if isinstance(ask.result, CIPFault):
                raise ask.result
            if isinstance(ask.result, BifrostError):
                raise DataTypeError(str(ask.result))  # it says nothing against the link
            self._learned[segments] = (_code(ask.result), ask.result)
        return self._learned[segments]

    def _follow_table(self) -> None:
        if self._table is not self._session.table or len(self._asked) > _KEPT:
            self._table = self._session.table
            self._asked.clear()
            self._learned.clear()
            self._worked.clear()

    # What to ask for

    def _ask(self, address: LogixAddress) -> _Ask:
        ask = self._asked.get(address)
        if ask is None:
            ask = self._asked[address] = self._made(address)
        return ask

    def _made(self, address: LogixAddress) -> _Ask:
        segments, count = address.segments, address.count
        info = self.info(address)
        if info is not None and info.is_bits and address.bit is None:
            segments, first, count = bits_place(address)
            return _Ask(address.path, encode_path(segments), count, 4 * count, first)
        size = info.size if info is not None else 0
        if not size:
            kind = atomic_type_of(address.datatype)
            size = kind.size if kind is not None else 8
        return _Ask(address.path, encode_path(segments), count, size * count, None)

    def info(self, address: LogixAddress) -> TypeInfo | None:
        """What is known of an address before it is read; an element of a BOOL array is looked up if it must be."""
        self._follow_table()
        info = self._table.find(address.segments) if self._table is not None else None
        last = address.segments[-1]
        if info is None and address.datatype is DataType.BOOL and address.bit is None and len(last.index) == 1:
            try:
                code, _ = self.learn((*address.segments[:-1], Segment(last.name)))
            except (CIPFault, DataTypeError):
                return None  # the request itself will tell
            if code == DWORD_CODE:
                return TypeInfo(code, None, 1)
        return info

    # Asking

    def _groups(self, asks: list[_Ask]) -> Iterator[list[_Ask]]:
        budget = self._session.budget
        group: list[_Ask] = []
        sent = received = 8
        for ask in asks:
            request, reply = len(ask.path) + 5, ask.reply + 10
            if group and (sent + request > budget or received + reply > budget or not self._session.several):
                yield group
                group, sent, received = [], 8, 8
            group.append(ask)
            sent += request
            received += reply
        if group:
            yield group

    def _group(self, group: list[_Ask]) -> None:
        if len(group) == 1 or not self._session.several:
            for ask in group:
                self._one(ask)
            return
        answer = self._session.exchange(multiple_request([read_request(ask.path, ask.count) for ask in group]))
        if answer.status in {0x00, _PART} and answer.data:
            for ask, part in zip(group, parse_answers(answer.data, len(group)), strict=True):
                self._take(ask, part)
            return
        if answer.status == _UNSUPPORTED:
            self._session.several = False
        middle = len(group) // 2
        # Whatever it was, it is not the fault of all of them: a bridge with smaller packets, an answer too large.
        self._group(group[:middle])
        self._group(group[middle:])

    def _one(self, ask: _Ask) -> None:
        if ask.reply + 8 > self._session.budget:
            ask.result = self._in_parts(ask)
        else:
            self._take(ask, self._session.exchange(read_request(ask.path, ask.count)))

    def _take(self, ask: _Ask, answer: Answer) -> None:
        if answer.status in {_MORE, _TOO_LARGE}:
            ask.result = self._in_parts(ask)
        elif answer.status:
            ask.result = self._refused(ask, answer)
        else:
            ask.result = answer.data
            self._worked.add(ask.path)

    def _in_parts(self, ask: _Ask) -> bytes | BifrostError:
        kind = b""
        parts = bytearray()
        while True:
            answer = self._session.exchange(read_part_request(ask.path, ask.count, len(parts)))
            if not answer.ok:
                return self._refused(ask, answer)
            width = 4 if _code(answer.data) == STRUCT_CODE else 2
            if len(answer.data) < width or (kind and answer.data[:width] != kind):
                return ProtocolError(f"{ask.name}: the parts of the value contradict each other")
            kind = answer.data[:width]
            parts += answer.data[width:]
            if answer.status != _MORE:
                self._worked.add(ask.path)
                return kind + bytes(parts)
            if len(answer.data) == width:
                return ProtocolError(f"{ask.name}: the controller promises more and sends nothing")

    def _refused(self, ask: _Ask, answer: Answer) -> BifrostError:
        if answer.status in PATH_STATUS and ask.path in self._worked:
            self._worked.discard(ask.path)
            self._session.stale = True  # it was there before: another program was loaded
        return cip_fault(ask.name, answer.status, answer.extended)

    # What came

    def _outcome(self, address: LogixAddress, ask: _Ask, first_bit: int | None) -> Outcome:
        result = ask.result
        if isinstance(result, BifrostError):
            self._asked.pop(address, None)  # what was known of it may be the reason
            return result
        try:
            return self._values(address, result, first_bit)
        except (DataTypeError, ProtocolError) as error:
            return type(error)(f"{address.path}: {error}")

    def _values(self, address: LogixAddress, data: bytes, first_bit: int | None) -> list[Value]:
        code = _code(data)
        known = self._table.find(address.segments) if self._table is not None else None
        if known is not None and known.code != code:
            self._session.stale = True
        if first_bit is not None and code != DWORD_CODE:
            raise DataTypeError(f"an array of BOOL was expected, the controller has {name_of(code)}")
        if code == STRUCT_CODE:
            return self._structures(address, data, known)
        kind = atomic_type(code)
        if kind is None:
            raise ProtocolError(f"the controller's type 0x{code:02x} is not known")
        if address.bit is not None:
            if not kind.size or kind.form in "fd" or address.bit >= kind.size * 8:
                raise DataTypeError(f"there is no bit {address.bit} in a {kind.name}")
            return list(decode_bits(data[2:], address.bit, 1))
        if not fits(address.datatype, code):
            raise DataTypeError(f"the tag is declared {address.datatype}, the controller has a {kind.name}")
        if code == DWORD_CODE and (first_bit is not None or address.datatype is DataType.BOOL):
            return list(decode_bits(data[2:], first_bit or 0, address.count))
        return list(decode_atomic(kind, data[2:], address.count))

    def _structures(self, address: LogixAddress, data: bytes, known: TypeInfo | None) -> list[Value]:
        handle = int.from_bytes(data[2:4], "little")
        layout = self._table.layout(handle) if self._table is not None else None
        body = data[4:]
        name = layout.name if layout is not None else f"structure 0x{handle:04x}"
        if known is not None and (known.layout is None or known.layout.handle != handle):
            self._session.stale = True
        if address.datatype not in {DataType.AUTO, DataType.STRUCT, DataType.STRING}:
            raise DataTypeError(f"the tag is declared {address.datatype}, the controller has a {name}")
        if address.bit is not None:
            raise DataTypeError(f"there are no bits in a {name}")
        if layout is None:
            if handle == _LOGIX_STRING or address.datatype is DataType.STRING:
                return list(_texts(body, address.count))
            self._session.stale = True
            hint = "let init_tags be 'auto' or 'lazy', or read its members"
            raise DataTypeError(f"the layout of {name} is not known; {hint}")
        is_text = layout.room is not None
        if address.datatype is not DataType.AUTO and is_text != (address.datatype is DataType.STRING):
            raise DataTypeError(f"the tag is declared {address.datatype}, the controller has a {name}")
        if len(body) != layout.size * address.count:
            raise ProtocolError(f"expected {layout.size * address.count} bytes of {name}, got {len(body)}")
        return [layout.decode(body[at : at + layout.size]) for at in range(0, len(body), layout.size)]


def bits_place(address: LogixAddress) -> tuple[tuple[Segment, ...], int, int]:
    """Where elements of a BOOL array live: the path of their double word, the first's bit in it, and how many words."""
    last = address.segments[-1]
    at = last.index[0] if last.index else 0
    first = at % 32
    segments = (*address.segments[:-1], Segment(last.name, (at // 32,)))
    return segments, first, (first + address.count + 31) // 32


def _code(data: bytes) -> int:
    """Type code at the start of an answer; a BOOL's second byte says which bit of its byte it was."""
    code = int.from_bytes(data[:2], "little")
    return code if code == STRUCT_CODE else code & 0xFF


def _texts(data: bytes, count: int) -> Iterator[str]:
    size, odd = divmod(len(data), count)
    if odd or size < 4:
        raise DataTypeError(f"{len(data)} bytes are not {count} texts")
    for at in range(0, len(data), size):
        length = int.from_bytes(data[at : at + 4], "little")
        if length > size - 4:
            raise DataTypeError(f"a structure of {size} bytes is no text of {length} characters")
        yield data[at + 4 : at + 4 + length].decode("latin-1")
