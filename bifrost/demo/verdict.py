"""The verdict of a run: what left the devices, what arrived, and what was found in it.

In: batches as a listener beside the buffer saw them, and the historian's rows. Out: figures, and words for people.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping

import msgspec

from bifrost.core.batch import Batch
from bifrost.demo.history import Row
from bifrost.demo.labels import Assessment

__all__ = ["Comparison", "Verdict", "compare"]


class Comparison(msgspec.Struct, frozen=True):
    """Two counts of samples held against each other, sample by sample.

    Attributes:
        produced: samples that left the devices.
        delivered: of those, samples that are stored.
        lost: samples that left a device and are not stored.
        duplicated: samples that are stored more often than they left a device.
    """

    produced: int
    delivered: int
    lost: int
    duplicated: int


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """The result of one run.

    Attributes:
        samples: produced, delivered, lost, duplicated.
        replays: samples that came to the historian again after a retry and were recognised.
        records: samples of the recording that were collected.
        recording: samples of the recording in all.
        dropped: rows that a device could not hand to a pipeline in time.
        restarts: restarts of actors, by path.
        assessment: detected anomalies against the labelled windows.
        broker: the same comparison at the MQTT broker, if there was one.
        seconds: length of the run.
    """

    samples: Comparison
    replays: int
    records: int
    recording: int
    dropped: int
    restarts: Mapping[str, int]
    assessment: Assessment
    broker: Comparison | None
    seconds: float

    @property
    def ok(self) -> bool:
        """True if nothing was lost or doubled, all of the recording came, and three of its four windows were found."""
        clean = self.dropped == 0 and all(
            found.lost == 0 and found.duplicated == 0 for found in (self.samples, self.broker) if found is not None
        )
        enough = self.assessment.found_count >= len(self.assessment.windows) - 1
        return clean and enough and self.records == self.recording

    def lines(self) -> list[str]:
        """The verdict in words, a line each."""
        found, samples = self.assessment, self.samples
        restarts = ", ".join(f"{path} {count}x" for path, count in self.restarts.items()) or "none"
        lines = [
            f"produced    {samples.produced:>9,} samples in {self.seconds:.0f} s",
            f"delivered   {samples.delivered:>9,} samples in the historian",
            f"lost        {samples.lost + self.dropped:>9,}",
            f"duplicated  {samples.duplicated:>9,} ({self.replays:,} came again after a retry and were recognised)",
            f"recording   {self.records:>9,} of {self.recording:,} recorded samples collected",
            f"restarts    {sum(self.restarts.values()):>9,} ({restarts})",
            (
                f"anomalies   {found.found_count:>9,} of {len(found.windows)} labelled windows found, "
                f"{found.false_episodes} false alarms"
            ),
        ]
        if self.broker is not None:
            lines.append(
                f"broker      {self.broker.delivered:>9,} samples over MQTT, lost {self.broker.lost}, "
                f"duplicated {self.broker.duplicated}"
            )
        return lines


def compare(batches: Iterable[Batch], stored: Mapping[Row, int]) -> Comparison:
    """Hold what a listener saw against what is stored.

    Args:
        batches: as they passed the listener.
        stored: how often each sample is stored; samples that the listener never saw (derived ones) are left out.
    """
    seen = Counter(Row(*row) for batch in batches for row in batch.rows())
    lost = duplicated = 0
    for row, count in seen.items():
        there = stored.get(row, 0)
        lost += max(count - there, 0)
        duplicated += max(there - count, 0)
    produced = seen.total()
    return Comparison(produced=produced, delivered=produced - lost, lost=lost, duplicated=duplicated)
