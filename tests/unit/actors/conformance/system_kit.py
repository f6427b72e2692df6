"""What the system half of the conformance suite is written with: an actor that obeys, and short words."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any, Self

from bifrost.actors import (
    IGNORE,
    Actor,
    ActorRef,
    ActorState,
    ActorSystem,
    AutoShutdown,
    ChildSpec,
    Crash,
    ExitReason,
    Ignore,
    Killed,
    Normal,
    Restart,
    Shutdown,
    SupervisorRef,
)
from bifrost.errors import SupervisorGaveUp

PERMANENT, TRANSIENT, TEMPORARY = Restart.PERMANENT, Restart.TRANSIENT, Restart.TEMPORARY
ANY, ALL, NEVER = AutoShutdown.ANY_SIGNIFICANT, AutoShutdown.ALL_SIGNIFICANT, AutoShutdown.NEVER
BOOM = ValueError("boom")
NORMAL_ENDS: list[ExitReason] = [Normal(), Shutdown(), Shutdown("for a reason")]
ABNORMAL_ENDS: list[ExitReason] = [Crash(BOOM), Killed()]
ENDS = [*NORMAL_ENDS, *ABNORMAL_ENDS]


class Worker(Actor[Any]):
    """Raises what is raisable, awaits what is callable, answers with the rest."""

    def __init__(self, *, start_takes: float = 0, stop_takes: float = 0, info: object = None) -> None:
        self.start_takes = start_takes
        self.stop_takes = stop_takes
        self.info = info

    async def on_start(self) -> object:
        if self.start_takes:
            await asyncio.sleep(self.start_takes)
        return self.info

    async def receive(self, message: Any) -> object:
        if isinstance(message, BaseException):
            raise message
        if callable(message):
            return await message(self)
        return message

    async def on_stop(self, reason: ExitReason) -> None:
        if self.stop_takes:
            await asyncio.sleep(self.stop_takes)


class Factory:
    """Makes workers, unless it is told to fail or to ignore."""

    def __init__(self, *, failures: int = 0, ignores: bool = False) -> None:
        self.failures = failures
        self.ignores = ignores
        self.calls = 0

    def __call__(self, **options: Any) -> Worker | Ignore:
        self.calls += 1
        if self.failures:
            self.failures -= 1
            raise OSError("no such port")
        return IGNORE if self.ignores else Worker(**options)


def worker(
    child_id: str, restart: Restart = PERMANENT, start: Callable[..., Any] = Worker, **options: Any
) -> ChildSpec:
    kwargs: dict[str, Any] = {
        name: options.pop(name) for name in ("start_takes", "stop_takes", "info") if name in options
    }
    return ChildSpec(id=child_id, start=start, kwargs=kwargs, restart=restart, **options)


def workers(names: str, restart: Restart = PERMANENT) -> list[ChildSpec]:
    return [worker(name, restart) for name in names]


async def finish(actor: Worker) -> None:
    """A handler that ends its actor of its own will."""
    actor.ctx.stop()


def finish_with(reason: ExitReason) -> Callable[[Worker], Awaitable[None]]:
    async def end(actor: Worker) -> None:
        actor.ctx.stop(reason)

    return end


def hang(_: Worker) -> Awaitable[None]:
    """A handler that never comes to its end by itself."""
    return asyncio.sleep(10_000)


async def turn(seconds: float = 0.001) -> None:
    """Let everything that is ready happen, and virtual time pass."""
    await asyncio.sleep(seconds)


async def until(condition: Callable[[], bool]) -> None:
    """Wait turn by turn, without letting time pass: a restart that fails over and over leaves it no time to pass."""
    for _ in range(1000):
        if condition():
            return
        await asyncio.sleep(0)
    raise AssertionError("it did not come to that in 1000 turns of the loop")


def is_up(ref: ActorRef[Any]) -> bool:
    """The actor runs."""
    return ref.state is ActorState.RUNNING


async def end(ref: ActorRef[Any], reason: ExitReason) -> None:
    """Let the actor end with `reason`, and what follows happen."""
    if isinstance(reason, Crash):
        ref.tell(reason.error)
    elif isinstance(reason, Killed):
        ref.kill()
    else:
        ref.tell(finish_with(reason))
    await turn()


def counts(ref: SupervisorRef) -> list[int]:
    """specs, active, supervisors, workers."""
    found = ref.count_children()
    return [found.specs, found.active, found.supervisors, found.workers]


async def gave_up(system: ActorSystem, script: Callable[[ActorSystem], Awaitable[None]]) -> SupervisorGaveUp | None:
    """Run `script` in the system's block, and then for a minute; the error if the root gives up."""
    try:
        async with system:
            await script(system)
            await asyncio.sleep(60)
    except SupervisorGaveUp as error:
        return error
    return None


@contextmanager
def took(least: float, most: float) -> Iterator[None]:
    """The block takes so many seconds of virtual time."""
    loop = asyncio.get_running_loop()
    begun = loop.time()
    yield
    assert least <= loop.time() - begun <= most


class CallCount:
    """How many Python functions were called: a measure of work that no clock disturbs."""

    def __init__(self) -> None:
        self.calls = 0

    def __enter__(self) -> Self:
        sys.setprofile(self._count)
        return self

    def __exit__(self, *_: object) -> None:
        sys.setprofile(None)

    def _count(self, _frame: object, event: str, _argument: object) -> None:
        if event == "call":
            self.calls += 1
