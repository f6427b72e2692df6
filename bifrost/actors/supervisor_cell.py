"""The cell of a supervisor: the shell around the supervision core.

In: reports from children and orders from above. Out: what the core says, done at once. A supervisor has no task: it
acts in the callback that brings the news.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, cast

from bifrost.actors import events, steps
from bifrost.actors.admin_call import PendingCall
from bifrost.actors.cell import Cell
from bifrost.actors.child_spec import INFINITY, ChildSpec
from bifrost.actors.dead_letters import DeadLetterReason
from bifrost.actors.exit_reason import ExitReason, Killed, Shutdown, StartFailure, error_text
from bifrost.actors.job import Phase
from bifrost.actors.state import ActorState, Delivery
from bifrost.actors.steps import Fate, Refusal
from bifrost.actors.stored_specs import forget_stored, load_stored, save_stored
from bifrost.actors.supervisor import SupervisorPlan
from bifrost.actors.supervisor_ref import SupervisorRef, refusal_error
from bifrost.errors import ActorError, ActorStopped, AlreadyStarted, ChildSpecError, NameTaken, StartFailed

if TYPE_CHECKING:
    from bifrost.actors.mailbox import Envelope
    from bifrost.actors.ref import ActorRef
    from bifrost.actors.system import ActorSystem

__all__ = ["SupervisorCell"]

_log = logging.getLogger("bifrost.actors")

_NO_MESSAGES = "{path} is a supervisor and takes no messages; use start_child and its like"
_FAIR_SHARE = 64  # calls answered at once before the loop gets a turn


class SupervisorCell(Cell):
    """One supervisor's place in the tree."""

    def __init__(
        self, system: ActorSystem, parent: SupervisorCell | None, spec: ChildSpec, plan: SupervisorPlan, path: str
    ) -> None:
        super().__init__(system, parent, spec, path)
        self.plan = plan
        self.core = plan.make_core(system.rng)
        self.kids: dict[str, Cell] = {}
        self._inputs: deque[tuple[steps.Input, float]] = deque()
        self._feeding = False
        self._time = system.loop.time
        self.starting_now: Cell | None = None
        """The child whose start is under way in `start_now`; it sets this to None instead of reporting that it runs."""
        self._forced = False
        self._token = 0
        self._calls: dict[int, PendingCall] = {}
        self._alarms: set[asyncio.Handle] = set()

    def make_ref(self) -> SupervisorRef:
        """A ref with the administrative calls."""
        return SupervisorRef(self)

    # Orders from above

    def launch(self) -> None:
        """Start the children of the specification, in order."""
        self.begin_incarnation()
        self._forced = False
        if self.incarnation > 1 or self.plan.store is not None:
            self.core = self.plan.make_core(self.system.rng, stored=load_stored(self), held=self.core.held_ids())
            for child_id in [known for known in self.kids if known not in self.core.children]:
                self.kids.pop(child_id).settle(Fate.GONE)
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
        planned = self.plan.ids()
        for child_id, kid in list(self.kids.items()):
            known = self.core.children.get(child_id)
            returns = known is not None and (
                child_id in planned or (self.plan.store is not None and not known.is_temporary)
            )
            if fate is Fate.RESTART and returns:
                if kid.state is not ActorState.STOPPED:
                    kid.settle(Fate.RESTART)
            else:
                kid.settle(Fate.GONE)
                if not returns:
                    del self.kids[child_id]

    # The core

    def feed(self, event: steps.Input, *, at: float | None = None) -> None:
        """Tell the core what happened and do what it says; safe to call from within."""
        now = self._time() if at is None else at
        if self._feeding:
            self._inputs.append((event, now))
            return
        self._feeding = True
        try:
            for step in self.core.handle(event, now):
                self._do(step)
            while self._inputs:
                for step in self.core.handle(*self._inputs.popleft()):
                    self._do(step)
        finally:
            self._feeding = False

    def _do(self, step: steps.Step) -> None:
        if isinstance(step, steps.Start):
            spec = step.spec
            kid = self._kid(step.id, spec)
            if spec.name is None or self._is_named(kid, spec.name):
                kid.launch()
        elif isinstance(step, steps.AdminReply):
            self._reply(step)
        elif isinstance(step, steps.Settle):
            settled = self.kids.get(step.id)
            if settled is not None:
                settled.settle(step.fate)
        elif isinstance(step, steps.Stop):
            stopped = self.kids[step.id]
            stopped.halt(step.fate)
            if self._forced:
                stopped.force()
        elif isinstance(step, steps.Forget):
            self.kids.pop(step.id, None)
            if self.core.phase is Phase.RUNNING:  # else the supervisor ends, and what it had is to come back
                forget_stored(self, step.id)
        else:
            self._do_own(step)

    def _do_own(self, step: steps.OwnStep) -> None:
        if isinstance(step, steps.WakeAt):
            self._wake_at(step.when)
        elif isinstance(step, steps.Up):
            self._up()
        elif isinstance(step, steps.Exit):
            self._exit(step.reason)
        elif isinstance(step, steps.NoteChanged):
            self._changed(step)
        elif not isinstance(step, steps.AdminReply):
            self._note(step)

    def _kid(self, child_id: str, spec: ChildSpec) -> Cell:
        kid = self.kids.get(child_id)
        if kid is not None and kid.spec is not spec:
            kid = self._respecified(kid, spec)
        if kid is None:
            kid = self.kids[child_id] = self.system.make_cell(self, spec, self._path_of(child_id))
        return kid

    def _respecified(self, kid: Cell, spec: ChildSpec) -> Cell | None:
        """Let the cell go by another specification; None if that needs a cell of another kind."""
        if isinstance(kid, SupervisorCell) is not isinstance(spec.start, SupervisorPlan):
            kid.settle(Fate.GONE)
            return None
        if kid.spec.name is not None and kid.spec.name != spec.name:
            self.system.registry.unregister(kid.spec.name, kid.ref)
        if isinstance(kid, SupervisorCell) and spec.start is not kid.spec.start:
            # Only then: a plan that was changed at run time outlives a restart.
            kid.plan = cast("SupervisorPlan", spec.start)
        kid.spec = spec
        return kid

    def _is_named(self, kid: Cell, name: str) -> bool:
        """Give the child the name in its specification before it starts; without it, it does not start."""
        kid.state = ActorState.STARTING
        try:
            self.system.registry.register(name, kid.ref)
        except ActorError as error:
            kid.last_reason = StartFailure(error)
            kid.last_crash = str(kid.last_reason)
            self.system.publish(events.ActorStartFailed, kid.path, incarnation=kid.incarnation + 1, error=error)
            _log.warning("%s: %s", kid.path, error)
            self.feed(steps.StartFailed(kid.spec.id, error))
            return False
        return True

    def _path_of(self, child_id: str) -> str:
        return child_id if self.parent is None else f"{self.path}/{child_id}"

    def _changed(self, step: steps.NoteChanged) -> None:
        self.plan = SupervisorPlan(step.flags, step.specs, self.plan.store)
        for child_id in step.changed:
            kid = self.kids.get(child_id)
            spec = self.core.children[child_id].spec
            # What runs keeps its kind and its name until its next start.
            if (
                kid is not None
                and isinstance(kid, SupervisorCell) is isinstance(spec.start, SupervisorPlan)
                and kid.spec.name == spec.name
            ):
                self._respecified(kid, spec)
        self.system.publish(
            events.ConfigChanged,
            self.path,
            flags=step.flags,
            added=step.added,
            changed=step.changed,
            removed=step.removed,
        )

    # Reports

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

    def start_now(self, spec: ChildSpec) -> ActorRef[Any] | PendingCall | None:
        """Start a child without a detour through inputs and steps, if nothing else is going on here.

        Returns:
            Its ref if it runs, the call to wait for if its start takes longer, None if the ordinary way must be taken.
        """
        if self._feeding or spec.name is not None or self.plan.store is not None or spec.id in self.kids:
            return None
        row = self.core.add_now(spec)
        if row is None:
            return None
        kid = self.kids[spec.id] = self.system.make_cell(self, spec, self._path_of(spec.id))
        self._feeding = True
        self.starting_now = kid
        try:
            kid.launch()
            outcome: ActorRef[Any] | PendingCall = kid.ref
            if self.starting_now is None:
                self.core.up_now(row)
            else:
                self._token += 1
                outcome = self._calls[self._token] = PendingCall(spec.id, spec)
                self.core.wait_for(row, self._token)
            while self._inputs:
                for step in self.core.handle(*self._inputs.popleft()):
                    self._do(step)
        finally:
            self.starting_now = None
            self._feeding = False
        return outcome

    def call(self, child_id: str, event: steps.Admin, spec: ChildSpec | None = None) -> PendingCall:
        """Make an administrative call; it may have been answered when this returns."""
        call = PendingCall(child_id, spec, yields=self._token % _FAIR_SHARE == _FAIR_SHARE - 1)
        if self.state is ActorState.RUNNING or self.state is ActorState.STARTING:
            self._token += 1
            event.token = self._token
            self._calls[event.token] = call
            self.feed(event)
        else:
            call.fail(self.stopped_error())
        return call

    def _reply(self, step: steps.AdminReply) -> None:
        call = self._calls.pop(step.token)
        child_id = call.child_id
        error = step.error
        if step.refusal is Refusal.STOPPING:
            call.fail(ActorStopped(f"{self.path} is stopping; the call was not carried out"))
        elif step.refusal is not None:
            call.fail(refusal_error(step.refusal, self.path, child_id))
        elif error is None:
            if call.spec is not None:
                save_stored(self, child_id)
            # Now, not when the caller gets its turn: the child may be gone by then.
            kid = self.kids.get(child_id)
            call.succeed(None if kid is None else kid.ref)
        elif isinstance(error, ChildSpecError):
            call.fail(error)
        elif isinstance(error, NameTaken):
            taken = AlreadyStarted(f"child {child_id!r} of {self.path} did not start: {error}")
            taken.__cause__ = error
            call.fail(taken)
        else:
            text = f"child {child_id!r} of {self.path} did not start: {error_text(error)}"
            failure = StartFailed(text, child_id=child_id, cause=error)
            failure.__cause__ = error
            call.fail(failure)

    # Messages: a supervisor handles none

    def awaken(self) -> None:
        """Nothing to handle."""

    def can_run_now(self) -> bool:
        """Never: there is no handler."""
        return False

    def run_now(self, message: Any, timeout: float | None) -> Any:
        """Never called."""
        raise ActorError(_NO_MESSAGES.format(path=self.path))

    def put(self, envelope: Envelope) -> Delivery:
        """Refuse: a supervisor handles no messages."""
        self.dead_letter(envelope.message, DeadLetterReason.NO_HANDLER)
        if envelope.reply is not None:
            envelope.reply.set_exception(ActorError(_NO_MESSAGES.format(path=self.path)))
        return Delivery.DEAD

    def put_or_wait(self, envelope: Envelope) -> Delivery:
        """Refuse, as `put` does, and tell a sender why."""
        delivery = self.put(envelope)
        if envelope.reply is None:
            raise ActorError(_NO_MESSAGES.format(path=self.path))
        return delivery

    def admit(self, waiter: asyncio.Future[None]) -> None:
        """Nothing to take: nobody ever waits for room here."""

    def withdraw(self, waiter: asyncio.Future[None]) -> None:
        """Nothing to forget: nobody ever waits for room here."""

    def holds(self, child_id: str) -> bool:
        """True if the child was stopped with `hold`."""
        row = self.core.children.get(child_id)
        return row is not None and row.held

    def children(self) -> Iterable[Cell]:
        """Those that have a place in the tree, in start order."""
        return (self.kids[row.spec.id] for row in self.core.children if row.spec.id in self.kids)
