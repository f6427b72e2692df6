"""The part of the supervision core that does what was decided, one thing after the other.

In: a plan of stops and starts, and what children report. Out: steps, in order. Not here: why something is stopped or
started; `restart.py` and `administration.py` decide.

It is a queue, a job and a plan: inputs wait in the queue while a job runs; a job is a plan of stops and starts, done
one after the other.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import deque

from bifrost.actors import steps
from bifrost.actors.child_table import ChildRow, ChildStatus, ChildTable
from bifrost.actors.job import Job, JobKind, Phase
from bifrost.actors.steps import Fate, Refusal
from bifrost.actors.strategy import SupervisorFlags

__all__ = ["PlanRunner"]

# An enum's member is looked up through its class each time, which takes longer than the rest of the comparison.
_STARTING = ChildStatus.STARTING
_RUNNING = ChildStatus.RUNNING
_STOPPING = ChildStatus.STOPPING
_STOPPED = ChildStatus.STOPPED
_UP = Phase.RUNNING
_ANSWERED = (JobKind.ADD, JobKind.START_AGAIN, JobKind.REPLACE, JobKind.TERMINATE)


class PlanRunner(ABC):
    """Takes inputs, keeps the table of children true, and works plans off."""

    def __init__(self, flags: SupervisorFlags) -> None:
        self.flags = flags
        self.children = ChildTable()
        self.phase = Phase.NEW
        self._queue: deque[steps.Input] = deque()
        self._plan: deque[tuple[str, Fate | None]] = deque()  # a fate means stop, None means start
        self._waiting: set[str] = set()
        self._job: Job | None = None
        self._steps: list[steps.Step] = []
        self._now = 0.0

    def handle(self, event: steps.Input, now: float) -> list[steps.Step]:
        """Take one input at monotonic time `now` and return what to do, in order."""
        self._now = now
        out = self._steps = []
        kind = type(event)
        if isinstance(event, steps.Started):
            row = self.children.get(event.id)
            if row is not None and row.status is _STARTING:
                self._came_up(row)
        elif kind is steps.Exited or kind is steps.StartFailed or kind is steps.Ignored:
            self._on_child(event)  # type: ignore[arg-type]  # told by the identity of its type, which mypy cannot follow
        elif kind is steps.StopSelf:
            self._on_stop_self(event)  # type: ignore[arg-type]  # as above
        else:
            self._queue.append(event)
        self._advance()
        return out

    # What children report

    def _came_up(self, row: ChildRow) -> None:
        row.status = _RUNNING
        self.children.active += 1
        if row.spec.backoff is not None:
            row.started_at = self._now
        self._waiting.discard(row.spec.id)

    def _on_child(self, event: steps.StartFailed | steps.Ignored | steps.Exited) -> None:
        row = self.children.get(event.id)
        if row is None:
            return
        status = row.status
        if status is _STOPPING:
            self._waiting.discard(event.id)
            self._settle_stopped(row, row.stop_fate)
        elif isinstance(event, steps.Exited):
            if status is _RUNNING and row.exited is None:
                row.exited = event.reason
                self.children.active -= 1
                self._queue.append(event)
        elif status is _STARTING:
            row.status = _STOPPED
            self._waiting.discard(event.id)
            if isinstance(event, steps.StartFailed):
                self._start_failed(row, event.error)
            else:
                self._ignored(row)

    def _ignored(self, row: ChildRow) -> None:
        """The child is not to run: go on as if it had started, without it."""
        if not row.is_temporary and not self.flags.dynamic:
            self._settle(row, Fate.STOPPED)
            return
        job = self._job
        if job is not None and job.kind in _ANSWERED:
            self._job_done(job)  # answered before it is forgotten, so that the caller gets its ref
        self._remove(row)

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
        if self._queue and (self.phase is Phase.STOPPING or self.phase is Phase.DONE):
            self._refuse_queued()

    def _next_planned(self) -> None:
        child_id, fate = self._plan.popleft()
        row = self.children.get(child_id)
        if row is None:
            return
        if fate is None:
            status = row.status
            is_down = status is not _RUNNING and status is not _STARTING and status is not _STOPPING
            if is_down and row.exited is None and not row.held:
                self._start(row)
            return
        self._stop(row, fate)
        if self.flags.dynamic:  # children of a dynamic supervisor stop in parallel
            while self._plan and (following := self._plan[0][1]) is not None:
                other = self.children.get(self._plan.popleft()[0])
                if other is not None:
                    self._stop(other, following)

    def _start(self, row: ChildRow) -> None:
        row.status = _STARTING
        row.awaits_group = False
        row.due = None
        spec = row.spec
        self._waiting.add(spec.id)
        self._steps.append(steps.Start(spec.id, spec))

    def _stop(self, row: ChildRow, fate: Fate) -> None:
        if row.is_alive:
            if row.status is not _STOPPING:
                if row.status is _RUNNING:
                    self.children.active -= 1
                row.status = _STOPPING
                self._steps.append(steps.Stop(row.spec.id, fate))
            row.stop_fate = fate
            self._waiting.add(row.spec.id)
        elif row.exited is not None:
            self._settle_stopped(row, fate)  # it ended by itself before we came to it; its queued exit is now void
        elif row.status is not _STOPPED or row.awaits_group or fate is Fate.GONE:
            self._settle_stopped(row, fate)

    def _plan_stop(self, ids: list[str], fate: Fate) -> None:
        for child_id in reversed(ids):
            gone = self.children[child_id].is_temporary and fate is not Fate.UNDECIDED
            self._plan.append((child_id, Fate.GONE if gone else fate))

    def _settle_stopped(self, row: ChildRow, fate: Fate) -> None:
        row.exited = None
        row.status = _STOPPED
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
        if job.kind in _ANSWERED:
            self._steps.append(steps.AdminReply(job.token, None, job.error))
        elif job.kind is JobKind.INIT:
            self.phase = _UP
            self._steps.append(steps.Up())
        elif job.kind in (JobKind.SHUT_DOWN, JobKind.ROLL_BACK):
            self.phase = Phase.DONE
            self._steps.append(steps.Exit(job.reason))

    def _refuse(self, token: int, refusal: Refusal) -> None:
        self._steps.append(steps.AdminReply(token, refusal))

    def _refuse_queued(self) -> None:
        for event in self._queue:
            if isinstance(event, steps.Admin):
                self._refuse(event.token, Refusal.STOPPING)
        self._queue.clear()

    # What is decided elsewhere

    @abstractmethod
    def _take(self, event: steps.Input) -> None:
        """Look at one input from the queue; nothing else is going on."""

    @abstractmethod
    def _start_failed(self, row: ChildRow, error: BaseException) -> None:
        """A child that the job was starting did not start."""

    @abstractmethod
    def _on_stop_self(self, event: steps.StopSelf) -> None:
        """Whoever stands above wants an end."""
