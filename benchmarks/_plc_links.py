"""EtherNet/IP and S7: reads a second beside the bare library, and how long the loop was blocked while links were dead.

In: a length. Out: rows of the table.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys

from benchmarks._plc_heartbeat import Blocked
from benchmarks._plc_link_host import LinkFigures
from benchmarks._plc_table import Bar, Length, Row, ratio_row
from benchmarks._plc_target import FLOATS, TargetKind

__all__ = ["cip_rows", "s7_rows"]


def cip_rows(length: Length) -> list[Row]:
    """EtherNet/IP: beside pycomm3, at our simulated controller."""
    return _rows("cip", "EtherNet/IP", "bare pycomm3", length)


def s7_rows(length: Length) -> list[Row]:
    """S7: beside python-snap7's asyncio client, at python-snap7's server."""
    return _rows("s7", "S7", "bare snap7 `AsyncClient`", length)


def _rows(kind: TargetKind, protocol: str, library: str, length: Length) -> list[Row]:
    figures = _figures(kind, length)
    rows = []
    for what, (ours, theirs) in (("one REAL", figures.one), (f"{FLOATS} REAL", figures.many)):
        rates = [[1 / one for one in times] for times in (ours, theirs)]
        note = f"reads/s: {statistics.median(rates[0]):,.0f} and {statistics.median(rates[1]):,.0f}"
        rows.append(ratio_row(f"{protocol}, {what}: reads/s / {library}", rates[0], rates[1], None, note))
    dead = figures.dead
    rows.append(
        Row(
            f"{protocol}, links hung, gone and silent: longest time that the loop did not run",
            dead.longest,
            "ms",
            Bar(5, "<=", "ms"),
            f"{_late(dead)}; links alive: {_late(figures.alive)}; "
            f"an idle process at the same time: {_late(figures.machine)}",
        )
    )
    return rows


def _late(blocked: Blocked) -> str:
    return (
        f"p99.9 {blocked.tail:.1f}, max {blocked.longest:.1f} ms, "
        f"{blocked.beyond} of {blocked.beats:,} beats later than 5 ms"
    )


def _figures(kind: TargetKind, length: Length) -> LinkFigures:
    rounds, seconds = length.rounds(20, 5), length.seconds(30, 5)
    command = [sys.executable, "-m", "benchmarks._plc_link_host", kind, f"--rounds={rounds}", f"--seconds={seconds}"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=3 * seconds + 300)
    if done.returncode:
        raise RuntimeError(f"the process under test failed:\n{done.stderr[-4000:]}")
    told = json.loads(done.stdout.splitlines()[-1])
    blocked = {name: Blocked(**told[name]) for name in ("alive", "dead", "machine")}
    return LinkFigures(one=tuple(told["one"]), many=tuple(told["many"]), **blocked)
