"""The tree as it stands at one moment, for consoles and tests.

In: nothing. Out: frozen values; nothing in them is live.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from bifrost.actors.child_spec import ChildType
from bifrost.actors.state import ActorState

__all__ = ["ActorSnapshot", "PastLife"]


@dataclass(frozen=True, slots=True)
class PastLife:
    """One incarnation that was followed by another.

    Attributes:
        incarnation: which one, from 1.
        reason: how it ended, in words: the error itself would keep all that its traceback has seen.
        at: when the next one was started; monotonic seconds.
    """

    incarnation: int
    reason: str
    at: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ActorSnapshot:
    """One actor and what is below it.

    Attributes:
        path: its path.
        id: its id within its supervisor.
        type: worker or supervisor.
        state: where it stands.
        incarnation: which incarnation, from 1; 0 if it never started.
        restarts: how often its supervisor has started it again.
        mailbox_depth: messages that wait; 0 for a supervisor.
        last_crash: the last crash or failed start in words, or None.
        mailbox_urgent: those of the waiting messages that are in the lanes above NORMAL.
        handling: the type of the message in hand, or None.
        handling_for: seconds for which that handler, or a hook, has been suspended; None if it has not.
        history: the last incarnations before the present one, oldest first, ten at most.
        children: in start order; empty for a worker.
        held: it was stopped with `hold`; nothing but `restart_child` starts it.
    """

    path: str
    id: str
    type: ChildType
    state: ActorState
    incarnation: int
    restarts: int
    mailbox_depth: int
    last_crash: str | None
    mailbox_urgent: int = 0
    handling: str | None = None
    handling_for: float | None = None
    history: tuple[PastLife, ...] = ()
    children: tuple[ActorSnapshot, ...] = ()
    held: bool = False

    def walk(self) -> Iterator[ActorSnapshot]:
        """This actor and everything below it, parents first."""
        yield self
        for child in self.children:
            yield from child.walk()

    def find(self, path: str) -> ActorSnapshot | None:
        """The actor at `path`, or None."""
        return next((found for found in self.walk() if found.path == path), None)
