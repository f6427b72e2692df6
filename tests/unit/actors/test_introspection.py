"""What a snapshot tells of an actor, and the event of a full mailbox."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from bifrost.actors import Actor, ActorSystem, ChildSpec, Delivery, Lane, Mailbox, MailboxHighWater, Overflow
from bifrost.errors import ActorCrashed, MailboxFull
from bifrost.testing import EventLog


class Sleeper(Actor[Any]):
    """Sleeps for numbers, crashes at exceptions."""

    async def receive(self, message: Any) -> object:
        if isinstance(message, Exception):
            raise message
        await asyncio.sleep(message)
        return None


def sleeper(**options: Any) -> ChildSpec:
    return ChildSpec(id="a", start=Sleeper, **options)


async def test_a_snapshot_shows_the_handler_in_hand() -> None:
    """The message's type and the age of each message of its own, also in the middle of a queue."""
    async with ActorSystem(children=[sleeper()]) as system:
        a = system.ref("a")
        for seconds in (5.0, 5.0, 7):
            a.tell(seconds)
        await asyncio.sleep(1)
        a.tell(0.0, lane=Lane.HIGH)
        (seen,) = system.snapshot().children
        assert (seen.handling, seen.handling_for) == ("float", 1)
        assert (seen.mailbox_depth, seen.mailbox_urgent) == (3, 1)
        await asyncio.sleep(11)
        (seen,) = system.snapshot().children
        assert (seen.handling, seen.handling_for, seen.mailbox_depth) == ("int", 2, 0)
        await asyncio.sleep(10)
        (seen,) = system.snapshot().children
        assert (seen.handling, seen.handling_for) == (None, None)


async def test_a_snapshot_shows_past_lives() -> None:
    """The last ten, with how and when they ended."""
    async with ActorSystem(children=[sleeper()], intensity=100) as system:
        a = system.ref("a")
        for number in range(13):
            await asyncio.sleep(1)
            with pytest.raises(ActorCrashed):
                await a.ask(ValueError(number))
            await a.wait_running()
        (seen,) = system.snapshot().children
        assert [life.incarnation for life in seen.history] == list(range(4, 14))
        assert [life.at for life in seen.history] == [float(n) for n in range(4, 14)]
        assert "ValueError: 12" in seen.history[-1].reason
        assert system.snapshot().history == ()


@pytest.mark.parametrize("overflow", [Overflow.BACKPRESSURE, Overflow.DROP_NEWEST, Overflow.DROP_OLDEST])
async def test_a_full_mailbox_is_told_of_once_a_second(overflow: Overflow) -> None:
    """At most once a second for each actor, with depth and capacity, however many messages find it full."""
    async with ActorSystem(children=[sleeper(mailbox=Mailbox(capacity=2, overflow=overflow))]) as system:
        log = EventLog(system, MailboxHighWater)
        a = system.ref("a")
        a.tell(10)
        await asyncio.sleep(0.5)
        for _ in range(100):
            a.tell(0)
        (event,) = log.events
        assert isinstance(event, MailboxHighWater)
        assert (event.path, event.depth, event.capacity) == ("a", 2, 2)
        await asyncio.sleep(1.5)
        a.tell(0)
        assert len(log.events) == 2


async def test_a_sender_that_waits_for_room_is_told_of() -> None:
    """Backpressure is a full mailbox, too."""
    async with ActorSystem(children=[sleeper(mailbox=Mailbox(capacity=1))]) as system:
        log = EventLog(system, MailboxHighWater)
        a = system.ref("a")
        a.tell(10)
        await asyncio.sleep(0.5)
        assert a.tell(0) is Delivery.ACCEPTED
        assert log.take() == []
        with pytest.raises(MailboxFull):
            await a.send(0, timeout=0.5)
        assert log.take() == ["high water a"]
