"""The cell of a supervisor: the shell around the supervision core.

In: reports from children and orders from above. Out: what the core says, done at once. A supervisor has no task: it
acts in the callback that brings the news.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
from collections import deque
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from bifrost.actors import events, steps
from bifrost.actors.cell import Cell
from bifrost.actors.child_spec import INFINITY, ChildSpec
from bifrost.actors.dead_letters import DeadLetterReason
from bifrost.actors.exit_reason import ExitReason, Killed, Shutdown, StartFailure
from bifrost.actors.job import Phase
from bifrost.actors.state import ActorState, Delivery
from bifrost.actors.steps import Fate, Refusal, Verb
from bifrost.actors.supervisor_ref import SupervisorRef, refusal_error
from bifrost.errors import ActorError, ActorStopped, StartFailed

if TYPE_CHECKING:
    from bifrost.actors.mailbox import Envelope
    from bifrost.actors.ref import ActorRef
    from bifrost.actors.supervisor import SupervisorPlan
    from bifrost.actors.system import ActorSystem

__all__ = ["SupervisorCell"]

_log = logging.getLogger("bifrost.actors")


class SupervisorCell(Cell):
    """One supervisor's place in the tree."""

    __slots__ = ("_alarms", "_calls", "_feeding", "_forced", "_inputs", "_tokens", "core", "kids", "plan")

    def __init__(
        self, system: ActorSystem, parent: SupervisorCell | None, spec: ChildSpec, plan: SupervisorPlan, path: str
    ) -> None:
        super().__init__(system, parent, spec, path)
        self.plan = plan
        self.core = plan.make_core(system.rng)
        self.kids: dict[str, Cell] = {}
        self._inputs: deque[tuple[steps.Input, float]] = deque()
        self._feeding = False
        self._forced = False
        self._tokens = itertools.count(1)
        self._calls: dict[int, tuple[asyncio.Future[ActorRef[Any] | None], str]] = {}
        self._alarms: set[asyncio.Handle] = set()

    def make_ref(self) -> SupervisorRef:
        """A ref with the administrative calls."""
        return SupervisorRef(self)

    # Orders from above

    def launch(self) -> None:
        """Start the children of the specification, in order."""
        self.begin_incarnation()
        self._forced = False
        if self.incarnation > 1:
            self.core = self.plan.make_core(self.system.rng)
        self._inputs.clear()
        self.feed(steps.Begin())

    def halt(self, fate: Fate) -> None:
        """Stop the children in reverse order, then report."""
        if self.core.phase is Phase.DONE:
            return
        self.state = ActorState.STOPPING
        limit = self.spec.shutdown_seconds
        if limit == 0:
            self.force()
        elif limit != INFINITY:
            self._alarms.add(self.system.loop.call_later(limit, self.force))
        self.feed(steps.StopSelf(Shutdown(), fate))

    def force(self) -> None:
        """Stop the whole subtree now, all of it at once."""
        self._forced = True
        self.feed(steps.StopSelf(Killed(), Fate.UNDECIDED))
        for kid in list(self.kids.values()):
            kid.force()

    def kill(self) -> None:
        """End the subtree, and be restarted or not like any other child."""
        self.force()

    def on_settled(self, fate: Fate) -> None:
        """Pass the decision on to children that waited for it."""
        for child_id, kid in list(self.kids.items()):
            known = self.core.children.get(child_id)
            stays = fate is Fate.RESTART and self.plan.has_child(child_id)
            if stays:
                if kid.state is not ActorState.STOPPED:
                    kid.settle(Fate.RESTART)
            else:
                kid.settle(Fate.GONE)
                if known is None or fate is Fate.RESTART or not self.plan.has_child(child_id):
                    del self.kids[child_id]

    # The core

    def feed(self, event: steps.Input, *, at: float | None = None) -> None:
        """Tell the core what happened and do what it says; safe to call from within."""
        self._inputs.append((event, self.system.loop.time() if at is None else at))
        if self._feeding:
            return
        self._feeding = True
        try:
            while self._inputs:
                for step in self.core.handle(*self._inputs.popleft()):
                    self._do(step)
        finally:
            self._feeding = False

    def _do(self, step: steps.Step) -> None:
        if isinstance(step, steps.Start):
            self._kid(step.id).launch()
        elif isinstance(step, steps.Stop):
            kid = self.kids[step.id]
            kid.halt(step.fate)
            if self._forced:
                kid.force()
        elif isinstance(step, steps.Settle):
            settled = self.kids.get(step.id)
            if settled is not None:
                settled.settle(step.fate)
        elif isinstance(step, steps.Forget):
            self.kids.pop(step.id, None)
        else:
            self._do_own(step)

    def _do_own(self, step: steps.OwnStep) -> None:
        if isinstance(step, steps.WakeAt):
            self._wake_at(step.when)
        elif isinstance(step, steps.AdminReply):
            self._reply(step)
        elif isinstance(step, steps.Up):
            self._up()
        elif isinstance(step, steps.Exit):
            self._exit(step.reason)
        else:
            self._note(step)

    def _kid(self, child_id: str) -> Cell:
        spec = self.core.children[child_id].spec
        kid = self.kids.get(child_id)
        if kid is None:
            kid = self.kids[child_id] = self.system.make_cell(self, spec, self._path_of(child_id))
        kid.spec = spec
        return kid

    def _path_of(self, child_id: str) -> str:
        return child_id if self.parent is None else f"{self.path}/{child_id}"

    def _note(self, step: steps.NoteRestart | steps.NoteExhausted | steps.NoteParked) -> None:
        # By its name: the same turn may have removed the child already, whose removal had waited for this.
        path = self._path_of(step.id)
        if isinstance(step, steps.NoteRestart):
            self.system.publish(events.RestartScheduled, path, delay=step.delay, attempt=step.attempt)
        elif isinstance(step, steps.NoteExhausted):
            self.system.publish(events.IntensityExceeded, path, supervisor=self.path)
            _log.error("%s: restart budget of %s is used up", path, self.path)
        else:
            self.system.publish(events.ChildParked, path)

    def _wake_at(self, when: float) -> None:
        loop = self.system.loop
        if when <= loop.time():
            self._alarms.add(loop.call_soon(self._tick, when))
        else:
            self._alarms.add(loop.call_at(when, self._tick, when))

    def _tick(self, when: float) -> None:
        self._alarms = {
            alarm for alarm in self._alarms if isinstance(alarm, asyncio.TimerHandle) and alarm.when() > when
        }
        # A loop may call a timer early by its clock's resolution; the core compares exact times.
        self.feed(steps.Tick(), at=max(when, self.system.loop.time()))

    def _up(self) -> None:
        self.is_up()
        self.system.publish(events.SupervisorStarted, self.path, incarnation=self.incarnation)
        if self.parent is None:
            self.system.root_up()
        else:
            self.parent.feed(steps.Started(self.spec.id))

    def _exit(self, reason: ExitReason) -> None:
        for handle in self._alarms:
            handle.cancel()
        self._alarms.clear()
        self.last_reason = reason
        was_up = self.state is not ActorState.STARTING
        self.state = ActorState.STOPPING
        if isinstance(reason, StartFailure):
            self.last_crash = str(reason)
        if was_up:
            self.system.publish(events.SupervisorStopped, self.path, incarnation=self.incarnation, reason=reason)
        if self.parent is None:
            self.system.root_ended(reason)
        elif isinstance(reason, StartFailure):
            self.parent.feed(steps.StartFailed(self.spec.id, reason.error))
        elif not was_up:
            # Killed while it started: its supervisor still waits for the start.
            stopped = ActorStopped(f"{self.path} ended before it had started ({reason})")
            self.parent.feed(steps.StartFailed(self.spec.id, stopped))
        else:
            self.parent.feed(steps.Exited(self.spec.id, reason))

    # Administration

    def call(self, child_id: str, verb: Verb | ChildSpec) -> asyncio.Future[ActorRef[Any] | None]:
        """Queue an administrative call; the future ends with the child's ref, or None if there is no child any more."""
        future: asyncio.Future[ActorRef[Any] | None] = self.system.loop.create_future()
        if self.state in (ActorState.STOPPED, ActorState.FAILED, ActorState.STOPPING):
            future.set_exception(self.stopped_error())
            return future
        token = next(self._tokens)
        self._calls[token] = (future, child_id)
        if isinstance(verb, ChildSpec):
            self.feed(steps.StartChild(token, verb))
        else:
            self.feed(steps.AdminCall(token, verb, child_id))
        return future

    def _reply(self, step: steps.AdminReply) -> None:
        entry = self._calls.pop(step.token, None)
        if entry is None or entry[0].done():
            return
        future, child_id = entry
        if step.refusal is Refusal.STOPPING:
            future.set_exception(ActorStopped(f"{self.path} is stopping; the call was not carried out"))
        elif step.refusal is not None:
            future.set_exception(refusal_error(step.refusal, self.path, child_id))
        elif step.error is not None:
            text = f"child {child_id!r} of {self.path} did not start: {type(step.error).__name__}: {step.error}"
            failure = StartFailed(text, child_id=child_id, cause=step.error)
            failure.__cause__ = step.error
            future.set_exception(failure)
        else:
            # Now, not when the caller gets its turn: the child may be gone by then.
            kid = self.kids.get(child_id)
            future.set_result(None if kid is None else kid.ref)

    # Messages: a supervisor handles none

    def put(self, envelope: Envelope) -> Delivery:
        """Refuse: a supervisor handles no messages."""
        self.dead_letter(envelope.message, DeadLetterReason.NO_HANDLER)
        if envelope.reply is not None:
            envelope.reply.set_exception(
                ActorError(f"{self.path} is a supervisor and takes no messages; use start_child and its like")
            )
        return Delivery.DEAD

    def put_or_wait(self, envelope: Envelope) -> Delivery:
        """Refuse, as `put` does."""
        return self.put(envelope)

    def admit(self, waiter: asyncio.Future[None]) -> None:
        """Nothing to take: nobody ever waits for room here."""

    def withdraw(self, waiter: asyncio.Future[None]) -> None:
        """Nothing to forget: nobody ever waits for room here."""

    def children(self) -> Iterable[Cell]:
        """Those that have a place in the tree, in start order."""
        return (self.kids[row.spec.id] for row in self.core.children if row.spec.id in self.kids)
