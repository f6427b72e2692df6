"""What only some incarnations have, kept apart so that the others do not pay for it.

In: nothing. Out: one record, made when the first of its parts is needed.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bifrost.actors.incarnation import Incarnation
    from bifrost.actors.mailbox import Envelope
    from bifrost.actors.worker import WorkerCell

__all__ = ["Extras"]


class Extras:
    """The rarer belongings of one incarnation."""

    __slots__ = ("asked", "links", "on_ending", "overdue", "stash", "traps")

    def __init__(self) -> None:
        self.on_ending: Callable[[], None] | None = None
        """Called once, when the incarnation begins to end."""
        self.overdue: asyncio.TimerHandle | None = None
        """Fails a start that takes too long."""

        self.stash: deque[Envelope] = deque()
        """Messages put aside by the actor, oldest first."""
        self.asked: Callable[[asyncio.Future[Any]], None] | None = None
        """Called with the reply when a handler that runs on its asker's stack suspends."""
        self.links: dict[WorkerCell, Incarnation] | None = None
        """Whose end ends this one, and the other way round."""
        self.traps = False
        """The end of a linked actor comes as a message instead."""

    def in_time(self) -> None:
        """The start is over, well or not."""
        if self.overdue is not None:
            self.overdue.cancel()
            self.overdue = None

    def begin_end(self) -> None:
        """The incarnation begins to end."""
        self.in_time()
        hook, self.on_ending = self.on_ending, None
        if hook is not None:
            hook()
