"""What runs beside a system for as long as it lives: the seam for telemetry, watchdogs and schedules of tests.

In: a system that is about to start its tree. Out: whatever the companion does. The runtime knows nothing more of it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from bifrost.actors.system import ActorSystem

__all__ = ["Companion"]


class Companion(Protocol):
    """Starts before the first actor and stops after the last one, on the loop's thread."""

    def start(self, system: ActorSystem) -> None:
        """The loop, the clock and the scheduler are there; no actor is.

        An exception keeps the system from starting.
        """

    def stop(self) -> None:
        """The tree has ended, or did not start. Must not raise."""
