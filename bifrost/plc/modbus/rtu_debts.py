"""Answers that units still owe, where no transaction id tells a late answer from the next one.

In: requests without an answer. Out: how long to leave a unit alone. Pure; no clock of its own.
"""

from __future__ import annotations

__all__ = ["Debts"]

_MOST_SECONDS = 1.0


class Debts:
    """Units that owe an answer, and until when it may still come.

    Args:
        patience: seconds after the deadline; None: as long as the unit had to answer, 1 s at most.
    """

    def __init__(self, patience: float | None) -> None:
        self._patience = patience
        self._until: dict[int, float] = {}

    def owes(self, unit: int, now: float, timeout: float) -> None:
        """Note a request that was given up; its answer may still come."""
        self._until[unit] = now + (min(timeout, _MOST_SECONDS) if self._patience is None else self._patience)

    def may_repeat(self, unit: int, until: float) -> None:
        """Note a request that was sent twice and answered once: the other answer may come until then."""
        self._until[unit] = until

    def paid(self, unit: int) -> None:
        """Note an answer, however late."""
        self._until.pop(unit, None)

    def remaining(self, unit: int, now: float) -> float:
        """Seconds for which a unit is better left alone; 0 or less if it owes nothing."""
        return self._until.get(unit, now) - now
