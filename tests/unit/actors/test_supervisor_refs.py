"""A supervisor's ref where an actor's was expected: it says what it is, whichever way it is spoken to."""

from __future__ import annotations

import asyncio

import pytest

from bifrost.actors import ActorState, ActorSystem, Delivery, Supervisor
from bifrost.errors import ActorError


async def test_a_supervisor_takes_no_messages() -> None:
    """A tell is a dead letter `no_handler`; send and ask raise an error that says what to use."""
    async with ActorSystem(children=[Supervisor.spec("hall")]) as system:
        ref = system.ref("hall")
        assert ref.tell("hello") is Delivery.DEAD
        for sending in (ref.send("hello"), ref.ask("hello")):
            with pytest.raises(ActorError, match=r"^hall is a supervisor and takes no messages") as told:
                await sending
            assert type(told.value) is ActorError
        assert system.dead_letters.counts == {"no_handler": 3}


async def test_a_supervisor_has_nothing_to_drain() -> None:
    """Whoever tries is told, in another thread too, and nothing happens to the supervisor."""
    async with ActorSystem(children=[Supervisor.spec("hall")]) as system:
        ref = system.ref("hall")
        with pytest.raises(ActorError, match="no mailbox to drain"):
            ref.drain()
        with pytest.raises(ActorError, match="no mailbox to drain"):
            await asyncio.to_thread(ref.drain)
        assert ref.state is ActorState.RUNNING
