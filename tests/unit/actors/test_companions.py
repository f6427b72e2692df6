"""What runs beside a system starts before its first actor and stops after its last."""

from __future__ import annotations

import asyncio

import pytest

from bifrost.actors import Actor, ActorSystem, ChildSpec, ExitReason, SupervisorStopped
from bifrost.errors import ActorError, StartFailed, SupervisorGaveUp


class Noting(Actor[str]):
    """Notes its start and stop; crashes at every message."""

    def __init__(self, log: list[str]) -> None:
        self.log = log

    async def on_start(self) -> None:
        self.log.append("actor starts")

    async def on_stop(self, reason: ExitReason) -> None:
        await asyncio.sleep(0.1)
        self.log.append("actor stops")

    async def receive(self, message: str) -> object:
        raise ValueError(message)


class Beside:
    """A companion that notes what it is told."""

    def __init__(self, name: str, log: list[str], error: Exception | None = None) -> None:
        self.name = name
        self.log = log
        self.error = error

    def start(self, system: ActorSystem) -> None:
        if self.error is not None:
            raise self.error
        assert system.loop.is_running()
        assert system.clock.monotonic() >= 0
        self.log.append(f"{self.name} starts")

    def stop(self) -> None:
        self.log.append(f"{self.name} stops")


def system_of(log: list[str], *companions: Beside, start: type | None = None) -> ActorSystem:
    system = ActorSystem(children=[ChildSpec(id="a", start=start or Noting, args=(log,))], intensity=0)
    system.companions += companions
    return system


async def crash_and_wait(system: ActorSystem) -> None:
    system.ref("a").tell("crash")
    await asyncio.sleep(10)


async def test_companions_enclose_the_actors() -> None:
    """They stop in reverse order when the tree has ended, once, also if stop is called by hand."""
    log: list[str] = []
    async with system_of(log, Beside("one", log), Beside("two", log)) as system:
        log.append("block")
        await system.stop()
    assert log == ["one starts", "two starts", "actor starts", "block", "actor stops", "two stops", "one stops"]


async def test_companions_stop_when_the_tree_does_not_start() -> None:
    """The failed start comes out of the block."""
    log: list[str] = []
    with pytest.raises(StartFailed):
        await system_of(log, Beside("one", log), start=list).__aenter__()
    assert log == ["one starts", "one stops"]


async def test_companions_stop_when_the_tree_gives_up() -> None:
    """Not before: they hear of everything."""
    log: list[str] = []
    system = system_of(log, Beside("one", log))
    system.events.subscribe(lambda event: log.append("end") if isinstance(event, SupervisorStopped) else None)
    with pytest.raises(SupervisorGaveUp):
        async with system:
            await crash_and_wait(system)
    assert log == ["one starts", "actor starts", "actor stops", "end", "one stops"]


async def test_a_companion_that_fails_keeps_the_system_from_starting() -> None:
    """Those before it are stopped, those after it are not started, and no actor is."""
    log: list[str] = []
    system = system_of(log, Beside("one", log), Beside("two", log, ActorError("no")), Beside("three", log))
    with pytest.raises(ActorError, match="no"):
        await system.__aenter__()
    assert log == ["one starts", "one stops"]
    assert asyncio.all_tasks() == {asyncio.current_task()}
