"""The supervision core: what a supervisor does, without doing it.

In: what happened (`steps.Input`) and the time. Out: what to do now (`steps.Step`), in order. Not here: a task, a loop,
a clock, an actor. The same inputs, times and seed give the same steps, so that the conformance table runs on it alone.

It is a queue, a job and a plan: inputs wait in the queue while a job runs; a job is a plan of stops and starts, done
one after the other; a stop of the supervisor itself takes precedence over everything.

Obeys: Erlang/OTP `supervisor` (restart, try_again_restart, auto_shutdown), except where
`docs/concepts/supervision.md` lists a difference.
"""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Iterable

from bifrost.actors import steps
from bifrost.actors.child_spec import ChildSpec, Restart, check_child_specs
from bifrost.actors.child_table import ChildRow, ChildStatus, ChildTable
from bifrost.actors.exit_reason import ExitReason, Shutdown, StartFailure, is_abnormal
from bifrost.actors.intensity import IntensityWindow
from bifrost.actors.job import Job, JobKind, Phase
from bifrost.actors.steps import Fate, Refusal, Verb
from bifrost.actors.strategy import AutoShutdown, IntensityScope, OnExhausted, Strategy, SupervisorFlags
from bifrost.errors import ChildSpecError
from bifrost.errors import StartFailed as StartFailedError

__all__ = ["SupervisionCore"]


class SupervisionCore:
    """The state of one incarnation of a supervisor.

    Args:
        flags: strategy, intensity and the rest.
        specs: children to start, in start order.
        rng: draws the jitter of back-offs.

    Raises:
        ChildSpecError: the specifications contradict each other or the flags.
    """

    def __init__(self, flags: SupervisorFlags, specs: Iterable[ChildSpec], rng: random.Random) -> None:
        self.flags = flags
        self.children = ChildTable()
        self.phase = Phase.NEW
        for spec in check_child_specs(specs):
            self.check(spec)
            self.children.add(spec)
        self._rng = rng
        self._window = IntensityWindow(flags.intensity, flags.period)
        self._queue: deque[steps.Input] = deque()
        self._plan: deque[tuple[str, Fate | None]] = deque()  # a fate means stop, None means start
        self._waiting: set[str] = set()
        self._job: Job | None = None
        self._steps: list[steps.Step] = []
        self._now = 0.0

    def check(self, spec: ChildSpec) -> None:
        """Raise `ChildSpecError` if `spec` contradicts the flags."""
        if spec.significant and self.flags.auto_shutdown is AutoShutdown.NEVER:
            raise ChildSpecError(f"child {spec.id!r} is significant but its supervisor's auto_shutdown is never")

    def handle(self, event: steps.Input, now: float) -> list[steps.Step]:
        """Take one input at monotonic time `now` and return what to do, in order."""
        self._now = now
        self._steps = []
        if isinstance(event, steps.Started | steps.StartFailed | steps.Exited):
            self._on_child(event)
        elif isinstance(event, steps.StopSelf):
            self._on_stop_self(event)
        else:
            self._queue.append(event)
        self._advance()
        return self._steps

    # What children report

    def _on_child(self, event: steps.Started | steps.StartFailed | steps.Exited) -> None:
        row = self.children.get(event.id)
        if row is None:
            return
        if row.status is ChildStatus.STARTING and isinstance(event, steps.Started):
            row.status = ChildStatus.RUNNING
            row.started_at = self._now
            self._waiting.discard(row.spec.id)
        elif row.status is ChildStatus.STARTING and isinstance(event, steps.StartFailed):
            row.status = ChildStatus.STOPPED
            self._waiting.discard(row.spec.id)
            self._start_failed(row, event.error)
        elif row.status is ChildStatus.STOPPING and not isinstance(event, steps.Started):
            self._waiting.discard(row.spec.id)
            self._settle_stopped(row, row.stop_fate)
        elif row.status is ChildStatus.RUNNING and isinstance(event, steps.Exited):
            row.exited = event.reason
            self._queue.append(event)

    def _start_failed(self, row: ChildRow, error: BaseException) -> None:
        job = self._job
        assert job is not None
        self._plan.clear()
        child_id = row.spec.id
        if job.kind is JobKind.INIT:
            self._settle(row, Fate.UNDECIDED)
            cause = StartFailedError(f"child {child_id!r} did not start: {error}", child_id=child_id, cause=error)
            self.phase = Phase.STOPPING
            self._refuse_queued()
            self._job = Job(JobKind.ROLL_BACK, reason=StartFailure(cause))
            self._plan_stop(self.children.ids(), Fate.UNDECIDED)
        elif job.kind is JobKind.RESTART:
            self._job = None
            row.attempt += 1
            self._retry_later(row)
        elif job.kind is JobKind.ADD:
            self._job = None
            self._remove(row)
            self._steps.append(steps.AdminReply(job.token, error=error))
        else:
            self._job = None
            self._settle(row, Fate.STOPPED)
            self._steps.append(steps.AdminReply(job.token, error=error))

    # The queue, the job and the plan

    def _advance(self) -> None:
        while not self._waiting:
            if self._plan:
                self._next_planned()
            elif self._job is not None:
                self._job_done(self._job)
            elif self._queue and self.phase is not Phase.DONE:
                self._take(self._queue.popleft())
            else:
                break
        if self.phase in (Phase.STOPPING, Phase.DONE):
            self._refuse_queued()

    def _next_planned(self) -> None:
        child_id, fate = self._plan.popleft()
        row = self.children.get(child_id)
        if row is None:
            return
        if fate is None:
            if not row.is_alive and row.exited is None:
                row.status = ChildStatus.STARTING
                row.awaits_group = False
                row.due = None
                self._waiting.add(child_id)
                self._steps.append(steps.Start(child_id))
            return
        self._stop(row, fate)
        if self.flags.dynamic:  # children of a dynamic supervisor stop in parallel
            while self._plan and (following := self._plan[0][1]) is not None:
                other = self.children.get(self._plan.popleft()[0])
                if other is not None:
                    self._stop(other, following)

    def _stop(self, row: ChildRow, fate: Fate) -> None:
        if row.is_alive:
            if row.status is not ChildStatus.STOPPING:
                row.status = ChildStatus.STOPPING
                self._steps.append(steps.Stop(row.spec.id, fate))
            row.stop_fate = fate
            self._waiting.add(row.spec.id)
        elif row.exited is not None:
            self._settle_stopped(row, fate)  # it ended by itself before we came to it; its queued exit is now void
        elif row.status is not ChildStatus.STOPPED or row.awaits_group or fate is Fate.GONE:
            self._settle_stopped(row, fate)

    def _settle_stopped(self, row: ChildRow, fate: Fate) -> None:
        row.exited = None
        row.status = ChildStatus.STOPPED
        row.due = None
        row.awaits_group = fate is Fate.RESTART
        if fate is Fate.GONE:
            self._remove(row)
        else:
            self._settle(row, fate)

    def _settle(self, row: ChildRow, fate: Fate) -> None:
        self._steps.append(steps.Settle(row.spec.id, fate))

    def _remove(self, row: ChildRow) -> None:
        self._settle(row, Fate.GONE)
        self.children.remove(row.spec.id)
        self._steps.append(steps.Forget(row.spec.id))

    def _job_done(self, job: Job) -> None:
        self._job = None
        if job.kind is JobKind.INIT:
            self.phase = Phase.RUNNING
            self._steps.append(steps.Up())
        elif job.kind in (JobKind.SHUT_DOWN, JobKind.ROLL_BACK):
            self.phase = Phase.DONE
            self._steps.append(steps.Exit(job.reason))
        elif job.kind in (JobKind.ADD, JobKind.START_AGAIN, JobKind.TERMINATE):
            self._steps.append(steps.AdminReply(job.token))

    def _take(self, event: steps.Input) -> None:
        if isinstance(event, steps.Exited):
            row = self.children.get(event.id)
            if row is not None and row.exited is event.reason:
                row.exited = None
                row.status = ChildStatus.STOPPED
                self._ended(row, event.reason)
        elif isinstance(event, steps.Tick):
            self._try_due()
        elif isinstance(event, steps.StartChild):
            self._add(event)
        elif isinstance(event, steps.AdminCall):
            self._admin(event)
        elif isinstance(event, steps.Begin) and self.phase is Phase.NEW:
            self.phase = Phase.STARTING
            self._job = Job(JobKind.INIT)
            self._plan.extend((child_id, None) for child_id in self.children.ids())

    # Restarting

    def _ended(self, row: ChildRow, reason: ExitReason) -> None:
        restart = row.spec.restart
        if restart is Restart.PERMANENT or (restart is Restart.TRANSIENT and is_abnormal(reason)):
            backoff = row.spec.backoff
            if backoff is not None and self._now - row.started_at >= backoff.stable_after:
                row.attempt = 0
            row.attempt += 1
            self._restart(row)
            return
        if row.is_temporary or self.flags.dynamic:
            self._remove(row)
        else:
            self._settle(row, Fate.STOPPED)
        if row.spec.significant and self._should_auto_shut_down():
            self._shut_down(Shutdown("auto_shutdown"), Fate.UNDECIDED)

    def _should_auto_shut_down(self) -> bool:
        if self.flags.auto_shutdown is AutoShutdown.ANY_SIGNIFICANT:
            return True
        return not any(row.spec.significant and row.status is not ChildStatus.STOPPED for row in self.children)

    def _restart(self, row: ChildRow) -> None:
        delay = self._delay_of(row)
        if delay is None or not self._count(row):
            self._exhausted(row)
            return
        group = self._group(row.spec.id)
        due = max([self._now + delay] + [other.due for other in map(self.children.get, group) if other and other.due])
        self._settle(row, Fate.RESTART)
        self._steps.append(steps.NoteRestart(row.spec.id, due - self._now, row.attempt))
        if due > self._now:
            self._hold(row, group, due)
        else:
            self._start_group(row)

    def _delay_of(self, row: ChildRow) -> float | None:
        """Seconds before the next attempt; None if the back-off allows no more."""
        backoff = row.spec.backoff
        if backoff is None:
            return 0.0
        if backoff.max_attempts is not None and row.attempt > backoff.max_attempts:
            return None
        return backoff.delay(row.attempt, self._rng)

    def _count(self, row: ChildRow) -> bool:
        """Count one restart against the budget that applies; False if that exceeds it."""
        if row.spec.backoff is not None and not row.spec.backoff.counts:
            return True
        if self.flags.intensity_scope is IntensityScope.SUPERVISOR:
            return self._window.add(self._now)
        if row.window is None:
            row.window = IntensityWindow(self.flags.intensity, self.flags.period)
        return row.window.add(self._now)

    def _group(self, child_id: str) -> list[str]:
        if self.flags.strategy is Strategy.ONE_FOR_ALL:
            return self.children.ids()
        if self.flags.strategy is Strategy.REST_FOR_ONE:
            return self.children.from_id(child_id)
        return [child_id]

    def _hold(self, row: ChildRow, group: list[str], due: float) -> None:
        """Stop the rest of the group now; start all of it when the delay is over."""
        self._plan_stop([child_id for child_id in group if child_id != row.spec.id], Fate.RESTART)
        row.status = ChildStatus.RESTARTING
        row.due = due
        row.counted = True
        self._job = Job(JobKind.HOLD)
        self._steps.append(steps.WakeAt(due))

    def _start_group(self, row: ChildRow) -> None:
        row.status = ChildStatus.STOPPED
        row.due = None
        group = self._group(row.spec.id)
        self._plan_stop([child_id for child_id in group if child_id != row.spec.id], Fate.RESTART)
        self._plan.extend((child_id, None) for child_id in group)
        self._job = Job(JobKind.RESTART)

    def _plan_stop(self, ids: list[str], fate: Fate) -> None:
        for child_id in reversed(ids):
            gone = self.children[child_id].is_temporary and fate is not Fate.UNDECIDED
            self._plan.append((child_id, Fate.GONE if gone else fate))

    def _retry_later(self, row: ChildRow) -> None:
        """The start inside a restart failed: try again from the queue, so that calls are served in between."""
        delay = self._delay_of(row)
        if delay is None:
            self._exhausted(row)
            return
        row.status = ChildStatus.RESTARTING
        row.due = self._now + delay
        row.counted = False
        self._settle(row, Fate.RESTART)
        self._steps += [steps.NoteRestart(row.spec.id, delay, row.attempt), steps.WakeAt(row.due)]

    def _try_due(self) -> None:
        due = [row for row in self.children if row.due is not None and row.due <= self._now]
        if not due:
            return
        if len(due) > 1:
            self._queue.append(steps.Tick())
        row = min(due, key=lambda row: row.due or 0.0)
        if not row.counted and not self._count(row):
            self._exhausted(row)
        else:
            self._start_group(row)

    def _exhausted(self, row: ChildRow) -> None:
        row.due = None
        self._steps.append(steps.NoteExhausted(row.spec.id))
        if self.flags.on_exhausted is OnExhausted.PARK:
            row.status = ChildStatus.PARKED
            self._settle(row, Fate.PARKED)
            self._steps.append(steps.NoteParked(row.spec.id))
            return
        row.status = ChildStatus.STOPPED
        self._settle(row, Fate.UNDECIDED)
        self._shut_down(Shutdown("restart intensity exceeded"), Fate.UNDECIDED)

    # Administration

    def _add(self, event: steps.StartChild) -> None:
        row = self.children.get(event.spec.id)
        limit = self.flags.max_children
        if row is not None:
            running = row.status is ChildStatus.RUNNING
            self._refuse(event.token, Refusal.ALREADY_STARTED if running else Refusal.ALREADY_PRESENT)
        elif event.spec.significant and self.flags.auto_shutdown is AutoShutdown.NEVER:
            self._refuse(event.token, Refusal.SIGNIFICANT)
        elif limit is not None and len(self.children) >= limit:
            self._refuse(event.token, Refusal.MAX_CHILDREN)
        else:
            self.children.add(event.spec)
            self._job = Job(JobKind.ADD, event.token)
            self._plan.append((event.spec.id, None))

    def _admin(self, call: steps.AdminCall) -> None:
        row = self.children.get(call.id)
        if row is None:
            self._refuse(call.token, Refusal.NOT_FOUND)
        elif call.verb is Verb.TERMINATE:
            self._terminate(call.token, row)
        elif row.status is ChildStatus.RUNNING:
            self._refuse(call.token, Refusal.RUNNING)
        elif row.status is ChildStatus.RESTARTING:
            self._refuse(call.token, Refusal.RESTARTING)
        elif call.verb is Verb.DELETE:
            self._remove(row)
            self._steps.append(steps.AdminReply(call.token))
        else:
            row.attempt = 0
            if row.window is not None:
                row.window.clear()
            self._job = Job(JobKind.START_AGAIN, call.token)
            self._plan.append((call.id, None))

    def _terminate(self, token: int, row: ChildRow) -> None:
        gone = row.is_temporary or self.flags.dynamic
        if row.status is ChildStatus.RESTARTING:
            # The group restart that these wait for will not come.
            waiting = [self.children[child_id] for child_id in self._group(row.spec.id) if child_id != row.spec.id]
            for other in waiting:
                if other.awaits_group:
                    self._settle_stopped(other, Fate.STOPPED)
        self._job = Job(JobKind.TERMINATE, token)
        self._plan.append((row.spec.id, Fate.GONE if gone else Fate.STOPPED))

    def _refuse(self, token: int, refusal: Refusal) -> None:
        self._steps.append(steps.AdminReply(token, refusal))

    # The supervisor's own end

    def _on_stop_self(self, event: steps.StopSelf) -> None:
        if self.phase in (Phase.STOPPING, Phase.DONE):
            return
        self._shut_down(event.reason, event.fate)

    def _shut_down(self, reason: ExitReason, fate: Fate) -> None:
        interrupted = self._job
        if interrupted is not None and interrupted.token:
            self._refuse(interrupted.token, Refusal.STOPPING)
        self.phase = Phase.STOPPING
        self._plan.clear()
        self._job = Job(JobKind.SHUT_DOWN, reason=reason)
        child_fate = Fate.GONE if self.flags.dynamic and fate is Fate.RESTART else fate
        for child_id in sorted(self._waiting):
            row = self.children[child_id]
            if row.status is ChildStatus.STARTING:
                self._stop(row, child_fate)
        self._plan_stop(self.children.ids(), child_fate)

    def _refuse_queued(self) -> None:
        for event in self._queue:
            if isinstance(event, steps.StartChild | steps.AdminCall):
                self._refuse(event.token, Refusal.STOPPING)
        self._queue.clear()
