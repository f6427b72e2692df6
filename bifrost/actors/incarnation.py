"""One life of an actor: the instance, its tasks, and how they are ended.

In: an actor instance and coroutines. Out: tasks that end with the incarnation, or are reported as leaked.

A coroutine cannot be killed. It is asked (`Task.cancel`), asked again during a grace period, and then abandoned: the
incarnation is fenced, so that what still runs can neither send nor answer.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterable
from contextvars import Context, ContextVar
from typing import TYPE_CHECKING, Any, Final

from bifrost.actors.carrier import NOTHING, Carrier, current_carrier
from bifrost.actors.exit_reason import ExitReason, Normal
from bifrost.actors.extras import Extras
from bifrost.actors.mailbox import Envelope
from bifrost.errors import AskCycle

if TYPE_CHECKING:
    from bifrost.actors.actor import Actor
    from bifrost.actors.cell import Cell
    from bifrost.actors.context import ActorContext
    from bifrost.actors.timers import Timers
    from bifrost.actors.worker import WorkerCell

__all__ = ["CURRENT", "FENCES", "FOR_THE_HOST", "GRACE_KILL", "LET_THROUGH", "Incarnation"]

GRACE_KILL = 1.0
"""Seconds of repeated cancellation before a task is abandoned."""

FOR_THE_HOST = (KeyboardInterrupt, SystemExit)
"""What is no crash of an actor: the process is ending. A panic in native code is no `Exception`, and is one."""

LET_THROUGH = (*FOR_THE_HOST, GeneratorExit)
"""What the runtime's coroutines let through: they are closed when the loop is gone, and must not act any more.

A `GeneratorExit` that a handler raises itself is a crash; whoever steps the coroutine knows which it is.
"""

_CANCEL_EVERY = 0.1

_OVER = Normal()
_LONGEST_RING = 1000  # actors in a ring of asks that is still noticed

CURRENT: ContextVar[Incarnation | None] = ContextVar("bifrost_actor_incarnation", default=None)
"""The incarnation whose code runs; what fencing and the sender's identity rest on."""


class _Fences:
    """Whether any incarnation of this process was ever fenced: until then, a tell need not look who sends it.

    No system learns of another by it: it only says that the slow way, which looks at the sender itself, must be taken.
    """

    __slots__ = ("up",)

    def __init__(self) -> None:
        self.up = False


FENCES: Final = _Fences()


class Incarnation:
    """What belongs to one life of a cell and ends with it."""

    # Defaults stand here and not in slots: most lives never set most of them, and a start costs what it sets.
    _name: str | None = None
    owns_context: bool = False
    actor: Actor[Any] | None = None
    ctx: ActorContext | None = None
    asking: Cell | None = None
    """Whose answer the handler waits for, if it does."""
    allowed: float | None = None
    """Seconds that the asker waits on whose stack the handler runs; no timer is set before the handler suspends."""
    quiet: asyncio.Future[None] | None = None
    """Done when no handler is in hand any more; for whoever ends the incarnation."""
    ender: asyncio.Task[None] | None = None
    closer: asyncio.Task[None] | None = None
    """Calls the stop hook."""
    start_info: object = None
    """What `on_start` returned."""
    extras: Extras | None = None
    started: bool = False
    """`on_start` has returned, so `on_stop` is owed."""
    announced: bool = False
    """The supervisor has been told that it runs."""
    killed: bool = False
    fenced: bool = False
    forced: asyncio.Future[None] | None = None
    tasks: dict[asyncio.Task[Any], None] | None = None
    timers: Timers | None = None
    watching: set[Any] | None = None
    sending: tuple[Cell, asyncio.Future[None]] | None = None
    """Where the handler waits for room, if it does."""
    yields: bool = False
    """Stopped for the sake of a sibling that failed, to be started again."""

    def __init__(self, cell: WorkerCell, number: int, context: Context) -> None:
        self.cell = cell
        self.number = number
        self.context = context
        """In which its code runs; says so itself once `own_context` was asked for."""
        self.runner: asyncio.Task[None] | None = None
        """The task that carries on a handler, or an `on_start`, that has suspended."""
        self.receive: Callable[[Any], Coroutine[Any, Any, Any]] | None = None
        """What handles the next message; set when the first one comes."""
        self.current: Any = NOTHING
        """The message in hand: bare, in its `Envelope`, or `NOTHING`."""
        self.handled = 0
        """Messages taken so far."""
        self.ending: ExitReason | None = None
        self.draining = False

    def wait_for_room(self, cell: Cell, waiter: asyncio.Future[None]) -> None:
        """Note that a send waits; what the handler of a stopped incarnation holds gets in at once."""
        if not self.is_handling_here():
            return
        self.sending = (cell, waiter)
        if self.yields:
            cell.admit(waiter)

    def is_handling_here(self) -> bool:
        """True if the code that runs is this incarnation's handler or hook, not a task beside it."""
        carrier = current_carrier(self.cell.scheduler.loop)
        return carrier is not None and carrier.owner is self

    def carried(self, task: asyncio.Task[None]) -> None:
        """The coroutine that `task` carried on is at its end."""
        if self.runner is task:
            self.runner = None
        self.is_quiet()

    @property
    def name(self) -> str:
        """What its task is called."""
        if self._name is None:
            self._name = f"{self.cell.path}#{self.number}"
        return self._name

    def own_context(self) -> Context:
        """The context in which `CURRENT` is this incarnation; an actor that never had a message needs none."""
        if not self.owns_context:
            self.owns_context = True
            self.context.run(CURRENT.set, self)
        return self.context

    def cut_loose(self, context: Context) -> None:
        """Let go of everything: it has ended, and a thousand of them must not wait for the garbage collector.

        An error holds its traceback, the traceback holds the handler's frames, and those hold this.
        """
        self.ending = _OVER
        self.context = context
        self.actor = None
        self.ctx = None
        self.receive = None
        self.closer = None
        self.current = NOTHING

    def is_quiet(self) -> None:
        """Tell whoever waits that a handler has come to its end."""
        if self.quiet is not None and not self.quiet.done():
            self.quiet.set_result(None)

    def fence(self) -> None:
        """Let nothing that it still sends or answers be delivered."""
        self.fenced = True
        self.draining = False
        FENCES.up = True

    @property
    def handling(self) -> str | None:
        """The type of the message in hand, or None."""
        if self.current is NOTHING:
            return None
        return type(self.current.message if isinstance(self.current, Envelope) else self.current).__qualname__

    @property
    def suspended_for(self) -> float | None:
        """Seconds since the handler or `on_start` first suspended; None if none is suspended."""
        carrier = None if self.runner is None else self.runner.get_coro()
        return self.runner.get_loop().time() - carrier.since if self.runner and isinstance(carrier, Carrier) else None

    def begin_ask(self, cell: Cell) -> None:
        """Note that the handler waits for the answer of `cell`.

        Raises:
            AskCycle: `cell` waits, itself or through others, for this handler.
        """
        inc = cell.present
        if inc is not self and (inc is None or inc.asking is None):
            self.asking = cell
            return
        way = [cell]
        while inc is not None and inc is not self and inc.asking is not None and len(way) < _LONGEST_RING:
            way.append(inc.asking)
            inc = inc.asking.present
        if inc is self:
            raise _ask_cycle([way[-1].path, *(link.path for link in way[:-1])])
        self.asking = cell

    def yield_to_restart(self) -> None:
        """Be stopped in a group restart: the receiver may be down until this has stopped, so no wait for room helps."""
        self.yields = True
        if self.sending is not None:
            cell, waiter = self.sending
            cell.admit(waiter)

    def more(self) -> Extras:
        """The rarer belongings, made now if there are none yet."""
        if self.extras is None:
            self.extras = Extras()
        return self.extras

    def spawn(self, cell: WorkerCell, coro: Coroutine[Any, Any, Any], name: str) -> asyncio.Task[Any]:
        """Start a task that ends with this incarnation."""
        task = cell.system.loop.create_task(coro, name=name, context=self.own_context().copy())
        if self.tasks is None:
            self.tasks = {}  # no set: they are ended in the order of their start, the same in every run
        self.tasks[task] = None
        task.add_done_callback(lambda done: self._task_done(cell, done))
        return task

    def _task_done(self, cell: WorkerCell, task: asyncio.Task[Any]) -> None:
        if self.tasks is not None:
            self.tasks.pop(task, None)
        error: BaseException | None
        if task.cancelled():
            if task.cancelling():
                return
            # Nobody cancelled the task: what it awaited was cancelled by somebody else, and it has not done its work.
            error = asyncio.CancelledError(f"task {task.get_name()} awaited something that was cancelled")
        else:
            error = task.exception()
        if error is not None and not isinstance(error, FOR_THE_HOST) and not self.fenced:
            cell.task_crashed(self, error)

    async def wait(self, tasks: Iterable[asyncio.Future[Any]], seconds: float) -> bool:
        """Wait until `tasks` are done, `seconds` have passed, or the stop is forced; True if all are done."""
        left = {task for task in tasks if not task.done()}
        loop = asyncio.get_running_loop()
        deadline = loop.time() + seconds
        if self.forced is None:
            self.forced = loop.create_future()
        while left and not self.forced.done() and (remaining := deadline - loop.time()) > 0:
            timeout = None if remaining == float("inf") else remaining
            done, _ = await asyncio.wait({*left, self.forced}, timeout=timeout, return_when=asyncio.FIRST_COMPLETED)
            left -= done
        return not left

    def force(self) -> None:
        """End every wait of the orderly stop."""
        if self.forced is None:
            self.forced = asyncio.get_running_loop().create_future()
        if not self.forced.done():
            self.forced.set_result(None)

    async def kill(self, tasks: Iterable[asyncio.Task[Any]]) -> set[asyncio.Task[Any]]:
        """Cancel `tasks` again and again for the grace period and return those that still run."""
        left = [task for task in tasks if not task.done()]
        loop = asyncio.get_running_loop()
        deadline = loop.time() + GRACE_KILL
        while left and loop.time() < deadline:
            for task in left:
                task.cancel()
            await asyncio.wait(left, timeout=_CANCEL_EVERY)
            left = [task for task in left if not task.done()]
        return set(left)


def _ask_cycle(paths: list[str]) -> AskCycle:
    if len(paths) == 1:
        text = f"{paths[0]} asks itself: it can only answer when the handler that asks has returned; call the method"
    else:
        ring = "".join(f", which waits for the answer of {path}" for path in [*paths[2:], paths[0]])
        text = f"{paths[0]} asks {paths[1]}{ring}: none of them could go on; tell, or ask from a task of its own"
    return AskCycle(text, paths=paths)
