"""The encapsulation of EtherNet/IP: a byte stream to frames, frames to bytes, and the items inside. No socket.

Whatever comes in, nothing is raised but `ProtocolError`, and no more is kept than one frame.

Obeys: CIP volume 2, sections 2-3 (header, commands, statuses) and 2-6 (common packet format).
"""

from __future__ import annotations

import dataclasses
import struct
from collections.abc import Iterator, Sequence
from enum import IntEnum

from bifrost.errors import ProtocolError

__all__ = [
    "HEADER_BYTES",
    "Command",
    "Frame",
    "FrameReader",
    "Item",
    "ItemType",
    "Status",
    "decode_items",
    "encode_items",
]

HEADER_BYTES = 24
_HEADER = struct.Struct("<HHII8sI")
_MAX_DATA = 65511  # volume 2, 2-3.2.2: what fits beside the header
_MAX_ITEMS = 16


class Command(IntEnum):
    """Encapsulation commands, volume 2, table 2-3.2."""

    NOP = 0x00
    LIST_SERVICES = 0x04
    LIST_IDENTITY = 0x63
    LIST_INTERFACES = 0x64
    REGISTER_SESSION = 0x65
    UNREGISTER_SESSION = 0x66
    SEND_RR_DATA = 0x6F
    SEND_UNIT_DATA = 0x70


class Status(IntEnum):
    """Encapsulation statuses, volume 2, table 2-3.3."""

    SUCCESS = 0x00
    UNSUPPORTED_COMMAND = 0x01
    INCORRECT_DATA = 0x03
    INVALID_SESSION = 0x64
    INVALID_LENGTH = 0x65
    UNSUPPORTED_VERSION = 0x69


class ItemType(IntEnum):
    """Items of the common packet format, volume 2, table 2-6.3."""

    NULL = 0x00
    IDENTITY = 0x0C
    CONNECTED_ADDRESS = 0xA1
    CONNECTED_DATA = 0xB1
    UNCONNECTED_DATA = 0xB2
    SERVICES = 0x100


@dataclasses.dataclass(frozen=True, slots=True)
class Frame:
    """One encapsulated message.

    Attributes:
        command: see `Command`; other numbers occur.
        session: handle.
        status: 0 in requests.
        context: 8 bytes that the answer repeats.
        options: 0; requests with another value are to be discarded.
        data: what follows the header.
    """

    command: int
    session: int = 0
    status: int = 0
    context: bytes = bytes(8)
    options: int = 0
    data: bytes = b""

    def encode(self) -> bytes:
        """Return the frame's bytes."""
        head = (self.command, len(self.data), self.session, self.status, self.context, self.options)
        return _HEADER.pack(*head) + self.data

    def answer(self, data: bytes = b"", *, status: int = 0, session: int | None = None) -> Frame:
        """Return the answer to this request: same command, context and session."""
        chosen = self.session if session is None else session
        return Frame(self.command, chosen, status, self.context, 0, data)

    @classmethod
    def decode(cls, datagram: bytes) -> Frame:
        """Read a frame that came in one piece.

        Raises:
            ProtocolError: it is too short, or its length field says otherwise.
        """
        if len(datagram) < HEADER_BYTES:
            raise ProtocolError(f"expected at least {HEADER_BYTES} bytes of encapsulation, got {len(datagram)}")
        command, length, session, status, context, options = _HEADER.unpack_from(datagram)
        if length != len(datagram) - HEADER_BYTES:
            raise ProtocolError(f"the header announces {length} bytes, {len(datagram) - HEADER_BYTES} came")
        return cls(command, session, status, context, options, datagram[HEADER_BYTES:])


class FrameReader:
    """Cuts a byte stream into frames. Not thread-safe."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> Iterator[Frame]:
        """Take bytes and yield the frames that are whole.

        Raises:
            ProtocolError: a frame longer than the standard allows is announced; the stream is lost.
        """
        self._buffer += data
        while len(self._buffer) >= HEADER_BYTES:
            end = HEADER_BYTES + int.from_bytes(self._buffer[2:4], "little")
            if end > HEADER_BYTES + _MAX_DATA:
                self._buffer.clear()
                raise ProtocolError(f"a frame of {end} bytes is announced, {HEADER_BYTES + _MAX_DATA} are possible")
            if len(self._buffer) < end:
                return
            frame = Frame.decode(bytes(self._buffer[:end]))
            del self._buffer[:end]
            yield frame

    @property
    def pending(self) -> int:
        """Bytes of a frame that is not whole yet."""
        return len(self._buffer)


@dataclasses.dataclass(frozen=True, slots=True)
class Item:
    """One item of the common packet format."""

    type: int
    data: bytes = b""


def decode_items(data: bytes) -> list[Item]:
    """Read interface handle, timeout and items, as SendRRData and SendUnitData carry them.

    Raises:
        ProtocolError: cut off, too long, another interface than CIP, or too many items.
    """
    if len(data) < 8:
        raise ProtocolError(f"expected at least 8 bytes before the items, got {len(data)}")
    interface, _timeout, count = struct.unpack_from("<IHH", data)
    if interface or count > _MAX_ITEMS:
        raise ProtocolError(f"expected interface 0 and at most {_MAX_ITEMS} items, got {interface} and {count}")
    items, at = [], 8
    for _ in range(count):
        if at + 4 > len(data):
            raise ProtocolError("an item's header is cut off")
        kind, length = struct.unpack_from("<HH", data, at)
        at += 4
        if at + length > len(data):
            raise ProtocolError("an item's data is cut off")
        items.append(Item(kind, data[at : at + length]))
        at += length
    if at != len(data):
        raise ProtocolError(f"{len(data) - at} bytes follow the last item")
    return items


def encode_items(items: Sequence[Item], *, prefix: bytes = bytes(6)) -> bytes:
    """Return items in the common packet format; `prefix` is interface handle and timeout, none for lists."""
    body = b"".join(struct.pack("<HH", one.type, len(one.data)) + one.data for one in items)
    return prefix + struct.pack("<H", len(items)) + body
