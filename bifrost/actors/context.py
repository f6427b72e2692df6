"""What an actor may do to the world, bound to one incarnation.

In: calls from the actor. Out: tasks, timers, watches, all of which end with the incarnation.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine
from typing import TYPE_CHECKING, Any, TypeVar

from bifrost.actors.carrier import NOTHING
from bifrost.actors.exit_reason import ExitReason, Normal
from bifrost.actors.links import cut, join
from bifrost.actors.mailbox import Envelope
from bifrost.actors.stash import put_aside, take_back
from bifrost.actors.timers import Timers
from bifrost.core.clock import Clock
from bifrost.errors import ActorError, ActorStopped

if TYPE_CHECKING:
    from bifrost.actors.incarnation import Incarnation
    from bifrost.actors.ref import ActorRef
    from bifrost.actors.system import ActorSystem
    from bifrost.actors.worker import WorkerCell

__all__ = ["ActorContext"]

_T = TypeVar("_T")
_NORMAL = Normal()


class ActorContext:
    """One incarnation's hands. Every task, timer and watch made here ends with the incarnation."""

    __slots__ = ("_cell", "_incarnation", "_log")

    def __init__(self, cell: WorkerCell, incarnation: Incarnation) -> None:
        self._cell = cell
        self._incarnation = incarnation
        self._log: logging.LoggerAdapter[logging.Logger] | None = None

    @property
    def ref(self) -> ActorRef[Any]:
        """This actor; stays valid over restarts."""
        return self._cell.ref

    @property
    def parent(self) -> ActorRef[Any] | None:
        """The supervisor."""
        return None if self._cell.parent is None else self._cell.parent.ref

    @property
    def system(self) -> ActorSystem:
        """The system that this actor lives in."""
        return self._cell.system

    @property
    def clock(self) -> Clock:
        """The system's clock."""
        return self._cell.system.clock

    @property
    def path(self) -> str:
        """This actor's path, such as ``devices/press``."""
        return self._cell.path

    @property
    def incarnation(self) -> int:
        """Which life this is, from 1."""
        return self._incarnation.number

    @property
    def log(self) -> logging.LoggerAdapter[logging.Logger]:
        """Logger ``bifrost.actors``, with the path in front of every line.

        Each record has the attributes ``actor`` (the path), ``incarnation`` and ``system`` (its name), for a structured
        formatter; `ActorLogFilter` gives them to the records of other loggers.
        """
        if self._log is None:
            facts = {"actor": self.path, "incarnation": self.incarnation, "system": self.system.name}
            self._log = _PathAdapter(logging.getLogger("bifrost.actors"), facts)
        return self._log

    @property
    def timers(self) -> Timers:
        """This incarnation's timers."""
        if self._incarnation.timers is None:
            self._incarnation.timers = Timers(self._cell, self._incarnation)
        return self._incarnation.timers

    @property
    def life(self) -> Incarnation:
        """The runtime's record of this incarnation; not for applications."""
        return self._incarnation

    @property
    def is_over(self) -> bool:
        """True if the incarnation has ended or was abandoned: nothing that it still does is delivered."""
        return self._incarnation.fenced or not self._cell.is_current(self._incarnation)

    def spawn_task(self, coro: Coroutine[Any, Any, _T], *, name: str | None = None) -> asyncio.Task[_T]:
        """Run `coro` beside the message handler, for waits that must not block it.

        The task is cancelled and awaited when the incarnation ends. An exception in it crashes the actor.

        Raises:
            ActorStopped: this incarnation is over.
        """
        inc = self._incarnation
        if inc.fenced or not self._cell.is_current(inc):
            coro.close()
            raise ActorStopped(f"incarnation {inc.number} of {self._cell.path} is over; it can start no more tasks")
        label = f"{self._cell.path}#{inc.number}:{name or getattr(coro, '__qualname__', 'task')}"
        return inc.spawn(self._cell, coro, label)

    def watch(self, ref: ActorRef[Any]) -> None:
        """Ask for one `Down` message when the actor's present incarnation ends; at once if it has ended already.

        Raises:
            ActorError: it belongs to another system.
        """
        if ref.cell.system is not self._cell.system:
            raise ActorError(f"{ref.path} belongs to another system; watches stay within one")
        self._cell.watch(self._incarnation, ref.cell)

    def unwatch(self, ref: ActorRef[Any]) -> None:
        """Take the watch back; a `Down` that is already queued still comes."""
        self._cell.unwatch(self._incarnation, ref.cell)

    @property
    def deadline(self) -> float | None:
        """When the message in hand is no longer wanted, in the loop's time: the asker's deadline, or the end of `ttl`.

        None if there is no message in hand, or it has no such limit.
        """
        item = self._incarnation.current
        if type(item) is Envelope:
            return item.expires
        allowed = self._incarnation.allowed
        return None if item is NOTHING or allowed is None else self._cell.system.loop.time() + allowed

    def stash(self) -> None:
        """Put the message in hand aside, to be handled after `unstash_all`; an asker keeps waiting, a ttl runs on.

        What the handler then returns answers nobody. When the incarnation ends, what is stashed goes back to the front
        of the mailbox, unless the handler that stashed it raises: a message in hand is never tried again.

        Raises:
            ActorError: there is no message in hand, or it is stashed already.
            MailboxFull: the stash holds as many messages as the mailbox may.
        """
        put_aside(self._incarnation)

    def unstash_all(self) -> int:
        """Put everything stashed back at the front of the mailbox, oldest first; return how many messages that were."""
        inc = self._incarnation
        return 0 if self.is_over else take_back(inc)

    def become(self, receive: Callable[[Any], Awaitable[object]]) -> None:
        """Let `receive`, a method of this actor, handle the messages after this one; a restart undoes it."""
        self._cell.become(self._incarnation, receive)

    def unbecome(self) -> None:
        """Let the actor's own `receive` handle the messages after this one."""
        self._cell.become(self._incarnation, None)

    def link(self, ref: ActorRef[Any]) -> None:
        """Fall together with another actor: if one ends abnormally, so does the other, unless it traps exits.

        The other crashes with `LinkedExit`. The link joins the present incarnations and ends with either; it works
        across supervisors. If the other does not run at the moment, this counts as its abnormal end.

        Raises:
            ActorError: it is a supervisor, or belongs to another system.
        """
        join(self._incarnation, ref.cell)

    def unlink(self, ref: ActorRef[Any]) -> None:
        """Take a link back, from both sides."""
        cut(self._incarnation, ref.cell)

    @property
    def trap_exits(self) -> bool:
        """Whether the end of a linked actor, normal or not, comes as a message `Exit` instead of ending this one."""
        return self._incarnation.extras is not None and self._incarnation.extras.traps

    @trap_exits.setter
    def trap_exits(self, value: bool) -> None:
        self._incarnation.more().traps = value

    def stop(self, reason: ExitReason = _NORMAL) -> None:
        """End this actor after the message in hand; whether it is started again is up to its restart type."""
        self._cell.stop_self(self._incarnation, reason)


class _PathAdapter(logging.LoggerAdapter[logging.Logger]):
    """Puts the actor's path in front of each message."""

    def process(self, msg: Any, kwargs: Any) -> tuple[Any, Any]:
        extra = self.extra or {}
        return f"{extra.get('actor')}: {msg}", {**kwargs, "extra": {**extra, **(kwargs.get("extra") or {})}}
