"""The words of the control socket: structs in, lines of JSON out, and back. No socket, no clock.

A request is ``{"id": 1, "method": "devices.add", "params": {...}}``; its answer carries the same `id` and either a
`result` or an `error`. One request, one answer, in order.
"""

from __future__ import annotations

from typing import Any, NoReturn

import msgspec

from bifrost import errors
from bifrost.errors import BifrostError, ConfigError, ProtocolError

__all__ = ["MAX_LINE_BYTES", "ControlFailure", "ControlRequest", "ControlResponse", "decode_request", "failure_of"]

MAX_LINE_BYTES = 4 * 1024 * 1024
"""Longest request or answer, with its line end: about 40,000 tags in one device."""


class ControlRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One request.

    Attributes:
        id: chosen by the asker; the answer repeats it.
        method: what to do, such as ``devices.list``.
        params: the method's arguments by name.
        token: proves that the asker may read the gateway's files; needed over loopback TCP only.
    """

    id: int
    method: str
    params: dict[str, Any] = {}
    token: str | None = None

    def __repr__(self) -> str:
        """Show the request without its token."""
        return f"ControlRequest(id={self.id}, method={self.method!r})"


class ControlFailure(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Why a request was refused.

    Attributes:
        kind: the name of a class of `bifrost.errors`.
        text: the error's text.
        mistakes: for a `ConfigError`, one line for each mistake.
    """

    kind: str
    text: str
    mistakes: tuple[str, ...] = ()

    def throw(self) -> NoReturn:
        """Raise it as the error it was on the other side, or as a plain `BifrostError` if that needs more facts."""
        if self.kind == ConfigError.__name__:
            raise ConfigError(self.text, mistakes=self.mistakes)
        error_type = getattr(errors, self.kind, None)
        if not (isinstance(error_type, type) and issubclass(error_type, BifrostError)):
            raise BifrostError(self.text)
        try:
            error = error_type(self.text)
        except TypeError:
            raise BifrostError(self.text) from None
        raise error


class ControlResponse(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One answer: `error` is None if it worked, and `result` is the method's own."""

    id: int
    result: Any = None
    error: ControlFailure | None = None

    def encode(self) -> bytes:
        """Write the line, with its end."""
        return msgspec.json.encode(self) + b"\n"


def decode_request(line: bytes) -> ControlRequest:
    """Read one line.

    Raises:
        ProtocolError: it is no request; the text says where.
    """
    try:
        return msgspec.json.decode(line, type=ControlRequest)
    except (msgspec.DecodeError, RecursionError) as error:
        raise ProtocolError(f"not a control request: {error}") from error


def failure_of(error: BifrostError) -> ControlFailure:
    """Write down an error for the other side."""
    mistakes = error.mistakes if isinstance(error, ConfigError) else ()
    kind = ConfigError.__name__ if isinstance(error, ConfigError) else type(error).__name__
    return ControlFailure(kind=kind, text=str(error), mistakes=mistakes)
