"""Requests and answers of the message router: their fixed parts to fields and back.

Obeys: CIP volume 1, section 2-4 (message router request and response formats).
"""

from __future__ import annotations

import dataclasses

from bifrost.errors import CIPFault
from bifrost.plc.sim.cip.paths import Segment, parse_path

__all__ = ["Reply", "Request"]

_REPLY = 0x80


@dataclasses.dataclass(frozen=True, slots=True)
class Request:
    """One service request: what to do, where, with what."""

    service: int
    path: tuple[Segment, ...]
    data: bytes

    @classmethod
    def decode(cls, message: bytes) -> Request:
        """Read a request.

        Raises:
            CIPFault: 0x13 nothing there, 0x26 the path is longer than the message, 0x04 the path makes no sense.
        """
        if len(message) < 2:
            raise CIPFault("the request has no path", code=0x13)
        end = 2 + 2 * message[1]
        if end > len(message):
            raise CIPFault("the path is longer than the request", code=0x26)
        return cls(message[0], tuple(parse_path(message[2:end])), message[end:])


@dataclasses.dataclass(frozen=True, slots=True)
class Reply:
    """One answer: its data, the general status, and one word of extended status or none."""

    data: bytes = b""
    status: int = 0
    extended: int | None = None

    @classmethod
    def refusing(cls, fault: CIPFault) -> Reply:
        """Make the answer that says no."""
        return cls(status=fault.code, extended=fault.extended)

    def encode(self, service: int) -> bytes:
        """Return the answer's bytes to a request of `service`."""
        extra = b"" if self.extended is None else self.extended.to_bytes(2, "little")
        return bytes([(service | _REPLY) & 0xFF, 0, self.status, len(extra) // 2]) + extra + self.data
