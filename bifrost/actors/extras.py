"""What only some incarnations have, kept apart so that the others do not pay for it.

In: nothing. Out: one record, made when the first of its parts is needed.
"""

from __future__ import annotations

from collections.abc import Callable

__all__ = ["Extras"]


class Extras:
    """The rarer belongings of one incarnation."""

    __slots__ = ("on_ending",)

    def __init__(self) -> None:
        self.on_ending: Callable[[], None] | None = None
        """Called once, when the incarnation begins to end."""
