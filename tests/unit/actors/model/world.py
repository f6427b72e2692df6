"""One run: a system on a virtual loop, with senders outside of it.

In: a tree and what is done to it. Out: a ledger, complete after `close`, which also looks for whatever is left over.
"""

from __future__ import annotations

import asyncio
import enum
import gc
import logging
import sys
import threading
from collections.abc import Coroutine, Iterable
from typing import Any

from bifrost.actors import ActorRef, ActorSystem, ShutdownReport, SupervisorRef
from bifrost.errors import (
    ActorCrashed,
    ActorError,
    ActorRestarted,
    ActorStopped,
    AskCycle,
    AskTimeout,
    MailboxFull,
    SupervisorGaveUp,
)
from bifrost.testing import VirtualLoop
from tests.unit.actors.model.acts import Ask, Post, Send, Tell
from tests.unit.actors.model.ledger import Ledger, Life, Note, Parcel
from tests.unit.actors.model.player import MARK, Blunder

__all__ = ["End", "World"]

_EPS = 1e-6
_STOP_LIMIT = 120.0


class End(enum.Enum):
    """How the host ends the system."""

    LEAVE = "leave"
    CANCEL = "cancel"
    RAISE = "raise"
    STOP = "stop"


class World:
    """A running system and everything around it."""

    def __init__(self) -> None:
        self.loop = VirtualLoop()
        self.ledger = Ledger()
        self.refs: list[ActorRef[Any]] = []
        self.supervisors: list[SupervisorRef] = []
        self.senders: list[asyncio.Task[None]] = []
        self.report: ShutdownReport | None = None
        self.gave_up = False
        self.release = asyncio.Event()
        self.end = End.LEAVE
        self._up = asyncio.Event()
        self._finish = asyncio.Event()
        self._system: ActorSystem | None = None
        self._threads = threading.active_count()
        self._complaints: list[str] = []
        self._log = logging.getLogger("bifrost.actors")
        self._log_was_disabled = self._log.disabled
        self._hook = sys.unraisablehook
        self._host: asyncio.Task[None] | None = None
        self._count = 0

    @property
    def system(self) -> ActorSystem:
        """The system."""
        assert self._system is not None
        return self._system

    def open(self, system: ActorSystem) -> None:
        """Start the system."""
        self._log.disabled = True  # thousands of crashes are wanted here
        sys.unraisablehook = lambda args: self._complaints.append(f"{args.exc_value!r} in {args.object!r}")
        self.loop.set_exception_handler(lambda _, context: self._complaints.append(str(context)))
        self._system = system
        system.events.subscribe(self.ledger.hear)
        self._host = self.loop.create_task(self._run_host(), name="host")
        self.run(self._bounded(self._host, self._up.wait()))

    async def _run_host(self) -> None:
        MARK.set("host")
        try:
            async with self.system:
                for one in self.system.snapshot().walk():
                    if one.path != self.system.name:
                        self.adopt(self.system.ref(one.path))
                self._up.set()
                await self._finish.wait()
                self._leave()
        except SupervisorGaveUp:
            self.gave_up = True
        except Blunder:
            self.ledger.expect(self.end is End.RAISE, "the block ended by itself")
        except asyncio.CancelledError:
            self.ledger.expect(self.end is End.CANCEL, "the host was cancelled by itself")
        self.report = await self.system.stop()

    def _leave(self) -> None:
        if self.end is End.RAISE:
            raise Blunder

    def adopt(self, ref: ActorRef[Any]) -> None:
        """Make an actor known as a target."""
        if isinstance(ref, SupervisorRef):
            self.supervisors.append(ref)
        elif ref not in self.refs:
            self.refs.append(ref)

    def ref(self, target: int) -> ActorRef[Any]:
        """The actor that a number stands for."""
        return self.refs[target % len(self.refs)]

    def new_name(self, base: str) -> str:
        """A name for one more sender, within which order is promised."""
        self._count += 1
        return f"{base}-{self._count}"

    def run(self, coro: Coroutine[Any, Any, None]) -> None:
        """Run the loop until `coro` has ended."""
        self.loop.run_until_complete(coro)

    def send_from_outside(self, posts: Iterable[Post]) -> None:
        """Let a new task outside of the tree send `posts`, one after the other."""
        name = self.new_name("host")

        async def send() -> None:
            MARK.set("host")
            for post in posts:
                await self.post(post, name, None)
                mine = MARK.get() == "host"
                self.ledger.expect(mine, f"{name} runs in the context of {MARK.get()} after {post}")

        self.senders.append(self.loop.create_task(send(), name=name))

    def call_from_outside(self, call: Coroutine[Any, Any, Any]) -> None:
        """Let a new task outside of the tree make an administrative call."""

        async def carry_out() -> None:
            MARK.set("host")
            try:
                ref = await call
            except (ActorError, TimeoutError):
                return
            if isinstance(ref, ActorRef):
                self.adopt(ref)

        self.senders.append(self.loop.create_task(carry_out(), name="admin"))

    # Sending

    async def post(self, post: Post, sender: str, life: Life | None) -> None:
        """Send one message, and hold the result against what is documented."""
        ref = self.ref(post.target)
        if isinstance(post, Tell):
            note = self.ledger.note(sender, life, ref, "tell", post.lane)
            note.expires = None if post.ttl is None else self.loop.time() + post.ttl
            note.delivery = ref.tell(Parcel(note, post.acts), lane=post.lane, ttl=post.ttl)
            return
        asks = isinstance(post, Ask)
        note = self.ledger.note(sender, life, ref, "ask" if asks else "send", post.lane)
        begun, me = self.loop.time(), asyncio.current_task()
        try:
            if isinstance(post, Ask):
                note.expires = begun + post.timeout
                answer = await ref.ask(Parcel(note, post.acts), timeout=post.timeout, lane=post.lane)
                self.ledger.expect(answer == ("answer", note.number), f"answered with {answer!r}: {note}")
                note.outcome = "answered"
            else:
                note.expires = None if post.ttl is None else begun + post.ttl
                await ref.send(Parcel(note, post.acts), timeout=post.timeout, lane=post.lane, ttl=post.ttl)
                note.outcome = "sent"
        except asyncio.CancelledError:
            note.outcome = "cancelled"
            raise
        except (ActorCrashed, ActorStopped, ActorRestarted, AskCycle, AskTimeout, MailboxFull) as error:
            self._failed(note, post, error, begun)
            if not post.catch and life is not None:
                raise
        except BaseException as error:
            note.outcome = "undocumented"
            self.ledger.breach(f"raised {error!r}: {note}")
            raise
        finally:
            late = self.loop.time() > begun + post.timeout + _EPS
            self.ledger.expect(not late, f"took {self.loop.time() - begun} s of {post.timeout}: {note}")
            self.ledger.expect(asyncio.current_task() is me, f"the sender's task changed: {note}")

    def _failed(self, note: Note, post: Ask | Send, error: ActorError, begun: float) -> None:
        note.outcome = type(error).__name__
        if isinstance(error, AskTimeout):
            early = self.loop.time() < begun + post.timeout - _EPS
            self.ledger.expect(not early, f"timed out early: {note}")
        elif isinstance(error, ActorCrashed):
            self.ledger.expect(note.kind == "ask", f"crashed: {note}")

    # The end

    def close(self) -> None:
        """Stop the system and look at what is left."""
        assert self._host is not None
        try:
            if self.end is End.CANCEL:
                self._host.cancel()
            elif self.end is End.STOP:
                self.run(self._stop())
            self._finish.set()
            self.run(self._bounded(self._host))
            self.ledger.expect(self._host.done(), "the stop hangs")
            self.run(asyncio.sleep(0.1))
            for task in self.senders:
                self.ledger.expect(task.done() or task.get_name() == "admin", f"{task.get_name()} waits after the end")
            self.run(asyncio.sleep(100.0))
            self._check_leftovers()
            self.ledger.settle_accounts()
            self.release.set()
            self.run(asyncio.sleep(60.0))
            left = sorted(task.get_name() for task in asyncio.all_tasks(self.loop))
            self.ledger.expect(not left, f"tasks after the end: {left}")
            timers = [timer for timer in getattr(self.loop, "_scheduled", ()) if not timer.cancelled()]
            self.ledger.expect(not timers, f"timers after the end: {timers}")
            self.ledger.expect(threading.active_count() <= self._threads, f"threads: {threading.enumerate()}")
        finally:
            if asyncio.all_tasks(self.loop):
                self.run(self._put_down())
            self._log.disabled = self._log_was_disabled
            self._host = self._system = None
            self.loop.close()
            self.senders.clear()
            gc.collect(1)
            sys.unraisablehook = self._hook
        self.ledger.expect(not self._complaints, f"the loop complains: {self._complaints}")

    async def _put_down(self) -> None:
        """End what a broken runtime has left, so that one failing run does not speak into the next."""
        for _ in range(50):
            for task in asyncio.all_tasks() - {asyncio.current_task()}:
                task.cancel()
            await asyncio.sleep(0.1)

    async def _stop(self) -> None:
        await self.system.stop()

    async def _bounded(self, task: asyncio.Task[None], other: Coroutine[Any, Any, Any] | None = None) -> None:
        rest = [] if other is None else [asyncio.ensure_future(other)]
        await asyncio.wait([task, *rest], timeout=_STOP_LIMIT, return_when=asyncio.FIRST_COMPLETED)

    def _check_leftovers(self) -> None:
        names = sorted(task.get_name() for task in asyncio.all_tasks(self.loop))
        leaked = () if self.report is None else self.report.leaked
        self.ledger.expect(len(names) == len(leaked), f"tasks {names} are left, reported are {leaked}")
