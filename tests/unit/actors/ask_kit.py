"""What the tests of asks share: an actor that awaits what it is sent, idle or with a message before the request."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from bifrost.actors import (
    Actor,
    ActorRef,
    ActorSystem,
    ChildSpec,
)

__all__ = ["Puppet", "Work", "ask", "both_ways", "kept", "life", "puppet", "puppets"]

Work = Callable[["Puppet"], Awaitable[object]]

both_ways = pytest.mark.parametrize("way", ["idle", "queued"])


class Puppet(Actor[Any]):
    """Awaits what it is sent, with itself as the argument; keeps everything else."""

    def __init__(self, on_start: Work | None = None, on_stop: Work | None = None) -> None:
        self._on_start = on_start
        self._on_stop = on_stop
        self.kept: list[Any] = []

    async def on_start(self) -> None:
        if self._on_start is not None:
            await self._on_start(self)

    async def on_stop(self, reason: object) -> None:
        if self._on_stop is not None:
            await self._on_stop(self)

    async def receive(self, message: Any) -> object:
        if callable(message):
            return await message(self)
        self.kept.append(message)
        return message


def puppet(name: str = "a", **fields: Any) -> ChildSpec:
    return ChildSpec(id=name, start=Puppet, **fields)


@asynccontextmanager
async def puppets(*specs: ChildSpec) -> AsyncIterator[ActorSystem]:
    async with ActorSystem("s", specs or [puppet()], intensity=100) as system:
        yield system


async def ask(ref: ActorRef[Any], work: Any, way: str, *, timeout: float = 5.0) -> Any:
    """Ask an idle actor, or one that has a message before this one."""
    if way == "queued":
        ref.tell("first")
    return await ref.ask(work, timeout=timeout)


async def kept(actor: Puppet) -> list[Any]:
    return list(actor.kept)


async def life(actor: Puppet) -> int:
    return actor.ctx.incarnation
