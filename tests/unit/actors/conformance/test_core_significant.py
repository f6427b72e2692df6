"""Scenarios 53 to 58 of OTP's supervisor suite on the pure supervision core."""

from __future__ import annotations

import pytest

from bifrost.actors import (
    AutoShutdown,
    ExitReason,
    Normal,
    Restart,
    Shutdown,
    Strategy,
    Supervisor,
    SupervisorFlags,
)
from bifrost.actors.steps import Verb
from bifrost.errors import ChildSpecError
from tests.unit.actors.conformance.core_kit import (
    ABNORMAL_ENDS,
    ALL,
    ANY,
    ENDS,
    NEVER,
    NORMAL_ENDS,
    TEMPORARY,
    TRANSIENT,
    bench,
    child,
    children,
    dynamic,
)


@pytest.mark.parametrize("mode", list(AutoShutdown))
@pytest.mark.parametrize("restart", [TEMPORARY, TRANSIENT])
@pytest.mark.parametrize("reason", ENDS, ids=str)
def test_53_nonsignificant(mode: AutoShutdown, restart: Restart, reason: ExitReason) -> None:
    """A child that is not significant never ends its supervisor [nonsignificant_temporary, _transient]."""
    made = bench([child("a", restart), child("b")], auto_shutdown=mode)
    made.exits("a", reason)
    assert made.exit_reason is None


@pytest.mark.parametrize("reason", ENDS, ids=str)
def test_54_any_significant_temporary(reason: ExitReason) -> None:
    """Whatever a temporary significant child ends with ends the supervisor [significant_temporary]."""
    made = bench([child("a", TEMPORARY, significant=True), child("b")], auto_shutdown=ANY)
    made.exits("a", reason)
    assert made.take_log()[1:] == ["stop b", "exit shutdown"]


def test_54_any_significant_transient() -> None:
    """A crash restarts, terminate_child changes nothing, a normal end ends the supervisor [significant_transient]."""
    made = bench([child("a", TRANSIENT, significant=True), child("b")], auto_shutdown=ANY)
    made.crash("a")
    assert made.exit_reason is None
    assert made.starts["a"] == 2
    made.call(Verb.TERMINATE, "a")
    assert made.exit_reason is None
    made.call(Verb.RESTART, "a")
    made.exits("a", Normal())
    assert made.exit_reason == Shutdown("auto_shutdown")


@pytest.mark.parametrize("restart", [TEMPORARY, TRANSIENT])
def test_55_all_significant(restart: Restart) -> None:
    """The first end changes nothing, the last one ends the supervisor with the rest.

    [significant_temporary, significant_transient]
    """
    specs = [child(name, restart, significant=True) for name in "ab"] + [child("c")]
    made = bench(specs, auto_shutdown=ALL)
    made.exits("a", Normal())
    assert made.exit_reason is None
    made.take_log()
    made.exits("b", Normal())
    assert made.take_log() == ["b normal", "stop c", "exit shutdown"]


def test_55_a_child_in_a_restart_loop_is_not_at_its_end() -> None:
    """all_significant waits for one that is to run again [significant_transient]."""
    specs = [child(name, TRANSIENT, significant=True) for name in "ab"]
    made = bench(specs, auto_shutdown=ALL, intensity=100)
    made.fail_starts("a")
    made.crash("a")
    made.exits("b", Normal())
    assert made.exit_reason is None
    made.failures.clear()
    made.advance(0)
    made.exits("a", Normal())
    assert made.exit_reason == Shutdown("auto_shutdown")


@pytest.mark.parametrize("strategy", list(Strategy))
@pytest.mark.parametrize("mode", [ANY, ALL])
@pytest.mark.parametrize("restart", [TEMPORARY, TRANSIENT])
def test_56_significant_bystander(strategy: Strategy, mode: AutoShutdown, restart: Restart) -> None:
    """A significant child that a sibling's crash took down does not end the supervisor [significant_bystander]."""
    made = bench([child("a"), child("s", restart, significant=True)], strategy, auto_shutdown=mode)
    made.crash("a")
    assert made.exit_reason is None
    assert "a" in made.alive


@pytest.mark.parametrize("significant", [True, False])
def test_57_significant_escalation(*, significant: bool) -> None:
    """A supervisor that shuts itself down takes its own with it if it is significant there.

    [significant_escalation]
    """
    leaf = child("leaf", TRANSIENT, significant=True)
    inner = Supervisor.spec("b", [leaf], auto_shutdown=ANY, restart=TRANSIENT, significant=significant)
    made = bench([inner, child("other")], auto_shutdown=ANY)
    made.below["b"].exits("leaf", Normal())
    log = made.take_log()
    assert log[:2] == ["b/leaf normal", "b shutdown"]
    assert log[2:] == (["stop other", "exit shutdown"] if significant else [])


def test_58_dynamic_supervisors_have_no_auto_shutdown() -> None:
    """auto_shutdown on a dynamic supervisor is refused, and so is a significant child [significant_simple]."""
    with pytest.raises(ChildSpecError, match="no auto_shutdown"):
        SupervisorFlags(dynamic=True, auto_shutdown=ANY)
    made = dynamic()
    assert made.change(auto_shutdown=ANY) == "error"
    assert made.add(child("a", TEMPORARY, significant=True)) == "significant"


def test_58_significant_child_under_never() -> None:
    """start_child and replace_child refuse it [significant_upgrade_never_any and the like]."""
    made = bench(children("a"))
    assert made.add(child("b", TEMPORARY, significant=True)) == "significant"
    assert made.replace(child("a", TEMPORARY, significant=True)) == "significant"
    assert made.counts == [1, 1, 0, 1]
    assert made.take_log() == []


@pytest.mark.parametrize("reason", [*NORMAL_ENDS, *ABNORMAL_ENDS], ids=str)
def test_58_change_of_auto_shutdown(reason: ExitReason) -> None:
    """It takes effect at the next end of a child, in every direction [significant_upgrade_...]."""
    specs = [child(name, TEMPORARY, significant=True) for name in "abcd"]
    made = bench(specs, auto_shutdown=ALL)
    made.exits("a", reason)
    assert made.exit_reason is None
    assert made.change(auto_shutdown=NEVER) == "error"
    assert made.change([], auto_shutdown=NEVER) == "ok"
    made.exits("b", reason)
    assert made.exit_reason is None
    assert made.change(auto_shutdown=ANY) == "ok"
    assert made.exit_reason is None
    made.exits("c", reason)
    assert made.exit_reason == Shutdown("auto_shutdown")
