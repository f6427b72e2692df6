"""One thread that runs the hooks of one incarnation, one at a time, and speaks to the loop.

In: functions from the loop; coroutines from the thread. Out: what they return or raise, on the other side. Nothing here
ever waits for the thread on the loop: a function that does not return is left behind with its thread, which is a daemon
and holds up no exit.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import queue
import sys
import threading
import traceback
from collections.abc import Callable, Coroutine
from contextlib import AbstractContextManager
from contextvars import Context
from typing import Any, TypeVar

from bifrost.errors import ActorError, ActorStopped

__all__ = ["ActorThread"]

_T = TypeVar("_T")

_IDLE_CHECK = 60.0  # seconds after which an idle thread looks whether it is still wanted
_CALL_MARGIN = 30.0  # seconds beyond a call's own deadline after which the loop is taken to have stopped


class _Outcome:
    """What a function returned or raised."""

    __slots__ = ("error", "value")

    def __init__(self, value: Any, error: BaseException | None) -> None:
        self.value = value
        self.error = error

    def unwrap(self) -> Any:
        if self.error is not None:
            raise self.error
        return self.value


class ActorThread:
    """A daemon thread with an inbox of one function at a time.

    Args:
        loop: where results go, and where the thread's own calls run.
        name: the thread's name, for debuggers and stack dumps.
        context: what the thread's code runs in; it is entered by this thread alone.
        unwanted: true once the incarnation was abandoned: the thread ends after the function in hand.
    """

    def __init__(
        self, loop: asyncio.AbstractEventLoop, name: str, context: Context, unwanted: Callable[[], bool]
    ) -> None:
        self.loop = loop
        self.stop_asked = asyncio.Event()
        """Set on the loop when the function in hand should come to its end."""
        self.is_stopping = False
        """The same for the thread, which may read it at any time."""
        self._context = context
        self._unwanted = unwanted
        self._inbox: queue.SimpleQueue[tuple[Callable[..., Any], tuple[Any, ...], asyncio.Future[_Outcome]] | None]
        self._inbox = queue.SimpleQueue()
        self._ended: asyncio.Future[None] = loop.create_future()
        self._calls: set[asyncio.Task[None]] = set()
        # A loop with virtual time has to be told that the world outside of it is busy.
        self._external: Callable[[], AbstractContextManager[None]] | None = getattr(loop, "external_work", None)
        self._hold: AbstractContextManager[None] | None = None
        self._thread = threading.Thread(target=self._work, name=name, daemon=True)
        self._thread.start()

    # On the loop

    def submit(self, function: Callable[..., Any], *args: Any) -> asyncio.Future[_Outcome]:
        """Run `function` in the thread; the future is never cancelled from here, and gets its outcome."""
        future: asyncio.Future[_Outcome] = self.loop.create_future()
        self._keep_time()
        self._inbox.put((function, args, future))
        return future

    def ask_to_stop(self, *, now: bool) -> None:
        """Tell the function in hand to come to its end; `now` also ends its waits for other actors."""
        self.is_stopping = True
        self.stop_asked.set()
        if now:
            for call in self._calls:
                call.cancel()

    def close(self) -> None:
        """End the thread after the function in hand."""
        self._inbox.put(None)

    async def join(self) -> None:
        """Close an idle thread and return when it has ended."""
        self._keep_time()
        self.close()
        try:
            await asyncio.wait({self._ended}, timeout=_CALL_MARGIN)
        finally:
            self._let_time_pass()
        if self._ended.done():
            self._thread.join(1.0)  # it has nothing left to do: this takes microseconds

    def stack(self) -> list[str]:
        """Where the thread is at the moment, outermost call first; empty if it has ended."""
        if not self._thread.is_alive():
            return []  # its ident may be another thread's by now
        frame = sys._current_frames().get(self._thread.ident or 0)  # noqa: SLF001 - the documented way, whatever its name
        if frame is None:
            return []
        return [f"{one.filename}:{one.lineno} in {one.name}" for one in traceback.extract_stack(frame)]

    def _done(self, future: asyncio.Future[_Outcome], outcome: _Outcome) -> None:
        self._let_time_pass()
        if not future.done():
            future.set_result(outcome)

    def _keep_time(self) -> None:
        if self._external is not None and self._hold is None:
            self._hold = self._external()
            self._hold.__enter__()

    def _let_time_pass(self) -> None:
        hold, self._hold = self._hold, None
        if hold is not None:
            hold.__exit__(None, None, None)

    def _begin_call(
        self, coro: Coroutine[Any, Any, Any], answer: concurrent.futures.Future[Any], spawn: Callable[..., Any]
    ) -> None:
        self._let_time_pass()
        try:
            call: asyncio.Task[None] = spawn(self._call(coro, answer), name="call")
        except ActorStopped as error:
            coro.close()
            self._answer(answer, error)
            return
        self._calls.add(call)
        call.add_done_callback(lambda _: self._call_ended(coro, call, answer))

    async def _call(self, coro: Coroutine[Any, Any, Any], answer: concurrent.futures.Future[Any]) -> None:
        try:
            value = await coro
        except Exception as error:  # noqa: BLE001 - it is raised in the thread, which asked for it
            self._answer(answer, error)
        else:
            self._answer(answer, None, value)

    def _call_ended(
        self, coro: Coroutine[Any, Any, Any], call: asyncio.Task[None], answer: concurrent.futures.Future[Any]
    ) -> None:
        self._calls.discard(call)
        coro.close()  # a task that is cancelled before its first step has not touched it
        if not answer.done():
            self._answer(answer, ActorStopped("the actor was stopped while its thread waited for another actor"))

    def _answer(
        self, answer: concurrent.futures.Future[Any], error: BaseException | None, value: object = None
    ) -> None:
        self._keep_time()
        if error is not None:
            answer.set_exception(error)
        else:
            answer.set_result(value)

    # In the thread

    def post(self, function: Callable[..., Any], *args: Any) -> None:
        """Call `function` on the loop and go on.

        Raises:
            ActorStopped: the loop is closed.
        """
        try:
            self.loop.call_soon_threadsafe(function, *args)
        except RuntimeError:
            raise ActorStopped("the event loop is closed") from None

    def call(self, coro: Coroutine[Any, Any, _T], spawn: Callable[..., Any], *, timeout: float) -> _T:
        """Run `coro` on the loop as a task made by `spawn`, and wait for it.

        Args:
            coro: ends by itself within `timeout`.
            spawn: makes a task that ends with the incarnation.
            timeout: seconds.

        Raises:
            ActorStopped: the incarnation or the loop ended meanwhile.
            ActorError: called on the loop, which would wait for itself.
        """
        if _running_loop() is self.loop:
            coro.close()
            raise ActorError("this call waits for the event loop and was made on it: make it in the actor's thread")
        answer: concurrent.futures.Future[_T] = concurrent.futures.Future()
        try:
            self.post(self._begin_call, coro, answer, spawn)
        except ActorStopped:
            coro.close()
            raise
        try:
            return answer.result(min(timeout + _CALL_MARGIN, threading.TIMEOUT_MAX))
        except concurrent.futures.TimeoutError:
            if answer.done():
                raise  # the call's own answer
            raise ActorStopped("the event loop has stopped running") from None

    def _work(self) -> None:
        while True:
            try:
                job = self._inbox.get(timeout=_IDLE_CHECK)
            except queue.Empty:
                if self._unwanted() or self.loop.is_closed():
                    return
                continue
            last = job is None
            try:
                if job is None:
                    self.loop.call_soon_threadsafe(self._note_end)
                else:
                    function, args, future = job
                    outcome = self._context.run(_run, function, args)
                    last = self._unwanted()
                    self.loop.call_soon_threadsafe(self._done, future, outcome)
                    del job, function, args, future, outcome  # an idle thread keeps nothing alive
            except RuntimeError:
                return  # the loop is closed: nobody is left to hear of it
            if last:
                return

    def _note_end(self) -> None:
        if not self._ended.done():
            self._ended.set_result(None)


def _running_loop() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None


def _run(function: Callable[..., Any], args: tuple[Any, ...]) -> _Outcome:
    try:
        return _Outcome(function(*args), None)
    except (StopIteration, GeneratorExit) as error:
        # On the loop these would speak of the coroutine that waits, not of this function (PEP 479 for threads).
        failure = RuntimeError(f"the function raised {type(error).__name__}")
        failure.__cause__ = error
        return _Outcome(None, failure)
    except BaseException as error:  # noqa: BLE001 - it is raised on the loop, where it is told apart
        return _Outcome(None, error)
