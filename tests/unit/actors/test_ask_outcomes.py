"""How an ask ends: answered, failed, too late, or refused, whether its handler ran on the asker's stack or not."""

from __future__ import annotations

import asyncio
import gc
import traceback
from typing import Any

import pytest

from bifrost.actors import (
    ActorRef,
    ActorState,
    Backoff,
    DynamicSupervisor,
    Normal,
    OnExhausted,
    Restart,
    SupervisorRef,
)
from bifrost.actors.events import ActorCrashed as CrashEvent
from bifrost.errors import ActorCrashed, ActorStopped, AskTimeout
from tests.unit.actors.ask_kit import Puppet, ask, both_ways, kept, life, puppet, puppets

# Failures


@both_ways
async def test_a_crash_is_told_to_the_asker_with_its_cause(way: str) -> None:
    """`ActorCrashed` carries what was raised; the receiver restarts; the message is a dead letter."""
    error = ValueError("broken")

    async def fail(_: Puppet) -> None:
        raise error

    async with puppets() as system:
        ref = system.ref("a")
        with pytest.raises(ActorCrashed, match="a crashed while it handled the request: ValueError: broken") as caught:
            await ask(ref, fail, way)
        assert caught.value.cause is error
        assert caught.value.__cause__ is error
        assert await ref.ask(life) == 2
        assert system.dead_letters.counts == {"crashed": 1}


@both_ways
async def test_the_askers_traceback_shows_no_handler(way: str) -> None:
    """What failed stands in the cause; the error itself was raised by the ask, for the asker."""

    async def deep_inside(_: Puppet) -> None:
        raise ValueError("broken")

    async with puppets() as system:
        try:
            await ask(system.ref("a"), deep_inside, way)
        except ActorCrashed as error:
            of_the_asker = [frame.name for frame in traceback.extract_tb(error.__traceback__)]
            of_the_handler = [frame.name for frame in traceback.extract_tb(error.cause.__traceback__)]
            context = error.cause.__context__
    assert "deep_inside" not in of_the_asker
    assert "deep_inside" in of_the_handler
    assert context is None


@both_ways
@pytest.mark.parametrize("suspends", [False, True])
async def test_a_crash_of_the_asked_does_not_crash_an_asker_that_catches_it(way: str, suspends: bool) -> None:
    """The failure crosses from actor to actor as an answer, not as an exception in the asker's handler."""

    async def fail(_: Puppet) -> None:
        if suspends:
            await asyncio.sleep(1)
        raise ValueError("broken")

    async def call(actor: Puppet) -> str:
        try:
            await ask(actor.ctx.system.ref("b"), fail, way)
        except ActorCrashed as error:
            return type(error.cause).__name__
        return "no error"

    async with puppets(puppet(), puppet("b")) as system:
        assert await system.ref("a").ask(call) == "ValueError"
        assert await system.ref("a").ask(life) == 1
        assert await system.ref("b").ask(life) == 2


@both_ways
@pytest.mark.parametrize("by_an_actor", [False, True])
@pytest.mark.parametrize("suspends", [False, True])
@pytest.mark.parametrize("kind", [SystemExit, KeyboardInterrupt])
def test_what_ends_the_process_reaches_the_host(
    way: str, by_an_actor: bool, suspends: bool, kind: type[BaseException], caplog: pytest.LogCaptureFixture
) -> None:
    """`SystemExit` and `KeyboardInterrupt` in a handler end the host's run, whoever asked; they are no crash.

    Nor are they reported a second time when the handler's task is freed.
    """
    crashed: list[str] = []

    async def leave(_: Puppet) -> None:
        if suspends:
            await asyncio.sleep(0.1)
        raise kind(3)

    async def call(actor: Puppet) -> None:
        await ask(actor.ctx.system.ref("b"), leave, way)

    async def main() -> None:
        async with puppets(puppet(), puppet("b")) as system:
            system.events.subscribe(lambda event: crashed.append(event.path) if isinstance(event, CrashEvent) else None)
            await (system.ref("a").ask(call) if by_an_actor else ask(system.ref("b"), leave, way))

    with pytest.raises(kind):
        asyncio.run(main())
    assert "b" not in crashed
    gc.collect()
    assert "never retrieved" not in caplog.text


# Deadlines


@both_ways
async def test_the_deadline_holds_for_a_handler_that_suspends(way: str) -> None:
    """`AskTimeout` comes at the deadline; the handler goes on; its late answer reaches nobody."""
    loop = asyncio.get_running_loop()

    async def slow(actor: Puppet) -> str:
        await asyncio.sleep(10)
        actor.kept.append("acted")
        return "late"

    async with puppets() as system:
        ref = system.ref("a")
        begun = loop.time()
        with pytest.raises(AskTimeout, match="no answer in 2 s"):
            await ask(ref, slow, way, timeout=2)
        assert loop.time() - begun == pytest.approx(2)
        assert await ref.ask("own", timeout=20) == "own"
        assert (await ref.ask(kept))[-2:] == ["acted", "own"]


@both_ways
async def test_an_answer_in_time_leaves_no_timer(way: str) -> None:
    """Thousands of answered asks leave at most a handful of timers behind."""
    loop = asyncio.get_running_loop()

    async def suspend(_: Puppet) -> None:
        await asyncio.sleep(0)

    async with puppets() as system:
        for n in range(2000):
            await ask(system.ref("a"), suspend if n % 2 else "quick", way, timeout=30 + n % 3)
        timers = [timer for timer in getattr(loop, "_scheduled", ()) if not timer.cancelled()]
        assert len(timers) < 10
    assert [timer for timer in getattr(loop, "_scheduled", ()) if not timer.cancelled()] == []


async def test_asks_with_every_kind_of_deadline_end_in_their_order() -> None:
    """Short, long and equal deadlines, more different ones than there are queues for, each at its own time."""
    loop = asyncio.get_running_loop()
    ended: list[float] = []

    async def never(_: Puppet) -> None:
        await asyncio.sleep(10_000)

    async def ask_in_vain(ref: ActorRef[Any], timeout: float) -> None:
        begun = loop.time()
        with pytest.raises(AskTimeout):
            await ref.ask(never, timeout=timeout)
        assert loop.time() - begun == pytest.approx(timeout)
        ended.append(timeout)

    timeouts = [0.5 + (n * 37 % 100) for n in range(100)] + [1.25] * 20
    async with puppets(puppet(shutdown=0.0)) as system:
        async with asyncio.TaskGroup() as group:
            for timeout in timeouts:
                group.create_task(ask_in_vain(system.ref("a"), timeout))
        assert ended == sorted(timeouts)


@both_ways
async def test_a_deadline_that_is_no_number_is_refused(way: str) -> None:
    """NaN would upset the order of the loop's timers; the refusal leaves no account open."""
    loop = asyncio.get_running_loop()

    async def nap(_: Puppet) -> str:
        await asyncio.sleep(1)
        return "slept"

    async with puppets() as system:
        ref = system.ref("a")
        with pytest.raises(ValueError, match="seconds or None, got nan"):
            await ask(ref, nap, way, timeout=float("nan"))
        assert await ref.ask(nap, timeout=float("inf")) == "slept"
        begun = loop.time()
        with pytest.raises(AskTimeout):
            await ref.ask(nap, timeout=-1.0)
        assert loop.time() == begun


async def test_the_deadline_of_an_ask_that_is_answered_already_is_harmless() -> None:
    """A handler may stash its request and have itself terminated, before it suspends."""

    async def nap(_: Puppet) -> None:
        await asyncio.sleep(0.1)

    async def ends(actor: Puppet) -> None:
        actor.ctx.stash()
        actor.ctx.unstash_all()
        parent = actor.ctx.parent
        assert isinstance(parent, SupervisorRef)
        await parent.terminate_child("a")

    async with puppets(puppet(shutdown=1.0), puppet("b")) as system:
        await system.ref("b").ask(nap, timeout=7.0)
        with pytest.raises(ActorStopped):
            await system.ref("a").ask(ends, timeout=7.0)


# States of the asked actor


async def test_an_ask_of_a_starting_actor_waits_for_its_start() -> None:
    """It is answered as soon as `on_start` has returned, not before."""

    async def slow_start(actor: Puppet) -> None:
        await asyncio.sleep(2)
        actor.kept.append("started")

    async with puppets(puppet("b")) as system:
        starting = asyncio.create_task(system.start_child(puppet(args=(slow_start,))))
        await asyncio.sleep(1)
        ref = system.ref("a")
        assert ref.state is ActorState.STARTING
        assert await ref.ask(kept) == ["started"]
        await starting


async def test_an_ask_of_a_restarting_actor_waits_for_the_next_incarnation() -> None:
    """While a back-off runs the request waits, and its deadline runs too."""
    async with puppets(puppet(backoff=Backoff(min=2.0, max=2.0, jitter=0.0))) as system:
        ref = system.ref("a")
        ref.kill()
        await asyncio.sleep(0.1)
        assert ref.state is ActorState.RESTARTING
        with pytest.raises(AskTimeout):
            await ref.ask(life, timeout=1)
        assert await ref.ask(life, timeout=5) == 2


@pytest.mark.parametrize("drain", [False, True])
async def test_an_ask_of_a_stopping_actor_fails_at_once(drain: bool) -> None:
    """While the handler in hand has its time, or the queue is drained, nothing new is taken."""
    loop = asyncio.get_running_loop()

    async def nap(_: Puppet) -> None:
        await asyncio.sleep(1)

    async with puppets(puppet(drain=drain)) as system:
        ref = system.ref("a")
        ref.tell(nap)
        ref.tell("queued")
        await asyncio.sleep(0.1)
        stopping = asyncio.create_task(system.root.terminate_child("a"))
        await asyncio.sleep(0.1)
        assert ref.state is ActorState.STOPPING
        begun = loop.time()
        with pytest.raises(ActorStopped, match="a is stopping"):
            await ref.ask("too late")
        assert loop.time() == begun
        await stopping
        with pytest.raises(ActorStopped, match="a is stopped"):
            await ref.ask("too late")


async def test_an_ask_of_a_parked_actor_fails_at_once() -> None:
    """The error says that it is parked and how it comes back."""
    async with puppets(
        puppet("b"), DynamicSupervisor.spec("devices", intensity=0, on_exhausted=OnExhausted.PARK)
    ) as system:
        ref = await system.supervisor("devices").start_child(puppet())
        ref.kill()
        await asyncio.sleep(0.1)
        assert ref.state is ActorState.FAILED
        with pytest.raises(ActorStopped, match="parked until restart_child"):
            await ref.ask("anybody there?")


# Who asks


async def test_everybody_may_ask() -> None:
    """The host's task, a handler, a task beside it, `on_start`, `on_stop` and a timer's handler get their answers."""
    answers: list[Any] = []

    async def ask_b(actor: Puppet) -> None:
        answers.append(await actor.ctx.system.ref("b").ask(len(answers)))

    async def ask_in_a_task(actor: Puppet) -> None:
        actor.ctx.spawn_task(ask_b(actor))

    async def ask_by_a_timer(actor: Puppet) -> None:
        actor.ctx.timers.once("k", 0.5, ask_b)

    async with puppets(puppet("b"), puppet("a", args=(ask_b, ask_b))) as system:
        answers.append(await system.ref("b").ask(len(answers)))
        await system.ref("a").ask(ask_b)
        await system.ref("a").ask(ask_in_a_task)
        await asyncio.sleep(0.1)
        await system.ref("a").ask(ask_by_a_timer)
        await asyncio.sleep(1)
    assert answers == [0, 1, 2, 3, 4, 5]


# The end


@both_ways
@pytest.mark.parametrize("restart", [Restart.PERMANENT, Restart.TRANSIENT, Restart.TEMPORARY])
async def test_a_handler_that_stops_its_actor_still_answers(way: str, restart: Restart) -> None:
    """`ctx.stop` ends the actor after the message in hand, whose answer counts."""

    async def stop(actor: Puppet) -> str:
        actor.ctx.stop(Normal())
        return "goodbye"

    async with puppets(puppet(restart=restart)) as system:
        ref = system.ref("a")
        assert await ask(ref, stop, way) == "goodbye"
        await asyncio.sleep(0.1)
        assert ref.state is (ActorState.RUNNING if restart is Restart.PERMANENT else ActorState.STOPPED)


@both_ways
async def test_a_handler_that_kills_its_actor_and_returns_has_answered(way: str) -> None:
    """A kill reaches a handler where it suspends; one that does not has done its work."""

    async def kill(actor: Puppet) -> str:
        actor.ctx.ref.kill()
        return "done"

    async with puppets() as system:
        assert await ask(system.ref("a"), kill, way) == "done"
        await asyncio.sleep(0.1)
        assert await system.ref("a").ask(life) == 2


async def test_asks_leave_nothing_behind() -> None:
    """After a system has ended no task of its asks is left, however they ended."""

    async def suspend(_: Puppet) -> None:
        await asyncio.sleep(0.1)

    async def fail(_: Puppet) -> None:
        raise ValueError("broken")

    async with puppets() as system:
        ref = system.ref("a")
        await asyncio.gather(
            *[ref.ask(work, timeout=60) for work in ("quick", suspend, fail, suspend)], return_exceptions=True
        )
        hanging = asyncio.create_task(ref.ask(suspend))
        await asyncio.sleep(0)
        hanging.cancel()
    await asyncio.sleep(0)
    assert asyncio.all_tasks() == {asyncio.current_task()}
