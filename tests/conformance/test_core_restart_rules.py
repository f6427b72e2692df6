"""OTP's scenarios on the pure supervision core: start, stop, administration, restart types, strategies, restart loops.

Each test is named after its scenario in Erlang/OTP's `supervisor_SUITE`.
"""

from __future__ import annotations

import pytest

from bifrost.actors import (
    AutoShutdown,
    Backoff,
    ChildSpec,
    ChildType,
    Crash,
    ExitReason,
    IntensityScope,
    Killed,
    Normal,
    OnExhausted,
    Restart,
    Shutdown,
    StartFailure,
    Strategy,
)
from bifrost.actors.steps import Fate, Verb
from bifrost.actors.strategy import SupervisorFlags
from bifrost.testing import CoreBench

PERMANENT, TRANSIENT, TEMPORARY = Restart.PERMANENT, Restart.TRANSIENT, Restart.TEMPORARY
NORMAL_ENDS: list[ExitReason] = [Normal(), Shutdown(), Shutdown("for a reason")]
ABNORMAL_ENDS: list[ExitReason] = [Crash(RuntimeError("broken")), Killed(), StartFailure(RuntimeError("broken"))]


def child(
    child_id: str,
    restart: Restart = PERMANENT,
    *,
    significant: bool = False,
    backoff: Backoff | None = None,
    kind: ChildType = ChildType.WORKER,
) -> ChildSpec:
    return ChildSpec(id=child_id, start=object, restart=restart, significant=significant, backoff=backoff, type=kind)


def children(names: str, restart: Restart = PERMANENT) -> list[ChildSpec]:
    return [child(name, restart) for name in names]


def bench(
    specs: list[ChildSpec],
    strategy: Strategy = Strategy.ONE_FOR_ONE,
    *,
    intensity: int = 2,
    period: float = 3600.0,
    auto_shutdown: AutoShutdown = AutoShutdown.NEVER,
) -> CoreBench:
    flags = SupervisorFlags(strategy=strategy, intensity=intensity, period=period, auto_shutdown=auto_shutdown)
    made = CoreBench(specs, flags).begin()
    made.take_log()
    return made


def dynamic(
    names: str = "", *, intensity: int = 2, scope: IntensityScope = IntensityScope.SUPERVISOR, park: bool = False
) -> CoreBench:
    flags = SupervisorFlags(
        dynamic=True,
        intensity=intensity,
        period=5.0,
        intensity_scope=scope,
        on_exhausted=OnExhausted.PARK if park else OnExhausted.ESCALATE,
    )
    made = CoreBench((), flags).begin()
    for name in names:
        assert made.add(child(name)) == "ok"
    made.take_log()
    return made


# Start


def test_sup_start_normal() -> None:
    """An empty supervisor starts, and exits with shutdown when it is stopped (1)."""
    made = bench([])
    made.stop()
    assert made.exit_reason == Shutdown()


def test_sup_start_child_returns_error() -> None:
    """A start_child whose start fails gives the error to the caller and keeps no specification (8)."""
    made = bench([])
    made.fail_starts("a")
    assert made.add(child("a")) == "error"
    assert made.counts == [0, 0, 0, 0]
    assert made.starts == {"a": 1}


def test_sup_start_restart_child_returns_error() -> None:
    """A restart_child whose start fails gives the error and leaves the child stopped (9)."""
    made = bench(children("a"))
    assert made.call(Verb.TERMINATE, "a") == "ok"
    made.fail_starts("a", 1)
    assert made.call(Verb.RESTART, "a") == "error"
    assert made.counts == [1, 0, 0, 1]
    assert made.call(Verb.RESTART, "a") == "ok"


def test_faulty_application_shutdown() -> None:
    """A static child that fails to start rolls the started ones back in reverse and names itself (15)."""
    made = CoreBench(children("abcd"), SupervisorFlags())
    made.fail_starts("c")
    made.begin()
    assert made.take_log() == ["start a", "start b", "fail c", "stop b", "stop a", "exit startfailure"]
    assert isinstance(made.exit_reason, StartFailure)
    assert "'c'" in str(made.exit_reason.error)


# Stop


@pytest.mark.parametrize("restart", list(Restart))
@pytest.mark.parametrize("reason", [*NORMAL_ENDS, *ABNORMAL_ENDS], ids=str)
def test_sup_stop_race(restart: Restart, reason: ExitReason) -> None:
    """A child that ends by itself while the supervisor stops stays down, and the supervisor exits shutdown (19)."""
    made = bench([child("a", restart), child("b")])
    made.slow_stops = {"b"}
    made.stop()
    made.exits("a", reason)
    made.stopped("b")
    assert made.exit_reason == Shutdown()
    assert made.starts == {"a": 1, "b": 1}


def test_sup_stop_non_shutdown_exit_dynamic() -> None:
    """Dynamic children that end for all sorts of reasons let the stop complete (20)."""
    made = dynamic("abc")
    made.stop_reasons = {"a": Crash(RuntimeError()), "b": Normal()}
    made.stop()
    assert made.exit_reason == Shutdown()


def test_simple_one_for_one_shutdown() -> None:
    """Dynamic children are all asked to stop before the first has stopped (21)."""
    made = dynamic("abc")
    made.slow_stops = {"a", "b", "c"}
    made.stop()
    assert sorted(made.take_log()) == ["stop a", "stop b", "stop c"]
    for name in "bca":
        assert made.exit_reason is None
        made.stopped(name)
    assert made.exit_reason == Shutdown()


# Administration


def test_child_adm() -> None:
    """The administrative calls give OTP's results on running, stopped and unknown children (23 to 26)."""
    made = bench(children("a"))
    assert made.add(child("a")) == "already_started"
    assert made.call(Verb.RESTART, "a") == "running"
    assert made.call(Verb.DELETE, "a") == "running"
    assert made.call(Verb.TERMINATE, "a") == "ok"
    assert made.counts == [1, 0, 0, 1]
    assert made.call(Verb.TERMINATE, "a") == "ok"
    assert made.add(child("a")) == "already_present"
    assert made.call(Verb.RESTART, "a") == "ok"
    assert made.counts == [1, 1, 0, 1]
    assert made.call(Verb.TERMINATE, "a") == "ok"
    assert made.call(Verb.DELETE, "a") == "ok"
    assert made.counts == [0, 0, 0, 0]
    for verb in Verb:
        assert made.call(verb, "a") == "not_found"
    assert made.exit_reason is None


def test_child_adm_simple() -> None:
    """A dynamic child that is terminated is gone (28)."""
    made = dynamic("ab")
    assert made.call(Verb.TERMINATE, "a") == "ok"
    assert made.call(Verb.RESTART, "a") == "not_found"
    assert made.counts == [1, 1, 0, 1]


def test_count_children() -> None:
    """Counts are exact for a thousand children, and killing all temporary ones leaves none (30)."""
    made = bench([child("sup", kind=ChildType.SUPERVISOR)])
    for index in range(1000):
        made.add(child(f"w{index}", TEMPORARY))
    assert made.counts == [1001, 1001, 1, 1000]
    for index in range(1000):
        made.exits(f"w{index}", Killed())
    assert made.counts == [1, 1, 1, 0]


def test_count_restarting_children() -> None:
    """A child stuck in restarting is counted but not active (31)."""
    made = dynamic("abc", intensity=100)
    made.fail_starts("a")
    made.fail_starts("b")
    made.crash("a")
    made.crash("b")
    assert made.counts == [3, 1, 0, 3]
    made.failures.clear()
    made.advance(0)
    assert made.counts == [3, 3, 0, 3]
    for left, name in zip((2, 1, 0), "abc", strict=True):
        made.call(Verb.TERMINATE, name)
        assert made.counts == [left, left, 0, left]


# Restart types


@pytest.mark.parametrize("reason", [*NORMAL_ENDS, *ABNORMAL_ENDS], ids=str)
def test_permanent(reason: ExitReason) -> None:
    """A permanent child is restarted whatever it ended with (32)."""
    made = bench(children("a"))
    made.exits("a", reason)
    assert made.starts == {"a": 2}
    assert made.fates["a"] is Fate.RESTART


@pytest.mark.parametrize("reason", NORMAL_ENDS, ids=str)
def test_transient_normal(reason: ExitReason) -> None:
    """A transient child that ended normally stays stopped, and can be started again by hand (33)."""
    made = bench(children("a", TRANSIENT))
    made.exits("a", reason)
    assert made.starts == {"a": 1}
    assert made.counts == [1, 0, 0, 1]
    assert made.call(Verb.RESTART, "a") == "ok"


@pytest.mark.parametrize("reason", ABNORMAL_ENDS, ids=str)
def test_transient_abnormal(reason: ExitReason) -> None:
    """A transient child that ended abnormally is restarted (34)."""
    made = bench(children("a", TRANSIENT))
    made.exits("a", reason)
    assert made.starts == {"a": 2}


@pytest.mark.parametrize("reason", [*NORMAL_ENDS, *ABNORMAL_ENDS], ids=str)
def test_temporary(reason: ExitReason) -> None:
    """A temporary child that ended is gone, and its id is free again (35)."""
    made = bench(children("a", TEMPORARY))
    made.exits("a", reason)
    assert made.counts == [0, 0, 0, 0]
    assert made.fates["a"] is Fate.GONE
    assert made.add(child("a", TEMPORARY)) == "ok"


@pytest.mark.parametrize("strategy", [Strategy.ONE_FOR_ALL, Strategy.REST_FOR_ONE])
def test_temporary_bystander(strategy: Strategy) -> None:
    """A temporary sibling taken down by a group restart does not come back; the supervisor lives (36)."""
    made = bench([child("a"), child("t", TEMPORARY), child("c")], strategy)
    made.crash("a")
    assert made.take_log() == ["a crash", "stop c", "stop t", "start a", "start c"]
    assert made.counts == [2, 2, 0, 2]


def test_multiple_restarts() -> None:
    """Crashes that are further apart than the period never add up (37)."""
    made = bench(children("a"), intensity=1, period=1.0)
    for _ in range(50):
        made.advance(2.1)
        made.crash("a")
    assert made.exit_reason is None
    assert made.starts == {"a": 51}


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


# Strategies


def test_one_for_one() -> None:
    """Only the child that crashed is restarted; the third crash with intensity 2 ends the supervisor (38)."""
    made = bench(children("ab"))
    made.crash("a")
    made.crash("a")
    assert made.starts == {"a": 3, "b": 1}
    made.take_log()
    made.crash("a")
    assert made.take_log() == ["a crash", "stop b", "exit shutdown"]


def test_one_for_one_escalation() -> None:
    """A restart that always fails uses the budget up and takes the healthy sibling with it (39)."""
    made = bench(children("ab"), intensity=4)
    made.fail_starts("a")
    made.crash("a")
    made.advance(0)
    assert made.take_log() == ["a crash", *["fail a"] * 4, "stop b", "exit shutdown"]


def test_one_for_all() -> None:
    """Both are new after one crash; the group counts once; the third crash ends the supervisor (40)."""
    made = bench(children("ab"), Strategy.ONE_FOR_ALL)
    made.crash("a")
    assert made.take_log() == ["a crash", "stop b", "start a", "start b"]
    made.crash("b")
    assert made.take_log() == ["b crash", "stop a", "start a", "start b"]
    made.crash("a")
    assert made.take_log() == ["a crash", "stop b", "exit shutdown"]


def test_one_for_all_escalation() -> None:
    """A group of which one member cannot be restarted ends the supervisor (41)."""
    made = bench(children("ab"), Strategy.ONE_FOR_ALL, intensity=4)
    made.fail_starts("b")
    made.crash("a")
    made.advance(0)
    log = made.take_log()
    assert log[-1] == "exit shutdown"
    assert log.count("fail b") == 4


def test_one_for_all_other_child_fails_restart() -> None:
    """If the second of a group fails once, the first is stopped and both are started again (42)."""
    made = bench(children("ab"), Strategy.ONE_FOR_ALL)
    made.fail_starts("b", 1)
    made.crash("a")
    assert made.take_log() == ["a crash", "stop b", "start a", "fail b"]
    made.advance(0)
    assert made.take_log() == ["stop a", "start a", "start b"]


def test_rest_for_one() -> None:
    """The child and those after it are replaced; those before are untouched (43)."""
    made = bench(children("abc"), Strategy.REST_FOR_ONE)
    made.crash("b")
    assert made.take_log() == ["b crash", "stop c", "start b", "start c"]


def test_rest_for_one_other_child_fails_restart() -> None:
    """A later child that fails once is retried alone, without restarting the earlier one again (44)."""
    made = bench(children("ab"), Strategy.REST_FOR_ONE)
    made.fail_starts("b", 1)
    made.crash("a")
    made.advance(0)
    assert made.take_log() == ["a crash", "stop b", "start a", "fail b", "start b"]


def test_simple_one_for_one() -> None:
    """One crash leaves other dynamic children alone; too many end the supervisor (45)."""
    made = dynamic("ab")
    made.crash("a")
    assert made.starts == {"a": 2, "b": 1}
    made.crash("b")
    made.crash("a")
    assert made.exit_reason == Shutdown("restart intensity exceeded")


def test_order_of_children() -> None:
    """Start in order, stop in reverse, and the same within a group (46)."""
    made = CoreBench(children("12345"), SupervisorFlags(strategy=Strategy.REST_FOR_ONE)).begin()
    assert made.take_log() == [f"start {n}" for n in "12345"]
    made.crash("3")
    assert made.take_log() == ["3 crash", "stop 5", "stop 4", "start 3", "start 4", "start 5"]
    made.stop()
    assert made.take_log() == [*(f"stop {n}" for n in "54321"), "exit shutdown"]


def test_group_restart_starts_what_was_stopped_by_hand() -> None:
    """A group restart starts every child that is not temporary, also those stopped by hand or ended normally."""
    made = bench([child("a"), child("b"), child("c", TRANSIENT)], Strategy.ONE_FOR_ALL)
    made.call(Verb.TERMINATE, "b")
    made.exits("c", Normal())
    made.take_log()
    made.crash("a")
    assert made.take_log() == ["a crash", "start a", "start b", "start c"]


# Restart loops


def test_hanging_restart_loop() -> None:
    """Calls are served while a restart keeps failing, and terminate_child ends the loop (47)."""
    made = bench(children("ab"), intensity=1000)
    made.fail_starts("a")
    made.crash("a")
    for _ in range(5):
        assert made.tick()
    assert made.add(child("a")) == "already_present"
    assert made.call(Verb.RESTART, "a") == "restarting"
    assert made.call(Verb.DELETE, "a") == "restarting"
    assert made.call(Verb.TERMINATE, "a") == "ok"
    made.take_log()
    made.advance(10)
    assert made.take_log() == []
    made.failures.clear()
    assert made.call(Verb.RESTART, "a") == "ok"


def test_hanging_restart_loop_rest_for_one() -> None:
    """While the middle one cannot restart, the first lives and the last is down (48)."""
    made = bench(children("abc"), Strategy.REST_FOR_ONE, intensity=1000)
    made.fail_starts("b")
    made.crash("b")
    made.tick()
    assert made.counts == [3, 1, 0, 3]
    assert made.alive == {"a"}
    assert made.call(Verb.TERMINATE, "b") == "ok"
    assert made.fates["c"] is Fate.STOPPED
    assert made.call(Verb.RESTART, "c") == "ok"


def test_hanging_restart_loop_stops_promptly() -> None:
    """A supervisor in a restart loop stops at once when it is asked (49)."""
    made = bench(children("ab"), intensity=1000)
    made.fail_starts("a")
    made.crash("a")
    made.take_log()
    made.stop()
    assert made.take_log() == ["stop b", "exit shutdown"]
    assert not made.tick() or made.take_log() == []


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


# Parking and back-off


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


# Significant children


@pytest.mark.parametrize("mode", list(AutoShutdown))
@pytest.mark.parametrize("restart", [TEMPORARY, TRANSIENT])
@pytest.mark.parametrize("reason", [*NORMAL_ENDS, *ABNORMAL_ENDS], ids=str)
def test_nonsignificant(mode: AutoShutdown, restart: Restart, reason: ExitReason) -> None:
    """A child that is not significant never ends its supervisor (53)."""
    made = bench([child("a", restart), child("b")], auto_shutdown=mode)
    made.exits("a", reason)
    assert made.exit_reason is None


@pytest.mark.parametrize("reason", [*NORMAL_ENDS, *ABNORMAL_ENDS], ids=str)
def test_significant_temporary(reason: ExitReason) -> None:
    """any_significant: whatever a temporary significant child ends with ends the supervisor (54)."""
    made = bench([child("a", TEMPORARY, significant=True), child("b")], auto_shutdown=AutoShutdown.ANY_SIGNIFICANT)
    made.exits("a", reason)
    assert made.take_log()[1:] == ["stop b", "exit shutdown"]


def test_significant_transient() -> None:
    """any_significant: a crash restarts, terminate_child changes nothing, a normal end ends the supervisor (54)."""
    made = bench([child("a", TRANSIENT, significant=True), child("b")], auto_shutdown=AutoShutdown.ANY_SIGNIFICANT)
    made.crash("a")
    assert made.exit_reason is None
    assert made.starts["a"] == 2
    made.call(Verb.TERMINATE, "a")
    assert made.exit_reason is None
    made.call(Verb.RESTART, "a")
    made.exits("a", Normal())
    assert made.exit_reason == Shutdown("auto_shutdown")


def test_all_significant() -> None:
    """all_significant: the first end changes nothing, the last one ends the supervisor with the rest (55)."""
    specs = [child(name, TRANSIENT, significant=True) for name in "ab"] + [child("c")]
    made = bench(specs, auto_shutdown=AutoShutdown.ALL_SIGNIFICANT)
    made.exits("a", Normal())
    assert made.exit_reason is None
    made.take_log()
    made.exits("b", Normal())
    assert made.take_log() == ["b normal", "stop c", "exit shutdown"]


@pytest.mark.parametrize("strategy", list(Strategy))
@pytest.mark.parametrize("mode", [AutoShutdown.ANY_SIGNIFICANT, AutoShutdown.ALL_SIGNIFICANT])
@pytest.mark.parametrize("restart", [TEMPORARY, TRANSIENT])
def test_significant_bystander(strategy: Strategy, mode: AutoShutdown, restart: Restart) -> None:
    """A significant child that a sibling's crash took down does not end the supervisor (56)."""
    made = bench([child("a"), child("s", restart, significant=True)], strategy, auto_shutdown=mode)
    made.crash("a")
    assert made.exit_reason is None
    assert "a" in made.alive


def test_significant_upgrade_refused_while_never() -> None:
    """A significant child is refused while auto_shutdown is never (58)."""
    made = bench([])
    assert made.add(child("a", TEMPORARY, significant=True)) == "significant"
    assert made.counts == [0, 0, 0, 0]
