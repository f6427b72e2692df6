"""Supervision on a running system in virtual time: ordered event logs of whole trees."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from bifrost.actors import (
    INFINITY,
    Actor,
    ActorState,
    ActorSystem,
    Backoff,
    ChildLeaked,
    ChildSpec,
    Crash,
    Delivery,
    Down,
    DynamicSupervisor,
    ExitReason,
    IntensityScope,
    Killed,
    Normal,
    OnExhausted,
    Restart,
    Shutdown,
    Strategy,
    Supervisor,
)
from bifrost.errors import (
    ActorCrashed,
    ActorStopped,
    ChildNotFound,
    ChildRestarting,
    MaxChildren,
    StartFailed,
    SupervisorGaveUp,
)
from bifrost.testing import EventLog


class Worker(Actor[Any]):
    """Does what it is told; logs its life in `log`."""

    def __init__(self, log: list[str] | None = None, *, stop_takes: float = 0, start_takes: float = 0) -> None:
        self.log = [] if log is None else log
        self.stop_takes = stop_takes
        self.start_takes = start_takes

    async def on_start(self) -> None:
        await asyncio.sleep(self.start_takes)
        self.log.append(f"start {self.ctx.path}#{self.ctx.incarnation}")

    async def receive(self, message: Any) -> object:
        if isinstance(message, BaseException):
            raise message
        if isinstance(message, Down):
            will = "returns" if message.will_restart else "gone"
            self.log.append(f"down {message.ref.path}#{message.incarnation} {type(message.reason).__name__} {will}")
            return None
        if callable(message):
            return await message(self)
        self.log.append(str(message))
        return message

    async def on_stop(self, reason: ExitReason) -> None:
        self.log.append(f"stop {self.ctx.path}#{self.ctx.incarnation} {type(reason).__name__}")
        await asyncio.sleep(self.stop_takes)


async def ignore_cancel(_: Worker) -> None:
    """A handler that nobody can cancel."""
    loop = asyncio.get_running_loop()
    end = loop.time() + 1000
    while loop.time() < end:
        try:
            await asyncio.sleep(end - loop.time())
        except asyncio.CancelledError:
            continue


def worker(child_id: str, log: list[str] | None = None, **options: Any) -> ChildSpec:
    kwargs: dict[str, Any] = {name: options.pop(name) for name in ("stop_takes", "start_takes") if name in options}
    return ChildSpec(id=child_id, start=Worker, args=(log,), kwargs=kwargs, **options)


@contextmanager
def took(least: float, most: float) -> Iterator[None]:
    loop = asyncio.get_running_loop()
    begun = loop.time()
    yield
    assert least <= loop.time() - begun <= most


BOOM = ValueError("boom")


# Start and stop


async def test_start_timeout_bounds_on_start() -> None:
    """A start that takes longer than start_timeout is a failed start."""
    with took(2, 2.1), pytest.raises(StartFailed, match="start_timeout=2 s"):
        async with ActorSystem(children=[worker("a", start_takes=60, start_timeout=2)]):
            pytest.fail("the block must not run")


async def test_drain_handles_the_queue_before_the_stop() -> None:
    """With drain the queued messages are handled first; without it they become dead letters."""
    drained: list[str] = []
    cut: list[str] = []
    system = ActorSystem(children=[worker("drained", drained, drain=True), worker("cut", cut)])
    async with system:
        for name in ("drained", "cut"):
            system.ref(name).tell(lambda _: asyncio.sleep(1))
            for n in range(3):
                system.ref(name).tell(n)
        await asyncio.sleep(0)
    assert drained[1:] == ["0", "1", "2", "stop drained#1 Shutdown"]
    assert cut[1:] == ["stop cut#1 Shutdown"]
    assert system.dead_letters.counts == {"stopped": 3}


async def test_drain_ends_at_the_shutdown_deadline() -> None:
    """A drain that takes longer than shutdown is cut off; what is left becomes dead letters."""
    log: list[str] = []
    system = ActorSystem(children=[worker("a", log, drain=True, shutdown=2.5)])
    with took(2.5, 3.0):
        async with system:
            for _ in range(10):
                system.ref("a").tell(lambda _: asyncio.sleep(1))
            await asyncio.sleep(0)
    assert log[-1] == "stop a#1 Killed"
    assert system.dead_letters.counts == {"crashed": 1, "stopped": 7}


# Crash and restart


async def test_a_crash_restarts_with_a_new_instance_and_the_same_ref() -> None:
    """The old incarnation has finished before the new one starts, and the ref stays valid."""
    log: list[str] = []
    async with ActorSystem(children=[worker("a", log, stop_takes=3)]) as system:
        ref = system.ref("a")
        with pytest.raises(ActorCrashed):
            await ref.ask(BOOM)
        assert ref.state is ActorState.STOPPING
        assert ref.tell("kept") is Delivery.ACCEPTED
        await ref.wait_running()
        assert await ref.ask("x") == "x"
        assert ref.incarnation == 2
        snapshot = system.snapshot().find("a")
        assert snapshot is not None
        assert (snapshot.restarts, snapshot.last_crash) == (1, "ValueError: boom")
    assert log == ["start a#1", "stop a#1 Crash", "start a#2", "kept", "x", "stop a#2 Shutdown"]


async def test_a_task_of_the_incarnation_crashes_it_and_ends_with_it() -> None:
    """An exception in a spawned task is a crash; every other task of the incarnation is ended before the restart."""
    log: list[str] = []

    async def broken() -> None:
        await asyncio.sleep(1)
        raise BOOM

    async def patient() -> None:
        try:
            await asyncio.sleep(1000)
        finally:
            log.append("task ended")

    async def spawn(actor: Worker) -> None:
        actor.ctx.spawn_task(patient())
        actor.ctx.spawn_task(broken())

    async with ActorSystem(children=[worker("a", log)]) as system:
        await system.ref("a").ask(spawn)
        await asyncio.sleep(2)
        assert log == ["start a#1", "task ended", "stop a#1 Crash", "start a#2"]


async def test_a_cancellation_that_nobody_asked_for_is_a_crash() -> None:
    """A CancelledError out of a handler that the runtime did not cause restarts the actor."""
    async with ActorSystem(children=[worker("a")]) as system:
        with pytest.raises(ActorCrashed) as caught:
            await system.ref("a").ask(asyncio.CancelledError())
        assert isinstance(caught.value.cause, asyncio.CancelledError)
        await system.ref("a").wait_running()
        assert system.ref("a").incarnation == 2


async def test_an_actor_may_stop_itself() -> None:
    """ctx.stop ends the actor after the message in hand; a transient one stays down, a permanent one comes back."""

    async def finish(actor: Worker) -> str:
        actor.ctx.stop(Normal())
        return "done"

    specs = [worker("t", restart=Restart.TRANSIENT), worker("p")]
    async with ActorSystem(children=specs) as system:
        assert await system.ref("t").ask(finish) == "done"
        assert await system.ref("p").ask(finish) == "done"
        await asyncio.sleep(1)
        assert system.ref("t").state is ActorState.STOPPED
        assert (system.ref("p").state, system.ref("p").incarnation) == (ActorState.RUNNING, 2)


async def test_one_for_all_keeps_mail_for_siblings_that_come_back() -> None:
    """A message sent to a sibling while the group restarts waits for its next incarnation."""
    log: list[str] = []
    async with ActorSystem(
        children=[worker("a", stop_takes=2), worker("b", log, stop_takes=2)], strategy=Strategy.ONE_FOR_ALL
    ) as system:
        system.ref("a").tell(BOOM)
        await asyncio.sleep(3)
        assert system.ref("b").state is ActorState.STOPPING
        assert await system.ref("b").ask("meanwhile") == "meanwhile"
    assert log[1:4] == ["stop b#1 Shutdown", "start b#2", "meanwhile"]


async def test_too_many_crashes_end_the_system() -> None:
    """The root gives up: the block is cancelled and SupervisorGaveUp comes out of the async with."""
    system = ActorSystem("plant", [worker("a"), worker("b")], intensity=2)
    log = EventLog(system)
    reached = []

    async def host() -> None:
        async with system:
            try:
                for _ in range(3):
                    system.ref("a").tell(BOOM)
                await asyncio.sleep(3600)
            finally:
                reached.append("block left")

    with pytest.raises(SupervisorGaveUp, match=r"'plant' ended: .*intensity exceeded; a: ValueError: boom"):
        await host()
    assert reached == ["block left"]
    assert log.take()[-3:] == ["intensity exceeded a", "stopped b shutdown", "supervisor stopped plant shutdown"]
    task = asyncio.current_task()
    assert task is not None
    assert task.cancelling() == 0


async def test_a_nested_supervisor_escalates() -> None:
    """A supervisor that gives up is restarted by its own, with its static children on their old refs."""
    inner = Supervisor.spec("s", [worker("b"), worker("c")], intensity=0)
    system = ActorSystem("root", [worker("a"), inner])
    log = EventLog(system)
    async with system:
        ref = system.ref("s/b")
        added = await system.supervisor("s").start_child(worker("added"))
        log.take()
        ref.tell(BOOM)
        await asyncio.sleep(1)
        assert log.take() == [
            *("crashed s/b", "dead letter s/b crashed", "stopped s/b crash", "intensity exceeded s/b"),
            *("stopped s/added shutdown", "stopped s/c shutdown", "supervisor stopped s shutdown"),
            *("restart scheduled s", "restarted s/b", "restarted s/c", "supervisor started s"),
        ]
        assert (ref.state, ref.incarnation) == (ActorState.RUNNING, 2)
        assert added.state is ActorState.STOPPED
        with pytest.raises(ChildNotFound):
            system.ref("s/added")


async def test_devices_park_without_touching_their_siblings() -> None:
    """With a budget per child, a device that keeps crashing is parked; the others go on; restart_child revives it."""
    devices = DynamicSupervisor.spec(
        "devices", intensity=1, intensity_scope=IntensityScope.CHILD, on_exhausted=OnExhausted.PARK
    )
    async with ActorSystem(children=[devices]) as system:
        supervisor = system.supervisor("devices")
        bad = await supervisor.start_child(worker("bad"))
        good = await supervisor.start_child(worker("good"))
        for _ in range(2):
            bad.tell(BOOM)
            await asyncio.sleep(0.1)
        assert bad.state is ActorState.FAILED
        assert bad.tell("x") is Delivery.DEAD
        with pytest.raises(ActorStopped, match="parked until restart_child"):
            await bad.ask("x")
        assert await good.ask("y") == "y"
        assert good.incarnation == 1
        await supervisor.restart_child("bad")
        assert await bad.ask("back") == "back"


async def test_backoff_delays_the_restart() -> None:
    """Between crash and restart the actor is RESTARTING and keeps its mail; calls are served meanwhile."""
    spec = worker("a", backoff=Backoff(min=10, max=10, jitter=0))
    async with ActorSystem(children=[spec], intensity=0) as system:
        ref = system.ref("a")
        ref.tell(BOOM)
        await asyncio.sleep(1)
        assert ref.state is ActorState.RESTARTING
        with pytest.raises(ChildRestarting):
            await system.root.restart_child("a")
        with took(8.9, 9.1):
            assert await ref.ask("patient", timeout=30) == "patient"


# Administration


async def test_max_children_is_kept() -> None:
    """A full dynamic supervisor refuses one more child."""
    async with ActorSystem(children=[DynamicSupervisor.spec("d", max_children=1)]) as system:
        supervisor = system.supervisor("d")
        await supervisor.start_child(worker("a"))
        with pytest.raises(MaxChildren):
            await supervisor.start_child(worker("b"))
        await supervisor.terminate_child("a")
        await supervisor.start_child(worker("b"))


# Watching


async def test_watch_gives_exactly_one_down() -> None:
    """One Down per watch, telling whether the actor comes back; at once if it has stopped already."""
    log: list[str] = []
    async with ActorSystem(children=[worker("a"), worker("t", restart=Restart.TEMPORARY), worker("w", log)]) as system:
        a, t, w = (system.ref(name) for name in "atw")

        async def watch(actor: Worker) -> None:
            actor.ctx.watch(a)
            actor.ctx.watch(t)

        await w.ask(watch)
        a.tell(BOOM)
        t.tell(BOOM)
        await asyncio.sleep(1)
        a.tell(BOOM)
        await asyncio.sleep(1)
        assert sorted(log[1:]) == ["down a#1 Crash returns", "down t#1 Crash gone"]
        await w.ask(watch)
        await asyncio.sleep(1)
        assert log[3:] == ["down t#1 Crash gone"]


async def test_unwatch_and_restart_end_a_watch() -> None:
    """Neither an unwatched nor a restarted watcher gets a Down."""
    log: list[str] = []
    async with ActorSystem(children=[worker("a"), worker("w", log)], intensity=10) as system:
        a, w = system.ref("a"), system.ref("w")

        async def watch(actor: Worker) -> None:
            actor.ctx.watch(a)

        async def unwatch(actor: Worker) -> None:
            actor.ctx.unwatch(a)

        await w.ask(watch)
        await w.ask(unwatch)
        a.tell(BOOM)
        await asyncio.sleep(1)
        await w.ask(watch)
        w.tell(BOOM)
        await asyncio.sleep(1)
        a.tell(BOOM)
        await asyncio.sleep(1)
        assert not [line for line in log if line.startswith("down")]


# Leaks, hosts and isolation


async def test_a_handler_that_ignores_cancellation_is_abandoned_and_fenced() -> None:
    """After the grace it is reported as leaked, the supervisor goes on, and its sends and answers are refused."""
    late: list[object] = []

    async def stubborn(actor: Worker) -> str:
        await ignore_cancel(actor)
        late.append(actor.ctx.system.ref("b").tell("from the grave"))
        return "too late"

    system = ActorSystem(children=[worker("a", shutdown=1.0), worker("b")])
    log = EventLog(system, ChildLeaked)
    async with system:
        ask = asyncio.create_task(system.ref("a").ask(stubborn, timeout=60))
        await asyncio.sleep(0.1)
        with took(2, 2.2):
            await system.root.terminate_child("a")
        assert log.take() == ["leaked a"]
        with pytest.raises(ActorCrashed):
            await ask
        await system.root.restart_child("a")
        assert await system.ref("a").ask("new life") == "new life"
        report = await system.stop()
        assert [(leak.path, leak.incarnation, leak.what) for leak in report.leaked] == [("a", 1, "handler")]
        assert not report.clean
        await asyncio.sleep(1000)
    assert late == [Delivery.DEAD]
    assert system.dead_letters.counts["fenced"] == 1


async def test_the_overall_stop_deadline_cuts_everything_short() -> None:
    """At the deadline all that is left is cancelled at once, INFINITY or not."""
    specs = [worker(f"w{n}", stop_takes=500, shutdown=INFINITY) for n in range(3)]
    async with ActorSystem(children=[Supervisor.spec("s", specs)]) as system:
        with took(4, 7):
            report = await system.stop(timeout=4)
    assert report.timed_out
    assert report.leaked == ()
    assert system.ref("s/w0").state is ActorState.STOPPED


async def test_a_clean_stop_says_so_and_leaves_no_task() -> None:
    """After the block nothing of the system is left in the loop."""
    async with ActorSystem(children=[worker("a"), Supervisor.spec("s", [worker("b")])]) as system:
        report = await system.stop()
        assert report.clean
        assert await system.stop() == report
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_host_cancellation_becomes_an_ordered_stop() -> None:
    """Cancelling the task in the block, even twice, stops the tree in order and then cancels the task."""
    log: list[str] = []

    async def host() -> None:
        async with ActorSystem(children=[worker("a", log), worker("b", log, stop_takes=3)]):
            await asyncio.sleep(3600)

    task = asyncio.create_task(host())
    await asyncio.sleep(1)
    task.cancel()
    await asyncio.sleep(1)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert log[2:] == ["stop b#1 Shutdown", "stop a#1 Shutdown"]


async def test_an_error_in_the_block_stops_the_tree_and_comes_out() -> None:
    """The block's own exception is what the caller sees."""
    log: list[str] = []
    with pytest.raises(KeyError, match="mine"):
        async with ActorSystem(children=[worker("a", log)]):
            raise KeyError("mine")
    assert log[-1] == "stop a#1 Shutdown"


@pytest.mark.real_time
def test_system_exit_goes_to_the_host() -> None:
    """SystemExit out of a handler ends the host's run; it is never counted as a crash."""
    log: list[str] = []

    async def host() -> None:
        async with ActorSystem(children=[worker("a", log)]) as system:
            system.ref("a").tell(SystemExit(7))
            await asyncio.sleep(60)

    with pytest.raises(SystemExit) as caught:
        asyncio.run(host())
    assert caught.value.code == 7
    assert log == ["start a#1", "stop a#1 Shutdown"]


async def test_two_systems_do_not_see_each_other() -> None:
    """Same names, separate trees, events and dead letters."""
    async with ActorSystem("x", [worker("a")]) as one, ActorSystem("x", [worker("a")]) as two:
        log = EventLog(two)
        assert one.ref("a") != two.ref("a")
        one.ref("a").tell(BOOM)
        await asyncio.sleep(1)
        assert log.take() == []
        assert len(two.dead_letters) == 0
        assert (one.ref("a").incarnation, two.ref("a").incarnation) == (2, 1)


async def test_failing_subscribers_and_stop_hooks_affect_nobody() -> None:
    """What a subscriber or on_stop raises is reported and changes nothing."""

    class BadStop(Worker):
        async def on_stop(self, reason: ExitReason) -> None:
            raise OSError("cannot close")

    def broken(_: object) -> None:
        raise RuntimeError("bad subscriber")

    system = ActorSystem(children=[ChildSpec(id="a", start=BadStop)])
    system.events.subscribe(broken)
    log = EventLog(system)
    async with system:
        assert await system.ref("a").ask("x") == "x"
    assert log.take()[-3:] == ["stop hook failed a", "stopped a shutdown", "supervisor stopped system shutdown"]


async def test_reasons_reach_the_stop_hook() -> None:
    """on_stop is told why: crash with the error, shutdown, or killed."""
    reasons: list[ExitReason] = []

    class Curious(Worker):
        async def on_stop(self, reason: ExitReason) -> None:
            reasons.append(reason)

    async with ActorSystem(children=[ChildSpec(id="a", start=Curious, shutdown=1.0)]) as system:
        system.ref("a").tell(BOOM)
        await asyncio.sleep(1)
        await system.root.terminate_child("a")
        await system.root.restart_child("a")
        system.ref("a").tell(lambda _: asyncio.sleep(100))
        await asyncio.sleep(0)
    assert reasons == [Crash(BOOM), Shutdown(), Killed()]
