"""The tasks of an incarnation at its end."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from bifrost.actors import Actor, ActorSystem, ChildSpec
from bifrost.errors import ActorCrashed
from bifrost.testing import EventLog


async def test_a_task_that_ends_with_the_handler_is_no_leak() -> None:
    """Handler and task fail in the same turn of the loop: both have ended, and nothing is called abandoned."""
    fault: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    class Pair(Actor[Any]):
        async def on_start(self) -> None:
            if self.ctx.incarnation == 1:
                self.ctx.spawn_task(self.wait())

        async def wait(self) -> None:
            await asyncio.wait([fault])
            fault.result()

        async def receive(self, message: Any) -> object:
            await asyncio.wait([fault])
            return fault.result()

    system = ActorSystem("plant", [ChildSpec(id="pair", start=Pair)])
    log = EventLog(system)
    async with system:
        log.take()
        asyncio.get_running_loop().call_later(1, fault.set_exception, ValueError("boom"))
        with pytest.raises(ActorCrashed):
            await system.ref("pair").ask("wait")
        await system.ref("pair").wait_running()
        assert not [line for line in log.take() if line.startswith("leaked")]
        assert (await system.stop()).clean
