"""One tree of actors and the door to it.

In: specifications. Out: refs, events, snapshots, a report of the stop. Nothing is shared between two systems, and
nothing of the process is touched: no signal handler, no loop policy, no logging handler.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import random
import threading
from collections.abc import Iterator, Sequence
from types import TracebackType
from typing import Any, Self, cast

from bifrost.actors.cell import Cell
from bifrost.actors.child_spec import ChildSpec
from bifrost.actors.companion import Companion, start_all, stop_all
from bifrost.actors.dead_letters import DeadLetter, DeadLetterReason, DeadLetters
from bifrost.actors.events import ActorEvent, DeadLettered, EventStream
from bifrost.actors.exit_reason import ExitReason, StartFailure
from bifrost.actors.explain import Explanation, explain
from bifrost.actors.links import cut, join
from bifrost.actors.loop_clock import LoopClock
from bifrost.actors.meter import Meter
from bifrost.actors.outlast import outlast
from bifrost.actors.ref import ActorRef
from bifrost.actors.registry import Registry
from bifrost.actors.scheduler import Scheduler
from bifrost.actors.shutdown_report import Leak, ShutdownReport
from bifrost.actors.snapshot import ActorSnapshot
from bifrost.actors.steps import Fate
from bifrost.actors.strategy import AutoShutdown, Strategy
from bifrost.actors.supervisor import Supervisor, SupervisorPlan
from bifrost.actors.supervisor_cell import SupervisorCell
from bifrost.actors.supervisor_ref import SupervisorRef
from bifrost.actors.tap import Tap
from bifrost.actors.worker import WorkerCell
from bifrost.core.clock import Clock
from bifrost.errors import ActorError, ChildNotFound, SupervisorGaveUp

__all__ = ["ActorSystem"]

_FORCED_STOP = 5.0  # seconds that a forced stop may take: twice cancelling handler and stop hook, and some room


class ActorSystem:
    """A root supervisor and all that is below it, for the length of an `async with`.

    Leaving the block, or cancelling the task that is in it, stops the tree in reverse order. If the root gives up, the
    block is cancelled and `SupervisorGaveUp` is raised from the `async with`.

    Args:
        name: the root's name, for logs and events.
        children: the root's children, in start order.
        strategy: the root's strategy.
        intensity: restarts allowed within `period`; one more ends the system.
        period: seconds of the sliding window.
        auto_shutdown: whether significant children may end the system.
        clock: where event times come from; None is the loop's time and the machine's wall clock.
        stop_timeout: seconds for the whole orderly stop; what is left then is cancelled all at once.
        seed: seeds the jitter of back-offs; None draws one.
        watchdog: reports slow handlers and a blocked loop, such as `Watchdog()`; None does not look.
        telemetry: measures the messages, such as `bifrost.actors.telemetry.ActorTelemetry()`; None does not.

    Attributes:
        companions: what starts before the first actor and stops after the last one; may be added to before the start.

    Raises:
        ChildSpecError: a specification is wrong; nothing was started.
        ActorError: `stop_timeout` is no time.
    """

    def __init__(
        self,
        name: str = "system",
        children: Sequence[ChildSpec] = (),
        *,
        strategy: Strategy = Strategy.ONE_FOR_ONE,
        intensity: int = 3,
        period: float = 5.0,
        auto_shutdown: AutoShutdown = AutoShutdown.NEVER,
        clock: Clock | None = None,
        stop_timeout: float = 30.0,
        seed: int | None = None,
        watchdog: Companion | None = None,
        telemetry: Companion | None = None,
    ) -> None:
        if not 0 <= stop_timeout < float("inf"):
            raise ActorError(f"stop_timeout must be finite seconds of at least 0, got {stop_timeout!r}")
        self.name = name
        self.stop_timeout = stop_timeout
        self.events = EventStream()
        self.dead_letters = DeadLetters()
        self.rng = random.Random(seed)  # noqa: S311 - jitter, not secrets
        self.registry = Registry(self)
        self.handed_over: dict[Cell, object] = {}
        self.companions: list[Companion] = [one for one in (telemetry, watchdog) if one is not None]
        self.is_stopping = False
        self.thread_id = 0
        self.context = contextvars.Context()
        self._spec = Supervisor.spec(
            name, children, strategy=strategy, intensity=intensity, period=period, auto_shutdown=auto_shutdown
        )
        self._given_clock = clock
        self._loop: asyncio.AbstractEventLoop | None = None
        self._clock: Clock | None = clock
        self._scheduler: Scheduler | None = None
        self.meter: Meter | None = None
        self._root: SupervisorCell | None = None
        self._up: asyncio.Future[None] | None = None
        self._ended: asyncio.Future[ExitReason] | None = None
        self._host: asyncio.Task[Any] | None = None
        self._host_cancels = 0
        self._gave_up: ExitReason | None = None
        self._stopper: asyncio.Task[ShutdownReport] | None = None
        self._leaks: dict[asyncio.Task[Any], Leak] = {}

    # The block

    async def __aenter__(self) -> Self:
        if self._root is not None:
            raise ActorError(f"system {self.name!r} was started before; make a new one")
        self._loop = asyncio.get_running_loop()
        self.thread_id = threading.get_ident()
        self.context = contextvars.copy_context()
        self._clock = self._given_clock or LoopClock(self._loop)
        self._host = asyncio.current_task()
        self._up = self._loop.create_future()
        self._ended = self._loop.create_future()
        plan = cast("SupervisorPlan", self._spec.start)
        self._scheduler = Scheduler(self._loop, self.context.copy())
        waiting, self.companions = self.companions, []
        self.companions = start_all(waiting, self)
        self._root = SupervisorCell(self, None, self._spec, plan, self.name)
        self._root.launch()
        try:
            await self._up
        except asyncio.CancelledError:
            await self._stop_despite_cancel()
            raise
        except BaseException:
            await self._scheduler.close()
            self._stop_companions()
            raise
        finally:
            if self._up.done() and not self._up.cancelled():
                self._up.exception()
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        del traceback
        host, self._host = self._host, None  # a root that gives up from here on has no block to cancel
        ours = self._gave_up is not None and host is not None and exc_type in (None, asyncio.CancelledError)
        if self._gave_up is not None and host is not None:
            if exc_type is not asyncio.CancelledError:
                with contextlib.suppress(asyncio.CancelledError):
                    await asyncio.sleep(0)  # the cancellation that we sent may not have reached the block
            ours = host.uncancel() <= self._host_cancels and ours
        cancelled = await self._stop_despite_cancel()
        if cancelled:
            raise asyncio.CancelledError
        if self._gave_up is not None and (ours or exc_type is not asyncio.CancelledError):
            raise self._gave_up_error(self._gave_up) from (exc if isinstance(exc, Exception) else None)

    async def _stop_despite_cancel(self) -> bool:
        """Stop in order, however often the host is cancelled meanwhile; True if it was."""
        stopper = self._begin_stop(self.stop_timeout)
        cancelled = False
        while not stopper.done():
            try:
                await asyncio.wait([stopper])
            except asyncio.CancelledError:
                cancelled = True  # the stop has its own deadline; the cancellation is raised when it is over
        stopper.result()
        return cancelled

    def _gave_up_error(self, reason: ExitReason) -> SupervisorGaveUp:
        crashed = [f"{one.path}: {one.last_crash}" for one in self.snapshot().walk() if one.last_crash]
        detail = f"; {'; '.join(crashed[:5])}" if crashed else ""
        return SupervisorGaveUp(f"the root supervisor {self.name!r} ended: {reason}{detail}")

    def _stop_companions(self) -> None:
        companions, self.companions = self.companions, []
        stop_all(companions)

    # What the root reports

    def root_up(self) -> None:
        """The root and all its children run."""
        if self._up is not None and not self._up.done():
            self._up.set_result(None)

    def root_ended(self, reason: ExitReason) -> None:
        """The root has ended, asked or not."""
        assert self._root is not None
        assert self._ended is not None
        assert self._up is not None
        asked = self.is_stopping
        self.is_stopping = True
        self._root.settle(Fate.STOPPED)
        self.registry.close()
        if not self._ended.done():
            self._ended.set_result(reason)
        if not self._up.done():
            error = reason.error if isinstance(reason, StartFailure) else SupervisorGaveUp(f"did not start: {reason}")
            self._up.set_exception(error)
        elif not asked:
            self._gave_up = reason
            if self._host is not None and not self._host.done():
                self._host_cancels = self._host.cancelling()
                self._host.cancel()

    # Stopping

    async def stop(self, timeout: float | None = None) -> ShutdownReport:
        """Stop the tree in reverse order and report how it went; a second call awaits the first.

        Args:
            timeout: seconds for the orderly stop; None is the system's `stop_timeout`. What is left then is cancelled,
                all of it at once, and abandoned if even that does not end it.
        """
        return await asyncio.shield(self._begin_stop(self.stop_timeout if timeout is None else timeout))

    async def wait_stopped(self) -> ExitReason:
        """Return when the root has ended, for whatever reason, with that reason; others may wait as well."""
        if self._ended is None:
            raise ActorError(f"system {self.name!r} does not run yet; enter it with 'async with'")
        return await asyncio.shield(self._ended)

    def _begin_stop(self, timeout: float) -> asyncio.Task[ShutdownReport]:
        if self._stopper is None:
            self._stopper = self.loop.create_task(self._stop(timeout), name=f"{self.name}:stop")
        return self._stopper

    async def _stop(self, timeout: float) -> ShutdownReport:
        if self._root is None:  # a companion did not start
            return ShutdownReport(seconds=0.0, timed_out=False, leaked=())
        assert self._ended is not None
        begun = self.loop.time()
        timed_out = False
        if not self._ended.done():
            self.is_stopping = True
            self._root.halt(Fate.STOPPED)
            await outlast([self._ended], timeout)
            if not self._ended.done():
                timed_out = True
                self._root.force()
                await outlast([self._ended], _FORCED_STOP)
        self.registry.close()
        await self.scheduler.close()
        self._stop_companions()
        leaked = self.leaks
        if not self._ended.done():  # its end goes on in tasks of the runtime's, and nobody waits for it any more
            leaked += tuple(Leak(one.path, one.incarnation, "end") for one in self.cells() if one.present is not None)
        return ShutdownReport(seconds=self.loop.time() - begun, timed_out=timed_out, leaked=leaked)

    # What applications use

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        """The loop that the system runs on."""
        if self._loop is None:
            raise ActorError(f"system {self.name!r} does not run yet; enter it with 'async with'")
        return self._loop

    @property
    def scheduler(self) -> Scheduler:
        """The order of work in this system; for the runtime and for tests of schedules."""
        if self._scheduler is None:
            raise ActorError(f"system {self.name!r} does not run yet; enter it with 'async with'")
        return self._scheduler

    @property
    def clock(self) -> Clock:
        """The clock of every actor in the system."""
        if self._clock is None:
            raise ActorError(f"system {self.name!r} does not run yet; enter it with 'async with'")
        return self._clock

    @property
    def root(self) -> SupervisorRef:
        """The root supervisor."""
        return cast("SupervisorRef", self._root_cell.ref)

    @property
    def _root_cell(self) -> SupervisorCell:
        if self._root is None:
            raise ActorError(f"system {self.name!r} does not run yet; enter it with 'async with'")
        return self._root

    def ref(self, path: str) -> ActorRef[Any]:
        """The actor at `path`, such as ``devices/press``.

        Raises:
            ChildNotFound: nothing has started there.
        """
        cell: Cell = self._root_cell
        for part in path.split("/"):
            below = cell.kids.get(part) if isinstance(cell, SupervisorCell) else None
            if below is None:
                raise ChildNotFound(f"nothing has started at {path!r} in system {self.name!r}")
            cell = below
        return cell.ref

    def supervisor(self, path: str) -> SupervisorRef:
        """The supervisor at `path`.

        Raises:
            ChildNotFound: nothing has started there, or it is not a supervisor.
        """
        ref = self.ref(path)
        if not isinstance(ref, SupervisorRef):
            raise ChildNotFound(f"{path!r} in system {self.name!r} is not a supervisor")
        return ref

    async def start_child(self, spec: ChildSpec) -> ActorRef[Any]:
        """Add a child to the root; see `SupervisorRef.start_child`."""
        return await self.root.start_child(spec)

    @property
    def leaks(self) -> tuple[Leak, ...]:
        """What was abandoned since the system started and still runs, oldest first."""
        return tuple(self._leaks.values())

    def link(self, one: ActorRef[Any], other: ActorRef[Any]) -> None:
        """Link the present incarnations of two actors; see `ActorContext.link`.

        Raises:
            ActorStopped: the first one does not run.
            ActorError: one of them is a supervisor or belongs to another system.
        """
        inc = one.cell.present
        if inc is None:
            raise one.cell.stopped_error()
        join(inc, other.cell)

    def unlink(self, one: ActorRef[Any], other: ActorRef[Any]) -> None:
        """Take a link back, from both sides."""
        inc = one.cell.present
        if inc is not None:
            cut(inc, other.cell)

    def explain(self, actor: ActorRef[Any] | str) -> Explanation:
        """What an actor is doing and why it does not go on: its handler's stack, whom it waits for, rings of waits.

        Raises:
            ChildNotFound: nothing has started at that path.
        """
        if isinstance(actor, str):
            actor = self.root if actor == self.name else self.ref(actor)
        return explain(actor.cell)

    def trace(self, path: str, *, keep: int = 1000) -> Tap:
        """Look at the messages of one actor, in a ``with`` block; the actor need not have started.

        Args:
            path: whose messages; over restarts, too.
            keep: how many of the last entries are kept.

        Example:
            >>> with system.trace("devices/press") as tap:
            ...     async for entry in tap:
            ...         print(entry)
        """
        return Tap(self, path, keep=keep)

    def snapshot(self) -> ActorSnapshot:
        """The tree as it stands now."""
        return self._root_cell.snapshot()

    # What cells use

    def cells(self) -> Iterator[Cell]:
        """Every cell, parents first; none before the start."""
        left: list[Cell] = [] if self._root is None else [self._root]
        while left:
            cell = left.pop()
            yield cell
            left += reversed(tuple(cell.children()))

    def make_cell(self, parent: SupervisorCell, spec: ChildSpec, path: str) -> Cell:
        """A new cell of the kind that `spec` asks for."""
        if isinstance(spec.start, SupervisorPlan):
            return SupervisorCell(self, parent, spec, spec.start, path)
        return WorkerCell(self, parent, spec, path)

    def publish(self, event: type[ActorEvent], path: str, **facts: Any) -> None:
        """Publish an event, stamped with both times."""
        if self.events.has_subscribers:
            clock = self.clock
            self.events.publish(event(path=path, at=clock.monotonic(), wall_ns=clock.time_ns(), **facts))

    def dead_letter(self, path: str, message: object, reason: DeadLetterReason, *, actor_class: str = "") -> None:
        """Keep and publish a dead letter.

        A subscriber that forwards events to an actor which takes no more would make one dead letter of the other for
        ever: such an echo is kept and counted, and not published.
        """
        self.dead_letters.add(DeadLetter(path, message, reason, self.clock.monotonic(), actor_class))
        if not isinstance(self.events.telling, DeadLettered):
            self.publish(DeadLettered, path, message=message, reason=reason.value)

    def adopt_leak(self, task: asyncio.Task[Any], leak: Leak) -> None:
        """Hold an abandoned task, so that it is neither lost nor left out of the report."""
        self._leaks[task] = leak
        task.add_done_callback(self._leak_ended)

    def _leak_ended(self, task: asyncio.Task[Any]) -> None:
        del self._leaks[task]
        if not task.cancelled():
            task.exception()  # nobody waits for it any more
