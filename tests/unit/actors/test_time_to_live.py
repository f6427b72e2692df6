"""Messages that are not wanted for ever, deadlines, handlers that give up with their asker, and draining."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from bifrost.actors import INFINITY, Actor, ActorSystem, ChildSpec, Delivery, Lane, Mailbox, OnRestart, Restart
from bifrost.actors.cancellable import cancellable
from bifrost.actors.handlers import HandlingActor, handles
from bifrost.errors import ActorCrashed, AskTimeout, HandlerError


class Slow(Actor[Any]):
    """A number is slept; "crash" raises; "deadline" answers how many seconds are left."""

    def __init__(self, seen: list[Any]) -> None:
        self.seen = seen

    async def receive(self, message: Any) -> Any:
        if isinstance(message, float):
            await asyncio.sleep(message)
        elif message == "crash":
            raise ValueError(message)
        elif message == "late deadline":
            await asyncio.sleep(1)
        self.seen.append(message)
        deadline = self.ctx.deadline
        return None if deadline is None else deadline - self.ctx.clock.monotonic()


def slow(seen: list[Any], **mailbox: Any) -> ChildSpec:
    return ChildSpec(id="a", start=Slow, args=(seen,), mailbox=Mailbox(**mailbox))


async def test_an_expired_message_becomes_a_dead_letter_when_its_turn_comes() -> None:
    """Told, sent and in the HIGH lane: what is in time is handled, what is late is a dead letter `ttl`."""
    seen: list[Any] = []
    async with ActorSystem(children=[slow(seen)]) as system:
        ref = system.ref("a")
        ref.tell(5.0)
        assert ref.tell("early", ttl=10) is Delivery.ACCEPTED
        assert ref.tell("late", ttl=4) is Delivery.ACCEPTED
        ref.tell("high late", ttl=4, lane=Lane.HIGH)
        await ref.send("sent late", ttl=4)
        await ref.send("sent early", ttl=6)
        await asyncio.sleep(20)
        # The HIGH lane comes before the sleep: it is in time after all.
        assert seen == ["high late", 5.0, "early", "sent early"]
        assert [(letter.message, letter.reason) for letter in system.dead_letters.recent] == [
            ("late", "ttl"),
            ("sent late", "ttl"),
        ]


async def test_expired_messages_do_not_count_against_the_bound_after_a_restart() -> None:
    """A restart that keeps the mailbox purges what has expired, and asks whose askers are gone; the rest is kept."""
    seen: list[Any] = []

    class SlowStart(Slow):
        async def on_start(self) -> None:
            if self.ctx.incarnation > 1:
                await asyncio.sleep(1)

    spec = ChildSpec(id="a", start=SlowStart, args=(seen,), mailbox=Mailbox(capacity=4))
    async with ActorSystem(children=[spec]) as system:
        ref = system.ref("a")
        ref.tell(5.0)
        await asyncio.sleep(1)
        ref.tell("crash", lane=Lane.HIGH)
        ref.tell("late", ttl=2)
        ref.tell("early", ttl=20)
        ref.tell("plain")
        with pytest.raises(AskTimeout):
            await ref.ask("asked", timeout=1)
        await asyncio.sleep(3.5)
        snapshot = system.snapshot().find("a")
        assert snapshot is not None
        assert (snapshot.incarnation, snapshot.mailbox_depth) == (2, 2)
        await asyncio.sleep(5)
        assert seen == [5.0, "early", "plain"]
        assert system.dead_letters.counts == {"crashed": 1, "ttl": 1}


async def test_a_stashed_message_keeps_its_time_to_live() -> None:
    """What expires in the stash becomes a dead letter when it would be handled."""
    seen: list[Any] = []

    class Stashing(Slow):
        async def receive(self, message: Any) -> Any:
            if message == "unstash":
                self.ctx.become(super().receive)
                self.ctx.unstash_all()
            else:
                self.ctx.stash()

    async with ActorSystem(children=[ChildSpec(id="a", start=Stashing, args=(seen,))]) as system:
        ref = system.ref("a")
        ref.tell("late", ttl=1)
        ref.tell("early", ttl=5)
        await asyncio.sleep(2)
        ref.tell("unstash")
        await asyncio.sleep(1)
        assert seen == ["early"]
        assert system.dead_letters.counts == {"ttl": 1}


async def test_a_message_with_ttl_from_a_thread_expires_too() -> None:
    """The time runs from the call in the thread."""
    seen: list[Any] = []
    async with ActorSystem(children=[slow(seen)]) as system:
        ref = system.ref("a")
        ref.tell(5.0)
        await asyncio.to_thread(ref.tell, "late", ttl=2)
        await asyncio.to_thread(ref.tell, "early", ttl=20)
        await asyncio.sleep(10)
        assert seen == [5.0, "early"]


async def test_the_handler_knows_the_deadline_of_its_asker() -> None:
    """On the asker's stack, after a wait, from the queue, and none for a tell; with ttl its end."""
    seen: list[Any] = []
    async with ActorSystem(children=[slow(seen)]) as system:
        ref = system.ref("a")
        assert await ref.ask("deadline", timeout=7) == 7
        assert await ref.ask("deadline", timeout=None) is None
        assert await ref.ask("late deadline", timeout=7) == 6
        ref.tell(2.0)
        assert await ref.ask("deadline", timeout=7) == 5
    got: list[Any] = []

    class Told(Actor[Any]):
        async def receive(self, message: Any) -> Any:
            del message
            got.append(self.ctx.deadline)

    async with ActorSystem(children=[ChildSpec(id="a", start=Told)]) as system:
        system.ref("a").tell("x")
        await asyncio.sleep(1)
        system.ref("a").tell("x", ttl=3)
        now = asyncio.get_running_loop().time()
        await asyncio.sleep(1)
    assert got == [None, now + 3]


async def test_a_nested_ask_sees_its_own_deadline() -> None:
    """Of two asks on one stack each handler sees that of its own asker."""
    got: dict[str, float | None] = {}

    class Chain(Actor[Any]):
        async def receive(self, message: Any) -> Any:
            if message == "outer":
                await self.ctx.system.ref("b").ask("inner", timeout=2)
            deadline = self.ctx.deadline
            got[message] = None if deadline is None else deadline - self.ctx.clock.monotonic()

    async with ActorSystem(children=[ChildSpec(id=name, start=Chain) for name in "ab"]) as system:
        await system.ref("a").ask("outer", timeout=9)
    assert got == {"inner": 2, "outer": 9}


# Cancellable handlers


class Patient(HandlingActor[Any]):
    """One handler runs on, one gives up with its asker."""

    def __init__(self, seen: list[Any]) -> None:
        self.seen = seen

    @handles
    @cancellable
    async def wait(self, message: float) -> str:
        try:
            await asyncio.sleep(message)
        except asyncio.CancelledError:
            self.seen.append("cancelled")
            raise
        self.seen.append(message)
        return "waited"

    @handles
    async def move(self, message: str) -> str:
        await asyncio.sleep(5)
        self.seen.append(message)
        return "moved"

    @cancellable
    @handles
    async def stubborn(self, message: bytes) -> str:
        try:
            await asyncio.sleep(5)
        except asyncio.CancelledError:
            await asyncio.sleep(1)
            self.seen.append(message)
        return "stubborn"

    @handles
    @cancellable
    async def crash(self, message: list) -> None:  # type: ignore[type-arg]  # chosen by the bare class
        raise ValueError(message)


def patient(seen: list[Any]) -> ChildSpec:
    return ChildSpec(id="a", start=Patient, args=(seen,))


@pytest.mark.parametrize("how", ["timeout", "cancel"])
@pytest.mark.parametrize("queued", [False, True])
async def test_a_cancellable_handler_ends_when_its_asker_gives_up(how: str, *, queued: bool) -> None:
    """It is no crash: the actor goes on with the next message, in the same incarnation."""
    seen: list[Any] = []
    async with ActorSystem(children=[patient(seen)]) as system:
        ref = system.ref("a")
        if queued:
            ref.tell("busy")
            await asyncio.sleep(0.5)
        asked = asyncio.ensure_future(ref.ask(100.0, timeout=10 if how == "timeout" else None))
        await asyncio.sleep(0)
        ref.tell(1.5)
        await asyncio.sleep(9)
        if how == "cancel":
            asked.cancel()
        with pytest.raises(AskTimeout if how == "timeout" else asyncio.CancelledError):
            await asked
        assert await ref.ask(0.5) == "waited"
        assert seen == [*(["busy"] if queued else []), "cancelled", 1.5, 0.5]
        assert ref.incarnation == 1


async def test_other_handlers_run_on_when_their_asker_gives_up() -> None:
    """What has begun is brought to its end; only the answer is discarded."""
    seen: list[Any] = []
    async with ActorSystem(children=[patient(seen)]) as system:
        with pytest.raises(AskTimeout):
            await system.ref("a").ask("up", timeout=1)
        await asyncio.sleep(10)
        assert seen == ["up"]


async def test_a_cancellable_handler_that_is_in_time_answers() -> None:
    """Being cancellable changes nothing else: answers, tells, crashes."""
    seen: list[Any] = []
    async with ActorSystem(children=[patient(seen)]) as system:
        ref = system.ref("a")
        assert await ref.ask(1.0, timeout=2) == "waited"
        ref.tell(100.0)
        assert await ref.ask(0.0, timeout=200) == "waited"
        with pytest.raises(ActorCrashed):
            await ref.ask([])
        await ref.wait_running()
        assert seen == [1.0, 100.0, 0.0]
        assert ref.incarnation == 2


async def test_a_cancellable_handler_that_swallows_the_cancellation_may_finish() -> None:
    """It cleans up at its leisure, and what comes next is not cancelled by mistake."""
    seen: list[Any] = []
    async with ActorSystem(children=[patient(seen)]) as system:
        ref = system.ref("a")
        with pytest.raises(AskTimeout):
            await ref.ask(b"x", timeout=1)
        assert await ref.ask("next", timeout=20) == "moved"
        assert seen == [b"x", "next"]
        assert ref.incarnation == 1


async def test_an_asker_that_gives_up_as_the_handler_ends_cancels_nobody_else() -> None:
    """The two meeting in one turn of the loop leave the next handler alone."""
    seen: list[Any] = []
    async with ActorSystem(children=[patient(seen)]) as system:
        ref = system.ref("a")
        for _ in range(50):
            ref.tell(0.0)
            asked = asyncio.ensure_future(ref.ask(1.0, timeout=None))
            ref.tell("next")
            asyncio.get_running_loop().call_later(1.0, asked.cancel)
            await asyncio.sleep(10)
        assert ref.incarnation == 1
        assert seen.count("next") == 50


async def test_a_kill_of_a_cancellable_handler_is_a_kill() -> None:
    """The runtime's own cancellation is not taken for the asker's."""
    seen: list[Any] = []
    async with ActorSystem(children=[patient(seen)]) as system:
        ref = system.ref("a")
        asked = asyncio.ensure_future(ref.ask(100.0, timeout=None))
        await asyncio.sleep(1)
        ref.kill()
        with pytest.raises(ActorCrashed):
            await asked
        await ref.wait_running()
        assert ref.incarnation == 2


def test_only_a_coroutine_function_is_cancellable() -> None:
    """A plain function cannot be cancelled."""

    def plain(self: Any, message: Any) -> Any: ...

    with pytest.raises(HandlerError, match="async def"):
        cancellable(plain)


# Draining


@pytest.mark.parametrize("crash", [False, True])
async def test_drain_handles_what_is_queued_and_then_ends(*, crash: bool) -> None:
    """What came before is handled, even over a crash; what came later waits for the next incarnation."""
    seen: list[Any] = []
    async with ActorSystem(children=[slow(seen)]) as system:
        ref = system.ref("a")
        ref.tell(1.0)
        if crash:
            ref.tell("crash")
        ref.tell("before")
        ref.drain()
        ref.tell("after")
        await asyncio.sleep(5)
        assert seen == [1.0, "before", "after"]
        assert ref.incarnation == (3 if crash else 2)


async def test_drain_of_an_idle_actor_ends_it_and_may_come_from_a_thread() -> None:
    """It ends with `Normal`; a second drain of an ended actor does nothing, and a supervisor has none."""
    seen: list[Any] = []
    async with ActorSystem(children=[slow(seen)]) as system:
        ref = system.ref("a")
        await asyncio.to_thread(ref.drain)
        await asyncio.sleep(1)
        assert ref.incarnation == 2
        await system.root.terminate_child("a")
        ref.drain()
        with pytest.raises(Exception, match="no mailbox to drain"):
            system.root.drain()
        assert system.dead_letters.counts == {}


async def test_a_mailbox_that_drops_drops_the_drain_with_the_queue() -> None:
    """After a restart that dropped everything there is nothing left to wait for."""
    seen: list[Any] = []
    async with ActorSystem(children=[slow(seen, on_restart=OnRestart.DROP)]) as system:
        ref = system.ref("a")
        ref.tell("crash")
        ref.tell("x")
        ref.drain()
        await asyncio.sleep(1)
        assert ref.incarnation == 2
        assert await ref.ask("y", timeout=None) is None


@pytest.mark.parametrize("suspended", [False, True])
async def test_a_crash_ends_an_orderly_stop_that_drains(*, suspended: bool) -> None:
    """What is queued behind the crash is given up at once, not when the time for the stop is over."""
    seen: list[Any] = []

    class Drains(Slow):
        async def receive(self, message: Any) -> Any:
            if message == "crash" and suspended:
                await asyncio.sleep(0.5)
            return await super().receive(message)

    loop = asyncio.get_running_loop()
    async with ActorSystem() as system:
        spec = ChildSpec(id="a", start=Drains, args=(seen,), drain=True, shutdown=INFINITY, restart=Restart.TEMPORARY)
        ref = await system.start_child(spec)
        for message in (1.0, "crash", "x", "y"):
            ref.tell(message)
        await asyncio.sleep(0.1)
        begun = loop.time()
        await system.root.terminate_child("a", timeout=60)
        assert loop.time() - begun < 2
        assert seen == [1.0]
        assert system.dead_letters.counts == {"crashed": 1, "stopped": 2}
