"""The pauses that a line needs: baud rate and format in, seconds out. Pure.

Obeys: MODBUS over Serial Line V1.02, sections 2.5.1.1 (t3.5: 1.75 ms above 19,200 baud) and 2.4.1 (turnaround).
"""

from __future__ import annotations

import dataclasses
from typing import Self

__all__ = ["RtuTiming"]

_SILENCE_CHARACTERS = 3.5
_FAST_BAUDRATE = 19_200
_FAST_SILENCE = 0.001_75


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class RtuTiming:
    """Seconds.

    Attributes:
        character: one character on the wire; 0 where the wire is no serial line.
        silence: between the last character seen and the next request.
        turnaround: after a broadcast, for the units to act on it.
        quiet_after_timeout: how long a unit that owes an answer is not asked again; None: as long as it had to answer,
            1 s at most.
    """

    character: float = 0.0
    silence: float = 0.0
    turnaround: float = 0.1
    quiet_after_timeout: float | None = None

    @classmethod
    def of_line(
        cls, baudrate: int, bits: float, *, quiet: float, turnaround: float, quiet_after_timeout: float | None
    ) -> Self:
        """Timing of a serial line.

        Args:
            baudrate: bits per second.
            bits: of one character, start, parity and stop bits included.
            quiet: least seconds between an answer and the next request.
            turnaround: see the class.
            quiet_after_timeout: see the class.
        """
        character = bits / baudrate
        silence = _FAST_SILENCE if baudrate > _FAST_BAUDRATE else _SILENCE_CHARACTERS * character
        return cls(
            character=character,
            silence=max(silence, quiet),
            turnaround=turnaround,
            quiet_after_timeout=quiet_after_timeout,
        )

    def on_wire(self, count: int) -> float:
        """Seconds that `count` bytes take, and the silence behind them."""
        return count * self.character + self.silence
