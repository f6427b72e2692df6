"""Trees of several levels, and the system inside a host, in virtual time."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from bifrost.actors import (
    INFINITY,
    Actor,
    ActorRef,
    ActorState,
    ActorSystem,
    ChildSpec,
    Down,
    Supervisor,
)
from bifrost.errors import ChildNotFound, SupervisorGaveUp
from bifrost.testing import EventLog, VirtualClock


class Worker(Actor[Any]):
    """Raises what is raisable, calls what is callable, returns the rest."""

    async def receive(self, message: Any) -> object:
        if isinstance(message, BaseException):
            raise message
        if callable(message):
            return await message(self)
        return message


def worker(child_id: str, **options: Any) -> ChildSpec:
    return ChildSpec(id=child_id, start=Worker, **options)


BOOM = ValueError("boom")


async def test_mail_to_a_grandchild_survives_the_restart_of_its_supervisor() -> None:
    """A message that is queued while its supervisor is being replaced is handled afterwards."""
    inner = Supervisor.spec("s", [worker("b"), worker("slow")], intensity=0)
    async with ActorSystem(children=[inner]) as system:
        b, slow = system.ref("s/b"), system.ref("s/slow")
        slow.tell(lambda _: asyncio.sleep(3))
        await asyncio.sleep(0.1)
        b.tell(BOOM)
        await asyncio.sleep(1)
        assert slow.state is ActorState.STOPPING
        assert await b.ask("kept", timeout=10) == "kept"
        assert (b.incarnation, slow.incarnation) == (2, 2)


async def test_a_watcher_hears_of_a_whole_subtree() -> None:
    """Down comes for a supervisor and for its children, each once, with the right outlook."""
    downs: list[tuple[str, bool]] = []

    class Watcher(Worker):
        async def receive(self, message: Any) -> object:
            if isinstance(message, Down):
                downs.append((message.ref.path, message.will_restart))
                return None
            return await super().receive(message)

    inner = Supervisor.spec("s", [worker("b")], intensity=0)
    async with ActorSystem(children=[ChildSpec(id="w", start=Watcher), inner]) as system:
        targets: list[ActorRef[Any]] = [system.ref("s"), system.ref("s/b")]

        async def watch(actor: Worker) -> None:
            for ref in targets:
                actor.ctx.watch(ref)

        await system.ref("w").ask(watch)
        system.ref("s/b").tell(BOOM)
        await asyncio.sleep(1)
        assert sorted(downs) == [("s", True), ("s/b", True)]
        downs.clear()
        await system.ref("w").ask(watch)
        await system.root.terminate_child("s")
        await asyncio.sleep(1)
        assert sorted(downs) == [("s", False), ("s/b", False)]


async def test_escalation_through_two_levels_reaches_the_host() -> None:
    """Each level gives up in turn; the innermost crash is named in the error that the host gets."""
    deep = Supervisor.spec("s", [Supervisor.spec("t", [worker("b")], intensity=0)], intensity=0)

    async def host() -> None:
        async with ActorSystem("root", [deep], intensity=0) as system:
            system.ref("s/t/b").tell(BOOM)
            await asyncio.sleep(60)

    with pytest.raises(SupervisorGaveUp, match="s/t/b: ValueError: boom"):
        await host()


async def test_a_finite_shutdown_of_a_supervisor_kills_what_is_left_of_its_tree() -> None:
    """When a supervisor's own limit passes, its whole subtree is cancelled at once."""
    children = [worker(f"w{n}", shutdown=INFINITY) for n in range(3)]
    system = ActorSystem(children=[Supervisor.spec("s", children, shutdown=2.0)])
    log = EventLog(system)
    async with system:
        for n in range(3):
            system.ref(f"s/w{n}").tell(lambda _: asyncio.sleep(1000))
        await asyncio.sleep(0.1)
        log.take()
        begun = asyncio.get_running_loop().time()
        await system.root.terminate_child("s")
        assert asyncio.get_running_loop().time() - begun == pytest.approx(2, abs=0.3)
    killed = [line for line in log.take() if line.endswith("killed")]
    assert sorted(killed) == [f"stopped s/w{n} killed" for n in range(3)]


async def test_the_system_is_a_good_child_of_a_task_group() -> None:
    """A tree that gives up fails its task group; a sibling's failure stops the tree in order."""
    log: list[str] = []

    class Ending(Worker):
        async def on_stop(self, reason: object) -> None:
            log.append(str(reason))

    async def tree() -> None:
        async with ActorSystem("t", [ChildSpec(id="a", start=Ending)], intensity=0) as system:
            system.ref("a").tell(BOOM)
            await asyncio.sleep(60)

    async def sibling() -> None:
        await asyncio.sleep(1)
        raise OSError("sibling")

    async def quiet_tree() -> None:
        async with ActorSystem("t", [ChildSpec(id="a", start=Ending)]):
            await asyncio.sleep(60)

    async def run(*parts: Any) -> None:
        async with asyncio.TaskGroup() as group:
            for part in parts:
                group.create_task(part())

    with pytest.raises(ExceptionGroup) as gave_up:
        await run(tree)
    assert isinstance(gave_up.value.exceptions[0], SupervisorGaveUp)
    assert log == ["crash: ValueError: boom"]
    log.clear()
    with pytest.raises(ExceptionGroup) as failed:
        await run(quiet_tree, sibling)
    assert isinstance(failed.value.exceptions[0], OSError)
    assert log == ["shutdown"]


async def test_a_later_child_finds_an_earlier_one_by_path() -> None:
    """In on_start, what started before is found; what has not started is a named error."""
    found: list[object] = []

    class Looker(Worker):
        async def on_start(self) -> None:
            found.append(self.ctx.system.ref("first"))
            with pytest.raises(ChildNotFound, match="third"):
                self.ctx.system.ref("third")
            assert self.ctx.parent == self.ctx.system.root

    specs = [worker("first"), ChildSpec(id="second", start=Looker), worker("third")]
    async with ActorSystem(children=specs) as system:
        assert found == [system.ref("first")]


async def test_events_carry_the_given_clock() -> None:
    """Events are stamped with the clock that the system was given."""
    clock = VirtualClock(epoch_ns=1_000)
    system = ActorSystem(children=[worker("a")], clock=clock)
    log = EventLog(system)
    async with system:
        await asyncio.sleep(2)
        await system.root.terminate_child("a")
    stamps = {event.path: event.wall_ns for event in log.events if event.path == "a"}
    assert stamps == {"a": clock.time_ns()}
    assert clock.time_ns() == 2_000_001_000


@pytest.mark.real_time
async def test_it_runs_on_an_ordinary_loop() -> None:
    """The same runtime on real time: crash, restart, stop."""
    async with ActorSystem(children=[worker("a")]) as system:
        system.ref("a").tell(BOOM)
        assert await system.ref("a").ask("x") == "x"
        report = await system.stop()
    assert report.clean
