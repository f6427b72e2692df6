"""Turns on a link that carries one request at a time: first come, first served, whoever leaves is skipped.

In: users who want to send. Out: their turns. Not here: any link. Pure of I/O.
"""

from __future__ import annotations

import asyncio
from collections import deque

from bifrost.errors import BifrostError
from bifrost.plc.modbus.exchanging import Tally

__all__ = ["Turns"]


class Turns:
    """A queue that is handed over, so that nobody can step in between two users."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._taken = False
        self._queue: deque[tuple[asyncio.Future[None], Tally]] = deque()

    async def take(self, tally: Tally) -> None:
        """Wait for the turn; every turn taken must be passed on.

        The wait is bounded by those who are before: each of their requests has a deadline.
        """
        if not self._taken:
            self._taken = True
            return
        turn = self._loop.create_future()
        self._queue.append((turn, tally))
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled() and turn.exception() is None:
                self.pass_on()
            raise

    def pass_on(self) -> None:
        """Give the turn to whoever waits longest."""
        while self._queue:
            turn, _ = self._queue.popleft()
            if not turn.done():
                turn.set_result(None)
                return
        self._taken = False

    def withdraw(self, tally: Tally, error: BifrostError) -> None:
        """Fail everything that one user still waits for."""
        for turn, asker in self._queue:
            if asker is tally and not turn.done():
                turn.set_exception(error)
