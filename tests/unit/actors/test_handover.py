"""What an incarnation leaves to the next one."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from bifrost.actors import Actor, ActorState, ActorSystem, Backoff, ChildSpec, Crash, ExitReason, Restart, Strategy
from bifrost.actors.blocking import BlockingActor
from bifrost.actors.events import HandoverFailed
from bifrost.errors import ActorCrashed


class Counter(Actor[Any]):
    """Counts, and hands the count over."""

    def __init__(self, log: list[Any]) -> None:
        self.log = log
        self.count = 0

    async def on_start(self) -> None:
        self.log.append("start")

    async def on_restart(self, reason: ExitReason, handover: Any) -> None:
        self.log.append(("restart", type(reason).__name__, handover))
        self.count = handover or 0

    def handover(self) -> Any:
        self.log.append("handover")
        if self.count < 0:
            raise ValueError("nothing good to give")
        return self.count

    async def receive(self, message: Any) -> Any:
        if message == "crash":
            raise ValueError(message)
        self.count += message
        return self.count

    async def on_stop(self, reason: ExitReason) -> None:
        self.log.append(("stop", type(reason).__name__))


def counter(log: list[Any], start: Any = Counter, **options: Any) -> ChildSpec:
    return ChildSpec(id="a", start=start, args=(log,), **options)


async def test_a_restart_gets_what_the_crashed_instance_hands_over() -> None:
    """After `on_stop`, before the new instance; `on_restart` stands in the place of `on_start`."""
    log: list[Any] = []
    async with ActorSystem(children=[counter(log)]) as system:
        ref = system.ref("a")
        assert await ref.ask(5) == 5
        ref.tell("crash")
        assert await ref.ask(1) == 6
        assert log == ["start", ("stop", "Crash"), "handover", ("restart", "Crash", 5)]
    assert log[4:] == [("stop", "Shutdown")]


async def test_a_group_restart_hands_over_too() -> None:
    """A sibling that is stopped for the sake of the group is asked, and restarted with `Shutdown` as the reason."""
    log: list[Any] = []
    other = ChildSpec(id="b", start=Counter, args=([],))
    async with ActorSystem(children=[counter(log), other], strategy=Strategy.ONE_FOR_ALL) as system:
        await system.ref("a").ask(3)
        system.ref("b").tell("crash")
        await asyncio.sleep(1)
        assert log[1:] == [("stop", "Shutdown"), "handover", ("restart", "Shutdown", 3)]


async def test_a_hand_over_that_raises_is_reported_and_none() -> None:
    """The restart goes on, an event tells of it."""
    log: list[Any] = []
    async with ActorSystem(children=[counter(log)]) as system:
        failed: list[HandoverFailed] = []
        system.events.subscribe(lambda event: failed.append(event) if isinstance(event, HandoverFailed) else None)
        await system.ref("a").ask(-1)
        system.ref("a").tell("crash")
        await asyncio.sleep(1)
        assert log[-1] == ("restart", "Crash", None)
        assert [(event.path, event.incarnation, str(event.error)) for event in failed] == [
            ("a", 1, "nothing good to give")
        ]


async def test_what_was_handed_over_is_kept_until_a_start_succeeds() -> None:
    """A restart whose `on_restart` fails is tried again with the same hand-over; a start that has not run has none."""
    log: list[Any] = []

    class Stumbling(Counter):
        async def on_restart(self, reason: ExitReason, handover: Any) -> None:
            await super().on_restart(reason, handover)
            if len(log) < 6:
                raise OSError("not yet")

    async with ActorSystem(children=[counter(log, Stumbling, backoff=Backoff(min=1, max=1))]) as system:
        await system.ref("a").ask(7)
        system.ref("a").tell("crash")
        await asyncio.sleep(10)
        assert log[2:] == [
            "handover",
            ("restart", "Crash", 7),
            ("restart", "StartFailure", 7),
            ("restart", "StartFailure", 7),
        ]
        assert system.handed_over == {}


async def test_a_start_by_hand_is_a_fresh_start() -> None:
    """After a stop for good nothing is handed over, and `on_start` is called."""
    log: list[Any] = []
    async with ActorSystem(children=[counter(log)]) as system:
        await system.ref("a").ask(7)
        await system.root.terminate_child("a")
        await system.root.restart_child("a")
        assert log == ["start", ("stop", "Shutdown"), "start"]
        assert await system.ref("a").ask(1) == 1


async def test_an_actor_that_is_not_restarted_keeps_nothing_alive() -> None:
    """A temporary actor that crashes is asked, but nothing of it is kept."""
    log: list[Any] = []
    async with ActorSystem(children=[counter(log, restart=Restart.TEMPORARY)]) as system:
        ref = system.ref("a")
        ref.tell("crash")
        await asyncio.sleep(1)
        assert ref.state is ActorState.STOPPED
        assert system.handed_over == {}


async def test_without_on_restart_a_restart_is_a_start() -> None:
    """`on_restart` that is not overridden calls `on_start`."""
    log: list[Any] = []

    class Plain(Actor[Any]):
        async def on_start(self) -> None:
            log.append(self.ctx.incarnation)

        async def receive(self, message: Any) -> Any:
            raise ValueError(message)

    async with ActorSystem(children=[ChildSpec(id="a", start=Plain)]) as system:
        system.ref("a").tell("crash")
        await asyncio.sleep(1)
        assert log == [1, 2]


async def test_an_abandoned_instance_is_not_asked() -> None:
    """What still runs of it could not be relied on: the next one gets None."""
    log: list[Any] = []
    release = asyncio.Event()

    class Stubborn(Counter):
        async def receive(self, message: Any) -> Any:
            while message == "hang" and not release.is_set():
                try:
                    await release.wait()
                except asyncio.CancelledError:
                    continue
            return None

    async with ActorSystem(children=[counter(log, Stubborn)]) as system:
        ref = system.ref("a")
        ref.tell("hang")
        await asyncio.sleep(1)
        ref.kill()
        await asyncio.sleep(5)
        assert log == ["start", ("restart", "Killed", None)]
        release.set()


class Drive(BlockingActor[Any]):
    """A blocking actor that hands over."""

    def __init__(self, log: list[Any]) -> None:
        self.log = log
        self.count = 0

    def on_restart(self, reason: ExitReason, handover: Any) -> None:
        self.log.append(("restart", type(reason).__name__, handover))
        self.count = handover or 0

    def handover(self) -> Any:
        self.log.append("handover")
        if self.count < 0:
            raise ValueError("nothing good to give")
        return self.count

    def receive(self, message: Any) -> Any:
        if message == "crash":
            raise ValueError(message)
        self.count += message
        return self.count

    def on_stop(self, reason: ExitReason) -> None:
        self.log.append(("stop", type(reason).__name__))


@pytest.mark.parametrize("count", [5, -1])
async def test_a_blocking_actor_hands_over_in_its_thread(count: int) -> None:
    """After `on_stop`, in the old thread; what it raises is reported like that of any actor."""
    log: list[Any] = []
    async with ActorSystem(children=[counter(log, Drive)]) as system:
        ref = system.ref("a")
        failed: list[Any] = []
        system.events.subscribe(lambda event: failed.append(event) if isinstance(event, HandoverFailed) else None)
        assert await ref.ask(count) == count
        with pytest.raises(ActorCrashed):
            await ref.ask("crash")
        expected = count if count > 0 else None
        assert await ref.ask(1) == (expected or 0) + 1
        assert log == [("stop", "Crash"), "handover", ("restart", Crash.__name__, expected)]
        assert len(failed) == (0 if count > 0 else 1)
