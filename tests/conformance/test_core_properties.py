"""Random trees and random scripts on the supervision core: invariants that hold whatever happens."""

from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from bifrost.actors import (
    AutoShutdown,
    Backoff,
    ChildSpec,
    ChildStatus,
    ChildType,
    Crash,
    ExitReason,
    IntensityScope,
    Normal,
    OnExhausted,
    Restart,
    Shutdown,
    Strategy,
)
from bifrost.actors.steps import Fate, Verb
from bifrost.actors.strategy import SupervisorFlags
from bifrost.testing import CoreBench

IDS = "abcdef"
REASONS: list[ExitReason] = [Normal(), Shutdown(), Crash(RuntimeError("broken"))]


@st.composite
def specs(draw: st.DrawFn, child_id: str, mode: AutoShutdown) -> ChildSpec:
    restart = draw(st.sampled_from(list(Restart)))
    can_matter = restart is not Restart.PERMANENT and mode is not AutoShutdown.NEVER
    backoff = draw(st.sampled_from([None, None, Backoff(min=1, max=4, jitter=0.5), Backoff(min=1, max=1, counts=True)]))
    return ChildSpec(
        id=child_id,
        start=object,
        restart=restart,
        significant=can_matter and draw(st.booleans()),
        backoff=backoff,
        type=draw(st.sampled_from(list(ChildType))),
    )


@st.composite
def supervisor_flags(draw: st.DrawFn) -> SupervisorFlags:
    intensity = draw(st.integers(0, 4))
    if draw(st.booleans()):
        return SupervisorFlags(
            strategy=draw(st.sampled_from(list(Strategy))),
            intensity=intensity,
            auto_shutdown=draw(st.sampled_from(list(AutoShutdown))),
        )
    return SupervisorFlags(
        dynamic=True,
        intensity=intensity,
        max_children=draw(st.sampled_from([None, 3])),
        intensity_scope=draw(st.sampled_from(list(IntensityScope))),
        on_exhausted=draw(st.sampled_from(list(OnExhausted))),
    )


class SupervisorMachine(RuleBasedStateMachine):
    """The bench itself asserts: no child is started twice, none is alive at exit, no call is answered twice."""

    @initialize(data=st.data(), flags=supervisor_flags())
    def begin(self, data: st.DataObject, flags: SupervisorFlags) -> None:
        names = "" if flags.dynamic else IDS[: data.draw(st.integers(0, 4))]
        self.flags = flags
        self.bench = CoreBench([data.draw(specs(name, flags.auto_shutdown)) for name in names], flags)
        self.bench.begin()
        self.answers: list[str] = []

    @property
    def is_up(self) -> bool:
        return self.bench.exit_reason is None

    def alive(self, data: st.DataObject) -> str:
        return data.draw(st.sampled_from(sorted(self.bench.alive)))

    @precondition(lambda self: self.bench.alive)
    @rule(data=st.data(), reason=st.sampled_from(REASONS))
    def child_ends(self, data: st.DataObject, reason: ExitReason) -> None:
        self.bench.exits(self.alive(data), reason)

    @rule(child_id=st.sampled_from(IDS), times=st.integers(0, 3))
    def starts_will_fail(self, child_id: str, times: int) -> None:
        self.bench.fail_starts(child_id, times)

    @rule(child_id=st.sampled_from(IDS))
    def next_start_is_slow(self, child_id: str) -> None:
        if child_id not in self.bench.alive and not self.bench.slow_starts:
            row = self.bench.core.children.get(child_id)
            if row is None or row.status is not ChildStatus.STARTING:
                self.bench.slow_starts.add(child_id)

    @rule()
    def slow_starts_finish(self) -> None:
        for child_id in sorted(self.bench.slow_starts):
            row = self.bench.core.children.get(child_id)
            if row is not None and row.status is ChildStatus.STARTING:
                self.bench.started(child_id)
            else:
                self.bench.slow_starts.discard(child_id)

    @rule(child_id=st.sampled_from(IDS))
    def next_stop_is_slow(self, child_id: str) -> None:
        self.bench.slow_stops.add(child_id)

    @rule()
    def slow_stops_finish(self) -> None:
        for child_id in sorted(self.bench.slow_stops):
            row = self.bench.core.children.get(child_id)
            if row is not None and row.status is ChildStatus.STOPPING and child_id in self.bench.alive:
                self.bench.stopped(child_id)
            else:
                self.bench.slow_stops.discard(child_id)

    @rule(seconds=st.sampled_from([0.0, 0.5, 2.0, 6.0]))
    def time_passes(self, seconds: float) -> None:
        self.bench.advance(seconds)

    @rule(data=st.data(), child_id=st.sampled_from(IDS))
    def start_child(self, data: st.DataObject, child_id: str) -> None:
        self.bench.add(data.draw(specs(child_id, self.flags.auto_shutdown)))

    @rule(verb=st.sampled_from(list(Verb)), child_id=st.sampled_from(IDS), hold=st.booleans())
    def administer(self, verb: Verb, child_id: str, *, hold: bool) -> None:
        self.bench.call(verb, child_id, hold=hold)

    @rule(data=st.data(), child_id=st.sampled_from(IDS))
    def replace_child(self, data: st.DataObject, child_id: str) -> None:
        self.bench.replace(data.draw(specs(child_id, self.flags.auto_shutdown)))

    @rule(child_id=st.sampled_from(IDS), ignores=st.booleans())
    def factory_ignores(self, child_id: str, *, ignores: bool) -> None:
        if ignores:
            self.bench.ignores.add(child_id)
        else:
            self.bench.ignores.discard(child_id)

    @precondition(lambda self: not self.flags.dynamic)
    @rule(data=st.data(), ids=st.lists(st.sampled_from(IDS), unique=True, max_size=4))
    def change_children(self, data: st.DataObject, ids: list[str]) -> None:
        self.bench.change([data.draw(specs(child_id, self.flags.auto_shutdown)) for child_id in ids])

    @rule(intensity=st.integers(0, 4))
    def change_intensity(self, intensity: int) -> None:
        self.bench.change(intensity=intensity)

    @rule()
    def stop(self) -> None:
        self.bench.stop()

    @invariant()
    def what_runs_is_what_the_supervisor_believes(self) -> None:
        if not hasattr(self, "bench"):
            return
        believed = {row.spec.id for row in self.bench.core.children if row.is_alive}
        assert self.bench.alive <= believed
        assert believed - self.bench.alive <= self.bench.slow_starts

    @invariant()
    def counts_are_what_a_walk_over_all_children_finds(self) -> None:
        if not hasattr(self, "bench"):
            return
        rows = list(self.bench.core.children)
        active = sum(row.status is ChildStatus.RUNNING and row.exited is None for row in rows)
        supervisors = sum(row.spec.type is ChildType.SUPERVISOR for row in rows)
        assert self.bench.counts == [len(rows), active, supervisors, len(rows) - supervisors]
        live = any(row.spec.significant and row.status is not ChildStatus.STOPPED for row in rows)
        assert self.bench.core.children.has_live_significant() is live

    @invariant()
    def held_children_are_down(self) -> None:
        if hasattr(self, "bench"):
            assert not any(
                row.held and row.status in (ChildStatus.STARTING, ChildStatus.RUNNING)
                for row in self.bench.core.children
            )

    @invariant()
    def ended_children_have_a_fate(self) -> None:
        if not hasattr(self, "bench"):
            return
        for row in self.bench.core.children:
            if row.status is ChildStatus.RESTARTING:
                assert row.due is not None
                assert self.bench.fates[row.spec.id] is Fate.RESTART
            if row.status is ChildStatus.PARKED:
                assert self.bench.fates[row.spec.id] is Fate.PARKED
        if self.flags.max_children is not None:
            assert len(self.bench.core.children) <= self.flags.max_children

    def teardown(self) -> None:
        """Whatever happened: a stop ends everything and answers every call."""
        if not hasattr(self, "bench"):
            return
        self.bench.take_log()
        order = [row.spec.id for row in self.bench.core.children]
        self.bench.slow_stops.clear()
        was_up = self.is_up
        self.bench.stop()
        self.slow_starts_finish()
        for row in list(self.bench.core.children):
            if row.status is ChildStatus.STOPPING and row.spec.id in self.bench.alive:
                self.bench.stopped(row.spec.id)
        assert self.bench.exit_reason is not None
        assert not self.bench.alive
        assert len(self.bench.replies) == self.bench.calls_made
        stopped = [line.split()[1] for line in self.bench.take_log() if line.startswith("stop ")]
        if was_up and not self.flags.dynamic:
            positions = [order.index(child_id) for child_id in stopped]
            assert len(set(positions)) == len(positions)


SupervisorMachine.TestCase.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)


class TestSupervisionCore(SupervisorMachine.TestCase):  # type: ignore[misc, valid-type]  # hypothesis makes the base class at run time
    """Random scripts keep the invariants."""
