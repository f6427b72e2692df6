"""An ask of an idle actor runs its handler at once, on the asker's stack. Nobody may be able to tell.

Each promise is shown twice where it matters: for an actor that is idle, and for one whose mailbox the request must
wait in. What is specific to one of the two says so.
"""

from __future__ import annotations

import asyncio
import contextlib
import traceback
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from contextvars import ContextVar
from typing import Any

import pytest

from bifrost.actors import (
    Actor,
    ActorRef,
    ActorState,
    ActorSystem,
    Backoff,
    ChildSpec,
    DynamicSupervisor,
    Lane,
    Mailbox,
    Normal,
    OnExhausted,
    Restart,
    SupervisorRef,
)
from bifrost.actors.events import ActorCrashed as CrashEvent
from bifrost.errors import ActorCrashed, ActorStopped, AskTimeout

Work = Callable[["Puppet"], Awaitable[object]]

VAR: ContextVar[str] = ContextVar("var", default="unset")

both_ways = pytest.mark.parametrize("way", ["idle", "queued"])


class Puppet(Actor[Any]):
    """Awaits what it is sent, with itself as the argument; keeps everything else."""

    def __init__(self, on_start: Work | None = None, on_stop: Work | None = None) -> None:
        self._on_start = on_start
        self._on_stop = on_stop
        self.kept: list[Any] = []

    async def on_start(self) -> None:
        if self._on_start is not None:
            await self._on_start(self)

    async def on_stop(self, reason: object) -> None:
        if self._on_stop is not None:
            await self._on_stop(self)

    async def receive(self, message: Any) -> object:
        if callable(message):
            return await message(self)
        self.kept.append(message)
        return message


def puppet(name: str = "a", **fields: Any) -> ChildSpec:
    return ChildSpec(id=name, start=Puppet, **fields)


@asynccontextmanager
async def puppets(*specs: ChildSpec) -> AsyncIterator[ActorSystem]:
    async with ActorSystem("s", specs or [puppet()], intensity=100) as system:
        yield system


async def ask(ref: ActorRef[Any], work: Any, way: str, *, timeout: float = 5.0) -> Any:
    """Ask an idle actor, or one that has a message before this one."""
    if way == "queued":
        ref.tell("first")
    return await ref.ask(work, timeout=timeout)


async def kept(actor: Puppet) -> list[Any]:
    return list(actor.kept)


async def life(actor: Puppet) -> int:
    return actor.ctx.incarnation


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
    way: str, by_an_actor: bool, suspends: bool, kind: type[BaseException]
) -> None:
    """`SystemExit` and `KeyboardInterrupt` in a handler end the host's run, whoever asked; they are no crash."""
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
