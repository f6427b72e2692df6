"""Turns on a link that carries one request at a time: first come, first served, whoever leaves is skipped.

In: users who want to send. Out: their turns. Not here: any link. Pure of I/O.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable

from bifrost.errors import BifrostError
from bifrost.plc.modbus.exchanging import Tally

__all__ = ["Turns"]

_MOST_PAUSE = 0.03


class Turns:
    """A queue that is handed over, so that nobody can step in between two users.

    Attributes:
        taken: somebody has the turn. Who finds it false may set it true instead of calling `take`; that is faster.
    """

    __slots__ = ("_loop", "_queue", "taken")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.taken = False
        self._loop = loop
        self._queue: deque[tuple[asyncio.Future[None], Tally]] = deque()

    async def take(self, tally: Tally) -> None:
        """Wait for the turn; every turn taken must be passed on.

        The wait is bounded by those who are before: each of their requests has a deadline.
        """
        if not self.taken:
            self.taken = True
            return
        turn = self._loop.create_future()
        self._queue.append((turn, tally))
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled() and turn.exception() is None:
                self.pass_on()
            raise

    async def take_when(self, tally: Tally, remaining: Callable[[], float]) -> None:
        """Wait for the turn, and until `remaining` says 0 seconds or less; others have their turns meanwhile."""
        while True:
            await self.take(tally)
            wait = remaining()
            if wait <= 0:
                return
            self.pass_on()
            await asyncio.sleep(min(wait, _MOST_PAUSE))

    def pass_on(self) -> None:
        """Give the turn to whoever waits longest."""
        while self._queue:
            turn, _ = self._queue.popleft()
            if not turn.done():
                # `taken` stays true: the turn is handed over, nobody can step in between.
                turn.set_result(None)
                return
        self.taken = False

    def withdraw(self, tally: Tally, error: BifrostError) -> None:
        """Fail everything that one user still waits for."""
        for turn, asker in self._queue:
            if asker is tally and not turn.done():
                turn.set_exception(error)
