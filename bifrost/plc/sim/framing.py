"""How a simulated device frames its answers: which parts an answer has, and where they stand in its bytes.

In: whole frames. Out: their parts, and frames made of parts. Not here: streams; any meaning of a PDU.

Obeys: MODBUS Messaging on TCP/IP V1.0b section 3.1.3 (MBAP); MODBUS over Serial Line V1.02 section 2.5.1 (RTU).
"""

from __future__ import annotations

import dataclasses
from enum import StrEnum

__all__ = ["Frame", "Framing", "crc16"]


class Framing(StrEnum):
    """What carries a PDU."""

    TCP = "tcp"
    """MBAP header, on a TCP connection."""
    RTU = "rtu"
    """Unit id and CRC, on a serial line."""
    RTU_OVER_TCP = "rtu_over_tcp"
    """Unit id and CRC, on a TCP connection."""

    @property
    def has_crc(self) -> bool:
        """True for both forms of RTU: a CRC, and neither transaction id nor length."""
        return self is not Framing.TCP

    @property
    def has_connection(self) -> bool:
        """True if a peer can end the link in order, or by a reset: a serial line knows neither."""
        return self is not Framing.RTU


@dataclasses.dataclass(frozen=True, slots=True)
class Frame:
    """One frame, taken apart; `transaction` is 0 and of no meaning in RTU."""

    framing: Framing
    transaction: int
    unit: int
    pdu: bytes

    @classmethod
    def cut(cls, framing: Framing, frame: bytes) -> Frame:
        """Take a well-formed frame apart."""
        if framing.has_crc:
            return cls(framing, 0, frame[0], frame[1:-2])
        return cls(framing, int.from_bytes(frame[:2]), frame[6], frame[7:])

    def encode(self) -> bytes:
        """Put it together with the right length or CRC; unlike the codec, also around a PDU that no device may send."""
        head = bytes([self.unit]) + self.pdu
        if self.framing.has_crc:
            return head + crc16(head).to_bytes(2, "little")
        return self.transaction.to_bytes(2) + b"\0\0" + len(head).to_bytes(2) + head


def crc16(data: bytes) -> int:
    """Compute the CRC that RTU appends, low byte first; V1.02 section 6.2.2."""
    crc = 0xFFFF
    for byte in data:
        crc = crc >> 8 ^ _CRC_TABLE[(crc ^ byte) & 0xFF]
    return crc


def _table_entry(crc: int) -> int:
    for _ in range(8):
        crc = crc >> 1 ^ 0xA001 if crc & 1 else crc >> 1
    return crc


_CRC_TABLE = tuple(_table_entry(byte) for byte in range(256))
