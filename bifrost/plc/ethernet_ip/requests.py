"""Requests of the tag services, as bytes.

In: paths, counts, values that were packed before. Out: messages for the message router. Pure.
Obeys: Rockwell 1756-PM020, "Read Tag", "Write Tag", "Read Modify Write Tag", "Multiple Service Packet"; CIP volume 1
appendix C-1 (segments).
"""

from __future__ import annotations

import struct
from collections.abc import Sequence

from bifrost.errors import AddressError
from bifrost.plc.ethernet_ip.address import Segment

__all__ = [
    "READ",
    "encode_path",
    "modify_request",
    "multiple_request",
    "read_part_request",
    "read_request",
    "write_part_request",
    "write_request",
]

READ = 0x4C
_MESSAGE_ROUTER = b"\x02\x20\x02\x24\x01"


def encode_path(segments: Sequence[Segment]) -> bytes:
    """Pack a path, with its length in words before it.

    Raises:
        AddressError: it is longer than a request can carry.
    """
    packed = bytearray()
    for segment in segments:
        # The program and the tag in it are two names.
        for name in segment.name.split("."):
            raw = name.encode("ascii")
            packed += bytes((0x91, len(raw))) + raw + b"\0" * (len(raw) & 1)
        for at in segment.index:
            if at <= 0xFF:
                packed += bytes((0x28, at))
            elif at <= 0xFFFF:
                packed += struct.pack("<HH", 0x29, at)
            else:
                packed += struct.pack("<HI", 0x2A, at)
    if len(packed) > 510:
        raise AddressError(f"the path takes {len(packed)} bytes, a request can carry 510")
    return bytes((len(packed) // 2,)) + bytes(packed)


def read_request(path: bytes, count: int) -> bytes:
    """Read `count` values."""
    return bytes((READ,)) + path + struct.pack("<H", count)


def read_part_request(path: bytes, count: int, offset: int) -> bytes:
    """Read `count` values from a byte on."""
    return b"\x52" + path + struct.pack("<HI", count, offset)


def write_request(path: bytes, kind: bytes, count: int, data: bytes) -> bytes:
    """Write `count` values of the type that `kind` names."""
    return b"\x4d" + path + kind + struct.pack("<H", count) + data


def write_part_request(path: bytes, kind: bytes, count: int, offset: int, data: bytes) -> bytes:
    """Write some of the bytes of `count` values."""
    return b"\x53" + path + kind + struct.pack("<HI", count, offset) + data


def modify_request(path: bytes, size: int, set_bits: int, keep_bits: int) -> bytes:
    """Set and clear bits of one integer of `size` bytes; the controller does it in one go."""
    masks = set_bits.to_bytes(size, "little") + keep_bits.to_bytes(size, "little")
    return b"\x4e" + path + struct.pack("<H", size) + masks


def multiple_request(requests: Sequence[bytes]) -> bytes:
    """Put several requests into one."""
    start = 2 + 2 * len(requests)
    starts = []
    for request in requests:
        starts.append(start)
        start += len(request)
    places = struct.pack(f"<{len(requests) + 1}H", len(requests), *starts)
    return b"\x0a" + _MESSAGE_ROUTER + places + b"".join(requests)
