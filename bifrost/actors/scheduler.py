"""Who runs next: the order of work within one system.

In: units of work (a burst of messages, the end of an incarnation, a start). Out: their execution, a bounded share in
each turn of the event loop, so that a thousand busy or crashing actors leave the loop to others between any two turns.
Not here: tasks of the host, and what runs after a handler has suspended: those are the event loop's.
"""

from __future__ import annotations

import asyncio
import contextvars
from collections import deque
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any

from bifrost.actors.carrier import Carrier, swap_current_task
from bifrost.actors.deadlines import Deadlines

if TYPE_CHECKING:
    from bifrost.actors.incarnation import Incarnation

__all__ = ["MAX_DEPTH", "Scheduler"]

_UNITS = 32  # units of work in one turn
_SHARE = 64  # messages in one unit
_ROUNDS = 6  # shares in a row, if nobody else is ready
_TURN = 0.0005  # seconds after which no further share is begun in a turn
_INLINE = 128  # asks and starts that may run on the caller's stack in one turn
MAX_DEPTH = 12  # how deep such calls may nest: each level takes some frames of the caller's stack


class Scheduler:
    """The run queue of one system.

    Attributes:
        pick: chooses the next unit: given how many are ready, returns an index; None is first come, first served.
        inline: whether an ask may run an idle actor's handler at once, and a start an `on_start`.
        share: messages that an actor handles before others have their turn, if no handler suspends.
        left: asks and starts that may still run on the caller's stack before the next turn; the turn that renews the
            allowance is asked for when it is used up.
        depth: how many steps are nested on the stack now.
        carriers: the stand-by task of each depth.
        turning: a turn has been asked for.
    """

    __slots__ = (
        "carriers",
        "context",
        "deadlines",
        "depth",
        "inline",
        "left",
        "loop",
        "pick",
        "ready",
        "rounds",
        "share",
        "spare",
        "turn_ends",
        "turning",
    )

    def __init__(self, loop: asyncio.AbstractEventLoop, context: contextvars.Context) -> None:
        self.loop = loop
        self.context = context
        self.ready: deque[Callable[[], None]] = deque()
        self.carriers: list[Carrier | None] = []
        self.spare: list[Carrier] = []
        self.deadlines = Deadlines(loop)
        self.pick: Callable[[int], int] | None = None
        self.inline = True
        self.share = _SHARE
        self.left = _INLINE
        self.depth = 0
        self.turning = False
        self.rounds = 0
        self.turn_ends = 0.0

    def add(self, unit: Callable[[], None]) -> None:
        """Run `unit` when its turn comes."""
        self.ready.append(unit)
        if not self.turning:
            self.wake()

    def wake(self) -> None:
        """Ask the loop for a turn."""
        self.turning = True
        self.loop.call_soon(self._turn, context=self.context)

    def allows_more(self) -> bool:
        """True if an actor that has used up its share may go on at once: nobody else is ready, and time is left."""
        if self.ready or self.rounds <= 0 or self.loop.time() >= self.turn_ends:
            return False
        self.rounds -= 1
        return True

    @property
    def has_room_now(self) -> bool:
        """True if a start may run on the caller's stack; takes one from the turn's allowance."""
        if self.left <= 0 or self.depth >= MAX_DEPTH:
            return False
        self.left -= 1
        if not self.left and not self.turning:
            self.wake()
        return True

    def _turn(self) -> None:
        self.turning = False
        self.left = _INLINE if self.inline else 0
        self.rounds = _ROUNDS if self.pick is None else 0
        self.turn_ends = self.loop.time() + _TURN
        ready = self.ready
        for _ in range(min(len(ready), _UNITS)):  # what they add is for a later turn
            unit = ready.popleft() if self.pick is None else self._picked(self.pick)
            try:
                unit()
            except BaseException as error:
                if ready and not self.turning:
                    self.wake()
                if isinstance(error, KeyboardInterrupt | SystemExit):
                    raise
                self.loop.call_exception_handler({"message": "a unit of the actor system failed", "exception": error})
                return
            if self.loop.time() >= self.turn_ends:
                break
        if ready and not self.turning:
            self.wake()

    def _picked(self, pick: Callable[[int], int]) -> Callable[[], None]:
        index = pick(len(self.ready))
        self.ready.rotate(-index)
        unit = self.ready.popleft()
        self.ready.rotate(index)
        return unit

    # Running coroutines

    def carrier(self) -> Carrier:
        """The stand-by task of the present depth; it has adopted nothing."""
        depth = self.depth
        carriers = self.carriers
        while len(carriers) <= depth:
            carriers.append(None)
        carrier = carriers[depth]
        while carrier is None or not carrier.is_fit:
            carrier = self.spare.pop() if self.spare else Carrier(self.loop, self.context, self.spare)
        carriers[depth] = carrier
        return carrier

    def replace(self, carrier: Carrier) -> None:
        """Let another take the place of a carrier of the present depth that has adopted, or whose task is known."""
        self.carriers[self.depth] = None
        if carrier.is_idle:
            carrier.discard()

    def step(self, inc: Incarnation, coro: Coroutine[Any, Any, Any], name: str) -> asyncio.Task[None] | None:
        """Make the first step of `coro` now; if it suspends, return the task that carries it on."""
        carrier = self.carrier()
        carrier.owner = inc
        previous = swap_current_task(self.loop, carrier.task)
        self.depth += 1
        try:
            yielded = inc.context.run(coro.send, None)
        except StopIteration:
            return None
        else:
            carrier.adopt(coro, yielded, inc.context, name)
            return carrier.task
        finally:
            self.depth -= 1
            swap_current_task(self.loop, previous)
            if not carrier.is_idle:
                self.replace(carrier)
            else:
                carrier.owner = None
                if not carrier.is_unused:
                    self.replace(carrier)

    async def close(self) -> None:
        """End the stand-by tasks."""
        self.deadlines.close()
        tasks = [carrier.task for carrier in (*self.carriers, *self.spare) if carrier is not None]
        self.carriers.clear()
        self.spare.clear()
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks, timeout=1.0)
