"""A TCP peer whose every byte the test decides: for what no well-behaved server would send."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

__all__ = ["ScriptedDevice", "scripted_device"]

Answer = Callable[[bytes, asyncio.StreamWriter], Awaitable[None]]


class ScriptedDevice:
    """What the device saw.

    Attributes:
        port: where it listens on 127.0.0.1.
        requests: every request, whole, in order of arrival.
        links: how many connections it has accepted.
    """

    def __init__(self) -> None:
        self.port = 0
        self.requests: list[bytes] = []
        self.links = 0


@asynccontextmanager
async def scripted_device(answer: Answer, *, port: int = 0) -> AsyncIterator[ScriptedDevice]:
    """Serve; `answer` gets each request and the writer, and sends what it likes."""
    device = ScriptedDevice()
    writers: set[asyncio.StreamWriter] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        device.links += 1
        writers.add(writer)
        try:
            while True:
                header = await reader.readexactly(6)
                request = header + await reader.readexactly(int.from_bytes(header[4:6], "big"))
                device.requests.append(request)
                await answer(request, writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writers.discard(writer)
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", port)
    device.port = server.sockets[0].getsockname()[1]
    try:
        yield device
    finally:
        server.close()
        for writer in list(writers):
            writer.transport.abort()
        await server.wait_closed()
        await asyncio.sleep(0)
