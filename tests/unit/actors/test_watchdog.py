"""What the watchdog reports of slow handlers, and what it does not cost."""

from __future__ import annotations

import asyncio
import itertools
import logging
import threading
from typing import Any

import pytest

from bifrost.actors import Actor, ActorSystem, ChildSpec, SlowHandler, Watchdog
from bifrost.errors import ActorError, StartFailed
from bifrost.testing import EventLog, SystemBench


class Sleeper(Actor[Any]):
    """Sleeps for as many seconds as the message says, or asks the actor in it."""

    async def on_start(self) -> None:
        await asyncio.sleep(0.1)

    async def receive(self, message: Any) -> object:
        if isinstance(message, tuple):
            await asyncio.gather(*(ref.ask(0.0, timeout=100) for ref in message))
        else:
            await asyncio.sleep(message)
        return None


def sleepers(*names: str) -> list[ChildSpec]:
    return [ChildSpec(id=name, start=Sleeper, shutdown=0.1) for name in names]


def watched(*names: str, **settings: Any) -> SystemBench:
    watchdog = Watchdog(blocked_loop=None, **settings)
    return SystemBench(sleepers(*names), watchdog=watchdog, log=[SlowHandler])


def reports(bench: SystemBench) -> list[tuple[str, float]]:
    return [(event.path, event.seconds) for event in bench.log.events if isinstance(event, SlowHandler)]


async def test_a_slow_handler_is_reported_while_it_runs() -> None:
    """Within one period after slow_handler, with its age, its message and where it waits."""
    async with watched("a", "b", slow_handler=1.0, period=0.25) as bench:
        bench.ref("a").tell(1.6)
        await asyncio.sleep(1.3)
        (event,) = bench.log.events
        assert isinstance(event, SlowHandler)
        assert (event.path, event.incarnation) == ("a", 1)
        assert 1.0 <= event.seconds <= 1.25
        assert event.what.startswith("float at ")
        assert "in sleep" in event.what


async def test_nothing_is_reported_too_early() -> None:
    """A handler that takes less is never reported, however many messages it handles in a row."""
    async with watched("a", slow_handler=1.0) as bench:
        for _ in range(20):
            bench.ref("a").tell(0.9)
        await asyncio.sleep(30)
        assert bench.log.events == []


async def test_every_message_counts_for_itself() -> None:
    """Slow ones in a row are reported one by one."""
    async with watched("a", slow_handler=1.0) as bench:
        for _ in range(3):
            bench.ref("a").tell(1.5)
        await asyncio.sleep(10)
        assert [path for path, _ in reports(bench)] == ["a", "a", "a"]


async def test_a_stuck_handler_is_reported_ever_less_often() -> None:
    """Again each time that its age has doubled, so that the log does not fill."""
    async with watched("a", slow_handler=1.0, period=0.25) as bench:
        bench.ref("a").tell(1000)
        await asyncio.sleep(100)
        seconds = [age for _, age in reports(bench)]
        assert len(seconds) == 7
        assert all(later >= 2 * earlier for earlier, later in itertools.pairwise(seconds))


async def test_a_request_that_ran_on_the_askers_stack_is_watched_too() -> None:
    """An ask of an idle actor is reported like a queued message."""
    async with watched("a", slow_handler=1.0) as bench:
        await bench.ref("a").ask(3.0)
        assert reports(bench)[0][0] == "a"


async def test_a_ring_that_was_not_seen_at_once_is_logged_as_a_ring(caplog: pytest.LogCaptureFixture) -> None:
    """Asks in gathered tasks are not failed at once; the report shows who waits for whom."""
    async with watched("a", "b", slow_handler=1.0) as bench:
        a, b = bench.ref("a"), bench.ref("b")
        with caplog.at_level(logging.WARNING, "bifrost.actors"):
            a.tell((b,))
            b.tell((a,))
            await asyncio.sleep(2)
        assert "a waits for the answer of b" in caplog.text
        assert "b waits for the answer of a" in caplog.text
        assert "this is a ring" in caplog.text
        a.kill()
        b.kill()
        await asyncio.sleep(0.5)


async def test_two_systems_are_watched_apart() -> None:
    """A watchdog looks at its own system's handlers alone."""
    async with watched("a", slow_handler=1.0) as bench, ActorSystem("other", sleepers("x")) as other:
        log = EventLog(other, SlowHandler)
        other.ref("x").tell(5.0)
        await asyncio.sleep(4)
        assert bench.log.events == []
        assert log.events == []


async def test_it_ends_with_the_system() -> None:
    """No timer is left, also when the system does not come up, and it serves one system only."""
    watchdog = Watchdog(blocked_loop=None)
    async with SystemBench(sleepers("a"), watchdog=watchdog):
        with pytest.raises(ActorError, match="watches system 'bench'"):
            await ActorSystem("second", watchdog=watchdog).__aenter__()
    broken = ChildSpec(id="a", start=dict)
    with pytest.raises(StartFailed):
        await ActorSystem("third", [broken], watchdog=watchdog).__aenter__()
    async with SystemBench(sleepers("a"), watchdog=watchdog):
        pass


async def test_on_a_loop_with_virtual_time_there_is_no_thread() -> None:
    """The default settings serve tests too: handlers are watched in virtual time, the loop is not."""
    before = threading.active_count()
    async with SystemBench(sleepers("a"), watchdog=Watchdog(), log=[SlowHandler]) as bench:
        assert threading.active_count() == before
        bench.ref("a").tell(5.0)
        await asyncio.sleep(3)
        assert [path for path, _ in reports(bench)] == ["a", "a"]


@pytest.mark.parametrize("setting", ["slow_handler", "blocked_loop", "period"])
def test_seconds_must_be_positive(setting: str) -> None:
    """A wrong number is told when the watchdog is made."""
    with pytest.raises(ActorError, match=f"watchdog {setting} must be seconds > 0"):
        Watchdog(**{setting: 0})


async def test_a_system_without_a_watchdog_has_no_timer() -> None:
    """Off by default: the loop may sleep for as long as it likes."""
    async with SystemBench(sleepers("a")):
        scheduled: list[Any] = getattr(asyncio.get_running_loop(), "_scheduled", [])
        assert [timer for timer in scheduled if not timer.cancelled()] == []
