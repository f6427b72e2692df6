"""The events of a system: in order for each listener, stamped, and all of them public."""

from __future__ import annotations

import asyncio
import functools

import pytest

import bifrost.actors
from bifrost.actors import (
    Actor,
    ActorCrashed,
    ActorEvent,
    ActorStopped,
    ActorSystem,
    Backoff,
    ChildSpec,
    Delivery,
    Mailbox,
    RestartScheduled,
    events,
)
from bifrost.testing import VirtualClock


class Fragile(Actor[str]):
    """Breaks at ``break``; waits a second at anything else."""

    async def receive(self, message: str) -> object:
        if message == "break":
            raise ValueError("broken")
        await asyncio.sleep(1)
        return message


async def test_every_subscriber_hears_things_in_the_order_in_which_they_happened() -> None:
    """What one subscriber brings about reaches the others after the event that it acted on."""
    async with ActorSystem(children=[ChildSpec(id="a", start=Fragile, mailbox=Mailbox(capacity=1))]) as system:
        ref = system.ref("a")
        heard: list[str] = []

        def meddle(event: ActorEvent) -> None:
            if isinstance(event, ActorCrashed):
                ref.tell("first")
                assert ref.tell("second") is Delivery.DROPPED

        system.events.subscribe(meddle)
        system.events.subscribe(lambda event: heard.append(type(event).__name__))
        ref.tell("break")
        await asyncio.sleep(0.5)
    assert heard[:3] == ["ActorCrashed", "MailboxHighWater", "DeadLettered"]
    assert heard.count("ActorCrashed") == 1


@pytest.mark.parametrize("begin", ["with a stop", "with a dead letter"])
async def test_subscribers_that_forward_to_stopped_actors_come_to_an_end(begin: str) -> None:
    """What an event about a dead letter leads to is counted, and no event; else two of them would go on for ever."""
    told: list[str] = []
    specs = [ChildSpec(id=name, start=Fragile) for name in "abc"]
    async with ActorSystem(children=specs) as system:

        def forward(name: str, event: ActorEvent) -> None:
            told.append(type(event).__name__)
            system.ref(name).tell(str(event))

        for name in "ab":
            await system.root.terminate_child(name)
        for name in "ab":
            system.events.subscribe(functools.partial(forward, name))
        if begin == "with a stop":
            await system.root.terminate_child("c")
            assert told == [*["ActorStopped"] * 2, *["DeadLettered"] * 4]
            assert system.dead_letters.counts == {"stopped": 6}
        else:
            system.ref("a").tell("hello")
            assert told == ["DeadLettered"] * 2
            assert system.dead_letters.counts == {"stopped": 3}


async def test_events_of_an_actor_are_in_order_with_both_times(clock: VirtualClock) -> None:
    """Crash, stop, schedule and restart follow each other, and each says when, by the monotonic and the wall clock."""
    backoff = Backoff(min=2.0, max=2.0, jitter=0.0)
    seen: list[ActorEvent] = []
    async with ActorSystem(children=[ChildSpec(id="a", start=Fragile, backoff=backoff)], clock=clock) as system:
        system.events.subscribe(seen.append)
        await asyncio.sleep(1)
        crashed_at = clock.monotonic()
        system.ref("a").tell("break")
        await asyncio.sleep(3)
        names = [type(event).__name__ for event in seen]
        assert names == ["ActorCrashed", "DeadLettered", "ActorStopped", "RestartScheduled", "ActorRestarted"]
        assert [event.at - crashed_at for event in seen] == [0, 0, 0, 0, 2]
        assert [event.wall_ns - seen[0].wall_ns for event in seen] == [0, 0, 0, 0, 2_000_000_000]
        scheduled = seen[3]
        assert isinstance(scheduled, RestartScheduled)
        assert (scheduled.delay, scheduled.attempt) == (2.0, 1)
        assert {event.path for event in seen} == {"a"}


async def test_attempts_are_counted_in_a_row() -> None:
    """An attempt after a stable run is the first again; one after a start by hand too."""
    attempts: list[int] = []
    backoff = Backoff(min=1.0, max=1.0, jitter=0.0, reset_after=5.0)
    async with ActorSystem(children=[ChildSpec(id="a", start=Fragile, backoff=backoff)]) as system:
        system.events.subscribe(
            lambda event: attempts.append(event.attempt) if isinstance(event, RestartScheduled) else None
        )
        for seconds in (2, 2, 10, 2):
            system.ref("a").tell("break")
            await asyncio.sleep(seconds)
        await system.root.terminate_child("a")
        await system.root.restart_child("a")
        system.ref("a").tell("break")
        await asyncio.sleep(2)
    assert attempts == [1, 2, 3, 1, 1]


def test_every_event_is_public() -> None:
    """Each kind of event can be imported from the package, to be compared with."""
    kinds = {kind.__name__ for kind in ActorEvent.__subclasses__()}
    assert ActorStopped.__name__ in kinds
    assert kinds <= set(events.__all__)
    assert kinds <= set(bifrost.actors.__all__)
