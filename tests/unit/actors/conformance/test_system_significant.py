"""Scenarios 53 to 58 of OTP's supervisor suite on the running system, in virtual time."""

from __future__ import annotations

import pytest

from bifrost.actors import (
    ActorState,
    ActorSystem,
    AutoShutdown,
    ChildSpec,
    DynamicSupervisor,
    ExitReason,
    Normal,
    Restart,
    Strategy,
    Supervisor,
)
from bifrost.errors import ChildSpecError
from tests.unit.actors.conformance.system_kit import (
    ALL,
    ANY,
    BOOM,
    ENDS,
    NEVER,
    NORMAL_ENDS,
    TEMPORARY,
    TRANSIENT,
    end,
    gave_up,
    is_up,
    turn,
    worker,
    workers,
)


def under(
    auto_shutdown: AutoShutdown, specs: list[ChildSpec], strategy: Strategy = Strategy.ONE_FOR_ONE
) -> ActorSystem:
    """A system in which a supervisor stands alone; it is temporary, so its end is seen in its state."""
    inner = Supervisor.spec("s", specs, auto_shutdown=auto_shutdown, strategy=strategy, restart=TRANSIENT)
    return ActorSystem("root", [inner])


@pytest.mark.parametrize("mode", list(AutoShutdown))
@pytest.mark.parametrize("restart", [TEMPORARY, TRANSIENT])
@pytest.mark.parametrize("reason", ENDS, ids=str)
async def test_53_nonsignificant(mode: AutoShutdown, restart: Restart, reason: ExitReason) -> None:
    """A child that is not significant never ends its supervisor [nonsignificant_temporary, _transient]."""
    async with under(mode, [worker("a", restart), worker("b")]) as system:
        await end(system.ref("s/a"), reason)
        assert is_up(system.ref("s"))
        assert system.ref("s/b").incarnation == 1


@pytest.mark.parametrize("reason", ENDS, ids=str)
async def test_54_any_significant_temporary(reason: ExitReason) -> None:
    """Whatever a temporary significant child ends with ends the supervisor [significant_temporary]."""
    async with under(ANY, [worker("a", TEMPORARY, significant=True), worker("b")]) as system:
        other = system.ref("s/b")
        await end(system.ref("s/a"), reason)
        assert not is_up(system.ref("s"))
        assert not is_up(other)


async def test_54_any_significant_transient() -> None:
    """A crash restarts, terminate_child changes nothing, a normal end ends the supervisor [significant_transient]."""
    async with under(ANY, [worker("a", TRANSIENT, significant=True), worker("b")]) as system:
        ref, supervisor = system.ref("s/a"), system.supervisor("s")
        ref.tell(BOOM)
        await turn()
        assert (ref.state, ref.incarnation) == (ActorState.RUNNING, 2)
        await supervisor.terminate_child("a")
        assert is_up(supervisor)
        await supervisor.restart_child("a")
        await end(ref, Normal())
        assert not is_up(supervisor)


@pytest.mark.parametrize("restart", [TEMPORARY, TRANSIENT])
async def test_55_all_significant(restart: Restart) -> None:
    """The first end changes nothing, the last one ends the supervisor with the rest.

    [significant_temporary, significant_transient]
    """
    specs = [worker(name, restart, significant=True) for name in "ab"] + [worker("c")]
    async with under(ALL, specs) as system:
        other, last = system.ref("s/c"), system.ref("s/b")
        await end(system.ref("s/a"), Normal())
        assert is_up(system.ref("s"))
        await end(last, Normal())
        assert not is_up(system.ref("s"))
        assert not is_up(other)


@pytest.mark.parametrize("strategy", list(Strategy))
@pytest.mark.parametrize("mode", [ANY, ALL])
@pytest.mark.parametrize("restart", [TEMPORARY, TRANSIENT])
async def test_56_significant_bystander(strategy: Strategy, mode: AutoShutdown, restart: Restart) -> None:
    """A significant child that a sibling's crash took down does not end the supervisor [significant_bystander]."""
    async with under(mode, [worker("a"), worker("b", restart, significant=True)], strategy) as system:
        await end(system.ref("s/a"), ENDS[0])
        assert is_up(system.ref("s"))
        assert (system.ref("s/a").state, system.ref("s/a").incarnation) == (ActorState.RUNNING, 2)


@pytest.mark.parametrize("significant", [True, False])
async def test_57_significant_escalation(*, significant: bool) -> None:
    """A supervisor that shuts itself down takes its own with it if it is significant there [significant_escalation]."""
    leaf = worker("leaf", TRANSIENT, significant=True)
    inner = Supervisor.spec("b", [leaf], auto_shutdown=ANY, restart=TRANSIENT, significant=significant)
    system = ActorSystem("a", [inner, worker("other")], auto_shutdown=ANY)
    error = await gave_up(system, lambda running: end(running.ref("b/leaf"), Normal()))
    assert (error is not None) is significant
    if error is not None:
        assert "auto_shutdown" in str(error)


async def test_58_dynamic_supervisors_have_no_auto_shutdown() -> None:
    """auto_shutdown on a dynamic supervisor is refused, and so is a significant child [significant_simple]."""
    with pytest.raises(TypeError, match="auto_shutdown"):
        DynamicSupervisor.spec("d", auto_shutdown=ANY)  # type: ignore[call-arg]  # the mistake under test
    async with ActorSystem(children=[DynamicSupervisor.spec("d")]) as system:
        with pytest.raises(ChildSpecError, match="no auto_shutdown"):
            await system.supervisor("d").change(auto_shutdown=ANY)
        with pytest.raises(ChildSpecError, match="auto_shutdown is never"):
            await system.supervisor("d").start_child(worker("a", TEMPORARY, significant=True))


async def test_58_significant_child_under_never() -> None:
    """start_child and replace_child refuse it, and nothing is stopped [significant_upgrade_never_any and the like]."""
    async with ActorSystem(children=workers("a")) as system:
        with pytest.raises(ChildSpecError, match="auto_shutdown is never"):
            await system.start_child(worker("b", TEMPORARY, significant=True))
        with pytest.raises(ChildSpecError, match="auto_shutdown is never"):
            await system.root.replace_child(worker("a", TEMPORARY, significant=True))
        assert system.ref("a").incarnation == 1


@pytest.mark.parametrize("reason", NORMAL_ENDS, ids=str)
async def test_58_change_of_auto_shutdown(reason: ExitReason) -> None:
    """It takes effect at the next end of a child, in every direction [significant_upgrade_...]."""
    async with under(ALL, [worker(name, TEMPORARY, significant=True) for name in "abcd"]) as system:
        supervisor = system.supervisor("s")
        await end(system.ref("s/a"), reason)
        with pytest.raises(ChildSpecError):
            await supervisor.change(auto_shutdown=NEVER)
        await supervisor.change([], auto_shutdown=NEVER)
        await end(system.ref("s/b"), reason)
        assert is_up(supervisor)
        await supervisor.change(auto_shutdown=ANY)
        await turn()
        assert is_up(supervisor)
        await end(system.ref("s/c"), reason)
        assert not is_up(supervisor)
