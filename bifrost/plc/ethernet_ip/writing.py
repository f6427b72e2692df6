"""Values into a controller: each is sent once.

In: checked values. Out: nothing, or why not. Called in the thread of the link; not here: pycomm3, the socket.
Obeys: Rockwell 1756-PM020, "Write Tag", "Write Tag Fragmented", "Read Modify Write Tag".
"""

from __future__ import annotations

import struct
from typing import Protocol

from bifrost.errors import CIPFault, DataTypeError, WriteError
from bifrost.plc.datatypes import DataType
from bifrost.plc.ethernet_ip.address import LogixAddress, Segment
from bifrost.plc.ethernet_ip.answers import Answer
from bifrost.plc.ethernet_ip.cip_socket import SentMark
from bifrost.plc.ethernet_ip.cip_types import (
    DWORD_CODE,
    STRUCT_CODE,
    atomic_type,
    atomic_type_of,
    encode_atomic,
    fits,
    name_of,
)
from bifrost.plc.ethernet_ip.faults import PATH_STATUS, cip_fault
from bifrost.plc.ethernet_ip.reading import TagReader, bits_place
from bifrost.plc.ethernet_ip.requests import encode_path, modify_request, write_part_request, write_request
from bifrost.plc.ethernet_ip.tag_table import TagTable, TypeInfo
from bifrost.plc.ethernet_ip.values import LogixWrite, checked_value

__all__ = ["TagWriter", "WritingExchanger"]

_SHORT_TEXT = 255
_TYPE_MISMATCH = (0xFF, 0x2107)


class WritingExchanger(Protocol):
    """What a writer needs of a session; see `bifrost.plc.ethernet_ip.session.LogixSession`."""

    table: TagTable | None
    stale: bool

    @property
    def budget(self) -> int:
        """Bytes that fit into a request or an answer."""
        ...

    def exchange(self, message: bytes, mark: SentMark | None = None) -> Answer:
        """Send one message and wait for its answer."""
        ...


class TagWriter:
    """Writes tags over one session."""

    def __init__(self, session: WritingExchanger, reader: TagReader) -> None:
        self._session = session
        self._reader = reader

    def write(self, item: LogixWrite, mark: SentMark) -> None:
        """Write one item; `mark` says whether anything of it was sent.

        Raises:
            CIPFault: the controller refused.
            DataTypeError: the controller's tag is of another type; nothing was sent.
            WriteError: a part of it was written, then the controller refused.
            LinkError: the link is gone; `ProtocolError`: what came was no answer.
        """
        address = item.address
        info = self._reader.info(address)
        if address.bit is not None:
            self._bit(address, bool(item.values[0]), info, mark)
        elif info is not None and info.is_bits:
            self._bits(address, item.values, mark)
        else:
            kind, data = self._packed(address, item.values, info)
            self._send(address, kind, data, mark)

    # Bits

    def _bit(self, address: LogixAddress, value: bool, info: TypeInfo | None, mark: SentMark) -> None:
        assert address.bit is not None
        code = info.code if info is not None else self._reader.learn(address.segments)[0]
        kind = atomic_type(code)
        if kind is None or not kind.size or kind.form in "fd" or address.bit >= kind.size * 8:
            raise DataTypeError(f"{address.path}: there is no bit {address.bit} in {name_of(code)}")
        everything = (1 << kind.size * 8) - 1
        bit = 1 << address.bit
        request = modify_request(
            encode_path(address.segments), kind.size, bit if value else 0, everything if value else everything & ~bit
        )
        self._check(address, self._session.exchange(request, mark))

    def _bits(self, address: LogixAddress, values: list[object], mark: SentMark) -> None:
        """Write elements of a BOOL array: the controller sets and clears them in their double words, one by one."""
        segments, first, words = bits_place(address)
        last = segments[-1]
        for word in range(words):
            setting, keeping = 0, 0xFFFF_FFFF
            for bit in range(32):
                at = word * 32 + bit - first
                if 0 <= at < len(values):
                    setting |= bool(values[at]) << bit
                    keeping &= ~(0 if values[at] else 1 << bit)
            path = encode_path((*segments[:-1], Segment(last.name, (last.index[0] + word,))))
            answer = self._session.exchange(modify_request(path, 4, setting, keeping), mark)
            self._check(address, answer, done=word)

    # Values

    def _packed(self, address: LogixAddress, values: list[object], info: TypeInfo | None) -> tuple[bytes, bytes]:
        """Type and bytes of the values, as the controller has the tag."""
        first = b""
        if info is not None:
            code = info.code
        else:
            declared = atomic_type_of(address.datatype)
            code, first = (declared.code, b"") if declared is not None else self._reader.learn(address.segments)
        if code == STRUCT_CODE:
            return self._structures(address, values, info, first)
        kind = atomic_type(code)
        if kind is None:
            raise DataTypeError(f"{address.path} is {name_of(code)}, which bifrost cannot write")
        if not fits(address.datatype, code) or (code == DWORD_CODE and address.datatype is DataType.BOOL):
            text = f"{address.path}: the tag is declared {address.datatype}, the controller has a {kind.name}"
            raise DataTypeError(text)
        room = _SHORT_TEXT if kind.form == "B" else 0
        try:
            checked = [checked_value(kind.datatype, value, length=room) for value in values]
        except DataTypeError as error:
            raise DataTypeError(f"{address.path}: {error}") from None
        return struct.pack("<H", code), encode_atomic(kind, checked)

    def _structures(
        self, address: LogixAddress, values: list[object], info: TypeInfo | None, first: bytes
    ) -> tuple[bytes, bytes]:
        handle = int.from_bytes(first[2:4], "little")
        table = self._session.table
        layout = info.layout if info is not None else (table.layout(handle) if table is not None else None)
        if layout is None:
            if address.datatype is not DataType.STRING and not all(isinstance(value, str) for value in values):
                text = f"{address.path}: the layout of the structure is not known; let init_tags be 'auto' or 'lazy'"
                raise DataTypeError(text)
            return struct.pack("<HH", STRUCT_CODE, handle), _texts(address, values, len(first) - 4)
        expected = DataType.STRUCT if layout.room is None else DataType.STRING
        if address.datatype not in {DataType.AUTO, expected}:
            text = f"{address.path}: the tag is declared {address.datatype}, the controller has a {layout.name}"
            raise DataTypeError(text)
        try:
            data = b"".join(layout.encode(value) for value in values)
        except DataTypeError as error:
            raise DataTypeError(f"{address.path}: {error}") from None
        return struct.pack("<HH", STRUCT_CODE, layout.handle), data

    def _send(self, address: LogixAddress, kind: bytes, data: bytes, mark: SentMark) -> None:
        path = encode_path(address.segments)
        request = write_request(path, kind, address.count, data)
        if len(request) <= self._session.budget:
            self._check(address, self._session.exchange(request, mark))
            return
        room = self._session.budget - len(write_part_request(path, kind, address.count, 0, b""))
        element = max(1, len(data) // address.count)
        # Whole elements, so that none is torn; parts of one that is larger than a packet begin at multiples of 8.
        room = room // element * element if room >= element else room & ~7
        for offset in range(0, len(data), room):
            part = write_part_request(path, kind, address.count, offset, data[offset : offset + room])
            self._check(address, self._session.exchange(part, mark), done=offset)

    def _check(self, address: LogixAddress, answer: Answer, *, done: int = 0) -> None:
        if answer.ok:
            return
        fault: CIPFault = cip_fault(address.path, answer.status, answer.extended)
        if answer.status in PATH_STATUS or (answer.status, answer.extended) == _TYPE_MISMATCH:
            self._session.stale = self._session.table is not None
        if done:
            text = f"{address.path}: only the first part was written, then the controller refused: {fault}"
            raise WriteError(text, unknown_outcome=True) from fault
        raise fault


def _texts(address: LogixAddress, values: list[object], size: int) -> bytes:
    """Texts in a structure whose layout is only known by its size: a length of 4 bytes, then the characters."""
    packed = bytearray()
    for value in values:
        raw = str(value).encode("latin-1")
        # The last two bytes may be padding: the predefined text has 82 characters in 84 bytes.
        if len(raw) > size - 4 - 2:
            raise DataTypeError(f"{address.path}: expected at most {size - 6} characters, got {len(raw)}")
        packed += struct.pack("<I", len(raw)) + raw + bytes(size - 4 - len(raw))
    return bytes(packed)
