"""A system inside a trio program: `async with open_system(...)`.

In: child specifications. Out: a system whose methods are awaited on trio. The system runs asyncio in a portal's thread;
no further thread is used, whatever number of asks is in flight. Trio and the tree are linked: the end of the block, for
whatever reason, stops the tree in order; a tree that gives up cancels the block, which then raises `SupervisorGaveUp`.
Needs trio (extra `trio`). Not here: guest mode, in which trio rides on the asyncio loop.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Coroutine, Sequence
from concurrent.futures import CancelledError, Future
from contextlib import asynccontextmanager
from typing import Any, Final, TypeVar, Unpack

from bifrost.actors.child_spec import ChildSpec
from bifrost.actors.events import ActorEvent
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
from bifrost.errors import ActorStopped, AskTimeout, MailboxFull, MissingExtra

try:
    import outcome
    import trio
except ImportError as error:
    raise MissingExtra(f"{error.name} is missing: pip install 'bifrost-edge[trio]'") from error

__all__ = ["TrioSystem", "open_system"]

_T = TypeVar("_T")

_SLACK: Final = 1.0  # seconds that the loop may be late with its own deadline before the caller gives up on the loop


@asynccontextmanager
async def open_system(
    name: str = "system",
    children: Sequence[ChildSpec] = (),
    *,
    loop_factory: LoopFactory = asyncio.new_event_loop,
    start_timeout: float = 60.0,
    **options: Unpack[SystemOptions],
) -> AsyncGenerator[TrioSystem]:
    """Start a tree beside the trio loop, and stop it in reverse order at the end of the block.

    The stop is shielded from trio's cancellation and has a deadline of its own, `stop_timeout`.

    Args:
        name: the root's name.
        children: the root's children, in start order.
        loop_factory: makes the asyncio loop, for instance `uvloop.new_event_loop`.
        start_timeout: seconds until the whole tree must run.
        options: as for `ActorSystem`.

    Raises:
        StartFailed: a child did not start; the block was not entered.
        SupervisorGaveUp: the root ended: the block was cancelled. What the block raised besides is its cause.
        TimeoutError: the tree did not start in time; what had started was stopped.
    """
    portal = Portal(ActorSystem(name, children, **options), loop_factory=loop_factory)
    system = TrioSystem(portal)
    token = trio.lowlevel.current_trio_token()
    entered = False
    try:
        await system._start(start_timeout)  # noqa: SLF001 - a part of this module
        with trio.CancelScope() as scope:
            portal.on_down(lambda error: None if error is None else _soon(token, scope.cancel))
            entered = True
            yield system
    except BaseException as error:
        await system._close()  # noqa: SLF001 - a part of this module
        if entered and isinstance(error, Exception):
            portal.raise_if_down(error)
        raise
    await system._close()  # noqa: SLF001 - a part of this module
    portal.raise_if_down()


class TrioSystem:
    """What trio tasks use of a system; made by `open_system`. Only for the trio loop that it was opened on.

    A trio cancellation, or a deadline of trio's, withdraws what is awaited here as `ActorRef` documents it: a request
    that no actor has seen is never seen.
    """

    def __init__(self, portal: Portal) -> None:
        self.portal = portal
        """The door below, for other threads."""
        self._report: ShutdownReport | None = None

    @property
    def report(self) -> ShutdownReport | None:
        """How the stop went; None before it."""
        return self._report

    # Messages

    def ref(self, path: str) -> ActorRef[Any]:
        """The actor at `path`; `ChildNotFound` if nothing has started there."""
        return self.portal.system.ref(path)

    def tell(self, target: Target, message: Any, *, lane: Lane = Lane.NORMAL) -> Delivery:
        """Send and go on; see `Portal.post`. Raises `ChildNotFound` if `target` is a path where nothing has started."""
        return self.portal.post(self.ref(target) if isinstance(target, str) else target, message, lane=lane)

    async def send(self, target: Target, message: Any, *, timeout: float = 5.0, lane: Lane = Lane.NORMAL) -> None:
        """Send, waiting for room in the mailbox; see `ActorRef.send`."""
        deadline = time.monotonic() + timeout
        with trio.move_on_after(timeout + _SLACK):
            await self.call(calls.send, self.portal.system, target, message, deadline, lane)
            return
        raise MailboxFull(self._blocked(timeout))

    async def ask(self, target: Target, message: Any, *, timeout: float = 5.0, lane: Lane = Lane.NORMAL) -> Any:
        """Send and wait for the answer; see `ActorRef.ask`."""
        deadline = time.monotonic() + timeout
        with trio.move_on_after(timeout + _SLACK):
            return await self.call(calls.ask, self.portal.system, target, message, deadline, lane)
        raise AskTimeout(self._blocked(timeout))

    async def wait_running(self, target: Target, *, timeout: float = 5.0) -> None:
        """Return when the actor runs; see `ActorRef.wait_running`."""
        await self.call(calls.wait_running, self.portal.system, target, timeout)

    # The tree

    async def start_child(self, spec: ChildSpec, *, under: str | None = None, timeout: float = 60.0) -> ActorRef[Any]:
        """Add a child to the supervisor at path `under`, or to the root; see `SupervisorRef.start_child`."""
        return await self.call(calls.start_child, self.portal.system, spec, under, timeout)

    async def terminate_child(self, child_id: str, *, under: str | None = None, timeout: float = 60.0) -> None:
        """Stop a child for good; see `SupervisorRef.terminate_child`."""
        await self.call(calls.terminate_child, self.portal.system, child_id, under, timeout)

    async def restart_child(self, child_id: str, *, under: str | None = None, timeout: float = 60.0) -> ActorRef[Any]:
        """Start a stopped or parked child again; see `SupervisorRef.restart_child`."""
        return await self.call(calls.restart_child, self.portal.system, child_id, under, timeout)

    async def delete_child(self, child_id: str, *, under: str | None = None, timeout: float = 60.0) -> None:
        """Forget a stopped child; see `SupervisorRef.delete_child`."""
        await self.call(calls.delete_child, self.portal.system, child_id, under, timeout)

    async def which_children(self, *, under: str | None = None) -> list[ChildInfo]:
        """Every child of the supervisor at path `under`, or of the root, newest first."""
        return await self.call(calls.which_children, self.portal.system, under)

    async def snapshot(self) -> ActorSnapshot:
        """The tree as it stands now."""
        return await self.call(calls.snapshot, self.portal.system)

    # Both ways

    async def call(self, coro_fn: Callable[..., Coroutine[Any, Any, _T]], *args: Any) -> _T:
        """Run an asyncio coroutine function on the system's loop and wait for it; a checkpoint of trio.

        A trio cancellation cancels its task and is raised at once, without waiting for the task's end.
        """
        return await _wait(self.portal.call(coro_fn, *args))

    @asynccontextmanager
    async def events(self, *, buffer: int = 1024) -> AsyncGenerator[AsyncIterator[ActorEvent]]:
        """The system's events from now on, as a trio memory channel to iterate over.

        A reader that falls behind by more than `buffer` events loses the newest ones; the tree never waits for it.
        """
        send, receive = trio.open_memory_channel[ActorEvent](buffer)
        token = trio.lowlevel.current_trio_token()

        def put(event: ActorEvent) -> None:
            try:
                send.send_nowait(event)
            except (trio.WouldBlock, trio.ClosedResourceError, trio.BrokenResourceError):
                return  # the reader is slow or has gone

        unsubscribe = await self.call(calls.subscribe, self.portal.system, lambda event: _soon(token, put, event))
        try:
            async with send, receive:
                yield receive
        finally:
            self.portal.call(calls.run, unsubscribe)  # nobody need wait for it

    # Life

    async def stop(self, timeout: float | None = None) -> ShutdownReport:
        """Stop in reverse order and report; the end of the block then has nothing left to do.

        The stop goes on if the caller is cancelled.

        Args:
            timeout: seconds for the orderly stop; None is the system's `stop_timeout`.
        """
        down: Future[None] = Future()

        def is_down(_: BaseException | None) -> None:
            if down.set_running_or_notify_cancel():
                down.set_result(None)

        forget = self.portal.on_down(is_down)
        limit = self.portal.close_soon(timeout)
        try:
            with trio.move_on_after(limit):
                await _wait(down)
        finally:
            forget()
        self._report = self.portal.report_after(limit)
        return self._report

    async def _start(self, timeout: float) -> None:
        with trio.move_on_after(timeout):
            await _wait(self.portal.start_soon())
            return
        raise TimeoutError(f"system {self.portal.system.name!r} did not start in {timeout:g} s; it is being stopped")

    async def _close(self) -> None:
        with trio.CancelScope(shield=True):  # bounded by the deadline of the stop
            await self.stop()

    def _blocked(self, timeout: float) -> str:
        where = self.portal.stack()
        return f"system {self.portal.system.name!r} did not answer in {timeout:g} s: its loop is blocked at\n{where}"


async def _wait(future: Future[_T]) -> _T:
    """Wait for a future of another thread, without a thread of one's own."""
    task = trio.lowlevel.current_task()
    token = trio.lowlevel.current_trio_token()
    waiting = True

    def wake() -> None:
        nonlocal waiting
        if waiting:
            waiting = False
            trio.lowlevel.reschedule(task, outcome.Value(None))

    def abort(_: Any) -> trio.lowlevel.Abort:
        nonlocal waiting
        waiting = False
        future.cancel()
        return trio.lowlevel.Abort.SUCCEEDED

    future.add_done_callback(lambda _: _soon(token, wake))
    await trio.lowlevel.wait_task_rescheduled(abort)
    try:
        return future.result(timeout=0)
    except CancelledError:
        raise ActorStopped("what was awaited was cancelled on the system's side") from None


def _soon(token: trio.lowlevel.TrioToken, fn: Callable[..., object], *args: Any) -> None:
    """Call `fn` on the trio loop, if that still runs."""
    try:
        token.run_sync_soon(fn, *args)
    except trio.RunFinishedError:
        return
