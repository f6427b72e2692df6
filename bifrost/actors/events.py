"""What happens in a system, as it happens: frozen values in order, and those who listen.

In: events from cells and supervisors. Out: calls to subscribers. A subscriber that fails never affects an actor.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from bifrost.actors.exit_reason import ExitReason
from bifrost.actors.strategy import SupervisorFlags

__all__ = [
    "ActorCrashed",
    "ActorEvent",
    "ActorIgnored",
    "ActorRestarted",
    "ActorStartFailed",
    "ActorStarted",
    "ActorStopped",
    "ChildLeaked",
    "ChildParked",
    "ConfigChanged",
    "DeadLettered",
    "EventStream",
    "HandoverFailed",
    "IntensityExceeded",
    "LoopBlocked",
    "MailboxHighWater",
    "RestartScheduled",
    "SlowHandler",
    "SpecStoreFailed",
    "StopHookFailed",
    "SupervisorStarted",
    "SupervisorStopped",
]

_log = logging.getLogger("bifrost.actors")


@dataclass(frozen=True, slots=True, kw_only=True)
class ActorEvent:
    """Base of every event.

    Attributes:
        path: the actor's path.
        at: monotonic seconds.
        wall_ns: wall clock; ns since 1970, UTC.
    """

    path: str
    at: float
    wall_ns: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ActorStarted(ActorEvent):
    """The first incarnation runs."""

    incarnation: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ActorRestarted(ActorEvent):
    """A later incarnation runs."""

    incarnation: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ActorStartFailed(ActorEvent):
    """An incarnation did not come up."""

    incarnation: int
    error: BaseException


@dataclass(frozen=True, slots=True, kw_only=True)
class ActorIgnored(ActorEvent):
    """The factory said `IGNORE`: nothing runs here, and that is no failure."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ActorCrashed(ActorEvent):
    """An incarnation raised; its `ActorStopped` follows when it has ended completely."""

    incarnation: int
    error: BaseException


@dataclass(frozen=True, slots=True, kw_only=True)
class ActorStopped(ActorEvent):
    """An incarnation that had started has ended completely."""

    incarnation: int
    reason: ExitReason


@dataclass(frozen=True, slots=True, kw_only=True)
class StopHookFailed(ActorEvent):
    """`on_stop` raised; nothing follows from it."""

    incarnation: int
    error: BaseException


@dataclass(frozen=True, slots=True, kw_only=True)
class HandoverFailed(ActorEvent):
    """`handover` raised; the next incarnation gets None."""

    incarnation: int
    error: BaseException


@dataclass(frozen=True, slots=True, kw_only=True)
class RestartScheduled(ActorEvent):
    """The supervisor will start the actor again.

    Attributes:
        delay: after how many seconds; 0 without a back-off.
        attempt: its number in a row, from 1; a start by hand begins anew, and with a back-off so does a run of
            `reset_after` seconds.
    """

    delay: float
    attempt: int


@dataclass(frozen=True, slots=True, kw_only=True)
class IntensityExceeded(ActorEvent):
    """The actor at `path` used up the restart budget of the supervisor at `supervisor`."""

    supervisor: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ChildParked(ActorEvent):
    """The actor stays down until `restart_child`; its siblings run on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ChildLeaked(ActorEvent):
    """The incarnation did not end even when cancelled; it was abandoned and fenced."""

    incarnation: int
    what: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadLettered(ActorEvent):
    """A message to the actor at `path` was not handled."""

    message: object
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class MailboxHighWater(ActorEvent):
    """A message found the mailbox full; told at most once a second for each actor.

    Attributes:
        depth: messages that wait.
        capacity: the bound.
    """

    depth: int
    capacity: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SlowHandler(ActorEvent):
    """A handler has had one message in hand for long; told again each time that the time has doubled.

    Attributes:
        incarnation: whose handler.
        seconds: for how long so far.
        what: the message's type, and where the handler waits.
    """

    incarnation: int
    seconds: float
    what: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LoopBlocked(ActorEvent):
    """The event loop did not turn; told when it turns again, while the log tells at once.

    The path is that of the actor whose code held the loop, or the system's name if it was none.

    Attributes:
        seconds: for how long.
        where: the innermost lines of the code that held it, outermost first.
    """

    seconds: float
    where: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class SupervisorStarted(ActorEvent):
    """A supervisor runs, and with it all children of its specification."""

    incarnation: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SupervisorStopped(ActorEvent):
    """A supervisor has ended, and with it every child."""

    incarnation: int
    reason: ExitReason


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfigChanged(ActorEvent):
    """The supervisor at `path` goes by other flags or another list of children from now on.

    Attributes:
        flags: its flags.
        added: children that are new in the list; they are known and not started.
        changed: children whose specification is another one; what runs goes on, the next start takes the new one.
        removed: children that are in the list no more; they are still known, and what runs goes on.
    """

    flags: SupervisorFlags
    added: tuple[str, ...]
    changed: tuple[str, ...]
    removed: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class SpecStoreFailed(ActorEvent):
    """The store of the dynamic supervisor at `path` raised in `operation`: ``load``, ``save`` or ``remove``."""

    operation: str
    error: BaseException


class EventStream:
    """The events of one system."""

    def __init__(self) -> None:
        self._subscribers: tuple[Callable[[ActorEvent], object], ...] = ()
        self._waiting: deque[ActorEvent] = deque()
        self.telling: ActorEvent | None = None
        """The event that the subscribers are being told of; None while nothing is published."""

    @property
    def has_subscribers(self) -> bool:
        """True if publishing reaches anybody."""
        return bool(self._subscribers)

    def subscribe(self, callback: Callable[[ActorEvent], object]) -> Callable[[], None]:
        """Call `callback` for every event, on the loop's thread, at the moment it happens.

        What a callback itself brings about is published when every subscriber has heard of the event before it.

        Returns:
            A function that ends the subscription; it may be called more than once.
        """

        # A wrapper of its own, so that the same callback may subscribe twice and each subscription ends alone.
        def deliver(event: ActorEvent) -> None:
            callback(event)

        self._subscribers = (*self._subscribers, deliver)

        def unsubscribe() -> None:
            self._subscribers = tuple(entry for entry in self._subscribers if entry is not deliver)

        return unsubscribe

    def publish(self, event: ActorEvent) -> None:
        """Tell every subscriber, in the order in which things happened; what one raises is logged."""
        self._waiting.append(event)
        if self.telling is not None:  # a subscriber has done something: the others are to hear of its reason first
            return
        try:
            while self._waiting:
                self.telling = self._waiting.popleft()
                self._tell(self.telling)
        finally:
            self.telling = None

    def _tell(self, event: ActorEvent) -> None:
        for subscriber in self._subscribers:
            try:
                subscriber(event)
            # A subscriber is foreign code and must never affect an actor; it may also ask a cancelled future.
            except (Exception, asyncio.CancelledError):  # noqa: BLE001
                _log.exception("an event subscriber failed on %s of %r", type(event).__name__, event.path)
