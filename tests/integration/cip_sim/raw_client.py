"""A client of EtherNet/IP that shows every byte and hides no mistake of the other side."""

from __future__ import annotations

import asyncio
import contextlib
import struct
from collections.abc import AsyncIterator

from bifrost.plc.sim.cip.encapsulation import HEADER_BYTES, Frame, Item, decode_items, encode_items

__all__ = ["RawClient", "opening", "raw_client", "symbol"]

_ROUTE = b"\x01\x00\x20\x02\x24\x01"


def symbol(name: str) -> bytes:
    """Return the segment for a name."""
    return bytes([0x91, len(name)]) + name.encode() + bytes(len(name) % 2)


class RawClient:
    """One TCP connection.

    Attributes:
        session: handle, once registered.
        connection: id for requests, once opened.
        sequence: count of the latest connected request.
    """

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer
        self.session = 0
        self.connection = 0
        self.sequence = 0

    async def exactly(self, count: int) -> bytes:
        """Wait for exactly so many bytes, 2 s at most."""
        async with asyncio.timeout(2):
            return await self.reader.readexactly(count)

    async def frame(self) -> Frame:
        """Wait for one frame."""
        head = await self.exactly(HEADER_BYTES)
        return Frame.decode(head + await self.exactly(int.from_bytes(head[2:4], "little")))

    async def silent(self, seconds: float = 0.05) -> bool:
        """Tell whether nothing comes, not even an end, for so long."""
        try:
            async with asyncio.timeout(seconds):
                await self.reader.read(1)
        except TimeoutError:
            return True
        return False

    async def ended(self) -> bool:
        """Tell whether the other side ends the connection in order, 2 s at most."""
        async with asyncio.timeout(2):
            return await self.reader.read(1) == b""

    async def ask(self, frame: Frame) -> Frame:
        """Send a frame and wait for the next one."""
        self.writer.write(frame.encode())
        return await self.frame()

    async def register(self) -> Frame:
        """Open a session."""
        answer = await self.ask(Frame(0x65, context=b"register", data=b"\x01\0\0\0"))
        self.session = answer.session
        return answer

    def unconnected_frame(self, message: bytes) -> Frame:
        """Return the frame for a request without a connection."""
        return Frame(0x6F, self.session, context=b"unconn..", data=encode_items([Item(0), Item(0xB2, message)]))

    async def unconnected(self, message: bytes) -> bytes:
        """Send a request without a connection and return the router's answer."""
        answer = await self.ask(self.unconnected_frame(message))
        assert (answer.status, answer.context) == (0, b"unconn..")
        address, data = decode_items(answer.data)
        assert address == Item(0)
        assert data.type == 0xB2
        return data.data

    async def open(self, size: int = 500, *, large: bool = False, serial: int = 1, route: bytes = _ROUTE) -> bytes:
        """Open a connection and return the router's answer."""
        answer = await self.unconnected(opening(size, large=large, serial=serial, route=route))
        if answer[2] == 0:
            self.connection = int.from_bytes(answer[4:8], "little")
            assert answer[8:12] == b"\x78\x56\x34\x12"
        return answer

    async def close_connection(self, *, serial: int = 1) -> bytes:
        """Close the connection and return the router's answer."""
        data = b"\x0a\x05" + struct.pack("<HHI", serial, 0x1337, 42)
        return await self.unconnected(b"\x4e\x02\x20\x06\x24\x01" + data + bytes([len(_ROUTE) // 2, 0]) + _ROUTE)

    def connected_frame(self, message: bytes, *, again: bool = False) -> Frame:
        """Return the frame for a request on the connection; `again` repeats the sequence count."""
        self.sequence += not again
        address = Item(0xA1, self.connection.to_bytes(4, "little"))
        data = Item(0xB1, self.sequence.to_bytes(2, "little") + message)
        return Frame(0x70, self.session, context=b"connectd", data=encode_items([address, data]))

    async def connected(self, message: bytes, *, again: bool = False) -> bytes:
        """Send a request on the connection and return the router's answer."""
        answer = await self.ask(self.connected_frame(message, again=again))
        assert (answer.status, answer.context, answer.session) == (0, b"connectd", self.session)
        address, data = decode_items(answer.data)
        assert address == Item(0xA1, b"\x78\x56\x34\x12")
        assert data.type == 0xB1
        assert data.data[:2] == self.sequence.to_bytes(2, "little")
        return data.data[2:]

    async def read(self, name: str, count: int = 1) -> bytes:
        """Read a tag on the connection and return the router's answer."""
        path = symbol(name)
        return await self.connected(bytes([0x4C, len(path) // 2]) + path + count.to_bytes(2, "little"))


def opening(size: int, *, large: bool = False, serial: int = 1, route: bytes = _ROUTE, transport: int = 0xA3) -> bytes:
    """Return a Forward Open."""
    net = struct.pack("<I", 0x4200 << 16 | size) if large else struct.pack("<H", 0x4200 | size)
    rpi = struct.pack("<I", 2_000_000)
    head = b"\x0a\x05" + bytes(4) + b"\x78\x56\x34\x12" + struct.pack("<HHI", serial, 0x1337, 42) + b"\x07\0\0\0"
    body = head + rpi + net + rpi + net + bytes([transport, len(route) // 2]) + route
    return (b"\x5b" if large else b"\x54") + b"\x02\x20\x06\x24\x01" + body


@contextlib.asynccontextmanager
async def raw_client(port: int, *, size: int | None = None) -> AsyncIterator[RawClient]:
    """Connect to 127.0.0.1; with `size` also register a session and open a connection."""
    async with asyncio.timeout(2):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
    client = RawClient(reader, writer)
    try:
        if size is not None:
            await client.register()
            assert (await client.open(size))[2] == 0
        yield client
    finally:
        writer.transport.abort()
        with contextlib.suppress(OSError):  # the other side may have reset it
            await writer.wait_closed()
