"""A system as one child of an `asyncio.TaskGroup`."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest

from bifrost.actors import Actor, ActorSystem, ChildSpec
from bifrost.actors.hosts import run_system, system_child
from bifrost.errors import StartFailed, SupervisorGaveUp
from tests.integration.actors.hosted import BOOM, Recorder, worker


async def test_a_system_is_a_task_of_a_group() -> None:
    """It answers once `system_child` has returned, and the group ends when it is stopped."""
    recorder = Recorder()
    async with asyncio.TaskGroup() as group:
        system = await system_child(group, ActorSystem("plant", [worker("a", recorder), worker("b", recorder)]))
        assert await system.ref("a").ask(1) == 1
        report = await system.stop()
    assert report.clean
    assert recorder.lines == ["start a", "start b", "stop b", "stop a"]
    assert len(asyncio.all_tasks()) == 1


async def test_the_failure_of_a_sibling_ends_the_tree_in_order() -> None:
    """Another task of the group fails: every on_stop runs in reverse order before the group raises."""
    recorder = Recorder()

    async def fail() -> None:
        await asyncio.sleep(0.02)
        raise BOOM

    with pytest.raises(ExceptionGroup) as failed:  # noqa: PT012 - the failure of a whole block is what is tested
        async with asyncio.TaskGroup() as group:
            system = ActorSystem("plant", [worker("a", recorder), worker("b", recorder), worker("c", recorder)])
            await system_child(group, system)
            group.create_task(fail())
    assert failed.value.exceptions == (BOOM,)
    assert recorder.stopped() == ["c", "b", "a"]


async def test_a_tree_that_gives_up_fails_the_group() -> None:
    """The group's siblings are cancelled and it raises one SupervisorGaveUp."""
    sibling = asyncio.Event()

    async def wait() -> None:
        try:
            await asyncio.sleep(30)
        finally:
            sibling.set()

    with pytest.raises(ExceptionGroup) as failed:  # noqa: PT012 - the failure of a whole block is what is tested
        async with asyncio.TaskGroup() as group:
            system = await system_child(group, ActorSystem("plant", [worker("a")], intensity=0))
            group.create_task(wait())
            await asyncio.sleep(0)
            system.ref("a").tell(BOOM)
    assert [type(error) for error in failed.value.exceptions] == [SupervisorGaveUp]
    assert sibling.is_set()


async def test_a_failed_start_is_the_callers() -> None:
    """`system_child` raises StartFailed; who catches it keeps the group."""

    def refuse() -> Actor[Any]:
        raise BOOM

    recorder = Recorder()
    async with asyncio.TaskGroup() as group:
        with pytest.raises(StartFailed) as failed:
            await system_child(group, ActorSystem("bad", [worker("a", recorder), ChildSpec(id="b", start=refuse)]))
        good = await system_child(group, ActorSystem("good", [worker("a")]))
        assert await good.ref("a").ask(1) == 1
        await good.stop()
    assert failed.value.cause is BOOM
    assert recorder.stopped() == ["a"]


async def test_a_start_that_the_caller_gives_up_is_undone() -> None:
    """A deadline around `system_child` stops what had started."""
    recorder = Recorder()

    class Slow(Actor[Any]):
        async def on_start(self) -> None:
            await asyncio.sleep(30)

    slow = ChildSpec(id="slow", start=Slow, start_timeout=30, shutdown=0.1)
    async with asyncio.TaskGroup() as group:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.1):
                await system_child(group, ActorSystem("plant", [worker("a", recorder), slow]))
    assert recorder.stopped() == ["a"]


async def test_cancelling_the_run_stops_the_tree_first() -> None:
    """The task of `run_system` ends cancelled, and only after the ordered stop, however often it is cancelled."""
    recorder = Recorder()
    up: asyncio.Future[ActorSystem] = asyncio.get_running_loop().create_future()
    system = ActorSystem("plant", [worker("a", recorder), worker("b", recorder)])
    task = asyncio.create_task(run_system(system, started=up.set_result))
    assert (await up) is system
    task.cancel()
    await asyncio.sleep(0.015)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert recorder.stopped() == ["b", "a"]


async def test_an_auto_shutdown_or_a_stop_from_within_ends_the_run() -> None:
    """`system.stop()` from an actor's own task is an orderly end: `run_system` returns."""

    async def stop(actor: Actor[Any]) -> None:
        actor.ctx.system.loop.create_task(actor.ctx.system.stop())

    async with asyncio.timeout(5), asyncio.TaskGroup() as group:
        system = await system_child(group, ActorSystem("plant", [worker("a")]))
        await system.ref("a").ask(stop)


async def test_two_systems_in_one_group_are_apart() -> None:
    """One system's stop leaves the other one of the same name alone, and no thread is made for either."""
    threads = set(threading.enumerate())
    async with asyncio.TaskGroup() as group:
        one = await system_child(group, ActorSystem("plant", [worker("a")]))
        two = await system_child(group, ActorSystem("plant", [worker("a")]))
        await one.stop()
        assert await two.ref("a").ask(2) == 2
        assert set(threading.enumerate()) == threads
        await two.stop()


async def test_a_group_that_is_ending_takes_no_system() -> None:
    """The group's own error comes out, the system has not started, and no coroutine is left without a reader."""

    async def late(group: asyncio.TaskGroup) -> None:
        try:
            await asyncio.sleep(10)
        finally:
            with pytest.raises(RuntimeError, match="shutting down"):
                await system_child(group, system)

    system = ActorSystem("plant", [worker("a")])
    with pytest.raises(ExceptionGroup) as failed:  # noqa: PT012 - the group is what is tested
        async with asyncio.TaskGroup() as group:
            group.create_task(late(group))
            await asyncio.sleep(0)
            raise BOOM
    assert failed.value.exceptions == (BOOM,)
    async with system:  # it may still be started
        assert await system.ref("a").ask(1) == 1
