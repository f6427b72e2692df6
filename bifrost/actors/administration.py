"""The part of the supervision core that serves administrative calls.

In: calls, one at a time, between restarts. Out: an answer to each, and jobs for those that stop or start something.

Source: Erlang/OTP `supervisor` (start_child, terminate_child, restart_child, delete_child, code_change);
`replace_child` and `hold` are not in OTP.
"""

from __future__ import annotations

import dataclasses
from abc import abstractmethod

from bifrost.actors import steps
from bifrost.actors.child_spec import ChildSpec, check_child_specs
from bifrost.actors.child_table import ChildRow, ChildStatus
from bifrost.actors.job import Job, JobKind, Phase
from bifrost.actors.plan_runner import PlanRunner
from bifrost.actors.steps import Fate, Refusal, Verb
from bifrost.actors.strategy import AutoShutdown, Strategy, SupervisorFlags
from bifrost.errors import ChildSpecError

__all__ = ["Administration"]


class Administration(PlanRunner):
    """Adds, stops, starts again, replaces and forgets children, and changes what the supervisor goes by."""

    def __init__(self, flags: SupervisorFlags, planned: tuple[ChildSpec, ...]) -> None:
        super().__init__(flags)
        self._planned = planned

    def _administer(self, event: steps.Admin) -> None:
        if isinstance(event, steps.StartChild):
            self._add(event)
        elif isinstance(event, steps.AdminCall):
            self._call(event)
        elif isinstance(event, steps.ReplaceChild):
            self._replace(event)
        else:
            self._change(event)

    def _add(self, event: steps.StartChild) -> None:
        spec = event.spec
        row = self.children.get(spec.id)
        limit = self.flags.max_children
        if spec.significant and self.flags.auto_shutdown is AutoShutdown.NEVER:
            self._refuse(event.token, Refusal.SIGNIFICANT)  # OTP looks at the specification before it looks at the id
        elif row is not None:
            running = row.status is ChildStatus.RUNNING
            self._refuse(event.token, Refusal.ALREADY_STARTED if running else Refusal.ALREADY_PRESENT)
        elif limit is not None and len(self.children) >= limit:
            self._refuse(event.token, Refusal.MAX_CHILDREN)
        else:
            self._job = Job(JobKind.ADD, event.token)
            self._start(self.children.add(spec))

    def add_now(self, spec: ChildSpec) -> ChildRow | None:
        """Take a child up that is started at once: the short way of `steps.StartChild`, when nothing else is going on.

        None if there is something to wait for or to refuse: then the ordinary way says what. Otherwise `up_now` or
        `wait_for` has to follow before the next input.
        """
        if (
            self._job is not None
            or self._queue
            or self._waiting
            or self.phase is not Phase.RUNNING
            or self.flags.max_children is not None
            or spec.significant
            or spec.id in self.children
        ):
            return None
        row = self.children.add(spec)
        row.status = ChildStatus.STARTING
        return row

    def up_now(self, row: ChildRow) -> None:
        """The child that `add_now` has taken up runs; since when matters only to a child that has failed before."""
        row.status = ChildStatus.RUNNING
        self.children.active += 1

    def wait_for(self, row: ChildRow, token: int) -> None:
        """Its start takes longer: the call is answered when `steps.Started` comes."""
        self._job = Job(JobKind.ADD, token)
        self._waiting.add(row.spec.id)

    def _call(self, call: steps.AdminCall) -> None:
        row = self.children.get(call.id)
        if row is None:
            self._refuse(call.token, Refusal.NOT_FOUND)
        elif call.verb is Verb.TERMINATE:
            self._terminate(call, row)
        elif row.status is ChildStatus.RUNNING:
            self._refuse(call.token, Refusal.RUNNING)
        elif row.status is ChildStatus.RESTARTING:
            self._refuse(call.token, Refusal.RESTARTING)
        elif call.verb is Verb.DELETE:
            self._remove(row)
            self._steps.append(steps.AdminReply(call.token))
        else:
            self._make_fresh(row)
            self._job = Job(JobKind.START_AGAIN, call.token)
            self._plan.append((call.id, None))

    def _make_fresh(self, row: ChildRow) -> None:
        row.held = False
        row.attempt = 0
        if row.window is not None:
            row.window.clear()

    def _terminate(self, call: steps.AdminCall, row: ChildRow) -> None:
        if row.status is ChildStatus.RESTARTING:
            # The group restart that these wait for will not come.
            waiting = [self.children[child_id] for child_id in self._group(row.spec.id) if child_id != row.spec.id]
            for other in waiting:
                if other.awaits_group:
                    self._settle_stopped(other, Fate.STOPPED)
        # A dynamic child is forgotten, unless it is held: then someone means to start it again.
        gone = row.is_temporary or (self.flags.dynamic and not call.hold)
        row.held = row.held or call.hold
        self._job = Job(JobKind.TERMINATE, call.token)
        self._plan.append((row.spec.id, Fate.GONE if gone else Fate.STOPPED))

    # Replacing

    def _replace(self, event: steps.ReplaceChild) -> None:
        spec = event.spec
        row = self.children.get(spec.id)
        if row is None:
            self._refuse(event.token, Refusal.NOT_FOUND)
            return
        if spec.significant and self.flags.auto_shutdown is AutoShutdown.NEVER:
            self._refuse(event.token, Refusal.SIGNIFICANT)
            return
        job = Job(JobKind.REPLACE, event.token)
        job.old_spec = row.spec
        job.old_status = row.status
        self.children.respecify(row, spec)
        self._job = job
        if row.held:
            return  # it stays down; the new specification is what restart_child will start
        self._make_fresh(row)
        if row.status is ChildStatus.RESTARTING:
            self._plan_group(row)  # those that wait for it in a group come up with it
        else:
            self._plan += [(spec.id, Fate.RESTART), (spec.id, None)]

    def _replace_failed(self, job: Job, row: ChildRow, error: BaseException) -> None:
        assert job.old_spec is not None
        if job.error is None and row.spec.id == job.old_spec.id:
            job.error = error
            self.children.respecify(row, job.old_spec)
            if job.old_status is ChildStatus.RUNNING:
                self._settle(row, Fate.RESTART)
                self._plan.append((row.spec.id, None))
                return
            if job.old_status is not ChildStatus.RESTARTING:
                row.status = job.old_status
                self._settle(row, Fate.PARKED if row.status is ChildStatus.PARKED else Fate.STOPPED)
                self._job_done(job)
                return
        # The old one does not start either, or goes on failing as before: from here it is a restart that failed.
        self._job_done(job)
        if row.is_temporary:
            self._remove(row)
        else:
            row.attempt += 1
            self._retry_later(row)

    # Changing the supervisor itself

    def _change(self, event: steps.ChangeSelf) -> None:
        try:
            flags, specs = self._checked(event)
        except ChildSpecError as error:
            self._steps.append(steps.AdminReply(event.token, error=error))
            return
        self.flags = flags
        self._take_flags()
        added: list[str] = []
        changed: list[str] = []
        removed: list[str] = []
        if event.specs is not None:
            kept = {spec.id for spec in specs}
            removed = [spec.id for spec in self._planned if spec.id not in kept]
            added, changed = self.children.merge(specs)
            self._planned = specs
        note = steps.NoteChanged(flags, specs, tuple(added), tuple(changed), tuple(removed))
        self._steps += [note, steps.AdminReply(event.token)]

    def _checked(self, event: steps.ChangeSelf) -> tuple[SupervisorFlags, tuple[ChildSpec, ...]]:
        flags = dataclasses.replace(self.flags, **event.flags)
        if flags.dynamic and event.specs is not None:
            raise ChildSpecError("a dynamic supervisor has no list of children; use start_child and terminate_child")
        specs = self._planned if event.specs is None else event.specs
        return flags, check_child_specs(specs, auto_shutdown=flags.auto_shutdown)

    # What a restart is about

    def _group(self, child_id: str) -> list[str]:
        strategy = self.flags.strategy
        if strategy is Strategy.ONE_FOR_ALL:
            return self.children.ids()
        if strategy is Strategy.REST_FOR_ONE:
            return self.children.from_id(child_id)
        return [child_id]

    def _plan_group(self, row: ChildRow) -> None:
        row.status = ChildStatus.STOPPED
        row.due = None
        own_id = row.spec.id
        group = self._group(own_id)
        if len(group) == 1:
            self._plan.append((own_id, None))
            return
        self._plan_stop([child_id for child_id in group if child_id != own_id], Fate.RESTART)
        self._plan.extend((child_id, None) for child_id in group)

    @abstractmethod
    def _retry_later(self, row: ChildRow) -> None:
        """Try the start of a child again, from the queue."""

    @abstractmethod
    def _take_flags(self) -> None:
        """Let the flags that are new now be in force."""
