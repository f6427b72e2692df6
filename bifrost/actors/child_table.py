"""The children of one supervisor, in start order.

In: specifications. Out: rows that the supervision core updates. No I/O.
"""

from __future__ import annotations

import enum
from collections.abc import Iterator
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

    __slots__ = (
        "attempt",
        "awaits_group",
        "counted",
        "due",
        "exited",
        "spec",
        "started_at",
        "status",
        "stop_fate",
        "window",
    )

    def __init__(self, spec: ChildSpec) -> None:
        self.spec = spec
        self.status = ChildStatus.STOPPED
        self.exited: ExitReason | None = None
        """Set while an exit waits in the core's queue: the process is gone, the supervisor has not looked yet."""
        self.attempt = 0
        self.started_at = 0.0
        self.due: float | None = None
        self.counted = False
        """The attempt that is due has been counted against the budget."""
        self.window: IntensityWindow | None = None
        self.stop_fate = Fate.UNDECIDED
        self.awaits_group = False
        """Stopped as part of a group restart that has not yet started it again."""

    @property
    def is_alive(self) -> bool:
        """True while an incarnation exists that the supervisor would have to stop."""
        return self.status in (ChildStatus.STARTING, ChildStatus.RUNNING, ChildStatus.STOPPING) and self.exited is None

    @property
    def is_temporary(self) -> bool:
        """True if its specification goes with it."""
        return self.spec.restart is Restart.TEMPORARY


class ChildTable:
    """Rows by id, in start order."""

    __slots__ = ("_rows",)

    def __init__(self) -> None:
        self._rows: dict[str, ChildRow] = {}

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
        assert spec.id not in self._rows
        row = self._rows[spec.id] = ChildRow(spec)
        return row

    def remove(self, child_id: str) -> None:
        """Take the row out."""
        del self._rows[child_id]

    def ids(self) -> list[str]:
        """Ids in start order."""
        return list(self._rows)

    def from_id(self, child_id: str) -> list[str]:
        """The id and those that start after it."""
        ids = self.ids()
        return ids[ids.index(child_id) :]

    def counts(self) -> ChildCounts:
        """Count as OTP's `count_children` does."""
        active = sum(row.status is ChildStatus.RUNNING and row.exited is None for row in self)
        supervisors = sum(row.spec.type is ChildType.SUPERVISOR for row in self)
        return ChildCounts(len(self), active, supervisors, len(self) - supervisors)
