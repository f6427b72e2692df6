"""What a blocking actor may do to the world from its own thread.

In: calls in the thread. Out: the same deeds as `ActorContext` has, done on the loop. Not here: the thread itself.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine, Hashable
from typing import TYPE_CHECKING, Any, TypeVar, overload

from bifrost.actors.exit_reason import ExitReason, Normal
from bifrost.actors.mailbox import Lane
from bifrost.actors.stash import put_aside
from bifrost.actors.timers import check_seconds
from bifrost.core.clock import Clock
from bifrost.errors import ActorStopped

if TYPE_CHECKING:
    from bifrost.actors.actor_thread import ActorThread
    from bifrost.actors.context import ActorContext
    from bifrost.actors.ref import ActorRef
    from bifrost.actors.request import Request
    from bifrost.actors.system import ActorSystem

__all__ = ["BlockingContext", "BlockingTimers"]

_M = TypeVar("_M")
_R = TypeVar("_R")
_T = TypeVar("_T")
_NORMAL = Normal()


class BlockingContext:
    """One incarnation's hands, for use in its own thread. `ActorRef.tell` may be used there as it is."""

    __slots__ = ("_in_thread", "_inner", "_is_over", "_thread", "timers")

    def __init__(
        self,
        inner: ActorContext,
        thread: ActorThread,
        is_over: Callable[[], bool],
        in_thread: Callable[[Callable[[Any], object]], Callable[[Any], Awaitable[object]]],
    ) -> None:
        self._inner = inner
        self._thread = thread
        self._is_over = is_over
        self._in_thread = in_thread
        self.timers = BlockingTimers(self)
        """Messages to oneself later, as in `ActorContext.timers`."""

    @property
    def ref(self) -> ActorRef[Any]:
        """This actor; stays valid over restarts."""
        return self._inner.ref

    @property
    def system(self) -> ActorSystem:
        """The system; in the thread only `ref`, `supervisor`, `registry.whereis` and `registry.lookup` may be used."""
        return self._inner.system

    @property
    def clock(self) -> Clock:
        """The system's clock."""
        return self._inner.clock

    @property
    def path(self) -> str:
        """This actor's path, such as ``devices/press``."""
        return self._inner.path

    @property
    def incarnation(self) -> int:
        """Which life this is, from 1."""
        return self._inner.incarnation

    @property
    def log(self) -> logging.LoggerAdapter[logging.Logger]:
        """As `ActorContext.log`."""
        return self._inner.log

    @property
    def stopping(self) -> bool:
        """True once the actor is to end, or its handler has overrun: a handler that loops looks here and returns."""
        return self._thread.is_stopping or self._is_over()

    def wait(self, seconds: float) -> bool:
        """Sleep, in the system's time; return True at once when `stopping` becomes true.

        Raises:
            ActorStopped: the incarnation is over.
        """
        check_seconds(seconds, least=0)
        return self._call(self._wait(seconds), seconds)

    async def _wait(self, seconds: float) -> bool:
        try:
            async with asyncio.timeout(seconds):
                await self._thread.stop_asked.wait()
        except TimeoutError:
            return False
        except asyncio.CancelledError:
            if not self._thread.is_stopping:
                raise
        return True

    @overload
    def ask(
        self, ref: ActorRef[Any], message: Request[_R], *, timeout: float = 5.0, lane: Lane = Lane.NORMAL
    ) -> _R: ...
    @overload
    def ask(self, ref: ActorRef[_M], message: _M, *, timeout: float = 5.0, lane: Lane = Lane.NORMAL) -> Any: ...
    def ask(self, ref: ActorRef[Any], message: Any, *, timeout: float = 5.0, lane: Lane = Lane.NORMAL) -> Any:
        """Ask another actor and wait for its answer; results and errors are those of `ActorRef.ask`.

        Raises:
            ActorStopped: also if this actor is stopped while it waits.
        """
        return self._call(self._ask(ref, message, timeout, lane), timeout)

    async def _ask(self, ref: ActorRef[Any], message: Any, timeout: float, lane: Lane) -> Any:
        life = self._inner.life
        life.begin_ask(ref.cell)  # the handler itself waits, though in another thread: it may close a ring of asks
        try:
            return await ref.ask(message, timeout=timeout, lane=lane)
        finally:
            life.asking = None

    def send(self, ref: ActorRef[_M], message: _M, *, timeout: float = 5.0, lane: Lane = Lane.NORMAL) -> None:
        """Send, waiting for room; results and errors are those of `ActorRef.send`."""
        self._call(ref.send(message, timeout=timeout, lane=lane), timeout)

    def watch(self, ref: ActorRef[Any]) -> None:
        """As `ActorContext.watch`; the `Down` comes as a message."""
        self._call(self._on_loop(self._inner.watch, ref), 0.0)

    def unwatch(self, ref: ActorRef[Any]) -> None:
        """As `ActorContext.unwatch`."""
        self.post(self._inner.unwatch, ref)

    def stash(self) -> None:
        """As `ActorContext.stash`."""
        self._call(self._on_loop(put_aside, self._inner.life, in_thread=True), 0.0)

    def unstash_all(self) -> int:
        """As `ActorContext.unstash_all`."""
        return self._call(self._on_loop(self._inner.unstash_all), 0.0)

    def become(self, receive: Callable[[Any], object]) -> None:
        """As `ActorContext.become`, with a plain method, which runs in the thread."""
        self.post(self._inner.become, self._in_thread(receive))

    def unbecome(self) -> None:
        """As `ActorContext.unbecome`."""
        self.post(self._inner.unbecome)

    def link(self, ref: ActorRef[Any]) -> None:
        """As `ActorContext.link`."""
        self._call(self._on_loop(self._inner.link, ref), 0.0)

    def unlink(self, ref: ActorRef[Any]) -> None:
        """As `ActorContext.unlink`."""
        self._call(self._on_loop(self._inner.unlink, ref), 0.0)

    async def _on_loop(self, deed: Callable[..., _T], *args: Any, **options: Any) -> _T:
        return deed(*args, **options)

    @property
    def trap_exits(self) -> bool:
        """As `ActorContext.trap_exits`."""
        return self._inner.trap_exits

    @trap_exits.setter
    def trap_exits(self, value: bool) -> None:
        self._inner.trap_exits = value

    @property
    def deadline(self) -> float | None:
        """As `ActorContext.deadline`."""
        # On the loop: there the message in hand is known to be in its envelope, with its asker's deadline.
        return self._call(self._on_loop(lambda: self._inner.deadline), 0.0)

    def stop(self, reason: ExitReason = _NORMAL) -> None:
        """End this actor after the message in hand."""
        self.post(self._inner.stop, reason)

    def post(self, function: Callable[..., Any], *args: Any) -> None:
        """Call `function` on the system's event loop, unless this incarnation was abandoned; it must not block.

        Raises:
            ActorStopped: the incarnation is over, or the loop is closed.
        """
        self._check()
        self._thread.post(function, *args)

    def _call(self, coro: Coroutine[Any, Any, _T], timeout: float) -> _T:
        try:
            self._check()
        except ActorStopped:
            coro.close()
            raise
        return self._thread.call(coro, self._inner.spawn_task, timeout=timeout)

    def _check(self) -> None:
        if self._is_over():
            raise ActorStopped(f"incarnation {self.incarnation} of {self.path} is over; it can do no more")


class BlockingTimers:
    """The timers of one incarnation, set from its thread."""

    __slots__ = ("_ctx",)

    def __init__(self, ctx: BlockingContext) -> None:
        self._ctx = ctx

    def once(self, key: Hashable, delay: float, message: Any) -> None:
        """As `Timers.once`."""
        check_seconds(delay, least=0)
        self._ctx.post(self._do, "once", key, delay, message)

    def every(self, key: Hashable, interval: float, message: Any) -> None:
        """As `Timers.every`."""
        check_seconds(interval, least=1e-6)
        self._ctx.post(self._do, "every", key, interval, message)

    def cancel(self, key: Hashable) -> None:
        """As `Timers.cancel`, without an answer."""
        self._ctx.post(self._do, "cancel", key)

    def _do(self, verb: str, *args: Any) -> None:
        getattr(self._ctx._inner.timers, verb)(*args)  # noqa: SLF001 - two halves of one thing
