"""How a system's stop went.

In: nothing. Out: frozen values.
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Leak", "ShutdownReport"]


@dataclass(frozen=True, slots=True)
class Leak:
    """An incarnation that did not end and was abandoned.

    Attributes:
        path: the actor's path.
        incarnation: which one.
        what: what was still running: ``handler``, ``on_start``, ``on_stop`` or ``task NAME``; ``end`` if what was
            cancelled did end each time, and there was always more of it.
    """

    path: str
    incarnation: int
    what: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ShutdownReport:
    """How the stop of a system went.

    Attributes:
        seconds: how long it took.
        timed_out: true if the overall deadline passed before everything had stopped in order.
        leaked: what was abandoned during the life of the system and still runs; after a stop that was cut short, also
            what has not come to its end.
    """

    seconds: float
    timed_out: bool
    leaked: tuple[Leak, ...]

    @property
    def clean(self) -> bool:
        """True if everything stopped in order and in time."""
        return not self.timed_out and not self.leaked
