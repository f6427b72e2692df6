"""10,000 tags, polled from 20 devices every second, through pipeline and buffer into the historian: is a sample late?

The devices are simulated in one process, the gateway is `bifrost run` in another, and both are looked at from outside:
the devices note when each poll reached them, a read-only connection to the historian's file notes when each record
became visible there. A device's polls are due at its first one plus whole periods; its schedule is where its polls came
earliest. A sample is late if it could be read from the historian more than one period after its poll was due. The
pipeline also has a window of 10 s and a detector, and delivers its means through the same buffer.

Run: ``python -m benchmarks.ten_thousand_tags [--seconds 60]``. Exit code 1 if a sample was late, lost or doubled.
"""

from __future__ import annotations

import argparse
import contextlib
import math
import sqlite3
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Self

import msgspec
import psutil

from benchmarks._gateway import GatewayProcess, device_name, rss_mb
from benchmarks._plant import Plant, PlantReport
from benchmarks._report import heading

__all__ = ["main"]

_PERIOD_MS = 1000
_PERIOD_NS = _PERIOD_MS * 1_000_000
_WARM_UP = 5.0
"""Seconds before memory and processor time are taken; lateness counts from the first poll on."""
_LOOK_EVERY = 0.01
_NEVER_NS = 2**63 - 1
_SETTLE = 3.0
"""Seconds after the measured time that its last samples have to arrive before the gateway is stopped."""


class Watcher:
    """Notes when each record of the historian became visible to a reader.

    It asks SQLite whether the file changed, and only then looks at it, so it costs the writer next to nothing.

    Attributes:
        seen: for each record's place, when it was there; ns since 1970.
    """

    def __init__(self, path: Path) -> None:
        self.seen: dict[int, int] = {}
        self._path = path
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _watch(self) -> None:
        last = version = 0
        while not self._path.exists() and not self._stop.wait(_LOOK_EVERY):
            pass
        with contextlib.closing(open_read_only(self._path)) as connection:
            while not self._stop.wait(_LOOK_EVERY):
                (changed,) = connection.execute("PRAGMA data_version").fetchone()
                if changed == version:
                    continue
                version = changed
                try:
                    (newest,) = connection.execute("SELECT max(seq) FROM samples WHERE buffer = 1").fetchone()
                except sqlite3.OperationalError:
                    continue  # the tables are being made
                now = time.time_ns()
                for seq in range(last + 1, (newest or 0) + 1):
                    self.seen[seq] = now
                last = newest or last


class Usage:
    """Memory and processor time of two processes, taken once a second."""

    def __init__(self, gateway: psutil.Process, plant: psutil.Process) -> None:
        self._processes = (gateway, plant)
        self.rss: list[float] = []
        self._began = time.monotonic()
        self._at_first = self._cpu()

    def run(self, seconds: float) -> None:
        """Look for so long."""
        while (left := self._began + seconds - time.monotonic()) > 0:
            time.sleep(min(1.0, left))
            self.rss.append(rss_mb(self._processes[0]))
        elapsed = time.monotonic() - self._began
        self.percent = [100 * (now - before) / elapsed for now, before in zip(self._cpu(), self._at_first, strict=True)]

    def _cpu(self) -> list[float]:
        return [sum(process.cpu_times()[:2]) for process in self._processes]


class Record(msgspec.Struct):
    """One record of the historian that holds samples as they were polled."""

    seq: int
    rows: int
    source_ts_ns: int


class Poll(msgspec.Struct):
    """One poll of one device that its simulator saw to the end, and the records made of it."""

    due_ns: int
    began_ns: int
    ended_ns: int
    records: list[Record]


class Findings(msgspec.Struct):
    """What came of a run, for the polls that were due in the measured time."""

    polls: list[Poll]
    expected: int
    skipped: int


def open_read_only(path: Path) -> sqlite3.Connection:
    """Open a file of SQLite so that nothing can be changed, in the thread that uses it."""
    return sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True, isolation_level=None)


def polled_records(history: Path, devices: int) -> list[list[Record]]:
    """For each device its records of polled samples, in order; what the pipeline made is left out."""
    found: list[list[Record]] = []
    query = """SELECT seq, count(*), min(source_ts_ns) FROM samples JOIN tags ON tags.id = samples.tag
        WHERE tags.name LIKE ? AND tags.name NOT LIKE '%.%' GROUP BY seq ORDER BY seq"""
    with contextlib.closing(open_read_only(history)) as connection:
        for number in range(devices):
            rows = connection.execute(query, [f"{device_name(number)}/%"]).fetchall()
            found.append([Record(*row) for row in rows])
    return found


def findings(report: PlantReport, records: Sequence[Sequence[Record]], until_ns: int) -> Findings:
    """Put each device's polls on its schedule, and the records to their polls."""
    result = Findings([], 0, 0)
    for began, ended, stored in zip(report.began, report.ended, records, strict=True):
        if not began:
            continue
        base = schedule(began)
        due = [base + number * _PERIOD_NS for number in numbered(began, base)]
        polls = [
            Poll(due_at, start, end, [record for record in stored if end <= record.source_ts_ns < following])
            for due_at, start, following in zip(due, began, [*began[1:], _NEVER_NS], strict=True)
            for end in ended
            if due_at < until_ns and start <= end < following
        ]
        expected = max(0, math.ceil((until_ns - base) / _PERIOD_NS))
        result.polls += polls
        result.expected += expected
        result.skipped += expected - len(polls)
    return result


def schedule(began: Sequence[int]) -> int:
    """When the first poll of a device was due: where, within the period, its polls came earliest.

    The few that came far from where most came are no help: nobody knows whether they were late or early.
    """
    half = _PERIOD_NS // 2
    shifts = [(start - began[0] + half) % _PERIOD_NS - half for start in began]
    usual = sorted(shifts)[len(shifts) // 2]
    return began[0] + min(shift for shift in shifts if abs(shift - usual) < _PERIOD_NS // 10)


def numbered(began: Sequence[int], base: int) -> list[int]:
    """Which of its due polls each poll of a device was; of two in the same period the first is a late earlier one."""
    numbers: list[int] = []
    for start in reversed(began):
        number = (start - base) // _PERIOD_NS
        numbers.append(number if not numbers else min(number, numbers[-1] - 1))
    return numbers[::-1]


def spread(values: Sequence[float]) -> str:
    """Median, 99th percentile and maximum of some durations in ns, as milliseconds."""
    ordered = sorted(values)
    shares = (ordered[len(ordered) // 2], ordered[int(len(ordered) * 0.99)], ordered[-1])
    return "".join(f"{value / 1e6:10.1f}" for value in shares)


def judge(found: Findings, seen: dict[int, int], tags: int) -> int:
    """Print what is said of the samples; how many were late, lost or doubled."""
    polls = found.polls
    stored = [(poll, record) for poll in polls for record in poll.records]
    lateness = [seen[record.seq] - poll.due_ns for poll, record in stored]
    late = sum(record.rows for (_, record), by in zip(stored, lateness, strict=True) if by > _PERIOD_NS)
    rows = sum(record.rows for _, record in stored)
    produced = len(polls) * tags
    wrong = sum(sum(record.rows for record in poll.records) != tags for poll in polls)
    print(f"polls made {len(polls):,} of {found.expected:,} due; skipped {found.skipped}")
    print(f"rows polled {produced:,}, stored {rows:,}; polls whose rows are not there exactly once: {wrong}")
    print(f"{'':44}{'p50 ms':>10}{'p99 ms':>10}{'max ms':>10}")
    print(f"{'poll begins at the device after it was due':<44}{spread([p.began_ns - p.due_ns for p in polls])}")
    print(f"{'poll takes, first to last request':<44}{spread([p.ended_ns - p.began_ns for p in polls])}")
    print(f"{'sample readable in the historian after poll':<44}", end="")
    print(spread([seen[record.seq] - record.source_ts_ns for _, record in stored]))
    print(f"{'sample readable in the historian after due':<44}{spread(lateness)}")
    print(f"samples late by more than one period: {late}")
    return late + wrong + found.skipped + abs(produced - rows)


def main() -> int:
    """Run, measure and print; 0 if every sample came in time and exactly once."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=60.0, help="measured time (default: %(default)g)")
    parser.add_argument("--devices", type=int, default=20, help="(default: %(default)s)")
    parser.add_argument("--tags", type=int, default=500, help="of each device (default: %(default)s)")
    parser.add_argument("--plain", action="store_true", help="a pipeline without window and detector")
    parser.add_argument("--folder", type=Path, help="where buffer and historian are written, to measure its disk")
    options = parser.parse_args()
    print(heading(f"{options.devices} devices of {options.tags} tags, polled every {_PERIOD_MS} ms"))
    with (
        tempfile.TemporaryDirectory(prefix="bifrost-", dir=options.folder) as folder,
        Plant(devices=options.devices, tags=options.tags) as plant,
        GatewayProcess(
            Path(folder), plant.ports, tags=options.tags, interval_ms=_PERIOD_MS, plain=options.plain
        ) as gateway,
    ):
        with Watcher(gateway.history) as watcher:
            time.sleep(_WARM_UP)
            usage = Usage(gateway.process, psutil.Process(plant.pid))
            usage.run(options.seconds)
            until_ns = time.time_ns()
            time.sleep(_SETTLE)
        status = gateway.status()
        code = gateway.stop()
        found = findings(plant.finish(), polled_records(gateway.history, options.devices), until_ns)
        wrong = judge(found, watcher.seen, options.tags)
        overruns = sum(device["details"]["overruns"] for device in status["devices"])
        dropped = sum(device["details"]["rows_dropped"] for device in status["devices"])
        print(f"the gateway's own count: overruns {overruns}, rows dropped {dropped}, exit code {code}")
        print(f"processor: gateway {usage.percent[0]:.1f} %, simulators {usage.percent[1]:.1f} % of one core")
        third = max(1, len(usage.rss) // 3)
        first, last = (sum(part) / len(part) for part in (usage.rss[:third], usage.rss[-third:]))
        print(f"memory of the gateway: {usage.rss[-1]:.1f} MB at the end, {max(usage.rss):.1f} MB at most; ", end="")
        print(f"mean of the first third of the time {first:.1f} MB, of the last {last:.1f} MB")
        if log := gateway.log():
            print(f"the gateway wrote:\n{log[-4000:]}")
    return 1 if wrong or code or not found.polls else 0


if __name__ == "__main__":
    sys.exit(main())
