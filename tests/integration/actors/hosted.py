"""Actors and checks that the tests of the hosts share."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from bifrost.actors import Actor, ChildSpec, ExitReason

__all__ = ["BOOM", "Recorder", "Worker", "no_thread_left", "wait_until", "worker"]

BOOM = ValueError("boom")


class Recorder:
    """What the actors of one test did, in order; also the way to hold one of them up."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.release = threading.Event()

    def stopped(self) -> list[str]:
        """The ids of the actors whose `on_stop` ran, in order."""
        return [line.removeprefix("stop ") for line in self.lines if line.startswith("stop ")]


class Worker(Actor[Any]):
    """Raises what is raisable, calls what is callable, returns the rest; notes its start and its stop."""

    def __init__(self, name: str, recorder: Recorder) -> None:
        self.name = name
        self.recorder = recorder

    async def on_start(self) -> None:
        self.recorder.lines.append(f"start {self.name}")

    async def receive(self, message: Any) -> object:
        if isinstance(message, BaseException):
            raise message
        if message == "hang":
            try:
                await asyncio.sleep(60)
            except asyncio.CancelledError:
                self.recorder.lines.append(f"cancelled {self.name}")
                raise
        if message == "block":
            self.recorder.release.wait(20)
        if callable(message):
            return await message(self)
        return message

    async def on_stop(self, reason: ExitReason) -> None:
        await asyncio.sleep(0.01)  # a stop takes time, and the order shows
        self.recorder.lines.append(f"stop {self.name}")


def worker(name: str, recorder: Recorder | None = None, **options: Any) -> ChildSpec:
    """A child that is a `Worker`."""
    return ChildSpec(id=name, start=Worker, args=(name, recorder or Recorder()), **options)


@contextmanager
def no_thread_left() -> Iterator[None]:
    """Check that the block leaves no thread behind that was not there before."""
    before = set(threading.enumerate())
    yield
    deadline = time.monotonic() + 2.0
    left: set[threading.Thread] = set()
    while time.monotonic() < deadline:
        left = {thread for thread in threading.enumerate() if thread not in before and not _is_trios(thread)}
        if not left:
            return
        time.sleep(0.005)
    raise AssertionError(f"threads left behind: {left}")


def _is_trios(thread: threading.Thread) -> bool:
    return thread.daemon and thread.name.startswith("Trio")  # its cache of idle workers


def wait_until(condition: Callable[[], bool], *, timeout: float = 5.0) -> None:
    """Return when `condition` holds; fail if it does not come to hold in time."""
    deadline = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < deadline, "it did not come to hold in time"
        time.sleep(0.002)
