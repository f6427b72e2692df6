"""The ordered event log of a system, in words that read well in an assertion.

In: a system, started or not. Out: lines such as ``started devices/press``, ``crashed a``, ``stopped a killed``.
"""

from __future__ import annotations

from bifrost.actors import events
from bifrost.actors.system import ActorSystem

__all__ = ["EventLog"]

_WORDS: dict[type[events.ActorEvent], str] = {
    events.ActorStarted: "started",
    events.ActorRestarted: "restarted",
    events.ActorStartFailed: "start failed",
    events.ActorIgnored: "ignored",
    events.ActorCrashed: "crashed",
    events.ActorStopped: "stopped",
    events.StopHookFailed: "stop hook failed",
    events.RestartScheduled: "restart scheduled",
    events.IntensityExceeded: "intensity exceeded",
    events.ChildParked: "parked",
    events.ChildLeaked: "leaked",
    events.DeadLettered: "dead letter",
    events.MailboxHighWater: "high water",
    events.SlowHandler: "slow handler",
    events.LoopBlocked: "loop blocked",
    events.ConfigChanged: "changed",
    events.SpecStoreFailed: "store failed",
    events.SupervisorStarted: "supervisor started",
    events.SupervisorStopped: "supervisor stopped",
}


class EventLog:
    """Listens to a system from now on.

    Args:
        system: whose events.
        only: event types to keep; empty keeps all.
    """

    def __init__(self, system: ActorSystem, *only: type[events.ActorEvent]) -> None:
        self.events: list[events.ActorEvent] = []
        self._only = only
        self._taken = 0
        self.close = system.events.subscribe(self._add)

    def _add(self, event: events.ActorEvent) -> None:
        if not self._only or isinstance(event, self._only):
            self.events.append(event)

    def take(self) -> list[str]:
        """The lines since the last call."""
        taken, self._taken = self._taken, len(self.events)
        return [_line(event) for event in self.events[taken:]]


def _line(event: events.ActorEvent) -> str:
    words = f"{_WORDS[type(event)]} {event.path}"
    if isinstance(event, events.ActorStopped | events.SupervisorStopped):
        return f"{words} {type(event.reason).__name__.lower()}"
    if isinstance(event, events.DeadLettered):
        return f"{words} {event.reason}"
    return words
