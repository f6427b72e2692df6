"""A pykka actor as a supervised child, with the real pykka."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterator
from types import TracebackType
from typing import Any, ClassVar

import pykka
import pytest
from pykka.messages import ProxyCall, ProxyGetAttr, ProxySetAttr

from bifrost.actors import (
    Actor,
    ActorState,
    ActorStopped,
    ActorSystem,
    ChildSpec,
    Crash,
    Mailbox,
    Normal,
    Restart,
    StopHookFailed,
    Strategy,
)
from bifrost.actors.hosts.pykka import ask_pykka, pykka_child
from bifrost.errors import ActorCrashed, AskTimeout, ChildSpecError, StartFailed
from bifrost.testing import EventLog
from tests.integration.actors.hosted import BOOM, no_thread_left
from tests.integration.waiting import until


class Library(pykka.ThreadingActor):
    """An ordinary pykka actor: it knows nothing of bifrost."""

    hooks: ClassVar[list[str]] = []

    def __init__(self, name: str = "library", *, fail: str = "") -> None:
        super().__init__()
        self.name = name
        self.fail = fail
        self.count = 0
        self.made_in = threading.current_thread()

    def on_start(self) -> None:
        self.hooks.append(f"on_start {self.name}")
        if self.fail == "on_start":
            raise BOOM

    def on_stop(self) -> None:
        self.hooks.append(f"on_stop {self.name}")
        if self.fail == "on_stop":
            raise BOOM

    def on_failure(
        self,
        exception_type: type[BaseException] | None,
        exception_value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.hooks.append(f"on_failure {self.name} {exception_value}")

    def on_receive(self, message: Any) -> Any:
        self.count += 1
        if isinstance(message, BaseException):
            raise message
        if message == "stop":
            self.stop()
        elif message == "sleep":
            time.sleep(0.3)
        elif message == "count":
            return self.count
        elif message == "threads":
            return threading.current_thread(), self.made_in
        elif isinstance(message, threading.Event):
            message.wait(20)
        return message

    def add(self, left: int, right: int) -> int:
        if right < 0:
            raise BOOM
        return left + right


@pytest.fixture(autouse=True)
def _pykka_ends() -> Iterator[None]:
    Library.hooks.clear()
    with no_thread_left():
        yield
        assert pykka.ActorRegistry.get_all() == []


async def test_a_pykka_actor_lives_in_the_tree() -> None:
    """It is started and stopped with the tree, and answers what it is asked, in a thread of its own."""
    async with ActorSystem("plant", [pykka_child("lib", Library, "one", kwargs={"fail": ""})]) as system:
        ref = system.ref("lib")
        assert await ref.ask("hello") == "hello"
        ref.tell("told")
        assert await ref.ask("count") == 3
        own, made_in = await ref.ask("threads")
        assert own is not threading.current_thread()
        assert made_in is not threading.current_thread(), "its __init__ may block as well"
        (found,) = pykka.ActorRegistry.get_by_class(Library)
        assert found.actor_class.__name__ == "Library"
    assert Library.hooks == ["on_start one", "on_stop one"]


async def test_a_crash_of_the_pykka_actor_is_the_childs() -> None:
    """An exception ends the pykka actor with on_failure and reaches the asker; a new one comes, on the same ref."""
    async with ActorSystem("plant", [pykka_child("lib", Library)]) as system:
        log = EventLog(system)
        ref = system.ref("lib")
        await ref.ask("count")
        with pytest.raises(ActorCrashed) as crashed:
            await ref.ask(BOOM)
        assert crashed.value.cause is BOOM
        await ref.wait_running()
        assert await ref.ask("count") == 1
        assert ref.incarnation == 2
        assert log.take() == [
            "crashed lib",
            "dead letter lib crashed",
            "stopped lib crash",
            "restart scheduled lib",
            "restarted lib",
        ]
    assert Library.hooks == [
        "on_start library",
        "on_failure library boom",
        "on_start library",
        "on_stop library",
    ]


async def test_a_told_message_that_fails_is_a_crash() -> None:
    """A tell that raises restarts the child, and what was queued is handled by the next incarnation."""
    async with ActorSystem("plant", [pykka_child("lib", Library)]) as system:
        ref = system.ref("lib")
        ref.tell(BOOM)
        ref.tell("queued")
        assert await ref.ask("count") == 2
        assert ref.incarnation == 2
        snapshot = system.snapshot().find("lib")
        assert snapshot is not None
        assert snapshot.last_crash is not None
        assert "boom" in snapshot.last_crash


async def test_ask_pykka_leaves_the_actor_alive() -> None:
    """In pykka's manner the handler's exception is the caller's, and the actor keeps its state."""
    async with ActorSystem("plant", [pykka_child("lib", Library)]) as system:
        ref = system.ref("lib")
        with pytest.raises(ValueError, match="boom"):
            await ask_pykka(ref, BOOM)
        assert await ask_pykka(ref, "count") == 2
        assert ref.incarnation == 1
        with pytest.raises(AskTimeout):
            await ask_pykka(ref, "sleep", timeout=0.05)


async def test_proxy_messages_reach_methods_and_attributes() -> None:
    """The messages of a proxy, ProxyCall, ProxyGetAttr and ProxySetAttr work as messages, with either kind of ask."""
    async with ActorSystem("plant", [pykka_child("lib", Library, "one")]) as system:
        ref = system.ref("lib")
        assert await ref.ask(ProxyCall(("add",), (1, 2), {})) == 3
        assert await ask_pykka(ref, ProxyGetAttr(("name",))) == "one"
        await ref.ask(ProxySetAttr(("name",), "two"))
        assert await ref.ask(ProxyGetAttr(("name",))) == "two"
        with pytest.raises(ValueError, match="boom"):
            await ask_pykka(ref, ProxyCall(("add",), (1, -2), {}))
        with pytest.raises(ActorCrashed):
            await ref.ask(ProxyCall(("add",), (1, -2), {}))


@pytest.mark.parametrize(("restart", "state"), [("permanent", "running"), ("transient", "stopped")])
async def test_an_actor_that_stops_itself_has_ended_normally(restart: str, state: str) -> None:
    """`self.stop()` is a normal end: a permanent child comes back, a transient one stays down."""
    async with ActorSystem("plant", [pykka_child("lib", Library, restart=Restart(restart))]) as system:
        ref = system.ref("lib")
        ends: list[ActorStopped] = []
        system.events.subscribe(lambda event: ends.append(event) if isinstance(event, ActorStopped) else None)
        ref.tell("stop")
        await until(lambda: bool(ends) and ref.state is ActorState(state))
        assert ends[0].reason == Normal()
        assert ref.incarnation == (2 if restart == "permanent" else 1)


async def test_a_pykka_actor_stopped_from_outside_comes_back() -> None:
    """`ActorRegistry.stop_all()` by somebody else does not take the child out of the tree."""
    async with ActorSystem("plant", [pykka_child("lib", Library)]) as system:
        await asyncio.to_thread(pykka.ActorRegistry.stop_all, timeout=10)
        ref = system.ref("lib")
        await until(lambda: ref.incarnation == 2 and ref.state is ActorState.RUNNING)
        assert await ref.ask("count") == 1


async def test_an_interrupt_in_the_pykka_actor_is_a_crash() -> None:
    """SystemExit in its thread makes pykka stop everything; the child's supervisor starts it again."""
    async with ActorSystem("plant", [pykka_child("lib", Library)]) as system:
        ref = system.ref("lib")
        ref.tell(SystemExit(1))
        await until(lambda: ref.incarnation == 2 and ref.state is ActorState.RUNNING)
        assert ref.cell.last_reason == Crash(ref.cell.last_reason.error)  # type: ignore[union-attr]  # it is one
        assert "SystemExit" in str(ref.cell.last_reason)


@pytest.mark.parametrize("fail", ["on_start", "__init__"])
async def test_a_start_that_fails_is_a_failed_start(fail: str) -> None:
    """What `__init__` or `on_start` raises is the cause of StartFailed, and no thread stays."""

    class Broken(Library):
        def __init__(self) -> None:
            super().__init__(fail=fail)
            if fail == "__init__":
                raise BOOM

    with pytest.raises(StartFailed) as failed:
        async with ActorSystem("plant", [pykka_child("lib", Broken)]):
            raise AssertionError("entered")
    assert failed.value.cause is BOOM


@pytest.mark.parametrize("hook", ["__init__", "on_start", "on_receive"])
async def test_a_stop_iteration_is_an_error_like_any_other(hook: str) -> None:
    """What no future takes is told at once as a RuntimeError, not by a deadline that passes."""

    def stop(_: Library) -> None:
        raise StopIteration

    class Broken(Library):
        __init__ = stop if hook == "__init__" else Library.__init__
        on_start = stop if hook == "on_start" else Library.on_start

        def on_receive(self, message: Any) -> Any:
            stop(self)

    begun = time.monotonic()
    if hook == "on_receive":
        async with ActorSystem("plant", [pykka_child("lib", Broken)]) as system:
            with pytest.raises(ActorCrashed, match="RuntimeError: the pykka actor raised StopIteration"):
                await system.ref("lib").ask("x")
            with pytest.raises(RuntimeError, match="raised StopIteration"):
                await ask_pykka(system.ref("lib"), "x")
    else:
        with pytest.raises(StartFailed, match="RuntimeError: the pykka actor raised StopIteration"):
            async with ActorSystem("plant", [pykka_child("lib", Broken, start_timeout=4.0)]):
                raise AssertionError("entered")
    assert time.monotonic() - begun < 3.0


def test_a_start_that_hangs_does_not_hold_up_the_end_of_the_loop() -> None:
    """`asyncio.run` returns while an `__init__` still hangs; what comes of it later is stopped all the same."""
    release = threading.Event()

    class Slow(Library):
        def __init__(self) -> None:
            release.wait(20)
            super().__init__("slow")

    async def main() -> None:
        async with ActorSystem("plant", [pykka_child("lib", Slow, start_timeout=0.1)]):
            raise AssertionError("entered")

    with no_thread_left():
        begun = time.monotonic()
        with pytest.raises(StartFailed):
            asyncio.run(main())
        assert time.monotonic() - begun < 5
        release.set()
    assert pykka.ActorRegistry.get_all() == []


async def test_a_start_that_takes_too_long_is_undone() -> None:
    """An actor that is still in its `__init__` at start_timeout is stopped as soon as it is there."""
    release = threading.Event()

    class Slow(Library):
        def __init__(self) -> None:
            release.wait(10)
            super().__init__("slow")

    with pytest.raises(StartFailed):
        async with ActorSystem("plant", [pykka_child("lib", Slow, start_timeout=0.1)]):
            raise AssertionError("entered")
    release.set()
    await until(lambda: Library.hooks == ["on_start slow", "on_stop slow"])


async def test_an_actor_that_does_not_stop_is_reported() -> None:
    """A thread that is busy at the end is left behind, which is published; the actor ends when it is done."""
    release = threading.Event()
    hooks: list[StopHookFailed] = []
    system = ActorSystem("plant", [pykka_child("lib", Library, shutdown=0.3)])
    system.events.subscribe(lambda event: hooks.append(event) if isinstance(event, StopHookFailed) else None)
    async with system:
        system.ref("lib").tell(release)
        await asyncio.sleep(0.05)
        begun = time.monotonic()
    assert time.monotonic() - begun < 4
    assert Library.hooks == ["on_start library"]
    release.set()
    await until(lambda: Library.hooks == ["on_start library", "on_stop library"])
    assert [type(hook.error).__name__ for hook in hooks] == ["ActorError"]


async def test_a_stop_hook_that_fails_ends_the_child_all_the_same() -> None:
    """An exception in pykka's on_stop holds nothing up."""
    async with ActorSystem("plant", [pykka_child("lib", Library, kwargs={"fail": "on_stop"})]) as system:
        assert await system.ref("lib").ask(1) == 1
    assert Library.hooks == ["on_start library", "on_stop library"]


async def test_the_loop_is_never_blocked() -> None:
    """While the pykka actor is busy for 0.3 s, the loop goes on and the mailbox keeps its bound."""
    async with ActorSystem("plant", [pykka_child("lib", Library, mailbox=Mailbox(capacity=2))]) as system:
        ref = system.ref("lib")
        asking = asyncio.create_task(ref.ask("sleep"))
        turns = 0
        while not asking.done():
            await asyncio.sleep(0.005)
            turns += 1
        assert turns > 5
        ref.tell("sleep")
        await asyncio.sleep(0.05)
        assert [ref.tell(n).value for n in range(4)] == ["accepted", "accepted", "dropped", "dropped"]


async def test_old_and_new_never_overlap() -> None:
    """A new pykka actor is started only after the thread of the old one has ended."""
    overlaps: list[int] = []
    threads: list[threading.Thread] = []

    class Single(Library):
        def on_start(self) -> None:
            overlaps.append(sum(thread.is_alive() for thread in threads))
            threads.append(threading.current_thread())

        def on_failure(self, *_: object) -> None:
            time.sleep(0.05)

    async with ActorSystem("plant", [pykka_child("lib", Single)], intensity=10) as system:
        ref = system.ref("lib")
        for _ in range(5):
            with pytest.raises(ActorCrashed):
                await ref.ask(BOOM)
            await ref.wait_running()
    assert overlaps == [0] * 6


async def test_strategies_cover_pykka_children() -> None:
    """In a one_for_all tree a bifrost actor's crash restarts the pykka actor, in order."""

    class Fragile(Actor[Any]):
        async def receive(self, message: Any) -> None:
            raise BOOM

    children = [ChildSpec(id="a", start=Fragile), pykka_child("lib", Library)]
    async with ActorSystem("plant", children, strategy=Strategy.ONE_FOR_ALL) as system:
        await system.ref("lib").ask("count")
        system.ref("a").tell(1)
        await until(lambda: system.ref("lib").incarnation == 2 and system.ref("lib").state is ActorState.RUNNING)
        assert await system.ref("lib").ask("count") == 1


async def test_an_end_without_a_word_is_noticed() -> None:
    """A thread that ends without any hook being called is noticed, and counts as a crash."""
    async with ActorSystem("plant", [pykka_child("lib", Library)]) as system:
        ref = system.ref("lib")
        (spied,) = pykka.ActorRegistry.get_by_class(Library)
        ref.tell("sleep")
        await asyncio.sleep(0.1)
        spied.actor_stopped.set()
        pykka.ActorRegistry.unregister(spied)
        await until(lambda: ref.incarnation == 2 and ref.state is ActorState.RUNNING)
        assert await ref.ask(1) == 1


def test_a_wrong_class_is_refused() -> None:
    """What is no pykka.ThreadingActor is a ChildSpecError before anything starts."""
    with pytest.raises(ChildSpecError, match="ThreadingActor"):
        pykka_child("lib", str)  # type: ignore[arg-type]  # that is the point
