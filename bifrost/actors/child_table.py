"""The children of one supervisor, in start order.

In: specifications. Out: rows that the supervision core updates. No I/O. Nothing here but `ids`, `merge` and iteration
looks at every child: a supervisor of a hundred thousand starts, stops and counts them one by one.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from bifrost.actors.child_spec import ChildSpec, ChildType, Restart
from bifrost.actors.exit_reason import ExitReason
from bifrost.actors.intensity import IntensityWindow
from bifrost.actors.steps import Fate

__all__ = ["ChildCounts", "ChildRow", "ChildStatus", "ChildTable"]


class ChildStatus(enum.Enum):
    """What the supervisor believes of a child."""

    STOPPED = "stopped"
    STARTING = "starting"
    RUNNING = "running"
    RESTARTING = "restarting"
    """Its restart failed or is delayed; it will be tried again."""
    STOPPING = "stopping"
    PARKED = "parked"


_STOPPED = ChildStatus.STOPPED
_STARTING = ChildStatus.STARTING
_RUNNING = ChildStatus.RUNNING
_STOPPING = ChildStatus.STOPPING
_UNDECIDED = Fate.UNDECIDED
_WORKER = ChildType.WORKER


@dataclass(frozen=True, slots=True)
class ChildCounts:
    """OTP's four counts.

    Attributes:
        specs: children known.
        active: children running.
        supervisors: children that are supervisors, running or not.
        workers: children that are workers, running or not.
    """

    specs: int
    active: int
    supervisors: int
    workers: int


class ChildRow:
    """One child: its specification and where it stands."""

    # Defaults stand here and not in slots: most children never set most of them, and a start costs what it sets.
    exited: ExitReason | None = None
    """Set while an exit waits in the core's queue: the process is gone, the supervisor has not looked yet."""
    attempt: int = 0
    started_at: float = 0.0
    """When it came up last; kept only where a back-off asks how long it ran."""
    due: float | None = None
    counted: bool = False
    """The attempt that is due has been counted against the budget."""
    window: IntensityWindow | None = None
    stop_fate: Fate = _UNDECIDED
    awaits_group: bool = False
    """Stopped as part of a group restart that has not yet started it again."""
    held: bool = False
    """Stopped by hand, to stay so until it is started by hand."""

    def __init__(self, spec: ChildSpec) -> None:
        self.spec = spec
        self.status = _STOPPED

    @property
    def is_alive(self) -> bool:
        """True while an incarnation exists that the supervisor would have to stop."""
        status = self.status
        return (status is _RUNNING or status is _STARTING or status is _STOPPING) and self.exited is None

    @property
    def is_temporary(self) -> bool:
        """True if its specification goes with it."""
        return self.spec.restart is Restart.TEMPORARY


class ChildTable:
    """Rows by id, in start order."""

    __slots__ = ("_rows", "_significant", "_supervisors", "active")

    def __init__(self) -> None:
        self._rows: dict[str, ChildRow] = {}
        self._significant: dict[str, ChildRow] = {}
        self._supervisors = 0
        self.active = 0
        """How many run; the core counts them as they come and go."""

    def __len__(self) -> int:
        return len(self._rows)

    def __iter__(self) -> Iterator[ChildRow]:
        return iter(self._rows.values())

    def __contains__(self, child_id: str) -> bool:
        return child_id in self._rows

    def get(self, child_id: str) -> ChildRow | None:
        """The row, or None."""
        return self._rows.get(child_id)

    def __getitem__(self, child_id: str) -> ChildRow:
        return self._rows[child_id]

    def add(self, spec: ChildSpec) -> ChildRow:
        """Append a row; the id must be new."""
        child_id = spec.id
        rows = self._rows
        assert child_id not in rows
        row = rows[child_id] = ChildRow(spec)
        if spec.significant or spec.type is not _WORKER:
            self._count(row, 1)
        return row

    def remove(self, child_id: str) -> None:
        """Take the row out."""
        self._count(self._rows.pop(child_id), -1)

    def respecify(self, row: ChildRow, spec: ChildSpec) -> None:
        """Give the row another specification with the same id."""
        assert spec.id == row.spec.id
        self._count(row, -1)
        row.spec = spec
        self._count(row, 1)

    def merge(self, specs: Iterable[ChildSpec]) -> tuple[list[str], list[str]]:
        """Take the order and the specifications of a new list; whatever else is known follows, in its old order.

        Returns:
            The ids that are new, and the ids whose specification is another one now.
        """
        added: list[str] = []
        changed: list[str] = []
        before = self._rows
        self._rows = {}
        for spec in specs:
            row = before.pop(spec.id, None)
            if row is None:
                self.add(spec)
                added.append(spec.id)
                continue
            self._rows[spec.id] = row
            if row.spec != spec:
                self.respecify(row, spec)
                changed.append(spec.id)
        self._rows.update(before)
        return added, changed

    def ids(self) -> list[str]:
        """Ids in start order."""
        return list(self._rows)

    def from_id(self, child_id: str) -> list[str]:
        """The id and those that start after it."""
        ids: list[str] = []
        for other in reversed(self._rows):
            ids.append(other)
            if other == child_id:
                break
        ids.reverse()
        return ids

    def has_live_significant(self) -> bool:
        """True if a significant child runs, or is to run again."""
        return any(row.status is not _STOPPED for row in self._significant.values())

    def counts(self) -> ChildCounts:
        """Count as OTP's `count_children` does."""
        known = len(self._rows)
        return ChildCounts(known, self.active, self._supervisors, known - self._supervisors)

    def _count(self, row: ChildRow, by: int) -> None:
        spec = row.spec
        if spec.type is ChildType.SUPERVISOR:
            self._supervisors += by
        if spec.significant:
            if by > 0:
                self._significant[spec.id] = row
            else:
                del self._significant[spec.id]
