"""Futures for the commands of the native log: completed by one wake-up per commit."""

from __future__ import annotations

import asyncio
import contextlib
import weakref
from collections.abc import Callable
from typing import Any

from bifrost._native import Wal
from bifrost.errors import BufferClosed

__all__ = ["Completions"]

EVENT_TOKEN = 0


class Completions:
    """Pairs the tokens of sent commands with futures of one event loop.

    The native owner thread calls `wake` when answers wait; that schedules `drain` on the loop. The thread holds only a
    weak reference, so a log that nobody uses any more can be collected.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, on_event: Callable[[dict[str, Any]], None]) -> None:
        self._loop = loop
        self._on_event = on_event
        self._futures: dict[int, asyncio.Future[Any]] = {}
        self._native: Wal | None = None
        self.wake = _waker(weakref.ref(self), loop)

    def attach(self, native: Wal) -> None:
        """Say where the answers come from; right after the native log was made."""
        self._native = native

    def expect(self, token: int) -> asyncio.Future[Any]:
        """A future for the answer to a command. Cancelling it does not undo the command."""
        future: asyncio.Future[Any] = self._loop.create_future()
        self._futures[token] = future
        return future

    def drain(self) -> None:
        """Complete what was answered; runs on the loop."""
        if self._native is None:
            return
        for token, answer, error in self._native.take():
            if token == EVENT_TOKEN:
                self._on_event(answer)
                continue
            future = self._futures.pop(token, None)
            if future is None or future.done():
                continue  # the waiter was cancelled
            if error is None:
                future.set_result(answer)
            else:
                future.set_exception(error)

    def abandon(self) -> None:
        """Fail whatever still waits; the thread has ended."""
        for future in self._futures.values():
            if not future.done():
                future.set_exception(BufferClosed("the write-ahead log was closed"))
        self._futures.clear()


def _waker(target: weakref.ref[Completions], loop: asyncio.AbstractEventLoop) -> Callable[[], None]:
    def deliver() -> None:
        completions = target()
        if completions is not None:
            completions.drain()

    def wake() -> None:
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
            loop.call_soon_threadsafe(deliver)

    return wake
