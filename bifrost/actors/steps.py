"""The words between the supervision core and the shell that runs it.

Inputs tell the core what happened; steps tell the shell what to do. Both are plain values: no task, no loop, no clock.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass

from bifrost.actors.child_spec import ChildSpec
from bifrost.actors.exit_reason import ExitReason, Shutdown

__all__ = [
    "AdminCall",
    "AdminReply",
    "Begin",
    "Exit",
    "Exited",
    "Fate",
    "Forget",
    "Input",
    "NoteExhausted",
    "NoteParked",
    "NoteRestart",
    "OwnStep",
    "Refusal",
    "Settle",
    "Start",
    "StartChild",
    "StartFailed",
    "Started",
    "Step",
    "Stop",
    "StopSelf",
    "Tick",
    "Up",
    "Verb",
    "WakeAt",
]


class Fate(enum.Enum):
    """What becomes of a child whose incarnation has ended."""

    RESTART = "restart"
    STOPPED = "stopped"
    PARKED = "parked"
    GONE = "gone"
    UNDECIDED = "undecided"
    """The supervisor itself goes down; whoever stands above it will decide."""


class Verb(enum.Enum):
    """An administrative call on a child that exists."""

    TERMINATE = "terminate_child"
    RESTART = "restart_child"
    DELETE = "delete_child"


class Refusal(enum.Enum):
    """Why an administrative call was refused."""

    ALREADY_STARTED = "already_started"
    ALREADY_PRESENT = "already_present"
    RUNNING = "running"
    RESTARTING = "restarting"
    NOT_FOUND = "not_found"
    MAX_CHILDREN = "max_children"
    SIGNIFICANT = "significant"
    STOPPING = "stopping"


# Inputs


@dataclass(frozen=True, slots=True)
class Begin:
    """The supervisor starts: start its children."""


@dataclass(frozen=True, slots=True)
class Started:
    """A child's `on_start` returned."""

    id: str


@dataclass(frozen=True, slots=True)
class StartFailed:
    """A child's start raised or took too long."""

    id: str
    error: BaseException


@dataclass(frozen=True, slots=True)
class Exited:
    """A child's incarnation has ended completely, whether asked to or not."""

    id: str
    reason: ExitReason


@dataclass(frozen=True, slots=True)
class StartChild:
    """Administrative call: add a child and start it."""

    token: int
    spec: ChildSpec


@dataclass(frozen=True, slots=True)
class AdminCall:
    """Administrative call on the child named `id`."""

    token: int
    verb: Verb
    id: str


@dataclass(frozen=True, slots=True)
class StopSelf:
    """Whoever stands above wants the supervisor to stop."""

    reason: ExitReason = Shutdown()  # noqa: RUF009 - frozen and without a field that could change
    fate: Fate = Fate.UNDECIDED


@dataclass(frozen=True, slots=True)
class Tick:
    """The time asked for by `WakeAt` has come."""


Input = Begin | Started | StartFailed | Exited | StartChild | AdminCall | StopSelf | Tick


# Steps


@dataclass(frozen=True, slots=True)
class Start:
    """Start a new incarnation of the child; answer with `Started` or `StartFailed`."""

    id: str


@dataclass(frozen=True, slots=True)
class Stop:
    """Stop the child; answer with `Exited` (or `StartFailed`, if it was starting)."""

    id: str
    fate: Fate


@dataclass(frozen=True, slots=True)
class Settle:
    """The child's last incarnation is over; this is what becomes of it."""

    id: str
    fate: Fate


@dataclass(frozen=True, slots=True)
class Forget:
    """The child's specification is gone; always preceded by its last `Settle`, if it ever ran."""

    id: str


@dataclass(frozen=True, slots=True)
class WakeAt:
    """Send `Tick` at this monotonic time, after everything that is already waiting."""

    when: float


@dataclass(frozen=True, slots=True)
class AdminReply:
    """Answer the administrative call `token`."""

    token: int
    refusal: Refusal | None = None
    error: BaseException | None = None


@dataclass(frozen=True, slots=True)
class NoteRestart:
    """Publish that the child will be started again after `delay` seconds."""

    id: str
    delay: float
    attempt: int


@dataclass(frozen=True, slots=True)
class NoteExhausted:
    """Publish that the restart budget was exceeded by this child."""

    id: str


@dataclass(frozen=True, slots=True)
class NoteParked:
    """Publish that the child was parked."""

    id: str


@dataclass(frozen=True, slots=True)
class Up:
    """All children of the specification have started."""


@dataclass(frozen=True, slots=True)
class Exit:
    """The supervisor has ended; no child runs any more."""

    reason: ExitReason


OwnStep = WakeAt | AdminReply | NoteRestart | NoteExhausted | NoteParked | Up | Exit
Step = Start | Stop | Settle | Forget | OwnStep
