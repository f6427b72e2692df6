"""A system inside a real trio program."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
import time
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
import trio
import trio.testing

from bifrost.actors import (
    Actor,
    ActorRestarted,
    ActorState,
    ChildSpec,
    ChildStatus,
    Delivery,
    DynamicSupervisor,
    Mailbox,
)
from bifrost.actors.hosts.trio import open_system
from bifrost.errors import (
    ActorCrashed,
    ActorStopped,
    AskTimeout,
    ChildNotFound,
    MailboxFull,
    StartFailed,
    SupervisorGaveUp,
)
from tests.integration.actors.hosted import BOOM, Recorder, no_thread_left, worker


def run(main: Callable[[], Awaitable[None]], *, seconds: float = 20.0) -> None:
    """Run `main` on trio with a deadline, and check that no thread is left."""

    async def bounded() -> None:
        with trio.fail_after(seconds):
            await main()

    with no_thread_left():
        trio.run(bounded, strict_exception_groups=True)


def test_the_tree_lives_as_long_as_the_block() -> None:
    """Inside the block the tree answers; after it, it has stopped in reverse order."""
    recorder = Recorder()

    async def main() -> None:
        async with open_system("plant", [worker("a", recorder), worker("b", recorder)]) as system:
            assert await system.ask("a", 1) == 1
            assert system.tell("a", 2) is Delivery.ACCEPTED
            await system.send("b", 3)
            assert [child.id for child in (await system.snapshot()).children] == ["a", "b"]
        assert system.report is not None
        assert system.report.clean

    run(main)
    assert recorder.lines == ["start a", "start b", "stop b", "stop a"]


def test_the_tree_is_administered_from_trio() -> None:
    """start_child, terminate_child, restart_child, delete_child and which_children, with their refusals."""

    async def main() -> None:
        async with open_system("plant", [DynamicSupervisor.spec("lines"), worker("a")]) as system:
            ref = await system.start_child(worker("x"), under="lines")
            assert await system.ask(ref, 1) == 1
            await system.terminate_child("a")
            assert system.ref("a").state is ActorState.STOPPED
            with pytest.raises(ActorStopped):
                await system.ask("a", 1)
            assert await system.restart_child("a") == system.ref("a")
            await system.wait_running("a")
            await system.terminate_child("a")
            await system.delete_child("a")
            assert [(one.id, one.status) for one in await system.which_children()] == [("lines", ChildStatus.RUNNING)]
            with pytest.raises(ChildNotFound):
                await system.terminate_child("nobody")
            with pytest.raises(ActorCrashed):
                await system.ask("lines/x", BOOM)

    run(main)


def test_an_ask_uses_no_thread_of_its_own() -> None:
    """A thousand asks in flight at once: only the portal's thread is there besides trio's."""

    async def main() -> None:
        before = threading.active_count()
        gate = [worker("gate", mailbox=Mailbox(capacity=2_000))]
        async with open_system("plant", gate) as system:

            async def later(_: Actor[Any]) -> str:
                await asyncio.sleep(1.5)
                return "open"

            answers: list[Any] = []

            async def ask(number: int) -> None:
                answers.append(await system.ask("gate", number, timeout=15))

            async with trio.open_nursery() as nursery:
                nursery.start_soon(system.ask, "gate", later)
                for number in range(1_000):
                    nursery.start_soon(ask, number)
                await trio.sleep(0.1)
                assert threading.active_count() == before + 1
            assert sorted(answers) == list(range(1_000))

    run(main)


def test_a_trio_cancellation_withdraws_the_ask() -> None:
    """A cancelled ask ends at once on trio, and an actor that has not seen the request never will."""
    seen: list[Any] = []

    class Gate(Actor[Any]):
        async def receive(self, message: Any) -> None:
            seen.append(message)
            if isinstance(message, float):
                await asyncio.sleep(message)

    async def main() -> None:
        async with open_system("plant", [ChildSpec(id="gate", start=Gate)]) as system:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(system.ask, "gate", 0.3)
                await trio.sleep(0.05)
                begun = trio.current_time()
                with trio.move_on_after(0.05) as scope:
                    await system.ask("gate", "withdrawn")
                assert scope.cancelled_caught
                assert trio.current_time() - begun < 0.2
            await system.ask("gate", "last")

    run(main)
    assert seen == [0.3, "last"]


def test_a_trio_cancellation_cancels_the_asyncio_task() -> None:
    """What `call` runs on the other side is cancelled with the trio task that awaits it."""
    ended = threading.Event()

    async def forever() -> None:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            ended.set()
            raise

    async def main() -> None:
        async with open_system("plant") as system:
            with trio.move_on_after(0.05) as scope:
                await system.call(forever)
            assert scope.cancelled_caught
            assert await trio.to_thread.run_sync(ended.wait, 5)

    run(main)


def test_every_ask_has_its_deadline() -> None:
    """AskTimeout and MailboxFull come in time, and a blocked loop is named instead of waited for."""
    recorder = Recorder()
    spec = worker("a", recorder, mailbox=Mailbox(capacity=1), shutdown=0.1)

    async def main() -> None:
        async with open_system("plant", [spec], stop_timeout=2) as system:
            with pytest.raises(AskTimeout):
                await system.ask("a", "hang", timeout=0.1)
            system.tell("a", "queued")
            with pytest.raises(MailboxFull):
                await system.send("a", "no room", timeout=0.1)
            system.ref("a").kill()
            await system.wait_running("a")
            system.tell("a", "block")
            await trio.sleep(0.05)
            begun = trio.current_time()
            with pytest.raises(AskTimeout, match=r"release\.wait"):
                await system.ask("a", 1, timeout=0.1)
            assert trio.current_time() - begun < 3
            recorder.release.set()

    run(main)


def test_the_failure_of_the_trio_side_stops_the_tree_in_order() -> None:
    """A task of a nursery fails: every on_stop runs in reverse order, and the failure comes out as trio has it."""
    recorder = Recorder()

    async def fail() -> None:
        await trio.sleep(0.02)
        raise BOOM

    async def main() -> None:
        async with (
            open_system("plant", [worker("a", recorder), worker("b", recorder), worker("c", recorder)]) as system,
            trio.open_nursery() as nursery,
        ):
            nursery.start_soon(fail)
            nursery.start_soon(system.ask, "a", "hang")
            await trio.sleep_forever()

    with pytest.raises(ExceptionGroup) as failed:
        run(main)
    assert failed.value.exceptions == (BOOM,)
    assert [line for line in recorder.lines if line.startswith("stop")] == ["stop c", "stop b", "stop a"]


def test_cancelling_the_block_stops_the_tree_in_order() -> None:
    """The stop is shielded from the cancellation that causes it, and the cancellation then goes on."""
    recorder = Recorder()

    async def main() -> None:
        with trio.CancelScope() as scope:
            async with open_system("plant", [worker("a", recorder), worker("b", recorder)]) as system:
                await system.ask("a", 1)
                scope.cancel()
                await trio.sleep_forever()
        assert scope.cancelled_caught
        assert system.report is not None
        assert system.report.clean

    run(main)
    assert recorder.stopped() == ["b", "a"]


def test_the_shielded_stop_is_bounded() -> None:
    """An actor that does not end is cut short at `stop_timeout`; the block ends all the same."""
    recorder = Recorder()
    hanging = worker("a", recorder, shutdown=float("inf"))

    async def main() -> None:
        begun = trio.current_time()
        async with open_system("plant", [hanging], stop_timeout=0.2) as system:
            system.tell("a", "hang")
            await trio.sleep(0.05)
        assert trio.current_time() - begun < 5
        assert system.report is not None
        assert system.report.timed_out

    run(main)


def test_a_tree_that_gives_up_cancels_the_block() -> None:
    """The body, wherever it waits, is cancelled, and SupervisorGaveUp is raised bare from the `async with`."""
    cancelled: list[str] = []
    recorder = Recorder()

    async def main() -> None:
        async def wait() -> None:
            try:
                await trio.sleep_forever()
            finally:
                cancelled.append("task")

        async with (
            open_system("plant", [worker("a", recorder), worker("b", recorder)], intensity=0) as system,
            trio.open_nursery() as nursery,
        ):
            nursery.start_soon(wait)
            system.tell("a", BOOM)
            await trio.sleep_forever()

    with pytest.raises(SupervisorGaveUp, match="boom"):
        run(main)
    assert cancelled == ["task"]
    assert recorder.stopped() == ["a", "b"]


def test_a_tree_that_gives_up_fails_a_nursery_around_it_as_a_group() -> None:
    """Under trio's strict groups the one exception type is found with `except*`, and the siblings are cancelled."""
    caught: list[BaseException] = []

    async def own() -> None:
        async with open_system("plant", [worker("a")], intensity=0) as system:
            system.tell("a", BOOM)
            await trio.sleep_forever()

    async def main() -> None:
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(own)
                nursery.start_soon(trio.sleep_forever)
        except* SupervisorGaveUp as group:
            caught.extend(group.exceptions)

    run(main)
    assert [type(error) for error in caught] == [SupervisorGaveUp]


def test_both_sides_may_fail() -> None:
    """The body fails while the tree is giving up: SupervisorGaveUp is raised with the body's failure as its cause."""

    async def main() -> None:
        async with open_system("plant", [worker("a")], intensity=0) as system, trio.open_nursery() as nursery:

            async def fail_when_cancelled() -> None:
                try:
                    await trio.sleep_forever()
                finally:
                    raise BOOM

            nursery.start_soon(fail_when_cancelled)
            system.tell("a", RuntimeError("first"))
            await trio.sleep_forever()

    with pytest.raises(SupervisorGaveUp, match="first") as gave_up:
        run(main)
    assert isinstance(gave_up.value.__cause__, ExceptionGroup)
    assert gave_up.value.__cause__.exceptions == (BOOM,)


def test_an_ask_in_flight_when_the_tree_gives_up_fails() -> None:
    """It ends with an error of the runtime or is cancelled with the block; it never hangs."""

    async def main() -> None:
        async with open_system("plant", [worker("a"), worker("b")], intensity=0) as system:
            system.tell("b", BOOM)
            with pytest.raises((ActorStopped, ActorCrashed, SupervisorGaveUp, trio.Cancelled)):
                await system.ask("a", "hang", timeout=15)
            await trio.sleep_forever()

    with pytest.raises(SupervisorGaveUp):
        run(main)


def test_a_failed_start_comes_out_of_the_async_with() -> None:
    """The block is not entered, what had started is stopped, and StartFailed is what is raised."""
    recorder = Recorder()

    def refuse() -> Actor[Any]:
        raise BOOM

    async def main() -> None:
        async with open_system("plant", [worker("a", recorder), ChildSpec(id="bad", start=refuse)]):
            raise AssertionError("entered")

    with pytest.raises(StartFailed) as failed:
        run(main)
    assert failed.value.cause is BOOM
    assert recorder.stopped() == ["a"]


@pytest.mark.parametrize("way", ["deadline", "cancel"])
def test_a_start_can_be_given_up(way: str) -> None:
    """A cancellation, or the start's own deadline, while a child still starts: what had started is stopped."""
    recorder = Recorder()

    class Slow(Actor[Any]):
        async def on_start(self) -> None:
            await asyncio.sleep(30)

    children = [worker("a", recorder), ChildSpec(id="slow", start=Slow, start_timeout=30, shutdown=0.1)]

    async def main() -> None:
        if way == "deadline":
            with pytest.raises(TimeoutError, match="did not start"):
                async with open_system("plant", children, start_timeout=0.1):
                    raise AssertionError("entered")
        else:
            with trio.move_on_after(0.1) as scope:
                async with open_system("plant", children):
                    raise AssertionError("entered")
            assert scope.cancelled_caught

    run(main)
    assert recorder.stopped() == ["a"]


def test_stopping_early_is_no_failure() -> None:
    """`stop` in the block returns the report; the block then ends by itself, and asks say that the actor is gone."""

    async def main() -> None:
        async with open_system("plant", [worker("a")]) as system:
            assert (await system.stop()).clean
            with pytest.raises(ActorStopped):
                await system.ask("a", 1)
            assert system.tell("a", 1) is Delivery.DEAD

    run(main)


def test_events_are_a_trio_channel() -> None:
    """Events come as an async iterator; a reader that stops reading loses the newest and holds up nobody."""

    async def main() -> None:
        async with open_system("plant", [worker("a")], intensity=100) as system:
            async with system.events() as events:
                system.tell("a", BOOM)
                async for event in events:
                    if isinstance(event, ActorRestarted):
                        break
            async with system.events(buffer=2) as few:
                for _ in range(5):
                    system.tell("a", BOOM)
                await system.ask("a", "last")
                await trio.testing.wait_all_tasks_blocked()
                assert isinstance(few, trio.MemoryReceiveChannel)
                assert few.statistics().current_buffer_used == 2
            assert await system.ask("a", 1) == 1

    run(main)


def test_actors_feed_trio_channels() -> None:
    """An actor hands values to a trio task through `run_sync_soon` and a memory channel, in order."""
    received: list[int] = []

    async def main() -> None:
        send, receive = trio.open_memory_channel[int](100)
        token = trio.lowlevel.current_trio_token()

        class Meter(Actor[int]):
            async def receive(self, message: int) -> None:
                token.run_sync_soon(send.send_nowait, message)  # the channel has room for all of them

        async with open_system("plant", [ChildSpec(id="meter", start=Meter)]) as system:
            for number in range(50):
                system.tell("meter", number)
            async with receive:
                received.extend([await receive.receive() for _ in range(50)])
        send.close()

    run(main)
    assert received == list(range(50))


def test_two_systems_in_one_trio_program_are_apart() -> None:
    """One gives up; the other one of the same name goes on."""

    async def main() -> None:
        async with open_system("plant", [worker("a")]) as one:
            with pytest.raises(SupervisorGaveUp):  # noqa: PT012 - the failure of a whole block is what is tested
                async with open_system("plant", [worker("a")], intensity=0) as two:
                    two.tell("a", BOOM)
                    await trio.sleep_forever()
            assert await one.ask("a", 1) == 1
            assert one.ref("a").incarnation == 1

    run(main)


def test_keyboard_interrupt_in_trio_stops_the_tree() -> None:
    """Ctrl-C in the trio program: the tree stops in order and KeyboardInterrupt goes on to the program."""
    if sys.platform == "win32":
        pytest.skip("sends SIGINT")
    script = """
import asyncio, trio
from bifrost.actors import Actor, ChildSpec
from bifrost.actors.hosts.trio import open_system

class Press(Actor):
    def __init__(self, name): self.name = name
    async def on_stop(self, reason): print("stopped", self.name, flush=True)

async def main():
    async with open_system("plant", [ChildSpec(id=n, start=Press, args=(n,)) for n in ("a", "b")]) as system:
        print("up", flush=True)
        await trio.sleep_forever()
try:
    trio.run(main)
except* KeyboardInterrupt:
    print("interrupted", flush=True)
"""
    process = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "up\n"
        time.sleep(0.1)
        process.send_signal(2)
        out, _ = process.communicate(timeout=20)
    finally:
        process.kill()
    assert out.splitlines() == ["stopped b", "stopped a", "interrupted"]


def test_a_missing_extra_is_named() -> None:
    """Without trio, importing the module says what to install; `bifrost.actors` itself needs neither trio nor pykka."""
    for library in ("trio", "pykka"):
        code = f"""
import sys
sys.modules[{library!r}] = None
import bifrost, bifrost.actors, bifrost.actors.hosts
assert not [name for name in ("trio", "pykka", "uvloop") if sys.modules.get(name)]
try:
    import bifrost.actors.hosts.{library}
except ImportError as error:
    print(type(error).__name__, error)
"""
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
        assert done.stdout == f"MissingExtra {library} is missing: pip install 'bifrost-edge[{library}]'\n", done.stderr
