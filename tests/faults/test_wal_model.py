"""Any sequence of calls, with kills of the log in between, behaves as a list with cursors does."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from pathlib import Path

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from bifrost.bridge.buffering import WalSettings, WriteAheadLog
from bifrost.core.batch import Batch
from bifrost.errors import ConfigError, WalError

NAMES = st.sampled_from(["cloud", "historian", "alarms"])


class LogAsList(RuleBasedStateMachine):
    """The model: places and values in a dict, a cursor for each destination."""

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.folder = Path(tempfile.mkdtemp(prefix="bifrost-wal-model-"))
        self.records: dict[int, list[int]] = {}
        self.cursors: dict[str, int] = {}
        self.last = 0
        self.letters = 0

    @initialize()
    def start(self) -> None:
        self.log = self.runner.run(WriteAheadLog.open(self.settings))

    @property
    def settings(self) -> WalSettings:
        return WalSettings(path=str(self.folder / "wal.sqlite"), durability="normal")

    @rule(groups=st.lists(st.lists(st.integers(-(2**63), 2**63 - 1), min_size=1, max_size=5), min_size=1, max_size=4))
    def append_together(self, groups: list[list[int]]) -> None:
        async def append() -> list[int]:
            batches = [Batch.from_columns(["t"] * len(group), list(range(len(group))), group) for group in groups]
            return await asyncio.gather(*[self.log.append(batch) for batch in batches])

        places = self.runner.run(append())
        assert places == list(range(self.last + 1, self.last + 1 + len(groups)))
        self.last = places[-1]
        self.records.update(zip(places, groups, strict=True))

    @rule(name=NAMES, start=st.sampled_from(["oldest", "now"]))
    def register(self, name: str, start: str) -> None:
        oldest = min(self.records, default=self.last + 1) - 1
        expected = self.cursors.setdefault(name, self.last if start == "now" else oldest)
        assert self.runner.run(self.log.register_destination(name, start=start)) == expected

    @precondition(lambda self: self.cursors)
    @rule(data=st.data())
    def acknowledge(self, data: st.DataObject) -> None:
        name = data.draw(st.sampled_from(sorted(self.cursors)))
        seq = data.draw(st.integers(0, self.last + 2))
        if seq > self.last:
            try:
                self.runner.run(self.log.ack(name, seq))
            except ConfigError:
                return
            raise AssertionError("a place that was never given was acknowledged")
        moves = seq > self.cursors[name]
        self.cursors[name] = max(self.cursors[name], seq)
        assert self.runner.run(self.log.ack(name, seq)) == self.cursors[name]
        if moves:  # records go with a cursor that moves, in its transaction; a late acknowledgement changes nothing
            slowest = min(self.cursors.values())
            self.records = {place: values for place, values in self.records.items() if place > slowest}

    @precondition(lambda self: self.cursors)
    @rule(data=st.data(), limit=st.integers(1, 10))
    def read(self, data: st.DataObject, limit: int) -> None:
        name = data.draw(st.sampled_from(sorted(self.cursors)))
        found = self.runner.run(self.log.read(name, limit=limit))
        expected = [place for place in sorted(self.records) if place > self.cursors[name]][:limit]
        assert [record.seq for record in found] == expected
        for record in found:
            assert [row[2] for row in record.batch().rows()] == self.records[record.seq]

    @precondition(lambda self: self.cursors and self.records)
    @rule(data=st.data())
    def give_up(self, data: st.DataObject) -> None:
        name = data.draw(st.sampled_from(sorted(self.cursors)))
        before = self.runner.run(self.log.statistics()).dead_letters
        self.runner.run(self.log.dead_letter(name, data.draw(st.sampled_from(sorted(self.records))), "no", attempts=1))
        assert self.runner.run(self.log.statistics()).dead_letters in {before, before + 1}

    @rule()
    def nobody_reads(self) -> None:
        try:
            self.runner.run(self.log.read("nobody"))
        except WalError:
            return
        raise AssertionError("an unknown destination read something")

    @rule()
    def reopen(self) -> None:
        identity = self.log.buffer_id
        self.runner.run(self.log.aclose())
        self.log = self.runner.run(WriteAheadLog.open(self.settings))
        assert (self.log.buffer_id, self.log.last_seq) == (identity, self.last)

    @invariant()
    def counts_agree(self) -> None:
        if not hasattr(self, "log"):
            return
        statistics = self.runner.run(self.log.statistics())
        assert statistics.records == len(self.records)
        assert statistics.rows == sum(map(len, self.records.values()))
        assert statistics.cursors == self.cursors
        assert statistics.dropped_records == statistics.quarantined == 0

    def teardown(self) -> None:
        if hasattr(self, "log"):
            self.runner.run(self.log.aclose())
        self.runner.close()
        shutil.rmtree(self.folder, ignore_errors=True)


LogAsList.TestCase.settings = settings(
    max_examples=25, stateful_step_count=25, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
TestLogAsList = LogAsList.TestCase
