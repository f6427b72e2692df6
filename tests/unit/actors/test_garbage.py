"""What an actor leaves for the garbage collector: nothing, because collecting the traces of a storm stops the loop."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import weakref
from collections.abc import Iterator

import pytest

from bifrost.actors import Actor, ActorSystem, ChildSpec, DynamicSupervisor
from bifrost.errors import ActorCrashed


@pytest.fixture
def no_collector() -> Iterator[None]:
    """Leave everything to reference counts."""
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


class Doomed(Actor[str]):
    """Does what it is told, and leaves a weak reference of itself."""

    def __init__(self, lives: list[weakref.ref[Doomed]]) -> None:
        lives.append(weakref.ref(self))

    async def receive(self, message: str) -> str:
        if message == "sleep and crash":
            await asyncio.sleep(0.01)
        if message.endswith("crash"):
            raise ValueError(message)
        if message == "stop":
            self.ctx.stop()
        return message


async def end(system: ActorSystem, how: str) -> None:
    """Let one life end."""
    ref = system.ref("crowd/doomed")
    life = ref.incarnation
    if how == "kill":
        await ref.ask("hello")
        ref.kill()
    elif how.startswith("ask: "):
        with contextlib.suppress(ActorCrashed):
            await ref.ask(how.removeprefix("ask: "))
    elif how.startswith("queued ask: "):
        ref.tell("hello")
        with contextlib.suppress(ActorCrashed):
            await ref.ask(how.removeprefix("queued ask: "))
    else:
        ref.tell(how)
    async with asyncio.timeout(5.0):
        while ref.incarnation == life:  # noqa: ASYNC110 - virtual time; there is no event for it without a subscriber
            await asyncio.sleep(0.01)
        await ref.wait_running()


@pytest.mark.usefixtures("no_collector")
@pytest.mark.parametrize(
    "how", ["crash", "ask: crash", "queued ask: crash", "sleep and crash", "ask: sleep and crash", "stop", "kill"]
)
@pytest.mark.parametrize("tapped", [False, True])
async def test_a_life_that_has_ended_is_freed_without_the_collector(
    how: str, tapped: bool, caplog: pytest.LogCaptureFixture
) -> None:
    """Only the latest crash may hold its instance, by the traceback that the cell keeps; those before are gone."""
    caplog.set_level(logging.CRITICAL)  # captured records hold exceptions, and these hold everything
    lives: list[weakref.ref[Doomed]] = []
    async with ActorSystem("s", [DynamicSupervisor.spec("crowd", intensity=100)]) as system:
        await system.supervisor("crowd").start_child(ChildSpec(id="doomed", start=Doomed, args=(lives,)))
        with system.trace("crowd/doomed", keep=5) if tapped else contextlib.nullcontext():
            for _ in range(5):
                await end(system, how)
        assert len(lives) == 6
        left = [number for number, life in enumerate(lives, 1) if life() is not None]
        assert 6 in left
        assert set(left) <= {5, 6}


@pytest.mark.usefixtures("no_collector")
async def test_an_actor_that_was_terminated_is_freed_without_the_collector() -> None:
    """Its instance is gone as soon as it has stopped, though its ref is still held."""
    lives: list[weakref.ref[Doomed]] = []
    async with ActorSystem("s", [DynamicSupervisor.spec("crowd")]) as system:
        crowd = system.supervisor("crowd")
        ref = await crowd.start_child(ChildSpec(id="doomed", start=Doomed, args=(lives,)))
        assert await ref.ask("hello") == "hello"
        await crowd.terminate_child("doomed")
        assert [life() for life in lives] == [None]
