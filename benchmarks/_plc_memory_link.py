"""An event loop whose links lead into memory: the device answers before `write` returns, and costs nothing.

In: for each request, the answer that a device once gave. Out: a loop on which a client pays for nothing but itself: no
kernel, no wire, no turn of the loop.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

__all__ = ["MemoryLoop"]

_HEADER = 7


class _MemoryTransport(asyncio.Transport):
    """Answers within `write`."""

    def __init__(self, protocol: asyncio.Protocol, answers: Mapping[bytes, bytes]) -> None:
        super().__init__()
        self._protocol = protocol
        self._answers = answers
        self._closing = False

    def write(self, data: bytes | bytearray | memoryview[int]) -> None:
        """Look the answer up and hand it over, with the request's transaction id."""
        at = 0
        while at < len(data):  # several requests may come in one piece
            size = 6 + int.from_bytes(data[at + 4 : at + 6], "big")
            request = bytes(data[at : at + size])
            answer = self._answers[request[_HEADER:]]
            self._protocol.data_received(request[:2] + answer)
            at += size

    def close(self) -> None:
        """End the link."""
        if not self._closing:
            self._closing = True
            asyncio.get_running_loop().call_soon(self._protocol.connection_lost, None)

    def abort(self) -> None:
        """End the link."""
        self.close()

    def is_closing(self) -> bool:
        """True once it ends."""
        return self._closing

    def pause_reading(self) -> None:
        """Nothing comes unasked."""

    def resume_reading(self) -> None:
        """Nothing comes unasked."""


class MemoryLoop(asyncio.SelectorEventLoop):
    """Connects every client to the recorded device.

    Args:
        answers: for each request's PDU the frame that answers it, from its third byte on.
    """

    def __init__(self, answers: Mapping[bytes, bytes]) -> None:
        super().__init__()
        self._answers = answers

    async def create_connection(self, protocol_factory: Callable[[], Any], *_: Any, **__: Any) -> Any:
        """Open a link; host and port do not matter."""
        protocol = protocol_factory()
        transport = _MemoryTransport(protocol, self._answers)
        protocol.connection_made(transport)
        return transport, protocol
