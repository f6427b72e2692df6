"""An ask of an idle actor runs its handler at once, on the asker's stack. Nobody may be able to tell.

Each promise is shown twice where it matters: for an actor that is idle, and for one whose mailbox the request must
wait in. What is specific to one of the two says so.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from typing import Any

import pytest

from bifrost.actors import (
    ActorRef,
    Lane,
    Mailbox,
)
from bifrost.errors import ActorCrashed, AskTimeout
from tests.unit.actors.ask_kit import Puppet, Work, ask, both_ways, kept, life, puppet, puppets

VAR: ContextVar[str] = ContextVar("var", default="unset")

# Cancellation


@both_ways
async def test_cancelling_the_asker_does_not_cancel_the_handler(way: str) -> None:
    """The handler is the receiver's: it goes on after the asker has gone, and the actor with it."""

    async def slow(actor: Puppet) -> None:
        await asyncio.sleep(2)
        actor.kept.append("finished")

    async with puppets() as system:
        ref = system.ref("a")
        asking = asyncio.create_task(ask(ref, slow, way))
        await asyncio.sleep(1)
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
        assert (await ref.ask(kept))[-1] == "finished"
        assert ref.incarnation == 1


@both_ways
async def test_an_asker_that_is_cancelled_in_the_turn_of_the_answer_is_cancelled(way: str) -> None:
    """No cancellation of the asker is lost in the ask, and none reaches the handler."""
    gate = asyncio.get_running_loop().create_future()

    async def wait(_: Puppet) -> str:
        await gate
        return "answer"

    async with puppets() as system:
        asking = asyncio.create_task(ask(system.ref("a"), wait, way))
        await asyncio.sleep(1)
        gate.set_result(None)
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
        assert await system.ref("a").ask(life) == 1


@both_ways
async def test_a_handler_that_raises_a_cancellation_does_not_cancel_its_asker(way: str) -> None:
    """A `CancelledError` that nobody asked for is a crash of the receiver, and an ordinary error to the asker."""

    async def stray(_: Puppet) -> None:
        raise asyncio.CancelledError

    async with puppets() as system:
        with pytest.raises(ActorCrashed):
            await ask(system.ref("a"), stray, way)
        me = asyncio.current_task()
        assert me is not None
        assert not me.cancelling()
        assert await system.ref("a").ask(life) == 2


@both_ways
async def test_a_handler_that_cancels_its_own_task_cancels_nobody_else(way: str) -> None:
    """`current_task().cancel()` in a handler hits the handler at its next suspension: a crash, as for any actor."""

    async def cancel_myself(_: Puppet) -> None:
        task = asyncio.current_task()
        assert task is not None
        task.cancel()
        await asyncio.sleep(10)

    async with puppets(puppet(), puppet("b")) as system:
        with pytest.raises(ActorCrashed):
            await ask(system.ref("a"), cancel_myself, way)
        assert await system.ref("a").ask(life) == 2
        assert await system.ref("b").ask(life) == 1


# The current task


@both_ways
async def test_a_handler_has_a_task_of_its_own(way: str) -> None:
    """`current_task()` is never the asker's, and the same before and after every suspension."""
    me = asyncio.current_task()

    async def look(_: Puppet) -> list[asyncio.Task[Any] | None]:
        seen = [asyncio.current_task()]
        for pause in (0, 0, 1):
            await asyncio.sleep(pause)
            seen.append(asyncio.current_task())
        return seen

    async with puppets() as system:
        seen = await ask(system.ref("a"), look, way)
        assert asyncio.current_task() is me
    assert len(set(seen)) == 1
    assert seen[0] is not None
    assert seen[0] is not me


async def test_nested_asks_have_a_task_each() -> None:
    """Three handlers on one stack are three tasks, before and after they suspend."""
    seen: list[asyncio.Task[Any] | None] = []

    async def look(_: Puppet) -> None:
        seen.append(asyncio.current_task())
        await asyncio.sleep(1)
        seen.append(asyncio.current_task())

    async def pass_on(actor: Puppet) -> None:
        seen.append(asyncio.current_task())
        await actor.ctx.system.ref("c").ask(look)
        seen.append(asyncio.current_task())

    async def begin(actor: Puppet) -> None:
        seen.append(asyncio.current_task())
        await actor.ctx.system.ref("b").ask(pass_on)
        seen.append(asyncio.current_task())

    async with puppets(puppet("a"), puppet("b"), puppet("c")) as system:
        await system.ref("a").ask(begin)
        assert asyncio.current_task() not in seen
    assert seen[:3] == seen[:2:-1]
    assert len(set(seen)) == 3


async def test_a_task_that_somebody_kept_is_nobody_elses() -> None:
    """Cancelling the task of a handler that is long done does not hit the handlers after it."""

    async def give_task(_: Puppet) -> asyncio.Task[Any] | None:
        return asyncio.current_task()

    async def nap(_: Puppet) -> str:
        await asyncio.sleep(1)
        return "slept"

    async with puppets(puppet(), puppet("b")) as system:
        for _ in range(3):
            task = await system.ref("a").ask(give_task)
            assert task is not None
            napping = asyncio.create_task(system.ref("b").ask(nap))
            await asyncio.sleep(0.5)
            task.cancel()
            assert await napping == "slept"
            assert await system.ref("a").ask(life) == 1


async def test_cancelling_every_task_of_the_loop_leaves_actors_that_work() -> None:
    """Whoever cancels all there is cancels handlers in hand, and nothing that stands by for the next one."""
    async with puppets() as system:
        ref = system.ref("a")
        me = asyncio.current_task()
        for _ in range(5):
            await ref.ask("one")
            for task in asyncio.all_tasks():
                if task is not me:
                    task.cancel()
            assert await ref.ask("two") == "two"
            await asyncio.sleep(0)


async def test_a_task_that_was_cancelled_for_one_handler_is_not_used_for_another() -> None:
    """A handler may cancel its own task and return before that takes effect: nobody who comes later is cancelled."""

    async def cancel_myself(_: Puppet) -> str:
        task = asyncio.current_task()
        assert task is not None
        task.cancel()
        return "done"

    async def nap(_: Puppet) -> str:
        await asyncio.sleep(0.1)
        return "slept"

    async with puppets(puppet(), puppet("b")) as system:
        a, b = system.ref("a"), system.ref("b")
        for make_ready in ("nobody stands by", "somebody does"):
            assert await a.ask(cancel_myself) == "done", make_ready
            assert await b.ask(nap) == "slept"
        assert await a.ask(cancel_myself) == "done"
        await asyncio.sleep(1)  # the task ends meanwhile, and nobody must get a task that has ended
        assert await b.ask(lambda _: _stdlib_timeout()) == "timeout"
        assert (await a.ask(life), await b.ask(life)) == (1, 1)


@pytest.mark.parametrize("turns", [0, 1, 5])
async def test_tasks_that_stand_by_and_are_cancelled_are_replaced(turns: int) -> None:
    """Whoever cancels all there is: a timeout in the next handler works, and that handler is not cancelled."""

    async def suspended_together(ref: ActorRef[Any]) -> None:
        await asyncio.gather(*(ref.ask(lambda _: _stdlib_timeout()) for _ in range(2)))

    async with puppets(puppet(), puppet("b"), puppet("c")) as system:
        refs = [system.ref(name) for name in "abc"]
        await asyncio.gather(*map(suspended_together, refs))
        for task in asyncio.all_tasks():
            if task is not asyncio.current_task():
                task.cancel()
        for _ in range(turns):
            await asyncio.sleep(0)
        assert await refs[0].ask(lambda _: _stdlib_timeout()) == "timeout"
        await asyncio.gather(*map(suspended_together, refs))
        assert [await ref.ask(life) for ref in refs] == [1, 1, 1]


async def test_a_handler_never_runs_under_the_name_of_another_actor() -> None:
    """Log records show the task's name, before the handler suspends too."""

    async def name(_: Puppet) -> str:
        task = asyncio.current_task()
        assert task is not None
        return task.get_name()

    async def late_name(actor: Puppet) -> str:
        await asyncio.sleep(0.1)
        return await name(actor)

    async with puppets(puppet(), puppet("b")) as system:
        assert await system.ref("a").ask(late_name) == "a#1"
        assert "a#1" not in await system.ref("b").ask(name)


async def _stdlib_timeout() -> str:
    try:
        async with asyncio.timeout(1):
            await asyncio.sleep(100)
    except TimeoutError:
        return "timeout"
    return "no timeout"


async def _stdlib_wait_for() -> str:
    try:
        await asyncio.wait_for(asyncio.sleep(100), 1)
    except TimeoutError:
        return "timeout"
    return "no timeout"


async def _timeout_not_reached() -> str:
    async with asyncio.timeout(100):
        await asyncio.sleep(0.1)
    return "timeout"


async def _task_group() -> str:
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(asyncio.sleep(n, n)) for n in (1, 2)]
    return "timeout" if [task.result() for task in tasks] == [1, 2] else "wrong"


async def _failing_task_group() -> str:
    async def fail() -> None:
        await asyncio.sleep(0.5)
        raise ValueError

    try:
        async with asyncio.TaskGroup() as group:
            group.create_task(fail())
            await asyncio.sleep(100)
    except ExceptionGroup as errors:
        return "timeout" if errors.subgroup(ValueError) else "wrong"
    return "wrong"


async def _anyio_fail_after() -> str:
    anyio = pytest.importorskip("anyio")
    try:
        with anyio.fail_after(1):
            await asyncio.sleep(100)
    except TimeoutError:
        return "timeout"
    return "no timeout"


async def _anyio_move_on_after() -> str:
    anyio = pytest.importorskip("anyio")
    with anyio.move_on_after(1) as scope:
        await anyio.sleep(100)
    return "timeout" if scope.cancelled_caught else "no timeout"


async def _anyio_task_group() -> str:
    anyio = pytest.importorskip("anyio")
    async with anyio.create_task_group() as group:
        group.start_soon(anyio.sleep, 1)
        await anyio.sleep(0.5)
        group.cancel_scope.cancel()
    return "timeout"


@both_ways
@pytest.mark.parametrize("has_suspended", [False, True])
@pytest.mark.parametrize(
    "tool",
    [
        _stdlib_timeout,
        _stdlib_wait_for,
        _timeout_not_reached,
        _task_group,
        _failing_task_group,
        _anyio_fail_after,
        _anyio_move_on_after,
        _anyio_task_group,
    ],
    ids=lambda tool: tool.__name__.strip("_"),
)
async def test_timeouts_and_task_groups_work_in_a_handler(
    way: str, has_suspended: bool, tool: Callable[[], Awaitable[str]]
) -> None:
    """What cancels and uncancels the current task works in a handler, in its first step and in later ones."""

    async def use(_: Puppet) -> str:
        if has_suspended:
            await asyncio.sleep(0.1)
        return await tool()

    async with puppets() as system:
        for _ in range(3):
            assert await ask(system.ref("a"), use, way, timeout=50) == "timeout"
        assert await system.ref("a").ask(life) == 1


async def test_a_timeout_around_an_ask_ends_the_ask_and_not_the_handler() -> None:
    """The asker's own `asyncio.timeout` is the asker's alone."""

    async def slow(actor: Puppet) -> None:
        await asyncio.sleep(3)
        actor.kept.append("finished")

    async with puppets() as system:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(1):
                await system.ref("a").ask(slow)
        assert await system.ref("a").ask(kept) == ["finished"]


# Context variables


@both_ways
async def test_context_variables_stay_on_their_side(way: str) -> None:
    """The handler sees its incarnation's variables, not the asker's; what it sets, the asker does not see."""

    async def use(_: Puppet) -> str:
        before = VAR.get()
        VAR.set("handler")
        await asyncio.sleep(0)
        return before

    async def read(_: Puppet) -> str:
        return VAR.get()

    async with puppets() as system:
        ref = system.ref("a")
        VAR.set("asker")
        assert await ask(ref, use, way) == "unset"
        assert VAR.get() == "asker"
        assert await ask(ref, read, way) == "handler"
        ref.kill()
        await asyncio.sleep(0.1)
        assert await ask(ref, read, way) == "unset"
        assert VAR.get() == "asker"


async def test_context_variables_of_nested_asks_do_not_mix() -> None:
    """Each actor on the stack has its own, and gets it back when the inner handler is done."""

    async def inner(_: Puppet) -> str:
        before = VAR.get()
        VAR.set("inner")
        return before

    async def outer(actor: Puppet) -> list[str]:
        VAR.set("outer")
        seen = [await actor.ctx.system.ref("b").ask(inner), VAR.get()]
        await asyncio.sleep(0)
        return [*seen, VAR.get(), await actor.ctx.system.ref("b").ask(inner)]

    async with puppets(puppet(), puppet("b")) as system:
        assert await system.ref("a").ask(outer) == ["unset", "outer", "outer", "inner"]


# Depth and fairness


async def test_a_chain_of_five_thousand_asks_ends() -> None:
    """Each actor asks the next: no depth of asking exceeds the stack."""
    length = 5000

    def handler(index: int) -> Work:
        async def pass_on(actor: Puppet) -> int:
            if index == length:
                return 0
            return 1 + int(await actor.ctx.system.ref(f"a{index}").ask(handler(index + 1), timeout=60))

        return pass_on

    async with puppets(*[puppet(f"a{index}") for index in range(length)]) as system:
        assert await system.ref("a0").ask(handler(1), timeout=60) == length - 1


async def test_a_ring_through_tasks_ends_by_its_deadline() -> None:
    """A ring that only the tasks beside the handlers close is not seen; the deadline ends it."""

    async def ask_back(actor: Puppet) -> str:
        async def through_a_task() -> object:
            return await actor.ctx.system.ref("a").ask(life, timeout=3)

        with pytest.raises(AskTimeout):
            await asyncio.gather(through_a_task())
        return "ended"

    async def ask_on(actor: Puppet) -> object:
        return await actor.ctx.system.ref("b").ask(ask_back, timeout=10)

    async with puppets(puppet(), puppet("b")) as system:
        assert await system.ref("a").ask(ask_on, timeout=20) == "ended"


async def test_asking_without_end_leaves_the_loop_to_others() -> None:
    """A bounded number of asks runs in one turn of the loop: other tasks and actors have their turns meanwhile."""
    loop = asyncio.get_running_loop()
    turns, asks = 0, 0
    done = False

    def count_turn() -> None:
        nonlocal turns
        turns += 1
        if not done:
            loop.call_soon(count_turn)

    async def ask_on_and_on(ref: ActorRef[Any]) -> None:
        nonlocal asks
        while True:
            await ref.ask("again")
            asks += 1

    async with puppets(puppet(), puppet("b")) as system:
        asking = asyncio.create_task(ask_on_and_on(system.ref("a")))
        loop.call_soon(count_turn)
        for told in range(20):
            system.ref("b").tell(told)
            await asyncio.sleep(0)
        assert await system.ref("b").ask(kept) == list(range(20))
        for _ in range(50):
            await asyncio.sleep(0)
        done = True
        asking.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await asking
    assert turns >= 50
    assert 0 < asks <= 300 * turns


@pytest.mark.real_time
async def test_timers_come_while_a_task_asks_without_end() -> None:
    """Real time: a timer of 20 ms is not starved by asks that never suspend."""
    loop = asyncio.get_running_loop()

    async def ask_on_and_on(ref: ActorRef[Any]) -> None:
        while True:
            await ref.ask("again")

    async with puppets() as system:
        asking = asyncio.create_task(ask_on_and_on(system.ref("a")))
        begun = loop.time()
        await asyncio.sleep(0.02)
        assert loop.time() - begun < 1.0
        asking.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await asking


# Order


async def test_an_ask_does_not_overtake_queued_mail() -> None:
    """What was told before is handled before, also what others told and what a handler told itself."""

    async def tell_myself(actor: Puppet) -> None:
        actor.ctx.ref.tell("from myself")

    async with puppets() as system:
        ref = system.ref("a")
        for n in range(10):
            ref.tell(n)
            assert await ref.ask(f"asked {n}") == f"asked {n}"
        await ref.ask(tell_myself)
        await ref.ask("last")
        expected: list[Any] = [each for n in range(10) for each in (n, f"asked {n}")]
        assert await ref.ask(kept) == [*expected, "from myself", "last"]


async def test_the_high_lane_goes_before_asks_that_wait() -> None:
    """An ask that has to wait is overtaken by the HIGH lane, and one in the HIGH lane overtakes what was told."""
    async with puppets() as system:
        ref = system.ref("a")
        ref.tell("normal")
        asking = asyncio.create_task(ref.ask("asked"))
        high = asyncio.create_task(ref.ask("asked high", lane=Lane.HIGH))
        await asyncio.sleep(0)
        ref.tell("high", lane=Lane.HIGH)
        await asyncio.gather(asking, high)
        seen = await ref.ask(kept)
        assert set(seen) == {"normal", "asked", "asked high", "high"}
        assert seen.index("asked high") < seen.index("high")
        assert seen.index("normal") < seen.index("asked")


async def test_an_ask_does_not_overtake_senders_that_wait_for_room() -> None:
    """Who waits for room was first; the ask takes its place behind them."""

    async def nap(_: Puppet) -> None:
        await asyncio.sleep(1)

    async with puppets(puppet(mailbox=Mailbox(capacity=1))) as system:
        ref = system.ref("a")
        ref.tell(nap)
        await asyncio.sleep(0.1)
        ref.tell("queued")
        sending = [asyncio.create_task(ref.send(f"sent {n}")) for n in range(3)]
        await asyncio.sleep(0.1)
        assert await ref.ask(kept) == ["queued", "sent 0", "sent 1", "sent 2"]
        await asyncio.gather(*sending)


async def test_a_handler_is_never_entered_twice() -> None:
    """While a handler is suspended, or has called out on the same stack, the next request waits."""
    inside: list[str] = []

    async def alone(actor: Puppet, name: str = "alone") -> None:
        assert not inside
        inside.append(name)
        await actor.ctx.system.ref("b").ask("call out")
        await asyncio.sleep(1)
        inside.remove(name)

    async with puppets(puppet(), puppet("b")) as system:
        await asyncio.gather(*[system.ref("a").ask(alone, timeout=20) for _ in range(5)])
        assert system.ref("a").incarnation == 1
