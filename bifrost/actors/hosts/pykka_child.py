"""A pykka actor as a supervised child of a bifrost tree.

In: a pykka class and its arguments. Out: a `ChildSpec`. The child starts a new pykka actor for each incarnation, hands
it one message at a time, and takes the pykka actor's failure for its own crash. No call here blocks the loop: the pykka
actor's thread reports through the loop, and nobody waits in `Future.get`.
"""

from __future__ import annotations

import asyncio
import logging
import sys
import threading
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any, Final, TypeVar

from bifrost.actors.actor import Actor
from bifrost.actors.backoff import Backoff
from bifrost.actors.child_spec import INFINITY, ChildSpec, Restart
from bifrost.actors.exit_reason import ExitReason
from bifrost.actors.mailbox import Mailbox
from bifrost.actors.ref import ActorRef
from bifrost.errors import ActorError, ActorStopped, ChildSpecError, MissingExtra

try:
    import pykka
    from pykka.messages import ProxyCall, ProxyGetAttr, ProxySetAttr
except ImportError as error:
    raise MissingExtra("pykka is missing: pip install 'bifrost-edge[pykka]'") from error

__all__ = ["ask_pykka", "pykka_child"]

_log = logging.getLogger("bifrost.actors")

_E = TypeVar("_E")

_LOOK_EVERY: Final = 0.5  # seconds between two looks at the thread, for an end that no hook reported
_LAST_LINES: Final = 0.002  # seconds between two looks at a thread that is about to end


def pykka_child(
    id: str,  # noqa: A002 - the word of every child specification
    actor_class: type[pykka.ThreadingActor],
    *args: Any,
    kwargs: Mapping[str, Any] | None = None,
    restart: Restart = Restart.PERMANENT,
    shutdown: float = 5.0,
    significant: bool = False,
    mailbox: Mailbox | None = None,
    backoff: Backoff | None = None,
    start_timeout: float = 5.0,
) -> ChildSpec:
    """Specify a child that is a pykka actor.

    It is started when pykka's `on_start` has returned. A message told or asked through the child's ref is handled by
    pykka as one that was told: an exception ends the pykka actor with `on_failure`, is this child's crash, and reaches
    an asker as `ActorCrashed`. `ask_pykka` asks in pykka's manner instead. The child handles one message at a time, so
    the mailbox and its bound are bifrost's. `self.stop()` in the pykka actor is a normal end.

    A thread cannot be killed: if the pykka actor is not done after `shutdown` seconds, it is told to end after the
    message in hand, its thread is left behind with a warning, and `StopHookFailed` is published.

    Args:
        id: name within the supervisor.
        actor_class: the pykka class.
        args: positional arguments of the class.
        kwargs: keyword arguments of the class.
        restart: when it is started again.
        shutdown: seconds that its stop may take, the message in hand and pykka's `on_stop` included.
        significant: its own end may end the supervisor.
        mailbox: bound and overflow policy; None is the default one.
        backoff: delay before restarts.
        start_timeout: seconds that `__init__` and `on_start` of the pykka actor may take.

    Raises:
        ChildSpecError: something is wrong; nothing was started.
    """
    given: object = actor_class
    if not (isinstance(given, type) and issubclass(given, pykka.ThreadingActor)):
        raise ChildSpecError(f"child {id!r}: expected a subclass of pykka.ThreadingActor, got {actor_class!r}")
    return ChildSpec(
        id=id,
        start=_PykkaChild,
        args=(actor_class, args, dict(kwargs or {}), shutdown),
        restart=restart,
        shutdown=shutdown,
        significant=significant,
        mailbox=Mailbox() if mailbox is None else mailbox,
        backoff=backoff,
        start_timeout=start_timeout,
    )


async def ask_pykka(ref: ActorRef[Any], message: Any, *, timeout: float = 5.0) -> Any:
    """Ask a child made by `pykka_child` in pykka's manner: the handler's exception is raised here, and the actor lives.

    Args:
        ref: the child's ref.
        message: any message, or one of `pykka.messages`, such as `ProxyCall`.
        timeout: seconds.

    Raises:
        Exception: what the handler raised.
        AskTimeout: no answer by then; the actor may still act. The other errors are those of `ActorRef.ask`.
    """
    answer = await ref.ask(_InPykkasManner(message), timeout=timeout)
    if isinstance(answer, _Raised):
        raise answer.error
    return answer


class _InPykkasManner:
    """A request whose exception is an answer."""

    __slots__ = ("message",)

    def __init__(self, message: Any) -> None:
        self.message = message


class _Raised:
    """The answer that is an exception."""

    __slots__ = ("error",)

    def __init__(self, error: Exception) -> None:
        self.error = error


class _PykkaChild(Actor[Any]):
    """One incarnation: one pykka actor."""

    def __init__(
        self, actor_class: type[pykka.ThreadingActor], args: tuple[Any, ...], kwargs: dict[str, Any], shutdown: float
    ) -> None:
        self._class = actor_class
        self._args = args
        self._kwargs = kwargs
        self._shutdown = shutdown

    async def on_start(self) -> None:
        loop = asyncio.get_running_loop()
        self._link = _Link(loop)
        hooked: Any = type(self._class.__name__, (_Hooks, self._class), {"_bifrost": self._link})
        hooked.__qualname__, hooked.__module__ = self._class.__qualname__, self._class.__module__
        starting: asyncio.Future[pykka.ActorRef[Any]] = _quiet_future(loop)
        starting.add_done_callback(self._link.keep)
        # Pykka calls __init__ in the thread that starts the actor: not in the loop's, and in none of an executor's, for
        # the end of the program would wait for an __init__ that hangs.
        name = f"{self.ctx.path} makes its pykka actor"
        threading.Thread(target=self._make, args=(hooked, starting), name=name, daemon=True).start()
        try:
            await asyncio.wait([starting])
            self._ref: pykka.ActorRef[Any] = starting.result()
            await self._link.started
        except BaseException:
            self._link.abandon()
            raise
        self.ctx.spawn_task(self._watch(), name="watch over the pykka actor")

    def _make(self, hooked: Any, starting: asyncio.Future[pykka.ActorRef[Any]]) -> None:
        try:
            made: pykka.ActorRef[Any] = hooked.start(*self._args, **self._kwargs)
        except BaseException as error:  # noqa: BLE001 - it is raised on the loop, where it is told apart
            self._link.say(_settle, starting, None, _speakable(error))
        else:
            if not self._link.say(_settle, starting, made):
                _dismiss(made)

    async def receive(self, message: Any) -> object:
        reply: asyncio.Future[Any] = _quiet_future(asyncio.get_running_loop())
        forgiving = isinstance(message, _InPykkasManner)
        carried = _Carried(message.message if forgiving else message, reply, self._link, forgiving=forgiving)
        self._ref.tell(carried)
        await asyncio.wait([reply, self._link.dead], return_when=asyncio.FIRST_COMPLETED)
        if reply.done():
            return reply.result()
        raise self._link.dead.result() or ActorStopped(f"{self.ctx.path}: the pykka actor stopped before the message")

    async def on_stop(self, reason: ExitReason) -> None:
        self._link.abandon()
        try:
            limit = None if self._shutdown == INFINITY else max(self._shutdown - 0.1, 0.5)
            async with asyncio.timeout(limit):
                while self._link.is_alive:
                    if self._link.dead.done():
                        await asyncio.sleep(_LAST_LINES)  # a thread has no event of its end
                    else:
                        await asyncio.wait([self._link.dead], timeout=_LOOK_EVERY)
        except TimeoutError:
            raise ActorError(
                f"the pykka actor did not stop in {self._shutdown:g} s; its thread {self._link.thread_name} goes on"
            ) from None
        except asyncio.CancelledError:
            _log.warning(
                "%s: the pykka thread %s did not end in time; it goes on", self.ctx.path, self._link.thread_name
            )
            raise

    async def _watch(self) -> None:
        while not self._link.dead.done():
            await asyncio.wait([self._link.dead], timeout=_LOOK_EVERY)
            if not self._link.is_alive and not self._link.dead.done():
                raise ActorError("the pykka actor's thread ended, and none of its hooks was called")
        error = self._link.dead.result()
        if error is not None:
            raise error
        self.ctx.stop()


class _Link:
    """What the thread of one pykka actor reports to the loop. Made on the loop; `say_` methods are for the thread."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.started: asyncio.Future[None] = _quiet_future(loop)
        self.dead: asyncio.Future[Exception | None] = loop.create_future()
        self._loop = loop
        self._thread: threading.Thread | None = None
        self._ref: pykka.ActorRef[Any] | None = None
        self._left = False

    @property
    def is_alive(self) -> bool:
        """True until the thread has ended."""
        return self._thread is not None and self._thread.is_alive()

    @property
    def thread_name(self) -> str:
        """The thread's name."""
        return "(none)" if self._thread is None else self._thread.name

    def keep(self, starting: asyncio.Future[pykka.ActorRef[Any]]) -> None:
        """Take the started actor; stop it at once if nobody waits for it any more."""
        if not starting.cancelled() and starting.exception() is None:
            self._ref = starting.result()
            if self._left:
                self.abandon()

    def abandon(self) -> None:
        """Have the pykka actor stop after what its inbox holds, and take it out of pykka's registry."""
        self._left = True
        if self._ref is not None and self._ref.is_alive():
            _dismiss(self._ref)

    def say_started(self) -> None:
        """The actor's `on_start` begins."""
        self._thread = threading.current_thread()

    def say_up(self) -> None:
        """The actor's `on_start` has returned."""
        self.say(_settle, self.started, None)

    def say_dead(self, error: BaseException | None) -> None:
        """The last hook of the actor has been called."""
        if error is not None and not isinstance(error, Exception):
            error = ActorError(f"the pykka actor raised {error!r}, which ends more than an actor in pykka")
        self.say(self._die, _speakable(error))

    def say(self, fn: Callable[..., object], *args: Any) -> bool:
        """Call `fn` on the loop; False if that is closed, and nobody waits any more."""
        try:
            self._loop.call_soon_threadsafe(fn, *args)
        except RuntimeError:
            return False
        return True

    def _die(self, error: Exception | None) -> None:
        _settle(self.dead, error)
        if not self.started.done():
            self.started.set_exception(error or ActorStopped("the pykka actor stopped itself while it started"))


class _Carried:
    """A message on its way to a pykka actor, with the way back."""

    __slots__ = ("_link", "_reply", "forgiving", "message")

    def __init__(self, message: Any, reply: asyncio.Future[Any], link: _Link, *, forgiving: bool) -> None:
        self.message = message
        self.forgiving = forgiving
        self._reply = reply
        self._link = link

    def answer(self, value: object) -> None:
        self._link.say(_settle, self._reply, value)

    def fail(self, error: BaseException) -> None:
        self._link.say(_settle, self._reply, None, _speakable(error))


class _Hooks(pykka.ThreadingActor):
    """Put before the user's class, so that its hooks are heard of; it leaves what they do as it is."""

    _bifrost: _Link

    def on_start(self) -> None:
        self._bifrost.say_started()
        try:
            super().on_start()
        except BaseException as error:
            self._bifrost.say_dead(error)
            raise
        self._bifrost.say_up()

    def on_stop(self) -> None:
        # Pykka stops an actor inside the `except` of a KeyboardInterrupt and its like.
        cause = sys.exc_info()[1]
        try:
            super().on_stop()
        except Exception as error:
            self._bifrost.say_dead(cause or error)
            raise
        self._bifrost.say_dead(cause)

    def on_failure(
        self,
        exception_type: type[BaseException] | None,
        exception_value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        try:
            super().on_failure(exception_type, exception_value, traceback)
        finally:
            self._bifrost.say_dead(exception_value)

    def on_receive(self, message: Any) -> Any:
        if not isinstance(message, _Carried):
            return super().on_receive(message)
        try:
            message.answer(self._handle(message.message))
        except Exception as error:
            if message.forgiving:
                message.answer(_Raised(_speakable(error)))
            else:
                message.fail(error)
                raise
        return None

    def _handle(self, message: Any) -> Any:
        """What pykka does with a message that did not come wrapped."""
        if isinstance(message, ProxyCall):
            return _follow(self, message.attr_path)(*message.args, **message.kwargs)
        if isinstance(message, ProxyGetAttr):
            return _follow(self, message.attr_path)
        if isinstance(message, ProxySetAttr):
            return setattr(_follow(self, message.attr_path[:-1]), message.attr_path[-1], message.value)
        return super().on_receive(message)


def _dismiss(ref: pykka.ActorRef[Any]) -> None:
    """Have a pykka actor stop after what its inbox holds, and nobody find it any more."""
    ref.stop(block=False)
    pykka.ActorRegistry.unregister(ref)


def _speakable(error: _E) -> _E | RuntimeError:
    """What a future takes: on the loop, a StopIteration would speak of a coroutine (PEP 479 for threads)."""
    if not isinstance(error, StopIteration):
        return error
    failure = RuntimeError("the pykka actor raised StopIteration")
    failure.__cause__ = error
    return failure


def _follow(root: Any, path: Any) -> Any:
    found = root
    for name in path:
        found = getattr(found, name)
    return found


def _quiet_future(loop: asyncio.AbstractEventLoop) -> asyncio.Future[Any]:
    """A future whose error the loop does not complain about when its reader was cancelled."""
    future: asyncio.Future[Any] = loop.create_future()
    future.add_done_callback(lambda done: done.cancelled() or done.exception())
    return future


def _settle(future: asyncio.Future[Any], value: object, error: BaseException | None = None) -> None:
    if future.done():
        return
    if error is None:
        future.set_result(value)
    else:
        future.set_exception(error)
