"""An asyncio event loop whose time jumps to the next timer instead of waiting for it.

In: coroutines that use asyncio as usual. Out: the same order of events as in real time, in no time, and a named error
where a program would wait for ever.

The loop waits in real time where only the real world can go on: while an executor job runs, while `external_work` is
held, and, briefly, while a socket is registered or a foreign thread has been seen to call in.
"""

from __future__ import annotations

import asyncio
import selectors
import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Executor
from contextlib import contextmanager
from contextvars import Context
from typing import Any, TypeVar, TypeVarTuple

__all__ = ["Deadlock", "VirtualLoop"]

_T = TypeVar("_T")
_Ts = TypeVarTuple("_Ts")

_PEER_GRACE = 0.002  # real seconds that a peer's bytes may take over loopback before virtual time moves on
_THREAD_GRACE = 0.01  # the same for a thread that has been seen to call in: it may have to reach the disk first
_SILENCE = 2.0  # real seconds without a sign from a thread or peer before a wait without a timer counts as a deadlock
_EXTERNAL_LIMIT = 60.0  # real seconds that outstanding work may take: nothing waits without a deadline


class Deadlock(RuntimeError):
    """Every task waits, no timer is set and nothing outside the loop is under way: nobody will ever wake it."""


class _JumpingSelector(selectors.BaseSelector):
    """A selector that never sleeps for a timer: it tells the loop to jump instead."""

    def __init__(self, loop: VirtualLoop) -> None:
        self._inner = selectors.DefaultSelector()
        self._loop = loop

    def register(self, fileobj: Any, events: int, data: Any = None) -> selectors.SelectorKey:
        return self._inner.register(fileobj, events, data)

    def unregister(self, fileobj: Any) -> selectors.SelectorKey:
        return self._inner.unregister(fileobj)

    def modify(self, fileobj: Any, events: int, data: Any = None) -> selectors.SelectorKey:
        return self._inner.modify(fileobj, events, data)

    def get_map(self) -> Mapping[Any, selectors.SelectorKey]:
        return self._inner.get_map()

    def close(self) -> None:
        self._inner.close()

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = self._inner.select(0)
        if ready or (timeout is not None and timeout <= 0):
            return ready
        if self._loop.external_count:
            ready = self._inner.select(_EXTERNAL_LIMIT)
            if not ready:
                raise Deadlock(f"outstanding external work gave no sign for {_EXTERNAL_LIMIT:g} s of real time")
            return ready
        has_peers = len(self._inner.get_map()) > 1 or self._loop.heard_threads  # one entry is the loop's own pipe
        if timeout is None:
            ready = self._inner.select(_SILENCE if has_peers or threading.active_count() > 1 else 0)
            if not ready:
                raise Deadlock(self._loop.describe_deadlock())
            return ready
        if has_peers:
            ready = self._inner.select(_THREAD_GRACE if self._loop.heard_threads else _PEER_GRACE)
            if ready:
                return ready
        self._loop.jump(timeout)
        return ready


class VirtualLoop(asyncio.SelectorEventLoop):
    """An event loop with virtual time, starting at 0.0.

    Example:
        >>> async def nap() -> float:
        ...     await asyncio.sleep(4000)
        ...     return asyncio.get_running_loop().time()
        >>> with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        ...     runner.run(nap())
        4000.0
    """

    def __init__(self) -> None:
        self._virtual_now = 0.0
        self._external = 0
        self._external_lock = threading.Lock()
        self.heard_threads = False
        super().__init__(_JumpingSelector(self))

    def time(self) -> float:
        """Virtual seconds since the loop was made."""
        return self._virtual_now

    def jump(self, seconds: float) -> None:
        """Move virtual time forward by `seconds`, to the exact time of the next timer if that is what comes."""
        target = self._virtual_now + seconds
        # The selector is given a difference; adding it again must not fall short of the timer by a rounding error.
        scheduled: list[asyncio.TimerHandle] = getattr(self, "_scheduled", [])
        if scheduled and abs(scheduled[0].when() - target) < 1e-6:
            target = scheduled[0].when()
        self._virtual_now = max(self._virtual_now, target)

    @property
    def external_count(self) -> int:
        """How much external work is outstanding."""
        return self._external

    @contextmanager
    def external_work(self) -> Iterator[None]:
        """Keep virtual time still, and wait in real time, while something outside the loop is under way.

        Hold it around a wait for a thread, a native thread or another process that calls back into the loop.
        """
        with self._external_lock:
            self._external += 1
        try:
            yield
        finally:
            with self._external_lock:
                self._external -= 1

    def call_soon_threadsafe(
        self, callback: Callable[[*_Ts], object], *args: *_Ts, context: Context | None = None
    ) -> asyncio.Handle:
        """As in asyncio; remembers that threads call into this loop."""
        if not self.is_running() or threading.get_ident() != getattr(self, "_thread_id", None):
            self.heard_threads = True
        return super().call_soon_threadsafe(callback, *args, context=context)

    def run_in_executor(self, executor: Executor | None, func: Callable[[*_Ts], _T], *args: *_Ts) -> asyncio.Future[_T]:
        """As in asyncio; virtual time stands still until the job is done."""
        future = super().run_in_executor(executor, func, *args)
        with self._external_lock:
            self._external += 1
        future.add_done_callback(self._job_done)
        return future

    def _job_done(self, _future: asyncio.Future[Any]) -> None:
        with self._external_lock:
            self._external -= 1

    async def shutdown_default_executor(self, timeout: float | None = None) -> None:
        """As in asyncio; the waiting thread is external work."""
        with self.external_work():
            await super().shutdown_default_executor()

    def describe_deadlock(self) -> str:
        """Name the tasks that wait, for the error text."""
        waiting = sorted(task.get_name() for task in asyncio.all_tasks(self) if not task.done())
        return f"nothing is ready, no timer is set and no external work is under way; waiting: {', '.join(waiting)}"
