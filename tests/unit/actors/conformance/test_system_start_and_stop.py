"""Scenarios 1 to 22 of OTP's supervisor suite on the running system, in virtual time."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from bifrost.actors import (
    BRUTAL_KILL,
    INFINITY,
    ActorState,
    ActorSystem,
    ChildSpec,
    ChildType,
    DynamicSupervisor,
    ExitReason,
    Restart,
    Supervisor,
)
from bifrost.errors import ActorStopped, ChildNotFound, ChildSpecError, StartFailed
from bifrost.testing import EventLog
from tests.unit.actors.conformance.system_kit import (
    BOOM,
    ENDS,
    PERMANENT,
    TEMPORARY,
    Factory,
    Worker,
    counts,
    end,
    finish,
    hang,
    took,
    turn,
    worker,
    workers,
)

# Start


async def test_01_empty_supervisor() -> None:
    """An empty supervisor starts, and stops with shutdown [sup_start_normal]."""
    system = ActorSystem("root", [Supervisor.spec("s")])
    log = EventLog(system)
    async with system:
        assert log.take() == ["supervisor started s", "supervisor started root"]
    assert log.take() == ["supervisor stopped s shutdown", "supervisor stopped root shutdown"]


async def test_02_supervisor_that_ignores() -> None:
    """A supervisor whose factory says ignore does not run, and nobody is told of a failure [sup_start_ignore_init]."""
    spec = worker("s", start=Factory(ignores=True), type=ChildType.SUPERVISOR)
    system = ActorSystem("root", [spec, worker("a")], intensity=0)
    log = EventLog(system)
    async with system:
        assert log.take() == ["ignored s", "started a", "supervisor started root"]
        assert system.ref("s").state is ActorState.STOPPED
        assert counts(system.root) == [2, 1, 1, 1]


async def test_03_junk_from_a_factory() -> None:
    """A factory that returns no actor is a failed start; the host is told, not killed [sup_start_error_return]."""
    with pytest.raises(StartFailed, match="start must return an Actor, got 42"):
        async with ActorSystem(children=[ChildSpec(id="a", start=lambda: 42)]):
            pytest.fail("the block must not run")


async def test_04_start_that_raises() -> None:
    """The error carries what the factory or `on_start` raised, with its trace [sup_start_fail]."""

    class Broken(Worker):
        async def on_start(self) -> object:
            raise BOOM

    for start in (Broken, Factory(failures=1)):
        with pytest.raises(StartFailed) as caught:
            async with ActorSystem(children=[worker("a", start=start)]):
                pytest.fail("the block must not run")
        assert caught.value.cause is not None
        assert caught.value.cause.__traceback__ is not None


async def test_05_permanent_child_ignores() -> None:
    """The specification is kept without a process, and restart_child tries again [sup_start_ignore_child]."""
    start = Factory(ignores=True)
    async with ActorSystem(children=[worker("a", start=start), worker("b")], intensity=0) as system:
        assert counts(system.root) == [2, 1, 0, 2]
        with pytest.raises(ActorStopped):
            await system.ref("a").ask("hello")
        ref = await system.root.restart_child("a")
        assert ref.state is ActorState.STOPPED
        start.ignores = False
        assert await (await system.root.restart_child("a")).ask("hello") == "hello"
        assert counts(system.root) == [2, 2, 0, 2]


async def test_06_temporary_child_ignores() -> None:
    """Static or dynamic, its specification is not kept [sup_start_ignore_temporary_child, _start_child]."""
    start = Factory(ignores=True)
    async with ActorSystem(children=[worker("a", TEMPORARY, start), worker("b")]) as system:
        assert counts(system.root) == [1, 1, 0, 1]
        ref = await system.start_child(worker("c", TEMPORARY, start))
        assert ref.state is ActorState.STOPPED
        assert counts(system.root) == [1, 1, 0, 1]
        with pytest.raises(ChildNotFound):
            await system.root.restart_child("c")


@pytest.mark.parametrize("restart", [PERMANENT, TEMPORARY])
async def test_07_dynamic_child_ignores(restart: Restart) -> None:
    """No entry is left, and the stop is clean [sup_start_ignore_temporary_child_start_child_simple]."""
    async with ActorSystem(children=[DynamicSupervisor.spec("d")]) as system:
        ref = await system.supervisor("d").start_child(worker("a", restart, Factory(ignores=True)))
        assert ref.state is ActorState.STOPPED
        assert counts(system.supervisor("d")) == [0, 0, 0, 0]
        assert (await system.stop()).clean


async def test_08_start_child_fails() -> None:
    """The caller gets the cause, no specification is kept, nothing is counted [sup_start_child_returns_error]."""
    async with ActorSystem(children=[DynamicSupervisor.spec("d", intensity=0)], intensity=0) as system:
        for supervisor in (system.root, system.supervisor("d")):
            before = counts(supervisor)
            with pytest.raises(StartFailed, match="OSError: no such port") as caught:
                await supervisor.start_child(worker("a", start=Factory(failures=1)))
            assert isinstance(caught.value.cause, OSError)
            with pytest.raises(StartFailed, match="start must return an Actor"):
                await supervisor.start_child(ChildSpec(id="a", start=lambda: 42))
            assert counts(supervisor) == before


async def test_09_restart_child_fails() -> None:
    """The caller gets the cause and the child stays stopped [sup_start_restart_child_returns_error]."""
    start = Factory()
    async with ActorSystem(children=[worker("a", start=start)]) as system:
        await system.root.terminate_child("a")
        start.failures = 1
        with pytest.raises(StartFailed, match="no such port"):
            await system.root.restart_child("a")
        assert system.ref("a").state is ActorState.STOPPED
        assert counts(system.root) == [1, 0, 0, 1]
        await system.root.restart_child("a")
        assert await system.ref("a").ask("ok") == "ok"


async def test_10_defaults_read_back() -> None:
    """get_child_spec gives the specification with its defaults; an unknown id is not found [sup_start_map]."""
    async with ActorSystem(children=[ChildSpec(id="a", start=Worker), Supervisor.spec("s")]) as system:
        spec = system.root.get_child_spec("a")
        assert (spec.restart, spec.shutdown, spec.type, spec.significant) == (PERMANENT, 5.0, ChildType.WORKER, False)
        spec = system.root.get_child_spec("s")
        assert (spec.restart, spec.shutdown, spec.type) == (PERMANENT, INFINITY, ChildType.SUPERVISOR)
        with pytest.raises(ChildNotFound):
            system.root.get_child_spec("x")


async def test_11_faulty_specs() -> None:
    """What is no specification is refused, and the supervisor goes on [sup_start_map_faulty_specs]."""
    async with ActorSystem(children=workers("a")) as system:
        for junk in ("a", None, {"id": "a"}):
            with pytest.raises(ChildSpecError, match="expected a ChildSpec"):
                await system.start_child(junk)  # type: ignore[arg-type]  # the mistake under test
            with pytest.raises(ChildSpecError, match="expected a ChildSpec"):
                await system.root.replace_child(junk)  # type: ignore[arg-type]  # the mistake under test
        assert counts(system.root) == [1, 1, 0, 1]
    with pytest.raises(ChildSpecError, match="expected a ChildSpec"):
        ActorSystem(children=["junk"])  # type: ignore[list-item]  # the mistake under test


async def test_12_specs_that_do_not_go_together() -> None:
    """Duplicate ids and a significant child under never are refused at once and by start_child [child_specs]."""
    with pytest.raises(ChildSpecError, match="used twice"):
        ActorSystem(children=workers("aa"))
    with pytest.raises(ChildSpecError, match="used twice"):
        Supervisor.spec("s", workers("aa"))
    significant = worker("a", TEMPORARY, significant=True)
    with pytest.raises(ChildSpecError, match="auto_shutdown is never"):
        Supervisor.spec("s", [significant])
    async with ActorSystem() as system:
        with pytest.raises(ChildSpecError, match="auto_shutdown is never"):
            await system.start_child(significant)


@pytest.mark.parametrize("flags", [{"strategy": "x"}, {"intensity": INFINITY}, {"period": 0}, {"period": INFINITY}])
async def test_13_wrong_flags(flags: dict[str, Any]) -> None:
    """No supervisor and no system is made with them [sup_flags]."""
    for make in (ActorSystem, lambda **wrong: Supervisor.spec("s", **wrong)):
        with pytest.raises(ChildSpecError):
            make(**flags)


async def test_14_dynamic_supervisor_with_a_plan() -> None:
    """A dynamic supervisor takes no list of children, at its start or later [child_specs]."""
    with pytest.raises(TypeError, match="children"):
        DynamicSupervisor.spec("d", children=workers("a"))  # type: ignore[call-arg]  # the mistake under test
    async with ActorSystem(children=[DynamicSupervisor.spec("d")]) as system:
        with pytest.raises(ChildSpecError, match="no list of children"):
            await system.supervisor("d").change(workers("a"))
        assert counts(system.supervisor("d")) == [0, 0, 0, 0]


async def test_15_static_child_fails_at_boot() -> None:
    """Those that have started stop in reverse; the error names child and cause [faulty_application_shutdown]."""
    system = ActorSystem(children=[*workers("ab"), worker("c", start=Factory(failures=1)), worker("d")])
    log = EventLog(system)
    with pytest.raises(StartFailed, match="'c' did not start: OSError: no such port") as caught:
        async with system:
            pytest.fail("the block must not run")
    assert caught.value.child_id == "c"
    assert isinstance(caught.value.cause, OSError)
    assert caught.value.__cause__ is caught.value.cause  # the traceback shows the line of the child
    assert log.take()[:5] == ["started a", "started b", "start failed c", "stopped b shutdown", "stopped a shutdown"]


# Stop


async def test_16_infinity() -> None:
    """A slow stop is waited for, of a worker and of a supervisor [sup_stop_infinity]."""
    slow = worker("a", stop_takes=25, shutdown=INFINITY)
    system = ActorSystem("root", [slow, Supervisor.spec("s", [slow])], stop_timeout=60)
    log = EventLog(system)
    with took(50, 50.1):
        async with system:
            log.take()
    assert log.take() == [
        *("stopped s/a shutdown", "supervisor stopped s shutdown", "stopped a shutdown"),
        "supervisor stopped root shutdown",
    ]


@pytest.mark.parametrize("kind", [Supervisor, DynamicSupervisor])
async def test_17_one_ignores_its_shutdown(kind: type[Supervisor | DynamicSupervisor]) -> None:
    """Beyond its 1 s it is killed, and the other one ends with shutdown [sup_stop_timeout]."""
    system = ActorSystem(children=[kind.spec("s")])
    log = EventLog(system)
    with took(1, 1.2):
        async with system:
            await system.supervisor("s").start_child(worker("a"))
            stubborn = await system.supervisor("s").start_child(worker("b", shutdown=1.0))
            stubborn.tell(hang)
            await turn()
            log.take()
    stops = [line for line in log.take() if line.startswith("stopped")]
    assert sorted(stops) == ["stopped s/a shutdown", "stopped s/b killed"]


async def test_18_brutal_kill() -> None:
    """A busy child, and ten dynamic ones, are killed without a grace [sup_stop_brutal_kill, _dynamic]."""
    system = ActorSystem(children=[worker("a", shutdown=BRUTAL_KILL), DynamicSupervisor.spec("d")])
    log = EventLog(system)
    with took(0, 0.5):
        async with system:
            system.ref("a").tell(hang)
            for n in range(10):
                ref = await system.supervisor("d").start_child(worker(f"k{n}", shutdown=BRUTAL_KILL))
                ref.tell(hang)
            await turn()
            log.take()
    killed = sorted(line for line in log.take() if line.endswith("killed"))
    assert killed == ["stopped a killed", *(f"stopped d/k{n} killed" for n in range(10))]


@pytest.mark.parametrize("restart", list(Restart))
@pytest.mark.parametrize("reason", ENDS, ids=str)
async def test_19_children_end_while_the_supervisor_stops(restart: Restart, reason: ExitReason) -> None:
    """A child that ends by itself meanwhile is not restarted, and keeps its reason [sup_stop_race]."""
    system = ActorSystem("root", [worker("a", restart), worker("slow", stop_takes=3)])
    log = EventLog(system)
    async with system:
        stop = asyncio.create_task(system.stop())
        await turn(1)
        log.take()
        await end(system.ref("a"), reason)
        await stop
    lines = [line for line in log.take() if line.startswith(("stopped", "restarted", "supervisor"))]
    word = type(reason).__name__.lower()
    assert lines == [f"stopped a {word}", "stopped slow shutdown", "supervisor stopped root shutdown"]


async def test_20_mixed_reasons() -> None:
    """Dynamic children that end for all sorts of reasons let the stop complete [sup_stop_non_shutdown_exit_dynamic]."""

    class Bitter(Worker):
        async def on_stop(self, reason: ExitReason) -> None:
            raise BOOM

    async with ActorSystem(children=[DynamicSupervisor.spec("d")]) as system:
        supervisor = system.supervisor("d")
        await supervisor.start_child(worker("bitter", start=Bitter))
        (await supervisor.start_child(worker("stubborn", shutdown=1.0))).tell(hang)
        (await supervisor.start_child(worker("leaving"))).tell(finish)
        (await supervisor.start_child(worker("crashing"))).tell(BOOM)
        with took(1, 1.5):
            assert (await system.stop()).clean


async def test_21_dynamic_children_stop_in_parallel() -> None:
    """Children that need 1, 1 and 5 s, with a limit of 2 s, take 2 s together [simple_one_for_one_shutdown]."""
    with took(2, 3.5):
        async with ActorSystem(children=[DynamicSupervisor.spec("d")]) as system:
            for n, seconds in enumerate((1, 1, 5)):
                await system.supervisor("d").start_child(worker(f"k{n}", stop_takes=seconds, shutdown=2.0))


async def test_22_child_that_goes_its_own_way() -> None:
    """terminate_child returns although the child ends by itself meanwhile, and the next call is served [child_unlink].

    There is no link in bifrost that a child could take away: its end always reaches the supervisor.
    """
    async with ActorSystem(children=[worker("a", stop_takes=2), worker("b")]) as system:
        terminate = asyncio.create_task(system.root.terminate_child("a"))
        await turn()
        system.ref("a").tell(finish)
        await terminate
        assert counts(system.root) == [2, 1, 0, 2]
