"""The transport below snap7's asyncio client: it tells when the link ends, and when bytes come that nobody asked for.

snap7's own notices both only when it reads next. Needs the extra ``s7``; import it where it is used.
In: a host. Out: frames, and news of the link. Obeys: RFC 1006 (ISO transport on TCP), as snap7 implements it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from snap7.async_client import AsyncISOTCPConnection
from snap7.error import S7ConnectionError

from bifrost.plc.drivers.lookup import connect_tcp
from bifrost.plc.drivers.tcp import tune_socket

__all__ = ["WatchedConnection"]


class _Watched(asyncio.StreamReaderProtocol):
    """Feeds a stream, and tells its owner."""

    def __init__(self, reader: asyncio.StreamReader, owner: WatchedConnection, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(reader, loop=loop)
        self._owner = owner
        self.ended = loop.create_future()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        self._owner.received(len(data))

    def eof_received(self) -> bool:
        super().eof_received()
        self._owner.ended("the device closed the link")
        return False  # a half-open link is of no use: let the transport close

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._owner.ended("the device closed the link" if exc is None else f"the link broke: {exc}")
        if not self.ended.done():
            self.ended.set_result(None)


class WatchedConnection(AsyncISOTCPConnection):
    """A connection for `snap7.AsyncClient`.

    Attributes:
        unread: bytes that came and were not read yet.
        on_end: called when the peer ended the link, with why.
        on_data: called when bytes came.
    """

    def __init__(
        self,
        host: str,
        port: int,
        *,
        local_tsap: int,
        remote_tsap: int,
        on_end: Callable[[str], None],
        on_data: Callable[[], None],
    ) -> None:
        super().__init__(host, port, local_tsap=local_tsap, remote_tsap=remote_tsap)
        self.unread = 0
        self._on_end = on_end
        self._on_data = on_data
        self._transport: asyncio.Transport | None = None
        self._ended: asyncio.Future[None] | None = None

    async def connect(self, timeout: float = 5.0) -> None:
        """Open the link and agree on an ISO connection; the caller has the deadline, and `abort`s what failed."""
        loop = asyncio.get_running_loop()
        reader = asyncio.StreamReader(loop=loop)
        transport, protocol = await connect_tcp(lambda: _Watched(reader, self, loop), self.host, self.port)
        self._transport, self._ended = transport, protocol.ended
        self._reader = reader
        self._writer = asyncio.StreamWriter(transport, protocol, reader, loop)
        tune_socket(transport.get_extra_info("socket"))
        await self._iso_connect()
        self.connected = True

    def abort(self) -> None:
        """End the link without waiting for anything; nothing more is told."""
        self.connected = False
        self._on_end = self._on_data = _ignore
        if self._transport is not None:
            self._transport.abort()

    async def gone(self, timeout: float) -> None:
        """Wait until the socket is closed."""
        if self._ended is not None:
            await asyncio.wait([self._ended], timeout=timeout)

    def received(self, size: int) -> None:
        """Count what came."""
        self.unread += size
        self._on_data()

    def ended(self, reason: str) -> None:
        """Note that the peer ended the link."""
        self.connected = False
        self._on_end(reason)

    async def _recv_exact(self, size: int) -> bytes:
        # snap7's own wraps each of these in a task with a timeout; here the whole exchange has one deadline.
        if self._reader is None:
            raise S7ConnectionError("Stream not initialized")
        try:
            data = await self._reader.readexactly(size)
        except asyncio.IncompleteReadError as error:
            raise S7ConnectionError("Connection closed by peer") from error
        self.unread -= size
        return data


def _ignore(*_: object) -> None:
    """Hear nothing more of a link that was given up."""
