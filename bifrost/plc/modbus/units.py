"""Which units behind one link are silent, so that a dead one does not starve the others.

In: what happened to each request. Out: whether to ask a unit now. Pure; no clock of its own.
"""

from __future__ import annotations

__all__ = ["UnitHealth"]

_TIMEOUTS_UNTIL_SILENT = 3


class UnitHealth:
    """Counts what goes wrong in a row, for each unit and for the link as a whole.

    Attributes:
        troubled: true if any unit owes an answer.
        silent_units: units that are asked only once in `probe_interval` seconds, with the time of the next probe.
        bad_in_a_row: requests of any unit since the last good answer.
        last_good: the unit that answered last, on this link; None before that. Kept by the reader while nothing is
            troubled, so that a good answer costs no call.
    """

    __slots__ = (
        "_failing",
        "_misses",
        "_probe_interval",
        "bad_in_a_row",
        "last_good",
        "silent_units",
        "troubled",
    )

    def __init__(self, *, probe_interval: float) -> None:
        self.troubled = False
        self.silent_units: dict[int, float] = {}
        self.bad_in_a_row = 0
        self._misses: dict[int, int] = {}
        self._failing: set[int] = set()
        self.last_good: int | None = None
        self._probe_interval = probe_interval

    def renew(self) -> None:
        """Begin with a new link: what is known of the units stays, what is known of the link does not."""
        self.last_good = None
        self.bad_in_a_row = 0
        self._failing.clear()

    def may_ask(self, unit: int, now: float) -> bool:
        """Tell whether to send to a unit: always, unless it is silent and its next probe is not due."""
        probe_at = self.silent_units.get(unit)
        if probe_at is None:
            return True
        if now < probe_at:
            return False
        self.silent_units[unit] = now + self._probe_interval
        return True

    def owes(self, unit: int) -> bool:
        """Tell whether a unit's latest request got no valid answer."""
        return unit in self._misses

    def answered(self, unit: int) -> None:
        """Note any valid answer, an exception included."""
        self.bad_in_a_row = 0
        self.last_good = unit
        self._failing.clear()
        self._misses.pop(unit, None)
        self.silent_units.pop(unit, None)
        self.troubled = bool(self._misses)

    def failed(self, unit: int, now: float, *, timeout: bool) -> None:
        """Note a request without a valid answer."""
        self.troubled = True
        self.bad_in_a_row += 1
        self._failing.add(unit)
        misses = self._misses[unit] = self._misses.get(unit, 0) + 1
        if timeout and misses >= _TIMEOUTS_UNTIL_SILENT:
            self.silent_units[unit] = now + self._probe_interval

    @property
    def link_is_dead(self) -> bool:
        """True if nothing is answered any more, so that only a new link can help; to be asked at the end of a read.

        Many requests to a unit that is off are no proof: the unit that answered last must fail as well.
        """
        proven = self.last_good is None or self.last_good in self._failing
        return proven and self.bad_in_a_row >= _TIMEOUTS_UNTIL_SILENT
