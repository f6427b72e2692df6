"""The supervision core beyond OTP's scenarios: the sliding window, holding, replacing, parking, back-off, stores."""

from __future__ import annotations

import pytest

from bifrost.actors import (
    Backoff,
    ChildStatus,
    IntensityScope,
    Normal,
    OnExhausted,
    Shutdown,
    Strategy,
    SupervisorFlags,
    steps,
)
from bifrost.actors.job import Phase
from bifrost.actors.steps import Fate, Verb
from bifrost.testing import CoreBench
from tests.unit.actors.conformance.core_kit import TEMPORARY, TRANSIENT, bench, child, children, dynamic


def test_intensity_counts_restarts_within_the_period_only() -> None:
    """The window slides: what counts is the restarts of the last period, its end included."""
    made = bench(children("a"), intensity=2, period=5.0)
    for pause in (0.0, 2.0, 3.1, 2.0):  # at most two in any five seconds
        made.advance(pause)
        made.crash("a")
    assert made.exit_reason is None
    made.advance(3.0)
    made.crash("a")
    assert made.exit_reason == Shutdown("restart intensity exceeded")


def test_intensity_zero_allows_no_restart() -> None:
    """With intensity 0 the first restart ends the supervisor."""
    made = bench(children("a"), intensity=0)
    made.crash("a")
    assert made.take_log() == ["a crash", "exit shutdown"]


def test_ends_without_a_restart_cost_nothing() -> None:
    """Temporary deaths, normal ends of transients and calls by hand leave the budget alone."""
    made = bench([child("a"), child("t", TRANSIENT)], intensity=0)
    for index in range(5):
        made.add(child(f"x{index}", TEMPORARY))
        made.crash(f"x{index}")
        made.exits("t", Normal())
        assert made.call(Verb.RESTART, "t") == "ok"
        assert made.call(Verb.TERMINATE, "a") == "ok"
        assert made.call(Verb.RESTART, "a") == "ok"
    assert made.exit_reason is None


def test_group_restart_starts_what_was_stopped_by_hand() -> None:
    """A group restart starts every child that is not temporary, also those stopped by hand or ended normally."""
    made = bench([child("a"), child("b"), child("c", TRANSIENT)], Strategy.ONE_FOR_ALL)
    made.call(Verb.TERMINATE, "b")
    made.exits("c", Normal())
    made.take_log()
    made.crash("a")
    assert made.take_log() == ["a crash", "start a", "start b", "start c"]


def test_a_stop_interrupts_a_slow_start() -> None:
    """A stop does not wait for a child that takes its time to start."""
    made = CoreBench(children("abc"), SupervisorFlags())
    made.slow_starts = {"b"}
    made.begin()
    made.stop()
    assert made.take_log() == ["start a", "start b", "stop b", "stop a", "exit shutdown"]


def test_a_crash_during_a_group_restart_is_not_forgotten() -> None:
    """A sibling outside the group that crashes meanwhile is restarted afterwards."""
    made = bench(children("abc"), Strategy.REST_FOR_ONE, intensity=5)
    made.slow_stops = {"c"}
    made.crash("b")
    made.crash("a")
    made.stopped("c")
    assert made.take_log() == [
        *("b crash", "stop c", "a crash", "start b", "start c"),
        *("stop c", "stop b", "start a", "start b", "start c"),
    ]


def test_a_parked_child_leaves_the_others_alone() -> None:
    """With a budget per child, the one that exceeds it is parked; the others keep theirs."""
    made = dynamic("ab", intensity=2, scope=IntensityScope.CHILD, park=True)
    for _ in range(2):
        made.crash("b")
    for _ in range(3):
        made.crash("a")
    assert made.take_log()[-2:] == ["a crash", "park a"]
    assert made.exit_reason is None
    assert made.alive == {"b"}
    assert made.fates["a"] is Fate.PARKED
    assert made.add(child("a")) == "already_present"
    assert made.call(Verb.RESTART, "a") == "ok"
    made.crash("a")
    assert made.alive == {"a", "b"}


def test_backoff_delays_each_attempt_longer() -> None:
    """Delays grow by the factor up to the maximum, and do not use up the intensity."""
    backoff = Backoff(min=1, max=5, factor=2, jitter=0)
    made = bench([child("a", backoff=backoff)], intensity=0)
    made.fail_starts("a")
    made.crash("a")
    times: list[float] = []
    for _ in range(60):
        made.advance(0.5)
        if made.starts["a"] > len(times) + 1:
            times.append(made.now)
    assert times[:5] == [1, 3, 7, 12, 17]
    assert made.exit_reason is None


def test_backoff_starts_over_after_a_stable_time() -> None:
    """A child that ran for reset_after seconds waits the shortest delay again."""
    made = bench([child("a", backoff=Backoff(min=1, max=60, factor=10, jitter=0, reset_after=30))])
    made.crash("a")
    made.advance(1)
    made.crash("a")
    made.advance(9)
    assert made.starts["a"] == 2
    made.advance(1)
    assert made.starts["a"] == 3
    made.advance(30)
    made.crash("a")
    made.advance(1)
    assert made.starts["a"] == 4
    made.crash("a")
    made.advance(9)
    assert made.starts["a"] == 4
    made.advance(1)
    assert made.starts["a"] == 5


def test_backoff_jitter_is_seeded() -> None:
    """The same seed draws the same delays, within the jitter's share."""

    def first_restart(seed: int) -> float:
        specs = [child("a", backoff=Backoff(min=10, max=10, jitter=0.5))]
        made = CoreBench(specs, SupervisorFlags(), seed=seed).begin()
        made.crash("a")
        while made.starts["a"] == 1:
            made.advance(0.01)
        return made.now

    delays = {first_restart(seed) for seed in range(5)}
    assert len(delays) == 5
    assert all(5 <= delay <= 15.01 for delay in delays)
    assert first_restart(3) == first_restart(3)


def test_backoff_with_max_attempts_escalates() -> None:
    """More attempts in a row than max_attempts exhaust the child."""
    made = bench([child("a", backoff=Backoff(min=1, max=1, jitter=0, max_attempts=2)), child("b")])
    made.fail_starts("a")
    made.crash("a")
    made.advance(10)
    assert made.take_log() == ["a crash", "fail a", "fail a", "stop b", "exit shutdown"]


def test_backoff_that_counts_uses_up_the_intensity() -> None:
    """With `counts` each delayed attempt is a restart like any other; the one past the budget is not made."""
    made = bench([child("a", backoff=Backoff(min=1, max=1, jitter=0, counts=True)), child("b")], intensity=2)
    made.fail_starts("a")
    made.crash("a")
    made.advance(4)
    assert made.take_log() == ["a crash", "fail a", "fail a", "stop b", "exit shutdown"]


def test_backoff_of_a_group_holds_the_group() -> None:
    """The rest of the group stops at once and starts with the delayed child; calls are served meanwhile."""
    made = bench([child("a", backoff=Backoff(min=2, max=2, jitter=0)), child("b")], Strategy.ONE_FOR_ALL)
    made.crash("a")
    assert made.take_log() == ["a crash", "stop b"]
    assert made.fates == {"a": Fate.RESTART, "b": Fate.RESTART}
    assert made.call(Verb.RESTART, "a") == "restarting"
    made.advance(1.9)
    assert made.take_log() == []
    made.advance(0.1)
    assert made.take_log() == ["start a", "start b"]


def test_terminating_one_that_waits_for_its_group_leaves_the_others_waiting() -> None:
    """Their restart still comes; the one that was stopped by hand comes with them, as in every group restart."""
    made = bench([child("a", backoff=Backoff(min=2, max=2, jitter=0)), child("b"), child("c")], Strategy.ONE_FOR_ALL)
    made.crash("a")
    assert made.call(Verb.TERMINATE, "b") == "ok"
    assert made.fates == {"a": Fate.RESTART, "b": Fate.STOPPED, "c": Fate.RESTART}
    made.take_log()
    made.advance(2)
    assert made.take_log() == ["start a", "start b", "start c"]


def test_ending_a_restart_leaves_alone_who_was_started_by_hand_meanwhile() -> None:
    """Only those that still wait for the group are told that it will not come."""
    made = bench(children("abc"), Strategy.REST_FOR_ONE, intensity=100)
    made.fail_starts("b")
    made.crash("b")
    assert made.call(Verb.RESTART, "c") == "ok"
    assert made.call(Verb.TERMINATE, "b") == "ok"
    assert made.counts == [3, 2, 0, 3]
    made.take_log()
    made.stop()
    assert made.take_log() == ["stop c", "stop a", "exit shutdown"]


@pytest.mark.parametrize(
    "report", [steps.Started("x"), steps.Exited("x", Normal()), steps.StartFailed("x", OSError()), steps.Ignored("x")]
)
def test_reports_of_children_that_are_gone_mean_nothing(report: steps.Report) -> None:
    """A child that was forgotten may still report, as may one that never was."""
    made = bench(children("a"))
    assert made.core.handle(report, made.now) == []
    assert made.counts == [1, 1, 0, 1]


def test_a_start_that_succeeds_while_it_is_stopped_is_still_stopped() -> None:
    """The supervisor waits for its end, whatever it reports before that."""
    core = bench([]).core
    assert core.handle(steps.StartChild(1, child("a")), 0.0) == [steps.Start("a", child("a"))]
    assert steps.Stop("a", Fate.STOPPED) in core.handle(steps.StopSelf(Shutdown(), Fate.STOPPED), 0.0)
    assert core.handle(steps.Started("a"), 0.0) == []
    assert core.children.active == 0
    assert core.handle(steps.Exited("a", Shutdown()), 0.0)[-1] == steps.Exit(Shutdown())


def test_a_temporary_child_that_ignores_does_not_end_the_start_of_the_tree() -> None:
    """The supervisor is up when the last of the others has started."""
    made = CoreBench([child("t", TEMPORARY), child("a")])
    made.ignores = {"t"}
    made.slow_starts = {"a"}
    made.begin()
    phases = [made.core.phase]
    made.started("a")
    assert [*phases, made.core.phase] == [Phase.STARTING, Phase.RUNNING]


def test_a_report_out_of_season_means_nothing() -> None:
    """A failed start of a child that runs, and the end of one that has ended, change nothing."""
    made = bench(children("ab"))
    assert made.core.handle(steps.StartFailed("a", OSError()), made.now) == []
    assert made.core.handle(steps.Ignored("a"), made.now) == []
    made.call(Verb.TERMINATE, "b")
    assert made.core.handle(steps.Exited("b", Normal()), made.now) == []
    assert made.core.handle(steps.Started("b"), made.now) == []
    assert made.counts == [2, 1, 0, 2]
    assert made.exit_reason is None


def test_the_longest_pending_delay_of_a_group_applies() -> None:
    """A crash of an earlier child does not cut short the back-off of a later one that the group contains."""
    slow, quick = Backoff(min=10, max=10, jitter=0), Backoff(min=2, max=2, jitter=0)
    made = bench([child("a", backoff=quick), child("b", backoff=slow), child("c")], Strategy.REST_FOR_ONE)
    made.crash("b")
    made.advance(1)
    made.crash("a")
    made.take_log()
    made.advance(8.9)
    assert made.take_log() == []
    made.advance(0.1)
    assert made.take_log() == ["start a", "start b", "start c"]


# Holding


@pytest.mark.parametrize("strategy", [Strategy.ONE_FOR_ALL, Strategy.REST_FOR_ONE])
def test_a_held_child_stays_out_of_group_restarts(strategy: Strategy) -> None:
    """Until restart_child; a second terminate_child does not let go of it."""
    made = bench(children("abc"), strategy, intensity=10)
    assert made.call(Verb.TERMINATE, "b", hold=True) == "ok"
    assert made.call(Verb.TERMINATE, "b") == "ok"
    made.take_log()
    made.crash("a")
    assert made.take_log() == ["a crash", "stop c", "start a", "start c"]
    assert made.call(Verb.RESTART, "b") == "ok"
    made.take_log()
    made.crash("a")
    assert made.take_log() == ["a crash", "stop c", "stop b", "start a", "start b", "start c"]


def test_a_held_dynamic_child_keeps_its_specification() -> None:
    """It can be started again; terminate_child without hold forgets it; a temporary one is gone in any case."""
    made = dynamic("ab")
    made.add(child("t", TEMPORARY))
    for name in "abt":
        assert made.call(Verb.TERMINATE, name, hold=True) == "ok"
    assert made.counts == [2, 0, 0, 2]
    assert made.core.held_ids() == {"a", "b"}
    assert made.add(child("a")) == "already_present"
    assert made.call(Verb.RESTART, "a") == "ok"
    assert made.call(Verb.TERMINATE, "b") == "ok"
    assert made.counts == [1, 1, 0, 1]
    assert made.core.held_ids() == frozenset()


def test_holding_ends_a_restart_loop() -> None:
    """A child whose restart keeps failing can be held, too."""
    made = bench(children("ab"), Strategy.ONE_FOR_ALL, intensity=100)
    made.fail_starts("a")
    made.crash("a")
    assert made.call(Verb.TERMINATE, "a", hold=True) == "ok"
    made.advance(10)
    assert made.counts == [2, 0, 0, 2]
    assert made.call(Verb.RESTART, "b") == "ok"
    made.take_log()
    made.crash("b")
    assert made.take_log() == ["b crash", "start b"]


# Replacing


def test_a_replacement_takes_the_same_place() -> None:
    """Old out, new in, siblings untouched, order kept, nothing counted."""
    made = bench(children("abc"), Strategy.ONE_FOR_ALL, intensity=0)
    new = child("b", TRANSIENT)
    assert made.replace(new) == "ok"
    assert made.take_log() == ["stop b", "start b"]
    assert made.core.children["b"].spec is new
    assert made.core.children.ids() == ["a", "b", "c"]
    assert made.fates == {"b": Fate.RESTART}
    assert made.replace(child("x")) == "not_found"


def test_a_replacement_that_does_not_start_is_rolled_back() -> None:
    """The old specification is back and runs; the caller gets the error of the new one."""
    made = bench(children("ab"), intensity=0)
    old = made.core.children["a"].spec
    made.fail_starts("a", 1)
    assert made.replace(child("a", TRANSIENT)) == "error"
    assert made.take_log() == ["stop a", "fail a", "start a"]
    assert str(made.last_reply.error) == "a does not start"
    assert made.core.children["a"].spec is old
    assert made.alive == {"a", "b"}
    assert made.exit_reason is None


def test_a_roll_back_that_fails_is_a_failed_restart() -> None:
    """The old child is tried again from the queue and counts; the caller hears of the new child's error at once."""
    made = bench(children("ab"), intensity=2)
    made.fail_starts("a", 3)
    assert made.replace(child("a", TRANSIENT)) == "error"
    assert made.take_log() == ["stop a", "fail a", "fail a"]
    assert made.core.children["a"].status is ChildStatus.RESTARTING
    assert made.fates["a"] is Fate.RESTART
    made.advance(0)
    assert made.take_log() == ["fail a", "start a"]
    made.fail_starts("a")
    assert made.replace(child("a", TRANSIENT)) == "error"
    made.advance(0)
    assert made.exit_reason == Shutdown("restart intensity exceeded")


def test_a_temporary_child_whose_roll_back_fails_is_gone() -> None:
    """It is never restarted, so nothing keeps it."""
    made = bench([child("a", TEMPORARY), child("b")])
    made.fail_starts("a", 2)
    assert made.replace(child("a")) == "error"
    assert made.counts == [1, 1, 0, 1]
    assert made.fates["a"] is Fate.GONE


@pytest.mark.parametrize("works", [True, False])
def test_replacing_a_stopped_or_parked_child_starts_it(*, works: bool) -> None:
    """If the new one does not start, the child is stopped or parked again, with its old specification."""
    flags = SupervisorFlags(intensity=0, intensity_scope=IntensityScope.CHILD, on_exhausted=OnExhausted.PARK)
    made = CoreBench(children("ps"), flags).begin()
    made.crash("p")
    made.call(Verb.TERMINATE, "s")
    for name, fate in (("p", Fate.PARKED), ("s", Fate.STOPPED)):
        old = made.core.children[name].spec
        made.fail_starts(name, 0 if works else 1)
        assert made.replace(child(name, TRANSIENT)) == ("ok" if works else "error")
        assert (made.core.children[name].spec is old) is not works
        assert (name in made.alive) is works
        if not works:
            assert made.fates[name] is fate
    made.advance(10)
    assert made.starts == {"p": 2, "s": 2}


def test_replacing_a_held_child_leaves_it_held() -> None:
    """Only its specification is another one; restart_child starts that."""
    made = bench(children("ab"), Strategy.ONE_FOR_ALL)
    made.call(Verb.TERMINATE, "b", hold=True)
    new = child("b", TRANSIENT)
    assert made.replace(new) == "ok"
    made.take_log()
    made.crash("a")
    assert made.take_log() == ["a crash", "start a"]
    assert made.call(Verb.RESTART, "b") == "ok"
    assert made.core.children["b"].spec is new


@pytest.mark.parametrize("works", [True, False])
def test_replacing_a_child_in_a_restart_loop(*, works: bool) -> None:
    """It starts now, and with it those that wait for it; if it does not, the old one is tried on."""
    made = bench(children("abc"), Strategy.REST_FOR_ONE, intensity=100)
    made.fail_starts("b")
    made.crash("b")
    assert made.alive == {"a"}
    made.take_log()
    old = made.core.children["b"].spec
    made.fail_starts("b", 0 if works else 1)
    assert made.replace(child("b", TRANSIENT)) == ("ok" if works else "error")
    assert (made.core.children["b"].spec is old) is not works
    made.advance(0)
    assert made.take_log() == [*([] if works else ["fail b"]), "start b", "start c"]


def test_a_stop_interrupts_a_replacement() -> None:
    """The call is answered, and everything that lives stops."""
    made = bench(children("ab"))
    made.slow_stops = {"a"}
    assert made.replace(child("a")) == "pending"
    made.stop()
    assert made.answer(1) == "stopping"
    made.stopped("a")
    assert sorted(made.take_log()) == ["exit shutdown", "stop a", "stop b"]


def test_a_replacement_may_ignore() -> None:
    """Then nothing runs in that place, which is no failure."""
    made = bench(children("ab"))
    made.ignores = {"a"}
    assert made.replace(child("a")) == "ok"
    assert made.counts == [2, 1, 0, 2]
    made = dynamic("ab")
    made.ignores = {"a"}
    assert made.replace(child("a")) == "ok"
    assert made.counts == [1, 1, 0, 1]


# The short way of a start


def test_the_short_way_of_a_start_leads_to_the_same_place() -> None:
    """A child that was taken up at once behaves in everything that follows as one of an ordinary start_child."""
    spec = child("b", backoff=Backoff(min=1, max=1, jitter=0, reset_after=5))
    logs: list[list[str]] = []
    for short in (False, True):
        made = bench(children("a"), Strategy.ONE_FOR_ALL, intensity=5)
        made.advance(100)
        if short:
            row = made.core.add_now(spec)
            assert row is not None
            made.alive.add("b")
            made.core.up_now(row)
        else:
            assert made.add(spec) == "ok"
        made.take_log()
        assert made.counts == [2, 2, 0, 2]
        for _ in range(2):
            made.crash("b")
            made.advance(1)
        made.crash("a")
        assert made.call(Verb.TERMINATE, "b") == "ok"
        assert made.call(Verb.RESTART, "b") == "ok"
        assert made.add(spec) == "already_started"
        made.stop()
        logs.append(made.take_log())
    assert logs[0] == logs[1]


def test_the_short_way_is_shut_when_there_is_something_to_say() -> None:
    """A known id, a full or stopping supervisor, a significant child, or a job under way: the ordinary way answers."""
    assert bench(children("a")).core.add_now(child("a")) is None
    assert bench([]).core.add_now(child("a", TEMPORARY, significant=True)) is None
    assert CoreBench((), SupervisorFlags(dynamic=True, max_children=5)).begin().core.add_now(child("a")) is None
    assert CoreBench().core.add_now(child("a")) is None
    made = bench(children("ab"))
    made.slow_stops = {"a"}
    made.call(Verb.TERMINATE, "a")
    assert made.core.add_now(child("x")) is None
    made.stop()
    assert made.core.add_now(child("x")) is None


def test_the_short_way_may_become_the_ordinary_one() -> None:
    """A start that takes longer, fails or ignores is answered like any other."""
    for report, answer, known in (
        (steps.Started("a"), "ok", 1),
        (steps.StartFailed("a", OSError()), "error", 0),
        (steps.Ignored("a"), "ok", 1),
    ):
        made = bench([])
        row = made.core.add_now(child("a"))
        assert row is not None
        made.core.wait_for(row, 7)
        said = made.core.handle(report, made.now)
        (reply,) = [step for step in said if isinstance(step, steps.AdminReply)]
        assert (reply.token, reply.refusal) == (7, None)
        assert ("ok" if reply.error is None else "error") == answer
        assert len(made.core.children) == known


# Ignoring, and stores


def test_a_child_that_ignores_does_not_stop_its_group() -> None:
    """In a group restart the others start as if it had."""
    made = bench(children("abc"), Strategy.ONE_FOR_ALL)
    made.ignores = {"b"}
    made.crash("a")
    assert made.take_log() == ["a crash", "stop c", "stop b", "start a", "ignore b", "start c"]
    assert made.counts == [3, 2, 0, 3]


def test_what_a_store_brings_back_is_restarted_and_not_rolled_back() -> None:
    """One stored child that does not start leaves the others alone, and is tried again as its budget allows."""
    flags = SupervisorFlags(dynamic=True, intensity=2)
    made = CoreBench((), flags, stored=children("abc"))
    made.fail_starts("b", 2)
    made.begin()
    assert made.take_log() == ["start a", "fail b", "start c"]
    made.advance(0)
    assert made.take_log() == ["fail b", "start b"]
    made = CoreBench((), flags, stored=children("ab"))
    made.fail_starts("a")
    made.begin()
    made.advance(0)
    assert made.exit_reason == Shutdown("restart intensity exceeded")


def test_children_with_a_store_outlive_their_supervisor() -> None:
    """They are told that they will be back; without a store, and if temporary, that they are gone."""
    flags = SupervisorFlags(dynamic=True)
    for stored, fate in ((children("a"), Fate.RESTART), (None, Fate.GONE)):
        made = CoreBench((), flags, stored=stored).begin()
        if stored is None:
            made.add(child("a"))
        made.add(child("t", TEMPORARY))
        made.stop(Fate.RESTART)
        assert made.fates == {"a": fate, "t": Fate.GONE}
