"""The supervision core: what a supervisor does, without doing it.

In: what happened (`steps.Input`) and the time. Out: what to do now (`steps.Step`), in order. Not here: a task, a loop,
a clock, an actor. The same inputs, times and seed give the same steps, so that the conformance table runs on it alone.

`plan_runner.py` does one thing after the other, `administration.py` serves calls, and this file decides who is
restarted, when that has become pointless, and how the supervisor itself ends, which takes precedence over everything.

Obeys: Erlang/OTP `supervisor` (restart, try_again_restart, auto_shutdown), except where
`docs/concepts/supervision.md` lists a difference.
"""

from __future__ import annotations

import heapq
import itertools
import random
from collections.abc import Collection, Iterable

from bifrost.actors import steps
from bifrost.actors.administration import Administration
from bifrost.actors.child_spec import ChildSpec, Restart, check_child_specs
from bifrost.actors.child_table import ChildRow, ChildStatus
from bifrost.actors.exit_reason import ExitReason, Shutdown, StartFailure, error_text, error_words, is_abnormal
from bifrost.actors.intensity import IntensityWindow
from bifrost.actors.job import Job, JobKind, Phase
from bifrost.actors.steps import Fate, Refusal
from bifrost.actors.strategy import AutoShutdown, IntensityScope, OnExhausted, SupervisorFlags
from bifrost.errors import StartFailed as StartFailedError

__all__ = ["SupervisionCore"]


class SupervisionCore(Administration):
    """The state of one incarnation of a supervisor.

    Args:
        flags: strategy, intensity and the rest.
        specs: children to start, in start order.
        rng: draws the jitter of back-offs.
        held: ids of children that an earlier incarnation was told to hold; they are known and not started.
        durable: a dynamic supervisor's children outlive it, because a store brings them back.

    Raises:
        ChildSpecError: the specifications contradict each other or the flags.
    """

    def __init__(
        self,
        flags: SupervisorFlags,
        specs: Iterable[ChildSpec],
        rng: random.Random,
        *,
        held: Collection[str] = (),
        durable: bool = False,
    ) -> None:
        checked = check_child_specs(specs, auto_shutdown=flags.auto_shutdown)
        super().__init__(flags, () if flags.dynamic else checked)
        for spec in checked:
            self.children.add(spec).held = spec.id in held
        self._rng = rng
        self._durable = durable
        self._window = IntensityWindow(flags.intensity, flags.period)
        self._due: list[tuple[float, int, ChildRow]] = []  # a heap; entries of rows that are due no more are void
        self._dues = itertools.count()

    def held_ids(self) -> frozenset[str]:
        """Children that were told to stay stopped until they are started by hand."""
        return frozenset(row.spec.id for row in self.children if row.held)

    # The queue

    def _take(self, event: steps.Input) -> None:
        if isinstance(event, steps.Exited):
            row = self.children.get(event.id)
            if row is not None and row.exited is event.reason:
                row.exited = None
                row.status = ChildStatus.STOPPED
                self._ended(row, event.reason)
        elif isinstance(event, steps.Tick):
            self._try_due()
        elif isinstance(event, steps.Admin):
            self._administer(event)
        elif isinstance(event, steps.Begin) and self.phase is Phase.NEW:
            self.phase = Phase.STARTING
            self._job = Job(JobKind.INIT)
            self._plan.extend((child_id, None) for child_id in self.children.ids())

    def _start_failed(self, row: ChildRow, error: BaseException) -> None:
        job = self._job
        assert job is not None
        child_id = row.spec.id
        if job.kind is JobKind.INIT and self.flags.dynamic:
            # It was brought back by a store, and ran when it was stored: this is a restart that failed.
            row.attempt += 1
            self._retry_later(row)
            return
        self._plan.clear()
        if job.kind is JobKind.INIT:
            self._settle(row, Fate.UNDECIDED)
            words = error_words(error) if isinstance(error, StartFailedError) else error_text(error)
            cause = StartFailedError(f"child {child_id!r} did not start: {words}", child_id=child_id, cause=error)
            cause.__cause__ = error
            self.phase = Phase.STOPPING
            self._refuse_queued()
            self._job = Job(JobKind.ROLL_BACK, reason=StartFailure(cause))
            self._plan_stop(self.children.ids(), Fate.UNDECIDED)
        elif job.kind is JobKind.RESTART:
            self._job = None
            row.attempt += 1
            self._retry_later(row)
        elif job.kind is JobKind.REPLACE:
            self._replace_failed(job, row, error)
        elif job.kind is JobKind.ADD:
            self._job = None
            self._remove(row)
            self._steps.append(steps.AdminReply(job.token, error=error))
        else:
            self._job = None
            self._settle(row, Fate.STOPPED)
            self._steps.append(steps.AdminReply(job.token, error=error))

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
        mode = self.flags.auto_shutdown
        if mode is AutoShutdown.ALL_SIGNIFICANT:
            return not self.children.has_live_significant()
        return mode is AutoShutdown.ANY_SIGNIFICANT

    def _restart(self, row: ChildRow) -> None:
        delay = self._delay_of(row)
        if delay is None or not self._count(row):
            self._exhausted(row)
            return
        group = self._group(row.spec.id)
        due = self._now + delay
        if len(group) > 1:
            due = max([due] + [other.due for other in map(self.children.get, group) if other and other.due])
        self._settle(row, Fate.RESTART)
        self._steps.append(steps.NoteRestart(row.spec.id, due - self._now, row.attempt))
        if due > self._now:
            self._delay_group(row, group, due)
        else:
            self._plan_group(row)
            self._job = Job(JobKind.RESTART)

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

    def _delay_group(self, row: ChildRow, group: list[str], due: float) -> None:
        """Stop the rest of the group now; start all of it when the delay is over."""
        self._plan_stop([child_id for child_id in group if child_id != row.spec.id], Fate.RESTART)
        self._set_due(row, due, counted=True)
        self._job = Job(JobKind.DELAY)

    def _retry_later(self, row: ChildRow) -> None:
        # The start inside a restart failed: the next try comes from the queue, so that calls are served in between.
        delay = self._delay_of(row)
        if delay is None:
            self._exhausted(row)
            return
        self._settle(row, Fate.RESTART)
        self._steps.append(steps.NoteRestart(row.spec.id, delay, row.attempt))
        self._set_due(row, self._now + delay, counted=False)

    def _set_due(self, row: ChildRow, due: float, *, counted: bool) -> None:
        row.status = ChildStatus.RESTARTING
        row.due = due
        row.counted = counted
        heapq.heappush(self._due, (due, next(self._dues), row))
        self._steps.append(steps.WakeAt(due))

    def _try_due(self) -> None:
        row = self._next_due()
        if row is None:
            return
        heapq.heappop(self._due)
        if self._next_due() is not None:
            self._queue.append(steps.Tick())
        if not row.counted and not self._count(row):
            self._exhausted(row)
        else:
            self._plan_group(row)
            self._job = Job(JobKind.RESTART)

    def _next_due(self) -> ChildRow | None:
        """The child whose restart is due first, if its time has come."""
        heap = self._due
        while heap and heap[0][2].due != heap[0][0]:
            heapq.heappop(heap)
        return heap[0][2] if heap and heap[0][0] <= self._now else None

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

    def _take_flags(self) -> None:
        flags = self.flags
        self._window.change(flags.intensity, flags.period)
        for row in self.children:
            if row.window is not None:
                row.window.change(flags.intensity, flags.period)

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
        lost = self.flags.dynamic and fate is Fate.RESTART and not self._durable
        child_fate = Fate.GONE if lost else fate
        for child_id in sorted(self._waiting):
            row = self.children[child_id]
            if row.status is ChildStatus.STARTING:
                self._stop(row, child_fate)
        self._plan_stop(self.children.ids(), child_fate)
