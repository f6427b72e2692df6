"""`start_timeout` is about `on_start` alone."""

from __future__ import annotations

import asyncio

from bifrost.actors import Actor, ActorSystem, ChildSpec


class Slow(Actor[str]):
    """Takes a second to start."""

    async def on_start(self) -> None:
        await asyncio.sleep(1)


async def test_a_start_that_suspends_and_is_in_time_is_not_failed_later() -> None:
    """Once `on_start` has returned, the time limit of the start is over."""
    async with ActorSystem(children=[ChildSpec(id="a", start=Slow, start_timeout=2)]) as system:
        await asyncio.sleep(60)
        assert system.ref("a").incarnation == 1
