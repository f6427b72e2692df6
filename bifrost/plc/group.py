"""Tags that are polled together, and what of each poll is worth publishing.

In: batches as they were polled. Out: the rows that are news. Not here: polling (`bifrost.plc.actor`), any I/O.
"""

from __future__ import annotations

from collections.abc import Sequence

from bifrost.core.batch import Batch
from bifrost.core.value import Value
from bifrost.errors import ConfigError
from bifrost.plc.changes import ChangeFilter
from bifrost.plc.connection import PLCConnection
from bifrost.plc.device import PollGroup
from bifrost.plc.polling import BadRowGate, RecordCounter
from bifrost.plc.ticker import Ticker

__all__ = ["GroupAtWork", "groups_at_work"]

_Row = tuple[str, int, Value, int, int | None]


class GroupAtWork:
    """One polling group.

    Attributes:
        tags: names, as the connection takes them.
        interval: seconds between two polls.
        ticker: when they are due.
        gate: holds bad rows back that are no news.
        record: tells records that were read before.
        counter_at: row of the device's record counter; None if it is not in this group.
        latest: the last poll as it came; its rows are made when somebody asks for them.
        all_good: true if every row of the last record was.
    """

    def __init__(self, group: PollGroup, connection: PLCConnection, counter: str | None, bad_repeat: float) -> None:
        known = {tag.name: tag for tag in connection.tags}
        if not group.tags:
            raise ConfigError("a polling group has no tags; name at least one")
        if unknown := [name for name in group.tags if name not in known]:
            raise ConfigError(f"the device has no tag {unknown[0]!r}; known are {', '.join(known)}")
        tags = [known[name] for name in group.tags]
        labels = [label for tag in tags for label in tag.labels]
        self.tags = group.tags
        self.interval = group.interval
        self.ticker = Ticker(group.interval)
        self.gate = BadRowGate(len(labels), repeat=bad_repeat)
        self.record = RecordCounter()
        self.counter_at = labels.index(counter) if counter is not None and counter in labels else None
        self.latest: Batch | None = None
        self.all_good = False
        self._changes = ChangeFilter(tags) if group.on_change else None
        self._report_interval = group.report_interval
        self._report_at: float | None = None

    def worth_publishing(self, batch: Batch, statuses: Sequence[int] | None, now: float) -> Batch:
        """Leave out what is no news.

        Args:
            batch: a poll of this group.
            statuses: of its rows; None if all are GOOD.
            now: monotonic time of it.
        """
        chosen = self.gate.open_for(statuses, now)
        if self._changes is None:
            if chosen is None:
                return batch
            rows = batch.rows()
        else:
            rows = batch.rows()
            chosen = self._news(self._changes, rows, chosen, now)
        return batch if len(chosen) == len(rows) else _only(batch, [rows[at] for at in chosen])

    def _news(self, changes: ChangeFilter, rows: list[_Row], chosen: list[int] | None, now: float) -> list[int]:
        if self._report_interval is not None:
            if self._report_at is not None and now >= self._report_at:
                changes.forget()
                self._report_at = None
            if self._report_at is None:
                self._report_at = now + self._report_interval
        news = changes.changed([row[2] for row in rows], [row[3] for row in rows])
        let_through = range(len(rows)) if chosen is None else set(chosen)
        # A bad row is repeated from time to time though nothing changed: whoever listens later learns of it.
        bad = {at for at in let_through if rows[at][3] >> 31}
        return sorted(bad.union(at for at in news if at in let_through))


def groups_at_work(
    connection: PLCConnection, groups: Sequence[PollGroup] | None, counter: str | None, bad_repeat: float
) -> list[GroupAtWork]:
    """Make the groups of a device.

    Args:
        connection: its tags are polled.
        groups: None makes one for each interval that its tags have.
        counter: name of the tag in which the device numbers its records.
        bad_repeat: seconds between two rows of the same bad status.

    Raises:
        ConfigError: a group or the counter names a tag that is not there.
    """
    if groups is None:
        groups = _by_interval(connection)
    made = [GroupAtWork(group, connection, counter, bad_repeat) for group in groups]
    if counter is not None and all(group.counter_at is None for group in made):
        raise ConfigError(f"record_counter: expected the name of a polled tag, got {counter!r}")
    return made


def _by_interval(connection: PLCConnection) -> list[PollGroup]:
    settings = connection.settings
    names: dict[float, list[str]] = {}
    for tag in connection.tags:
        interval_ms = settings.interval_ms if tag.interval_ms is None else tag.interval_ms
        names.setdefault(interval_ms, []).append(tag.name)
    # A device without tags is watched all the same: its link has a state.
    return [
        PollGroup(
            tuple(members),
            interval_ms / 1000,
            on_change=settings.on_change,
            report_interval=settings.report_interval,
        )
        for interval_ms, members in names.items()
    ]


def _only(batch: Batch, rows: list[_Row]) -> Batch:
    return Batch.from_columns(
        [row[0] for row in rows],
        [row[1] for row in rows],
        [row[2] for row in rows],
        status=[row[3] for row in rows],
        received_ts_ns=[row[4] for row in rows],
        origin=batch.origin,
        sequence=batch.sequence,
    )
