"""bifrost and pykka in one program, either inside the other.

In: child specifications for a system that lives in a pykka actor; a pykka class that shall live in a tree. Out:
`BifrostActor`, whose start and stop are the tree's; `pykka_child`, whose crash is its supervisor's business.
Needs pykka (extra `pykka`). Pykka itself restarts nothing: an unhandled exception ends the actor, and only its own
`on_failure` hears of it.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Final, Unpack

from bifrost.actors.child_spec import ChildSpec
from bifrost.actors.hosts.calls import Target
from bifrost.actors.hosts.loop_thread import LoopFactory
from bifrost.actors.hosts.options import SystemOptions
from bifrost.actors.hosts.portal import Portal
from bifrost.actors.shutdown_report import ShutdownReport
from bifrost.actors.state import Delivery
from bifrost.actors.system import ActorSystem
from bifrost.errors import ActorError, AskTimeout, ChildNotFound, MissingExtra, SupervisorGaveUp

try:
    import pykka
except ImportError as error:
    raise MissingExtra("pykka is missing: pip install 'bifrost-edge[pykka]'") from error

from bifrost.actors.hosts.pykka_child import ask_pykka, pykka_child

__all__ = ["Ask", "BifrostActor", "SystemDown", "Tell", "ask_pykka", "pykka_child"]

_log = logging.getLogger("bifrost.actors")

_SLACK: Final = 1.0  # seconds that the loop may be late with its own deadline before the caller gives up on the loop


@dataclass(frozen=True, slots=True)
class Tell:
    """Told to a `BifrostActor`: pass `message` on and go on; a path at which nothing has started is logged.

    Attributes:
        target: the actor's ref or path.
        message: what to tell it.
    """

    target: Target
    message: Any


@dataclass(frozen=True, slots=True)
class Ask:
    """Asked of a `BifrostActor`: pass `message` on and answer with the answer, or with the error of `ActorRef.ask`.

    Attributes:
        target: the actor's ref or path.
        message: what to ask it.
        timeout: seconds.
    """

    target: Target
    message: Any
    timeout: float = 5.0


@dataclass(frozen=True, slots=True)
class SystemDown:
    """Told to the `BifrostActor` itself when its tree has ended unasked.

    Attributes:
        error: why.
    """

    error: BaseException


class BifrostActor(pykka.ThreadingActor):
    """A pykka actor that owns a tree: it starts the tree when it starts and stops it in order when it stops.

    Understands the messages `Tell` and `Ask`; subclasses add their own in `on_receive` and pass on the rest. An `Ask`
    blocks this actor's thread, and no other, until the answer; `ask_soon` does not. If the tree gives up, this actor
    fails with `SupervisorGaveUp`: pykka calls `on_failure` and unregisters it.

    `BifrostActor.start(...)` returns before the tree runs, as with every pykka actor; the first message waits for it.
    If the tree does not start, pykka logs why and the actor is dead.

    Args:
        name: the root's name.
        children: the root's children, in start order.
        loop_factory: makes the asyncio loop, for instance `uvloop.new_event_loop`.
        start_timeout: seconds until the whole tree must run.
        options: as for `ActorSystem`.
    """

    portal: Portal
    """The door below, for other threads; set before `on_start`."""

    def __init__(
        self,
        name: str = "system",
        children: Sequence[ChildSpec] = (),
        *,
        loop_factory: LoopFactory = asyncio.new_event_loop,
        start_timeout: float = 60.0,
        **options: Unpack[SystemOptions],
    ) -> None:
        super().__init__()
        self._system = ActorSystem(name, children, **options)
        self._loop_factory = loop_factory
        self._start_timeout = start_timeout
        self.report: ShutdownReport | None = None
        """How the stop went; None before it."""

    # What pykka calls, in this actor's thread

    def on_start(self) -> None:
        """Start the tree; a subclass that overrides this calls it first."""
        # Pykka calls neither on_stop nor on_failure when a subclass fails in on_start: the portal then sees its owner's
        # thread end, and closes itself.
        self.portal = Portal(self._system, loop_factory=self._loop_factory, owner=threading.current_thread())
        self.portal.start(timeout=self._start_timeout)
        self.portal.on_down(self._tell_down)

    def on_stop(self) -> None:
        """Stop the tree in reverse order, within its `stop_timeout`."""
        self.report = self.portal.close()

    def on_failure(
        self,
        exception_type: type[BaseException] | None,
        exception_value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Stop the tree in reverse order, for this actor has failed."""
        del exception_type, exception_value, traceback
        self.report = self.portal.close()

    def on_receive(self, message: Any) -> Any:
        """Pass on what is for the tree."""
        if isinstance(message, Tell):
            try:
                return self.tell_actor(message.target, message.message)
            except ChildNotFound as error:
                # Whoever told it cannot catch this, and to pykka it would be the end of this actor and so of the tree.
                _log.warning("%s: a message was told to nobody: %s", self, error)
                return Delivery.DEAD
        if isinstance(message, Ask):
            return self.ask_actor(message.target, message.message, timeout=message.timeout)
        if isinstance(message, SystemDown):
            return self.on_system_down(message)
        return super().on_receive(message)

    def on_system_down(self, down: SystemDown) -> None:
        """Answer to the tree's failure: raises, so that this actor ends with it. Override to do something else."""
        raise SupervisorGaveUp(str(down.error)) from down.error

    # What a proxy may call

    def tell_actor(self, target: Target, message: Any) -> Delivery:
        """Tell an actor of the tree; see `Portal.post`. Raises `ChildNotFound` if nothing has started at the path."""
        ref = self.portal.system.ref(target) if isinstance(target, str) else target
        return self.portal.post(ref, message)

    def ask_actor(self, target: Target, message: Any, *, timeout: float = 5.0) -> Any:
        """Ask an actor of the tree and wait for the answer; see `ActorRef.ask`."""
        future = self.portal.ask(target, message, timeout=timeout)
        try:
            return future.result(min(timeout + _SLACK, threading.TIMEOUT_MAX))
        except TimeoutError:
            if future.done():
                raise
            future.cancel()
            raise AskTimeout(
                f"system {self._system.name!r} did not answer in {timeout:g} s: its loop is blocked at\n"
                f"{self.portal.stack()}"
            ) from None

    def ask_soon(self, target: Target, message: Any, *, timeout: float = 5.0) -> pykka.Future[Any]:
        """Ask an actor of the tree and return pykka's kind of future, which the loop will complete."""
        answer: pykka.ThreadingFuture[Any] = pykka.ThreadingFuture()

        def done(future: Future[Any]) -> None:
            if future.cancelled():
                answer.set_exception(_exc_info(ActorError("the request was cancelled on the system's side")))
            elif (error := future.exception()) is not None:
                answer.set_exception(_exc_info(error))
            else:
                answer.set(future.result())

        self.portal.ask(target, message, timeout=timeout).add_done_callback(done)
        return answer

    def _tell_down(self, error: BaseException | None) -> None:
        if error is None:
            return
        try:
            self.actor_ref.tell(SystemDown(error))
        except pykka.ActorDeadError:
            return  # it ends anyway


def _exc_info(error: BaseException) -> tuple[type[BaseException], BaseException, TracebackType | None]:
    return type(error), error, error.__traceback__
