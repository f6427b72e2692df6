"""Handlers that end when nobody waits for their answer any more.

In: a handler marked `@cancellable`. Out: the same handler, cancelled when its asker has given up. All others run on:
what has begun may have moved something in the world, and half a movement is worse than one that nobody waits for.
"""

from __future__ import annotations

import asyncio
import functools
import inspect
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any, TypeVar

from bifrost.actors.mailbox import Envelope
from bifrost.errors import HandlerError

if TYPE_CHECKING:
    from bifrost.actors.incarnation import Incarnation

__all__ = ["cancellable"]

F = TypeVar("F", bound=Callable[[Any, Any], Coroutine[Any, Any, Any]])


def cancellable(handler: F) -> F:
    """Mark `receive`, or one of the handlers of a `HandlingActor`, as one to be cancelled when its asker gives up.

    The handler gets `CancelledError` where it waits, when the ask times out or its caller is cancelled. That is no
    crash: the actor goes on with the next message. A message that was told or sent has no asker and runs to its end.

    Raises:
        HandlerError: it is no ``async def``.
    """
    if not inspect.iscoroutinefunction(handler):
        raise HandlerError(f"@cancellable marks an 'async def', got {handler!r}")

    @functools.wraps(handler)
    async def until_given_up(self: Any, message: Any) -> object:
        return await _Attempt(self.ctx.life).run(handler(self, message))

    return until_given_up  # type: ignore[return-value]  # it takes and returns what the handler does


class _Attempt:
    """One run of a handler, with an eye on its asker."""

    __slots__ = ("_cancels", "_inc", "_over", "_reply", "_task")

    def __init__(self, inc: Incarnation) -> None:
        self._inc = inc
        self._reply: asyncio.Future[Any] | None = None
        self._task: asyncio.Task[None] | None = None
        self._cancels = 0
        self._over = False

    async def run(self, coro: Coroutine[Any, Any, Any]) -> object:
        item = self._inc.current
        if type(item) is not Envelope:
            self._inc.more().asked = self._watch  # it may be an ask on its asker's stack, which has no reply yet
        elif item.reply is not None:
            self._watch(item.reply)
        try:
            return await coro
        except asyncio.CancelledError:
            if self._task is None or self._inc.killed or self._take_back() > self._cancels:
                raise
            return None
        finally:
            self._over = True  # a call that is on its way already must not meet the next handler
            self._take_back()
            if self._reply is not None:
                self._reply.remove_done_callback(self._given_up)
            if self._inc.extras is not None:
                self._inc.extras.asked = None

    def _watch(self, reply: asyncio.Future[Any]) -> None:
        self._reply = reply
        reply.add_done_callback(self._given_up)

    def _given_up(self, _reply: asyncio.Future[Any]) -> None:
        task = self._inc.runner
        if task is not None and self._task is None and not self._over:
            self._task = task
            self._cancels = task.cancelling()
            task.cancel()

    def _take_back(self) -> int:
        """Undo the request to cancel the task, which lives on; return how many requests of others are left."""
        task, self._task = self._task, None
        return 0 if task is None else task.uncancel()
