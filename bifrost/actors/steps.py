"""The words between the supervision core and the shell that runs it.

Inputs tell the core what happened; steps tell the shell what to do. Both are plain values: no task, no loop, no clock.
Nobody changes one; they are not frozen because a frozen one costs twice as much to make, and several are made for every
child that starts.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass

from bifrost.actors.child_spec import ChildSpec
from bifrost.actors.exit_reason import ExitReason, Shutdown
from bifrost.actors.strategy import FlagChanges, SupervisorFlags

__all__ = [
    "Admin",
    "AdminCall",
    "AdminReply",
    "Begin",
    "ChangeSelf",
    "Exit",
    "Exited",
    "Fate",
    "Forget",
    "Ignored",
    "Input",
    "Note",
    "NoteChanged",
    "NoteExhausted",
    "NoteParked",
    "NoteRestart",
    "OwnStep",
    "Refusal",
    "ReplaceChild",
    "Report",
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


@dataclass(slots=True)
class Begin:
    """The supervisor starts: start its children."""


@dataclass(slots=True)
class Started:
    """A child's `on_start` returned."""

    id: str


@dataclass(slots=True)
class StartFailed:
    """A child's start raised or took too long."""

    id: str
    error: BaseException


@dataclass(slots=True)
class Ignored:
    """A child's factory said `IGNORE`: nothing runs, and that is no failure."""

    id: str


@dataclass(slots=True)
class Exited:
    """A child's incarnation has ended completely, whether asked to or not."""

    id: str
    reason: ExitReason


@dataclass(slots=True)
class StartChild:
    """Administrative call: add a child and start it."""

    token: int
    spec: ChildSpec


@dataclass(slots=True)
class AdminCall:
    """Administrative call on the child named `id`."""

    token: int
    verb: Verb
    id: str
    hold: bool = False
    """With `Verb.TERMINATE`: group restarts leave it stopped, too."""


@dataclass(slots=True)
class ReplaceChild:
    """Administrative call: stop the child with the same id and start this one in its place."""

    token: int
    spec: ChildSpec


@dataclass(slots=True)
class ChangeSelf:
    """Administrative call: take these flags, and this list of children unless it is None."""

    token: int
    flags: FlagChanges
    specs: tuple[ChildSpec, ...] | None = None


@dataclass(slots=True)
class StopSelf:
    """Whoever stands above wants the supervisor to stop."""

    reason: ExitReason = Shutdown()  # noqa: RUF009 - frozen and without a field that could change
    fate: Fate = Fate.UNDECIDED


@dataclass(slots=True)
class Tick:
    """The time asked for by `WakeAt` has come."""


Admin = StartChild | AdminCall | ReplaceChild | ChangeSelf
Report = Started | StartFailed | Ignored | Exited
Input = Begin | Report | Admin | StopSelf | Tick


# Steps


@dataclass(slots=True)
class Start:
    """Start a new incarnation of the child; answer with `Started`, `StartFailed` or `Ignored`."""

    id: str
    spec: ChildSpec


@dataclass(slots=True)
class Stop:
    """Stop the child; answer with `Exited` (or `StartFailed`, if it was starting)."""

    id: str
    fate: Fate


@dataclass(slots=True)
class Settle:
    """The child's last incarnation is over; this is what becomes of it."""

    id: str
    fate: Fate


@dataclass(slots=True)
class Forget:
    """The child's specification is gone; always preceded by its last `Settle`, if it ever ran."""

    id: str


@dataclass(slots=True)
class WakeAt:
    """Send `Tick` at this monotonic time, after everything that is already waiting."""

    when: float


@dataclass(slots=True)
class AdminReply:
    """Answer the administrative call `token`."""

    token: int
    refusal: Refusal | None = None
    error: BaseException | None = None


@dataclass(slots=True)
class NoteRestart:
    """Publish that the child will be started again after `delay` seconds."""

    id: str
    delay: float
    attempt: int


@dataclass(slots=True)
class NoteExhausted:
    """Publish that the restart budget was exceeded by this child."""

    id: str


@dataclass(slots=True)
class NoteParked:
    """Publish that the child was parked."""

    id: str


@dataclass(slots=True)
class NoteChanged:
    """Publish that flags or children were changed at run time; `specs` is what the next incarnation starts with."""

    flags: SupervisorFlags
    specs: tuple[ChildSpec, ...]
    added: tuple[str, ...]
    changed: tuple[str, ...]
    removed: tuple[str, ...]


@dataclass(slots=True)
class Up:
    """All children of the specification have started."""


@dataclass(slots=True)
class Exit:
    """The supervisor has ended; no child runs any more."""

    reason: ExitReason


Note = NoteRestart | NoteExhausted | NoteParked | NoteChanged
OwnStep = WakeAt | AdminReply | Note | Up | Exit
Step = Start | Stop | Settle | Forget | OwnStep
