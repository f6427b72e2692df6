"""The runtime on other loops: uvloop, and tasks that start eagerly, in real time."""

from __future__ import annotations

import asyncio
import sys
import threading
import time
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
import uvloop

from bifrost.actors import (
    Actor,
    ActorSystem,
    Backoff,
    ChildSpec,
    Delivery,
    Down,
    DynamicSupervisor,
    ExitReason,
    Mailbox,
    Overflow,
    Strategy,
    Supervisor,
)
from bifrost.actors.hosts import Portal, PortalSystem, system_child
from bifrost.errors import ActorCrashed, ActorStopped, AskTimeout, MailboxFull, StartFailed, SupervisorGaveUp
from bifrost.testing import EventLog
from tests.integration.actors.hosted import BOOM, Recorder, no_thread_left, worker
from tests.integration.waiting import until

Run = Callable[[Callable[[], Coroutine[Any, Any, None]]], None]


def _eager(factory: Callable[[], asyncio.AbstractEventLoop]) -> Callable[[], asyncio.AbstractEventLoop]:
    def make() -> asyncio.AbstractEventLoop:
        loop = factory()
        loop.set_task_factory(getattr(asyncio, "eager_task_factory"))  # noqa: B009 - Python 3.12 and later
        return loop

    return make


_NEEDS_3_12 = pytest.mark.skipif(sys.version_info < (3, 12), reason="asyncio.eager_task_factory is new in Python 3.12")

# Not both together: uvloop calls a task factory with `eager_start`, which the one of the older Pythons does not take.
LOOPS = [
    pytest.param(uvloop.new_event_loop, id="uvloop"),
    pytest.param(_eager(asyncio.new_event_loop), id="asyncio-eager", marks=_NEEDS_3_12),
]


@pytest.fixture(params=LOOPS)
def run(request: pytest.FixtureRequest) -> Run:
    """Runs a test's coroutine on the loop, with a deadline; no task may be left."""

    def run_it(main: Callable[[], Coroutine[Any, Any, None]]) -> None:
        async def bounded() -> None:
            async with asyncio.timeout(20):
                await main()
            assert len(asyncio.all_tasks()) == 1

        with asyncio.Runner(loop_factory=request.param) as runner:
            runner.run(bounded())

    return run_it


def test_messages(run: Run) -> None:
    """Tell, send and ask: order, answers, a full mailbox, a deadline, an actor that has stopped."""
    seen: list[Any] = []

    class Gate(Actor[Any]):
        async def receive(self, message: Any) -> object:
            if isinstance(message, float):
                await asyncio.sleep(message)
            seen.append(message)
            return message

    async def main() -> None:
        small = Mailbox(capacity=2, overflow=Overflow.DROP_NEWEST)
        specs = [ChildSpec(id="gate", start=Gate), ChildSpec(id="small", start=Gate, mailbox=small)]
        async with ActorSystem("plant", specs) as system:
            gate, few = system.ref("gate"), system.ref("small")
            for number in range(200):
                gate.tell(number)
            assert await gate.ask("last") == "last"
            assert seen == [*range(200), "last"]
            seen.clear()
            few.tell(0.1)
            await asyncio.sleep(0.02)
            results = [few.tell(number) for number in range(3)]
            assert results == [Delivery.ACCEPTED, Delivery.ACCEPTED, Delivery.DROPPED]
            with pytest.raises(MailboxFull):
                await few.send(3, timeout=0.05)
            with pytest.raises(AskTimeout):
                await gate.ask(0.3, timeout=0.05)
            await system.root.terminate_child("gate")
            with pytest.raises(ActorStopped):
                await gate.ask(1)

    run(main)


def test_a_cancelled_ask_is_withdrawn(run: Run) -> None:
    """A request whose asker was cancelled while it was queued is never handled."""
    seen: list[Any] = []

    class Gate(Actor[Any]):
        async def receive(self, message: Any) -> None:
            seen.append(message)
            if isinstance(message, float):
                await asyncio.sleep(message)

    async def main() -> None:
        async with ActorSystem("plant", [ChildSpec(id="gate", start=Gate)]) as system:
            gate = system.ref("gate")
            gate.tell(0.1)
            await asyncio.sleep(0.02)
            asking = asyncio.get_running_loop().create_task(gate.ask("withdrawn"))
            await asyncio.sleep(0.02)
            asking.cancel()
            with pytest.raises(asyncio.CancelledError):
                await asking
            await gate.ask("last")
        assert seen == [0.1, "last"]

    run(main)


def test_asks_in_a_ring(run: Run) -> None:
    """Actors that ask one another on the asker's stack, deeper than the stack's allowance, all answer."""

    class Link(Actor[int]):
        def __init__(self, number: int) -> None:
            self.number = number

        async def receive(self, message: int) -> int:
            if message == 0:
                return self.number
            following = self.ctx.system.ref(f"link-{(self.number + 1) % 40}")
            answer: int = await following.ask(message - 1)
            return answer

    async def main() -> None:
        links = [ChildSpec(id=f"link-{n}", start=Link, args=(n,)) for n in range(40)]
        async with ActorSystem("ring", links) as system:
            answers = await asyncio.gather(*(system.ref(f"link-{n % 3}").ask(0) for n in range(100)))
            assert answers == [n % 3 for n in range(100)]
            assert await system.ref("link-0").ask(39) == 39

    run(main)


@pytest.mark.parametrize(
    ("strategy", "expected"),
    [
        (Strategy.ONE_FOR_ONE, {"a": 1, "b": 2, "c": 1}),
        (Strategy.REST_FOR_ONE, {"a": 1, "b": 2, "c": 2}),
        (Strategy.ONE_FOR_ALL, {"a": 2, "b": 2, "c": 2}),
    ],
)
def test_strategies(run: Run, strategy: Strategy, expected: dict[str, int]) -> None:
    """Each strategy restarts its own group, in order, and the refs stay."""

    async def main() -> None:
        async with ActorSystem("plant", [worker(name) for name in "abc"], strategy=strategy) as system:
            with pytest.raises(ActorCrashed):
                await system.ref("b").ask(BOOM)
            for name in "abc":
                await system.ref(name).wait_running()
                assert await system.ref(name).ask(name) == name
            assert {name: system.ref(name).incarnation for name in "abc"} == expected

    run(main)


def test_a_tree_stops_in_reverse_order(run: Run) -> None:
    """Two levels stop in reverse start order, and the report is clean."""
    recorder = Recorder()

    async def main() -> None:
        below = Supervisor.spec("below", [worker("b", recorder), worker("c", recorder)])
        async with ActorSystem("plant", [worker("a", recorder), below, worker("d", recorder)]) as system:
            pass
        assert (await system.stop()).clean

    run(main)
    assert recorder.stopped() == ["d", "c", "b", "a"]


def test_crash_to_running_again(run: Run) -> None:
    """The ordered events of one crash are those of any other loop."""

    async def main() -> None:
        system = ActorSystem("plant", [worker("a")])
        log = EventLog(system)
        async with system:
            log.take()
            system.ref("a").tell(BOOM)
            await until(lambda: system.ref("a").incarnation == 2)
            await system.ref("a").wait_running()
            assert log.take() == [
                "crashed a",
                "dead letter a crashed",
                "stopped a crash",
                "restart scheduled a",
                "restarted a",
            ]

    run(main)


def test_intensity_and_failed_starts_reach_the_host(run: Run) -> None:
    """A tree that gives up raises SupervisorGaveUp from the block; a failed start raises StartFailed."""
    recorder = Recorder()

    def refuse() -> Actor[Any]:
        raise BOOM

    async def main() -> None:
        with pytest.raises(SupervisorGaveUp):  # noqa: PT012 - the failure of a whole block is what is tested
            async with ActorSystem("plant", [worker("a", recorder), worker("b", recorder)], intensity=0) as system:
                system.ref("a").tell(BOOM)
                await asyncio.sleep(10)
        assert recorder.stopped() == ["a", "b"]
        with pytest.raises(StartFailed):
            async with ActorSystem("plant", [worker("a", recorder), ChildSpec(id="bad", start=refuse)]):
                raise AssertionError("entered")

    run(main)


def test_timers_tasks_watches_and_back_off(run: Run) -> None:
    """Timers tick, tasks end with their incarnation, a watcher gets one Down, a back-off delays the restart."""
    notes: list[str] = []

    class Busy(Actor[Any]):
        async def on_start(self) -> None:
            self.ctx.timers.every("tick", 0.02, "tick")
            self.ctx.spawn_task(self.forever())

        async def forever(self) -> None:
            try:
                await asyncio.sleep(60)
            finally:
                notes.append("task ended")

        async def receive(self, message: Any) -> None:
            if isinstance(message, BaseException):
                raise message
            notes.append(message)

        async def on_stop(self, reason: ExitReason) -> None:
            notes.append("on_stop")

    class Watcher(Actor[Any]):
        async def on_start(self) -> None:
            self.ctx.watch(self.ctx.system.ref("busy"))

        async def receive(self, message: Any) -> None:
            if isinstance(message, Down):
                notes.append(f"down {message.will_restart}")

    async def main() -> None:
        busy = ChildSpec(id="busy", start=Busy, backoff=Backoff(min=0.1, max=0.2, jitter=0))
        async with ActorSystem("plant", [busy, ChildSpec(id="watcher", start=Watcher)]) as system:
            await until(lambda: notes.count("tick") >= 3)
            begun = time.monotonic()
            system.ref("busy").tell(BOOM)
            await until(lambda: system.ref("busy").incarnation == 2)
            assert time.monotonic() - begun >= 0.09
            ends = [note for note in notes if note != "tick"]
            assert ends == ["task ended", "on_stop", "down True"]

    run(main)


def test_stubborn_actors_are_abandoned(run: Run) -> None:
    """A handler that swallows its cancellation is reported as a leak, and the stop goes on without it."""
    release = asyncio.Event()

    class Stubborn(Actor[Any]):
        async def receive(self, message: Any) -> None:
            while not release.is_set():
                try:
                    await asyncio.sleep(0.05)
                except asyncio.CancelledError:
                    continue

    async def main() -> None:
        async with ActorSystem("plant", [ChildSpec(id="s", start=Stubborn, shutdown=0.05), worker("a")]) as system:
            system.ref("s").tell(1)
            await asyncio.sleep(0.02)
        report = await system.stop()
        assert [leak.what for leak in report.leaked] == ["handler"]
        release.set()
        await asyncio.sleep(0.1)

    run(main)


def test_a_dynamic_supervisor_of_many(run: Run) -> None:
    """Five hundred children come, crash once each, and go, all at once."""

    async def main() -> None:
        crew = DynamicSupervisor.spec("crew", intensity=1_000)
        async with ActorSystem("plant", [crew]) as system:
            supervisor = system.supervisor("crew")
            refs = [await supervisor.start_child(worker(f"w{n}")) for n in range(500)]
            for ref in refs:
                ref.tell(ValueError("boom"))  # one each: a shared one would gather every traceback
            await until(lambda: all(ref.incarnation == 2 for ref in refs))
            await asyncio.gather(*(ref.wait_running() for ref in refs))
            assert await asyncio.gather(*(ref.ask(n) for n, ref in enumerate(refs))) == list(range(500))

    run(main)


def test_a_system_in_a_task_group(run: Run) -> None:
    """The failure of a sibling stops the tree in order, before the group raises."""
    recorder = Recorder()

    async def fail() -> None:
        await asyncio.sleep(0.02)
        raise BOOM

    async def main() -> None:
        with pytest.raises(ExceptionGroup):  # noqa: PT012 - the failure of a whole block is what is tested
            async with asyncio.TaskGroup() as group:
                await system_child(group, ActorSystem("plant", [worker("a", recorder), worker("b", recorder)]))
                group.create_task(fail())
        assert recorder.stopped() == ["b", "a"]

    run(main)


@pytest.mark.parametrize("factory", LOOPS)
def test_a_portal_on_the_loop(factory: Callable[[], asyncio.AbstractEventLoop]) -> None:
    """Posts and asks from many threads, a thread job, an orderly close and a tree that gives up, in a portal."""
    recorder = Recorder()

    async def job(_: Actor[Any]) -> bool:
        return await asyncio.to_thread(lambda: threading.current_thread() is not threading.main_thread())

    answers: list[bool] = []

    def use() -> None:
        futures = [(n, portal.ask("a", n, timeout=20)) for n in range(125)]
        answers.extend(future.result(20) == n for n, future in futures)

    with no_thread_left():
        portal = Portal(ActorSystem("plant", [worker("a", recorder), worker("b", recorder)]), loop_factory=factory)
        portal.start()
        threads = [threading.Thread(target=use) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        assert portal.ask("b", job).result(10) is True
        assert portal.close().clean
        assert answers == [True] * 1_000
        assert recorder.stopped() == ["b", "a"]
        with (  # noqa: PT012 - the failure of a whole block is what is tested
            pytest.raises(SupervisorGaveUp),
            PortalSystem("plant", [worker("a")], intensity=0, loop_factory=factory) as system,
        ):
            system.tell("a", BOOM)
            while system.portal.is_running:
                time.sleep(0.005)


@pytest.mark.parametrize("factory", LOOPS)
def test_an_interrupt_in_a_portal_goes_to_the_host(factory: Callable[[], asyncio.AbstractEventLoop]) -> None:
    """SystemExit out of a handler stops the tree in order and comes out of the block."""
    recorder = Recorder()
    with no_thread_left(), pytest.raises(SystemExit):  # noqa: PT012, SIM117 - the failure of a whole block is tested
        with PortalSystem("plant", [worker("a", recorder), worker("b", recorder)], loop_factory=factory) as system:
            system.tell("a", SystemExit(3))
            while system.portal.is_running:
                time.sleep(0.005)
    assert recorder.stopped() == ["b", "a"]
