"""What runs beside a system for as long as it lives: the seam for telemetry, watchdogs and schedules of tests.

In: a system that is about to start its tree. Out: whatever the companion does. The runtime knows nothing more of it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from bifrost.actors.system import ActorSystem

__all__ = ["Companion", "start_all", "stop_all"]


class Companion(Protocol):
    """Starts before the first actor and stops after the last one, on the loop's thread."""

    def start(self, system: ActorSystem) -> None:
        """The loop, the clock and the scheduler are there; no actor is.

        An exception keeps the system from starting.
        """

    def stop(self) -> None:
        """The tree has ended, or did not start. Must not raise."""


def start_all(companions: Iterable[Companion], system: ActorSystem) -> list[Companion]:
    """Start them in order and return them; if one raises, those that had started are stopped."""
    started: list[Companion] = []
    try:
        for companion in companions:
            companion.start(system)
            started.append(companion)
    except BaseException:
        stop_all(started)
        raise
    return started


def stop_all(companions: Sequence[Companion]) -> None:
    """Stop them in reverse order."""
    for companion in reversed(companions):
        companion.stop()
