"""What happened in a pipeline so far: counters that outlive the restarts of its stages."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

import msgspec

from bifrost.core.batch import Batch

__all__ = ["DeadBatch", "PipelineMeters", "StageMeter", "StageStatistics"]

_KEPT_DEAD = 32
_KEPT_DEAD_BYTES = 4 * 1024 * 1024


class StageStatistics(msgspec.Struct, frozen=True, kw_only=True):
    """One stage's counters since the pipeline was made.

    Attributes:
        stage: the stage's id in its supervisor.
        rows_in: rows that came.
        rows_out: rows that were passed on or taken by the sink.
        late: rows whose window had been emitted; dropped.
        future: rows ahead of the wall clock by more than the window allows; used.
        bad: rows of BAD quality that are in no number.
        skipped: rows without a finite number.
        overflowed: rows that found no room in the stage's bounded state; dropped.
        anomalies: numbers reported.
        retries: attempts that were repeated.
        dead_letters: batches given up: rejected, or failed three times.
        waits: times that the next stage had no room for the length of a send timeout.
    """

    stage: str
    rows_in: int = 0
    rows_out: int = 0
    late: int = 0
    future: int = 0
    bad: int = 0
    skipped: int = 0
    overflowed: int = 0
    anomalies: int = 0
    retries: int = 0
    dead_letters: int = 0
    waits: int = 0


class DeadBatch(msgspec.Struct, frozen=True, kw_only=True):
    """A batch that a stage gave up.

    Attributes:
        stage: who gave it up.
        reason: why, in words.
        batch: the rows themselves.
    """

    stage: str
    reason: str
    batch: Batch


@dataclass(slots=True)
class StageMeter:
    """The running counters of one stage; names as in `StageStatistics`."""

    stage: str
    rows_in: int = 0
    rows_out: int = 0
    late: int = 0
    future: int = 0
    bad: int = 0
    skipped: int = 0
    overflowed: int = 0
    anomalies: int = 0
    retries: int = 0
    dead_letters: int = 0
    waits: int = 0

    def snapshot(self) -> StageStatistics:
        """Freeze the present counts."""
        return StageStatistics(**{name: getattr(self, name) for name in StageStatistics.__struct_fields__})


@dataclass(slots=True)
class PipelineMeters:
    """The counters of all stages of one pipeline, and the last batches that were given up.

    Whoever starts a pipeline may hand its own in, and read it at any time from the same event loop.
    """

    stages: dict[str, StageMeter] = field(default_factory=dict)
    _dead: deque[DeadBatch] = field(default_factory=deque)
    _dead_bytes: int = 0

    def stage(self, name: str) -> StageMeter:
        """Find or make the counters of one stage."""
        return self.stages.setdefault(name, StageMeter(name))

    def bury(self, dead: DeadBatch) -> None:
        """Keep and count a batch that was given up; the oldest make room (32 batches, 4 MiB)."""
        self.stage(dead.stage).dead_letters += 1
        self._dead.append(dead)
        self._dead_bytes += dead.batch.nbytes
        while len(self._dead) > _KEPT_DEAD or (len(self._dead) > 1 and self._dead_bytes > _KEPT_DEAD_BYTES):
            self._dead_bytes -= self._dead.popleft().batch.nbytes

    @property
    def dead(self) -> tuple[DeadBatch, ...]:
        """The last batches that were given up, oldest first."""
        return tuple(self._dead)

    def snapshot(self) -> tuple[StageStatistics, ...]:
        """Freeze the present counts, in the order of the data flow."""
        return tuple(meter.snapshot() for meter in self.stages.values())
