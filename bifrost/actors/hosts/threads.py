"""A system for plain threads and code that knows no event loop.

In: calls from any thread, each of which blocks at most until its deadline. Out: the runtime's own results and errors.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Sequence
from concurrent.futures import Future
from types import TracebackType
from typing import Any, Final, Self, TypeVar, Unpack

from bifrost.actors.child_spec import ChildSpec
from bifrost.actors.hosts import calls
from bifrost.actors.hosts.calls import Target
from bifrost.actors.hosts.loop_thread import LoopFactory
from bifrost.actors.hosts.options import SystemOptions
from bifrost.actors.hosts.portal import Portal
from bifrost.actors.mailbox import Lane
from bifrost.actors.ref import ActorRef
from bifrost.actors.shutdown_report import ShutdownReport
from bifrost.actors.snapshot import ActorSnapshot
from bifrost.actors.state import Delivery
from bifrost.actors.supervisor_ref import ChildInfo
from bifrost.actors.system import ActorSystem
from bifrost.errors import ActorError, AskTimeout, MailboxFull

__all__ = ["PortalSystem"]

_T = TypeVar("_T")

_SLACK: Final = 1.0  # seconds that the loop may be late with its own deadline before the caller gives up on the loop


class PortalSystem:
    """A root supervisor and all that is below it, for the length of a `with`, in a thread of its own.

    Leaving the block stops the tree in reverse order, whatever ended the block. If the root gives up, the next call
    that waits raises `SupervisorGaveUp`, and so does the end of the block, with the block's own exception as its cause.

    Every method may be called from any thread but the system's own; actors use `self.ctx` and their refs instead.

    Args:
        name: the root's name.
        children: the root's children, in start order.
        loop_factory: makes the loop, for instance `uvloop.new_event_loop`.
        start_timeout: seconds until the whole tree must run.
        options: as for `ActorSystem`.

    Raises:
        ChildSpecError: a specification is wrong; nothing was started.
    """

    def __init__(
        self,
        name: str = "system",
        children: Sequence[ChildSpec] = (),
        *,
        loop_factory: LoopFactory = asyncio.new_event_loop,
        start_timeout: float = 60.0,
        **options: Unpack[SystemOptions],
    ) -> None:
        self.portal = Portal(ActorSystem(name, children, **options), loop_factory=loop_factory)
        """The door below: futures, posts, the watch over the loop."""
        self._start_timeout = start_timeout
        self._report: ShutdownReport | None = None

    # The block

    def __enter__(self) -> Self:
        self.portal.start(timeout=self._start_timeout)
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        del exc_type, traceback
        self._report = self.portal.close()
        if exc is None or isinstance(exc, Exception):
            self.portal.raise_if_down(exc)

    def stop(self, timeout: float | None = None) -> ShutdownReport:
        """Stop in reverse order and report; the end of the block then has nothing left to do.

        Args:
            timeout: seconds for the orderly stop; None is the system's `stop_timeout`.
        """
        self._report = self.portal.close(timeout)
        return self._report

    @property
    def report(self) -> ShutdownReport | None:
        """How the stop went; None before it."""
        return self._report

    # Messages

    def ref(self, path: str) -> ActorRef[Any]:
        """The actor at `path`.

        Raises:
            ChildNotFound: nothing has started there.
        """
        return self.portal.system.ref(path)

    def tell(self, target: Target, message: Any, *, lane: Lane = Lane.NORMAL) -> Delivery:
        """Send and go on; see `Portal.post`. Raises `ChildNotFound` if `target` is a path where nothing has started."""
        return self.portal.post(self.ref(target) if isinstance(target, str) else target, message, lane=lane)

    def send(self, target: Target, message: Any, *, timeout: float = 5.0, lane: Lane = Lane.NORMAL) -> None:
        """Send, waiting for room in the mailbox: this is backpressure.

        Raises:
            MailboxFull: no room in time, or the mailbox drops what does not fit; the actor has not seen it.
            ActorStopped: the actor has stopped; it has not seen it.
            SupervisorGaveUp: the system is down.
        """
        future = self.portal.call(calls.send, self.portal.system, target, message, time.monotonic() + timeout, lane)
        self._wait(future, timeout, MailboxFull)

    def ask(self, target: Target, message: Any, *, timeout: float = 5.0, lane: Lane = Lane.NORMAL) -> Any:
        """Send and wait for the answer; the errors are those of `ActorRef.ask`.

        Raises:
            AskTimeout: also if the loop is blocked and keeps no time.
            SupervisorGaveUp: the system is down.
        """
        return self._wait(self.portal.ask(target, message, timeout=timeout, lane=lane), timeout, AskTimeout)

    def wait_running(self, target: Target, *, timeout: float = 5.0) -> None:
        """Return when the actor runs; see `ActorRef.wait_running`."""
        self._wait(self.portal.call(calls.wait_running, self.portal.system, target, timeout), timeout)

    # The tree

    def start_child(self, spec: ChildSpec, *, under: str | None = None, timeout: float = 60.0) -> ActorRef[Any]:
        """Add a child to the supervisor at path `under`, or to the root; see `SupervisorRef.start_child`."""
        return self._wait(self.portal.call(calls.start_child, self.portal.system, spec, under, timeout), timeout)

    def terminate_child(self, child_id: str, *, under: str | None = None, timeout: float = 60.0) -> None:
        """Stop a child for good; see `SupervisorRef.terminate_child`."""
        self._wait(self.portal.call(calls.terminate_child, self.portal.system, child_id, under, timeout), timeout)

    def restart_child(self, child_id: str, *, under: str | None = None, timeout: float = 60.0) -> ActorRef[Any]:
        """Start a stopped or parked child again; see `SupervisorRef.restart_child`."""
        return self._wait(self.portal.call(calls.restart_child, self.portal.system, child_id, under, timeout), timeout)

    def delete_child(self, child_id: str, *, under: str | None = None, timeout: float = 60.0) -> None:
        """Forget a stopped child; see `SupervisorRef.delete_child`."""
        self._wait(self.portal.call(calls.delete_child, self.portal.system, child_id, under, timeout), timeout)

    def which_children(self, *, under: str | None = None, timeout: float = 5.0) -> list[ChildInfo]:
        """Every child of the supervisor at path `under`, or of the root, newest first."""
        return self._wait(self.portal.call(calls.which_children, self.portal.system, under), timeout)

    def snapshot(self, *, timeout: float = 5.0) -> ActorSnapshot:
        """The tree as it stands now."""
        return self._wait(self.portal.call(calls.snapshot, self.portal.system), timeout)

    def _wait(self, future: Future[_T], timeout: float, late: type[ActorError | TimeoutError] = TimeoutError) -> _T:
        if self.portal.is_own_thread:
            future.cancel()
            raise ActorError("this call blocks, and would block the system's own thread: await the ref's method there")
        try:
            return future.result(min(timeout + _SLACK, threading.TIMEOUT_MAX))
        except TimeoutError:
            if future.done():
                raise  # the runtime's own: it has kept the deadline
            future.cancel()
            raise late(
                f"system {self.portal.system.name!r} did not answer in {timeout:g} s: its loop is blocked at\n"
                f"{self.portal.stack()}"
            ) from None
        except BaseException:
            future.cancel()  # an interrupt in the waiting thread: the work is called off
            raise
