"""Serves the control socket: connections in, calls of operations out. Knows no gateway.

A connection may ask many times, one request after the other. Nothing here waits without a deadline: a silent
connection is closed after `idle_timeout`, a request is answered within `request_timeout`.
"""

from __future__ import annotations

import asyncio
import contextlib
import hmac
import logging
import socket
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import msgspec

from bifrost.core.checking.mistakes import nearest
from bifrost.errors import BifrostError, ConfigError, LinkTimeout, ProtocolError
from bifrost.gateway.control.protocol import (
    MAX_LINE_BYTES,
    ControlFailure,
    ControlRequest,
    ControlResponse,
    decode_request,
    failure_of,
)

__all__ = ["ControlServer", "Operation"]

Operation = Callable[[dict[str, Any]], Awaitable[object]]
"""What a method does: its parameters in, a result that msgspec can write out. Raises `BifrostError` to refuse."""

_log = logging.getLogger(__name__)


class ControlServer:
    """Answers requests on one socket.

    Args:
        operations: what each method does, by name.
        token: what every request must carry; None if the socket itself proves who asks.
        request_timeout: seconds within which a request is answered, be it by an error.
        idle_timeout: seconds after which a silent connection is closed.
        max_connections: further ones are told so and closed.
    """

    def __init__(
        self,
        operations: Mapping[str, Operation],
        *,
        token: str | None = None,
        request_timeout: float = 30.0,
        idle_timeout: float = 60.0,
        max_connections: int = 16,
    ) -> None:
        self._operations = dict(operations)
        self._token = token
        self._request_timeout = request_timeout
        self._idle_timeout = idle_timeout
        self._max_connections = max_connections
        self._server: asyncio.Server | None = None
        self._connections: set[asyncio.Task[None]] = set()

    async def start(self, link: socket.socket) -> None:
        """Listen on a bound socket; the server closes it."""
        if hasattr(socket, "AF_UNIX") and link.family == socket.AF_UNIX:
            self._server = await asyncio.start_unix_server(self._accept, sock=link, limit=MAX_LINE_BYTES)
        else:
            self._server = await asyncio.start_server(self._accept, sock=link, limit=MAX_LINE_BYTES)

    async def aclose(self) -> None:
        """Stop listening and end every connection; idempotent."""
        server, self._server = self._server, None
        if server is not None:
            server.close()
        connections = list(self._connections)
        for task in connections:
            task.cancel()
        await asyncio.gather(*connections, return_exceptions=True)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.get_running_loop().create_task(self._serve(reader, writer), name="control connection")
        self._connections.add(task)
        task.add_done_callback(self._connections.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            if len(self._connections) > self._max_connections:
                await self._answer(writer, _refusal(f"more than {self._max_connections} connections; try again later"))
                return
            while True:
                async with asyncio.timeout(self._idle_timeout):
                    line = await reader.readline()
                if not line:
                    return
                await self._answer(writer, await self.respond(line))
        except (TimeoutError, ConnectionError):
            return  # the asker is silent or gone: nobody is there to be told
        except ValueError:  # what readline raises for a line beyond its limit
            with contextlib.suppress(TimeoutError, ConnectionError):
                await self._answer(writer, _refusal(f"line longer than {MAX_LINE_BYTES} bytes"))
        finally:
            writer.close()

    async def _answer(self, writer: asyncio.StreamWriter, response: ControlResponse) -> None:
        line = response.encode()
        if len(line) > MAX_LINE_BYTES:
            line = _refusal(f"answer longer than {MAX_LINE_BYTES} bytes; ask for less", response.id).encode()
        writer.write(line)
        async with asyncio.timeout(self._request_timeout):
            await writer.drain()

    async def respond(self, line: bytes) -> ControlResponse:
        """Carry out one request line and tell the outcome; never raises for what the asker did."""
        try:
            request = decode_request(line)
        except ProtocolError as error:
            return ControlResponse(id=0, error=failure_of(error))
        try:
            async with asyncio.timeout(self._request_timeout):
                result = await self._operation(request)(request.params)
            return ControlResponse(id=request.id, result=msgspec.to_builtins(result))
        except TimeoutError:
            return _failed(request, LinkTimeout(f"{request.method} took longer than {self._request_timeout:g} s"))
        except BifrostError as refused:
            return _failed(request, refused)
        except Exception as defect:  # noqa: BLE001 - a defect in one operation must not end the socket; it is logged
            _log.exception("control request %s failed", request.method)
            return _failed(request, BifrostError(f"{request.method} failed: {type(defect).__name__}: {defect}"))

    def _operation(self, request: ControlRequest) -> Operation:
        if self._token is not None and not hmac.compare_digest(self._token.encode(), (request.token or "").encode()):
            raise ProtocolError("wrong token; only who can read the gateway's data directory may ask")
        operation = self._operations.get(request.method)
        if operation is None:
            known = sorted(self._operations)
            close = nearest(request.method, known)
            hint = f"did you mean {close}?" if close else f"expected one of {', '.join(known)}"
            raise ConfigError(f'unknown method "{request.method}"; {hint}')
        return operation


def _refusal(text: str, request_id: int = 0) -> ControlResponse:
    return ControlResponse(id=request_id, error=ControlFailure(kind=ProtocolError.__name__, text=text))


def _failed(request: ControlRequest, error: BifrostError) -> ControlResponse:
    return ControlResponse(id=request.id, error=failure_of(error))
