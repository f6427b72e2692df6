"""Who waits for whom: read from the frames of suspended handlers, so that sending and asking pay nothing for it.

In: a cell. Out: the actors that its handler waits for, and why; chains of such waits, and whether they close to a ring.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator
from dataclasses import dataclass
from types import CodeType, FrameType
from typing import Any, Final

from bifrost.actors.actor_thread import ActorThread
from bifrost.actors.admin_call import PendingCall
from bifrost.actors.await_chain import await_chain
from bifrost.actors.cell import Cell
from bifrost.actors.ref import ActorRef
from bifrost.actors.state import ActorState
from bifrost.actors.supervisor_cell import SupervisorCell
from bifrost.actors.worker import WorkerCell

__all__ = ["Wait", "frames_of", "handler_task", "thread_of", "wait_chain", "waits_of"]

_ASYNCIO = os.path.dirname(asyncio.__file__)  # noqa: PTH120 - compared with file names of code
_DEEPEST = 50  # links of one chain of actors
_TASKS = 100  # tasks that one handler's stack may branch into


@dataclass(frozen=True, slots=True)
class Wait:
    """One actor waits for another.

    Attributes:
        waiter: who waits.
        what: what for, such as ``the answer of``.
        target: for whom.
    """

    waiter: Cell
    what: str
    target: Cell

    def __str__(self) -> str:
        return f"{self.waiter.path} waits for {self.what} {self.target.path}"


_CALLS: Final[dict[CodeType, str]] = {
    ActorRef.ask.__code__: "the answer of",
    ActorRef.send.__code__: "room in the mailbox of",
    ActorRef.wait_running.__code__: "the start of",
    PendingCall.result.__code__: "an administrative call of",
}


def handler_task(cell: Cell) -> asyncio.Task[Any] | None:
    """The task in which the actor's handler or hook is suspended, or None if it is idle or running."""
    if not isinstance(cell, WorkerCell) or cell.present is None:
        return None
    inc = cell.present
    if inc.runner is not None and not inc.runner.done():
        return inc.runner
    if inc.ender is None:
        return None
    name = f"{cell.path}#{inc.number}:on_stop"
    return next((task for task in asyncio.all_tasks(cell.system.loop) if task.get_name() == name), None)


def frames_of(task: asyncio.Task[Any]) -> Iterator[tuple[int, FrameType]]:
    """The frames of a suspended task and of the tasks that it waits for, each with its depth in tasks."""
    seen: set[asyncio.Task[Any]] = set()
    left: list[tuple[int, asyncio.Future[Any]]] = [(0, task)]
    while left and len(seen) < _TASKS:
        depth, future = left.pop()
        if isinstance(future, asyncio.Task):
            if future in seen or future.done():
                continue
            seen.add(future)
            frames, end = await_chain(future)
            yield from ((depth, frame) for frame in frames)
            left += [(depth + 1, part) for part in reversed(_parts_of(frames, end))]
        else:
            left += [(depth, part) for part in reversed(_parts_of([], future))]


def _parts_of(frames: list[FrameType], end: asyncio.Future[Any] | None) -> list[asyncio.Future[Any]]:
    """The tasks that a chain which ends in `end` waits for; none for a future that somebody will set."""
    if isinstance(end, asyncio.Task):
        return [end]
    gathered: list[asyncio.Future[Any]] | None = getattr(end, "_children", None)
    if gathered is not None:
        return gathered
    # Where asyncio waits for several with a future of its own, its frame knows them.
    for frame in frames[-2:]:
        if os.path.dirname(frame.f_code.co_filename) == _ASYNCIO:  # noqa: PTH120 - as above
            known = frame.f_locals
            group = known.get("self")
            found = getattr(group, "_tasks", ()) if isinstance(group, asyncio.TaskGroup) else known.get("fs", ())
            found = [*found, known.get("fut")]
            tasks: list[asyncio.Task[Any]] = [one for one in found if isinstance(one, asyncio.Task)]
            if tasks:
                return [*sorted(tasks, key=lambda one: (len(one.get_name()), one.get_name()))]
    return []


def waits_of(cell: Cell) -> list[Wait]:
    """What `cell` waits for at the moment, in other actors."""
    if isinstance(cell, SupervisorCell):
        words = {ActorState.STARTING: "the start of", ActorState.STOPPING: "the end of"}
        return [Wait(cell, words[kid.state], kid) for kid in cell.children() if kid.state in words]
    task = handler_task(cell)
    tasks = [] if task is None else [task, *_calls_of_thread(cell)]
    found: dict[Wait, None] = {}
    ref: ActorRef[Any] | None = None
    for frame in (frame for one in tasks for _, frame in frames_of(one)):
        own = frame.f_locals.get("self")
        if isinstance(own, ActorRef):
            ref = own  # its method waits, or what that calls
        what = _CALLS.get(frame.f_code)
        if what is not None and ref is not None:
            found[Wait(cell, what, ref.cell)] = None
    return list(found)


def thread_of(cell: Cell) -> ActorThread | None:
    """The thread in which the actor's handlers run, if it has one."""
    actor = None if cell.present is None else cell.present.actor
    thread = getattr(actor, "thread", None)
    return thread if isinstance(thread, ActorThread) else None


def _calls_of_thread(cell: Cell) -> list[asyncio.Task[Any]]:
    """What the handler in the actor's thread waits for on the loop."""
    inc = cell.present
    if inc is None or thread_of(cell) is None:
        return []
    return [task for task in inc.tasks or () if task.get_name().endswith(":call")]


def wait_chain(cell: Cell) -> tuple[list[Wait], bool]:
    """The waits that begin at `cell`, and whether they end in a ring.

    Where an actor waits for several others, the way that closes a ring is taken, else the first.
    """
    return _follow(cell, [], {cell})


def _follow(cell: Cell, way: list[Wait], seen: set[Cell]) -> tuple[list[Wait], bool]:
    best = way
    for wait in waits_of(cell) if len(way) < _DEEPEST else ():
        further = [*way, wait]
        if wait.target in {one.waiter for one in further}:
            return further, True
        if wait.target in seen:
            continue
        seen.add(wait.target)
        longest, ring = _follow(wait.target, further, seen)
        if ring:
            return longest, True
        if len(best) == len(way):
            best = longest
    return best, False
