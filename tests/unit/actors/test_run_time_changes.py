"""Holding and replacing children, and stores of specifications, on the running system in virtual time."""

from __future__ import annotations

import asyncio
import dataclasses
import pickle
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from bifrost.actors import (
    ActorState,
    ActorSystem,
    Backoff,
    ChildSpec,
    DynamicSupervisor,
    Killed,
    Mailbox,
    MemorySpecStore,
    OnExhausted,
    SpecStoreFailed,
    Strategy,
    Supervisor,
    SupervisorRef,
)
from bifrost.actors.admin_call import PendingCall
from bifrost.errors import ActorStopped, AlreadyStarted, ChildNotFound, NameNotFound, StartFailed
from bifrost.testing import EventLog
from tests.unit.actors.conformance.system_kit import (
    BOOM,
    TEMPORARY,
    TRANSIENT,
    Factory,
    Worker,
    counts,
    end,
    finish,
    hang,
    is_up,
    took,
    turn,
    worker,
    workers,
)

# Holding


async def test_a_held_child_stays_down_until_it_is_started_by_hand() -> None:
    """Neither a group restart nor a restart of its supervisor starts it; which_children and the snapshot tell."""
    inner = Supervisor.spec("s", workers("abc"), strategy=Strategy.ONE_FOR_ALL, intensity=1)
    async with ActorSystem(children=[inner]) as system:
        supervisor, held = system.supervisor("s"), system.ref("s/b")
        await supervisor.terminate_child("b", hold=True)
        await end(system.ref("s/a"), Killed())
        assert (system.ref("s/c").incarnation, held.state) == (2, ActorState.STOPPED)
        await end(system.ref("s/a"), Killed())
        assert (supervisor.incarnation, system.ref("s/c").incarnation, held.state) == (2, 3, ActorState.STOPPED)
        assert [(info.id, info.held) for info in supervisor.which_children()] == [
            ("c", False),
            ("b", True),
            ("a", False),
        ]
        snapshot = system.snapshot()
        assert [one.path for one in snapshot.walk() if one.held] == ["s/b"]
        assert await (await supervisor.restart_child("b")).ask("back") == "back"
        assert not any(one.held for one in system.snapshot().walk())


async def test_a_held_dynamic_child_can_be_started_again() -> None:
    """It keeps its specification, its place and its ref; without hold it would be gone."""
    async with ActorSystem(children=[DynamicSupervisor.spec("d")]) as system:
        supervisor = system.supervisor("d")
        ref = await supervisor.start_child(worker("a"))
        await supervisor.terminate_child("a", hold=True)
        assert counts(supervisor) == [1, 0, 0, 1]
        assert await supervisor.restart_child("a") == ref
        await supervisor.terminate_child("a")
        with pytest.raises(ChildNotFound):
            await supervisor.restart_child("a")


# Replacing


async def test_a_replacement_keeps_the_ref_and_the_mail() -> None:
    """What was queued for the old child is handled by the new one, which has the same place in the order."""
    system = ActorSystem(children=[worker("a"), worker("b", shutdown=3.0), worker("c")])
    log = EventLog(system)
    async with system:
        ref = system.ref("b")
        ref.tell(hang)
        await turn()
        waiting = asyncio.create_task(ref.ask("mail", timeout=60))
        await turn()
        log.take()
        with took(3, 3.2):  # the limit of the old one is in force for its stop
            assert await system.root.replace_child(worker("b", info="new", shutdown=1.0)) == ref
        assert await waiting == "mail"
        assert (ref.start_info, ref.incarnation) == ("new", 2)
        assert [info.id for info in system.root.which_children()] == ["c", "b", "a"]
        assert system.ref("c").incarnation == 1
        assert system.root.get_child_spec("b").shutdown == 1.0


async def test_a_replacement_has_the_time_that_the_old_child_may_take() -> None:
    """Without a timeout of its own the call waits for as long as the old child's shutdown allows."""
    async with ActorSystem(children=[worker("a", stop_takes=100, shutdown=200.0)]) as system:
        with took(100, 100.1):
            await system.root.replace_child(worker("a", info="new"))
        assert system.ref("a").start_info == "new"


async def test_a_replacement_that_does_not_start_is_rolled_back() -> None:
    """The caller hears why; the old child runs again, with its mail, and nothing was counted."""
    async with ActorSystem(children=workers("ab"), intensity=0) as system:
        ref = system.ref("a")
        with pytest.raises(StartFailed, match="no such port"):
            await system.root.replace_child(worker("a", start=Factory(failures=1)))
        assert await ref.ask("old") == "old"
        assert ref.incarnation == 3
        assert system.root.get_child_spec("a") == worker("a")
        with pytest.raises(ChildNotFound):
            await system.root.replace_child(worker("x"))


async def test_a_roll_back_that_fails_is_a_failed_restart() -> None:
    """The old child is tried again with its own back-off, and comes back when it can."""
    start = Factory()
    spec = worker("a", start=start, backoff=Backoff(min=1, max=1, jitter=0))
    async with ActorSystem(children=[spec]) as system:
        start.failures = 1
        with pytest.raises(StartFailed, match="start must return an Actor"):
            await system.root.replace_child(ChildSpec(id="a", start=lambda: 42))
        assert system.ref("a").state is ActorState.RESTARTING
        with took(0.9, 1.1):
            assert await system.ref("a").ask("patient") == "patient"


async def test_an_actor_may_take_the_place_of_a_supervisor() -> None:
    """And the other way round: then the ref is a new one, and the old tree has stopped."""
    async with ActorSystem(children=[Supervisor.spec("s", workers("b")), worker("a")]) as system:
        old, below = system.ref("s"), system.ref("s/b")
        new = await system.root.replace_child(worker("s"))
        assert new != old
        assert await new.ask("hi") == "hi"
        assert (old.state, below.state) == (ActorState.STOPPED, ActorState.STOPPED)
        await system.root.replace_child(Supervisor.spec("s", workers("bc")))
        assert await system.ref("s/c").ask("hi") == "hi"
        with pytest.raises(ActorStopped):
            await new.ask("hi")


async def test_a_supervisor_may_be_replaced_by_another_plan() -> None:
    """The new list of children runs; what is in both keeps its ref; the rest is gone."""
    async with ActorSystem(children=[Supervisor.spec("s", workers("ab"))]) as system:
        a, b = system.ref("s/a"), system.ref("s/b")
        await system.root.replace_child(Supervisor.spec("s", workers("bc")))
        assert (a.state, b.incarnation) == (ActorState.STOPPED, 2)
        assert await b.ask("hi") == "hi"
        assert await system.ref("s/c").ask("hi") == "hi"
        with pytest.raises(ChildNotFound):
            system.ref("s/a")


async def test_a_replacement_may_have_another_name() -> None:
    """The old name is free and the new one registered; if that is taken, the old child is back under the old one."""
    async with ActorSystem(children=[worker("a", name="old"), worker("b", name="taken")]) as system:
        ref, names = system.ref("a"), system.registry
        with pytest.raises(AlreadyStarted, match="'taken'"):
            await system.root.replace_child(worker("a", name="taken"))
        assert is_up(ref)
        assert names.whereis("old") == ref
        await system.root.replace_child(worker("a", name="new"))
        assert names.whereis("new") == ref
        with pytest.raises(NameNotFound):
            names.whereis("old")


async def test_a_changed_name_is_taken_at_the_next_start() -> None:
    """What runs goes on under its old name; when it starts again the old name is free and it has the new one."""
    async with ActorSystem(children=[worker("a", name="old")]) as system:
        ref, names = system.ref("a"), system.registry
        await system.root.change([worker("a", name="new")])
        assert names.whereis("old") == ref
        await end(ref, Killed())
        assert names.names(ref) == ["new"]


async def test_a_changed_list_outlives_every_restart() -> None:
    """Of the supervisor, of the one above it, and of a change of the supervisor's own specification there."""
    spec = Supervisor.spec("s", workers("ab"))
    middle = Supervisor.spec("m", [spec])
    async with ActorSystem(children=[middle]) as system:
        await system.supervisor("m/s").change(workers("bc"))
        system.ref("m").kill()
        await turn()
        assert [info.id for info in system.supervisor("m/s").which_children()] == ["c", "b"]
        await system.supervisor("m").change([dataclasses.replace(spec, shutdown=9.0)])
        system.ref("m/s").kill()
        await turn()
        assert [info.id for info in system.supervisor("m/s").which_children()] == ["c", "b"]
        await system.supervisor("m").replace_child(Supervisor.spec("s", workers("d")))
        assert [info.id for info in system.supervisor("m/s").which_children()] == ["d"]


async def test_a_replacement_waits_its_turn_and_its_time() -> None:
    """Calls made meanwhile are served afterwards; an own deadline ends only the wait."""
    async with ActorSystem(children=[worker("a", stop_takes=4)]) as system:
        with pytest.raises(TimeoutError):
            await system.root.replace_child(worker("a", info="new"), timeout=1)
        added = asyncio.create_task(system.start_child(worker("b")))
        await turn(1)
        assert not added.done()
        await added
        assert system.ref("a").start_info == "new"


# Stores


async def test_stored_children_outlive_their_supervisor() -> None:
    """They come back on their refs, with their mail; deleted and temporary ones, and those that ended, do not."""
    store = MemorySpecStore()
    async with ActorSystem(children=[DynamicSupervisor.spec("d", store=store, intensity=0)]) as system:
        supervisor = system.supervisor("d")
        for spec in (*workers("abc"), worker("t", TEMPORARY), worker("n", TRANSIENT), worker("h")):
            await supervisor.start_child(spec)
        await supervisor.terminate_child("b")
        await supervisor.terminate_child("h", hold=True)
        system.ref("d/n").tell(finish)
        await turn()
        assert [spec.id for spec in store.load("d")] == ["a", "c", "h"]
        await supervisor.replace_child(worker("c", info="new"))
        a, c, temporary = system.ref("d/a"), system.ref("d/c"), system.ref("d/t")
        c.tell(hang)
        await turn()
        mail = asyncio.create_task(c.ask("mail", timeout=60))
        a.tell(BOOM)
        await turn(10)
        assert (supervisor.incarnation, a.incarnation, c.incarnation) == (2, 2, 3)
        assert await mail == "mail"
        assert c.start_info == "new"
        assert temporary.state is ActorState.STOPPED
        assert counts(supervisor) == [3, 2, 0, 3]
        assert await (await supervisor.restart_child("h")).ask("held") == "held"


async def test_a_store_brings_children_back_in_another_process() -> None:
    """A system that starts with a store starts what an earlier one had stored, in the same order."""
    store = MemorySpecStore()
    spec = DynamicSupervisor.spec("d", store=store)
    async with ActorSystem(children=[spec]) as system:
        for child in workers("cab"):
            await system.supervisor("d").start_child(child)
    system = ActorSystem("root", [spec])
    log = EventLog(system)
    async with system:
        assert log.take()[:3] == ["started d/c", "started d/a", "started d/b"]
        await system.root.terminate_child("d")
        await system.root.restart_child("d")
        assert await system.ref("d/a").ask("back") == "back"


async def test_a_stored_child_that_does_not_start_leaves_the_others_alone() -> None:
    """It is tried again as its budget allows, and parked if the supervisor parks."""
    store = MemorySpecStore()
    for child in (worker("a"), worker("bad", start=Factory(failures=10**9)), worker("b")):
        store.save("d", child)
    spec = DynamicSupervisor.spec("d", store=store, on_exhausted=OnExhausted.PARK)
    async with ActorSystem(children=[spec]) as system:
        await turn()
        assert [(info.id, info.status.value) for info in system.supervisor("d").which_children()] == [
            ("b", "running"),
            ("bad", "parked"),
            ("a", "running"),
        ]


async def test_a_store_outlives_a_supervisor_that_is_gone() -> None:
    """Terminating the supervisor forgets none of its children: one that starts under its path has them again."""
    store = MemorySpecStore()
    async with ActorSystem(children=[DynamicSupervisor.spec("outer")]) as system:
        outer = system.supervisor("outer")
        inner = DynamicSupervisor.spec("d", store=store)
        for _ in range(2):
            ref = await outer.start_child(inner)
            assert isinstance(ref, SupervisorRef)
            if not ref.which_children():
                await ref.start_child(worker("a"))
            await outer.terminate_child("d")
            assert [spec.id for spec in store.load("outer/d")] == ["a"]
        await outer.start_child(inner)
        assert await system.ref("outer/d/a").ask("back") == "back"


class BrokenStore(MemorySpecStore):
    """Raises in one operation."""

    def __init__(self, broken: str) -> None:
        super().__init__()
        self.broken = broken

    def load(self, supervisor: str) -> tuple[ChildSpec, ...]:
        if self.broken == "load":
            raise OSError("disk gone")
        return super().load(supervisor)

    def save(self, supervisor: str, spec: ChildSpec) -> None:
        if self.broken == "save":
            raise OSError("disk gone")
        super().save(supervisor, spec)

    def remove(self, supervisor: str, child_id: str) -> None:
        if self.broken == "remove":
            raise OSError("disk gone")
        super().remove(supervisor, child_id)


@pytest.mark.parametrize("broken", ["load", "save", "remove"])
async def test_a_store_that_raises_breaks_no_supervisor(broken: str, caplog: pytest.LogCaptureFixture) -> None:
    """The call goes on; an event and a log line tell what failed."""
    system = ActorSystem(children=[DynamicSupervisor.spec("d", store=BrokenStore(broken))])
    failures: list[SpecStoreFailed] = []
    system.events.subscribe(lambda event: failures.append(event) if isinstance(event, SpecStoreFailed) else None)
    async with system:
        supervisor = system.supervisor("d")
        assert await (await supervisor.start_child(worker("a"))).ask("hi") == "hi"
        await supervisor.terminate_child("a")
        assert counts(supervisor) == [0, 0, 0, 0]
    assert [(event.path, event.operation, str(event.error)) for event in failures] == [("d", broken, "disk gone")]
    assert f"the store of specifications failed in {broken}" in caplog.text


async def test_junk_in_a_store_is_a_failed_load() -> None:
    """Whatever a store gives back is checked; the supervisor starts empty and says why."""

    class Junk(MemorySpecStore):
        def load(self, supervisor: str) -> tuple[ChildSpec, ...]:
            return (worker("a"), worker("a"))

    system = ActorSystem(children=[DynamicSupervisor.spec("d", store=Junk())])
    log = EventLog(system, SpecStoreFailed)
    async with system:
        assert log.take() == ["store failed d"]
        assert counts(system.supervisor("d")) == [0, 0, 0, 0]


class FolderStore:
    """One file for each child, as a user might write it: a specification whose factory is importable is picklable."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def load(self, supervisor: str) -> Iterable[ChildSpec]:
        for file in sorted(self.folder.glob(f"{supervisor}.*.spec")):
            spec = pickle.loads(file.read_bytes())
            assert isinstance(spec, ChildSpec)
            yield spec

    def save(self, supervisor: str, spec: ChildSpec) -> None:
        (self.folder / f"{supervisor}.{spec.id}.spec").write_bytes(pickle.dumps(spec))

    def remove(self, supervisor: str, child_id: str) -> None:
        (self.folder / f"{supervisor}.{child_id}.spec").unlink(missing_ok=True)


async def test_a_store_may_write_to_a_folder(tmp_path: Path) -> None:
    """Specifications survive the way to the disk and back with every field."""
    options: dict[str, Any] = {"backoff": Backoff(min=1), "mailbox": Mailbox(capacity=7), "name": "n", "drain": True}
    spec = worker("a", TRANSIENT, info="kept", **options)
    async with ActorSystem(children=[DynamicSupervisor.spec("d", store=FolderStore(tmp_path))]) as system:
        await system.supervisor("d").start_child(spec)
        await system.supervisor("d").start_child(ChildSpec(id="plain", start=Worker))
    async with ActorSystem(children=[DynamicSupervisor.spec("d", store=FolderStore(tmp_path))]) as system:
        assert system.supervisor("d").get_child_spec("a") == spec
        assert system.registry.whereis("n").start_info == "kept"
        assert await system.ref("d/plain").ask("hi") == "hi"


# Calls


async def test_an_answer_in_the_last_moment_counts() -> None:
    """What was decided in the turn in which the time was over is no timeout."""
    call = PendingCall("a")
    asyncio.get_running_loop().call_later(1, call.succeed, None)
    assert await call.result(1) is None
    late = PendingCall("a")
    with pytest.raises(TimeoutError):
        await late.result(1)
    late.succeed(None)  # nobody waits any more, and that is no error


async def test_a_call_that_need_not_wait_takes_no_turn_of_the_loop() -> None:
    """start_child of an actor that starts at once returns at once, but lets others have a turn now and then."""
    turns = 0

    async def count_turns() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    async with ActorSystem(children=[DynamicSupervisor.spec("d")]) as system:
        supervisor = system.supervisor("d")
        counter = asyncio.create_task(count_turns())
        await asyncio.sleep(0)
        before = turns
        for n in range(1000):
            await supervisor.start_child(worker(f"w{n}"))
        assert 10 < turns - before < 100
        counter.cancel()
