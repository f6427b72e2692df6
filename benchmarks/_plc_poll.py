"""A poll of 125 registers every 10 ms: how many cycles are skipped, and does the rhythm hold?

In: a length. Out: rows of the table. The consumer's own clock and count are held against the numbers that the snapshots
carry: a cycle is due at the first one's time and whole periods.
"""

from __future__ import annotations

import asyncio
import statistics
import time
from dataclasses import dataclass, field

from benchmarks._plc_server import modbus_peer
from benchmarks._plc_table import Bar, Length, Row, at
from bifrost.plc import PLCConnection, Tag

__all__ = ["poll_rows"]

_PERIOD = 0.010
_REGISTERS = 125
_ENDS = 100
"""Cycles at each end whose median tells where the grid lies there: a single one may be late."""


@dataclass(slots=True)
class _Seen:
    """What the consumer saw: for each snapshot, when it came and which cycle it was."""

    came: list[float] = field(default_factory=list)
    cycles: list[int] = field(default_factory=list)
    late: list[float] = field(default_factory=list)
    bad: int = 0

    @property
    def drift(self) -> float:
        """How much later the last cycles came than whole periods after the first ones, in seconds."""
        behind = [came - cycle * _PERIOD for came, cycle in zip(self.came, self.cycles, strict=True)]
        return statistics.median(behind[-_ENDS:]) - statistics.median(behind[:_ENDS])


def poll_rows(length: Length) -> list[Row]:
    """Overruns and drift."""
    seconds = length.seconds(60)
    with modbus_peer() as peer:
        seen = asyncio.run(_poll(peer.port, seconds))
    due = seen.cycles[-1] - seen.cycles[0] + 1
    skipped = due - len(seen.cycles)
    what = f"{_PERIOD * 1e3:g} ms poll of {_REGISTERS} registers, {seconds:g} s"
    late = [one * 1e3 for one in seen.late]
    return [
        Row(
            f"{what}: cycles skipped",
            skipped / due * 100,
            "%",
            Bar(1, "<=", "%"),
            f"{skipped} of {due:,}; {seen.bad} not wholly good; the run took {seen.came[-1] - seen.came[0]:.3f} s; "
            f"{peer.made_of}",
        ),
        Row(
            f"{what}: drift of the last cycle",
            abs(seen.drift) * 1e3,
            "ms",
            Bar(0.5, "<=", "ms"),
            f"a drift of 1 % would be {seconds * 10:,.0f} ms",
        ),
        Row(f"{what}: start-of-poll error, p99", at(late, 0.99), "ms", None, f"p50 {at(late, 0.5):.3f} ms"),
    ]


async def _poll(port: int, seconds: float) -> _Seen:
    tags = [Tag(f"r{index}", f"HR{index + 1}") for index in range(_REGISTERS)]
    seen = _Seen()
    async with PLCConnection("modbus-tcp", host="127.0.0.1", port=port) as plc:
        async for snapshot in plc.poll(tags, interval_ms=_PERIOD * 1e3):
            seen.came.append(time.monotonic())
            seen.cycles.append(snapshot.seq)
            seen.late.append(snapshot.started - snapshot.due)
            seen.bad += not snapshot.ok
            if seen.came[-1] - seen.came[0] >= seconds:
                return seen
    raise RuntimeError("the poll ended by itself")
