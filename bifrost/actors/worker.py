"""The cell of an ordinary actor: the beginning and the end of its incarnations.

In: orders from the supervisor. Out: calls of `on_start` and `on_stop`; reports to the supervisor.

An idle actor has no task, and neither has one whose handlers do not suspend. What must happen at the end of an
incarnation is done by the cell, not by the actor's coroutine, because a coroutine that is cancelled before its first
step never runs.
"""

from __future__ import annotations

import asyncio
import functools
import logging
from typing import Any

from bifrost.actors import events, steps
from bifrost.actors.actor import Actor
from bifrost.actors.blocking import BlockingActor, BlockingShell
from bifrost.actors.cell import Cell
from bifrost.actors.child_spec import BRUTAL_KILL, IGNORE, Ignore
from bifrost.actors.context import ActorContext
from bifrost.actors.dead_letters import DeadLetterReason
from bifrost.actors.ending import end_incarnation
from bifrost.actors.exit_reason import Crash, ExitReason, Killed, Shutdown, StartFailure, error_text
from bifrost.actors.handling_cell import HandlingCell
from bifrost.actors.incarnation import FOR_THE_HOST, LET_THROUGH, Incarnation
from bifrost.actors.links import break_links
from bifrost.actors.mailbox import Envelope, Lane
from bifrost.actors.ref import ActorRef
from bifrost.actors.stash import take_back
from bifrost.actors.state import ActorState, Down
from bifrost.actors.steps import Fate
from bifrost.errors import ActorStopped

__all__ = ["WorkerCell"]

_log = logging.getLogger("bifrost.actors")


class WorkerCell(HandlingCell):
    """One actor's place in the tree."""

    def make_ref(self) -> ActorRef[Any]:
        """A plain ref."""
        return ActorRef(self)

    def is_current(self, inc: Incarnation) -> bool:
        """True until `inc` has ended completely."""
        return self._inc is inc

    # Starting

    def launch(self) -> None:
        """Make a new instance and call its `on_start`."""
        again = self.will_restart
        self.begin_incarnation()
        self._fate = Fate.UNDECIDED
        if self._mailbox is not None and self._mailbox.settings is not self.spec.mailbox:
            self._mailbox.resize(self.spec.mailbox)
        inc = self._inc = Incarnation(self, self.incarnation, self.system.context.copy())
        self.regate()
        if self.scheduler.take_turn_now():
            self._start(inc, again)
        else:
            self.scheduler.add(functools.partial(self._start, inc, again))

    def _start(self, inc: Incarnation, again: bool) -> None:
        if self._inc is not inc or inc.ending is not None:
            return  # it was stopped before its turn came
        try:
            actor = inc.context.run(self._make, inc)
        except FOR_THE_HOST:
            raise
        except BaseException as error:  # noqa: BLE001 - whatever a user's factory raises is a failed start
            self._begin_end(inc, StartFailure(error))
            return
        if actor is IGNORE:
            self._ignored(inc)
            return
        again = again and type(actor).on_restart is not Actor.on_restart
        if not again and type(actor).on_start is Actor.on_start:
            self._started(inc)
            return
        inc.runner = self.scheduler.step(inc, self._call_on_start(inc, actor, again))
        if inc.runner is not None and inc.ending is None:
            inc.more().overdue = self.system.loop.call_later(self.spec.start_timeout, self._start_overdue, inc)

    def _make(self, inc: Incarnation) -> Actor[Any] | Ignore:
        made: object = self.spec.start(*self.spec.args, **self.spec.kwargs)
        if isinstance(made, Actor):
            actor: Actor[Any] = made
        elif isinstance(made, BlockingActor):
            actor = BlockingShell(made)
        elif isinstance(made, Ignore):
            return made
        else:
            raise TypeError(f"start must return an Actor, got {made!r}")
        inc.actor = actor
        inc.ctx = actor.ctx = ActorContext(self, inc)
        return actor

    async def _call_on_start(self, inc: Incarnation, actor: Actor[Any], again: bool) -> None:
        try:
            if again:
                inc.start_info = await actor.on_restart(self.last_reason, self.system.handed_over.get(self))
            else:
                inc.start_info = await actor.on_start()
        except asyncio.CancelledError as error:
            if inc.killed:
                raise
            self._begin_end(inc, StartFailure(error))
        except LET_THROUGH:
            raise
        except BaseException as error:  # noqa: BLE001 - whatever a user's start raises is a failed start
            self._begin_end(inc, StartFailure(error))
        else:
            self._started(inc)

    def _started(self, inc: Incarnation) -> None:
        inc.started = True
        if inc.number > 1:
            self.system.handed_over.pop(self, None)
        if inc.extras is not None:
            inc.extras.in_time()
        if inc.ending is not None or inc.fenced:
            return
        inc.announced = True
        self.is_up()
        if self.system.events.has_subscribers:
            event = events.ActorStarted if inc.number == 1 else events.ActorRestarted
            self.system.publish(event, self.path, incarnation=inc.number)
        parent = self.parent
        assert parent is not None
        if parent.starting_now is self:
            parent.starting_now = None
        else:
            parent.feed(steps.Started(self.spec.id))
        self._rest(inc)

    def _ignored(self, inc: Incarnation) -> None:
        if inc.ending is None:  # else its factory had it stopped, and that is how it ends
            self._inc = None
            self.system.publish(events.ActorIgnored, self.path)
            assert self.parent is not None
            self.parent.feed(steps.Ignored(self.spec.id))

    @property
    def start_info(self) -> object:
        """What `on_start` of the present incarnation returned."""
        return None if self._inc is None else self._inc.start_info

    def _start_overdue(self, inc: Incarnation) -> None:
        seconds = self.spec.start_timeout
        error = TimeoutError(
            f"on_start took longer than start_timeout={seconds:g} s; connect in a running state instead"
        )
        self._begin_end(inc, StartFailure(error))

    # Ending

    def stop_self(self, inc: Incarnation, reason: ExitReason) -> None:
        """The actor wants to end after the message in hand."""
        if inc is self._inc and not inc.fenced:
            self._begin_end(inc, reason)

    def halt(self, fate: Fate) -> None:
        """Stop in order: the message in hand first, or the whole queue if the actor drains."""
        self._fate = fate
        self.regate()
        inc = self._inc
        if inc is None:
            return
        is_brutal = self.spec.shutdown_seconds == BRUTAL_KILL
        if inc.ending is None and self.spec.drain and inc.announced and fate is not Fate.RESTART and not is_brutal:
            inc.draining = True
        self._begin_end(inc, Killed() if is_brutal else Shutdown())
        if fate is Fate.RESTART:
            inc.yield_to_restart()
        if not self._takes_mail and not inc.draining:
            self._flush(DeadLetterReason.STOPPED)

    def force(self) -> None:
        """Stop now."""
        inc = self._inc
        if inc is not None:
            self._begin_end(inc, Killed())
            inc.draining = False
            inc.force()

    def kill(self) -> None:
        """End the incarnation: its handler and tasks are cancelled, its stop hook runs; hurry a stop that has begun."""
        if self._inc is not None:
            if self._inc.ending is None:
                self._begin_end(self._inc, Killed())
            elif not isinstance(self._inc.ending, Killed):
                self.force()

    def _begin_end(self, inc: Incarnation, reason: ExitReason) -> None:
        if inc.ending is not None or self._inc is not inc:
            return
        inc.ending = reason
        if inc.extras is not None:
            inc.extras.begin_end()
        self.idle = False
        self.state = ActorState.STOPPING
        self.regate()
        # Before anything that runs foreign code, or may find the stack used up: an end that was begun comes to its end.
        if inc.draining and inc.runner is None and self.waiting_messages():
            self.scheduler.add(self._burst)
        self.scheduler.add(functools.partial(self._begin_ending, inc))
        if isinstance(reason, Crash):
            self._note_crash(inc, reason.error)
        elif isinstance(reason, StartFailure):
            self.last_crash = str(reason)
            self.system.publish(events.ActorStartFailed, self.path, incarnation=inc.number, error=reason.error)
            _log.warning("%s: %s", self.path, reason)

    def _begin_ending(self, inc: Incarnation) -> None:
        """End the incarnation: at once if nothing can hold it up, else in a task."""
        actor = inc.actor
        if (
            inc.runner is None
            and not inc.draining
            and not inc.tasks
            and not (inc.started and actor is not None and type(actor).on_stop is not Actor.on_stop)
        ):
            if inc.timers is not None:
                inc.timers.cancel_all()
            self._ended(inc, [])
        else:
            inc.ender = self.system.loop.create_task(
                self._end(inc), name=f"{self.path}#{inc.number}:end", context=self.system.context.copy()
            )

    def _note_crash(self, inc: Incarnation, error: BaseException) -> None:
        self.last_crash = error_text(error)
        self.system.publish(events.ActorCrashed, self.path, incarnation=inc.number, error=error)
        _log.error("%s: incarnation %d crashed", self.path, inc.number, exc_info=error)

    async def _end(self, inc: Incarnation) -> None:
        """End the incarnation completely, then report."""
        leaks: list[str] = []
        while True:
            try:
                await end_incarnation(self, inc, leaks)
                break
            except asyncio.CancelledError:
                # Somebody cancels every task of the loop, this one too. Nobody else ends the incarnation: go on, in a
                # hurry. What a cancellation would have the task do is what it does: come to its end.
                inc.force()
        self._ended(inc, leaks)

    def _ended(self, inc: Incarnation, leaks: list[str]) -> None:
        reason = inc.ending
        assert reason is not None
        if leaks and isinstance(reason, Killed):
            reason = Killed(leaked=True)
        self._fail_current(inc, reason)
        for watched in inc.watching or ():
            watched.remove_watcher(self, inc)
        take_back(inc)
        break_links(inc, reason)
        self.last_reason = reason
        self._inc = None
        if not leaks:
            self._hand_over(inc)
            inc.cut_loose(self.system.context)
        assert self.parent is not None
        if inc.announced:
            self.system.publish(events.ActorStopped, self.path, incarnation=inc.number, reason=reason)
            self.parent.feed(steps.Exited(self.spec.id, reason))
        else:
            error: BaseException
            if isinstance(reason, StartFailure | Crash):
                error = reason.error
            else:
                error = ActorStopped(f"{self.path} ended before it had started ({reason})")
            self.parent.feed(steps.StartFailed(self.spec.id, error))

    def _hand_over(self, inc: Incarnation) -> None:
        """Ask the instance that has ended what its successor is to be given, if there may be one."""
        actor = inc.actor
        if (
            actor is None
            or not inc.started
            or type(actor).handover is Actor.handover
            or self._fate not in (Fate.UNDECIDED, Fate.RESTART)
        ):
            return
        try:
            self.system.handed_over[self] = inc.own_context().run(actor.handover)
        except FOR_THE_HOST:
            raise
        except BaseException as error:  # noqa: BLE001 - whatever a user's hook raises must not keep the actor down
            self.system.publish(events.HandoverFailed, self.path, incarnation=inc.number, error=error)
            _log.warning("%s: handover failed; the next incarnation gets None", self.path, exc_info=error)

    # Watching

    def watch(self, inc: Incarnation, target: Cell) -> None:
        """Let this actor's incarnation `inc` hear of the end of `target`."""
        if inc.fenced or self._inc is not inc:
            return
        if inc.watching is None:
            inc.watching = set()
        inc.watching.add(target)
        target.add_watcher(self, inc)

    def unwatch(self, inc: Incarnation, target: Cell) -> None:
        """Take a watch back."""
        if inc.watching is not None:
            inc.watching.discard(target)
        target.remove_watcher(self, inc)

    def notify_down(self, inc: Incarnation, down: Down) -> None:
        """Queue a `Down` for the incarnation that asked for it."""
        if inc is self._inc and not inc.fenced:
            if inc.watching is not None:
                inc.watching.discard(down.ref.cell)
            self.put_unbounded(Envelope(down, lane=Lane.SYSTEM), inc)
