"""Names: who has one, for how long, and who hears of it."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest

from bifrost.actors import (
    Actor,
    ActorState,
    ActorSystem,
    Backoff,
    ChildSpec,
    DynamicSupervisor,
    IntensityScope,
    OnExhausted,
    Restart,
    Strategy,
    Supervisor,
)
from bifrost.actors.registry import NameChange
from bifrost.errors import ActorError, ActorStopped, NameNotFound, NameTaken


class Echo(Actor[Any]):
    """Answers; "crash" raises, "stop" ends it."""

    async def receive(self, message: Any) -> Any:
        if message == "crash":
            raise ValueError(message)
        if message == "stop":
            self.ctx.stop()
        return message


def echo(child_id: str = "a", **options: Any) -> ChildSpec:
    return ChildSpec(id=child_id, start=Echo, **options)


def words(changes: list[NameChange]) -> list[str]:
    return [f"{'+' if change.registered else '-'}{change.ref.path}" for change in changes]


async def drained(subscription: Any) -> list[NameChange]:
    """What the subscription holds now, and what comes until it ends."""
    return [change async for change in subscription]


async def test_a_name_finds_its_actor_until_it_is_unregistered() -> None:
    """`whereis` and `lookup` see the one holder; after `unregister` nobody has the name."""
    async with ActorSystem(children=[echo()]) as system:
        ref = system.ref("a")
        with pytest.raises(NameNotFound, match="nobody is called 'press'"):
            system.registry.whereis("press")
        system.registry.register("press", ref)
        system.registry.register("press", ref)
        assert system.registry.whereis("press") == ref
        assert system.registry.lookup("press") == [ref]
        assert system.registry.names() == system.registry.names(ref) == ["press"]
        system.registry.unregister("press", ref)
        system.registry.unregister("press", ref)
        assert system.registry.lookup("press") == []
        assert system.registry.names() == system.registry.names(ref) == []


async def test_a_unique_name_has_one_holder() -> None:
    """A second actor gets `NameTaken` with the holder, and taking a name from one that has it not changes nothing."""
    async with ActorSystem(children=[echo("a"), echo("b")]) as system:
        a, b = system.ref("a"), system.ref("b")
        system.registry.register("press", a)
        with pytest.raises(NameTaken, match="is the name of a") as caught:
            system.registry.register("press", b)
        assert caught.value.ref == a
        with pytest.raises(NameTaken):
            system.registry.register("press", b, group=True)
        system.registry.unregister("press", b)
        assert system.registry.whereis("press") == a


async def test_a_group_has_many_members_in_the_order_of_registration() -> None:
    """A group is no unique name: `whereis` refuses it, and it is gone with its last member."""
    async with ActorSystem(children=[echo("a"), echo("b")]) as system:
        a, b = system.ref("a"), system.ref("b")
        for ref in (b, a, b):
            system.registry.register("presses", ref, group=True)
        assert system.registry.lookup("presses") == [b, a]
        with pytest.raises(NameNotFound, match="group"):
            system.registry.whereis("presses")
        with pytest.raises(NameTaken, match="group"):
            system.registry.register("presses", a)
        system.registry.unregister("presses", b)
        system.registry.unregister("presses", a)
        system.registry.register("presses", a)
        assert system.registry.whereis("presses") == a


async def test_a_name_is_kept_over_a_restart() -> None:
    """While the actor restarts its name still finds it, in the state RESTARTING; nothing is published."""
    backoff = Backoff(min=1.0, max=1.0, jitter=0.0)
    async with ActorSystem(children=[echo(backoff=backoff)]) as system:
        ref = system.ref("a")
        system.registry.register("press", ref)
        changes = system.registry.subscribe("press")
        ref.tell("crash")
        await asyncio.sleep(0.5)
        assert system.registry.whereis("press").state is ActorState.RESTARTING
        await asyncio.sleep(1.0)
        assert system.registry.whereis("press").incarnation == 2
        changes.close()
        assert await drained(changes) == []


async def test_names_below_a_killed_supervisor_come_back_with_it() -> None:
    """A supervisor and its worker keep their names over the restart of the whole branch."""
    branch = Supervisor.spec("branch", [echo("worker")], strategy=Strategy.ONE_FOR_ALL)
    async with ActorSystem(children=[branch]) as system:
        supervisor, worker = system.ref("branch"), system.ref("branch/worker")
        system.registry.register("middle", supervisor)
        system.registry.register("hand", worker)
        supervisor.kill()
        assert system.registry.whereis("hand") == worker
        await worker.wait_running()
        assert (system.registry.whereis("middle").incarnation, system.registry.whereis("hand").incarnation) == (2, 2)


@pytest.mark.parametrize("how", ["normal", "terminated", "temporary crash", "parked"])
async def test_a_final_stop_releases_every_name(how: str) -> None:
    """However an actor ends for good, its names are free at the moment its state says so."""
    restart = {"normal": Restart.TRANSIENT, "temporary crash": Restart.TEMPORARY}.get(how, Restart.PERMANENT)
    branch = DynamicSupervisor.spec(
        "branch", intensity=0, intensity_scope=IntensityScope.CHILD, on_exhausted=OnExhausted.PARK
    )
    async with ActorSystem(children=[branch, echo("b")]) as system:
        ref = await system.supervisor("branch").start_child(echo(restart=restart))
        system.registry.register("press", ref)
        system.registry.register("presses", ref, group=True)
        changes = system.registry.subscribe("press")
        if how == "terminated":
            await system.supervisor("branch").terminate_child("a")
        else:
            ref.tell("stop" if how == "normal" else "crash")
            await asyncio.sleep(0.1)
        assert ref.state is (ActorState.FAILED if how == "parked" else ActorState.STOPPED)
        assert system.registry.names() == []
        with pytest.raises(ActorStopped):
            system.registry.register("press", ref)
        system.registry.register("press", system.ref("b"))
        changes.close()
        assert words(await drained(changes)) == ["-branch/a", "+b"]


async def test_a_subscription_tells_each_change_and_everybody_who_is_left() -> None:
    """Changes come in order from the moment of the call, each with the members after it."""
    async with ActorSystem(children=[echo("a"), echo("b")]) as system:
        a, b = system.ref("a"), system.ref("b")
        seen: list[NameChange] = []

        async def read() -> None:
            with system.registry.subscribe("presses") as changes:
                async for change in changes:
                    seen.append(change)  # noqa: PERF401 - what has come so far is looked at while it runs

        reader = asyncio.create_task(read())
        await asyncio.sleep(0)
        system.registry.register("presses", a, group=True)
        system.registry.register("others", b, group=True)
        await asyncio.sleep(0.1)
        assert words(seen) == ["+a"]
        system.registry.register("presses", b, group=True)
        system.registry.unregister("presses", a)
        await asyncio.sleep(0.1)
        assert words(seen) == ["+a", "+b", "-a"]
        assert [change.refs for change in seen] == [(a,), (a, b), (b,)]
        await system.stop()
        await asyncio.wait_for(reader, 1)
        assert words(seen[3:]) == ["-b"]


async def test_a_slow_subscriber_loses_the_oldest_and_learns_how_many() -> None:
    """The queue is bounded: the next change says how many were missed and still tells the truth."""
    async with ActorSystem(children=[echo("a")]) as system:
        ref = system.ref("a")
        changes = system.registry.subscribe("press", capacity=2)
        for _ in range(3):
            system.registry.register("press", ref)
            system.registry.unregister("press", ref)
        first, second = await anext(changes), await anext(changes)
        assert (first.missed, first.registered, second.missed, second.refs) == (4, True, 0, ())


async def test_a_subscription_that_nobody_holds_is_forgotten() -> None:
    """Dropping an iterator ends it: the registry keeps no queue that nobody reads."""
    async with ActorSystem(children=[echo("a")]) as system:
        changes = system.registry.subscribe("press")
        assert len(system.registry._subscriptions["press"]) == 1
        del changes
        system.registry.register("press", system.ref("a"))
        assert system.registry._subscriptions == {}


async def test_cancelling_a_reader_leaves_the_subscription_usable() -> None:
    """A reader that gives up loses nothing: the next read gets the change; two readers at once are refused."""
    async with ActorSystem(children=[echo("a")]) as system:
        changes = system.registry.subscribe("press")
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(anext(changes), 1)
        waiting = asyncio.ensure_future(anext(changes))
        await asyncio.sleep(0)
        with pytest.raises(ActorError, match="two readers"):
            await anext(changes)
        system.registry.register("press", system.ref("a"))
        assert (await waiting).registered


async def test_the_end_of_the_system_releases_names_and_ends_subscriptions() -> None:
    """After the stop nobody has a name, iterations are over, and new names are refused."""
    system = ActorSystem(children=[echo("a")])
    async with system:
        ref = system.ref("a")
        system.registry.register("press", ref)
        system.registry.register("root", system.root)
        changes = system.registry.subscribe("press")
        roots = system.registry.subscribe("root")
    assert words(await drained(changes)) == ["-a"]
    assert words(await drained(roots)) == [f"-{system.name}"]
    assert system.registry.names() == []
    with pytest.raises(ActorStopped):
        system.registry.register("press", ref)
    assert await drained(system.registry.subscribe("press")) == []


async def test_two_systems_share_no_names() -> None:
    """Each system has names of its own, and refuses an actor of the other."""
    async with ActorSystem("one", [echo("a")]) as one, ActorSystem("two", [echo("a")]) as two:
        one.registry.register("press", one.ref("a"))
        two.registry.register("press", two.ref("a"))
        assert one.registry.whereis("press") != two.registry.whereis("press")
        with pytest.raises(ActorError, match="another system"):
            one.registry.register("other", two.ref("a"))


async def test_names_are_written_on_the_loop_and_read_anywhere() -> None:
    """A foreign thread may look names up; registering, unregistering and subscribing from it is refused."""
    async with ActorSystem(children=[echo("a")]) as system:
        ref = system.ref("a")
        system.registry.register("press", ref)
        found: list[Any] = []

        def foreign() -> None:
            found.extend([system.registry.whereis("press"), *system.registry.lookup("press")])
            for write in (
                lambda: system.registry.register("x", ref),
                lambda: system.registry.unregister("press", ref),
                lambda: system.registry.subscribe("press"),
            ):
                try:
                    write()
                except ActorError as error:
                    found.append(str(error))

        thread = threading.Thread(target=foreign)
        thread.start()
        thread.join(10)
        assert found[:2] == [ref, ref]
        assert len(found) == 5
        assert all("thread" in text for text in found[2:])
        assert system.registry.whereis("press") == ref


async def test_an_abandoned_incarnation_changes_no_names() -> None:
    """What a fenced incarnation still runs can neither register nor unregister."""
    errors: list[str] = []
    release = asyncio.Event()

    class Stubborn(Echo):
        async def receive(self, message: Any) -> Any:
            del message
            while not release.is_set():
                try:
                    await release.wait()
                except asyncio.CancelledError:
                    continue
            for write in (self.ctx.system.registry.register, self.ctx.system.registry.unregister):
                try:
                    write("press", self.ctx.ref)
                except ActorStopped as error:
                    errors.append(str(error))

    async with ActorSystem(children=[ChildSpec(id="a", start=Stubborn)]) as system:
        ref = system.ref("a")
        system.registry.register("press", ref)
        ref.tell("hang")
        await asyncio.sleep(0.1)
        ref.kill()
        await asyncio.sleep(3)
        await ref.wait_running()
        release.set()
        await asyncio.sleep(0.1)
        assert len(errors) == 2
        assert all("fenced" in error for error in errors)
        assert system.registry.whereis("press") == ref


@pytest.mark.parametrize("name", ["", 7])
async def test_a_wrong_name_or_capacity_is_refused(name: Any) -> None:
    """A name is text that is not empty; a subscription holds at least one change."""
    async with ActorSystem(children=[echo("a")]) as system:
        with pytest.raises(ActorError, match="name must be"):
            system.registry.register(name, system.ref("a"))
        with pytest.raises(ActorError, match="capacity"):
            system.registry.subscribe("press", capacity=0)


async def test_names_that_were_only_ever_subscribed_to_are_forgotten() -> None:
    """A gateway that waits for the name of each job, by another name each time, does not grow."""
    async with ActorSystem() as system:
        kept = system.registry.subscribe("kept")
        for number in range(1000):
            with system.registry.subscribe(f"job-{number}"):
                pass
        assert len(system.registry._subscriptions) < 200
        assert "kept" in system.registry._subscriptions
        kept.close()
