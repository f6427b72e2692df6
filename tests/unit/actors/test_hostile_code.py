"""What the runtime promises when the code that it runs, or that calls it, does the unexpected."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import inspect
import logging
import sys
import weakref
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from bifrost.actors import (
    Actor,
    ActorRef,
    ActorState,
    ActorSystem,
    Backoff,
    ChildSpec,
    Down,
    DynamicSupervisor,
    Mailbox,
    OnExhausted,
    Restart,
    Supervisor,
)
from bifrost.actors.events import ActorCrashed as CrashEvent
from bifrost.actors.events import ActorEvent
from bifrost.errors import ActorCrashed, ActorStopped, AskTimeout, MailboxFull, StartFailed
from bifrost.testing import VirtualLoop


class Puppet(Actor[Any]):
    """Awaits what it is sent, with itself as the argument."""

    def __init__(self, on_start: Callable[[Puppet], Awaitable[object]] | None = None) -> None:
        self._on_start = on_start

    async def on_start(self) -> None:
        if self._on_start is not None:
            await self._on_start(self)

    async def receive(self, message: Any) -> object:
        return await message(self) if callable(message) else message


class Panic(BaseException):
    """Like the exception that stands for a panic in native code: no `Exception`."""


async def incarnation(puppet: Puppet) -> int:
    return puppet.ctx.incarnation


async def test_a_send_that_gets_room_at_its_last_moment_has_succeeded() -> None:
    """Room and the end of the wait may come in the same turn: what was taken is not reported as refused."""
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualLoop)
    seen: list[object] = []
    go_on = loop.create_future()

    async def wait(_: Puppet) -> None:
        await go_on

    async def note(_: Puppet) -> None:
        seen.append("third")

    async with ActorSystem(children=[ChildSpec(id="a", start=Puppet, mailbox=Mailbox(capacity=1))]) as system:
        ref = system.ref("a")
        await ref.send(wait)
        await asyncio.sleep(0)
        await ref.send("second")

        def room_while_the_loop_is_late() -> None:
            go_on.set_result(None)
            loop.jump(0.5)

        loop.call_later(0.8, room_while_the_loop_is_late)
        try:
            await ref.send(note, timeout=1.0)
        except MailboxFull:
            seen.append("refused")
        await asyncio.sleep(10.0)
    assert seen == ["third"]


async def test_a_message_whose_sender_gave_up_is_not_kept() -> None:
    """A receiver that is stuck for long does not collect the messages of those who no longer wait."""

    class Load:
        pass

    async def stuck(_: Puppet) -> None:
        await asyncio.sleep(1000.0)

    loads: list[weakref.ref[Load]] = []
    async with ActorSystem(children=[ChildSpec(id="a", start=Puppet, mailbox=Mailbox(capacity=1))]) as system:
        ref = system.ref("a")
        await ref.send(stuck)
        await asyncio.sleep(0)
        await ref.send("fills the mailbox")
        for attempt in range(20):
            load = Load()
            loads.append(weakref.ref(load))
            with pytest.raises((MailboxFull, AskTimeout)):
                await (ref.send(load, timeout=0.1) if attempt % 2 else ref.ask(load, timeout=0.1))
            del load
        gc.collect()
        assert sum(kept() is not None for kept in loads) <= 1  # the last error's trace may hold one
        ref.kill()


@pytest.mark.parametrize("queued", [False, True])
@pytest.mark.parametrize("suspended", [False, True])
@pytest.mark.parametrize(
    "error", [Panic, asyncio.CancelledError, GeneratorExit, StopIteration, StopAsyncIteration, RecursionError]
)
async def test_whatever_a_handler_raises_is_a_crash(
    error: type[BaseException], *, suspended: bool, queued: bool
) -> None:
    """No exception leaves an actor that looks alive and handles nothing."""

    async def fail(_: Puppet) -> None:
        if suspended:
            await asyncio.sleep(0.1)
        raise error

    async with ActorSystem(children=[ChildSpec(id="a", start=Puppet)]) as system:
        ref = system.ref("a")
        if queued:
            ref.tell("first")
        with pytest.raises(ActorCrashed):
            await ref.ask(fail)
        assert await ref.ask(incarnation) == 2


class Speechless(Exception):
    """An exception whose text cannot be had."""

    def __str__(self) -> str:
        raise ValueError("no text")

    __repr__ = __str__


@pytest.mark.parametrize("how", ["told", "asked"])
async def test_an_exception_that_cannot_say_its_text_is_an_ordinary_crash(how: str) -> None:
    """`__str__` of an exception is foreign code: what it raises costs the text, and nothing else."""

    async def fail(_: Puppet) -> None:
        raise Speechless

    async with ActorSystem(children=[ChildSpec(id="a", start=Puppet)]) as system:
        ref = system.ref("a")
        if how == "told":
            ref.tell(fail)
        else:
            with pytest.raises(ActorCrashed, match="Speechless"):
                await ref.ask(fail)
        assert await ref.ask(incarnation) == 2


async def test_a_start_that_fails_without_a_text_is_an_ordinary_failure() -> None:
    """The caller hears of it, and the supervisor goes on."""

    async def fail(_: Puppet) -> None:
        raise Speechless

    async with ActorSystem() as system:
        with pytest.raises(StartFailed, match="Speechless"):
            await system.start_child(ChildSpec(id="a", start=Puppet, args=(fail,)))
        await system.start_child(ChildSpec(id="b", start=Puppet))
        assert await system.ref("b").ask("hello") == "hello"


@pytest.mark.parametrize("needs", [3, 30, 100])
async def test_an_asker_that_has_used_up_the_stack_wedges_nobody(needs: int) -> None:
    """Whatever the interpreter's limit cuts short, on the asker's stack: the asked actor answers the next one."""

    def descend(levels: int) -> int:
        return 1 + descend(levels - 1) if levels else 0

    async def work(_: Puppet) -> int:
        return descend(needs)

    async def ask_from_below(levels: int, ref: ActorRef[Any]) -> object:
        return await (ask_from_below(levels - 1, ref) if levels else ref.ask(work))

    # The logger is cut off: to write the trace of each of hundreds of such crashes takes long.
    logging.getLogger("bifrost.actors").disabled = True
    try:
        async with ActorSystem(children=[ChildSpec(id="a", start=Puppet)], intensity=10_000) as system:
            ref = system.ref("a")
            room = sys.getrecursionlimit() - len(inspect.stack(0))
            for levels in range(room - needs - 60, room):
                with contextlib.suppress(RecursionError, ActorCrashed):
                    await ask_from_below(levels, ref)
                assert await ref.ask("hello", timeout=2) == "hello", levels
    finally:
        logging.getLogger("bifrost.actors").disabled = False


@pytest.mark.parametrize("suspended", [False, True])
@pytest.mark.parametrize("error", [Panic, GeneratorExit])
async def test_whatever_on_start_raises_is_a_failed_start(error: type[BaseException], *, suspended: bool) -> None:
    """A panic in `on_start` is told at once, not after the start's time limit, and is tried again like any other."""
    starts: list[float] = []
    loop = asyncio.get_running_loop()

    async def panic_once(_: Puppet) -> None:
        starts.append(loop.time())
        if len(starts) == 2:
            if suspended:
                await asyncio.sleep(0)
            raise error

    spec = ChildSpec(id="a", start=Puppet, args=(panic_once,))
    async with ActorSystem(children=[spec]) as system:
        ref = system.ref("a")
        ref.kill()
        await asyncio.sleep(0.1)
        assert await ref.ask(incarnation) == 3
    assert starts[2] - starts[1] < 0.1


async def test_whatever_a_task_raises_crashes_the_actor() -> None:
    """A task of the actor's own does not end in silence: not by a panic, nor by a cancellation nobody asked for."""

    async def panics() -> None:
        raise Panic("native code")

    async def cancelled_from_within() -> None:
        future = asyncio.get_running_loop().create_future()
        future.cancel()
        await future

    async def asked_to_stop() -> None:
        await asyncio.sleep(1000.0)

    async with ActorSystem(children=[ChildSpec(id="a", start=Puppet)], intensity=10) as system:
        ref = system.ref("a")
        for expected, work in ((2, panics), (3, cancelled_from_within)):

            async def spawn(puppet: Puppet, work: Callable[[], Any] = work) -> None:
                puppet.ctx.spawn_task(work())

            await ref.ask(spawn)
            await asyncio.sleep(0.1)
            assert await ref.ask(incarnation) == expected

        async def spawn_and_cancel(puppet: Puppet) -> None:
            task = puppet.ctx.spawn_task(asked_to_stop())
            await asyncio.sleep(0)
            task.cancel()

        await ref.ask(spawn_and_cancel)
        await asyncio.sleep(0.1)
        assert await ref.ask(incarnation) == 3


async def test_a_runner_that_was_cancelled_before_its_first_step_is_replaced() -> None:
    """Whoever cancels every task of the loop does not leave an actor that never handles a message again."""
    async with ActorSystem(children=[ChildSpec(id="a", start=Puppet)]) as system:
        ref = system.ref("a")
        before = asyncio.all_tasks()
        ref.tell("one")
        for task in asyncio.all_tasks() - before:
            task.cancel()
        await asyncio.sleep(0)
        assert await ref.ask("two") == "two"


async def test_a_subscriber_that_raises_a_cancellation_harms_nobody() -> None:
    """The result of a cancelled future, asked for in a subscriber, is the subscriber's trouble."""
    future = asyncio.get_running_loop().create_future()
    future.cancel()

    def subscriber(event: ActorEvent) -> None:
        if isinstance(event, CrashEvent):
            future.result()

    async def fail(_: Puppet) -> None:
        raise ValueError("defect")

    async with ActorSystem(children=[ChildSpec(id="a", start=Puppet)]) as system:
        system.events.subscribe(subscriber)
        ref = system.ref("a")
        with pytest.raises(ActorCrashed):
            await ref.ask(fail)
        assert await ref.ask(incarnation) == 2


async def test_a_subscriber_that_forwards_events_to_a_stopped_actor_comes_to_an_end() -> None:
    """The dead letter of an event about a dead letter is counted, and no event: else each would make the next one."""
    told: list[str] = []
    async with ActorSystem(children=[ChildSpec(id="a", start=Puppet)]) as system:
        ref = system.ref("a")

        def forward(event: ActorEvent) -> None:
            told.append(type(event).__name__)
            ref.tell(event)

        await system.root.terminate_child("a")
        system.events.subscribe(forward)
        for _ in range(2):
            ref.tell("hello")
        assert told == ["DeadLettered"] * 2
        assert system.dead_letters.counts == {"stopped": 4}


async def test_a_task_that_a_dying_task_starts_ends_with_the_incarnation() -> None:
    """No task of an old incarnation runs beside the new one."""
    running: list[int] = []

    async def survivor(number: int) -> None:
        running.append(number)
        try:
            await asyncio.sleep(1000.0)
        finally:
            running.remove(number)

    async def dying(puppet: Puppet) -> None:
        try:
            await asyncio.sleep(1000.0)
        finally:
            puppet.ctx.spawn_task(survivor(puppet.ctx.incarnation))

    async def spawn(puppet: Puppet) -> None:
        puppet.ctx.spawn_task(dying(puppet))
        await asyncio.sleep(0)

    async with ActorSystem(children=[ChildSpec(id="a", start=Puppet)]) as system:
        ref = system.ref("a")
        await ref.ask(spawn)
        ref.kill()
        await asyncio.sleep(1.0)
        assert await ref.ask(incarnation) == 2
        assert running == []


async def test_timers_and_notices_of_an_old_incarnation_do_not_reach_the_new_one() -> None:
    """What an incarnation asked for ends with it, even if it was queued already."""
    seen: list[tuple[int, object]] = []

    class Watcher(Actor[Any]):
        async def receive(self, message: Any) -> None:
            seen.append((self.ctx.incarnation, message))
            if message == "prepare":
                self.ctx.timers.once("late", 0.5, "timer")
                self.ctx.timers.every("tick", 0.5, "tick")
                self.ctx.watch(self.ctx.system.ref("b"))
                await asyncio.sleep(1.0)
                raise ValueError("defect")

    children = [ChildSpec(id="b", start=Puppet), ChildSpec(id="a", start=Watcher)]
    async with ActorSystem(children=children) as system:
        system.ref("a").tell("prepare")
        system.ref("a").tell("kept")
        await asyncio.sleep(0.2)
        system.ref("b").kill()
        await asyncio.sleep(5.0)
    assert [message for number, message in seen if number == 2] == ["kept"]
    assert not any(isinstance(message, Down) for _, message in seen)


async def test_a_supervisor_killed_while_it_starts_does_not_block_its_own_supervisor() -> None:
    """The start counts as failed and is tried again; the supervisor above goes on."""
    starts: list[int] = []

    async def slow_once(_: Puppet) -> None:
        starts.append(len(starts))
        if len(starts) == 1:
            await asyncio.sleep(2.0)

    leaf = ChildSpec(id="leaf", start=Puppet, args=(slow_once,))
    async with ActorSystem() as system:
        adding = asyncio.create_task(system.start_child(Supervisor.spec("sub", [leaf])))
        await asyncio.sleep(0.5)
        system.ref("sub").kill()
        await asyncio.wait([adding], timeout=20.0)
        assert adding.done()
        assert adding.exception() is not None
        await system.start_child(ChildSpec(id="other", start=Puppet))
        assert await system.ref("other").ask("hello") == "hello"


async def test_those_who_gave_up_waiting_for_an_actor_are_forgotten() -> None:
    """Waiting in vain for an actor that stays down costs no memory."""

    async def fail(_: Puppet) -> None:
        raise ValueError("defect")

    spec = ChildSpec(id="a", start=Puppet, backoff=Backoff(min=500.0, max=500.0))
    async with ActorSystem(children=[spec]) as system:
        ref = system.ref("a")
        with pytest.raises((ActorCrashed, ActorStopped)):
            await ref.ask(fail)
        gc.collect()
        before = sum(isinstance(each, asyncio.Future) for each in gc.get_objects())
        for _ in range(50):
            with pytest.raises(TimeoutError):
                await ref.wait_running(timeout=0.01)
        gc.collect()
        assert sum(isinstance(each, asyncio.Future) for each in gc.get_objects()) < before + 25


@pytest.mark.parametrize("backoff", [None, Backoff(min=5.0, max=5.0), Backoff(min=0.1, max=0.1, max_attempts=1)])
async def test_a_child_may_be_removed_while_its_restart_is_failing(backoff: Backoff | None) -> None:
    """The removal that waited for the failing start is carried out, and the supervisor goes on."""
    starts: list[int] = []

    async def slow_failure_after_the_first(_: Puppet) -> None:
        starts.append(len(starts))
        if len(starts) > 1:
            await asyncio.sleep(1.0)
            raise ValueError("defect")

    async with ActorSystem(children=[DynamicSupervisor.spec("devices", on_exhausted=OnExhausted.PARK)]) as system:
        devices = system.supervisor("devices")
        ref = await devices.start_child(
            ChildSpec(id="a", start=Puppet, args=(slow_failure_after_the_first,), backoff=backoff)
        )
        ref.kill()
        await asyncio.sleep(0.5)
        await devices.terminate_child("a", timeout=10.0)
        assert devices.which_children() == []
        other = await devices.start_child(ChildSpec(id="b", start=Puppet), timeout=10.0)
        assert await other.ask("hello") == "hello"


async def test_a_child_that_is_removed_as_soon_as_it_runs_was_started_all_the_same() -> None:
    """Whoever started it gets its ref, which says that it has stopped."""

    async def die_with_the_start(puppet: Puppet) -> None:
        async def end() -> None:
            puppet.ctx.stop()

        puppet.ctx.spawn_task(end())

    async with ActorSystem() as system:
        starting = asyncio.create_task(
            system.start_child(
                ChildSpec(id="a", start=Puppet, args=(die_with_the_start,), restart=Restart.TEMPORARY, shutdown=0.0)
            )
        )
        ref = await asyncio.wait_for(starting, 10.0)
        await asyncio.sleep(0.1)
        assert ref.state is ActorState.STOPPED
