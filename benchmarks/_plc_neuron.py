"""The crowd that Neuron publishes: 500 Modbus TCP devices of 30 tags, each second; faster; and with some of them dead.

In: a length. Out: rows of the table. Each device is a supervised actor with a link of its own, all in one process that
does nothing else; the simulators run in another and note when each poll reached its device.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys

from benchmarks._plc_neuron_host import Stretch
from benchmarks._plc_plant import TAGS
from benchmarks._plc_table import Bar, Length, Row, over_rounds

__all__ = ["neuron_rows"]

_DEVICES = 500
_DEAD = 50
_UNCHANGED_MS = 1.0
"""How much the others' 99th percentile may differ before it counts as changed: a thousandth of their period."""


def neuron_rows(length: Length) -> list[Row]:
    """Overruns, cost and punctuality: every second, with dead devices, and twice a second."""
    steady, troubled = _stretches(1000, length.seconds(120), dead_seconds=length.seconds(60))
    (fast,) = _stretches(500, length.seconds(60))
    return [
        *_rows(f"{_DEVICES} devices x {TAGS} tags, 1 s", steady, 1.0),
        *_rows(f"{_DEVICES} devices x {TAGS} tags, 0.5 s", fast, 0.5),
        *_dead_rows(steady, troubled),
    ]


def _rows(what: str, stretch: Stretch, period: float) -> list[Row]:
    return [
        Row(
            f"{what}: overruns",
            stretch.overruns,
            "",
            Bar(0, "<=", ""),
            f"the devices saw {stretch.made:,} of {stretch.due:,} polls that were due",
        ),
        Row(f"{what}: rows/s", stretch.rows, "rows/s", None, f"of {_DEVICES * TAGS / period:,.0f}"),
        Row(f"{what}: CPU", stretch.cpu, "% of a core", None, f"simulators {stretch.plant_cpu:.0f} %"),
        Row(f"{what}: RSS", stretch.rss, "MB"),
        Row(f"{what}: start-of-poll error, p99", stretch.late[1], "ms", None, _tails(stretch)),
    ]


def _dead_rows(steady: Stretch, troubled: Stretch) -> list[Row]:
    what = f"{_DEAD} of the {_DEVICES} dead (half refuse, half are silent), 1 s, the others"
    before, after = statistics.median(steady.tails), statistics.median(troubled.tails)
    return [
        Row(
            f"{what}: p99 of the start-of-poll error less that with all alive, median of slices",
            after - before,
            "ms",
            Bar(_UNCHANGED_MS, "<=", "ms"),
            f"all alive {_tails(steady)}; {_DEAD} dead {_tails(troubled)}",
        ),
        Row(
            f"{what}: overruns",
            troubled.overruns,
            "",
            Bar(0, "<=", ""),
            f"the devices saw {troubled.made:,} of {troubled.due:,} polls that were due",
        ),
        Row(f"{what}: CPU", troubled.cpu, "% of a core", None, f"all alive {steady.cpu:.0f} %"),
    ]


def _tails(stretch: Stretch) -> str:
    median, tail, greatest = stretch.late
    return f"p50 {median:.2f}, p99 {tail:.2f}, max {greatest:.1f} ms; p99 of its slices {over_rounds(stretch.tails)}"


def _stretches(interval_ms: int, seconds: float, *, dead_seconds: float = 0.0) -> list[Stretch]:
    command = [sys.executable, "-m", "benchmarks._plc_neuron_host", f"--devices={_DEVICES}"]
    command += [f"--interval-ms={interval_ms}", f"--seconds={seconds}"]
    if dead_seconds:
        command += [f"--dead={_DEAD}", f"--dead-seconds={dead_seconds}"]
    limit = seconds + dead_seconds + 180
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=limit)
    if done.returncode:
        # Only then: devices that die on purpose are reported there too.
        raise RuntimeError(f"the process under test failed:\n{done.stderr[-4000:]}")
    return [Stretch(**stretch) for stretch in json.loads(done.stdout.splitlines()[-1])]
