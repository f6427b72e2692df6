"""Notices handlers that take long and an event loop that does not turn.

In: a running system. Out: the events `SlowHandler` and `LoopBlocked`, and log lines with the stack of what is stuck.

It samples: a look at the suspended handlers now and then, and for the loop a thread of its own. No message pays for it.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

from bifrost.actors import events
from bifrost.actors.carrier import Carrier
from bifrost.actors.explain import explain
from bifrost.actors.loop_guard import LoopGuard
from bifrost.errors import ActorError

if TYPE_CHECKING:
    from bifrost.actors.cell import Cell
    from bifrost.actors.incarnation import Incarnation
    from bifrost.actors.system import ActorSystem

__all__ = ["Watchdog"]

_log = logging.getLogger("bifrost.actors")

_CROWD = 1000  # suspended handlers beyond which a look may take milliseconds
_LOAD = 0.02  # part of the time that looking may take then


class Watchdog:
    """Watches one system; give it to `ActorSystem(watchdog=...)`.

    It is off unless asked for: it wakes the process a few times a second, and the watch over the loop is a thread. A
    look takes about 1.5 µs for each suspended handler; with thousands of them it looks less often, for 2 % of the time.

    Args:
        slow_handler: seconds that a handler or hook may have one message in hand before it is reported; None does not
            look. What takes less is never reported; what takes longer than this and one `period` always is.
        blocked_loop: real seconds that the loop may go without a turn before that is reported; None does not look, and
            needs no thread. On a loop with virtual time it never looks.
        period: seconds between two looks at the handlers; None is a quarter of `slow_handler`.

    Raises:
        ActorError: a number of seconds is not positive.
    """

    def __init__(
        self, *, slow_handler: float | None = 1.0, blocked_loop: float | None = 1.0, period: float | None = None
    ) -> None:
        for name, seconds in (("slow_handler", slow_handler), ("blocked_loop", blocked_loop), ("period", period)):
            if seconds is not None and not seconds > 0:
                raise ActorError(f"watchdog {name} must be seconds > 0 or None, got {seconds!r}")
        self._slow = slow_handler
        self._period = period if period is not None else (slow_handler or 1.0) / 4
        self._blocked = blocked_loop
        self._system: ActorSystem | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._guard: LoopGuard | None = None
        self._reported: dict[tuple[Incarnation, int], float] = {}

    def start(self, system: ActorSystem) -> None:
        """Begin to watch; the system calls it when it starts.

        Raises:
            ActorError: it watches already.
        """
        if self._system is not None:
            raise ActorError(f"this watchdog watches system {self._system.name!r}; make one for each system")
        self._system = system
        if self._slow is not None:
            self._timer = system.loop.call_later(self._period, self._look, self._slow, context=system.context.copy())
        # On a loop with virtual time, which has to be told of work outside of it, real seconds mean nothing.
        if self._blocked is not None and not hasattr(system.loop, "external_work"):
            self._guard = LoopGuard(system, self._blocked)

    def stop(self) -> None:
        """End the timer and the thread; the system calls it when it has stopped."""
        if self._timer is not None:
            self._timer.cancel()
        if self._guard is not None:
            self._guard.stop()
        self._timer = self._guard = self._system = None
        self._reported.clear()

    def _look(self, slow: float) -> None:
        system = self._system
        if system is None:
            return
        begun = time.perf_counter()
        now = system.loop.time()
        still: dict[tuple[Incarnation, int], float] = {}
        looked = 0
        for carrier, inc, cell in _suspended(system):
            looked += 1
            seconds = now - carrier.since
            if seconds < slow:
                continue
            key = (inc, inc.handled)
            told = self._reported.get(key)
            if told is None or seconds >= 2 * told:
                still[key] = seconds
                self._report(system, cell, inc, seconds)
            else:
                still[key] = told
        self._reported = still
        pause = self._period
        if looked > _CROWD:
            pause = max(pause, (time.perf_counter() - begun) / _LOAD)
        self._timer = system.loop.call_later(pause, self._look, slow, context=system.context.copy())

    def _report(self, system: ActorSystem, cell: Cell, inc: Incarnation, seconds: float) -> None:
        found = explain(cell)
        where = f" at {found.stack[-1].strip()}" if found.stack else ""
        what = f"{found.message or 'a hook'}{where}"
        system.publish(events.SlowHandler, cell.path, incarnation=inc.number, seconds=seconds, what=what)
        _log.warning("slow handler: %s", found)


def _suspended(system: ActorSystem) -> Iterator[tuple[Carrier, Incarnation, Cell]]:
    """The handlers of `system` that are suspended at the moment: an idle actor has no task, so this is a short walk."""
    for task in asyncio.all_tasks(system.loop):
        carrier = task.get_coro()
        if isinstance(carrier, Carrier) and not carrier.is_idle and carrier.owner is not None:
            inc = carrier.owner
            if inc.ctx is not None and inc.ctx.system is system:
                yield carrier, inc, inc.ctx.ref.cell
