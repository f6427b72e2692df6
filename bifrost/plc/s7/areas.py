"""The memory areas of an S7 CPU.

Obeys: the S7 communication protocol as RFC 1006 carries it; area codes as in Wireshark's ``packet-s7comm.c``.
"""

from __future__ import annotations

from enum import StrEnum

__all__ = ["S7Area"]


class S7Area(StrEnum):
    """Where a value is; the values are the English mnemonics."""

    DB = "DB"
    MERKER = "M"
    INPUT = "I"
    OUTPUT = "Q"
    TIMER = "T"
    COUNTER = "C"

    @property
    def code(self) -> int:
        """The area's code on the wire."""
        return _CODES[self]

    @property
    def is_counted(self) -> bool:
        """True for timers and counters: they are addressed by number, and each has two bytes."""
        return self in {S7Area.TIMER, S7Area.COUNTER}

    @property
    def step(self) -> int:
        """Bytes that one step of an address moves on."""
        return 2 if self.is_counted else 1


_CODES = {
    S7Area.INPUT: 0x81,
    S7Area.OUTPUT: 0x82,
    S7Area.MERKER: 0x83,
    S7Area.DB: 0x84,
    S7Area.COUNTER: 0x1C,
    S7Area.TIMER: 0x1D,
}
