"""What the supervision core is at work on.

In: nothing. Out: the phases of a supervisor and the kinds of its jobs.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass

from bifrost.actors.exit_reason import ExitReason, Shutdown

__all__ = ["Job", "JobKind", "Phase"]


class Phase(enum.Enum):
    """Where the supervisor stands."""

    NEW = "new"
    STARTING = "starting"
    RUNNING = "running"
    STOPPING = "stopping"
    DONE = "done"


class JobKind(enum.Enum):
    """What a job is for."""

    INIT = enum.auto()
    ROLL_BACK = enum.auto()
    RESTART = enum.auto()
    HOLD = enum.auto()
    ADD = enum.auto()
    START_AGAIN = enum.auto()
    TERMINATE = enum.auto()
    SHUT_DOWN = enum.auto()


@dataclass(slots=True)
class Job:
    """One plan of stops and starts.

    Attributes:
        kind: what for.
        token: the administrative call to answer; 0 is none.
        reason: with which the supervisor exits at its end.
    """

    kind: JobKind
    token: int = 0
    reason: ExitReason = Shutdown()  # noqa: RUF009 - frozen and without a field that could change
