"""Asks a running gateway from plain, blocking code: a method and its parameters in, its result out."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any

import msgspec

from bifrost.core.clock import Clock, SystemClock
from bifrost.errors import LinkTimeout, NotConnected, ProtocolError
from bifrost.gateway.control.address import ControlAddress, find_address
from bifrost.gateway.control.protocol import MAX_LINE_BYTES, ControlRequest, ControlResponse

__all__ = ["ask_gateway"]

_CHUNK_BYTES = 65536
_REQUEST_ID = 1  # one request a connection


def ask_gateway(
    where: Path | ControlAddress,
    method: str,
    params: dict[str, Any] | None = None,
    *,
    timeout: float = 30.0,
    clock: Clock | None = None,
) -> Any:
    """Ask the gateway that runs with a data directory, and wait for its answer.

    Args:
        where: the gateway's data directory, or the address of its socket.
        method: such as ``devices.list``.
        params: the method's arguments by name.
        timeout: seconds for the whole exchange.
        clock: measures the timeout; the machine's own by default.

    Returns:
        The method's result as plain lists, tables and values.

    Raises:
        NotConnected: no gateway runs there.
        LinkTimeout: no answer in time; the gateway may still act.
        ProtocolError: what answered is no gateway.
        BifrostError: the gateway refused, with its own error.
    """
    address = find_address(where) if isinstance(where, Path) else where
    clock = clock or SystemClock()
    deadline = clock.monotonic() + timeout
    request = ControlRequest(id=_REQUEST_ID, method=method, params=params or {}, token=address.token)
    with address.connect(timeout=timeout) as link:
        try:
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # a refusal may be waiting to be read
                link.sendall(msgspec.json.encode(request) + b"\n")
            line = bytearray()
            while not line.endswith(b"\n"):
                link.settimeout(max(deadline - clock.monotonic(), 0.001))
                chunk = link.recv(_CHUNK_BYTES)
                if not chunk:
                    raise NotConnected("the gateway closed the control socket before it answered")
                line += chunk
                if len(line) > MAX_LINE_BYTES:
                    raise ProtocolError(f"answer longer than {MAX_LINE_BYTES} bytes; is this a bifrost gateway?")
        except TimeoutError:
            raise LinkTimeout(f"no answer to {method} within {timeout:g} s; the gateway may still act") from None
        except OSError as error:
            raise NotConnected(f"the control socket broke: {error}") from error
    return _result(bytes(line))


def _result(line: bytes) -> Any:
    try:
        response = msgspec.json.decode(line, type=ControlResponse)
    except msgspec.DecodeError as error:
        raise ProtocolError(f"not a control answer: {error}") from error
    if response.error is not None:
        response.error.throw()
    if response.id != _REQUEST_ID:
        raise ProtocolError(f"answer to request {response.id}, expected {_REQUEST_ID}")
    return response.result
