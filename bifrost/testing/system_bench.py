"""A running system on a bench: virtual clock, fixed seed, event log, and a check that nothing is left of it.

In: specifications, as for `ActorSystem`. Out: the system with its log and its probes; an `AssertionError` that names
every task, thread and timer that outlives it. Not here: the loop; run the test on a `VirtualLoop` for virtual time.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence
from types import TracebackType
from typing import Any, Self

from bifrost.actors.child_spec import ChildSpec
from bifrost.actors.events import ActorEvent
from bifrost.actors.ref import ActorRef
from bifrost.actors.system import ActorSystem
from bifrost.testing.event_log import EventLog
from bifrost.testing.probe import Probe
from bifrost.testing.schedule import Schedule
from bifrost.testing.virtual_clock import VirtualClock

__all__ = ["SystemBench"]

_SETTLE_TURNS = 10  # loop turns for callbacks that are already on their way when the system has stopped


class SystemBench:
    """An actor system for a test, as an `async with` block.

    Leaving the block stops the system and fails if a task, a thread or a timer that began in the block is still there.
    If the block itself fails, its own error is raised.

    Args:
        children: the root's children.
        seed: seeds the jitter of back-offs.
        schedule: who decides which ready actor runs next; None is first come, first served.
        log: event types to keep in the log; empty keeps all.
        options: any other argument of `ActorSystem`.

    Attributes:
        log: the events, from the first on.
        clock: the system's clock; its wall clock can be stepped.

    Example:
        >>> async def test_the_press_comes_back_after_a_crash() -> None:
        ...     async with SystemBench([ChildSpec(id="press", start=Press)]) as bench:
        ...         bench.ref("press").tell(Break())
        ...         await bench.ref("press").wait_running()
        ...         assert bench.log.take() == ["started press", "crashed press", "stopped press crash", ...]
    """

    def __init__(
        self,
        children: Sequence[ChildSpec] = (),
        *,
        seed: int = 0,
        schedule: Schedule | None = None,
        log: Sequence[type[ActorEvent]] = (),
        **options: Any,
    ) -> None:
        self._children = children
        self._seed = seed
        self._schedule = schedule
        self._log_only = tuple(log)
        self._options = options
        self._system: ActorSystem | None = None
        self._before = _Belongings()

    async def __aenter__(self) -> Self:
        if self._system is not None:
            raise AssertionError("a bench is used once; make a new one")
        self._before = _Belongings.now()
        self.clock = VirtualClock()
        options = {"name": "bench", "clock": self.clock, **self._options}
        self._system = ActorSystem(children=self._children, seed=self._seed, **options)
        self.log = EventLog(self._system, *self._log_only)
        if self._schedule is not None:
            self._system.companions.append(self._schedule)
        await self._system.__aenter__()
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.system.__aexit__(exc_type, exc, traceback)
        self.log.close()
        if exc_type is None:
            await self.check_nothing_left()

    @property
    def system(self) -> ActorSystem:
        """The system itself."""
        if self._system is None:
            raise AssertionError("the bench is not set up; enter it with 'async with'")
        return self._system

    def ref(self, path: str) -> ActorRef[Any]:
        """The actor at `path`; see `ActorSystem.ref`."""
        return self.system.ref(path)

    async def start(self, spec: ChildSpec) -> ActorRef[Any]:
        """Add a child to the root; see `ActorSystem.start_child`."""
        return await self.system.start_child(spec)

    async def probe(self, id: str = "probe") -> Probe:  # noqa: A002 - it is called so in `ChildSpec`
        """Start a probe below the root."""
        probe = Probe(id)
        await self.start(probe.spec)
        return probe

    async def check_nothing_left(self) -> None:
        """Fail if something that began in the block is still there; the end of the block calls it.

        Raises:
            AssertionError: names every task, thread and timer.
        """
        report = await self.system.stop()
        left: list[str] = []
        for _ in range(_SETTLE_TURNS):
            await asyncio.sleep(0)
            left = _Belongings.now().beyond(self._before)
            if not left:
                break
        left += [f"abandoned: {leak.what} of {leak.path}#{leak.incarnation}" for leak in report.leaked]
        if left:
            raise AssertionError(f"system {self.system.name!r} has stopped, and left behind: {'; '.join(left)}")


class _Belongings:
    """What runs and waits in the process at one moment."""

    def __init__(
        self,
        tasks: Sequence[asyncio.Task[Any]] = (),
        threads: Sequence[threading.Thread] = (),
        timers: Sequence[asyncio.TimerHandle] = (),
    ) -> None:
        self._tasks = tasks
        self._threads = threads
        self._timers = timers

    @classmethod
    def now(cls) -> _Belongings:
        """Take stock; timers only on loops that keep them in Python."""
        loop = asyncio.get_running_loop()
        scheduled: list[asyncio.TimerHandle] = getattr(loop, "_scheduled", [])
        pool = getattr(getattr(loop, "_default_executor", None), "_threads", ())  # these stay with the loop
        return cls(
            [task for task in asyncio.all_tasks() if not task.done()],
            [thread for thread in threading.enumerate() if thread.is_alive() and thread not in pool],
            [timer for timer in scheduled if not timer.cancelled()],
        )

    def beyond(self, before: _Belongings) -> list[str]:
        """In words, what is here now and was not before."""
        tasks = [f"task {task.get_name()}" for task in self._tasks if task not in before._tasks]
        threads = [f"thread {thread.name}" for thread in self._threads if thread not in before._threads]
        known = {id(timer) for timer in before._timers}  # two timers may be equal
        timers = [f"timer {timer!r}" for timer in self._timers if id(timer) not in known]
        return tasks + threads + timers
