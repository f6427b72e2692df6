"""The place of an actor in the tree: what a ref names, and what stays over restarts.

In: orders from the supervisor above (`launch`, `halt`, `settle`, `force`) and messages. Out: reports to it. The two
kinds are `WorkerCell` and `SupervisorCell`.
"""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from bifrost.actors.dead_letters import DeadLetterReason
from bifrost.actors.exit_reason import ExitReason, Normal
from bifrost.actors.mailbox import Envelope
from bifrost.actors.ref import ActorRef
from bifrost.actors.snapshot import ActorSnapshot, PastLife
from bifrost.actors.state import ActorState, Delivery, Down
from bifrost.actors.steps import Fate
from bifrost.errors import ActorError, ActorStopped

if TYPE_CHECKING:
    from bifrost.actors.child_spec import ChildSpec
    from bifrost.actors.incarnation import Incarnation
    from bifrost.actors.supervisor_cell import SupervisorCell
    from bifrost.actors.system import ActorSystem
    from bifrost.actors.worker import WorkerCell

__all__ = ["Cell"]

_HISTORY = 10  # past incarnations that a snapshot tells of

_NORMAL = Normal()


class Cell(ABC):
    """What workers and supervisors have in common."""

    # Defaults stand here and not in slots: most cells never set most of them, and a start costs what it sets.
    restarts: int = 0
    last_crash: str | None = None
    last_reason: ExitReason = _NORMAL
    will_restart: bool = False
    _watchers: dict[tuple[WorkerCell, Incarnation], int] | None = None
    _running_waiters: list[asyncio.Future[None]] | None = None
    _history: deque[PastLife] | None = None

    def __init__(self, system: ActorSystem, parent: SupervisorCell | None, spec: ChildSpec, path: str) -> None:
        self.system = system
        self.parent = parent
        self.spec = spec
        self.path = path
        self.thread_id = system.thread_id
        self.scheduler = system.scheduler
        self.inbox: Any = ()
        """Where a plain message is appended if there are fewer than `limit` in it: the short way into the mailbox."""
        self.limit = 0
        """How many may wait in `inbox`; 0 sends every message the long way, by `put`."""
        self.idle = False
        """It runs, and has neither mail nor a handler in hand."""
        self.state = ActorState.STARTING
        self.incarnation = 0
        self.ref: ActorRef[Any] = self.make_ref()

    @abstractmethod
    def make_ref(self) -> ActorRef[Any]:
        """The one ref of this cell."""

    @abstractmethod
    def launch(self) -> None:
        """Start a new incarnation; reports `Started` or `StartFailed`."""

    @abstractmethod
    def halt(self, fate: Fate) -> None:
        """Stop the present incarnation in order; reports `Exited`, or `StartFailed` if it was starting."""

    @abstractmethod
    def force(self) -> None:
        """Stop now: no more waiting for handlers, drains and stop hooks."""

    @abstractmethod
    def kill(self) -> None:
        """End the present incarnation now; the supervisor above decides what follows."""

    @abstractmethod
    def awaken(self) -> None:
        """Handle what was appended to the inbox of an idle actor."""

    @abstractmethod
    def can_run_now(self) -> bool:
        """True if an ask may run the handler on the asker's stack."""

    @abstractmethod
    def run_now(self, message: Any, timeout: float | None) -> Any:
        """Run the handler on the asker's stack until it is done or suspends."""

    def drain(self) -> None:
        """Handle what is queued now, then end by oneself; a supervisor has no mailbox and refuses."""
        raise ActorError(f"{self.path} is a supervisor and has no mailbox to drain; use terminate_child")

    @abstractmethod
    def put(self, envelope: Envelope) -> Delivery:
        """Take a message, without waiting."""

    @abstractmethod
    def put_or_wait(self, envelope: Envelope) -> Delivery | asyncio.Future[None]:
        """Take a message, or return what to await until there is room."""

    @abstractmethod
    def admit(self, waiter: asyncio.Future[None]) -> None:
        """Take the message of a sender that waits for room, past the bound."""

    @abstractmethod
    def withdraw(self, waiter: asyncio.Future[None]) -> None:
        """Forget a message whose sender no longer waits for room."""

    @property
    def start_info(self) -> object:
        """What `on_start` of the present incarnation returned; a supervisor has none."""
        return None

    def snapshot(self) -> ActorSnapshot:
        """How it stands now, with everything below it."""
        life = self.present
        return ActorSnapshot(
            path=self.path,
            id=self.spec.id,
            type=self.spec.type,
            state=self.state,
            incarnation=self.incarnation,
            restarts=self.restarts,
            mailbox_depth=self.waiting_messages(),
            last_crash=self.last_crash,
            mailbox_urgent=self.urgent_messages(),
            handling=None if life is None else life.handling,
            handling_for=None if life is None else life.suspended_for,
            history=tuple(self._history or ()),
            held=self.parent is not None and self.parent.holds(self.spec.id),
            children=tuple(kid.snapshot() for kid in self.children()),
        )

    @property
    def present(self) -> Incarnation | None:
        """The incarnation that lives; a supervisor has none."""
        return None

    def regate(self) -> None:  # noqa: B027 - right for a supervisor, which has no mailbox
        """Look again at what the short way into the mailbox depends on; a supervisor has none."""

    def waiting_messages(self) -> int:
        """How many messages wait; a supervisor has no mailbox."""
        return 0

    def urgent_messages(self) -> int:
        """How many of them are in the lanes above NORMAL."""
        return 0

    def children(self) -> Iterable[Cell]:
        """The cells below it, in start order; a worker has none."""
        return ()

    # Messages

    def tell_from_thread(self, envelope: Envelope, *, fenced: bool = False) -> Delivery:
        """Hand a message over from a foreign thread, unless an abandoned incarnation runs in it."""
        if fenced:
            return self._dead_from_thread(envelope, DeadLetterReason.FENCED)
        if self.state in (ActorState.STOPPED, ActorState.FAILED):
            return self._dead_from_thread(envelope)
        try:
            self.system.loop.call_soon_threadsafe(self.put, envelope)
        except RuntimeError:  # the loop is closed
            return self._dead_from_thread(envelope)
        return Delivery.ACCEPTED

    def _dead_from_thread(self, envelope: Envelope, reason: DeadLetterReason = DeadLetterReason.STOPPED) -> Delivery:
        try:
            self.system.loop.call_soon_threadsafe(self.dead_letter, envelope.message, reason)
        except RuntimeError:
            return Delivery.DEAD  # the loop is closed: nobody is left to count dead letters
        return Delivery.DEAD

    def refuse_fenced(self, message: Any) -> Delivery:
        """Refuse a message from an abandoned incarnation."""
        self.dead_letter(message, DeadLetterReason.FENCED)
        return Delivery.DEAD

    def dead_letter(self, message: Any, reason: DeadLetterReason) -> None:
        """Publish that a message was not handled."""
        if self.system.meter is not None:
            self.system.meter.dropped(self, message, reason)
        start: object = self.spec.start
        name = getattr(start, "__qualname__", type(start).__name__)
        self.system.dead_letter(self.path, message, reason, actor_class=name)

    # Watching

    def add_watcher(self, watcher: WorkerCell, incarnation: Incarnation) -> None:
        """Remember who wants the `Down` of the present incarnation; answer at once if there is none."""
        if self.state in (ActorState.STOPPED, ActorState.FAILED, ActorState.RESTARTING):
            watcher.notify_down(incarnation, self._down())
            return
        if self._watchers is None:
            self._watchers = {}
        self._watchers[watcher, incarnation] = self.incarnation

    def remove_watcher(self, watcher: WorkerCell, incarnation: Incarnation) -> None:
        """Forget a watcher."""
        if self._watchers is not None:
            self._watchers.pop((watcher, incarnation), None)

    def _down(self) -> Down:
        return Down(self.ref, self.last_reason, self.incarnation, self.will_restart)

    # What the supervisor above has decided

    def settle(self, fate: Fate) -> None:
        """Learn what becomes of this cell now that its incarnation has ended."""
        if fate is Fate.UNDECIDED:
            if not self.system.is_stopping:
                return
            fate = Fate.STOPPED
        self.will_restart = fate is Fate.RESTART
        self.state = {Fate.RESTART: ActorState.RESTARTING, Fate.PARKED: ActorState.FAILED}.get(fate, ActorState.STOPPED)
        self.on_settled(fate)
        watchers, self._watchers = self._watchers, None
        for watcher, incarnation in watchers or ():
            watcher.notify_down(incarnation, self._down())
        if not self.will_restart:
            self.system.registry.release(self)
            self.system.handed_over.pop(self, None)
            waiters, self._running_waiters = self._running_waiters, None
            for waiter in waiters or ():
                if not waiter.done():
                    waiter.set_exception(self.stopped_error())

    @abstractmethod
    def on_settled(self, fate: Fate) -> None:
        """What the kind of cell does about it."""

    def stopped_error(self) -> ActorStopped:
        """Why this actor takes no message."""
        if self.state is ActorState.FAILED:
            return ActorStopped(f"{self.path} is parked until restart_child ({self.last_reason})")
        why = f" ({self.last_reason})" if self.state is ActorState.STOPPED else ""
        return ActorStopped(f"{self.path} is {self.state.value}{why}; the message was not handled")

    async def wait_running(self) -> None:
        """Return when the state is RUNNING; raise if it has stopped for good."""
        if self.state is ActorState.RUNNING:
            return
        if self.state in (ActorState.STOPPED, ActorState.FAILED):
            raise self.stopped_error()
        waiter: asyncio.Future[None] = self.system.loop.create_future()
        if self._running_waiters is None:
            self._running_waiters = []
        self._running_waiters.append(waiter)
        try:
            await waiter
        finally:
            if waiter.cancelled() and self._running_waiters is not None:
                self._running_waiters.remove(waiter)

    def is_up(self) -> None:
        """Enter RUNNING and wake those who wait for it."""
        self.state = ActorState.RUNNING
        waiters, self._running_waiters = self._running_waiters, None
        for waiter in waiters or ():
            if not waiter.done():
                waiter.set_result(None)

    def begin_incarnation(self) -> None:
        """Count a new incarnation."""
        if self.will_restart:
            self.restarts += 1
            self.will_restart = False
            if self._history is None:
                self._history = deque(maxlen=_HISTORY)
            self._history.append(PastLife(self.incarnation, str(self.last_reason), self.system.clock.monotonic()))
        self.incarnation += 1
        self.state = ActorState.STARTING
