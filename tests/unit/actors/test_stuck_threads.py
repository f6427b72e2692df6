"""Threads of blocking actors that overrun, hang, or are killed: fenced, replaced, bounded, and reported."""

from __future__ import annotations

import asyncio
import random
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from bifrost.actors import (
    ActorState,
    ActorSystem,
    Backoff,
    ChildSpec,
    Crash,
    Delivery,
    DynamicSupervisor,
    ExitReason,
    IntensityScope,
    Killed,
    OnExhausted,
    Shutdown,
    ending,
    incarnation,
)
from bifrost.actors.events import ActorEvent, ChildLeaked, ChildParked
from bifrost.errors import (
    ActorCrashed,
    ActorError,
    ActorStopped,
    HandlerTimeout,
)
from tests.unit.actors.blocking_kit import Body, Echo, Gate, body, threads_of


@pytest.fixture
def gate(monkeypatch: pytest.MonkeyPatch) -> Iterator[Gate]:
    for module in (ending, incarnation):  # a stuck thread costs these seconds, and these tests run in real time
        monkeypatch.setattr(module, "GRACE_KILL", 0.15)
    gate = Gate()
    yield gate
    gate.event.set()
    deadline = time.monotonic() + 10
    while any(thread.name.startswith("a#") for thread in threading.enumerate()) and time.monotonic() < deadline:
        time.sleep(0.001)


async def until(condition: Callable[[], bool]) -> None:
    """Wait in real time."""
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110 - what a thread does sets no event
            await asyncio.sleep(0.01)


def record(system: ActorSystem, *kinds: type[ActorEvent]) -> list[ActorEvent]:
    events: list[ActorEvent] = []
    system.events.subscribe(lambda event: events.append(event) if isinstance(event, kinds) else None)
    return events


class Quick(Body):
    """Has little patience."""

    handler_timeout = 0.05
    max_stuck_threads = 2


def quick(seen: list[Any], **options: Any) -> ChildSpec:
    return ChildSpec(id="a", start=Quick, args=(seen,), **options)


@pytest.mark.real_time
async def test_a_handler_that_overruns_fails_its_ask_and_is_replaced(gate: Gate) -> None:
    """The ask fails with the place where the thread hangs; a new thread serves the next incarnation."""
    seen: list[Any] = []
    async with ActorSystem(children=[quick(seen)]) as system:
        events = record(system, ChildLeaked)
        ref = system.ref("a")
        with pytest.raises(ActorCrashed) as caught:
            await ref.ask(gate.hang)
        assert isinstance(caught.value.cause, HandlerTimeout)
        assert "handler_timeout=0.05 s, at " in str(caught.value.cause)
        assert "threading.py" in str(caught.value.cause)
        assert await ref.ask("next") == ("seen", "next")
        assert threads_of("a") == ["a#1", "a#2"]
        assert [(event.path, event.what) for event in events if isinstance(event, ChildLeaked)] == [
            ("a", "task thread")
        ]
        assert [(leak.path, leak.incarnation) for leak in system.leaks] == [("a", 1)]
        report = await system.stop()
        assert [(leak.path, leak.incarnation, leak.what) for leak in report.leaked] == [("a", 1, "task thread")]
    # The stuck instance is not touched again: no on_stop for it.
    assert seen == [("start", "a#1"), ("start", "a#2"), ("next", "a#2"), ("stop", "Shutdown")]


@pytest.mark.real_time
async def test_a_handler_that_heeds_stopping_leaves_nothing_behind() -> None:
    """After its deadline `ctx.stopping` is true and `ctx.wait` returns; the old thread runs `on_stop` and ends."""
    seen: list[Any] = []

    def patient(actor: Body) -> str:
        while not actor.ctx.wait(5):
            pass
        actor.seen.append(("stopping", actor.ctx.stopping))
        return "late"

    async with ActorSystem(children=[quick(seen)]) as system:
        ref = system.ref("a")
        with pytest.raises(ActorCrashed):
            await ref.ask(patient)
        assert await ref.ask("next") == ("seen", "next")
        assert system.leaks == ()
        assert threads_of("a") == ["a#2"]
    assert seen[:3] == [("start", "a#1"), ("stopping", True), ("stop", "Crash")]


@pytest.mark.real_time
async def test_an_abandoned_thread_is_fenced(gate: Gate) -> None:
    """When it comes back it can tell, ask, set timers and answer nothing, and then it ends."""
    outcome: list[Any] = []
    back = threading.Event()

    def zombie(actor: Body) -> str:
        echo = actor.ctx.system.ref("echo")
        gate.hang(actor)
        outcome.append(echo.tell("from the dead"))
        for deed in (
            lambda: actor.ctx.ask(echo, "x"),
            lambda: actor.ctx.send(echo, "x"),
            lambda: actor.ctx.timers.once("x", 0, "x"),
            actor.ctx.stop,
        ):
            try:
                deed()
            except ActorStopped:
                outcome.append("refused")
        outcome.append(actor.ctx.stopping)
        back.set()
        return "late"

    async with ActorSystem(children=[ChildSpec(id="echo", start=Echo), quick([])]) as system:
        ref = system.ref("a")
        with pytest.raises(ActorCrashed):
            await ref.ask(zombie)
        assert await ref.ask("next") == ("seen", "next")
        gate.event.set()
        await asyncio.to_thread(back.wait, 10)
        assert outcome == [Delivery.DEAD, "refused", "refused", "refused", "refused", True]
        await until(lambda: threads_of("a") == ["a#2"])
        assert threads_of("a") == ["a#2"]
        await until(lambda: not system.leaks)
        assert system.dead_letters.counts == {"crashed": 1, "fenced": 1}
        assert ref.incarnation == 2


@pytest.mark.real_time
async def test_stuck_threads_are_bounded_and_then_the_child_is_parked(gate: Gate) -> None:
    """With too many stuck threads the start fails and the child is parked; it starts again when one has returned."""
    branch = DynamicSupervisor.spec(
        "d", intensity=2, period=60, intensity_scope=IntensityScope.CHILD, on_exhausted=OnExhausted.PARK
    )
    async with ActorSystem(children=[branch]) as system:
        supervisor = system.supervisor("d")
        events = record(system, ChildParked)
        ref = await supervisor.start_child(quick([]))
        for _ in range(2):
            with pytest.raises(ActorCrashed):
                await ref.ask(gate.hang)
        await until(lambda: ref.state is ActorState.FAILED)
        assert ref.state is ActorState.FAILED
        assert len(events) == 1
        assert len(system.leaks) == 2
        crash = system.snapshot().find("d/a")
        assert crash is not None
        assert "2 threads of earlier incarnations are stuck, max_stuck_threads=2" in (crash.last_crash or "")
        gate.event.set()
        await until(lambda: not system.leaks)
        await supervisor.restart_child("a")
        assert await ref.ask("again") == ("seen", "again")


@pytest.mark.real_time
async def test_a_kill_abandons_a_thread_that_hangs(gate: Gate) -> None:
    """The ask of the hanging handler fails, and the next incarnation runs in a new thread within the grace period."""
    async with ActorSystem(children=[body([])]) as system:
        ref = system.ref("a")
        asked = asyncio.ensure_future(ref.ask(gate.hang, timeout=20))
        await asyncio.to_thread(gate.entered.wait, 10)
        begun = time.monotonic()
        ref.kill()
        with pytest.raises(ActorCrashed):
            await asked
        assert await ref.ask("next") == ("seen", "next")
        assert time.monotonic() - begun < 5
        assert [leak.what for leak in system.leaks] == ["handler"]


@pytest.mark.real_time
async def test_a_start_that_hangs_fails_in_time(gate: Gate) -> None:
    """`start_timeout` holds for a thread: the caller gets `StartFailed`, the thread is reported."""

    class Hanging(Body):
        def on_start(self) -> None:
            gate.hang(self)

    async with ActorSystem() as system:
        with pytest.raises(ActorError, match="start_timeout"):
            await system.start_child(ChildSpec(id="a", start=Hanging, args=([],), start_timeout=0.05))
        assert [leak.what for leak in system.leaks] == ["on_start"]


@pytest.mark.real_time
async def test_a_stop_hook_that_hangs_does_not_hold_up_the_system(gate: Gate) -> None:
    """The stop goes on after `shutdown` and the grace period, and reports the thread."""

    class Hanging(Body):
        def on_stop(self, reason: ExitReason) -> None:
            gate.hang(self)

    async with ActorSystem(children=[ChildSpec(id="a", start=Hanging, args=([],), shutdown=0.05)]) as system:
        begun = time.monotonic()
        report = await system.stop()
        assert time.monotonic() - begun < 5
        assert [leak.what for leak in report.leaked] == ["on_stop"]


async def test_an_orderly_stop_lets_the_handler_finish_and_tells_it() -> None:
    """The handler in hand sees `stopping` at once and may finish within `shutdown`; its answer still counts."""
    seen: list[Any] = []
    reasons: list[ExitReason] = []

    class Polite(Body):
        def on_stop(self, reason: ExitReason) -> None:
            reasons.append(reason)

    def loops(actor: Body) -> str:
        actor.ctx.system.ref("echo").tell("running")
        stopped = actor.ctx.wait(60)
        return f"stopped {stopped} {actor.ctx.stopping}"

    async with ActorSystem(children=[ChildSpec(id="echo", start=Echo)]) as system:
        ref = await system.start_child(ChildSpec(id="a", start=Polite, args=(seen,)))
        asked = asyncio.ensure_future(ref.ask(loops, timeout=100))
        await asyncio.sleep(1)
        await system.root.terminate_child("a")
        assert await asked == "stopped True True"
    assert reasons == [Shutdown()]


async def test_a_kill_ends_the_waits_of_a_thread() -> None:
    """A thread that waits for another actor is woken with `ActorStopped`; nothing leaks, and `on_stop` knows why."""
    seen: list[Any] = []
    reasons: list[ExitReason] = []
    errors: list[str] = []

    class Waiting(Body):
        def receive(self, message: Any) -> object:
            try:
                return self.ctx.ask(self.ctx.system.ref("echo"), 3600.0, timeout=7200)
            except ActorStopped as error:
                errors.append(str(error))
                raise

        def on_stop(self, reason: ExitReason) -> None:
            reasons.append(reason)

    children = [ChildSpec(id="echo", start=Echo), ChildSpec(id="a", start=Waiting, args=(seen,))]
    async with ActorSystem(children=children) as system:
        ref = system.ref("a")
        asked = asyncio.ensure_future(ref.ask("go", timeout=None))
        await asyncio.sleep(1)
        ref.kill()
        with pytest.raises(ActorCrashed):
            await asked
        await ref.wait_running()
        assert errors == ["the actor was stopped while its thread waited for another actor"]
        assert reasons == [Killed()]
        assert system.leaks == ()


async def test_a_host_that_is_cancelled_stops_blocking_actors_in_order() -> None:
    """Cancelling the host's task ends the thread through `on_stop`, like leaving the block."""
    seen: list[Any] = []

    async def host() -> None:
        async with ActorSystem(children=[body(seen)]):
            await asyncio.sleep(3600)

    task = asyncio.ensure_future(host())
    await asyncio.sleep(1)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert seen == [("start", "a#1"), ("stop", "Shutdown")]
    assert threads_of("a") == []


async def test_a_back_off_delays_the_next_thread() -> None:
    """Back-off, restart types and the reasons work as for any actor."""
    seen: list[Any] = []
    spec = body(seen, backoff=Backoff(min=10.0, max=10.0, jitter=0.0))
    async with ActorSystem(children=[spec]) as system:
        ref = system.ref("a")
        ref.tell(ValueError("broken"))
        await asyncio.sleep(5)
        assert ref.state is ActorState.RESTARTING
        assert isinstance(ref.cell.last_reason, Crash)
        assert threads_of("a") == []
        await asyncio.sleep(6)
        assert threads_of("a") == ["a#2"]


def test_a_stuck_thread_does_not_hold_up_the_end_of_the_loop() -> None:
    """`asyncio.run` returns although a thread of the system still hangs."""
    gate = Gate()
    begun = time.monotonic()

    async def main() -> None:
        async with ActorSystem(children=[body([], shutdown=0.05)], stop_timeout=5) as system:
            system.ref("a").tell(gate.hang)
            await asyncio.to_thread(gate.entered.wait, 10)

    asyncio.run(main())
    assert time.monotonic() - begun < 6
    assert threads_of("a") == ["a#1"]
    gate.event.set()
    while threads_of("a"):
        time.sleep(0.001)


@pytest.mark.real_time
async def test_a_cancellation_by_a_stranger_does_not_lift_the_time_limit(gate: Gate) -> None:
    """Whoever cancels the handler's task, a thread that hangs is given up after `handler_timeout`."""
    async with ActorSystem(children=[quick([])]) as system:
        ref = system.ref("a")
        asked = asyncio.ensure_future(ref.ask(gate.hang))
        await asyncio.to_thread(gate.entered.wait, 10)
        for task in asyncio.all_tasks():
            if task.get_name() == "a#1":
                task.cancel()
        with pytest.raises(ActorCrashed):
            await asked
        assert await ref.ask("next") == ("seen", "next")
        assert len(system.leaks) == 1


@pytest.mark.real_time
async def test_a_crowd_of_threads_under_kills_and_timeouts_loses_no_ask() -> None:
    """Every ask ends, no thread is left, and every actor still answers."""
    rng = random.Random(7)

    class Nervous(Body):
        handler_timeout = 0.03

    def busy(seconds: float) -> Callable[[Any], str]:
        def run(actor: Body) -> str:
            end = time.monotonic() + seconds
            while time.monotonic() < end and not actor.ctx.stopping:
                time.sleep(0.001)
            if seconds > 0.02:
                actor.ctx.ask(actor.ctx.system.ref("echo"), seconds, timeout=1)
            return "done"

        return run

    crowd = [ChildSpec(id=f"n{n}", start=Nervous, args=([],)) for n in range(8)]
    async with ActorSystem(children=[ChildSpec(id="echo", start=Echo), *crowd], intensity=10_000) as system:
        refs = [system.ref(spec.id) for spec in crowd]
        asks = []
        for _ in range(150):
            ref = rng.choice(refs)
            asks.append(asyncio.ensure_future(ref.ask(busy(rng.choice([0.0, 0.002, 0.025, 0.05])))))
            if rng.random() < 0.15:
                rng.choice(refs).kill()
            await asyncio.sleep(rng.choice([0.0, 0.002, 0.01]))
        results = await asyncio.gather(*asks, return_exceptions=True)
        assert all(result == "done" or isinstance(result, ActorError) for result in results)
        assert "done" in results
        for ref in refs:
            await ref.wait_running()
            assert await ref.ask("hello", timeout=20) == ("seen", "hello")
        assert system.leaks == ()
        names = sorted(thread.name for thread in threading.enumerate() if thread.name.startswith("n"))
        assert names == sorted(f"{ref.path}#{ref.incarnation}" for ref in refs)
    assert not any(thread.name.startswith("n") and "#" in thread.name for thread in threading.enumerate())
