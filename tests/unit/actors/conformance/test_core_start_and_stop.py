"""Scenarios 1 to 22 of OTP's supervisor suite on the pure supervision core."""

from __future__ import annotations

import pytest

from bifrost.actors import (
    ChildSpec,
    ChildType,
    Crash,
    ExitReason,
    Killed,
    Normal,
    Restart,
    Shutdown,
    StartFailure,
    Strategy,
    Supervisor,
    SupervisorFlags,
    check_child_specs,
)
from bifrost.actors.steps import Fate, Verb
from bifrost.errors import ChildSpecError
from bifrost.testing import CoreBench
from tests.unit.actors.conformance.core_kit import ENDS, NEVER, TEMPORARY, bench, child, children, dynamic

# Start


def test_01_empty_supervisor() -> None:
    """An empty supervisor starts, and exits with shutdown when it is stopped [sup_start_normal]."""
    made = bench([])
    made.stop()
    assert made.exit_reason == Shutdown()


def test_02_supervisor_that_ignores() -> None:
    """A supervisor whose factory says ignore is no failure: nothing runs, nothing restarts [sup_start_ignore_init].

    In bifrost it is the child's factory that says so, for a supervisor as for an actor.
    """
    made = CoreBench([child("s", kind=ChildType.SUPERVISOR), child("a")], SupervisorFlags(intensity=0))
    made.ignores = {"s"}
    made.begin()
    assert made.take_log() == ["ignore s", "start a"]
    assert made.counts == [2, 1, 1, 1]
    assert made.exit_reason is None


def test_03_junk_from_a_factory() -> None:
    """A start that fails for whatever the factory returned ends the supervisor as a start failure.

    [sup_start_error_return]
    """
    made = CoreBench(children("a"))
    made.fail_starts("a")
    made.begin()
    assert isinstance(made.exit_reason, StartFailure)


def test_04_start_that_raises() -> None:
    """The exit carries what was raised, as the cause of an error that names the child [sup_start_fail]."""
    made = CoreBench(children("a"))
    made.fail_starts("a")
    made.begin()
    assert isinstance(made.exit_reason, StartFailure)
    assert "'a' did not start: RuntimeError: a does not start" in str(made.exit_reason.error)


def test_05_permanent_child_ignores() -> None:
    """The specification is kept without a process, and restart_child tries again [sup_start_ignore_child]."""
    made = CoreBench(children("ab"))
    made.ignores = {"a"}
    made.begin()
    assert made.counts == [2, 1, 0, 2]
    assert made.fates["a"] is Fate.STOPPED
    assert made.call(Verb.RESTART, "a") == "ok"
    assert made.counts == [2, 1, 0, 2]
    made.ignores.clear()
    assert made.call(Verb.RESTART, "a") == "ok"
    assert made.counts == [2, 2, 0, 2]


def test_06_temporary_child_ignores() -> None:
    """Static or dynamic, its specification is not kept [sup_start_ignore_temporary_child, _start_child]."""
    made = CoreBench([child("a", TEMPORARY), child("b")])
    made.ignores = {"a", "c"}
    made.begin()
    assert made.counts == [1, 1, 0, 1]
    assert made.add(child("c", TEMPORARY)) == "ok"
    assert made.counts == [1, 1, 0, 1]
    assert made.forgotten == ["a", "c"]


@pytest.mark.parametrize("restart", [Restart.PERMANENT, TEMPORARY])
def test_07_dynamic_child_ignores(restart: Restart) -> None:
    """No entry is left, and a later stop is clean [sup_start_ignore_temporary_child_start_child_simple]."""
    made = dynamic()
    made.ignores = {"a"}
    assert made.add(child("a", restart)) == "ok"
    assert made.counts == [0, 0, 0, 0]
    made.stop()
    assert made.exit_reason == Shutdown()


def test_08_start_child_fails() -> None:
    """The caller gets the error, no specification is kept, nothing is counted [sup_start_child_returns_error]."""
    for made in (bench([], intensity=0), dynamic(intensity=0)):
        made.fail_starts("a")
        assert made.add(child("a")) == "error"
        assert str(made.last_reply.error) == "a does not start"
        assert made.counts == [0, 0, 0, 0]
        assert made.starts == {"a": 1}
        assert made.exit_reason is None


def test_09_restart_child_fails() -> None:
    """The caller gets the error and the child stays stopped [sup_start_restart_child_returns_error]."""
    made = bench(children("a"))
    assert made.call(Verb.TERMINATE, "a") == "ok"
    made.fail_starts("a", 1)
    assert made.call(Verb.RESTART, "a") == "error"
    assert made.counts == [1, 0, 0, 1]
    assert made.fates["a"] is Fate.STOPPED
    assert made.call(Verb.RESTART, "a") == "ok"


def test_10_defaults_read_back() -> None:
    """Permanent, 5 s for a worker and infinity for a supervisor, not significant [sup_start_map]."""
    row = bench([ChildSpec(id="a", start=object), Supervisor.spec("s")]).core.children
    worker, supervisor = row["a"].spec, row["s"].spec
    assert (worker.restart, worker.shutdown, worker.type) == (Restart.PERMANENT, 5.0, ChildType.WORKER)
    assert (supervisor.restart, supervisor.shutdown) == (Restart.PERMANENT, float("inf"))
    assert supervisor.type is ChildType.SUPERVISOR
    assert not worker.significant
    assert row.get("x") is None


def test_11_faulty_specs() -> None:
    """No id, no start, no specification at all, or a field that does not exist: refused [sup_start_map_faulty_specs].

    OTP tolerates unknown keys; in bifrost a misspelt field is an error.
    """
    for faulty in ({"start": object}, {"id": "a"}, {"id": "a", "start": object, "shutdwon": 3}):
        with pytest.raises(TypeError, match="argument"):
            ChildSpec(**faulty)
    for wrong in ("", "a/b", 7):
        with pytest.raises(ChildSpecError, match="child id"):
            ChildSpec(id=wrong, start=object)  # type: ignore[arg-type]  # the mistake under test
    with pytest.raises(ChildSpecError, match="expected a ChildSpec, got 'a'"):
        CoreBench(["a"])  # type: ignore[list-item]  # the mistake under test


@pytest.mark.parametrize(
    ("field", "value", "text"),
    [
        ("restart", "permanent", "restart must be of type Restart"),
        ("shutdown", -1, "shutdown must be seconds >= 0"),
        ("shutdown", True, "shutdown must be seconds >= 0"),
        ("type", "worker", "type must be of type ChildType"),
        ("significant", 1, "significant must be of type bool"),
        ("start", "object", "start must be a class or function"),
        ("args", [1], "args must be of type tuple"),
        ("kwargs", [1], "kwargs must be of type Mapping"),
        ("mailbox", 7, "mailbox must be of type Mailbox"),
        ("backoff", 7, "backoff must be of type"),
        ("start_timeout", 0, "start_timeout must be finite seconds > 0"),
        ("start_timeout", float("inf"), "start_timeout must be finite seconds > 0"),
        ("drain", None, "drain must be of type bool"),
        ("name", "", "name must be a non-empty string or None"),
    ],
)
def test_12_wrong_fields(field: str, value: object, text: str) -> None:
    """Each wrong field has its own error, before a supervisor sees it [child_specs]."""
    with pytest.raises(ChildSpecError, match=text):
        ChildSpec(**{"id": "a", "start": object, field: value})  # type: ignore[arg-type]  # the mistake under test


def test_12_specs_that_do_not_go_together() -> None:
    """Two equal ids or names, a permanent significant child, one under never: refused by the check [child_specs]."""
    with pytest.raises(ChildSpecError, match="'a' is used twice"):
        check_child_specs(children("aa"))
    with pytest.raises(ChildSpecError, match="the name 'n' is used twice"):
        check_child_specs([child("a", name="n"), child("b", name="n")])
    with pytest.raises(ChildSpecError, match="permanent child cannot be significant"):
        child("a", significant=True)
    significant = [child("a", TEMPORARY, significant=True)]
    assert check_child_specs(significant) == tuple(significant)
    with pytest.raises(ChildSpecError, match="auto_shutdown is never"):
        check_child_specs(significant, auto_shutdown=NEVER)


@pytest.mark.parametrize(
    "flags",
    [
        {"strategy": "one_for_one"},
        {"intensity": float("inf")},
        {"intensity": -1},
        {"period": 0},
        {"period": float("inf")},
        {"auto_shutdown": "never"},
        {"max_children": -1},
        {"max_children": 1.5},
    ],
    ids=str,
)
def test_13_wrong_flags(flags: dict[str, object]) -> None:
    """A wrong strategy, intensity or period refuses the start [sup_flags]."""
    with pytest.raises(ChildSpecError, match=f"{next(iter(flags))} must be"):
        SupervisorFlags(**flags)  # type: ignore[arg-type]  # the mistake under test


def test_14_dynamic_supervisor_with_a_plan() -> None:
    """A dynamic supervisor with another strategy than one_for_one is refused [child_specs].

    OTP's has exactly one template; bifrost's has none, and gets a whole specification with each child.
    """
    with pytest.raises(ChildSpecError, match="a dynamic supervisor is one_for_one"):
        SupervisorFlags(dynamic=True, strategy=Strategy.REST_FOR_ONE)
    made = dynamic()
    assert made.change(children("a")) == "error"
    assert "no list of children" in str(made.last_reply.error)


def test_15_static_child_fails_at_boot() -> None:
    """Those that have started stop in reverse, and the error names the child [faulty_application_shutdown]."""
    made = CoreBench(children("abcd"))
    made.fail_starts("c")
    made.begin()
    assert made.take_log() == ["start a", "start b", "fail c", "stop b", "stop a", "exit startfailure"]
    assert isinstance(made.exit_reason, StartFailure)
    assert "'c'" in str(made.exit_reason.error)


# Stop


def test_16_infinity() -> None:
    """However long they take, each child of either type is waited for [sup_stop_infinity]."""
    made = bench([child("w", shutdown=float("inf")), child("s", kind=ChildType.SUPERVISOR)])
    made.slow_stops = {"w", "s"}
    made.stop()
    made.advance(1e6)
    assert made.take_log() == ["stop s"]
    made.stopped("s")
    made.advance(1e6)
    assert made.take_log() == ["stop w"]
    made.stopped("w")
    assert made.exit_reason == Shutdown()


def test_17_one_ignores_its_shutdown() -> None:
    """A child that had to be killed delays the others and changes nothing for them [sup_stop_timeout].

    The core leaves the deadline to the shell and goes on when the child has ended, whatever with.
    """
    for made in (bench(children("ab")), dynamic("ab")):
        made.slow_stops = {"b"}
        made.stop()
        made.stopped("b", Killed())
        assert made.take_log()[0] == "stop b"
        assert made.exit_reason == Shutdown()


def test_18_brutal_kill() -> None:
    """One static child, or ten dynamic ones, that end as killed end the stop [sup_stop_brutal_kill, _dynamic]."""
    ten = "0123456789"
    for made, names in ((bench(children("a")), "a"), (dynamic(ten), ten)):
        made.stop_reasons = dict.fromkeys(names, Killed())
        made.stop()
        assert made.exit_reason == Shutdown()


@pytest.mark.parametrize("restart", list(Restart))
@pytest.mark.parametrize("reason", ENDS, ids=str)
def test_19_children_end_while_the_supervisor_stops(restart: Restart, reason: ExitReason) -> None:
    """A child that ends by itself meanwhile is not restarted, and the supervisor exits shutdown [sup_stop_race]."""
    made = bench([child("a", restart), child("b")])
    made.slow_stops = {"b"}
    made.stop()
    made.exits("a", reason)
    made.stopped("b")
    assert made.exit_reason == Shutdown()
    assert made.starts == {"a": 1, "b": 1}


def test_20_mixed_reasons() -> None:
    """Dynamic children that end for all sorts of reasons let the stop complete [sup_stop_non_shutdown_exit_dynamic]."""
    made = dynamic("abc")
    made.stop_reasons = {"a": Crash(RuntimeError()), "b": Normal()}
    made.stop()
    assert made.exit_reason == Shutdown()


def test_21_dynamic_children_stop_in_parallel() -> None:
    """All are asked to stop before the first has stopped [simple_one_for_one_shutdown]."""
    made = dynamic("abc")
    made.slow_stops = {"a", "b", "c"}
    made.stop()
    assert sorted(made.take_log()) == ["stop a", "stop b", "stop c"]
    for name in "bca":
        assert made.exit_reason is None
        made.stopped(name)
    assert made.exit_reason == Shutdown()


def test_22_child_that_goes_its_own_way() -> None:
    """terminate_child returns although the child ends by itself meanwhile, and the next call is served [child_unlink].

    There is no link in bifrost that a child could take away: its end always reaches the supervisor.
    """
    made = bench(children("ab"))
    made.slow_stops = {"a"}
    assert made.call(Verb.TERMINATE, "a") == "pending"
    made.exits("a", Normal())
    assert made.answer(1) == "ok"
    assert made.call(Verb.TERMINATE, "b") == "ok"
    assert made.counts == [2, 0, 0, 2]
