"""Stands between a connection and a simulated device, and can fall silent: a link that is open and dead."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

__all__ = ["SilentRelay", "silent_relay"]


class SilentRelay:
    """A relay on loopback.

    Attributes:
        port: where it listens.
        mute: while true, bytes are taken and go nowhere, and no connection is ended.
        accepted: connections so far.
        asked: for each connection, what the client sent.
    """

    def __init__(self, target: int) -> None:
        self.port = 0
        self.mute = False
        self.accepted = 0
        self.asked: list[bytearray] = []
        self._target = target
        self._open: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None

    async def start(self) -> None:
        """Listen."""
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """End everything."""
        assert self._server is not None
        self._server.close()
        for task in self._open:
            task.cancel()
        if self._open:
            await asyncio.wait(self._open)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.accepted += 1
        task = asyncio.get_running_loop().create_task(self._relay(reader, writer))
        self._open.add(task)
        task.add_done_callback(self._open.discard)

    async def _relay(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        device_reader, device_writer = await asyncio.open_connection("127.0.0.1", self._target)
        asked = bytearray()
        self.asked.append(asked)
        there = asyncio.create_task(self._carry(reader, device_writer, asked))
        back = asyncio.create_task(self._carry(device_reader, writer, bytearray()))
        try:
            await asyncio.wait([there, back], return_when=asyncio.FIRST_COMPLETED)
        finally:
            for carrying in (there, back):
                carrying.cancel()
            for end in (writer, device_writer):
                end.transport.abort()

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, seen: bytearray) -> None:
        with contextlib.suppress(ConnectionError):
            while data := await reader.read(65536):
                seen += data
                if not self.mute:
                    writer.write(data)


@asynccontextmanager
async def silent_relay(target: int) -> AsyncIterator[SilentRelay]:
    """Relay to the device on port `target` for the length of a block."""
    relay = SilentRelay(target)
    await relay.start()
    try:
        yield relay
    finally:
        await relay.stop()
