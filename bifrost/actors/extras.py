"""What only some incarnations have, kept apart so that the others do not pay for it.

In: nothing. Out: one record, made when the first of its parts is needed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

__all__ = ["Extras"]


class Extras:
    """The rarer belongings of one incarnation."""

    __slots__ = ("on_ending", "overdue")

    def __init__(self) -> None:
        self.on_ending: Callable[[], None] | None = None
        """Called once, when the incarnation begins to end."""
        self.overdue: asyncio.TimerHandle | None = None
        """Fails a start that takes too long."""

    def in_time(self) -> None:
        """The start is over, well or not."""
        if self.overdue is not None:
            self.overdue.cancel()
            self.overdue = None

    def begin_end(self) -> None:
        """The incarnation begins to end."""
        self.in_time()
        if self.on_ending is not None:
            self.on_ending()
