"""One link to a NUT server: a line out, its answer in, one at a time.

Not here: what the lines mean. Obeys: RFC 9271 section 4.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import cast

from bifrost.errors import BifrostError, DeviceFault, LinkTimeout, NotConnected, ProtocolError

__all__ = ["ERRORS", "NutSession"]

ERRORS = (
    "ACCESS-DENIED", "ALREADY-ATTACHED", "ALREADY-SET-PASSWORD", "ALREADY-SET-USERNAME", "CMD-NOT-SUPPORTED",
    "DATA-STALE", "DRIVER-NOT-CONNECTED", "FEATURE-NOT-CONFIGURED", "FEATURE-NOT-SUPPORTED", "INSTCMD-FAILED",
    "INVALID-ARGUMENT", "INVALID-PASSWORD", "INVALID-USERNAME", "INVALID-VALUE", "PASSWORD-REQUIRED", "READONLY",
    "SET-FAILED", "TLS-ALREADY-ENABLED", "TLS-NOT-ENABLED", "TOO-LONG", "UNKNOWN-COMMAND", "UNKNOWN-TYPE",
    "UNKNOWN-UPS", "USERNAME-REQUIRED", "VAR-NOT-SUPPORTED",
)  # fmt: skip
"""The protocol's errors are words; a `DeviceFault.code` is a word's place here, from 1. RFC 9271 section 4.3."""

_MOST_BYTES = 1 << 20  # of one answer: a list of 10,000 variables


class NutSession(asyncio.Protocol):
    """Alive from `connection_made` to its end.

    Answers bear no number, so one that comes late would be taken for the next: whoever stops waiting ends the link.

    Attributes:
        requests: lines sent.
    """

    def __init__(self, on_lost: Callable[[BifrostError], None]) -> None:
        self.requests = 0
        self._on_lost: Callable[[BifrostError], None] | None = on_lost
        self._transport: asyncio.Transport | None = None
        self._turn = asyncio.Lock()
        self._buffer = bytearray()
        self._answer: asyncio.Future[list[str]] | None = None
        self._until = ""
        self._ended = asyncio.get_running_loop().create_future()

    async def ask(self, line: str, *, timeout: float) -> list[str]:
        """Send a line and return its answer: one line, or all between BEGIN and END of a list.

        Raises:
            NotConnected: the link is gone; nothing was sent.
            LinkTimeout: no answer in time; the link was ended.
            DeviceFault: the server said ERR.
        """
        async with self._turn:
            if self._transport is None:
                raise NotConnected("the link to the server is down")
            self._answer = asyncio.get_running_loop().create_future()
            self._until = f"END {line}" if line.startswith("LIST ") else ""
            self.requests += 1
            self._transport.write(f"{line}\n".encode())
            try:
                async with asyncio.timeout(timeout):
                    lines = await self._answer
            except TimeoutError:
                late = LinkTimeout(f"no answer to {line.split(maxsplit=1)[0]} within {timeout:g} s")
                self.end(late)
                raise late from None
            except asyncio.CancelledError:
                self.end(NotConnected("the link was given up: nobody waits for its answer any more"))
                raise
            finally:
                self._answer = None
        if lines and lines[0].startswith("ERR "):
            word = lines[0].split()[1] if " " in lines[0] else ""
            raise DeviceFault(f"the server says {word}", code=ERRORS.index(word) + 1 if word in ERRORS else 0)
        return lines

    @property
    def alive(self) -> bool:
        """True while lines can be sent."""
        return self._transport is not None

    def end(self, error: BifrostError) -> None:
        """Drop the link; whoever waits, and `on_lost`, hear the error."""
        transport, self._transport = self._transport, None
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(error)
        if transport is not None:
            transport.abort()
        on_lost, self._on_lost = self._on_lost, None
        if on_lost is not None:
            on_lost(error)

    async def aclose(self) -> None:
        """End the link on purpose; `on_lost` is not called. Idempotent."""
        self._on_lost = None
        connected = self._transport is not None
        self.end(NotConnected("the connection was closed"))
        if connected:
            await asyncio.wait([self._ended], timeout=1.0)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the transport."""
        self._transport = cast(asyncio.Transport, transport)

    def connection_lost(self, exc: Exception | None) -> None:
        """Fail what waits, at once."""
        self.end(NotConnected(f"the server ended the link{'' if exc is None else f': {exc}'}"))
        if not self._ended.done():
            self._ended.set_result(None)

    def data_received(self, data: bytes) -> None:
        """Collect lines until the answer is whole."""
        self._buffer += data
        if len(self._buffer) > _MOST_BYTES:
            self.end(ProtocolError(f"the server sent more than {_MOST_BYTES} bytes without coming to an end"))
            return
        if not self._buffer.endswith(b"\n"):
            return
        lines = self._buffer.decode("utf-8", errors="replace").splitlines()
        if self._until and not lines[0].startswith("ERR ") and lines[-1] != self._until:
            return
        self._buffer.clear()
        if self._answer is not None and not self._answer.done():
            self._answer.set_result(lines[1:-1] if self._until and not lines[0].startswith("ERR ") else lines)
