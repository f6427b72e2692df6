"""What a portal carries to its loop: a message, an order, a coroutine with its future.

In: what a foreign thread wants. Out: its beginning on the loop, and a future that is settled whatever happens.
"""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from typing import Any, Protocol

from bifrost.actors.mailbox import Lane
from bifrost.actors.ref import ActorRef

__all__ = ["Call", "CallDesk", "Order", "Post"]


class Post:
    """A tell on its way."""

    __slots__ = ("lane", "message", "ref")

    takes_a_turn = False

    def __init__(self, ref: ActorRef[Any], message: Any, lane: Lane) -> None:
        self.ref = ref
        self.message = message
        self.lane = lane

    def begin(self) -> None:
        """Put it into the mailbox."""
        self.ref.tell(self.message, lane=self.lane)

    def refuse(self) -> None:
        """Nobody is left to count dead letters."""


class Order:
    """A plain function to be called on the loop."""

    __slots__ = ("args", "fn")

    takes_a_turn = False

    def __init__(self, fn: Callable[..., object], *args: Any) -> None:
        self.fn = fn
        self.args = args

    def begin(self) -> None:
        """Call it."""
        self.fn(*self.args)

    def refuse(self) -> None:
        """What it was for has ended."""


class CallDesk(Protocol):
    """What a call must know of its portal."""

    in_flight: set[Call]
    """The calls that have begun and are not settled."""

    @property
    def takes_calls(self) -> bool:
        """True until the loop winds up."""

    def gone_error(self) -> BaseException:
        """Why there is nobody to call any more."""


class Call:
    """A coroutine on its way, and its future."""

    __slots__ = ("args", "context", "coro_fn", "desk", "future", "task")

    takes_a_turn = True

    def __init__(self, desk: CallDesk, coro_fn: Callable[..., Coroutine[Any, Any, Any]], args: tuple[Any, ...]) -> None:
        self.desk = desk
        self.coro_fn = coro_fn
        self.args = args
        self.context = contextvars.copy_context()
        self.future: Future[Any] = Future()
        self.task: asyncio.Task[Any] | None = None

    def begin(self) -> None:
        """Start the task, unless the future was cancelled on the way."""
        if self.future.cancelled():
            self.future.set_running_or_notify_cancel()  # `concurrent.futures.wait` takes it for done only then
            return
        loop = asyncio.get_running_loop()
        self.desk.in_flight.add(self)
        try:
            self.task = loop.create_task(self.coro_fn(*self.args), context=self.context)
        except Exception as error:  # noqa: BLE001 - it is the caller's function, and the caller is told
            self._finish(error=error)
            return
        self.task.add_done_callback(self._task_done)
        self.future.add_done_callback(self._future_done)

    def refuse(self) -> None:
        """Fail the future: the loop is gone."""
        self._finish(error=self.desk.gone_error())

    def _future_done(self, future: Future[Any]) -> None:
        if future.cancelled() and self.task is not None:
            loop = self.task.get_loop()
            try:
                loop.call_soon_threadsafe(self.task.cancel)
            except RuntimeError:
                return  # the loop is closed, and the task has ended with it

    def _task_done(self, task: asyncio.Task[Any]) -> None:
        if task.cancelled():
            if self.desk.takes_calls:
                self.desk.in_flight.discard(self)
                self.future.cancel()
                self.future.set_running_or_notify_cancel()
            # else it was cancelled with the loop, and is refused as soon as the reason is known
        elif (error := task.exception()) is not None:
            self._finish(error=error)
        else:
            self._finish(result=task.result())

    def _finish(self, *, result: Any = None, error: BaseException | None = None) -> None:
        self.desk.in_flight.discard(self)
        if not self.future.set_running_or_notify_cancel():
            return
        if error is not None:
            self.future.set_exception(error)
        else:
            self.future.set_result(result)
