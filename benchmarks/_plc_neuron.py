"""The crowd that Neuron publishes: 500 Modbus TCP devices of 30 tags, each second; faster; and with some of them dead.

In: a length. Out: rows of the table. Each device is a supervised actor with a link of its own, all in one process that
does nothing else; the simulators run in another and note when each poll reached its device.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
from collections.abc import Sequence

from benchmarks._plc_neuron_host import Stretch
from benchmarks._plc_plant import TAGS
from benchmarks._plc_table import Bar, Length, Row, over_rounds

__all__ = ["neuron_rows"]

_DEVICES = 500
_DEAD = 50
_CYCLES = 3
_CYCLE_SECONDS = 20.0
_UNCHANGED_MS = 1.0
"""How much the others' 99th percentile may differ before it counts as changed: a thousandth of their period."""


def neuron_rows(length: Length) -> list[Row]:
    """Overruns, cost and punctuality: every second, with dead devices, and twice a second."""
    cycles = length.rounds(_CYCLES, 1)
    steady, *in_turn = _stretches(
        1000, length.seconds(120), cycles=cycles, cycle_seconds=length.seconds(_CYCLE_SECONDS)
    )
    (fast,) = _stretches(500, length.seconds(60))
    return [
        *_rows(f"{_DEVICES} devices x {TAGS} tags, 1 s", steady, 1.0),
        *_rows(f"{_DEVICES} devices x {TAGS} tags, 0.5 s", fast, 0.5),
        *_dead_rows(in_turn[::2], in_turn[1::2]),
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
        Row(f"{what}: start-of-poll error as the devices saw it, p99", stretch.late[1], "ms", None, _tails(stretch)),
    ]


def _dead_rows(dead: Sequence[Stretch], alive: Sequence[Stretch]) -> list[Row]:
    what = f"{_DEAD} of the {_DEVICES} dead (half refuse, half are silent), 1 s, the others"
    changes = [one.late[1] - other.late[1] for one, other in zip(dead, alive, strict=True)]
    return [
        Row(
            f"{what}: p99 of the start-of-poll error (as the devices saw it) less that with all alive",
            statistics.median(changes),
            "ms",
            Bar(_UNCHANGED_MS, "<=", "ms"),
            f"{over_rounds(changes)}; p99 {_DEAD} dead {over_rounds([one.late[1] for one in dead], 'ms')}, "
            f"all alive {over_rounds([one.late[1] for one in alive], 'ms')}",
        ),
        Row(
            f"{what}: overruns",
            sum(one.overruns for one in dead),
            "",
            Bar(0, "<=", ""),
            f"the devices saw {sum(one.made for one in dead):,} of {sum(one.due for one in dead):,} polls "
            f"that were due; all alive: {sum(one.overruns for one in alive)} overruns",
        ),
        Row(
            f"{what}: CPU",
            statistics.median(one.cpu for one in dead),
            "% of a core",
            None,
            f"all alive {statistics.median(one.cpu for one in alive):.0f} %",
        ),
    ]


def _tails(stretch: Stretch) -> str:
    median, tail, greatest = stretch.late
    return f"p50 {median:.2f}, p99 {tail:.2f}, max {greatest:.1f} ms; p99 of its slices {over_rounds(stretch.tails)}"


def _stretches(interval_ms: int, seconds: float, *, cycles: int = 0, cycle_seconds: float = 0.0) -> list[Stretch]:
    command = [sys.executable, "-m", "benchmarks._plc_neuron_host", f"--devices={_DEVICES}"]
    command += [f"--interval-ms={interval_ms}", f"--seconds={seconds}"]
    command += [f"--dead={_DEAD}", f"--cycles={cycles}", f"--cycle-seconds={cycle_seconds}"]
    limit = seconds + cycles * (2 * cycle_seconds + 60) + 180
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=limit)
    if done.returncode:
        # Only then: devices that die on purpose are reported there too.
        raise RuntimeError(f"the process under test failed:\n{done.stderr[-4000:]}")
    return [Stretch(**stretch) for stretch in json.loads(done.stdout.splitlines()[-1])]
