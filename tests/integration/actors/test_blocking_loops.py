"""Blocking actors on the event loops that applications run: asyncio's own and uvloop."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest
import uvloop

from bifrost.actors import Actor, ActorSystem, BlockingActor, ChildSpec
from bifrost.errors import ActorCrashed, HandlerTimeout


class Echo(Actor[float]):
    """Answers after some seconds."""

    async def receive(self, message: float) -> float:
        await asyncio.sleep(message)
        return message


class Press(BlockingActor[str]):
    """Blocks as it is told."""

    handler_timeout = 0.3

    def __init__(self, release: threading.Event) -> None:
        self.release = release

    def receive(self, message: str) -> Any:
        if message == "hang":
            return self.release.wait(60)
        if message == "ask":
            return self.ctx.ask(self.ctx.system.ref("echo"), 0.02)
        if message == "wait":
            return self.ctx.wait(0.02)
        time.sleep(0.01)
        return message


@pytest.mark.parametrize("new_loop", [asyncio.new_event_loop, uvloop.new_event_loop])
def test_a_blocking_actor_works_on_the_loop(new_loop: Callable[[], asyncio.AbstractEventLoop]) -> None:
    """Messages, waits and asks of the thread, a stuck thread, and an end that does not wait for it."""
    release = threading.Event()

    async def main() -> None:
        specs = [ChildSpec(id="echo", start=Echo), ChildSpec(id="press", start=Press, args=(release,))]
        async with ActorSystem(children=specs) as system:
            press = system.ref("press")
            assert await asyncio.gather(*(press.ask(text) for text in ("a", "ask", "wait", "b"))) == [
                "a",
                0.02,
                False,
                "b",
            ]
            with pytest.raises(ActorCrashed) as caught:
                await press.ask("hang")
            assert isinstance(caught.value.cause, HandlerTimeout)
            assert await press.ask("c", timeout=20) == "c"
            assert [leak.path for leak in system.leaks] == ["press"]

    begun = time.monotonic()
    try:
        with asyncio.Runner(loop_factory=new_loop) as runner:
            runner.run(main())
        assert time.monotonic() - begun < 20
    finally:
        release.set()
