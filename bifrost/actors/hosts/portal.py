"""One actor system in a thread of its own, and the door to it for hosts that are not asyncio.

In: an `ActorSystem` that does not run yet; messages and coroutine functions from any thread. Out: futures of
`concurrent.futures`, a report of the stop, one call when the system is down. Not here: waiting in the host's own
manner; `threads.py`, `trio.py` and `pykka.py` do that.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
import time
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from dataclasses import replace
from typing import Any, Final, Self, TypeVar

from bifrost.actors.hosts import calls
from bifrost.actors.hosts.loop_thread import GRACE, LoopFactory, LoopThread
from bifrost.actors.hosts.owner import is_anybody_left
from bifrost.actors.hosts.work import Call, Order, Post
from bifrost.actors.incarnation import CURRENT
from bifrost.actors.mailbox import Lane
from bifrost.actors.ref import ActorRef
from bifrost.actors.shutdown_report import Leak, ShutdownReport
from bifrost.actors.state import ActorState, Delivery
from bifrost.actors.system import ActorSystem
from bifrost.errors import ActorError, ActorStopped, SupervisorGaveUp

__all__ = ["Portal"]

_log = logging.getLogger("bifrost.actors")

_T = TypeVar("_T")

_FORCED_STOP: Final = 5.0  # seconds that a stop may take beyond its deadline, when everything is cancelled
_MOST_WAITING: Final = 50_000  # things that may wait for the loop before posts are dropped: some 10 MB
_OWNER_EVERY: Final = 0.5  # seconds between two looks whether anybody is left who could close the portal


class Portal:
    """Runs one system on a loop of its own, in a thread that is no daemon.

    `call`, `post` and `ask` may be used from any thread, from the moment the portal is started. What one thread submits
    here is begun in that order; `ActorRef.tell` from a foreign thread is a way of its own and may overtake it.

    A portal that nobody closes would keep the process alive for ever. It therefore closes itself, with a warning, when
    `owner` has ended; without one, when no thread is left that could close it.

    Args:
        system: the system to run; not started yet.
        loop_factory: makes the loop, in the new thread: for instance `uvloop.new_event_loop`.
        owner: the thread whose end ends the system.
    """

    def __init__(
        self,
        system: ActorSystem,
        *,
        loop_factory: LoopFactory = asyncio.new_event_loop,
        owner: threading.Thread | None = None,
    ) -> None:
        self.system = system
        self._owner = owner
        self._thread = LoopThread(
            f"bifrost-{system.name}", self._live, loop_factory=loop_factory, on_end=self._thread_ends
        )
        self._lock = threading.Lock()
        self._began = False
        self._up: Future[None] = Future()
        self._up.set_running_or_notify_cancel()
        self._life: asyncio.Task[Any] | None = None
        self._closing: asyncio.Event | None = None
        self._stop_timeout: float | None = None
        self._close_wanted = False
        self._error: BaseException | None = None
        self._report: ShutdownReport | None = None
        self._down = False
        self._listeners: list[Callable[[BaseException | None], object]] = []
        self.in_flight: set[Call] = set()
        self.dropped = 0
        """Posts that were dropped because too many waited for the loop."""

    # Life

    def start(self, *, timeout: float = 60.0) -> Self:
        """Start thread, loop and tree; return when every child's `on_start` has returned.

        Args:
            timeout: seconds; each child has its `start_timeout` besides.

        Raises:
            StartFailed: a child did not start; nothing is left of the tree or of the thread.
            TimeoutError: it took longer; what had started is being stopped.
            ActorError: the portal was started before; make a new one.
        """
        up = self.start_soon()
        try:
            up.result(timeout)
        except BaseException as error:
            if up.done() and up.exception() is not None:
                self._thread.join(GRACE)  # the tree was rolled back; the thread is at its last lines
                raise
            self._thread.submit(Order(self._close_now, 0.0))
            if isinstance(error, TimeoutError):
                where = self._thread.stack()
                raise TimeoutError(
                    f"system {self.system.name!r} did not start in {timeout:g} s; it is being stopped; its thread is at"
                    f"\n{where}"
                ) from None
            raise
        return self

    def start_soon(self) -> Future[None]:
        """Start as `start` does, without waiting; the future is done when the tree runs or has failed to."""
        with self._lock:
            if self._began:
                raise ActorError(f"the portal of system {self.system.name!r} was started before; make a new one")
            self._began = True
        try:
            self._thread.start()
        except BaseException as error:
            self._thread_ends(error)  # the machine has no thread left
            raise
        return self._up

    def close(self, timeout: float | None = None) -> ShutdownReport:
        """Stop the tree in reverse order, end the loop and the thread, and report; a repeat returns the same report.

        Never raises for what the tree did: `error` tells. A loop that is blocked cannot be stopped: then the report
        says that the deadline passed and names the thread and the line it is at; a later call may find it ended.

        Args:
            timeout: seconds for the orderly stop; None is the system's `stop_timeout`.

        Raises:
            ActorError: called in the system's own thread, where it would wait for itself.
        """
        self._refuse_own_thread("close")
        limit = self._begin_close(timeout)
        self._thread.join(limit)
        return self.report_after(limit)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    async def aclose(self, timeout: float | None = None) -> ShutdownReport:
        """Close from a coroutine on another asyncio loop, which goes on meanwhile; see `close`.

        If the caller is cancelled, the stop goes on without it.
        """
        self._refuse_own_thread("aclose")
        limit = self._begin_close(timeout)
        loop = asyncio.get_running_loop()
        down = asyncio.Event()

        def is_down(_: BaseException | None) -> None:
            with contextlib.suppress(RuntimeError):  # the caller's loop has ended meanwhile
                loop.call_soon_threadsafe(down.set)

        forget = self.on_down(is_down)
        try:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(limit):
                    await down.wait()
        finally:
            forget()
        return self.report_after(limit)

    def close_soon(self, timeout: float | None = None) -> float:
        """Begin to close and return; allowed in any thread, the system's own too. `on_down` tells the end.

        Returns:
            Seconds after which it has ended, unless something blocks the loop.
        """
        return self._begin_close(timeout)

    def report_after(self, seconds: float) -> ShutdownReport:
        """The report of a close that was begun `seconds` ago; for hosts that wait for `on_down` in their own manner."""
        # Once it is down, the thread is at its last lines: this is no wait to speak of.
        return self._make_report(seconds, ended=self._thread.join(GRACE if self._down else 0.0))

    def on_down(self, callback: Callable[[BaseException | None], object]) -> Callable[[], None]:
        """Have `callback` called once when tree, loop and tasks have ended; at once if they have.

        It is called in the portal's thread with the exception that ended the system: `SupervisorGaveUp`, what its start
        raised, or None after an orderly close. It must not block; what it raises is logged.

        Returns:
            A function that takes the callback back.
        """
        with self._lock:
            if not self._down:
                self._listeners.append(callback)
                return lambda: self._forget(callback)
        callback(self._error)
        return lambda: None

    @property
    def error(self) -> BaseException | None:
        """What ended the system unasked, or None: `SupervisorGaveUp`, or what came out of its loop."""
        return self._error

    @property
    def is_running(self) -> bool:
        """True from the end of a successful start until the system ends."""
        return self._up.done() and self._up.exception() is None and self._thread.is_open

    def raise_if_down(self, cause: Exception | None = None) -> None:
        """Raise what ended the system, if it ended unasked: `SupervisorGaveUp`, or SystemExit and its like as they are.

        Args:
            cause: what the host failed with besides; it is told with the exception.
        """
        if self._error is not None:
            raise self.gone_error() from cause or self._error.__cause__

    # Work

    def call(self, coro_fn: Callable[..., Coroutine[Any, Any, _T]], *args: Any) -> Future[_T]:
        """Run `coro_fn(*args)` as a task on the system's loop, in a copy of the caller's context.

        Cancelling the future cancels the task. After the end of the system the future fails with `SupervisorGaveUp` if
        the tree gave up, else with `ActorStopped`.
        """
        call = Call(self, coro_fn, args)
        if not self._began:
            raise ActorError(f"the portal of system {self.system.name!r} is not started; call start first")
        self._thread.submit(call)
        return call.future

    def post(self, ref: ActorRef[Any], message: Any, *, lane: Lane = Lane.NORMAL) -> Delivery:
        """Tell; never raises and never waits. Many posts cost one wake-up of the loop.

        Returns:
            ACCEPTED: it is on its way, and becomes a dead letter if the mailbox is full or the actor has stopped by
            then. DROPPED: 50 000 things wait for the loop, which is blocked or slower than its hosts: `dropped` counts
            it, there is no dead letter; whoever posts that much should `send`. DEAD: the actor has stopped, or the
            system is gone.
        """
        sender = CURRENT.get()
        if sender is not None and sender.fenced:
            return ref.tell(message, lane=lane)  # refused there, as for any abandoned incarnation
        if ref.state in (ActorState.STOPPED, ActorState.FAILED):
            return ref.tell(message, lane=lane)  # a dead letter
        if self._thread.backlog >= _MOST_WAITING:
            self.dropped += 1
            if self.dropped.bit_count() == 1 and self.dropped.bit_length() % 4 == 1:  # a flood must not flood the log
                _log.warning(
                    "system %r: %d posts dropped: the loop is blocked, or slower than its hosts post",
                    self.system.name,
                    self.dropped,
                )
            return Delivery.DROPPED
        return Delivery.ACCEPTED if self._thread.submit(Post(ref, message, lane)) else Delivery.DEAD

    def ask(
        self, ref: calls.Target, message: Any, *, timeout: float | None = 5.0, lane: Lane = Lane.NORMAL
    ) -> Future[Any]:
        """Ask; the future has the answer, or one of the errors of `ActorRef.ask`. Cancelling it withdraws the request.

        Args:
            ref: whom, as ref or path.
            message: what.
            timeout: seconds from now, the way to the loop included; None only where something else bounds the wait.
            lane: priority.
        """
        deadline = None if timeout is None else time.monotonic() + timeout
        return self.call(calls.ask, self.system, ref, message, deadline, lane)

    def is_responsive(self, within: float = 1.0) -> bool:
        """Ask the loop for a sign of life. Blocks the caller for `within` seconds at most.

        False means that a handler blocks the loop (`stack` tells where), or that the system is gone.
        """
        return self._thread.is_responsive(within)

    def stack(self) -> str:
        """Where the system's thread is at this moment, as a traceback; empty if it has ended."""
        return self._thread.stack()

    @property
    def takes_calls(self) -> bool:
        """True until the loop winds up."""
        return self._thread.is_open

    @property
    def is_own_thread(self) -> bool:
        """True in the system's own thread, where waiting for the portal would wait for ever."""
        return self._thread.is_current

    # On the loop

    async def _live(self) -> None:
        self._life = asyncio.current_task()
        self._closing = asyncio.Event()
        if self._close_wanted:
            raise asyncio.CancelledError
        try:
            async with self.system:
                self._up.set_result(None)
                self._look_for_owner(asyncio.get_running_loop())
                await self._closing.wait()
                await self.system.stop(self._stop_timeout)
        finally:
            if self.system.thread_id == threading.get_ident():  # not one that was running already
                self._report = await self.system.stop()

    def _close_now(self, timeout: float | None) -> None:
        """Let the life end; called on the loop."""
        if self._close_wanted:
            return
        self._close_wanted = True
        self._stop_timeout = timeout
        if self._closing is None or self._life is None:
            return  # it has not begun, and looks
        self._closing.set()
        if not self._up.done():
            self._life.cancel()  # it is still starting

    def _look_for_owner(self, loop: asyncio.AbstractEventLoop) -> None:
        if self._close_wanted:
            return
        if is_anybody_left(self._owner):
            loop.call_later(_OWNER_EVERY, self._look_for_owner, loop)
            return
        _log.warning("system %r: nobody is left to close its portal; it stops", self.system.name)
        self._close_now(None)

    def _thread_ends(self, error: BaseException | None) -> None:
        """Settle everything that waits; called in the thread when the loop is closed."""
        if isinstance(error, asyncio.CancelledError):
            error = ActorStopped(f"system {self.system.name!r} was closed while it started")
        if not self._up.done():
            self._error = error or ActorStopped(f"system {self.system.name!r} ended while it started")
            self._up.set_exception(self._error)
        else:
            self._error = error
        for call in tuple(self.in_flight):
            call.refuse()
        self._tell_down()

    def _tell_down(self) -> None:
        with self._lock:
            self._down = True
            listeners, self._listeners = self._listeners, []
        for listener in listeners:
            try:
                listener(self._error)
            except Exception:  # noqa: BLE001 - a callback is the host's code; the end goes on
                _log.exception("system %r: a callback of on_down failed", self.system.name)

    # Below

    def _begin_close(self, timeout: float | None) -> float:
        with self._lock:
            never_to_start = not self._began
            self._began = True
        if never_to_start:
            self._thread.give_up()
            self._tell_down()
        self._thread.submit(Order(self._close_now, timeout))
        self._thread.wake()
        seconds = self.system.stop_timeout if timeout is None else timeout
        return seconds + _FORCED_STOP + 3 * GRACE

    def _make_report(self, limit: float, *, ended: bool) -> ShutdownReport:
        if not ended:
            line = self._thread.stack().strip().splitlines()[-2:]
            what = f"thread {self._thread.name}, at {' '.join(part.strip() for part in line)}"
            return ShutdownReport(seconds=limit, timed_out=True, leaked=(Leak(self.system.name, 0, what),))
        report = self._report or ShutdownReport(seconds=0.0, timed_out=False, leaked=())
        known = {leak.what for leak in report.leaked}
        behind = [Leak(self.system.name, 0, what) for what in self._thread.left_behind if what.startswith("thread ")]
        return replace(report, leaked=(*report.leaked, *(leak for leak in behind if leak.what not in known)))

    def _forget(self, callback: Callable[[BaseException | None], object]) -> None:
        with self._lock:
            if callback in self._listeners:
                self._listeners.remove(callback)

    def _refuse_own_thread(self, what: str) -> None:
        if self._thread.is_current:
            raise ActorError(
                f"{what} was called in the thread of system {self.system.name!r} and would wait for itself: "
                "use close_soon, or close it from the host"
            )

    def gone_error(self) -> BaseException:
        """Why there is nobody to call any more: a new exception at each call, for several threads may raise it."""
        error = self._error
        if self._thread.is_forked:
            return ActorStopped(
                f"system {self.system.name!r} runs in the process that this one was forked from: start a portal after "
                "the fork"
            )
        if error is None:
            return ActorStopped(f"system {self.system.name!r} has been closed")
        if isinstance(error, SupervisorGaveUp):
            return SupervisorGaveUp(str(error))
        if isinstance(error, Exception):
            return SupervisorGaveUp(f"system {self.system.name!r} ended: {type(error).__name__}: {error}")
        return error
