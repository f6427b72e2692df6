"""Asks that could never be answered fail at once, and those that could do not."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from bifrost.actors import Actor, ActorRef, ActorSystem, ChildSpec, ExitReason
from bifrost.errors import ActorCrashed, AskCycle


class Peer(Actor[Any]):
    """Asks along the way that the message names; ("via", task) asks in a task beside the handler."""

    def __init__(self, on_start: Any = None, on_stop: Any = None) -> None:
        self.to_ask = on_start
        self.at_end = on_stop
        self.caught: list[AskCycle] = []

    async def on_start(self) -> None:
        if self.to_ask is not None:
            await self.to_ask(self)

    async def on_stop(self, reason: ExitReason) -> None:
        if self.at_end is not None:
            await self.at_end(self)

    async def receive(self, message: Any) -> object:
        match message:
            case ("ask", [ActorRef() as ref, *rest]):
                await asyncio.sleep(0.1)
                return await ref.ask(("ask", rest), timeout=50)
            case ("ask at once", [ActorRef() as ref, *rest]):
                return await ref.ask(("ask at once", rest), timeout=50)
            case ("catch", [ActorRef() as ref, *rest]):
                await asyncio.sleep(0.1)
                try:
                    return await ref.ask(("ask", rest), timeout=50)
                except AskCycle as error:
                    self.caught.append(error)
                    return error.paths
            case ("beside", ref):
                task = self.ctx.spawn_task(ref.ask(("ask", []), timeout=3))
                task.add_done_callback(lambda _: None)
                return "started"
            case ("for", seconds):
                await asyncio.sleep(seconds)
        return "done"


def peers(names: str) -> list[ChildSpec]:
    return [ChildSpec(id=name, start=Peer, shutdown=0.1) for name in names]


@pytest.mark.parametrize("verb", ["ask", "ask at once"])
async def test_an_actor_that_asks_itself_is_told_at_once(verb: str) -> None:
    """No deadline is waited for: the handler that asks is the one that would have to answer."""
    async with ActorSystem(children=peers("a")) as system:
        a = system.ref("a")
        with pytest.raises(ActorCrashed) as raised:
            await a.ask((verb, [a]))
        assert isinstance(raised.value.cause, AskCycle)
        assert raised.value.cause.paths == ("a",)
        assert "a asks itself" in str(raised.value.cause)
        assert asyncio.get_running_loop().time() < 1


@pytest.mark.parametrize("verb", ["ask", "ask at once"])
@pytest.mark.parametrize("names", ["ab", "abc", "abcdefgh"])
async def test_the_ask_that_closes_a_ring_fails_at_once(verb: str, names: str) -> None:
    """Whether the handlers have suspended or run on each other's stack; the error names the ring."""
    async with ActorSystem(children=peers(names)) as system:
        refs = [system.ref(name) for name in names]
        with pytest.raises(ActorCrashed) as raised:
            await refs[0].ask((verb, [*refs[1:], refs[0]]), timeout=50)
        cause: BaseException | None = raised.value
        while isinstance(cause, ActorCrashed):
            cause = cause.cause
        assert isinstance(cause, AskCycle)
        assert sorted(cause.paths) == sorted(names)
        assert "waits for the answer of" in str(cause)
        assert asyncio.get_running_loop().time() < len(names)


async def test_the_others_in_the_ring_go_on() -> None:
    """Who closes the ring may catch the error; everybody else gets an answer, and all is as before."""
    async with ActorSystem(children=peers("abc")) as system:
        a, b, c = (system.ref(name) for name in "abc")
        first = asyncio.create_task(a.ask(("ask", [b]), timeout=50))
        second = asyncio.create_task(b.ask(("catch", [a]), timeout=50))
        assert await second in (("b", "a"), "done")
        assert await first == "done"
        assert await a.ask(("ask", [c, b])) == "done"


async def test_a_ring_from_on_start_fails_the_start() -> None:
    """An actor that asks itself in on_start could wait until its start_timeout; it is told at once."""

    async def ask_itself(actor: Peer) -> None:
        await actor.ctx.ref.ask("hello", timeout=50)

    async with ActorSystem() as system:
        with pytest.raises(Exception, match="a asks itself"):
            await system.start_child(ChildSpec(id="a", start=Peer, args=(ask_itself,)))
        assert asyncio.get_running_loop().time() == 0


async def test_a_task_beside_the_handler_may_ask_its_own_actor() -> None:
    """The handler is free, so the answer comes."""
    async with ActorSystem(children=peers("ab")) as system:
        a, b = system.ref("a"), system.ref("b")
        assert await a.ask(("beside", a)) == "started"
        await asyncio.sleep(1)
        assert await a.ask("still there") == "done"
        assert await b.ask(("beside", a)) == "started"


async def test_asking_a_busy_actor_is_no_ring() -> None:
    """A chain of waits that ends in something else is waited for."""
    async with ActorSystem(children=peers("abc")) as system:
        a, b, c = (system.ref(name) for name in "abc")
        c.tell(("for", 2))
        b.tell(("ask", [c]))
        assert await a.ask(("ask", [b])) == "done"
        assert asyncio.get_running_loop().time() >= 2


async def test_an_ask_that_has_ended_leaves_no_trace() -> None:
    """After an answer, an error or a deadline the next ask the other way is no ring."""
    async with ActorSystem(children=peers("ab")) as system:
        a, b = system.ref("a"), system.ref("b")
        b.tell(("for", 60))
        a.tell(("ask", [b]))
        await asyncio.sleep(65)
        assert str(system.explain("a").last_crash) == "AskTimeout: b: no answer in 50 s; it may still act"
        assert await b.ask(("ask", [a])) == "done"
        assert await a.ask(("ask", [b])) == "done"
        with pytest.raises(ActorCrashed):
            await a.ask(("ask", [b, a]))
        await a.wait_running()
        assert await b.ask(("ask", [a])) == "done"


async def test_an_actor_that_asks_itself_in_on_stop_is_explained() -> None:
    """Its mail waits for the next incarnation, which waits for this one to stop: `shutdown` ends that."""

    async def ask_itself(actor: Peer) -> None:
        await actor.ctx.ref.ask("hello", timeout=50)

    spec = ChildSpec(id="a", start=Peer, args=(None, ask_itself), shutdown=2.0)
    async with ActorSystem(children=[spec]) as system:
        system.ref("a").kill()
        await asyncio.sleep(1)
        found = system.explain("a")
        assert found.waits == ("a waits for the answer of a",)
        assert found.is_ring
        await system.ref("a").wait_running()
        assert asyncio.get_running_loop().time() < 5


async def test_actors_of_two_systems_can_form_a_ring_too() -> None:
    """Systems that share a loop may ask each other; the ring is found across them."""
    async with ActorSystem("one", peers("a")) as one, ActorSystem("two", peers("b")) as two:
        a, b = one.ref("a"), two.ref("b")
        with pytest.raises(ActorCrashed) as raised:
            await a.ask(("ask", [b, a]), timeout=50)
        assert "AskCycle" in str(raised.value)
        assert asyncio.get_running_loop().time() < 1


async def test_an_ask_that_is_refused_leaves_no_wait_behind() -> None:
    """A handler whose ask failed before it was queued waits for nobody, and may be asked back."""
    async with ActorSystem(children=peers("b")) as system:
        b = system.ref("b")

        class Refused(Peer):
            async def receive(self, message: Any) -> object:
                if message != "go":
                    return await super().receive(message)
                with pytest.raises(ValueError, match="seconds or None"):
                    await b.ask(("for", 0), timeout=float("nan"))
                await asyncio.sleep(1)
                return "fine"

        c = await system.start_child(ChildSpec(id="c", start=Refused))
        b.tell(("for", 0.5))
        await asyncio.sleep(0.1)
        asking = asyncio.create_task(c.ask("go"))
        await asyncio.sleep(0.1)
        assert await b.ask(("ask at once", [c])) == "done"
        assert await asking == "fine"
