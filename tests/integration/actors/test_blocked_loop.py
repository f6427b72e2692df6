"""The thread that notices when the event loop does not turn, in real time."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from typing import Any

import pytest

from bifrost.actors import Actor, ActorSystem, ChildSpec, LoopBlocked, Watchdog
from bifrost.errors import StartFailed
from bifrost.testing import EventLog


def hold_the_loop(seconds: float) -> None:
    time.sleep(seconds)


class Blocker(Actor[Any]):
    """Blocks the loop for as many seconds as the message says, before or after it has suspended."""

    async def receive(self, message: Any) -> object:
        if message < 0:
            await asyncio.sleep(0)
        hold_the_loop(abs(message))
        return None


BLOCKER = ChildSpec(id="press", start=Blocker)


def guarded(limit: float = 0.2) -> ActorSystem:
    return ActorSystem("plant", [BLOCKER], watchdog=Watchdog(slow_handler=None, blocked_loop=limit))


@pytest.mark.parametrize("seconds", [0.7, -0.7])
async def test_the_actor_that_blocks_the_loop_is_named(seconds: float, caplog: pytest.LogCaptureFixture) -> None:
    """While it is blocked the log has its path and stack; afterwards the event has them, with the time."""
    async with guarded() as system:
        log = EventLog(system, LoopBlocked)
        with caplog.at_level(logging.ERROR, "bifrost.actors"):
            system.ref("press").tell(seconds)
            await asyncio.sleep(0.1)
            assert "press: the event loop has not turned for" in caplog.text
            assert "time.sleep(seconds)" in caplog.text
            assert "in Blocker.receive: hold_the_loop(abs(message))" in caplog.text
        await asyncio.sleep(0.2)
        (event,) = log.events
        assert isinstance(event, LoopBlocked)
        assert event.path == "press"
        assert 0.2 <= event.seconds <= 2
        assert "hold_the_loop" in event.where[-1]


async def test_a_block_outside_of_actors_is_the_systems() -> None:
    """The host's own code may hold the loop too."""
    async with guarded() as system:
        log = EventLog(system, LoopBlocked)
        await asyncio.sleep(0.1)
        hold_the_loop(0.6)
        await asyncio.sleep(0.2)
        (event,) = log.events
        assert isinstance(event, LoopBlocked)
        assert event.path == "plant"
        assert any("test_a_block_outside_of_actors" in line for line in event.where)


async def test_a_loop_that_turns_is_left_in_peace(caplog: pytest.LogCaptureFixture) -> None:
    """Idle or busy: nothing is reported as long as it turns."""
    async with guarded(0.3) as system:
        log = EventLog(system, LoopBlocked)
        until = time.monotonic() + 1.0
        while time.monotonic() < until:
            await system.ref("press").ask(0.002)
            await asyncio.sleep(0)
        await asyncio.sleep(0.5)
        assert log.events == []
    assert "has not turned" not in caplog.text


async def test_the_thread_ends_with_the_system() -> None:
    """None before, one while it runs, none after; also if the system does not come up."""
    before = set(threading.enumerate())
    async with guarded():
        (thread,) = set(threading.enumerate()) - before
        assert thread.name == "plant: loop guard"
    assert set(threading.enumerate()) <= before
    with pytest.raises(StartFailed):
        await ActorSystem("plant", [ChildSpec(id="a", start=dict)], watchdog=Watchdog()).__aenter__()
    assert set(threading.enumerate()) <= before
