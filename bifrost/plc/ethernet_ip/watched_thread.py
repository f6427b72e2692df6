"""One thread for one link, with a watchdog on the event loop.

In: functions that block. Out: what they return or raise, by a deadline. The loop never waits for the thread: when a
deadline passes the socket is cut off from outside, so that the function ends; one that does not is abandoned with its
thread, and counted until it ends. Not here: what the functions do.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import functools
import threading
from collections import Counter, deque
from collections.abc import Callable
from typing import Any, Protocol, TypeVar

from bifrost.actors.actor_thread import ActorThread
from bifrost.core.clock import Clock
from bifrost.errors import BifrostError, ConfigError, DeviceFault, LinkTimeout, NotConnected, WriteError

__all__ = ["MAX_STUCK", "MAX_WAITING", "LinkBusy", "Severable", "WatchedThread", "stuck_threads"]

MAX_WAITING = 256
"""Requests that may wait for their turn on one link."""

MAX_STUCK = 3
"""Threads of one endpoint that may be stuck at a time; then no link to it is tried."""

_GRACE = 0.5  # seconds that a function gets to end after its socket was cut off
_HARMLESS = (DeviceFault, ConfigError, WriteError)  # what says nothing against the link

_T = TypeVar("_T")

# Shared by all links of the process, since each link has a thread and an object of its own.
_stuck: Counter[str] = Counter()
_stuck_lock = threading.Lock()


def stuck_threads(endpoint: str) -> int:
    """How many threads of this endpoint were abandoned and have not ended yet."""
    with _stuck_lock:
        return _stuck[endpoint]


class LinkBusy(NotConnected):
    """Too many requests wait for the link, or this one has waited too long; nothing was sent."""


class Severable(Protocol):
    """What a function of the thread may be waiting for."""

    patience: float
    beat: float

    def sever(self) -> None:
        """End every wait, from outside; returns at once."""
        ...

    def close(self) -> None:
        """Give back what it holds, from outside; returns at once."""
        ...


class _Job:
    """A function on its way through the thread."""

    def __init__(self, function: Callable[[], Any], answer: asyncio.Future[Any], patience: float, limit: float) -> None:
        self.function = function
        self.answer = answer
        self.patience = patience
        self.limit = limit
        self.started = 0.0
        self._lock = threading.Lock()
        self._ended = False
        self._counted = ""

    def run(self) -> Any:
        """In the thread."""
        try:
            return self.function()
        finally:
            with self._lock:
                self._ended = True
                if self._counted:
                    with _stuck_lock:
                        _stuck[self._counted] -= 1

    def abandon(self, endpoint: str) -> bool:
        """On the loop: count the thread as stuck if it is; it takes itself off the count when it ends."""
        with self._lock:
            if self._ended or self._counted:
                return False
            self._counted = endpoint
            with _stuck_lock:
                _stuck[endpoint] += 1
            return True


class WatchedThread:
    """A dedicated thread that runs one function at a time; the others wait for their turn, in order.

    Args:
        endpoint: whose link it is; stuck threads are counted for it.
        wire: what the functions wait for.
        clock: for deadlines.
        on_dead: see the attribute.

    Attributes:
        on_dead: called once, on the loop, when the link is given up; not after `end`.
        dead: why the link was given up; None while it lives.
        timeouts: functions that were cut off.
        abandoned: 1 if the thread did not end in time after that.
    """

    def __init__(
        self, endpoint: str, wire: Severable, clock: Clock, on_dead: Callable[[BifrostError], None] | None
    ) -> None:
        self.dead: BifrostError | None = None
        self.timeouts = 0
        self.abandoned = 0
        self._endpoint = endpoint
        self._wire = wire
        self._clock = clock
        self.on_dead = on_dead
        self._loop = asyncio.get_running_loop()
        # An idle thread whose loop is closed ends by itself; an abandoned one has its end waiting in the inbox.
        context = contextvars.copy_context()
        self._thread = ActorThread(self._loop, f"bifrost-ethernet-ip {endpoint}", context, lambda: False)
        self._job: _Job | None = None
        self._waiting: deque[_Job] = deque()
        self._timer: asyncio.TimerHandle | None = None
        self._idle = asyncio.Event()
        self._idle.set()

    @property
    def busy(self) -> bool:
        """True while a function runs."""
        return self._job is not None

    async def run(self, function: Callable[..., _T], *args: Any, patience: float, limit: float) -> _T:
        """Run a function in the thread, after those that came before.

        If this is cancelled while the function runs, it goes on to its end or its deadline, and what it brings is
        dropped; the next function begins after that.

        Args:
            function: raises `LinkError` or `ProtocolError` if the link is of no use any more; it is then given up, as
                after any other error but `DeviceFault`, `ConfigError` and `WriteError`.
            args: of the function.
            patience: seconds that one exchange may take.
            limit: seconds that all of it may take, and that it may wait for its turn.

        Raises:
            NotConnected: the link was given up.
            LinkTimeout: the deadline has passed; the link is given up.
            LinkBusy: too many wait already, or this one has waited too long; the link goes on.
        """
        if self.dead is not None:
            raise NotConnected(f"the link to the device is down: {self.dead}")
        if len(self._waiting) >= MAX_WAITING:
            raise LinkBusy(f"{MAX_WAITING} requests wait for {self._endpoint} already; ask less often")
        job = _Job(functools.partial(function, *args), self._loop.create_future(), patience, limit)
        self._waiting.append(job)
        self._begin()
        turn = self._loop.call_later(limit, self._pass_over, job) if self._job is not job else None
        try:
            result: _T = await job.answer
        except asyncio.CancelledError:
            self._forget(job)
            raise
        finally:
            if turn is not None:
                turn.cancel()
        return result

    def cut(self, error: BifrostError) -> None:
        """Give the link up: every wait ends with `error`, now and in future; idempotent."""
        if self.dead is not None:
            return
        self.dead = error
        self._wire.sever()
        self._thread.close()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        job = self._job
        if job is not None and not job.answer.done():
            job.answer.set_exception(error)
        while self._waiting:
            waiting = self._waiting.popleft()
            if not waiting.answer.done():
                waiting.answer.set_exception(NotConnected(f"the link to the device is down: {error}"))
        if job is None:
            self._wire.close()
        else:
            self._timer = self._loop.call_later(_GRACE, self._abandon, job)
        on_dead, self.on_dead = self.on_dead, None
        if on_dead is not None:
            on_dead(error)

    async def end(self) -> None:
        """End the link and the thread, within a second; idempotent; `on_dead` is not called."""
        self.on_dead = None
        self.cut(NotConnected("the connection was closed"))
        # Not joined: its end is in its inbox, it does nothing more, and the loop waits for no thread, however short.
        with contextlib.suppress(TimeoutError):  # it is abandoned then, and counted
            async with asyncio.timeout(_GRACE + 0.1):
                await self._idle.wait()

    def _forget(self, job: _Job) -> None:
        with contextlib.suppress(ValueError):  # it has begun
            self._waiting.remove(job)

    def _pass_over(self, job: _Job) -> None:
        if job in self._waiting and not job.answer.done():
            self._forget(job)
            job.answer.set_exception(LinkBusy(f"{self._endpoint} was busy with others for {job.limit:g} s"))

    def _begin(self) -> None:
        if self._job is not None or self.dead is not None:
            return
        while self._waiting:
            job = self._waiting.popleft()
            if job.answer.done():
                continue  # given up while it waited
            self._job = job
            self._idle.clear()
            self._wire.patience = job.patience
            job.started = self._clock.monotonic()
            done = self._thread.submit(job.run)
            done.add_done_callback(functools.partial(self._finish, job))
            self._timer = self._loop.call_later(min(job.patience, job.limit), self._look, job)
            return

    def _finish(self, job: _Job, done: asyncio.Future[Any]) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._job = None
        self._idle.set()
        outcome = done.result()
        if self.dead is not None:
            self._wire.close()  # fenced: what it brought is nobody's
            return
        error = outcome.error
        if error is None or isinstance(error, _HARMLESS):
            if not job.answer.done():
                if error is None:
                    job.answer.set_result(outcome.value)
                else:
                    job.answer.set_exception(error)
            self._begin()
            return
        if not job.answer.done():
            job.answer.set_exception(error)
        if isinstance(error, LinkTimeout):
            self.timeouts += 1
        self.cut(error if isinstance(error, BifrostError) else NotConnected(f"the link failed: {error!r}"))

    def _look(self, job: _Job) -> None:
        """See whether the function is still in time."""
        self._timer = None
        if self._job is not job:
            return
        now = self._clock.monotonic()
        due = min(max(job.started, self._wire.beat) + job.patience, job.started + job.limit)
        if now < due:
            self._timer = self._loop.call_later(due - now, self._look, job)
            return
        self.timeouts += 1
        waited = job.limit if due == job.started + job.limit else job.patience
        self.cut(LinkTimeout(f"{self._endpoint} did not answer within {waited:g} s"))

    def _abandon(self, job: _Job) -> None:
        self._timer = None
        if self._job is job and job.abandon(self._endpoint):
            self.abandoned = 1
            self._wire.close()
