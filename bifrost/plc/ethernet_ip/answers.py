"""Answers of CIP services, taken apart with every length checked.

In: bytes. Out: service, status, data. Pure; whatever comes gives an answer or a `ProtocolError`.
Obeys: CIP volume 1 section 2-4 (message router format), 1756-PM020 "Multiple Service Packet".
"""

from __future__ import annotations

import msgspec

from bifrost.errors import ProtocolError

__all__ = ["Answer", "parse_answer", "parse_answers"]


class Answer(msgspec.Struct, frozen=True):
    """What came for one service.

    Attributes:
        service: of the request.
        status: general status; 0 is success, 6 that there is more.
        extended: first word of the extended status.
        data: what follows.
    """

    service: int
    status: int
    extended: int | None
    data: bytes

    @property
    def ok(self) -> bool:
        """True if it was done, if only in part."""
        return self.status in {0x00, 0x06}


def parse_answer(raw: bytes) -> Answer:
    """Take one answer apart.

    Raises:
        ProtocolError: it is shorter than it says, or no answer.
    """
    if len(raw) < 4:
        raise ProtocolError(f"expected an answer of at least 4 bytes, got {len(raw)}")
    if not raw[0] & 0x80:
        raise ProtocolError(f"expected an answer, got a request of service 0x{raw[0]:02x}")
    start = 4 + 2 * raw[3]
    if len(raw) < start:
        raise ProtocolError(f"expected {raw[3]} words of extended status, got {len(raw) - 4} bytes")
    extended = int.from_bytes(raw[4:6], "little") if raw[3] else None
    return Answer(raw[0] & 0x7F, raw[2], extended, bytes(raw[start:]))


def parse_answers(data: bytes, expected: int) -> list[Answer]:
    """Take the answers of a Multiple Service Packet apart.

    Raises:
        ProtocolError: there are more or fewer than `expected`, or one is not where it should be.
    """
    if len(data) < 2 or int.from_bytes(data[:2], "little") != expected:
        raise ProtocolError(f"expected {expected} answers in one, got {data[:2].hex() or 'none'}")
    if len(data) < 2 + 2 * expected:
        raise ProtocolError(f"expected the places of {expected} answers, got {len(data)} bytes")
    starts = [int.from_bytes(data[2 + 2 * at : 4 + 2 * at], "little") for at in range(expected)]
    ends = [*starts[1:], len(data)]
    if any(not 2 + 2 * expected <= start < end <= len(data) for start, end in zip(starts, ends, strict=True)):
        raise ProtocolError(f"the places of the {expected} answers contradict each other: {starts}")
    return [parse_answer(data[start:end]) for start, end in zip(starts, ends, strict=True)]
