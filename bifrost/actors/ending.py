"""How one incarnation ends, completely and within its deadline.

In: a cell and its incarnation, with the reason why it ends. Out: what could not be ended.

The order is: timers, the handler in hand (after the queue, if the actor drains), the incarnation's tasks, `on_stop`,
and once more its tasks. What overstays is cancelled, cancelled again for a grace period, and then abandoned.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any

from bifrost.actors import events
from bifrost.actors.actor import Actor
from bifrost.actors.child_spec import INFINITY
from bifrost.actors.exit_reason import ExitReason, Killed, Normal, Shutdown
from bifrost.actors.incarnation import GRACE_KILL, LET_THROUGH, Incarnation
from bifrost.actors.shutdown_report import Leak

if TYPE_CHECKING:
    from bifrost.actors.worker import WorkerCell

__all__ = ["end_incarnation"]

_log = logging.getLogger("bifrost.actors")

_CRASH_LIMIT = 5.0  # seconds that the clean-up after a crash may take where an orderly stop may take for ever


async def end_incarnation(cell: WorkerCell, inc: Incarnation, leaks: list[str]) -> None:
    """End everything that belongs to `inc` and note in `leaks` what was abandoned, in words.

    May be called again if it was cancelled: it goes on with what is left.
    """
    loop = cell.system.loop
    if inc.timers is not None:
        inc.timers.cancel_all()
    orderly = isinstance(inc.ending, Normal | Shutdown)
    limit = cell.spec.shutdown_seconds
    if limit == INFINITY and not orderly:
        limit = _CRASH_LIMIT
    deadline = loop.time() + limit

    if orderly:
        await _until_quiet(cell, inc, deadline)
    if inc.draining and cell.waiting_messages():
        inc.ending = Killed()  # there was no time for the rest of the queue
    inc.draining = False
    if inc.runner is not None and not inc.fenced:
        await _put_down(cell, inc, inc.runner, "handler" if inc.started else "on_start", leaks)

    await _reap_tasks(cell, inc, leaks)
    # An instance whose handler still runs is not touched again: its stop hook could not rely on anything.
    if inc.started and not leaks and inc.actor is not None and type(inc.actor).on_stop is not Actor.on_stop:
        if inc.closer is None:
            assert inc.ending is not None
            name = f"{cell.path}#{inc.number}:on_stop"
            closing = _call_on_stop(cell, inc, inc.ending)
            inc.closer = loop.create_task(closing, name=name, context=inc.own_context())
            await asyncio.sleep(0)  # its first step, however hurried the stop: a task cancelled before it never runs
        await inc.wait([inc.closer], max(deadline - loop.time(), GRACE_KILL))
        await _put_down(cell, inc, inc.closer, "on_stop", leaks)
        await _reap_tasks(cell, inc, leaks)


async def _until_quiet(cell: WorkerCell, inc: Incarnation, deadline: float) -> None:
    """Wait for the handler in hand, and for the queue if the actor drains."""
    loop = cell.system.loop
    while inc.runner is not None or (inc.draining and cell.waiting_messages()):
        if loop.time() >= deadline or (inc.forced is not None and inc.forced.done()):
            return
        inc.quiet = loop.create_future()
        await inc.wait([inc.quiet], deadline - loop.time())


async def _put_down(cell: WorkerCell, inc: Incarnation, task: asyncio.Task[None], what: str, leaks: list[str]) -> None:
    """Cancel what did not end by itself."""
    if task.done():
        return
    inc.killed = True
    if isinstance(inc.ending, Normal | Shutdown):
        inc.ending = Killed()
    if await inc.kill([task]):
        _abandon(cell, inc, task, what, leaks)


async def _reap_tasks(cell: WorkerCell, inc: Incarnation, leaks: list[str]) -> None:
    abandoned: set[asyncio.Task[Any]] = set()
    # A task that ends may start another one, whose turn it then is; whoever goes on like that is abandoned.
    for last in (False, False, False, True):
        # One that is done may still be in the set: its callback has not run, and this may go on without a turn.
        tasks: list[asyncio.Task[Any]] = [task for task in inc.tasks or () if not task.done() and task not in abandoned]
        if not tasks:
            return
        for task in tasks:
            task.cancel()
        await inc.wait(tasks, GRACE_KILL)
        left = await inc.kill(tasks)
        if last:
            left.update(task for task in inc.tasks or () if not task.done() and task not in abandoned)
        for task in [task for task in inc.tasks or () if task in left]:
            _abandon(cell, inc, task, f"task {task.get_name().rpartition(':')[2]}", leaks)
        abandoned |= left


def _abandon(cell: WorkerCell, inc: Incarnation, task: asyncio.Task[Any], what: str, leaks: list[str]) -> None:
    inc.fence()
    leaks.append(what)
    cell.system.adopt_leak(task, Leak(cell.path, inc.number, what))
    cell.system.publish(events.ChildLeaked, cell.path, incarnation=inc.number, what=what)
    _log.error("%s: incarnation %d did not end when cancelled (%s); it was abandoned", cell.path, inc.number, what)


async def _call_on_stop(cell: WorkerCell, inc: Incarnation, reason: ExitReason) -> None:
    assert inc.actor is not None
    try:
        await inc.actor.on_stop(reason)
    except (asyncio.CancelledError, *LET_THROUGH):
        raise
    except BaseException as error:  # noqa: BLE001 - a failing stop hook is reported and changes nothing
        cell.system.publish(events.StopHookFailed, cell.path, incarnation=inc.number, error=error)
        _log.warning("%s: on_stop failed", cell.path, exc_info=error)
