"""Small words of the runtime: an actor's state, the result of a tell, the notice of an end.

In: nothing. Out: enums and one frozen message.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bifrost.actors.exit_reason import ExitReason

if TYPE_CHECKING:
    from bifrost.actors.ref import ActorRef

__all__ = ["ActorState", "Delivery", "Down"]


class ActorState(enum.Enum):
    """Where the actor that a ref names stands."""

    STARTING = "starting"
    RUNNING = "running"
    STOPPING = "stopping"
    RESTARTING = "restarting"
    """Its incarnation has ended and another will come; messages wait."""
    STOPPED = "stopped"
    FAILED = "failed"
    """Parked: it used up its restarts and waits for `restart_child`."""


class Delivery(enum.Enum):
    """What became of a `tell`."""

    ACCEPTED = "accepted"
    DROPPED = "dropped"
    """The mailbox was full; a dead letter was published."""
    DEAD = "dead"
    """The actor has stopped, or the sender is an abandoned incarnation; a dead letter was published."""


@dataclass(frozen=True, slots=True)
class Down:
    """A watched actor's incarnation has ended; sent exactly once per `watch`.

    Attributes:
        ref: who.
        reason: why.
        incarnation: which incarnation, from 1.
        will_restart: true if its supervisor will start another.
    """

    ref: ActorRef[Any]
    reason: ExitReason
    incarnation: int
    will_restart: bool
