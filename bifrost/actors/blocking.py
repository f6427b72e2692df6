"""Actors whose handlers block, each in a thread of its own: for libraries that know no event loop.

In: a `BlockingActor` with plain functions. Out: an actor like any other: the same refs, messages, supervision. The
event loop is never blocked by it.

A thread cannot be killed. One that does not return in time is told to stop (`ctx.stopping`), and then abandoned with
its incarnation, which is fenced: what it still sends or answers is refused. The next incarnation gets a new thread.
"""

from __future__ import annotations

import asyncio
import functools
import inspect
from collections.abc import Awaitable, Callable
from typing import Any, ClassVar, Generic

from bifrost.actors.actor import Actor, M
from bifrost.actors.actor_thread import ActorThread
from bifrost.actors.blocking_context import BlockingContext
from bifrost.actors.exit_reason import ExitReason
from bifrost.actors.handler_table import HandlerTable, Unhandled
from bifrost.actors.handlers import message_types
from bifrost.actors.incarnation import LET_THROUGH
from bifrost.errors import ActorError, HandlerError, HandlerTimeout

__all__ = ["BlockingActor", "BlockingShell"]


class BlockingActor(Generic[M]):
    """Base of every actor whose hooks are plain functions; `M` is the type of its messages.

    The hooks run one at a time in one thread, which lives as long as the incarnation. `__init__` runs on the event
    loop: it sets attributes and touches no device.

    Attributes:
        ctx: what the actor may do to the world from its thread; set before `on_start`.
        handler_timeout: seconds that one message may take, then the ask fails with `ActorCrashed` (its `cause` is
            `HandlerTimeout`), and the actor is restarted in a new thread; None only where the library has a limit.
        max_stuck_threads: abandoned threads of this actor that may exist at a time, 1 or more; with so many its start
            fails until one of them returns, so that a device that hangs for ever does not use up the machine. The
            supervisor decides what follows: a back-off tries again later, `OnExhausted.PARK` parks the actor.

    Example:
        >>> class Drive(BlockingActor[str]):
        ...     handler_timeout = 10.0
        ...
        ...     def on_start(self) -> None:
        ...         self.plc = LogixDriver("10.0.0.7")
        ...
        ...     def receive(self, tag: str) -> float:
        ...         return self.plc.read(tag).value
        ...
        ...     def on_stop(self, reason: ExitReason) -> None:
        ...         self.plc.close()
    """

    ctx: BlockingContext
    handler_timeout: float | None = 30.0
    max_stuck_threads: int = 3

    _table: ClassVar[HandlerTable]

    def __init_subclass__(cls, *, partial: bool = False, **options: Any) -> None:
        super().__init_subclass__(**options)
        for name in ("on_start", "on_restart", "receive", "on_stop", "handover", "unhandled"):
            if inspect.iscoroutinefunction(getattr(cls, name)):
                raise HandlerError(f"{cls.__qualname__}.{name} must be a plain function: it runs in a thread")
        plain = cls.receive is not BlockingActor.receive
        required = () if partial or plain else message_types(cls, BlockingActor)
        table = HandlerTable(cls, blocking=True)
        cls._table = HandlerTable(cls, blocking=True, required=required) if len(table) else table

    def on_start(self) -> object:
        """Get ready; as `Actor.on_start`, in the thread."""

    def on_restart(self, reason: ExitReason, handover: Any) -> object:
        """Get ready after an earlier incarnation has ended; as `Actor.on_restart`, in the thread."""
        del reason, handover
        return self.on_start()

    def handover(self) -> Any:
        """Say what the next incarnation is to be given; as `Actor.handover`, in the thread, after `on_stop`."""
        return None

    def receive(self, message: M) -> object:
        """Handle one message; what is returned answers an `ask`. Without an override, `@handles_blocking` decides."""
        table = self._table
        if not len(table):
            return None
        handler = table.known.get(type(message)) or table.find(type(message))
        return self.unhandled(message) if handler is None else handler(self, message)

    def unhandled(self, message: object) -> object:
        """Take a message without handler, if there are handlers; override it to do more than refuse."""
        raise Unhandled(message, self._table)

    def on_stop(self, reason: ExitReason) -> None:
        """Release what `on_start` took; as `Actor.on_stop`, in the thread. Not called if the thread is stuck."""


BlockingActor._table = HandlerTable(BlockingActor, blocking=True)  # noqa: SLF001 - the class itself handles nothing


class BlockingShell(Actor[Any]):
    """What the runtime sees of a `BlockingActor`: an actor that waits for its thread."""

    def __init__(self, body: BlockingActor[Any]) -> None:
        self.body = body
        self._thread: ActorThread | None = None
        self._handed: Callable[[], Any] | None = None

    @property
    def thread(self) -> ActorThread | None:
        """The thread of this incarnation; None before it starts."""
        return self._thread

    async def on_start(self) -> object:
        """Make the thread and run the body's `on_start` in it."""
        return await self._begin(self.body.on_start)

    async def on_restart(self, reason: ExitReason, handover: Any) -> object:
        """Make the thread and run the body's `on_restart` in it."""
        return await self._begin(self.body.on_restart, reason, handover)

    def handover(self) -> Any:
        """What the body's `handover` has returned or raised in the thread."""
        return None if self._handed is None else self._handed()

    async def _begin(self, hook: Callable[..., object], *args: Any) -> object:
        inc = self.ctx.life
        stuck = sum(leak.path == self.ctx.path for leak in self.ctx.system.leaks)
        if stuck >= self.body.max_stuck_threads:
            raise ActorError(
                f"{stuck} threads of earlier incarnations are stuck, max_stuck_threads={self.body.max_stuck_threads}; "
                "no new one is started until one of them returns"
            )
        name = f"{self.ctx.path}#{inc.number}"
        # A copy: a context can be entered by one thread at a time, and the loop enters the incarnation's own.
        thread = ActorThread(self.ctx.system.loop, name, inc.own_context().copy(), lambda: inc.fenced)
        self._thread = thread
        inc.more().on_ending = lambda: thread.ask_to_stop(now=False)
        self.body.ctx = BlockingContext(self.ctx, thread, lambda: self.ctx.is_over, self._in_thread)
        try:
            return await self._run(thread, None, hook, *args)
        except BaseException:
            thread.close()
            raise

    def _in_thread(self, receive: Callable[[Any], object]) -> Callable[[Any], Awaitable[object]]:
        async def run(message: Any) -> object:
            assert self._thread is not None
            return await self._run(self._thread, self.body.handler_timeout, receive, message)

        return run

    async def receive(self, message: Any) -> object:
        """Run the body's `receive` in the thread, within `handler_timeout`."""
        assert self._thread is not None
        return await self._run(self._thread, self.body.handler_timeout, self.body.receive, message)

    async def on_stop(self, reason: ExitReason) -> None:
        """Run the body's `on_stop`, and its `handover` if it has one, in the thread, and end the thread."""
        thread = self._thread
        inc = self.ctx.life
        assert thread is not None
        try:
            await self._run(thread, None, self.body.on_stop, reason)
        finally:
            if not inc.fenced:
                await self._keep_handover(thread)
                await thread.join()

    async def _keep_handover(self, thread: ActorThread) -> None:
        if type(self.body).handover is BlockingActor.handover:
            return
        try:
            value = await self._run(thread, None, self.body.handover)
        except (asyncio.CancelledError, *LET_THROUGH):
            raise
        except BaseException as error:  # noqa: BLE001 - it is raised where the runtime asks for the hand-over
            self._handed = functools.partial(_raise, error)
        else:
            self._handed = lambda: value

    async def _run(self, thread: ActorThread, limit: float | None, hook: Any, *args: Any) -> object:
        """Run a hook in the thread.

        A cancellation is passed on to the hook as `ctx.stopping`, and raised here when the hook has returned or the
        incarnation was abandoned: until then the thread is what still runs of it.
        """
        inc = self.ctx.life
        done = thread.submit(hook, *args)
        deadline = None if limit is None else thread.loop.time() + limit
        cancelled = False
        while not done.done():
            remaining = None if deadline is None else max(0.0, deadline - thread.loop.time())
            try:
                await asyncio.wait({done}, timeout=remaining)
            except asyncio.CancelledError:
                if inc.fenced:
                    raise
                cancelled = True
                thread.ask_to_stop(now=True)
            if not done.done() and deadline is not None and thread.loop.time() >= deadline:
                where = (thread.stack() or ["nowhere"])[-1]
                thread.ask_to_stop(now=True)
                self.ctx.spawn_task(_outlast(inc, done), name="thread")
                raise HandlerTimeout(f"a message took longer than handler_timeout={limit:g} s, at {where}")
        if cancelled:
            raise asyncio.CancelledError
        return done.result().unwrap()


def _raise(error: BaseException) -> None:
    raise error


async def _outlast(inc: Any, done: asyncio.Future[Any]) -> None:
    """Stand for a thread that overran, until it returns or is abandoned."""
    cancelled = False
    while not done.done():
        try:
            await asyncio.wait({done})
        except asyncio.CancelledError:
            if inc.fenced:
                raise
            cancelled = True
    if cancelled:
        raise asyncio.CancelledError
