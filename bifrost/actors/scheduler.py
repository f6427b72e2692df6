"""Who runs next: the order of work within one system.

In: units of work (a burst of messages, the end of an incarnation, a start). Out: their execution, a bounded share in
each turn of the event loop, so that a thousand busy or crashing actors leave the loop to others between any two turns.
Not here: tasks of the host, and what runs after a handler has suspended: those are the event loop's.
"""

from __future__ import annotations

import asyncio
import contextvars
import sys
from collections import deque
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any

from bifrost.actors.carrier import DONE, Carrier, swap_current_task
from bifrost.actors.deadlines import Deadlines
from bifrost.actors.headroom import HEADROOM, LIMIT
from bifrost.actors.outlast import outlast

if TYPE_CHECKING:
    from bifrost.actors.incarnation import Incarnation

__all__ = ["Scheduler"]

_UNITS = 32  # units of work in one turn
_SHARE = 64  # messages in one unit
_ROUNDS = 6  # shares in a row, if nobody else is ready
_TURN = 0.0005  # seconds after which no further share is begun in a turn
_INLINE = 128  # asks and starts that may run on the caller's stack in one turn
_DEPTH = 12  # how deep such calls may nest: each level takes some frames of the caller's stack


class Scheduler:
    """The run queue of one system.

    Attributes:
        pick: chooses the next unit: given how many are ready, returns an index; None is first come, first served.
        inline: whether an ask may run an idle actor's handler at once, and a start an `on_start`.
        units: units of work in one turn at most.
        share: messages that an actor handles before others have their turn, if no handler suspends.
        left: asks and starts that may still run on the caller's stack before the next turn; the turn that renews the
            allowance is asked for when it is used up.
        top: the stack of stand-by tasks; each nested call takes one off it, and puts it back when it returns.
        made: how many there are, on the stack and in use by a call that has not returned.
        depth: how many there may be, which bounds how deep calls nest.
        turning: a turn has been asked for.
    """

    __slots__ = (
        "context",
        "deadlines",
        "depth",
        "inline",
        "left",
        "loop",
        "made",
        "pick",
        "ready",
        "rounds",
        "share",
        "top",
        "turn_ends",
        "turning",
        "units",
    )

    def __init__(self, loop: asyncio.AbstractEventLoop, context: contextvars.Context) -> None:
        self.loop = loop
        self.context = context
        self.ready: deque[Callable[[], None]] = deque()
        self.top: Carrier | None = None
        self.made = 0
        self.depth = _DEPTH
        self.deadlines = Deadlines(loop)
        self.pick: Callable[[int], int] | None = None
        self.inline = True
        self.units = _UNITS
        self.share = _SHARE
        self.left = _INLINE
        self.turning = False
        self.rounds = 0
        self.turn_ends = 0.0

    def add(self, unit: Callable[[], None]) -> None:
        """Run `unit` when its turn comes."""
        self.ready.append(unit)
        if not self.turning:
            try:
                self.wake()
            except RecursionError:
                with LIMIT:  # somebody sends with the stack used up: that is no reason to stand still
                    sys.setrecursionlimit(sys.getrecursionlimit() + HEADROOM)
                try:
                    self.wake()
                finally:
                    with LIMIT:
                        sys.setrecursionlimit(sys.getrecursionlimit() - HEADROOM)

    def wake(self) -> None:
        """Ask the loop for a turn."""
        self.loop.call_soon(self._turn, context=self.context)
        self.turning = True

    def allows_more(self) -> bool:
        """True if an actor that has used up its share may go on at once: nobody else is ready, and time is left."""
        if self.ready or self.rounds <= 0 or self.loop.time() >= self.turn_ends:
            return False
        self.rounds -= 1
        return True

    def renew(self) -> bool:
        """Ask for the turn that renews the allowance; False: until then, nothing runs on a caller's stack."""
        if self.inline and not self.turning:
            self.wake()
        return False

    @property
    def may_nest(self) -> bool:
        """True if one more call may run on the caller's stack without making it too deep."""
        return self.top is not None or self.made < self.depth

    def take_turn_now(self) -> bool:
        """True if a start may run on the caller's stack: then it is taken from the turn's allowance."""
        if (self.left <= 0 and not self.renew()) or not self.may_nest:
            return False
        self.left -= 1
        return True

    def _turn(self) -> None:
        self.turning = False
        self.left = _INLINE if self.inline else 0
        self.rounds = _ROUNDS if self.pick is None else 0
        self.turn_ends = self.loop.time() + _TURN
        ready = self.ready
        for _ in range(min(len(ready), self.units)):  # what they add is for a later turn
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

    def take(self) -> Carrier:
        """Take a stand-by task that has adopted nothing off the stack."""
        carrier = self.top or self.extend()
        self.top = carrier.below
        return carrier

    def extend(self) -> Carrier:
        """Put one more stand-by task on the stack, whose depth is the depth of the calls."""
        carrier = Carrier(self.loop, self.context, self)
        self.made += 1
        carrier.below = self.top
        self.top = carrier
        return carrier

    def give_back(self, carrier: Carrier) -> None:
        """Put a carrier back that has adopted nothing, unless somebody knows its task."""
        carrier.owner = None
        if carrier.is_unused:
            carrier.below = self.top
            self.top = carrier
        else:
            self.made -= 1
            carrier.discard()

    def forget(self, carrier: Carrier) -> None:
        """Take a carrier off the stack, wherever in it, because its task is about to end."""
        above, one = None, self.top
        while one is not None and one is not carrier:
            above, one = one, one.below
        if one is None:
            return  # it is in use
        if above is None:
            self.top = carrier.below
        else:
            above.below = carrier.below
        self.made -= 1

    def step(self, inc: Incarnation, coro: Coroutine[Any, Any, Any]) -> asyncio.Task[None] | None:
        """Make the first step of `coro` now; if it suspends, return the task that carries it on."""
        context = inc.own_context()
        carrier = self.take()
        carrier.owner = inc
        previous = swap_current_task(self.loop, carrier.task)
        try:
            yielded = context.run(carrier.drive, coro)
        except BaseException as error:
            swap_current_task(self.loop, previous)
            carrier.rearm()
            self.give_back(carrier)
            if isinstance(error, GeneratorExit):  # the actor's own code raised it: nobody closes what is being stepped
                inc.cell.task_crashed(inc, error)
                return None
            raise
        swap_current_task(self.loop, previous)
        if yielded is DONE:
            self.give_back(carrier)
            return None
        self.made -= 1
        carrier.adopt(yielded, context, inc.name)
        return carrier.task

    async def close(self) -> None:
        """End the stand-by tasks."""
        self.deadlines.close()
        carriers = []
        self.depth = 0
        while self.top is not None:
            carriers.append(self.top)
            self.top = self.top.below
        tasks = [carrier.task for carrier in carriers]
        for task in tasks:
            task.cancel()
        if tasks:
            await outlast(tasks, 1.0)
