"""What the bench for a running system promises."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest

from bifrost.actors import Actor, ActorCrashed, Backoff, ChildSpec
from bifrost.errors import ActorError
from bifrost.testing import SystemBench

_KEPT: list[Any] = []


class Careless(Actor[str]):
    """Starts what the runtime does not know of."""

    async def receive(self, message: str) -> object:
        loop = asyncio.get_running_loop()
        if message.startswith("task"):
            _KEPT.append(loop.create_task(asyncio.sleep(100), name="stray"))
        elif message == "timer":
            _KEPT.append(loop.call_later(100, print))
        elif message == "thread":
            release = threading.Event()
            thread = threading.Thread(target=release.wait, name="stray")
            thread.start()
            _KEPT.append((release, thread))
        elif message == "deaf":
            while True:
                try:
                    await asyncio.sleep(100)
                except asyncio.CancelledError:
                    if _KEPT:
                        raise
        if message.endswith("crash"):
            raise ValueError(message)
        return None


CARELESS = ChildSpec(id="a", start=Careless, shutdown=1)


@pytest.fixture(autouse=True)
def kept() -> list[Any]:
    _KEPT.clear()
    return _KEPT


async def test_a_clean_system_leaves_nothing() -> None:
    """Restarts, timers and asks of the system itself are gone when the block ends."""
    async with SystemBench([CARELESS]) as bench:
        bench.ref("a").tell("crash")
        await asyncio.sleep(1)
        assert await bench.ref("a").ask("fine") is None
        assert bench.log.take() == [
            "started a",
            "supervisor started bench",
            "crashed a",
            "dead letter a crashed",
            "stopped a crash",
            "restart scheduled a",
            "restarted a",
        ]


async def test_a_stray_task_is_named() -> None:
    """A task that the actor started past its context outlives it, and fails the test."""
    with pytest.raises(AssertionError, match="left behind: task stray"):
        async with SystemBench([CARELESS]) as bench:
            await bench.ref("a").ask("task")
    _KEPT[0].cancel()


async def test_a_stray_timer_is_named() -> None:
    """So does a timer."""
    with pytest.raises(AssertionError, match=r"left behind: timer .*print"):
        async with SystemBench([CARELESS]) as bench:
            await bench.ref("a").ask("timer")
    _KEPT[0].cancel()


async def test_a_stray_thread_is_named() -> None:
    """So does a thread."""
    with pytest.raises(AssertionError, match="left behind: thread stray"):
        async with SystemBench([CARELESS]) as bench:
            await bench.ref("a").ask("thread")
    release, thread = _KEPT[0]
    release.set()
    thread.join(10)


async def test_an_abandoned_handler_is_named() -> None:
    """A handler that cannot be cancelled is reported as task and as leak."""
    with pytest.raises(AssertionError, match="abandoned: handler of a#1"):
        async with SystemBench([CARELESS]) as bench:
            await bench.ref("a").send("deaf")
    _KEPT.append("end")
    for task in asyncio.all_tasks() - {asyncio.current_task()}:
        task.cancel()
    await asyncio.sleep(0)


async def test_the_failure_of_the_test_itself_goes_first() -> None:
    """The check does not hide why the test failed."""
    with pytest.raises(ActorError, match="crash"):
        async with SystemBench([CARELESS]) as bench:
            await bench.ref("a").ask("task and crash")
    _KEPT[0].cancel()


async def test_the_seed_decides_the_jitter() -> None:
    """Two runs with one seed restart at the same times, and another seed at others."""
    flaky = ChildSpec(id="a", start=Careless, backoff=Backoff(min=1, max=60, jitter=0.5))

    async def delays(seed: int) -> list[float]:
        async with SystemBench([flaky], seed=seed, log=[ActorCrashed], intensity=100) as bench:
            for _ in range(4):
                bench.ref("a").tell("crash")
                await asyncio.sleep(0)
                await bench.ref("a").wait_running(timeout=100)
            begun = bench.log.events[0].at
            return [event.at - begun for event in bench.log.events]

    first, second, other = await delays(1), await delays(1), await delays(2)
    assert first == pytest.approx(second)
    assert first != pytest.approx(other)


async def test_wall_clock_of_the_bench_can_be_stepped() -> None:
    """Events carry the bench's clock."""
    async with SystemBench([CARELESS]) as bench:
        bench.clock.step_wall_clock(3600)
        bench.ref("a").kill()
        await asyncio.sleep(1)
        times = [event.wall_ns for event in bench.log.events]
        assert times[-1] - times[0] >= 3600 * 10**9
