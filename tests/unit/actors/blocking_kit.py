"""Blocking actors and a gate to hold them at, for tests of their threads."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

from bifrost.actors import (
    Actor,
    ChildSpec,
    ExitReason,
)
from bifrost.actors.blocking import BlockingActor

__all__ = ["Body", "Echo", "Gate", "body", "threads_of"]


class Body(BlockingActor[Any]):
    """Notes what runs in which thread; a callable is called with the actor, an exception is raised."""

    def __init__(self, seen: list[Any]) -> None:
        self.seen = seen

    def on_start(self) -> None:
        self.seen.append(("start", threading.current_thread().name))

    def receive(self, message: Any) -> object:
        if isinstance(message, BaseException):
            raise message
        if callable(message):
            return message(self)
        self.seen.append((message, threading.current_thread().name))
        return ("seen", message)

    def on_stop(self, reason: ExitReason) -> None:
        self.seen.append(("stop", type(reason).__name__))


class Echo(Actor[Any]):
    """Answers after some seconds."""

    async def receive(self, message: Any) -> Any:
        if isinstance(message, float):
            await asyncio.sleep(message)
        return message


class Gate:
    """Holds threads fast until the test is over."""

    def __init__(self) -> None:
        self.event = threading.Event()
        self.entered = threading.Event()

    def hang(self, _actor: Any) -> None:
        self.entered.set()
        assert self.event.wait(30)


def body(seen: list[Any], **options: Any) -> ChildSpec:
    return ChildSpec(id="a", start=Body, args=(seen,), **options)


def threads_of(path: str) -> list[str]:
    return sorted(thread.name for thread in threading.enumerate() if thread.name.startswith(f"{path}#"))
