"""What one cycle of a poll brought."""

from __future__ import annotations

from bifrost.core.value import Value
from bifrost.plc.prepared import PreparedRead
from bifrost.plc.readings import Reading, TagReadings

__all__ = ["Snapshot"]


class Snapshot(TagReadings):
    """The readings of one cycle, and how the cycle went.

    Attributes:
        seq: number of the cycle, from 0; a gap shows cycles that brought no snapshot, or one that was dropped.
        cycle_start_ns: when it began; ns since 1970, UTC.
        due: when it should have begun, and `started`, when it did; monotonic seconds of the event loop.
        duration: seconds that the reading took.
        overruns: cycles skipped so far, because one before was not done in time.
        dropped: snapshots dropped so far, because the consumer was slow; it always gets the latest.
        changed: names of the tags that are news since the snapshot before, deadbands considered; all of the first.
    """

    __slots__ = ("changed", "cycle_start_ns", "dropped", "due", "duration", "overruns", "seq", "started")

    def __init__(
        self,
        prepared: PreparedRead,
        reading: Reading,
        *,
        seq: int,
        cycle_start_ns: int,
        due: float,
        started: float,
        duration: float,
        overruns: int,
        dropped: int,
        changed: frozenset[str],
    ) -> None:
        super().__init__(prepared, reading)
        self.seq = seq
        self.cycle_start_ns = cycle_start_ns
        self.due = due
        self.started = started
        self.duration = duration
        self.overruns = overruns
        self.dropped = dropped
        self.changed = changed

    @property
    def data(self) -> dict[str, Value]:
        """The bare values by name; None where the quality is BAD."""
        return self.values_dict()
