"""`ActorRef.kill`: what an operator or a test does to an actor, and what the supervisor makes of it."""

from __future__ import annotations

import asyncio

import pytest

from bifrost.actors import (
    INFINITY,
    Actor,
    ActorState,
    ActorSystem,
    ChildSpec,
    ExitReason,
    Killed,
    Restart,
    Strategy,
    Supervisor,
)
from bifrost.errors import ActorCrashed, ActorStopped


class Sleeper(Actor[str]):
    """Sleeps when told to; notes why it ended."""

    def __init__(self, reasons: list[ExitReason]) -> None:
        self._reasons = reasons

    async def receive(self, message: str) -> str:
        if message == "sleep":
            await asyncio.sleep(3600)
        return message

    async def on_stop(self, reason: ExitReason) -> None:
        self._reasons.append(reason)


async def test_a_killed_actor_is_restarted_and_its_stop_hook_knows_why() -> None:
    """A kill ends the incarnation with `Killed`, which is abnormal, so the supervisor starts the next one."""
    reasons: list[ExitReason] = []
    async with ActorSystem("s", [ChildSpec(id="a", start=Sleeper, args=(reasons,))]) as system:
        ref = system.ref("a")
        ref.kill()
        await asyncio.sleep(0.1)
        await ref.wait_running()
        assert ref.incarnation == 2
        assert await ref.ask("hello") == "hello"
        assert [type(reason) for reason in reasons] == [Killed]


async def test_a_kill_cancels_the_handler_and_fails_its_ask() -> None:
    """The request in hand is answered with `ActorCrashed`; a request that waits is handled by the next incarnation."""
    async with ActorSystem("s", [ChildSpec(id="a", start=Sleeper, args=([],))]) as system:
        ref = system.ref("a")
        asleep = asyncio.create_task(ref.ask("sleep"))
        waiting = asyncio.create_task(ref.ask("next"))
        await asyncio.sleep(0.01)
        ref.kill()
        with pytest.raises(ActorCrashed, match=r"^a ended while it handled the request: killed$") as told:
            await asleep
        assert isinstance(told.value.cause, ActorStopped)
        assert await waiting == "next"


async def test_killing_a_temporary_actor_ends_it_and_killing_it_again_does_nothing() -> None:
    """A temporary actor is not restarted; a second kill is ignored."""
    spec = ChildSpec(id="a", start=Sleeper, args=([],), restart=Restart.TEMPORARY)
    async with ActorSystem("s", [spec]) as system:
        ref = system.ref("a")
        ref.kill()
        await asyncio.sleep(0.1)
        assert ref.state is ActorState.STOPPED
        ref.kill()
        await asyncio.sleep(0.1)
        assert ref.incarnation == 1


async def test_killing_a_supervisor_restarts_its_whole_branch() -> None:
    """The branch ends and comes back under the same refs, and its siblings do not notice."""
    branch = Supervisor.spec("branch", [ChildSpec(id="a", start=Sleeper, args=([],))], strategy=Strategy.ONE_FOR_ONE)
    sibling = ChildSpec(id="sibling", start=Sleeper, args=([],))
    async with ActorSystem("s", [branch, sibling]) as system:
        inner = system.ref("branch/a")
        system.ref("branch").kill()
        await asyncio.sleep(0.1)
        await inner.wait_running()
        assert inner.incarnation == 2
        assert system.ref("sibling").incarnation == 1
        assert await inner.ask("hello") == "hello"


@pytest.mark.parametrize("drain", [False, True])
async def test_a_kill_ends_an_orderly_stop_that_waits(*, drain: bool) -> None:
    """Whoever cannot wait for a handler with all the time in the world can kill the actor that is being stopped."""
    loop = asyncio.get_running_loop()
    reasons: list[ExitReason] = []
    async with ActorSystem() as system:
        spec = ChildSpec(id="a", start=Sleeper, args=(reasons,), shutdown=INFINITY, drain=drain)
        ref = await system.start_child(spec)
        for _ in range(3):
            ref.tell("sleep")
        await asyncio.sleep(0.1)
        stopping = asyncio.create_task(system.root.terminate_child("a", timeout=None))
        await asyncio.sleep(10)
        begun = loop.time()
        ref.kill()
        await stopping
        assert loop.time() - begun < 1
        assert reasons == [Killed()]
