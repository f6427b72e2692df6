"""What the supervision core is at work on.

In: nothing. Out: the phases of a supervisor and the kinds of its jobs.
"""

from __future__ import annotations

import enum

from bifrost.actors.child_spec import ChildSpec
from bifrost.actors.child_table import ChildStatus
from bifrost.actors.exit_reason import ExitReason, Shutdown

__all__ = ["Job", "JobKind", "Phase"]

_SHUTDOWN = Shutdown()


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
    DELAY = enum.auto()
    ADD = enum.auto()
    START_AGAIN = enum.auto()
    REPLACE = enum.auto()
    TERMINATE = enum.auto()
    SHUT_DOWN = enum.auto()


class Job:
    """One plan of stops and starts.

    Args:
        kind: what for.
        token: the administrative call to answer; 0 is none.
        reason: with which the supervisor exits at its end.
    """

    __slots__ = ("error", "kind", "old_spec", "old_status", "reason", "token")

    def __init__(self, kind: JobKind, token: int = 0, reason: ExitReason = _SHUTDOWN) -> None:
        self.kind = kind
        self.token = token
        self.reason = reason
        self.old_spec: ChildSpec | None = None
        """In a replacement: what to go back to."""
        self.old_status = ChildStatus.STOPPED
        self.error: BaseException | None = None
        """In a replacement: why the new child did not start; set while the old one is started again."""
