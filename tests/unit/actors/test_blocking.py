"""Blocking actors: plain functions in a thread of their own, under the same supervision as any other actor."""

from __future__ import annotations

import asyncio
import contextvars
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

from bifrost.actors import (
    ActorState,
    ActorSystem,
    ChildSpec,
    Delivery,
    Down,
    Restart,
)
from bifrost.actors.blocking import BlockingActor
from bifrost.actors.handlers import handles_blocking
from bifrost.actors.request import Request
from bifrost.errors import (
    ActorCrashed,
    ActorError,
    AskCycle,
    AskTimeout,
    HandlerError,
    NoHandler,
)
from tests.unit.actors.blocking_kit import Body, Echo, body, threads_of


async def test_every_hook_runs_in_the_one_thread_of_its_incarnation() -> None:
    """The thread has the path in its name, is a daemon, and is gone when the actor has stopped."""
    seen: list[Any] = []
    async with ActorSystem(children=[body(seen)]) as system:
        ref = system.ref("a")
        assert await ref.ask("x") == ("seen", "x")
        ident, daemon = await ref.ask(lambda _: (threading.get_ident(), threading.current_thread().daemon))
        assert ident != threading.get_ident()
        assert daemon
        assert await ref.ask(lambda _: threading.get_ident()) == ident
        assert threads_of("a") == ["a#1"]
    assert seen == [("start", "a#1"), ("x", "a#1"), ("stop", "Shutdown")]
    assert threads_of("a") == []


async def test_messages_are_handled_one_at_a_time_in_order() -> None:
    """Tell, send and ask keep their order; no two handlers overlap."""
    seen: list[Any] = []
    running: list[int] = []

    def slow(n: int) -> Callable[[Any], int]:
        def run(actor: Body) -> int:
            running.append(n)
            assert len(running) == 1
            time.sleep(0.002)
            running.remove(n)
            actor.seen.append(n)
            return n

        return run

    async with ActorSystem(children=[body(seen)]) as system:
        ref = system.ref("a")
        ref.tell(slow(1))
        await ref.send(slow(2))
        assert await asyncio.gather(*(ref.ask(slow(n)) for n in range(3, 8))) == list(range(3, 8))
    assert seen[1:-1] == list(range(1, 8))


@pytest.mark.real_time
async def test_the_event_loop_goes_on_while_a_handler_blocks() -> None:
    """While the thread sleeps the loop makes hundreds of turns."""
    turns = 0
    async with ActorSystem(children=[body([])]) as system:
        asked = asyncio.ensure_future(system.ref("a").ask(lambda _: time.sleep(0.2)))
        while not asked.done():
            turns += 1
            await asyncio.sleep(0.0005)
        await asked
    assert turns > 50


async def test_a_crash_makes_a_new_instance_in_a_new_thread() -> None:
    """The asker gets the cause, `on_stop` runs in the old thread, and queued mail goes to the new one."""
    seen: list[Any] = []
    async with ActorSystem(children=[body(seen)]) as system:
        ref = system.ref("a")
        crash = asyncio.ensure_future(ref.ask(ValueError("broken")))
        after = asyncio.ensure_future(ref.ask("next"))
        with pytest.raises(ActorCrashed) as caught:
            await crash
        assert isinstance(caught.value.cause, ValueError)
        assert await after == ("seen", "next")
        assert ref.incarnation == 2
        assert threads_of("a") == ["a#2"]
    assert seen == [("start", "a#1"), ("stop", "Crash"), ("start", "a#2"), ("next", "a#2"), ("stop", "Shutdown")]


@pytest.mark.parametrize("error", [StopIteration("x"), asyncio.CancelledError(), GeneratorExit()])
async def test_strange_exceptions_are_crashes_too(error: BaseException) -> None:
    """What would end a coroutine in its own way is a crash when a thread raises it."""
    async with ActorSystem(children=[body([])]) as system:
        with pytest.raises(ActorCrashed):
            await system.ref("a").ask(error)
        await system.ref("a").wait_running()
        assert system.ref("a").incarnation == 2


async def test_a_failing_start_is_a_failed_start_and_leaves_no_thread() -> None:
    """`on_start` that raises is `StartFailed`; `on_stop` is not called and the thread ends."""
    seen: list[Any] = []

    class Broken(Body):
        def on_start(self) -> None:
            raise OSError("no device")

    async with ActorSystem() as system:
        with pytest.raises(ActorError, match="no device"):
            await system.start_child(ChildSpec(id="a", start=Broken, args=(seen,)))
        await asyncio.sleep(0.1)
        assert threads_of("a") == []
    assert seen == []


async def test_variables_of_the_context_are_kept_from_hook_to_hook() -> None:
    """What `on_start` sets in a context variable, `receive` sees; the loop does not."""
    variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable", default="unset")

    class Setter(Body):
        def on_start(self) -> None:
            variable.set("set")

    async with ActorSystem(children=[ChildSpec(id="a", start=Setter, args=([],))]) as system:
        assert await system.ref("a").ask(lambda _: variable.get()) == "set"
        assert variable.get() == "unset"


# What the thread may do


async def test_a_thread_tells_sends_asks_and_sets_timers() -> None:
    """The context's calls reach other actors and the actor itself, in virtual time too."""
    seen: list[Any] = []

    def busy(actor: Body) -> list[Any]:
        ctx = actor.ctx
        echo = ctx.system.ref("echo")
        ctx.timers.once("tick", 5.0, "tick")
        ctx.timers.once("never", 5.0, "never")
        ctx.timers.cancel("never")
        ctx.timers.every("beat", 4.0, "beat")
        before = ctx.clock.monotonic()
        got = [echo.tell("x"), ctx.ask(echo, 2.5), ctx.wait(0.5)]
        ctx.send(echo, "y")
        got.append(ctx.clock.monotonic() - before)
        got.append((ctx.path, ctx.incarnation, ctx.ref == ctx.system.ref("a"), ctx.stopping))
        return got

    async with ActorSystem(children=[ChildSpec(id="echo", start=Echo), body(seen)]) as system:
        got = await system.ref("a").ask(busy)
        assert got == [Delivery.ACCEPTED, 2.5, False, 3.0, ("a", 1, True, False)]
        await asyncio.sleep(6)
        assert [entry[0] for entry in seen] == ["start", "beat", "tick", "beat"]


async def test_a_wait_on_the_event_loop_is_refused() -> None:
    """A function that was posted to the loop gets an error where a wait for the loop would never end."""
    refused: list[str] = []

    def posts(actor: Body) -> None:
        def on_loop() -> None:
            try:
                actor.ctx.ask(actor.ctx.system.ref("echo"), "x")
            except ActorError as error:
                refused.append(str(error))

        actor.ctx.post(on_loop)

    async with ActorSystem(children=[ChildSpec(id="echo", start=Echo), body([])]) as system:
        await system.ref("a").ask(posts)
        await asyncio.sleep(0.01)
    assert [text.partition(":")[0] for text in refused] == ["this call waits for the event loop and was made on it"]


async def test_what_an_ask_raises_is_raised_in_the_thread() -> None:
    """Errors of the asked actor come to the handler, which may go on; an actor cannot ask itself."""

    def asks(actor: Body) -> list[str]:
        echo = actor.ctx.system.ref("echo")
        errors = []
        for ask in (
            lambda: actor.ctx.ask(echo, 9.0, timeout=1.0),
            lambda: actor.ctx.ask(actor.ctx.ref, "me"),
            lambda: actor.ctx.wait(-1),
            lambda: actor.ctx.timers.once("x", float("nan"), 1),
        ):
            try:
                ask()
            except Exception as error:  # noqa: BLE001 - what is tested
                errors.append(type(error).__name__)
        return errors

    async with ActorSystem(children=[ChildSpec(id="echo", start=Echo), body([])]) as system:
        assert await system.ref("a").ask(asks) == [AskTimeout.__name__, "AskCycle", "ValueError", "ValueError"]
        assert system.ref("a").incarnation == 1


async def test_a_blocking_actor_stashes_becomes_and_links() -> None:
    """The calls of every actor work from the thread, with the same results."""
    passed: list[Any] = []

    class Door(BlockingActor[Any]):
        def on_start(self) -> None:
            self.ctx.link(self.ctx.system.ref("echo"))
            assert not self.ctx.trap_exits

        def receive(self, message: Any) -> object:
            if message == "open":
                self.ctx.become(self.opened)
                return self.ctx.unstash_all()
            if message == "deadline":
                assert self.ctx.deadline is not None
                return self.ctx.deadline - self.ctx.clock.monotonic()
            self.ctx.stash()
            return "not the answer"

        def opened(self, message: Any) -> object:
            if message == "shut":
                self.ctx.unbecome()
            else:
                passed.append(message)
            return threading.current_thread().name

    async with ActorSystem(children=[ChildSpec(id="echo", start=Echo), ChildSpec(id="a", start=Door)]) as system:
        ref = system.ref("a")
        ref.tell(1)
        asked = asyncio.ensure_future(ref.ask(2, timeout=50))
        await asyncio.sleep(10)
        assert not asked.done()
        assert await ref.ask("deadline", timeout=7) == 7
        assert await ref.ask("open") == 2
        assert await asked == "a#1"
        assert await ref.ask("shut") == "a#1"
        ref.tell(3)
        await asyncio.sleep(1)
        assert passed == [1, 2]
        system.ref("echo").kill()
        await asyncio.sleep(1)
        assert await ref.ask("open") == 1
        await asyncio.sleep(1)
        assert (passed, ref.incarnation) == ([1, 2, 3], 2)


async def test_an_ask_from_a_thread_counts_in_a_ring_of_asks() -> None:
    """Two blocking actors that ask each other: the one that closes the ring hears of it at once."""
    rings: list[Any] = []

    class Asking(Body):
        def receive(self, message: Any) -> object:
            try:
                return self.ctx.ask(self.ctx.system.ref(message), self.ctx.path, timeout=50)
            except AskCycle as error:
                rings.append((self.ctx.clock.monotonic(), error.paths))
                return "a ring"

    specs = [ChildSpec(id=name, start=Asking, args=([],)) for name in "ab"]
    async with ActorSystem(children=specs) as system:
        assert await system.ref("a").ask("b", timeout=100) == "a ring"
        assert rings == [(0.0, ("b", "a"))]
        assert await system.ref("b").ask("a", timeout=100) == "a ring"


async def test_a_thread_watches_and_stops() -> None:
    """A watch brings a `Down` as a message; `stop` ends the actor after the message in hand."""
    downs: list[Any] = []

    class Watcher(Body):
        def on_start(self) -> None:
            self.ctx.watch(self.ctx.system.ref("echo"))

        def receive(self, message: Any) -> object:
            if isinstance(message, Down):
                downs.append(message.ref.path)
                self.ctx.unwatch(message.ref)
                self.ctx.stop()
                return "stopped"
            return super().receive(message)

    children = [
        ChildSpec(id="echo", start=Echo),
        ChildSpec(id="a", start=Watcher, args=([],), restart=Restart.TRANSIENT),
    ]
    async with ActorSystem(children=children) as system:
        await asyncio.sleep(0.1)
        system.ref("echo").kill()
        await asyncio.sleep(0.1)
        assert downs == ["echo"]
        assert system.ref("a").state is ActorState.STOPPED


class Read(Request[float]):
    """Asks for a number."""


class Drive(BlockingActor[Read | str]):
    @handles_blocking(Read)
    def read(self, message: Read) -> float:
        del message
        return 1.5

    @handles_blocking
    def note(self, message: str) -> str:
        return threading.current_thread().name + message


async def test_handlers_of_a_blocking_actor_are_chosen_by_type() -> None:
    """`@handles_blocking` works as `@handles` does; what has no handler is refused without a crash."""
    async with ActorSystem(children=[ChildSpec(id="a", start=Drive)]) as system:
        ref = system.ref("a")
        assert await ref.ask(Read()) == 1.5
        assert await ref.ask("!") == "a#1!"
        with pytest.raises(NoHandler, match="Drive has no handler for bytes"):
            await ref.ask(b"")
        assert ref.incarnation == 1
        assert system.dead_letters.counts == {"no_handler": 1}


def test_asynchronous_hooks_of_a_blocking_actor_are_refused() -> None:
    """A coroutine function in a thread would never run: the class is not made."""
    with pytest.raises(HandlerError, match=r"Wrong\.receive must be a plain function"):

        class Wrong(BlockingActor[Any]):
            async def receive(self, message: Any) -> object:
                return message

    with pytest.raises(HandlerError, match="declares messages of type str"):

        class Hole(BlockingActor[Read | str]):
            @handles_blocking
            def read(self, message: Read) -> float:
                return float(message is not None)


# Deadlines and stuck threads
