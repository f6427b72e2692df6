"""Scenarios 23 to 31, 59 and 60 of OTP's supervisor suite on the running system, in virtual time."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from bifrost.actors import (
    ActorRef,
    ActorState,
    ActorSystem,
    AutoShutdown,
    ChildStatus,
    ChildType,
    ConfigChanged,
    DynamicSupervisor,
    Strategy,
    Supervisor,
)
from bifrost.errors import (
    ActorStopped,
    AlreadyPresent,
    AlreadyStarted,
    ChildNotFound,
    ChildRunning,
    ChildSpecError,
    SupervisorGaveUp,
)
from tests.unit.actors.conformance.system_kit import (
    BOOM,
    TEMPORARY,
    CallCount,
    Factory,
    counts,
    turn,
    until,
    worker,
    workers,
)


async def test_23_start_child_with_a_known_id() -> None:
    """While the child runs: already started; while it is stopped: already present [child_adm]."""
    async with ActorSystem(children=workers("a")) as system:
        with pytest.raises(AlreadyStarted):
            await system.start_child(worker("a"))
        await system.root.terminate_child("a")
        with pytest.raises(AlreadyPresent):
            await system.start_child(worker("a"))


async def test_24_terminate_child() -> None:
    """It ends with shutdown, a repeat is ok, an unknown id is not found, a stopped supervisor refuses [child_adm]."""
    async with ActorSystem(children=[worker("a"), Supervisor.spec("s")]) as system:
        supervisor = system.supervisor("s")
        await system.root.terminate_child("a")
        await system.root.terminate_child("a")
        assert counts(system.root) == [2, 1, 1, 1]
        assert str(system.ref("a").cell.last_reason) == "shutdown"
        with pytest.raises(ChildNotFound):
            await system.root.terminate_child("x")
        await system.root.terminate_child("s")
        with pytest.raises(ActorStopped):
            await supervisor.terminate_child("a")


async def test_25_restart_child() -> None:
    """A stopped child starts again, on the same ref; a running one and an unknown one are refused [child_adm]."""
    async with ActorSystem(children=workers("a")) as system:
        ref = system.ref("a")
        with pytest.raises(ChildRunning):
            await system.root.restart_child("a")
        await system.root.terminate_child("a")
        assert await system.root.restart_child("a") == ref
        assert ref.incarnation == 2
        with pytest.raises(ChildNotFound):
            await system.root.restart_child("x")


async def test_26_delete_child() -> None:
    """A running child is refused; a stopped one is forgotten, and its id free [child_adm]."""
    async with ActorSystem(children=workers("a")) as system:
        with pytest.raises(ChildRunning):
            await system.root.delete_child("a")
        await system.root.terminate_child("a")
        await system.root.delete_child("a")
        assert counts(system.root) == [0, 0, 0, 0]
        for call in (system.root.terminate_child, system.root.restart_child, system.root.delete_child):
            with pytest.raises(ChildNotFound):
                await call("a")
        assert await (await system.start_child(worker("a"))).ask("hi") == "hi"


async def test_27_start_info() -> None:
    """What `on_start` returned is on the ref that start_child and restart_child return [extra_return]."""
    info = {"port": 502}
    async with ActorSystem(children=[worker("static", info="static")]) as system:
        assert system.ref("static").start_info == "static"
        ref = await system.start_child(worker("a", info=info))
        assert ref.start_info is info
        await system.root.terminate_child("a")
        assert ref.start_info is None
        assert (await system.root.restart_child("a")).start_info is info
        ref.tell(BOOM)
        await turn()
        assert (ref.incarnation, ref.start_info) == (3, info)
        assert system.root.start_info is None


async def test_28_dynamic_children() -> None:
    """Terminating forgets the child; what another supervisor has is not found, and lives [child_adm_simple].

    OTP knows dynamic children by pid and bifrost by id, so that restart_child and delete_child have a meaning: not
    found for a child that is gone, running for one that runs.
    """
    async with ActorSystem(children=[DynamicSupervisor.spec("d"), worker("foreign")]) as system:
        supervisor = system.supervisor("d")
        ref = await supervisor.start_child(worker("a"))
        await supervisor.start_child(worker("b"))
        await supervisor.terminate_child("a")
        assert ref.state is ActorState.STOPPED
        for call in (
            supervisor.terminate_child("a"),
            supervisor.restart_child("a"),
            supervisor.terminate_child("foreign"),
        ):
            with pytest.raises(ChildNotFound):
                await call
        with pytest.raises(ChildRunning):
            await supervisor.delete_child("b")
        assert await system.ref("foreign").ask("alive") == "alive"
        assert counts(supervisor) == [1, 1, 0, 1]


async def test_29_which_children() -> None:
    """Newest first, with types; a child whose restart fails is restarting [child_adm, hanging_restart_loop]."""
    start = Factory()
    specs = [worker("a", start=start), Supervisor.spec("s"), worker("b")]
    async with ActorSystem(children=specs, intensity=10**6) as system:
        listed = [(info.id, info.type, info.status) for info in system.root.which_children()]
        running = ChildStatus.RUNNING
        assert listed == [
            ("b", ChildType.WORKER, running),
            ("s", ChildType.SUPERVISOR, running),
            ("a", ChildType.WORKER, running),
        ]
        assert system.root.child("a") == system.ref("a")
        assert system.root.child("nobody") is None
        start.failures = 10**9
        system.ref("a").tell(BOOM)
        await until(lambda: system.root.which_children()[-1].status is ChildStatus.RESTARTING)
        await system.root.terminate_child("a")


async def test_30_counts_are_exact() -> None:
    """1000, then 2000 dynamic children; killing all leaves none; supervisors count apart [count_children]."""
    async with ActorSystem(children=[DynamicSupervisor.spec("d"), Supervisor.spec("s")]) as system:
        supervisor = system.supervisor("d")
        refs: list[ActorRef[Any]] = []
        for half in (1, 2):
            refs += [await supervisor.start_child(worker(f"w{half}.{n}", TEMPORARY)) for n in range(1000)]
            assert counts(supervisor) == [1000 * half, 1000 * half, 0, 1000 * half]
        assert counts(system.root) == [2, 2, 2, 0]
        for ref in refs:
            ref.kill()
        await turn(10)
        assert counts(supervisor) == [0, 0, 0, 0]
        assert counts(system.root) == [2, 2, 2, 0]


async def test_31_restarting_children_are_not_active() -> None:
    """Two of three stuck in restarting: 1 active, 3 workers; then 3 active, and one less with each end.

    [count_restarting_children]
    """
    starts = [Factory(), Factory()]
    async with ActorSystem(children=[DynamicSupervisor.spec("d", intensity=10**6)]) as system:
        supervisor = system.supervisor("d")
        for name, start in zip("ab", starts, strict=True):
            await supervisor.start_child(worker(name, start=start))
        await supervisor.start_child(worker("c"))
        for name, start in zip("ab", starts, strict=True):
            start.failures = 10**9
            system.ref(f"d/{name}").tell(BOOM)
        await until(lambda: counts(supervisor)[1] == 1)
        assert counts(supervisor) == [3, 1, 0, 3]
        for start in starts:
            start.failures = 0
        await turn()
        assert counts(supervisor) == [3, 3, 0, 3]
        for left, name in zip((2, 1, 0), "abc", strict=True):
            await supervisor.terminate_child(name)
            assert counts(supervisor) == [left, left, 0, left]


# Change at run time


async def test_59_new_list_of_children() -> None:
    """Changed, new and removed children go on as they are; the next start takes the new [code_change]."""
    inner = Supervisor.spec("s", workers("abc"), intensity=0)
    async with ActorSystem(children=[inner], intensity=10) as system:
        events: list[ConfigChanged] = []
        system.events.subscribe(lambda event: events.append(event) if isinstance(event, ConfigChanged) else None)
        supervisor = system.supervisor("s")
        refs = {name: system.ref(f"s/{name}") for name in "abc"}
        await supervisor.change([worker("d"), worker("b", info="new"), worker("a")])
        assert [(event.path, event.added, event.changed, event.removed) for event in events] == [
            ("s", ("d",), ("b",), ("c",))
        ]
        assert all(ref.incarnation == 1 for ref in refs.values())
        assert [info.id for info in supervisor.which_children()] == ["c", "a", "b", "d"]
        assert supervisor.child("d") is None
        assert counts(supervisor) == [4, 3, 0, 4]
        assert refs["b"].start_info is None
        assert await (await supervisor.restart_child("d")).ask("hi") == "hi"
        refs["a"].tell(BOOM)
        await turn()
        assert [info.id for info in supervisor.which_children()] == ["a", "b", "d"]
        assert refs["b"].start_info == "new"
        assert refs["c"].state is ActorState.STOPPED


async def test_59_bad_list_changes_nothing() -> None:
    """A list or a flag with a mistake is refused, and no event is published [code_change]."""
    async with ActorSystem(children=workers("ab")) as system:
        events: list[object] = []
        system.events.subscribe(events.append)
        for specs in (workers("aa"), [worker("s", TEMPORARY, significant=True)], ["junk"]):
            with pytest.raises(ChildSpecError):
                await system.root.change(specs, intensity=7)  # type: ignore[arg-type]  # the mistake under test
        with pytest.raises(ChildSpecError):
            await system.root.change(period=0)
        with pytest.raises(ChildSpecError):
            await system.root.change(auto_shutdown="never")  # type: ignore[arg-type]  # the mistake under test
        assert events == []
        assert [info.id for info in system.root.which_children()] == ["b", "a"]


async def test_59_new_flags_are_in_force_at_once() -> None:
    """A new strategy and a new intensity decide the next crash; an event tells of them [code_change]."""
    events: list[ConfigChanged] = []

    async def host() -> None:
        async with ActorSystem(children=workers("ab"), intensity=0) as system:
            system.events.subscribe(lambda event: events.append(event) if isinstance(event, ConfigChanged) else None)
            await system.root.change(strategy=Strategy.ONE_FOR_ALL, intensity=1, period=5.0)
            system.ref("a").tell(BOOM)
            await turn()
            assert (system.ref("a").incarnation, system.ref("b").incarnation) == (2, 2)
            system.ref("a").tell(BOOM)
            await turn(60)

    with pytest.raises(SupervisorGaveUp, match="intensity exceeded"):
        await host()
    (event,) = events
    assert (event.flags.strategy, event.flags.intensity) == (Strategy.ONE_FOR_ALL, 1)
    assert event.flags.auto_shutdown is AutoShutdown.NEVER


# Scale


async def static_life(size: int) -> None:
    async with ActorSystem(children=[worker(f"w{n}") for n in range(size)]):
        pass


async def dynamic_life(size: int) -> None:
    async with ActorSystem(children=[DynamicSupervisor.spec("d")]) as system:
        supervisor = system.supervisor("d")
        for n in range(size):
            await supervisor.start_child(worker(f"w{n}"))


async def one_among(size: int) -> int:
    async with ActorSystem(children=[worker(f"w{n}") for n in range(size)]) as system:
        middle = f"w{size // 2}"
        with CallCount() as count:
            system.ref(middle).tell(BOOM)
            await turn()
            await system.root.terminate_child(middle, hold=True)
            await system.root.restart_child(middle)
            await system.root.replace_child(worker(middle))
            await system.root.terminate_child(middle)
            await system.root.delete_child(middle)
            await system.start_child(worker("new"))
            system.root.count_children()
        return count.calls


@pytest.mark.parametrize("life", [static_life, dynamic_life])
async def test_60_work_grows_with_the_children(life: Callable[[int], Awaitable[None]]) -> None:
    """Start and stop of ten times the children is ten times the work, in function calls.

    [scale_start_stop_many_children, simple_one_for_one_scale_many_temporary_children]
    """
    counted = []
    for size in (10, 100, 1000):
        with CallCount() as count:
            await life(size)
        counted.append(count.calls)
    few, many = counted[1] - counted[0], counted[2] - counted[1]
    assert 9 < many / few < 11


async def test_60_nothing_looks_at_all_children_for_the_sake_of_one() -> None:
    """To crash, terminate, start, replace and delete one costs the same calls among 20 and among 1000.

    [scale_start_stop_many_children]
    """
    few, many = await one_among(20), await one_among(1000)
    assert many < few * 1.1
