"""A thread with an event loop of its own, for a host that has none or runs another.

In: one coroutine that is the thread's life, and work from foreign threads. Out: the work, done on the loop; an end that
leaves no task, no executor thread and no open loop behind, or names what it had to leave. Not here: actors.

Nothing of the process is touched: no signal handler, no loop policy, no current loop of another thread.
"""

from __future__ import annotations

import asyncio
import contextvars
import logging
import os
import sys
import threading
import time
import traceback
import weakref
from collections import deque
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final, Protocol

from bifrost.actors.hosts.owner import main_thread_is_over

__all__ = ["GRACE", "LoopFactory", "LoopThread", "Work"]

_log = logging.getLogger("bifrost.actors")

LoopFactory = Callable[[], asyncio.AbstractEventLoop]
"""Makes the loop; called once, in the new thread: `asyncio.new_event_loop`, `uvloop.new_event_loop`."""

GRACE: Final = 2.0
"""Seconds that each step of the wind-up may take: cancelled tasks, asynchronous generators, jobs in threads."""

_SHARE: Final = 1024  # pieces of work done in a row before the loop gets a turn
_INTERRUPTS: Final = 3  # how often SystemExit or KeyboardInterrupt may break into the end before it is abandoned


class Work(Protocol):
    """Something that a foreign thread wants done on the loop."""

    @property
    def takes_a_turn(self) -> bool:
        """True if it begins in the next turn of the loop only, so that what comes after must wait for that turn."""

    def begin(self) -> None:
        """Do it, or start it. Called on the loop."""

    def refuse(self) -> None:
        """Learn that the loop is gone. Called from any thread."""


class LoopThread:
    """A thread that is no daemon and the loop in it.

    Args:
        name: the thread's name; its executor's threads are named after it.
        life: makes the coroutine that runs as long as the thread shall. It is cancelled once if SystemExit or
            KeyboardInterrupt comes out of any task, and has then to end in its own good time.
        loop_factory: makes the loop.
        on_end: called in the thread as the last thing, with the exception that ended `life`, or None.
    """

    def __init__(
        self,
        name: str,
        life: Callable[[], Coroutine[Any, Any, None]],
        *,
        loop_factory: LoopFactory,
        on_end: Callable[[BaseException | None], None],
    ) -> None:
        self.loop: asyncio.AbstractEventLoop | None = None
        self.left_behind: tuple[str, ...] = ()
        """Names of tasks and threads that did not end; complete when the thread has ended."""
        self._life = life
        self._loop_factory = loop_factory
        self._on_end = on_end
        self._work: deque[Work] = deque()
        self._awake = False
        self._turns = 0
        self._gone = False
        self._context = contextvars.Context()
        self._jobs: weakref.WeakSet[threading.Thread] = weakref.WeakSet()
        self._process = os.getpid()
        self._ended = threading.Event()
        self._join_lock = threading.Lock()
        self._thread = threading.Thread(target=self._run, name=name, daemon=False)

    # From any thread

    @property
    def name(self) -> str:
        """The thread's name."""
        return self._thread.name

    @property
    def is_current(self) -> bool:
        """True in the thread itself."""
        return threading.current_thread() is self._thread  # idents are given again to later threads

    @property
    def is_alive(self) -> bool:
        """True from `start` until the loop is closed and the thread has ended."""
        return not self.join(0.0)

    @property
    def is_open(self) -> bool:
        """True while work is taken."""
        return not self._gone and not self.is_forked

    @property
    def is_forked(self) -> bool:
        """True in a process that was forked off since the start: the thread is not in it."""
        return os.getpid() != self._process

    @property
    def backlog(self) -> int:
        """How much work waits for the loop."""
        return len(self._work)

    def start(self) -> None:
        """Start the thread; `life` begins in it."""
        self._process = os.getpid()
        try:
            self._thread.start()
        except BaseException:
            self.give_up()
            raise

    def give_up(self) -> None:
        """Take no work; for a thread that is never to be started."""
        self._gone = True
        self._refuse_all()

    def join(self, timeout: float) -> bool:
        """Wait until the thread has ended; False if it has not after `timeout` seconds."""
        if self._thread.ident is None or self.is_forked:
            return True
        if not self._ended.wait(min(timeout, threading.TIMEOUT_MAX)):
            return False
        with self._join_lock:  # before CPython 3.13, two threads must not join a third at the same time
            self._thread.join(GRACE)  # it is at its last line
        return True

    def submit(self, work: Work) -> bool:
        """Have `work` begun on the loop, in the order of submission; many submissions cost one wake-up.

        Returns:
            False if the loop is gone, or in another process; `work.refuse` was called.
        """
        # No lock, so that a signal handler or a finalizer may submit too. The order matters: append before looking.
        self._work.append(work)
        if self._gone or os.getpid() != self._process:
            self._refuse_all()
            return False
        if not self._awake:
            self._awake = True
            self.wake()
        return True

    def wake(self) -> None:
        """Have the loop look for work even if it was told before: an interrupt may have come between note and call."""
        loop = self.loop
        if loop is None:
            return  # it looks for work when it starts
        try:
            loop.call_soon_threadsafe(self._do_work, context=self._context)
        except RuntimeError:  # the loop was closed in this moment
            self._refuse_all()

    def is_responsive(self, within: float) -> bool:
        """Ask the loop for a sign of life; False if none comes in `within` seconds, or the loop is gone."""
        loop = self.loop
        answered = threading.Event()
        if loop is None or self.is_current:
            return self.is_current
        try:
            loop.call_soon_threadsafe(answered.set)
        except RuntimeError:  # the loop is closed
            return False
        return answered.wait(within)

    def stack(self) -> str:
        """Where the thread is at this moment, as a traceback; empty if it has ended."""
        if not self.is_alive:
            return ""
        frame = sys._current_frames().get(self._thread.ident or 0)  # noqa: SLF001 - documented, and the only way
        return "" if frame is None else "".join(traceback.format_stack(frame))

    # In the thread

    def _do_work(self) -> None:
        # A submitter that saw `_awake` false in the midst of this has scheduled another run, which may come before the
        # first step of a task begun here: so what must not overtake that step waits for `_turn_over`, not for a run.
        self._awake = False
        assert self.loop is not None
        turn_taken = False
        for _ in range(_SHARE):
            try:
                work = self._work.popleft()
            except IndexError:
                break
            if work.takes_a_turn:
                turn_taken = True
            elif turn_taken or self._turns:
                self._work.appendleft(work)
                break
            try:
                work.begin()
            except Exception:  # noqa: BLE001 - one poster's mistake must not stop the others' work
                _log.exception("%s: work from a foreign thread failed", self.name)
        if turn_taken:
            self._turns += 1
            self.loop.call_soon(self._turn_over, context=self._context)
        if self._turns:
            self._awake = True  # `_turn_over` looks again
        elif self._work:
            self._awake = True
            self.loop.call_soon(self._do_work, context=self._context)

    def _turn_over(self) -> None:
        """The tasks that one run began have made their first step."""
        self._turns -= 1
        if not self._turns:
            self._do_work()

    def _refuse_all(self) -> None:
        while True:
            try:
                work = self._work.popleft()
            except IndexError:
                return
            work.refuse()

    def _run(self) -> None:
        try:
            self._run_loop()
        finally:
            self._ended.set()

    def _run_loop(self) -> None:
        error: BaseException | None = None
        try:
            loop = self._loop_factory()
        except BaseException as failed:  # noqa: BLE001 - the factory is the host's, and the host is told
            self._gone = True
            self._refuse_all()
            self._on_end(failed)
            return
        executor = ThreadPoolExecutor(
            thread_name_prefix=f"{self.name}-job", initializer=lambda: self._jobs.add(threading.current_thread())
        )
        try:
            loop.set_default_executor(executor)
            self.loop = loop
            self._awake = True
            loop.call_soon(self._do_work, context=self._context)
            error = self._live(loop)
        except Exception as failed:  # noqa: BLE001 - a loop that does not work is the host's to know
            error = failed
        finally:
            self._gone = True
            self._refuse_all()
            try:
                tasks = self._cancel_tasks(loop)
                loop.close()
                self._refuse_all()
                self.left_behind = (*tasks, *self._join_jobs(executor))
            finally:
                self._on_end(error)

    def _live(self, loop: asyncio.AbstractEventLoop) -> BaseException | None:
        life_coro = self._life()
        try:
            life = loop.create_task(life_coro, name=self.name)
        except BaseException:
            life_coro.close()  # the loop's task factory is the host's too
            raise
        interrupt: BaseException | None = None
        for _ in range(_INTERRUPTS):
            try:
                loop.run_until_complete(life)
            except asyncio.CancelledError as error:
                return interrupt or error
            except (KeyboardInterrupt, SystemExit) as error:
                # It came out of some task and has stopped the loop; the life still has to end in order.
                interrupt = interrupt or error
                if life.done():
                    break
                life.cancel()
            except BaseException as error:  # noqa: BLE001 - whatever ended the life is the host's to know
                return interrupt or error
            else:
                break
        return interrupt

    def _cancel_tasks(self, loop: asyncio.AbstractEventLoop) -> list[str]:
        async def cancel_all() -> list[str]:
            tasks = asyncio.all_tasks() - {asyncio.current_task()}
            for task in tasks:
                task.cancel()
            left: set[asyncio.Task[Any]] = set()
            if tasks:
                ended, left = await asyncio.wait(tasks, timeout=GRACE)
                for task in ended:
                    if not task.cancelled():
                        task.exception()  # its own reader is gone or has it already
            async with asyncio.timeout(GRACE):
                await loop.shutdown_asyncgens()
            return [f"task {task.get_name()}" for task in left]

        cancelling = cancel_all()
        try:
            return loop.run_until_complete(cancelling)
        except TimeoutError:
            return ["an asynchronous generator"]
        except Exception:  # noqa: BLE001 - a loop that does not work; its tasks have not begun
            cancelling.close()
            return []
        except (KeyboardInterrupt, SystemExit):
            return ["tasks that raised while they were cancelled"]

    def _join_jobs(self, executor: ThreadPoolExecutor) -> list[str]:
        """Wait for the executor's threads; a job that blocks cannot be ended and is named."""
        executor.shutdown(wait=False, cancel_futures=True)
        if main_thread_is_over():
            return []  # it joins them itself: see `join` on two that join a third
        deadline = time.monotonic() + GRACE
        jobs = list(self._jobs)
        for thread in jobs:
            thread.join(max(0.0, deadline - time.monotonic()))
        return [f"thread {thread.name}" for thread in jobs if thread.is_alive()]
