"""Scenarios 32 to 52 of OTP's supervisor suite on the running system, in virtual time."""

from __future__ import annotations

import pytest

from bifrost.actors import (
    ActorState,
    ActorSystem,
    DynamicSupervisor,
    ExitReason,
    Killed,
    Restart,
    Strategy,
    Supervisor,
)
from bifrost.errors import (
    AlreadyPresent,
    AlreadyStarted,
    ChildNotFound,
    ChildRestarting,
    NameTaken,
    StartFailed,
    SupervisorGaveUp,
)
from bifrost.testing import EventLog
from tests.unit.actors.conformance.system_kit import (
    ABNORMAL_ENDS,
    BOOM,
    ENDS,
    NORMAL_ENDS,
    TEMPORARY,
    TRANSIENT,
    Factory,
    counts,
    end,
    finish,
    gave_up,
    is_up,
    took,
    turn,
    until,
    worker,
    workers,
)


def life(lines: list[str]) -> list[str]:
    """What of an event log tells who stopped and who started."""
    return [
        line for line in lines if line.startswith(("stopped", "started", "restarted", "start failed", "supervisor"))
    ]


# Restart types


@pytest.mark.parametrize("reason", ENDS, ids=str)
async def test_32_permanent(reason: ExitReason) -> None:
    """A permanent child is restarted whatever it ended with [permanent_normal, _shutdown, _abnormal]."""
    async with ActorSystem(children=workers("a")) as system:
        await end(system.ref("a"), reason)
        assert await system.ref("a").ask("back") == "back"
        assert system.ref("a").incarnation == 2


@pytest.mark.parametrize("reason", NORMAL_ENDS, ids=str)
async def test_33_transient_normal(reason: ExitReason) -> None:
    """It stays stopped with its specification, and restart_child works [transient_normal, transient_shutdown]."""
    async with ActorSystem(children=workers("a", TRANSIENT)) as system:
        await end(system.ref("a"), reason)
        assert system.ref("a").state is ActorState.STOPPED
        assert counts(system.root) == [1, 0, 0, 1]
        assert await (await system.root.restart_child("a")).ask("back") == "back"


@pytest.mark.parametrize("reason", ABNORMAL_ENDS, ids=str)
async def test_34_transient_abnormal(reason: ExitReason) -> None:
    """A transient child that ended abnormally is restarted [transient_abnormal]."""
    async with ActorSystem(children=workers("a", TRANSIENT)) as system:
        await end(system.ref("a"), reason)
        assert (is_up(system.ref("a")), system.ref("a").incarnation) == (True, 2)


@pytest.mark.parametrize("reason", ENDS, ids=str)
async def test_35_temporary(reason: ExitReason) -> None:
    """It is gone, and its id is free again [temporary_normal, _shutdown, _abnormal, do_not_save_child_specs_...]."""
    async with ActorSystem(children=workers("a", TEMPORARY)) as system:
        ref = system.ref("a")
        await end(ref, reason)
        assert ref.state is ActorState.STOPPED
        assert counts(system.root) == [0, 0, 0, 0]
        assert await system.start_child(worker("a", TEMPORARY)) != ref


@pytest.mark.parametrize("strategy", [Strategy.ONE_FOR_ALL, Strategy.REST_FOR_ONE])
async def test_36_temporary_bystander(strategy: Strategy) -> None:
    """Taken down by a group restart it does not come back, and the supervisor lives [temporary_bystander]."""
    specs = [worker("a"), worker("t", TEMPORARY), worker("c")]
    async with ActorSystem(children=specs, strategy=strategy) as system:
        bystander = system.ref("t")
        await end(system.ref("a"), Killed())
        assert bystander.state is ActorState.STOPPED
        assert [info.id for info in system.root.which_children()] == ["c", "a"]
        assert counts(system.root) == [2, 2, 0, 2]


async def test_37_crashes_further_apart_than_the_period() -> None:
    """With intensity 1 in 1 s, a crash every 2.1 s is survived for ever [multiple_restarts]."""
    async with ActorSystem(children=workers("a"), intensity=1, period=1.0) as system:
        for _ in range(20):
            await turn(2.1)
            system.ref("a").tell(BOOM)
        assert await system.ref("a").ask("still here") == "still here"
        assert system.ref("a").incarnation == 21


# Strategies


async def test_38_one_for_one() -> None:
    """Only the child that crashed is restarted; the third crash with intensity 2 ends the supervisor [one_for_one]."""
    system = ActorSystem("root", workers("ab"), intensity=2)
    log = EventLog(system)

    async def script(running: ActorSystem) -> None:
        for _ in range(2):
            await end(running.ref("a"), ABNORMAL_ENDS[0])
        assert (running.ref("a").incarnation, running.ref("b").incarnation) == (3, 1)
        log.take()
        running.ref("a").tell(BOOM)

    error = await gave_up(system, script)
    assert error is not None
    assert "intensity exceeded" in str(error)
    assert life(log.take()) == ["stopped a crash", "stopped b shutdown", "supervisor stopped root shutdown"]


async def test_39_one_for_one_escalation() -> None:
    """A restart that always fails uses the budget up and takes the healthy sibling with it [one_for_one_escalation]."""
    start = Factory()
    system = ActorSystem("root", [worker("a", start=start), worker("b")], intensity=4)
    log = EventLog(system)

    async def script(running: ActorSystem) -> None:
        log.take()
        start.failures = 10**9
        running.ref("a").tell(BOOM)

    assert await gave_up(system, script) is not None
    assert life(log.take()) == [
        *("stopped a crash", *["start failed a"] * 4, "stopped b shutdown"),
        "supervisor stopped root shutdown",
    ]


async def test_40_one_for_all() -> None:
    """Both are new after one crash; a group counts once; the third crash ends the supervisor [one_for_all]."""
    system = ActorSystem("root", workers("ab"), intensity=2, strategy=Strategy.ONE_FOR_ALL)

    async def script(running: ActorSystem) -> None:
        for name in "ab":
            await end(running.ref(name), ABNORMAL_ENDS[0])
        assert (running.ref("a").incarnation, running.ref("b").incarnation) == (3, 3)
        running.ref("a").tell(BOOM)

    assert await gave_up(system, script) is not None


async def test_41_one_for_all_escalation() -> None:
    """A group of which one member cannot be restarted ends the supervisor [one_for_all_escalation]."""
    start = Factory()
    system = ActorSystem("root", [worker("a"), worker("b", start=start)], intensity=4, strategy=Strategy.ONE_FOR_ALL)

    async def script(running: ActorSystem) -> None:
        start.failures = 10**9
        running.ref("a").tell(BOOM)

    assert await gave_up(system, script) is not None
    assert start.calls == 1 + 4


async def test_42_one_for_all_other_child_fails_restart() -> None:
    """If the second fails once, the first is stopped and both start again [one_for_all_other_child_fails_restart]."""
    start = Factory()
    system = ActorSystem(children=[worker("a"), worker("b", start=start)], strategy=Strategy.ONE_FOR_ALL)
    log = EventLog(system)
    async with system:
        log.take()
        start.failures = 1
        await end(system.ref("a"), Killed())
        assert life(log.take()) == [
            *("stopped a killed", "stopped b shutdown", "restarted a", "start failed b"),
            *("stopped a shutdown", "restarted a", "restarted b"),
        ]


async def test_43_rest_for_one() -> None:
    """The child and those after it are replaced; those before are untouched [rest_for_one]."""
    system = ActorSystem(children=workers("abc"), strategy=Strategy.REST_FOR_ONE)
    log = EventLog(system)
    async with system:
        log.take()
        await end(system.ref("b"), Killed())
        assert life(log.take()) == ["stopped b killed", "stopped c shutdown", "restarted b", "restarted c"]


async def test_44_rest_for_one_other_child_fails_restart() -> None:
    """A later child that fails once is retried alone; the earlier one is not restarted again.

    [rest_for_one_other_child_fails_restart]
    """
    start = Factory()
    system = ActorSystem(children=[worker("a"), worker("b", start=start)], strategy=Strategy.REST_FOR_ONE)
    log = EventLog(system)
    async with system:
        log.take()
        start.failures = 1
        await end(system.ref("a"), Killed())
        assert life(log.take()) == [
            *("stopped a killed", "stopped b shutdown", "restarted a", "start failed b", "restarted b"),
        ]


async def test_45_dynamic() -> None:
    """One crash leaves the others alone, start info is kept; too many end the supervisor [simple_one_for_one*]."""
    async with ActorSystem(children=[DynamicSupervisor.spec("d", intensity=2, restart=TRANSIENT)]) as system:
        supervisor = system.supervisor("d")
        a, b = [await supervisor.start_child(worker(name, info=name * 2)) for name in "ab"]
        await end(a, Killed())
        assert (a.incarnation, a.start_info, b.incarnation) == (2, "aa", 1)
        await end(b, Killed())
        await end(a, Killed())
        assert [ref.state for ref in (supervisor, a, b)] == [ActorState.STOPPED] * 3


async def test_45_dynamic_child_ignores_at_its_restart() -> None:
    """It is removed, which is no crash [simple_one_for_one_restart_ignore]."""
    start = Factory()
    async with ActorSystem(children=[DynamicSupervisor.spec("d", intensity=1)]) as system:
        supervisor = system.supervisor("d")
        ref = await supervisor.start_child(worker("a", start=start))
        await supervisor.start_child(worker("b"))
        start.ignores = True
        await end(ref, Killed())
        assert ref.state is ActorState.STOPPED
        assert counts(supervisor) == [1, 1, 0, 1]
        assert is_up(supervisor)


async def test_46_order_of_children() -> None:
    """Start in list order, stop in reverse, and the same within a group [order_of_children]."""
    system = ActorSystem("root", workers("12345"), strategy=Strategy.REST_FOR_ONE)
    log = EventLog(system)
    async with system:
        assert life(log.take()) == [*(f"started {n}" for n in "12345"), "supervisor started root"]
        await end(system.ref("3"), Killed())
        assert life(log.take()) == [
            *("stopped 3 killed", "stopped 5 shutdown", "stopped 4 shutdown"),
            *("restarted 3", "restarted 4", "restarted 5"),
        ]
    assert life(log.take()) == [*(f"stopped {n} shutdown" for n in "54321"), "supervisor stopped root shutdown"]


async def test_46_order_of_a_tree() -> None:
    """A tree starts depth first and stops in exactly the reverse order [order_of_children]."""
    system = ActorSystem("root", [worker("a"), Supervisor.spec("s", workers("bc")), worker("d")])
    log = EventLog(system)
    async with system:
        assert log.take() == [
            *("started a", "started s/b", "started s/c", "supervisor started s", "started d"),
            "supervisor started root",
        ]
    assert log.take() == [
        *("stopped d shutdown", "stopped s/c shutdown", "stopped s/b shutdown", "supervisor stopped s shutdown"),
        *("stopped a shutdown", "supervisor stopped root shutdown"),
    ]


# Restart loops


async def test_47_hanging_restart_loop() -> None:
    """Calls are served while a restart keeps failing, and terminate_child ends the loop [hanging_restart_loop]."""
    start = Factory()
    async with ActorSystem(children=[worker("a", start=start), worker("b")], intensity=10**6) as system:
        root = system.root
        start.failures = 10**9
        system.ref("a").tell(BOOM)
        await until(lambda: start.calls > 3)
        with pytest.raises(AlreadyPresent):
            await system.start_child(worker("a"))
        with pytest.raises(ChildRestarting):
            await root.restart_child("a")
        with pytest.raises(ChildRestarting):
            await root.delete_child("a")
        assert await system.ref("b").ask("alive") == "alive"
        await root.terminate_child("a")
        calls = start.calls
        await turn(10)
        assert start.calls == calls
        with pytest.raises(StartFailed, match="no such port"):
            await root.restart_child("a")
        start.failures = 0
        assert await (await root.restart_child("a")).ask("back") == "back"


async def test_48_hanging_restart_loop_rest_for_one() -> None:
    """While the middle one cannot restart, the first lives and the last is down [hanging_restart_loop_rest_for_one]."""
    start = Factory()
    specs = [worker("a"), worker("b", start=start), worker("c")]
    async with ActorSystem(children=specs, intensity=10**6, strategy=Strategy.REST_FOR_ONE) as system:
        start.failures = 10**9
        system.ref("b").tell(BOOM)
        await until(lambda: start.calls > 3)
        assert counts(system.root) == [3, 1, 0, 3]
        assert [is_up(system.ref(name)) for name in "abc"] == [True, False, False]
        await system.root.terminate_child("b")
        assert system.ref("c").state is ActorState.STOPPED
        await system.root.restart_child("c")
        assert await system.ref("a").ask("alive") == "alive"


@pytest.mark.parametrize("dynamic", [False, True])
async def test_49_stop_during_a_restart_loop(*, dynamic: bool) -> None:
    """The supervisor stops at once, and no retry comes after it [hanging_restart_loop, _simple]."""
    spec = DynamicSupervisor.spec("s", intensity=10**6) if dynamic else Supervisor.spec("s", intensity=10**6)
    start = Factory()
    with took(0, 0.1):
        async with ActorSystem(children=[spec]) as system:
            ref = await system.supervisor("s").start_child(worker("a", start=start))
            start.failures = 10**9
            ref.tell(BOOM)
            await until(lambda: start.calls > 3)
            assert (await system.stop()).clean
            calls = start.calls
            await turn(0.05)
            assert start.calls == calls


# Trees


async def test_50_tree() -> None:
    """The lower level trips: all of it comes back, hand-stopped ones too, dynamic grandchildren do not [tree]."""
    level = [
        worker("a"),
        Supervisor.spec("s", [worker("b"), Supervisor.spec("deep", workers("c"))], intensity=0),
        DynamicSupervisor.spec("d"),
        Supervisor.spec("t", workers("e"), restart=TRANSIENT),
    ]
    system = ActorSystem("root", level, strategy=Strategy.ONE_FOR_ALL)
    log = EventLog(system)
    async with system:
        added = [
            await system.supervisor("s").start_child(worker("x")),
            await system.supervisor("d").start_child(worker("y")),
        ]
        await system.root.terminate_child("t")
        refs = {path: system.ref(path) for path in ("a", "s", "s/b", "s/deep/c", "d", "t")}
        log.take()
        await end(refs["s/b"], Killed())
        assert life(log.take()) == [
            *("stopped s/b killed", "stopped s/x shutdown"),
            *("stopped s/deep/c shutdown", "supervisor stopped s/deep shutdown", "supervisor stopped s shutdown"),
            *("stopped d/y shutdown", "supervisor stopped d shutdown", "stopped a shutdown"),
            *("restarted a", "restarted s/b", "restarted s/deep/c"),
            *("supervisor started s/deep", "supervisor started s", "supervisor started d"),
            *("restarted t/e", "supervisor started t"),
        ]
        assert all(is_up(ref) for ref in refs.values())
        assert [ref.state for ref in added] == [ActorState.STOPPED] * 2
        with pytest.raises(ChildNotFound):
            system.ref("d/y")


async def test_51_middle_supervisor_is_killed() -> None:
    """It and its worker come back under the same registered names [simple_global_supervisor]."""
    middle = Supervisor.spec("s", [worker("b", name="the worker")], name="the middle")
    async with ActorSystem(children=[middle, worker("a")]) as system:
        names = {name: system.registry.whereis(name) for name in ("the middle", "the worker")}
        system.ref("s").kill()
        await turn()
        for name, ref in names.items():
            assert system.registry.whereis(name) == ref
            assert (is_up(ref), ref.incarnation) == (True, 2)
        assert system.ref("a").incarnation == 1


async def test_52_started_elsewhere() -> None:
    """A child whose name another supervisor's child has is already started; nothing else changes.

    [already_started_outside_supervisor]
    """
    async with ActorSystem(children=[worker("a", name="n"), Supervisor.spec("s", intensity=0)], intensity=0) as system:
        supervisor = system.supervisor("s")
        with pytest.raises(AlreadyStarted, match="'n'") as caught:
            await supervisor.start_child(worker("b", name="n"))
        assert isinstance(caught.value.__cause__, NameTaken)
        assert counts(supervisor) == [0, 0, 0, 0]
        assert system.registry.whereis("n") == system.ref("a")
        await system.root.terminate_child("a")
        ref = await supervisor.start_child(worker("b", name="n"))
        assert system.registry.whereis("n") == ref
        with pytest.raises(AlreadyStarted, match="'n'"):
            await system.root.restart_child("a")
        assert system.ref("a").state is ActorState.STOPPED


async def test_52_two_of_one_name_at_boot() -> None:
    """The second of two children with one name is a failed start of the tree [already_started_outside_supervisor]."""
    specs = [worker("a", name="n"), Supervisor.spec("s", [worker("b", name="n")])]
    with pytest.raises(StartFailed, match="'s' did not start") as caught:
        async with ActorSystem(children=specs):
            pytest.fail("the block must not run")
    assert "'b' did not start" in str(caught.value.cause)


@pytest.mark.parametrize("restart", [Restart.PERMANENT, TRANSIENT])
async def test_52_a_name_is_kept_over_a_restart(restart: Restart) -> None:
    """And given back when its holder has stopped for good [already_started_outside_supervisor]."""
    async with ActorSystem(children=[worker("a", restart, name="n")]) as system:
        await end(system.ref("a"), Killed())
        assert system.registry.whereis("n") == system.ref("a")
        system.ref("a").tell(finish)
        await turn()
        held = system.registry.lookup("n")
        assert held == ([system.ref("a")] if restart is Restart.PERMANENT else [])


async def test_52_a_tree_that_gives_up_gives_its_names_back() -> None:
    """Nothing is registered any more when the system has ended [already_started_outside_supervisor]."""
    system = ActorSystem("root", [worker("a", name="n")], intensity=0)

    async def script(running: ActorSystem) -> None:
        running.ref("a").tell(BOOM)

    assert isinstance(await gave_up(system, script), SupervisorGaveUp)
    assert system.registry.names() == []
