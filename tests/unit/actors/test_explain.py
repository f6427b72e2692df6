"""What explain says of an actor that does not go on."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from bifrost.actors import Actor, ActorRef, ActorSystem, ChildSpec, ExitReason, Mailbox, Supervisor
from bifrost.actors.blocking import BlockingActor
from bifrost.errors import ActorError, ChildNotFound


async def deep(gate: asyncio.Event, levels: int) -> None:
    if levels:
        await deep(gate, levels - 1)
    else:
        await gate.wait()


async def ticks(gate: asyncio.Event) -> AsyncIterator[int]:
    yield 1
    await gate.wait()
    yield 2


@asynccontextmanager
async def door(gate: asyncio.Event) -> AsyncIterator[None]:
    await gate.wait()
    yield


class Waiter(Actor[Any]):
    """Waits in the way that the message names, until its gate opens."""

    def __init__(self, slow_start: float = 0, slow_stop: float = 0) -> None:
        self.gate = asyncio.Event()
        self.slow_start = slow_start
        self.slow_stop = slow_stop

    async def on_start(self) -> None:
        if self.slow_start:
            await asyncio.sleep(self.slow_start)

    async def on_stop(self, reason: ExitReason) -> None:
        if self.slow_stop:
            await asyncio.sleep(self.slow_stop)

    async def receive(self, message: Any) -> object:  # noqa: C901, PLR0912 - one way to wait for each word
        match message:
            case "deep":
                await deep(self.gate, 3)
            case "generator":
                async for _ in ticks(self.gate):
                    pass
            case "context":
                async with door(self.gate):
                    pass
            case "gather":
                await asyncio.gather(deep(self.gate, 1), deep(self.gate, 0))
            case "task":
                await asyncio.create_task(deep(self.gate, 0), name="inner")
            case "timeout":
                async with asyncio.timeout(50):
                    await deep(self.gate, 0)
            case "group":
                async with asyncio.TaskGroup() as group:
                    group.create_task(deep(self.gate, 1))
                    group.create_task(deep(self.gate, 0))
            case "wait":
                tasks = [asyncio.create_task(deep(self.gate, levels), name=str(levels)) for levels in (0, 1)]
                await asyncio.wait(tasks)
            case "wait for":
                await asyncio.wait_for(deep(self.gate, 0), 50)
            case "beside":
                self.ctx.spawn_task(deep(self.gate, 1), name="poll")
            case ("ask", ref):
                await ref.ask("deep", timeout=60)
            case ("ask both", one, two):
                await asyncio.gather(one.ask("deep", timeout=60), two.ask("deep", timeout=60))
            case ("flood", ref):
                for _ in range(5):
                    await ref.send("filler", timeout=60)
            case ("start", supervisor, spec):
                await supervisor.start_child(spec)
            case "crash":
                raise ValueError("broken")
            case "open":
                self.gate.set()
        return None


def waiter(name: str, **options: Any) -> ChildSpec:
    return ChildSpec(id=name, start=Waiter, shutdown=0.1, **options)


@pytest.mark.parametrize(
    ("how", "frames"),
    [
        ("deep", ["receive", "deep", "deep", "deep", "deep", "Event.wait"]),
        ("generator", ["receive", "ticks", "Event.wait"]),
        ("context", ["receive", "__aenter__", "door", "Event.wait"]),
        ("timeout", ["receive", "deep", "Event.wait"]),
        ("task", ["receive", "deep", "Event.wait"]),
        ("gather", ["receive", "deep", "deep", "Event.wait", "deep", "Event.wait"]),
        ("group", ["receive", "TaskGroup.__aexit__", "deep", "deep", "Event.wait", "deep", "Event.wait"]),
        ("wait", ["receive", "wait", "_wait", "deep", "Event.wait", "deep", "deep", "Event.wait"]),
    ],
)
async def test_the_stack_goes_down_to_what_is_awaited(how: str, frames: list[str]) -> None:
    """Through coroutines, generators, context managers, gathered and awaited tasks, with file, line and text."""
    async with ActorSystem(children=[waiter("a")]) as system:
        system.ref("a").tell(how)
        await asyncio.sleep(3)
        found = system.explain("a")
        assert [line.split(" in ")[1].split(":")[0].split(".", 1)[-1] for line in found.stack] == [
            name.split(".", 1)[-1] for name in frames
        ]
        assert found.stack[0].startswith("test_explain.py:")
        assert "await" in found.stack[0] or "async" in found.stack[0]


async def test_the_stack_goes_through_wait_for() -> None:
    """A deadline around what is awaited does not hide it, whatever the version of Python makes of it."""
    async with ActorSystem(children=[waiter("a")]) as system:
        system.ref("a").tell("wait for")
        await asyncio.sleep(3)
        stack = system.explain("a").stack
        assert "Waiter.receive" in stack[0]
        assert "in deep" in stack[-2]
        assert "Event.wait" in stack[-1]


async def test_it_names_the_message_and_its_age() -> None:
    """What is in hand, for how long, and how much waits behind it."""
    async with ActorSystem(children=[waiter("a")]) as system:
        system.ref("a").tell("deep")
        await asyncio.sleep(12.5)
        system.ref("a").tell("open")
        found = system.explain("a")
        assert (found.message, found.seconds, found.mailbox_depth) == ("str", 12.5, 1)
        text = str(found)
        assert text.startswith(
            "a: running, incarnation 1, str in hand for 12.5 s; 1 message waits\n  at test_explain.py:"
        )
        assert "await deep(self.gate, 3)" in text


async def test_an_idle_actor_is_called_idle() -> None:
    """Nothing in hand, no stack, no waits; its last crash stays known."""
    async with ActorSystem(children=[waiter("a")]) as system:
        with pytest.raises(ActorError):
            await system.ref("a").ask("crash")
        await system.ref("a").wait_running()
        found = system.explain(system.ref("a"))
        assert (found.message, found.seconds, found.stack, found.waits) == (None, None, (), ())
        assert str(found) == "a: running, incarnation 2, idle\n  last crash: ValueError: broken"


async def test_a_request_that_came_at_once_is_explained_like_a_queued_one() -> None:
    """An ask that found the actor idle shows the same stack and age."""
    async with ActorSystem(children=[waiter("a")]) as system:
        asking = asyncio.create_task(system.ref("a").ask("deep", timeout=60))
        await asyncio.sleep(4)
        found = system.explain("a")
        assert (found.message, found.seconds) == ("str", 4)
        assert "Waiter.receive" in found.stack[0]
        asking.cancel()


async def test_a_slow_start_and_a_slow_stop_are_shown() -> None:
    """The hooks have a stack, too, and their supervisor waits for them."""
    async with ActorSystem() as system:
        spec = waiter("a", args=(3.0, 0.05))
        starting = asyncio.create_task(system.start_child(spec))
        await asyncio.sleep(1)
        assert "Waiter.on_start" in system.explain("a").stack[0]
        assert system.explain("a").seconds == 1
        assert str(system.explain("system").waits[0]) == "system waits for the start of a"
        await starting
        stopping = asyncio.create_task(system.root.terminate_child("a"))
        await asyncio.sleep(0.01)
        assert any("Waiter.on_stop" in line for line in system.explain("a").stack)
        assert system.explain("system").waits == ("system waits for the end of a",)
        await stopping


async def test_tasks_beside_the_handler_are_listed() -> None:
    """Each with the innermost line where it stands."""
    async with ActorSystem(children=[waiter("a")]) as system:
        await system.ref("a").ask("beside")
        await asyncio.sleep(1)
        (task,) = system.explain("a").tasks
        assert task.startswith("task poll at ")
        assert "Event.wait" in task


async def test_a_chain_of_asks_is_followed() -> None:
    """Who waits for whom, down to the one that waits for something else."""
    async with ActorSystem(children=[waiter(name) for name in "abc"]) as system:
        a, b, c = (system.ref(name) for name in "abc")
        b.tell(("ask", c))
        await asyncio.sleep(1)
        a.tell(("ask", b))
        await asyncio.sleep(1)
        found = system.explain("a")
        assert found.waits == ("a waits for the answer of b", "b waits for the answer of c")
        assert not found.is_ring
        assert "Event.wait" in system.explain("c").stack[-1]


async def test_asks_in_gathered_tasks_are_followed() -> None:
    """Where a handler waits for several answers at once, the way that closes a ring is the one that is shown."""
    async with ActorSystem(children=[waiter(name) for name in "abc"]) as system:
        a, b, c = (system.ref(name) for name in "abc")
        b.tell("deep")
        a.tell(("ask both", b, c))
        await asyncio.sleep(1)
        found = system.explain("a")
        assert found.waits == ("a waits for the answer of b",)
        assert "Event.wait" in system.explain("c").stack[-1]


async def test_a_ring_through_a_gathered_task_is_found() -> None:
    """Asks in tasks of their own are not failed at once, for they need not hold the handler; explain shows the ring."""
    async with ActorSystem(children=[waiter(name) for name in "abc"]) as system:
        a, b, c = (system.ref(name) for name in "abc")
        b.tell("deep")
        a.tell(("ask both", b, c))
        c.tell(("ask both", b, a))
        await asyncio.sleep(1)
        found = system.explain("c")
        assert found.waits == ("c waits for the answer of a", "a waits for the answer of c")
        assert found.is_ring


async def test_a_ring_of_full_mailboxes_is_called_a_ring() -> None:
    """Two actors that send to each other's full mailbox wait for each other, and the report says so."""
    small = Mailbox(capacity=1)
    async with ActorSystem(children=[waiter("a", mailbox=small), waiter("b", mailbox=small)]) as system:
        a, b = system.ref("a"), system.ref("b")
        a.tell(("flood", b))
        b.tell(("flood", a))
        await asyncio.sleep(1)
        found = system.explain("a")
        assert found.waits == ("a waits for room in the mailbox of b", "b waits for room in the mailbox of a")
        assert found.is_ring
        assert "this is a ring: nobody in it goes on before a deadline passes" in str(found)


async def test_a_start_from_within_a_handler_shows_the_supervisor() -> None:
    """An administrative call is a wait for the supervisor, which waits for the child."""
    async with ActorSystem(children=[waiter("a"), Supervisor.spec("devices")]) as system:
        slow = waiter("press", args=(3.0,))
        system.ref("a").tell(("start", system.supervisor("devices"), slow))
        await asyncio.sleep(1)
        assert system.explain("a").waits == (
            "a waits for an administrative call of devices",
            "devices waits for the start of devices/press",
        )


async def test_a_place_where_nothing_started_is_an_error() -> None:
    """It is the same error as for a ref."""
    async with ActorSystem() as system:
        with pytest.raises(ChildNotFound, match="nothing has started at 'nobody'"):
            system.explain("nobody")


class Blocked(BlockingActor[Any]):
    """Waits in its thread until it is let go, or for another actor's answer."""

    def __init__(self, release: threading.Event) -> None:
        self.release = release

    def receive(self, message: Any) -> object:
        if isinstance(message, ActorRef):
            return self.ctx.ask(message, "deep", timeout=1.0)
        return self.release.wait(10)


@pytest.mark.real_time
async def test_a_handler_in_a_thread_is_shown_with_the_threads_stack() -> None:
    """Where the blocking library stands, and whom the handler in the thread waits for."""
    release = threading.Event()
    blocked = ChildSpec(id="blocked", start=Blocked, args=(release,))
    async with ActorSystem(children=[blocked, waiter("a")]) as system:
        ref = system.ref("blocked")
        waiting = asyncio.create_task(ref.ask("wait", timeout=20))
        await asyncio.sleep(0.2)
        found = system.explain("blocked")
        assert found.message == "str"
        assert any("in receive" in line and "test_explain.py" in line for line in found.stack)
        assert "in wait" in found.stack[-1]
        release.set()
        assert await waiting is True
        asking = asyncio.create_task(ref.ask(system.ref("a"), timeout=20))
        await asyncio.sleep(0.2)
        assert system.explain("blocked").waits == ("blocked waits for the answer of a",)
        system.ref("a").kill()
        with pytest.raises(ActorError):
            await asking
