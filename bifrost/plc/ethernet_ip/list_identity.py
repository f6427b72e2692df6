"""ListIdentity: the question that every EtherNet/IP device answers, and its answer taken apart.

In: bytes of a datagram. Out: who answered, or nothing. Pure; no bytes make it raise.
Obeys: CIP volume 2, section 2-4.2 (ListIdentity), table 2-4.4 (the item); CIP volume 1, section 5-2 (identity object).
"""

from __future__ import annotations

import ipaddress
import struct
from collections.abc import Iterator

import msgspec

__all__ = ["REQUEST", "Identity", "parse_identities"]

_COMMAND = 0x63
_ITEM = 0x0C
_HEADER = 24
_FIXED = 33  # bytes of an item before the product's name

REQUEST = struct.pack("<HHIIQI", _COMMAND, 0, 0, 0, 0, 0)
"""The whole question."""

# The vendors of what is met in plants; CIP Networks Library, "vendor IDs".
_VENDORS = {
    1: "Rockwell Automation/Allen-Bradley",
    5: "Rockwell Automation/Reliance",
    26: "Festo",
    40: "WAGO",
    46: "ABB",
    47: "Omron",
    50: "Endress+Hauser",
    58: "Bosch Rexroth",
    90: "HMS",
    108: "Beckhoff",
    161: "Mitsubishi Electric",
    243: "Schneider Electric",
    367: "Keyence",
    562: "Phoenix Contact",
    591: "SMC",
    808: "SICK",
    1251: "Siemens",
}
_TYPES = {
    0x00: "generic device",
    0x02: "drive",
    0x07: "discrete I/O",
    0x0C: "communications adapter",
    0x0E: "programmable logic controller",
    0x18: "operator interface",
    0x2B: "generic device",
    0x2C: "managed switch",
}


class Identity(msgspec.Struct, frozen=True):
    """Who answered.

    Attributes:
        address: where it says it is; may be empty or wrong behind a router.
        port: where it says it listens.
        vendor: number of its maker.
        device_type: number of its profile.
        product_code: number of the product.
        revision: major and minor.
        status: status word of the identity object.
        serial: 32 bits.
        name: of the product.
    """

    address: str
    port: int
    vendor: int
    device_type: int
    product_code: int
    revision: tuple[int, int]
    status: int
    serial: int
    name: str

    @property
    def vendor_name(self) -> str:
        """The maker's name, or its number."""
        return _VENDORS.get(self.vendor, f"vendor {self.vendor}")

    @property
    def description(self) -> str:
        """Type, revision and serial number, for people."""
        kind = _TYPES.get(self.device_type, f"device type {self.device_type}")
        major, minor = self.revision
        return f"{kind}, revision {major}.{minor}, serial {self.serial:08x}"


def parse_identities(data: bytes) -> list[Identity]:
    """Read an answer; empty if it is none."""
    if len(data) < _HEADER + 2:
        return []
    command, length = struct.unpack_from("<HH", data)
    status = int.from_bytes(data[8:12], "little")
    if command != _COMMAND or status or length > len(data) - _HEADER:
        return []
    return list(_items(data[_HEADER : _HEADER + length]))


def _items(body: bytes) -> Iterator[Identity]:
    count = int.from_bytes(body[:2], "little")
    at = 2
    for _ in range(count):
        if len(body) < at + 4:
            return
        kind, length = struct.unpack_from("<HH", body, at)
        item = body[at + 4 : at + 4 + length]
        at += 4 + length
        if kind == _ITEM and len(item) == length >= _FIXED:
            yield _identity(item)


def _identity(item: bytes) -> Identity:
    # The socket address is big-endian, all else little-endian: it is a sockaddr_in.
    port = int.from_bytes(item[4:6], "big")
    address = str(ipaddress.IPv4Address(item[6:10]))
    vendor, device_type, product, major, minor, status, serial, room = struct.unpack_from("<HHHBBHIB", item, 18)
    name = item[_FIXED : _FIXED + room].decode("latin-1")
    printable = "".join(letter if letter.isprintable() else "?" for letter in name)
    return Identity(address, port, vendor, device_type, product, (major, minor), status, serial, printable.strip())
