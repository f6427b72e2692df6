"""The least that an asyncio client of Modbus TCP can be: it sends requests that were made before and counts bytes.

In: whole requests. Out: the answers' PDUs, as they came. It decodes nothing, times nothing out and mends nothing: what
remains of its time is the wire, the server and the event loop.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Sequence
from typing import Self

__all__ = ["BareClient"]

_HEADER = 7


class BareClient(asyncio.Protocol):
    """One link; its owner waits for one call at a time."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._waiter: asyncio.Future[bytes] = loop.create_future()
        self._pending = b""
        self._awaited = 1
        self._transport: asyncio.Transport | None = None

    @classmethod
    async def connect(cls, port: int) -> Self:
        """Open a link to 127.0.0.1."""
        loop = asyncio.get_running_loop()
        _, client = await loop.create_connection(lambda: cls(loop), "127.0.0.1", port)
        return client

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport; small requests leave at once."""
        assert isinstance(transport, asyncio.Transport)
        transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Wake the reader once as many answers as it waits for are whole."""
        if self._pending:
            data = self._pending + data
        end = 0
        for _ in range(self._awaited):
            if len(data) < end + 6:
                break
            end += 6 + (data[end + 4] << 8 | data[end + 5])
        else:
            if len(data) >= end:
                self._pending = b""
                self._waiter.set_result(data)
                return
        self._pending = data

    async def exchange(self, request: bytes) -> bytes:
        """Send one request and wait for its answer, header included."""
        assert self._transport is not None
        self._awaited = 1
        self._waiter = self._loop.create_future()
        self._transport.write(request)
        return await self._waiter

    async def read_together(self, requests: Sequence[bytes]) -> bytes:
        """Send all requests in one piece, then wait for all answers: one piece, too, headers included."""
        assert self._transport is not None
        self._awaited = len(requests)
        self._waiter = self._loop.create_future()
        self._transport.write(b"".join(requests))
        return await self._waiter

    async def read_all(self, requests: Sequence[bytes]) -> list[bytes]:
        """Send requests one after the other; the answers' PDUs."""
        return [(await self.exchange(request))[_HEADER:] for request in requests]

    def close(self) -> None:
        """End the link."""
        if self._transport is not None:
            self._transport.close()
