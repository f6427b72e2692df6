"""What a simulated device does on a link, one after the other: send, wait, end it, fall silent.

Not here: which faults make it do so (each protocol's disturbances), the link (`simulated_link`).
"""

from __future__ import annotations

import dataclasses

__all__ = ["Action", "Drop", "Hold", "Pause", "Send", "Silence", "single_bytes"]


@dataclasses.dataclass(frozen=True, slots=True)
class Send:
    """Hand these bytes to the connection in one write."""

    frame: bytes


@dataclasses.dataclass(frozen=True, slots=True)
class Pause:
    """Wait before the next action; later requests of the connection wait too."""

    seconds: float


@dataclasses.dataclass(frozen=True, slots=True)
class Drop:
    """End the connection: orderly (FIN) or by a reset (RST)."""

    reset: bool


@dataclasses.dataclass(frozen=True, slots=True)
class Silence:
    """Answer nothing more on this connection, and keep it open."""


@dataclasses.dataclass(frozen=True, slots=True)
class Hold:
    """Keep these bytes until the next answer leaves, `seconds` at most; then in one write with it, or after it."""

    frame: bytes
    seconds: float
    joined: bool


Action = Send | Pause | Drop | Silence | Hold


def single_bytes(frame: bytes, seconds: float = 0.0) -> list[Action]:
    """Send bytes one by one; a pause of nothing still lets the loop hand each to the kernel by itself."""
    actions: list[Action] = []
    for at in range(len(frame)):
        actions += [Pause(seconds), Send(frame[at : at + 1])]
    return actions[1:]
