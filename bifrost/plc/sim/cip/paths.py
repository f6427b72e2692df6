"""Request paths: the bytes of a padded EPATH to segments, and a tag's name to the same segments.

Obeys: CIP volume 1, appendix C-1 (segments); 1756-PM020, "CIP addressing".
"""

from __future__ import annotations

import dataclasses
import re

from bifrost.errors import AddressError, CIPFault

__all__ = ["Logical", "LogicalKind", "Port", "Segment", "Symbolic", "parse_path", "parse_tag_name"]

_PATH_SEGMENT_ERROR = 0x04
_PART = re.compile(r"([A-Za-z_][\w:]*)((?:\[\s*\d+(?:\s*,\s*\d+)*\s*\])?)")


class LogicalKind:
    """What a logical segment names: bits 2 to 4 of its first byte."""

    CLASS = 0
    INSTANCE = 1
    ELEMENT = 2
    ATTRIBUTE = 4


@dataclasses.dataclass(frozen=True, slots=True)
class Logical:
    """A class, instance, element or attribute by number."""

    kind: int
    value: int


@dataclasses.dataclass(frozen=True, slots=True)
class Symbolic:
    """A name: ANSI extended symbol, 0x91."""

    name: str


@dataclasses.dataclass(frozen=True, slots=True)
class Port:
    """A hop: port and link address, which is a slot or a host."""

    port: int
    link: bytes


Segment = Logical | Symbolic | Port


def parse_path(data: bytes) -> list[Segment]:
    """Read a padded EPATH.

    Raises:
        CIPFault: status 0x04, a segment is cut off, reserved, or of a kind that controllers do not take.
    """
    segments: list[Segment] = []
    at = 0
    while at < len(data):
        segment, at = _segment(data, at)
        segments.append(segment)
    return segments


def parse_tag_name(name: str) -> list[Segment]:
    """Turn ``Program:Main.Motor[3].Speed`` into segments.

    Raises:
        AddressError: no such form.
    """
    segments: list[Segment] = []
    for part in name.split("."):
        match = _PART.fullmatch(part)
        if match is None:
            raise AddressError(f"expected a tag such as Program:Main.Motor[3].Speed, got {name!r}")
        segments.append(Symbolic(match[1]))
        indexes = match[2].strip("[]")
        segments += [Logical(LogicalKind.ELEMENT, int(one)) for one in indexes.split(",") if one]
    return segments


def _segment(data: bytes, at: int) -> tuple[Segment, int]:
    first = data[at]
    if first >> 5 == 0b001:
        return _logical(data, at, first)
    if first == 0x91:
        length = _byte(data, at + 1)
        raw = data[at + 2 : at + 2 + length]
        if not length or len(raw) != length:
            raise _cut()
        try:
            name = raw.decode("ascii")
        except UnicodeDecodeError as exc:
            raise CIPFault("a symbol is no ASCII text", code=_PATH_SEGMENT_ERROR, extended=0) from exc
        return Symbolic(name), at + 2 + length + length % 2
    if first >> 5 == 0:
        return _port(data, at, first)
    raise CIPFault(f"path segment 0x{first:02x} is not supported", code=_PATH_SEGMENT_ERROR, extended=0)


def _logical(data: bytes, at: int, first: int) -> tuple[Segment, int]:
    kind, width = first >> 2 & 0b111, first & 0b11
    if width == 0:
        return Logical(kind, _byte(data, at + 1)), at + 2
    # A pad byte follows the first; format 3 is reserved (CIP volume 1, C-1.4.2).
    size = {1: 2, 2: 4}.get(width, 0)
    raw = data[at + 2 : at + 2 + size]
    if not size or len(raw) != size:
        raise _cut()
    return Logical(kind, int.from_bytes(raw, "little")), at + 2 + size


def _port(data: bytes, at: int, first: int) -> tuple[Segment, int]:
    port, at = first & 0x0F, at + 1
    length = 1
    if first & 0x10:
        length, at = _byte(data, at), at + 1
    if port == 15:
        port, at = _byte(data, at) | _byte(data, at + 1) << 8, at + 2
    link = data[at : at + length]
    if len(link) != length:
        raise _cut()
    at += length
    return Port(port, link), at + (at % 2 if first & 0x10 else 0)


def _byte(data: bytes, at: int) -> int:
    if at >= len(data):
        raise _cut()
    return data[at]


def _cut() -> CIPFault:
    return CIPFault("the path ends in the middle of a segment", code=_PATH_SEGMENT_ERROR, extended=0)
