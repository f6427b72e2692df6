"""Scenarios 32 to 52 of OTP's supervisor suite on the pure supervision core."""

from __future__ import annotations

import pytest

from bifrost.actors import (
    ChildStatus,
    DynamicSupervisor,
    ExitReason,
    Killed,
    Normal,
    Shutdown,
    Strategy,
    Supervisor,
    SupervisorFlags,
)
from bifrost.actors.steps import Fate, Verb
from bifrost.testing import CoreBench
from tests.unit.actors.conformance.core_kit import (
    ABNORMAL_ENDS,
    ENDS,
    NORMAL_ENDS,
    TEMPORARY,
    TRANSIENT,
    bench,
    child,
    children,
    dynamic,
)

# Restart types


@pytest.mark.parametrize("reason", ENDS, ids=str)
def test_32_permanent(reason: ExitReason) -> None:
    """A permanent child is restarted whatever it ended with [permanent_normal, _shutdown, _abnormal]."""
    made = bench(children("a"))
    made.exits("a", reason)
    assert made.starts == {"a": 2}
    assert made.fates["a"] is Fate.RESTART


@pytest.mark.parametrize("reason", NORMAL_ENDS, ids=str)
def test_33_transient_normal(reason: ExitReason) -> None:
    """It stays stopped with its specification, and restart_child works [transient_normal, transient_shutdown]."""
    made = bench(children("a", TRANSIENT))
    made.exits("a", reason)
    assert made.starts == {"a": 1}
    assert made.counts == [1, 0, 0, 1]
    assert made.call(Verb.RESTART, "a") == "ok"


@pytest.mark.parametrize("reason", ABNORMAL_ENDS, ids=str)
def test_34_transient_abnormal(reason: ExitReason) -> None:
    """A transient child that ended abnormally is restarted [transient_abnormal]."""
    made = bench(children("a", TRANSIENT))
    made.exits("a", reason)
    assert made.starts == {"a": 2}


@pytest.mark.parametrize("reason", ENDS, ids=str)
def test_35_temporary(reason: ExitReason) -> None:
    """It is gone, and its id is free again [temporary_normal, _shutdown, _abnormal, do_not_save_child_specs_...]."""
    made = bench(children("a", TEMPORARY))
    made.exits("a", reason)
    assert made.counts == [0, 0, 0, 0]
    assert made.fates["a"] is Fate.GONE
    assert made.add(child("a", TEMPORARY)) == "ok"


@pytest.mark.parametrize("strategy", [Strategy.ONE_FOR_ALL, Strategy.REST_FOR_ONE])
def test_36_temporary_bystander(strategy: Strategy) -> None:
    """Taken down by a group restart it does not come back, and the supervisor lives [temporary_bystander]."""
    made = bench([child("a"), child("t", TEMPORARY), child("c")], strategy)
    made.crash("a")
    assert made.take_log() == ["a crash", "stop c", "stop t", "start a", "start c"]
    assert made.counts == [2, 2, 0, 2]


def test_37_crashes_further_apart_than_the_period() -> None:
    """With intensity 1 in 1 s, a crash every 2.1 s is survived for ever [multiple_restarts]."""
    made = bench(children("a"), intensity=1, period=1.0)
    for _ in range(50):
        made.advance(2.1)
        made.crash("a")
    assert made.exit_reason is None
    assert made.starts == {"a": 51}


# Strategies


def test_38_one_for_one() -> None:
    """Only the child that crashed is restarted; the third crash with intensity 2 ends the supervisor [one_for_one]."""
    made = bench(children("ab"))
    made.crash("a")
    made.crash("a")
    assert made.starts == {"a": 3, "b": 1}
    made.take_log()
    made.crash("a")
    assert made.take_log() == ["a crash", "stop b", "exit shutdown"]


def test_39_one_for_one_escalation() -> None:
    """A restart that always fails uses the budget up and takes the healthy sibling with it [one_for_one_escalation]."""
    made = bench(children("ab"), intensity=4)
    made.fail_starts("a")
    made.crash("a")
    made.advance(0)
    assert made.take_log() == ["a crash", *["fail a"] * 4, "stop b", "exit shutdown"]


def test_40_one_for_all() -> None:
    """Both are new after one crash; a group counts once; the third crash ends the supervisor [one_for_all]."""
    made = bench(children("ab"), Strategy.ONE_FOR_ALL)
    made.crash("a")
    assert made.take_log() == ["a crash", "stop b", "start a", "start b"]
    made.crash("b")
    assert made.take_log() == ["b crash", "stop a", "start a", "start b"]
    made.crash("a")
    assert made.take_log() == ["a crash", "stop b", "exit shutdown"]


def test_41_one_for_all_escalation() -> None:
    """A group of which one member cannot be restarted ends the supervisor [one_for_all_escalation]."""
    made = bench(children("ab"), Strategy.ONE_FOR_ALL, intensity=4)
    made.fail_starts("b")
    made.crash("a")
    made.advance(0)
    log = made.take_log()
    assert log[-1] == "exit shutdown"
    assert log.count("fail b") == 4


def test_42_one_for_all_other_child_fails_restart() -> None:
    """If the second fails once, the first is stopped and both start again [one_for_all_other_child_fails_restart]."""
    made = bench(children("ab"), Strategy.ONE_FOR_ALL)
    made.fail_starts("b", 1)
    made.crash("a")
    assert made.take_log() == ["a crash", "stop b", "start a", "fail b"]
    made.advance(0)
    assert made.take_log() == ["stop a", "start a", "start b"]


def test_43_rest_for_one() -> None:
    """The child and those after it are replaced; those before are untouched [rest_for_one]."""
    made = bench(children("abc"), Strategy.REST_FOR_ONE)
    made.crash("b")
    assert made.take_log() == ["b crash", "stop c", "start b", "start c"]


def test_44_rest_for_one_other_child_fails_restart() -> None:
    """A later child that fails once is retried alone; the earlier one is not restarted again.

    [rest_for_one_other_child_fails_restart]
    """
    made = bench(children("ab"), Strategy.REST_FOR_ONE)
    made.fail_starts("b", 1)
    made.crash("a")
    made.advance(0)
    assert made.take_log() == ["a crash", "stop b", "start a", "fail b", "start b"]


def test_45_dynamic() -> None:
    """One crash leaves the others alone; too many end the supervisor [simple_one_for_one, _escalation]."""
    made = dynamic("ab")
    made.crash("a")
    assert made.starts == {"a": 2, "b": 1}
    made.crash("b")
    made.crash("a")
    assert made.exit_reason == Shutdown("restart intensity exceeded")


def test_45_dynamic_child_ignores_at_its_restart() -> None:
    """It is removed, which is no crash [simple_one_for_one_restart_ignore]."""
    made = dynamic("ab", intensity=1)
    made.ignores = {"a"}
    made.crash("a")
    assert made.counts == [1, 1, 0, 1]
    assert made.fates["a"] is Fate.GONE
    made.advance(10)
    assert made.exit_reason is None


def test_46_order_of_children() -> None:
    """Start in list order, stop in reverse, and the same within a group [order_of_children]."""
    made = CoreBench(children("12345"), SupervisorFlags(strategy=Strategy.REST_FOR_ONE)).begin()
    assert made.take_log() == [f"start {n}" for n in "12345"]
    made.crash("3")
    assert made.take_log() == ["3 crash", "stop 5", "stop 4", "start 3", "start 4", "start 5"]
    made.stop()
    assert made.take_log() == [*(f"stop {n}" for n in "54321"), "exit shutdown"]


# Restart loops


def test_47_hanging_restart_loop() -> None:
    """Calls are served while a restart keeps failing, and terminate_child ends the loop [hanging_restart_loop]."""
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


def test_48_hanging_restart_loop_rest_for_one() -> None:
    """While the middle one cannot restart, the first lives and the last is down [hanging_restart_loop_rest_for_one]."""
    made = bench(children("abc"), Strategy.REST_FOR_ONE, intensity=1000)
    made.fail_starts("b")
    made.crash("b")
    made.tick()
    assert made.counts == [3, 1, 0, 3]
    assert made.alive == {"a"}
    assert made.call(Verb.TERMINATE, "b") == "ok"
    assert made.fates["c"] is Fate.STOPPED
    assert made.call(Verb.RESTART, "c") == "ok"


def test_49_stop_during_a_restart_loop() -> None:
    """The supervisor stops at once, and no retry comes after it [hanging_restart_loop, _simple]."""
    for made in (bench(children("ab"), intensity=1000), dynamic("ab", intensity=1000)):
        made.fail_starts("a")
        made.crash("a")
        made.take_log()
        made.stop()
        assert made.take_log() == ["stop b", "exit shutdown"]
        made.advance(10)
        assert made.take_log() == []


# Trees


def test_50_tree() -> None:
    """The lower level trips: all of it comes back, hand-stopped ones too, dynamic grandchildren do not [tree]."""
    tripping = Supervisor.spec("s", [child("b"), child("c")], intensity=0)
    other = Supervisor.spec("t", [child("d")], restart=TRANSIENT)
    made = bench([child("a"), tripping, other, DynamicSupervisor.spec("dyn")], Strategy.ONE_FOR_ALL)
    made.below["s"].add(child("x"))
    made.below["dyn"].add(child("y"))
    assert made.call(Verb.TERMINATE, "t") == "ok"
    made.take_log()
    made.below["s"].crash("b")
    assert made.take_log() == [
        *("s/b crash", "stop s/x", "stop s/c", "s shutdown"),
        *("stop dyn/y", "dyn shutdown", "stop a"),
        *("start a", "start s/b", "start s/c", "start s", "start t/d", "start t", "start dyn"),
    ]
    assert made.below["dyn"].counts == [0, 0, 0, 0]
    assert made.below["s"].counts == [2, 2, 0, 2]


def test_51_middle_supervisor_is_killed() -> None:
    """It and its worker come back [simple_global_supervisor]; the names are the shell's part."""
    made = bench([Supervisor.spec("s", [child("b", name="worker")], name="middle"), child("a")])
    made.kill("s")
    assert made.take_log() == ["stop s/b", "s killed", "start s/b", "start s"]
    assert made.alive == {"s", "a"}
    assert made.below["s"].core.children["b"].spec.name == "worker"


def test_52_started_elsewhere() -> None:
    """A start that fails because the name is taken leaves the supervisor as it was.

    [already_started_outside_supervisor]; the shell turns the error into AlreadyStarted.
    """
    made = bench(children("a"), intensity=0)
    made.fail_starts("b", 1)
    assert made.add(child("b", name="taken")) == "error"
    assert made.counts == [1, 1, 0, 1]
    assert made.core.children["a"].status is ChildStatus.RUNNING
    assert made.exit_reason is None
    assert made.add(child("b", name="taken")) == "ok"


def test_52_killed_children_are_known_as_killed() -> None:
    """A kill is abnormal: a transient child comes back, with its name [already_started_outside_supervisor]."""
    made = bench([child("a", TRANSIENT, name="n"), child("b", TRANSIENT)])
    made.exits("a", Killed())
    made.exits("b", Normal())
    assert made.starts == {"a": 2, "b": 1}
