"""How an incarnation is stopped: who gets how long, in which order, and what is said of the rest."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from bifrost.actors import (
    BRUTAL_KILL,
    INFINITY,
    Actor,
    ActorState,
    ActorSystem,
    ChildLeaked,
    ChildSpec,
    Crash,
    Down,
    DynamicSupervisor,
    ExitReason,
    Killed,
    Leak,
    Restart,
    Shutdown,
    Supervisor,
)
from bifrost.errors import ActorCrashed, ActorStopped, StartFailed, SupervisorGaveUp
from bifrost.testing import EventLog

Hook = Callable[["Puppet"], Coroutine[Any, Any, object]]


class Puppet(Actor[Any]):
    """Awaits what it is sent; notes what happens to it, and when."""

    def __init__(
        self, log: list[tuple[str, float]], *, on_start: Hook | None = None, on_stop: Hook | None = None
    ) -> None:
        self.log = log
        self._on_start = on_start
        self._on_stop = on_stop
        self.reasons: list[ExitReason] = []

    def note(self, what: str) -> None:
        self.log.append((f"{self.ctx.path} {what}", round(asyncio.get_running_loop().time(), 3)))

    async def on_start(self) -> None:
        if self._on_start is not None:
            await self._on_start(self)

    async def on_stop(self, reason: ExitReason) -> None:
        self.note(f"stops: {type(reason).__name__.lower()}")
        if self._on_stop is not None:
            await self._on_stop(self)
            self.note("has stopped")

    async def receive(self, message: Any) -> object:
        return await message(self) if callable(message) else message


def puppet(log: list[tuple[str, float]], name: str = "a", **fields: Any) -> ChildSpec:
    return ChildSpec(id=name, start=Puppet, args=(log,), **fields)


async def hang(actor: Puppet) -> None:
    try:
        await asyncio.sleep(1000)
    except asyncio.CancelledError:
        actor.note("cancelled")
        raise


async def swallow_twice(actor: Puppet) -> str:
    for _ in range(2):
        try:
            await asyncio.sleep(1000)
        except asyncio.CancelledError:
            actor.note("swallowed")
    return "done after all"


def stubborn(release: asyncio.Event) -> Hook:
    async def ignore(_: Puppet) -> None:
        while not release.is_set():
            try:
                await release.wait()
            except asyncio.CancelledError:
                continue

    return ignore


@pytest.mark.parametrize(("shutdown", "cancelled_at"), [(2.0, 2.0), (0.5, 0.5), (BRUTAL_KILL, 0.0)])
async def test_the_handler_in_hand_has_shutdown_seconds(shutdown: float, cancelled_at: float) -> None:
    """Then it is cancelled, its asker hears of it, and `on_stop` runs with `Killed`."""
    log: list[tuple[str, float]] = []
    async with ActorSystem(children=[puppet(log, shutdown=shutdown)]) as system:
        asking = asyncio.create_task(system.ref("a").ask(hang, timeout=100))
        await asyncio.sleep(1)
        await system.root.terminate_child("a")
        with pytest.raises(ActorCrashed):
            await asking
    assert log == [("a cancelled", 1 + cancelled_at), ("a stops: killed", 1 + cancelled_at)]


async def test_a_handler_that_ends_in_time_answers_and_stops_in_order() -> None:
    """An orderly stop takes nothing away from the message in hand."""
    log: list[tuple[str, float]] = []

    async def nap(_: Puppet) -> str:
        await asyncio.sleep(2)
        return "answer"

    async with ActorSystem(children=[puppet(log, shutdown=5.0)]) as system:
        asking = asyncio.create_task(system.ref("a").ask(nap))
        await asyncio.sleep(1)
        await system.root.terminate_child("a")
        assert await asking == "answer"
    assert log == [("a stops: shutdown", 2.0)]


async def test_cancellation_is_repeated_during_the_grace_period() -> None:
    """A handler that swallows it once or twice still ends in order, and its answer counts."""
    log: list[tuple[str, float]] = []
    async with ActorSystem(children=[puppet(log, shutdown=1.0)]) as system:
        asking = asyncio.create_task(system.ref("a").ask(swallow_twice, timeout=100))
        await asyncio.sleep(1)
        await system.root.terminate_child("a")
        assert await asking == "done after all"
        assert system.dead_letters.counts == {}
    assert [what for what, _ in log] == ["a swallowed", "a swallowed", "a stops: killed"]
    assert log[-1][1] <= 3.0


async def test_what_cannot_be_ended_is_abandoned_after_the_grace_period() -> None:
    """After `shutdown` and one second of grace the supervisor goes on; the report names what still runs."""
    release = asyncio.Event()
    log: list[tuple[str, float]] = []
    loop = asyncio.get_running_loop()
    async with ActorSystem(children=[puppet(log, shutdown=2.0), puppet(log, "b")]) as system:
        events = EventLog(system, ChildLeaked)
        system.ref("a").tell(stubborn(release))
        await asyncio.sleep(1)
        begun = loop.time()
        await system.root.terminate_child("a")
        assert loop.time() - begun == pytest.approx(3.0)
        assert events.take() == ["leaked a"]
        assert await system.ref("b").ask("still there") == "still there"
        report = await system.stop()
    assert report.leaked == (Leak("a", 1, "handler"),)
    assert not report.clean
    assert ("a stops: killed", 4.0) not in log  # the stop hook of an instance that still runs is not called
    release.set()
    await asyncio.sleep(0.1)


@pytest.mark.parametrize("what", ["on_start", "handler", "on_stop", "task"])
async def test_the_report_names_what_leaked(what: str) -> None:
    """A start, a handler, a stop hook or a task beside them: each is told apart."""
    release = asyncio.Event()
    ignore = stubborn(release)

    async def spawn(actor: Puppet) -> None:
        actor.ctx.spawn_task(ignore(actor), name="ignores")

    spec = ChildSpec(
        id="a",
        start=Puppet,
        args=([],),
        kwargs={f"on_{hook}": ignore for hook in ("start", "stop") if what == f"on_{hook}"},
        shutdown=0.5,
        start_timeout=1.0,
        restart=Restart.TEMPORARY,
    )
    async with ActorSystem() as system:
        starting = asyncio.create_task(system.start_child(spec))
        await asyncio.sleep(0.5)
        if what in ("handler", "task"):
            system.ref("a").tell(ignore if what == "handler" else spawn)
        await asyncio.sleep(5)
        report = await system.stop()
        await asyncio.gather(starting, return_exceptions=True)
    assert [leak.what for leak in report.leaked] == ["task ignores" if what == "task" else what]
    release.set()
    await asyncio.sleep(0.1)


async def test_the_report_names_what_has_not_come_to_its_end() -> None:
    """Whoever puts a new obstacle in the way each time that one is cleared is named when the forced stop is over."""

    async def linger() -> None:
        try:
            await asyncio.sleep(3600)
        except asyncio.CancelledError:
            for _ in range(9):  # cancelled every 0.1 s, and done before the second is over
                with contextlib.suppress(asyncio.CancelledError):
                    await asyncio.sleep(0.1)

    async def head(actor: Puppet, more: int) -> None:
        await linger()
        if more:
            actor.ctx.spawn_task(head(actor, more - 1))

    async def grow(actor: Puppet) -> None:
        actor.ctx.spawn_task(head(actor, 2))
        await linger()

    async with ActorSystem(children=[ChildSpec(id="a", start=Puppet, args=([],), kwargs={"on_stop": grow})]) as system:
        system.ref("a").tell(grow)
        await asyncio.sleep(0.1)
        report = await system.stop(0.1)
        assert report.timed_out
        assert not report.clean
        assert report.leaked == (Leak("a", 1, "end"),)
        await asyncio.sleep(20)
        assert system.ref("a").state is ActorState.STOPPED


async def test_a_start_in_which_the_actor_stops_itself_has_failed() -> None:
    """It never ran: the caller hears that, and with which reason it ended."""

    async def give_up(actor: Puppet) -> None:
        actor.ctx.stop()

    async with ActorSystem() as system:
        with pytest.raises(StartFailed, match=r"a ended before it had started \(normal\)$") as told:
            await system.start_child(ChildSpec(id="a", start=Puppet, args=([],), kwargs={"on_start": give_up}))
        assert isinstance(told.value.cause, ActorStopped)


async def test_a_static_branch_stops_in_reverse_and_one_by_one() -> None:
    """Each child has its own seconds, and the next is not stopped before it is done."""
    log: list[tuple[str, float]] = []

    async def nap(_: Puppet) -> None:
        await asyncio.sleep(1)

    specs = [
        ChildSpec(id=name, start=Puppet, args=(log,), kwargs={"on_stop": nap}, shutdown=3.0) for name in ("a", "b", "c")
    ]
    async with ActorSystem(children=specs):
        pass
    assert log == [
        ("c stops: shutdown", 0.0),
        ("c has stopped", 1.0),
        ("b stops: shutdown", 1.0),
        ("b has stopped", 2.0),
        ("a stops: shutdown", 2.0),
        ("a has stopped", 3.0),
    ]


async def test_dynamic_children_stop_together() -> None:
    """A thousand children that take a second each take one second."""
    log: list[tuple[str, float]] = []
    loop = asyncio.get_running_loop()

    async def nap(_: Puppet) -> None:
        await asyncio.sleep(1)

    async with ActorSystem(children=[DynamicSupervisor.spec("devices")]) as system:
        devices = system.supervisor("devices")
        for n in range(1000):
            await devices.start_child(ChildSpec(id=f"d{n}", start=Puppet, args=(log,), kwargs={"on_stop": nap}))
        begun = loop.time()
        report = await system.stop()
    assert loop.time() - begun == pytest.approx(1.0)
    assert report.clean
    assert len(log) == 2000


@pytest.mark.parametrize("how", ["kill", "deadline"])
async def test_a_forced_stop_still_calls_the_stop_hooks(how: str) -> None:
    """Who kills a whole branch, or stops it in no time, still lets every started actor release what it took."""
    log: list[tuple[str, float]] = []
    workers = [puppet(log, name) for name in ("a", "b")]
    async with ActorSystem(children=[Supervisor.spec("branch", workers, shutdown=BRUTAL_KILL)]) as system:
        if how == "kill":
            system.ref("branch").kill()
            await asyncio.sleep(1)
            assert system.ref("branch/a").incarnation == 2
        else:
            await system.root.terminate_child("branch")
        assert sorted(what.partition(":")[0] for what, _ in log) == ["branch/a stops", "branch/b stops"]


async def test_the_end_of_a_parent_ends_its_children() -> None:
    """However a supervisor ends, nothing below it runs on: when it reports, all below is over."""
    log: list[tuple[str, float]] = []
    inner = Supervisor.spec("inner", [puppet(log, "leaf")], restart=Restart.TEMPORARY)
    outer = Supervisor.spec("outer", [inner, puppet(log, "leaf")], restart=Restart.TEMPORARY)
    async with ActorSystem(children=[outer]) as system:
        leaves = [system.ref("outer/inner/leaf"), system.ref("outer/leaf")]
        system.ref("outer").kill()
        await asyncio.sleep(2)
        for leaf in leaves:
            assert leaf.state is ActorState.STOPPED
            with pytest.raises(ActorStopped):
                await leaf.ask("anybody there?")


async def test_the_end_of_the_root_ends_the_system_and_the_host_hears_of_it() -> None:
    """The tree stops in order, then `SupervisorGaveUp` comes out of the block, with the crash in its text."""
    log: list[tuple[str, float]] = []

    async def fail(_: Puppet) -> None:
        raise ValueError("defect 7")

    async def run() -> None:
        async with ActorSystem(children=[puppet(log, "a"), puppet(log, "b")], intensity=0) as system:
            system.ref("a").tell(fail)
            await asyncio.sleep(100)

    with pytest.raises(SupervisorGaveUp, match="defect 7"):
        await run()
    assert log == [("a stops: crash", 0.0), ("b stops: shutdown", 0.0)]


@pytest.mark.parametrize("turns", range(6))
@pytest.mark.parametrize("raises", [False, True])
async def test_a_root_that_gives_up_while_its_block_is_left_cancels_nobody(turns: int, *, raises: bool) -> None:
    """Whoever comes first, the end of the block or of the tree: no cancellation is left over, and no error is lost."""

    class Own(Exception):
        pass

    async def fail(_: Puppet) -> None:
        raise ValueError("broken")

    async def host() -> str:
        try:
            async with ActorSystem(children=[puppet([])], intensity=0) as system:
                system.ref("a").tell(fail)
                for _ in range(turns):
                    await asyncio.sleep(0)
                if raises:
                    raise Own  # noqa: TRY301 - it is the block that fails
        except SupervisorGaveUp:
            return "gave up"
        except Own:
            return "own error"
        return "left"

    task = asyncio.create_task(host())
    await asyncio.wait([task])
    assert not task.cancelled()
    assert not task.cancelling()
    assert task.result() in ("gave up", "own error" if raises else "left")


async def test_infinity_waits_as_long_as_it_takes() -> None:
    """A worker with `INFINITY` may take an hour, within the system's own deadline."""
    log: list[tuple[str, float]] = []

    async def nap(actor: Puppet) -> None:
        await asyncio.sleep(3600)
        actor.note("done")

    async with ActorSystem(children=[puppet(log, shutdown=INFINITY)], stop_timeout=4000.0) as system:
        system.ref("a").tell(nap)
        await asyncio.sleep(1)
    assert log == [("a done", 3600.0), ("a stops: shutdown", 3600.0)]


# Watching


async def test_every_end_is_told_with_its_reason_and_its_incarnation() -> None:
    """One `Down` for each incarnation that is watched, with what comes next."""
    seen: list[Down] = []

    class Watcher(Actor[Any]):
        async def receive(self, message: Any) -> None:
            if isinstance(message, Down):
                seen.append(message)
            self.ctx.watch(self.ctx.system.ref("b"))

    async def fail(_: Puppet) -> None:
        raise ValueError("broken")

    async with ActorSystem(children=[puppet([], "b"), ChildSpec(id="a", start=Watcher)]) as system:
        ref = system.ref("b")
        system.ref("a").tell("begin")
        await asyncio.sleep(0.1)
        ref.kill()
        await asyncio.sleep(0.1)
        await ref.wait_running()
        system.ref("a").tell("watch again")
        await asyncio.sleep(0.1)
        ref.tell(fail)
        await asyncio.sleep(0.1)
        assert [(type(down.reason), down.incarnation, down.will_restart) for down in seen[:2]] == [
            (Killed, 1, True),
            (Crash, 2, True),
        ]


async def test_watching_what_has_ended_is_answered_at_once() -> None:
    """A stopped actor's `Down` says so; a repeated watch of a running actor is one watch."""
    seen: list[Down] = []

    class Watcher(Actor[Any]):
        async def receive(self, message: Any) -> None:
            if isinstance(message, Down):
                seen.append(message)
            else:
                self.ctx.watch(message)

    async with ActorSystem(children=[puppet([], "b"), puppet([], "c"), ChildSpec(id="a", start=Watcher)]) as system:
        stopped, running = system.ref("b"), system.ref("c")
        await system.root.terminate_child("b")
        for ref in (stopped, running, running):
            system.ref("a").tell(ref)
        await asyncio.sleep(0.1)
        assert [(down.ref, down.reason, down.will_restart) for down in seen] == [(stopped, Shutdown(), False)]
        await system.root.terminate_child("c")
        await asyncio.sleep(0.1)
        assert [down.ref for down in seen] == [stopped, running]


async def test_two_watchers_each_hear_once_and_a_supervisor_can_be_watched() -> None:
    """Watches are independent; a `Down` of a supervisor comes after those of its children."""
    seen: dict[str, list[str]] = {"a": [], "b": []}

    class Watcher(Actor[Any]):
        async def on_start(self) -> None:
            for path in ("branch", "branch/leaf"):
                self.ctx.watch(self.ctx.system.ref(path))

        async def receive(self, message: Down) -> None:
            seen[self.ctx.path].append(message.ref.path)

    branch = Supervisor.spec("branch", [puppet([], "leaf")])
    watchers = [ChildSpec(id=name, start=Watcher) for name in ("a", "b")]
    async with ActorSystem(children=[branch, *watchers]) as system:
        await system.root.terminate_child("branch")
        await asyncio.sleep(0.1)
        assert {name: sorted(paths) for name, paths in seen.items()} == {
            name: ["branch", "branch/leaf"] for name in ("a", "b")
        }


@pytest.mark.parametrize("when", ["an actor ends", "the system stops"])
async def test_cancelling_every_task_of_the_loop_does_not_cut_an_end_short(when: str) -> None:
    """As `asyncio.run` does at its end: what ends actors comes to its end all the same, and each hook runs once."""
    loop = asyncio.get_running_loop()
    closed: list[int] = []

    class Closes(Actor[str]):
        async def receive(self, message: str) -> None:
            raise ValueError(message)

        async def on_stop(self, reason: ExitReason) -> None:
            try:
                await asyncio.sleep(1)
            finally:
                closed.append(self.ctx.incarnation)

    system = ActorSystem("s", [ChildSpec(id="a", start=Closes, restart=Restart.TEMPORARY)])

    async def host() -> None:
        async with system:
            if when == "an actor ends":
                system.ref("a").tell("crash")
                await asyncio.sleep(1000)

    hosting = asyncio.create_task(host())
    await asyncio.sleep(0.5)
    begun = loop.time()
    for task in asyncio.all_tasks():
        if task is not asyncio.current_task():
            task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await hosting
    assert loop.time() - begun < 2
    assert closed == [1]
    assert system.root.state is ActorState.STOPPED
    assert (await system.stop()).clean
