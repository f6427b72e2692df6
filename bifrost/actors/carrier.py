"""A task that stands by to carry on a handler that suspends.

In: a coroutine whose first step was made on somebody else's stack, and what that step yielded. Out: an `asyncio.Task`
that makes the other steps. A coroutine that never suspends needs no task, and most handlers never do.

The task exists before the first step, because `asyncio.current_task()` must name the same task before and after the
coroutine suspends: `asyncio.timeout` and `TaskGroup` remember it. A carrier adopts one coroutine at a time, and is used
again unless somebody knows its task or has cancelled it.
"""

from __future__ import annotations

import asyncio
import sys
import types
from collections.abc import Callable, Coroutine, Generator
from contextvars import Context
from sys import getrefcount
from typing import TYPE_CHECKING, Any, Final, cast

if TYPE_CHECKING:
    from bifrost.actors.incarnation import Incarnation
    from bifrost.actors.mailbox import Envelope
    from bifrost.actors.scheduler import Scheduler

__all__ = ["CURRENT_TASKS", "DONE", "NOTHING", "REFERENCES_AT_REST", "Carrier", "current_carrier", "swap_current_task"]

NOTHING: Final[Any] = type("Nothing", (), {"__slots__": (), "__repr__": lambda _self: "NOTHING"})()
"""Stands where None could be a message."""

DONE: Final[Any] = type("Done", (), {"__slots__": ()})()
"""What a carrier's first step returns if the coroutine has returned."""

REFERENCES_AT_REST: Final = 3
"""To a carrier's task: the carrier, what will wake it, and the argument of the call that counts them."""

REFERENCES_RUNNING: Final = 4
"""The same while the task makes a step: it is the loop's current task, too."""

CURRENT_TASKS: Final[dict[Any, Any] | None] = (
    getattr(asyncio.tasks, "_current_tasks", {}) if sys.version_info < (3, 12) else None
)
"""Which task each loop says is current, up to Python 3.11; later versions swap it by a call."""

_SPARE: Final = "bifrost: spare"


def _swap_by_table(loop: asyncio.AbstractEventLoop, task: asyncio.Task[Any] | None) -> asyncio.Task[Any] | None:
    assert CURRENT_TASKS is not None
    previous: asyncio.Task[Any] | None = CURRENT_TASKS.pop(loop, None)
    if task is not None:
        CURRENT_TASKS[loop] = task
    return previous


swap_current_task: Final[Callable[[asyncio.AbstractEventLoop, asyncio.Task[Any] | None], asyncio.Task[Any] | None]] = (
    getattr(asyncio.tasks, "_swap_current_task", _swap_by_table)
)
"""Let `asyncio.current_task()` name the task and return what it named before, as eager tasks do (Python 3.12)."""


def _drive_forever(carrier: Carrier) -> Generator[Any, Any, None]:
    """Run one coroutine after the other; `DONE` says that the last one has returned.

    A `send` that returns costs half of one that raises StopIteration, and most handlers return at their first step.
    """
    while True:
        carrier.answer = yield from (yield DONE)


# So marked, a generator may await coroutines; unlike an ``async def``, it may also yield what is no awaitable's.
_drive: Final[Callable[[Carrier], Generator[Any, Any, None]]] = cast("Any", types.coroutine(_drive_forever))


class _StandBy(asyncio.Task[None]):
    """A carrier's task. One that is cancelled while it carries nothing is not used for anybody else."""

    __slots__ = ()

    def cancel(self, msg: Any | None = None) -> bool:
        carrier = self.get_coro()
        if isinstance(carrier, Carrier):
            carrier.spoil()
        return super().cancel(msg)


class Carrier(Coroutine[Any, Any, None]):
    """The coroutine of a stand-by task: it waits for work, or is the work.

    It is an object, not an ``async def``: a task cancelled before its first step never enters an ``async def``, and the
    adopted coroutine would hear of the cancellation only as garbage.

    Args:
        loop: where the task lives.
        context: the task's own; adopted steps run in the context they are given with.
        scheduler: on whose stack it puts itself when it has carried something to its end and may be used again.
    """

    __slots__ = (
        "_context",
        "_driver",
        "_handled",
        "_loop",
        "_parking",
        "_run",
        "_scheduler",
        "_spoilt",
        "_waiter",
        "_yielded",
        "answer",
        "below",
        "drive",
        "envelope",
        "is_idle",
        "owner",
        "since",
        "task",
    )
    __name__ = "handler"  # what `repr` of the task shows

    def __init__(self, loop: asyncio.AbstractEventLoop, context: Context, scheduler: Scheduler) -> None:
        self._loop = loop
        self._context = context
        self._run: Callable[..., Any] = context.run
        self._yielded: Any = NOTHING
        self._waiter: asyncio.Future[None] | None = None
        self._parking: Any = None
        self._scheduler = scheduler
        self._spoilt: asyncio.Task[None] | None = None
        self.below: Carrier | None = None
        """The next one in the scheduler's stack."""
        self.is_idle = True
        """It has adopted nothing."""
        self.owner: Incarnation | None = None
        """Whose code runs on it at the moment."""
        self.since = 0.0
        """When the handler in hand first suspended, or was resumed for the message in hand; loop time, seconds."""
        self._handled = 0
        self.envelope: Envelope | None = None
        """The request that the adopted coroutine itself answers; None if the coroutine sees to that."""
        self.answer: Any = None
        """What the last coroutine returned."""
        self.rearm()
        self.task: asyncio.Task[None] = _StandBy(self, loop=loop, name=_SPARE, context=context)

    def rearm(self) -> None:
        """Get ready for the next coroutine: the last one has raised."""
        self._driver = _drive(self)
        self.drive: Callable[[Any], Any] = self._driver.send
        """Make the first step of a coroutine: returns `DONE`, or what it yielded."""
        self.drive(None)

    @property
    def is_unused(self) -> bool:
        """True if nobody has cancelled the task or kept a reference to it, so that it may stand for another."""
        return getrefcount(self.task) <= REFERENCES_AT_REST

    def adopt(self, yielded: Any, context: Context, name: str) -> None:
        """Carry on the coroutine whose first step, in `context`, has yielded `yielded`."""
        self.is_idle = False
        self._yielded = yielded
        self._run = context.run
        self.since = self._loop.time()
        self._handled = 0 if self.owner is None else self.owner.handled
        if self.task.done():  # somebody has cancelled every task of the loop
            self.task = _StandBy(self, loop=self._loop, context=self._context)
        self.task.set_name(name)
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def spoil(self) -> None:
        """Its task is being cancelled: what it carries hears of that, and nobody who comes after."""
        if self.is_idle:
            self._scheduler.forget(self)
            # If a first step is being made, this is the reference that whoever puts it back will find.
            self._spoilt = self.task

    def discard(self) -> None:
        """End the task; it has adopted nothing."""
        self.task.cancel()

    @property
    def carried(self) -> Coroutine[Any, Any, Any] | None:
        """The coroutine that it has adopted, or whose first step it makes."""
        carried: Coroutine[Any, Any, Any] | None = getattr(self._driver, "gi_yieldfrom", None)
        return carried

    @property
    def cr_frame(self) -> Any:
        """Where the adopted coroutine stands, for `Task.print_stack`."""
        return getattr(self.carried, "cr_frame", None)

    @property
    def cr_await(self) -> Any:
        """What the adopted coroutine awaits."""
        return getattr(self.carried, "cr_await", None)

    def send(self, value: Any) -> Any:
        """Make the next step."""
        if self._yielded is not NOTHING or self.is_idle:
            if self.is_idle:
                return self._park()
            yielded, self._yielded = self._yielded, NOTHING
            # The turn that a bare `yield` asks for has passed already, and a future may be done meanwhile.
            if yielded is not None and not (type(yielded) is asyncio.Future and yielded.done()):
                return yielded
        try:
            yielded = self._run(self.drive, value)
        except BaseException as error:
            self._failed(error)
            raise
        return self._finished() if yielded is DONE else self._suspended(yielded)

    def throw(self, typ: Any, value: Any = None, traceback: Any = None) -> Any:
        """Make the next step with an exception: the task was cancelled, or what it awaits has failed."""
        error = typ if isinstance(typ, BaseException) else value if isinstance(value, BaseException) else typ()
        if traceback is not None:
            error = error.with_traceback(traceback)
        if self.is_idle:
            raise error
        yielded, self._yielded = self._yielded, NOTHING
        if isinstance(error, asyncio.CancelledError) and asyncio.isfuture(yielded) and yielded.cancel():
            # Cancelled between the first step and this one: as `Task.cancel` does, cancel what is awaited, and let
            # that tell the coroutine.
            return yielded
        try:
            yielded = self._run(self._driver.throw, error)
        except BaseException as failure:
            self._failed(failure)
            raise
        return self._finished() if yielded is DONE else self._suspended(yielded)

    def _park(self) -> Any:
        self._waiter = self._loop.create_future()
        self._parking = self._waiter.__await__()
        return next(self._parking)

    def _suspended(self, yielded: Any) -> Any:
        owner = self.owner
        if owner is not None and owner.handled != self._handled:  # a burst has come to another message
            self._handled = owner.handled
            self.since = self._loop.time()
        return yielded

    def _failed(self, error: BaseException) -> None:
        owner, envelope = self._let_go()
        if envelope is not None:
            is_crash = owner.cell.handler_failed(owner, error)
        elif is_crash := isinstance(error, GeneratorExit):
            owner.cell.task_crashed(owner, error)
        owner.carried(self.task)
        if is_crash:
            raise StopIteration from None  # its supervisor knows; the task has nothing to add
        if isinstance(error, KeyboardInterrupt | SystemExit):
            self.task.add_done_callback(_seen)  # the loop raises it in the host; nobody is to be told again

    def _finished(self) -> Any:
        """The coroutine has returned: answer, and stand by again unless somebody knows the task."""
        answer, self.answer = self.answer, None
        owner, envelope = self._let_go()
        if envelope is not None:
            owner.cell.handler_done(owner, envelope, answer)
        else:
            owner.carried(self.task)
        scheduler = self._scheduler
        if (
            scheduler.made < scheduler.depth
            and getrefcount(self.task) <= REFERENCES_RUNNING
            and not self.task.cancelling()
        ):
            self.task.set_name(_SPARE)  # what the next one logs before it suspends is not under this one's name
            scheduler.made += 1
            self.below = scheduler.top
            scheduler.top = self
            return self._park()
        raise StopIteration

    def _let_go(self) -> tuple[Incarnation, Envelope | None]:
        owner, self.owner = self.owner, None
        assert owner is not None
        envelope, self.envelope = self.envelope, None
        self.is_idle = True
        self._waiter = self._parking = None
        return owner, envelope

    def close(self) -> None:
        """Close the adopted coroutine: the loop is gone."""
        self._run(self._driver.close)

    def __await__(self) -> Generator[Any, Any, None]:
        raise TypeError("a carrier is the coroutine of its own task; await the task")


def current_carrier(loop: asyncio.AbstractEventLoop) -> Carrier | None:
    """The carrier whose task is current on `loop`: its owner's handler or hook runs, not a task beside it."""
    task = asyncio.current_task(loop)  # without the loop it would be looked up, at the price of an ask
    coro = None if task is None else task.get_coro()
    return coro if type(coro) is Carrier else None  # `isinstance` would ask the abstract base class, which takes long


def _seen(task: asyncio.Task[None]) -> None:
    """Mark what a task raised as known, so that the loop does not report it when the task is freed."""
    if not task.cancelled():
        task.exception()
