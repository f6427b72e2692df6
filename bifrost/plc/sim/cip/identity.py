"""Who a simulated controller says it is: the identity object, and the same in the answer to ListIdentity.

Obeys: CIP volume 1, section 5-2 (identity object); volume 2, table 2-4.4 (ListIdentity item).
"""

from __future__ import annotations

import dataclasses
import ipaddress
import struct
from enum import IntEnum

from bifrost.errors import CIPFault, ConfigError
from bifrost.plc.sim.cip.replies import Reply, Request

__all__ = ["IDENTITY_CLASS", "LOGIX", "MICRO800", "Identity", "Keyswitch"]

IDENTITY_CLASS = 0x01
_RUNNING = 0x03


class Keyswitch(IntEnum):
    """Mode of the controller, as the status word of the identity object tells it."""

    RUN = 0x1060
    REMOTE_RUN = 0x3060
    PROGRAM = 0x2070
    REMOTE_PROGRAM = 0x3070


@dataclasses.dataclass(frozen=True, slots=True)
class Identity:
    """The attributes of the identity object.

    Attributes:
        product_name: catalogue number; clients tell a Micro800 by "2080" at its beginning.
        product_code: number of the product within its vendor's type.
        revision: major and minor; clients use instance ids from major 21 on.
        serial: 32 bits.
        vendor: 1 is Rockwell Automation, whose dialect of CIP this is.
        device_type: 14 is a programmable logic controller.

    Raises:
        ConfigError: an attribute that its field on the wire cannot hold.
    """

    product_name: str = "1756-L83E/B"
    product_code: int = 166
    revision: tuple[int, int] = (33, 11)
    serial: int = 0xB1F0_0001
    vendor: int = 1
    device_type: int = 14

    def __post_init__(self) -> None:
        if not (self.product_name.isascii() and 1 <= len(self.product_name) <= 32):
            raise ConfigError(f"product_name: expected 1 to 32 ASCII characters, got {self.product_name!r}")
        words = (self.product_code, self.vendor, self.device_type)
        if not (all(0 <= one <= 0xFFFF for one in words) and 0 <= self.serial <= 0xFFFF_FFFF):
            raise ConfigError(f"expected 16 bits of code, vendor and type and 32 of serial, got {words}, {self.serial}")
        if not all(0 <= one <= 0xFF for one in self.revision):
            raise ConfigError(f"revision: expected major and minor within 0..255, got {self.revision!r}")

    def attributes(self, keyswitch: Keyswitch) -> dict[int, bytes]:
        """Return the seven attributes of the instance by number."""
        name = self.product_name.encode("ascii")
        return {
            1: struct.pack("<H", self.vendor),
            2: struct.pack("<H", self.device_type),
            3: struct.pack("<H", self.product_code),
            4: bytes(self.revision),
            5: struct.pack("<H", keyswitch),
            6: struct.pack("<I", self.serial),
            7: bytes([len(name)]) + name,
        }

    def serve(self, request: Request, instance: int, attribute: int | None, keyswitch: Keyswitch) -> Reply:
        """Answer Get Attributes All or Get Attribute Single.

        Raises:
            CIPFault: another instance than 1, an attribute that does not exist, or another service.
        """
        if instance != 1:
            raise CIPFault(f"the identity object has no instance {instance}", code=0x05, extended=0)
        known = self.attributes(keyswitch)
        if request.service == 0x01:
            return Reply(b"".join(known.values()))
        if request.service != 0x0E:
            raise CIPFault(f"the identity object has no service 0x{request.service:02x}", code=0x08)
        if attribute not in known:
            raise CIPFault(f"the identity object has no attribute {attribute}", code=0x14)
        return Reply(known[attribute])

    def list_item(self, host: str, port: int, keyswitch: Keyswitch) -> bytes:
        """Return the data of the ListIdentity item; the socket address in it is big-endian."""
        address = struct.pack(">HH4s8x", 2, port, ipaddress.IPv4Address(host).packed)
        return b"\x01\x00" + address + b"".join(self.attributes(keyswitch).values()) + bytes([_RUNNING])


LOGIX = Identity()
MICRO800 = Identity("2080-LC50-48QWB", product_code=64, revision=(12, 11), serial=0xB1F0_0800)
