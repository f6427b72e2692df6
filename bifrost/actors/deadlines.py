"""When asks give up: few timers for many deadlines.

In: futures and seconds. Out: `AskTimeout` in those that are not done by then. Most asks have the same timeout and most
are answered long before it, so a timer for each would cost more than the ask. Here each length of timeout has one
queue, which is in order by itself, and one timer.
"""

from __future__ import annotations

import asyncio
from collections import deque
from math import isnan

from bifrost.errors import AskTimeout

__all__ = ["Deadlines"]

_LENGTHS = 64  # different timeouts with a queue of their own; others get an ordinary timer
_SWEEP = 256  # entries beyond the last sweep's survivors at which those that are done are taken out


class _Queue:
    """The deadlines of one length of timeout, soonest first."""

    __slots__ = ("entries", "sweep_at", "timer")

    def __init__(self) -> None:
        self.entries: deque[tuple[float, asyncio.Future[object], str]] = deque()
        self.timer: asyncio.TimerHandle | None = None
        self.sweep_at = _SWEEP


class Deadlines:
    """The deadlines of one system's asks."""

    __slots__ = ("_loop", "_queues")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._queues: dict[float, _Queue] = {}

    def add(self, reply: asyncio.Future[object], path: str, timeout: float) -> float:
        """Fail `reply` with `AskTimeout` if it is not done in `timeout` seconds; return when that is, in loop time.

        Raises:
            ValueError: `timeout` is not a number, which would upset the order of the loop's timers.
        """
        queue = self._queues.get(timeout)
        if queue is None:
            if isnan(timeout):
                raise ValueError(f"the timeout of an ask must be seconds or None, got {timeout!r}")
            if len(self._queues) >= _LENGTHS:
                timer = self._loop.call_later(timeout, _expire, reply, path, timeout)
                reply.add_done_callback(lambda _reply: timer.cancel())
                return timer.when()
            queue = self._queues[timeout] = _Queue()
        due = self._loop.time() + timeout
        entries = queue.entries
        entries.append((due, reply, path))
        if queue.timer is None:
            queue.timer = self._loop.call_at(due, self._fire, timeout, queue)
            return due
        while entries and entries[0][1].done():
            entries.popleft()
        if len(entries) > queue.sweep_at:
            # One that waits long must not hold up what was answered behind it.
            queue.entries = deque(entry for entry in entries if not entry[1].done())
            queue.sweep_at = 2 * len(queue.entries) + _SWEEP
        return due

    def _fire(self, timeout: float, queue: _Queue) -> None:
        entries = queue.entries
        now = self._loop.time()
        while entries and (entries[0][1].done() or entries[0][0] <= now):
            _, reply, path = entries.popleft()
            _expire(reply, path, timeout)
        if entries:
            queue.timer = self._loop.call_at(entries[0][0], self._fire, timeout, queue)
        else:
            del self._queues[timeout]

    def close(self) -> None:
        """Cancel every timer; nobody is left to answer."""
        for queue in self._queues.values():
            if queue.timer is not None:
                queue.timer.cancel()
            for _, reply, path in queue.entries:
                _expire(reply, path, 0.0)
        self._queues.clear()


def _expire(reply: asyncio.Future[object], path: str, timeout: float) -> None:
    """Fail `reply` unless it is done."""
    if not reply.done():
        reply.set_exception(AskTimeout(f"{path}: no answer in {timeout:g} s; it may still act"))
