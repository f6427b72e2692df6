"""Random messages, crashes, stops and hot adds on a running system in virtual time: what always holds."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import Counter
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from bifrost.actors import (
    Actor,
    ActorSystem,
    Backoff,
    ChildSpec,
    DynamicSupervisor,
    ExitReason,
    IntensityScope,
    Mailbox,
    MemorySpecStore,
    OnExhausted,
    Restart,
    Strategy,
    Supervisor,
)
from bifrost.errors import ActorError, SupervisorGaveUp
from bifrost.testing import VirtualLoop

PATHS = ["a", "s/b", "s/c", "d/x", "d/y"]


class World:
    """What the actors of one run saw."""

    def __init__(self) -> None:
        self.alive: Counter[str] = Counter()
        self.handled: list[tuple[str, int]] = []
        self.overlapped: list[str] = []
        self.unanswered = 0


class Subject(Actor[Any]):
    """Handles (number, what): sleeps, raises, stops itself or does nothing."""

    def __init__(self, world: World) -> None:
        self.world = world

    async def on_start(self) -> None:
        self.world.alive[self.ctx.path] += 1
        if self.world.alive[self.ctx.path] != 1:
            self.world.overlapped.append(self.ctx.path)
        self.ctx.spawn_task(asyncio.sleep(10_000))
        self.ctx.timers.every("tick", 7, (-1, "nothing"))

    async def receive(self, message: Any) -> object:
        number, what = message
        if number >= 0:
            self.world.handled.append((self.ctx.path, number))
        if what == "sleep":
            await asyncio.sleep(3)
        elif what == "crash":
            raise RuntimeError("told to")
        elif what == "stop":
            self.ctx.stop()
        elif what == "task":
            self.ctx.spawn_task(self.fail_later())
        return number

    async def fail_later(self) -> None:
        await asyncio.sleep(1)
        raise RuntimeError("a task failed")

    async def on_stop(self, reason: ExitReason) -> None:
        await asyncio.sleep(0.5)
        self.world.alive[self.ctx.path] -= 1


OPERATIONS = st.one_of(
    st.tuples(
        st.sampled_from(["tell", "ask", "send"]),
        st.sampled_from(PATHS),
        st.sampled_from(["nothing", "nothing", "sleep", "crash", "stop", "task"]),
    ),
    st.tuples(st.just("wait"), st.just(""), st.sampled_from([0.0, 0.4, 2.0, 20.0])),
    st.tuples(
        st.sampled_from(["terminate", "hold", "restart", "delete", "add", "replace", "spoil", "change"]),
        st.sampled_from(PATHS),
        st.just(""),
    ),
)


def tree(world: World, strategy: Strategy, intensity: int) -> list[ChildSpec]:
    def subject(child_id: str, **options: Any) -> ChildSpec:
        return ChildSpec(id=child_id, start=Subject, args=(world,), mailbox=Mailbox(capacity=3), **options)

    return [
        subject("a", backoff=Backoff(min=1, max=4)),
        Supervisor.spec(
            "s",
            [subject("b", drain=True), subject("c", restart=Restart.TRANSIENT, shutdown=1.0)],
            strategy=strategy,
            intensity=intensity,
        ),
        DynamicSupervisor.spec(
            "d", intensity_scope=IntensityScope.CHILD, on_exhausted=OnExhausted.PARK, store=MemorySpecStore()
        ),
    ]


class Script:
    """Runs random operations against one system."""

    def __init__(self, system: ActorSystem, world: World) -> None:
        self.system = system
        self.world = world
        self.pending: list[asyncio.Task[Any]] = []

    async def run(self, operations: list[tuple[Any, Any, Any]]) -> None:
        for number, (verb, path, what) in enumerate(operations):
            if verb == "wait":
                await asyncio.sleep(what)
            elif verb in ("tell", "ask", "send"):
                with contextlib.suppress(ActorError):
                    await self.speak(verb, path, (number, what))
            else:
                self.pending.append(asyncio.create_task(self.administer(verb, path)))

    async def speak(self, verb: str, path: str, message: Any) -> None:
        ref = self.system.ref(path)
        if verb == "tell":
            ref.tell(message)
        elif verb == "send":
            await ref.send(message, timeout=30)
        else:
            self.pending.append(asyncio.create_task(self.ask(path, message)))
            await asyncio.sleep(0)

    async def ask(self, path: str, message: Any) -> None:
        self.world.unanswered += 1
        with contextlib.suppress(ActorError):
            assert await self.system.ref(path).ask(message, timeout=30) == message[0]
        self.world.unanswered -= 1

    async def administer(self, verb: str, path: str) -> None:
        above, _, child_id = path.rpartition("/")
        spec = ChildSpec(id=child_id, start=Subject, args=(self.world,), mailbox=Mailbox(capacity=3))
        with contextlib.suppress(ActorError):
            supervisor = self.system.supervisor(above) if above else self.system.root
            if verb in ("terminate", "hold"):
                await supervisor.terminate_child(child_id, hold=verb == "hold")
            elif verb == "replace":
                await supervisor.replace_child(spec)
            elif verb == "spoil":
                await supervisor.replace_child(ChildSpec(id=child_id, start=lambda: "no actor"))
            elif verb == "change":
                await supervisor.change([spec])
            elif verb == "restart":
                await supervisor.restart_child(child_id)
            elif verb == "delete":
                await supervisor.delete_child(child_id)
            else:
                await supervisor.start_child(spec)


async def run_script(operations: list[tuple[Any, Any, Any]], strategy: Strategy, intensity: int) -> World:
    world = World()
    system = ActorSystem("root", tree(world, strategy, intensity), intensity=intensity, seed=1)
    script = Script(system, world)
    with contextlib.suppress(SupervisorGaveUp):
        async with system:
            await script.run(operations)
            await asyncio.sleep(1)
            report = await system.stop()
            assert report.clean
    await asyncio.sleep(60)  # every deadline has passed by now
    for task in script.pending:
        assert task.done()
        task.result()
    assert asyncio.all_tasks() == {asyncio.current_task()}
    return world


@given(
    script=st.lists(OPERATIONS, max_size=40),
    strategy=st.sampled_from(list(Strategy)),
    intensity=st.integers(0, 5),
)
@settings(max_examples=120, deadline=None)
def test_a_random_life_keeps_the_guarantees(
    script: list[tuple[Any, Any, Any]], strategy: Strategy, intensity: int
) -> None:
    """No message is handled twice or out of order, incarnations never overlap, every ask ends, nothing is left."""
    logging.getLogger("bifrost.actors").setLevel(logging.CRITICAL)
    try:
        with asyncio.Runner(loop_factory=VirtualLoop) as runner:
            world = runner.run(run_script(script, strategy, intensity))
    finally:
        logging.getLogger("bifrost.actors").setLevel(logging.NOTSET)
    assert not world.overlapped
    for path in PATHS:
        numbers = [number for where, number in world.handled if where == path]
        assert numbers == sorted(set(numbers))
    assert world.unanswered == 0
    assert not +world.alive
