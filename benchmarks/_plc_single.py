"""Round trip of one Modbus TCP register: bifrost, the barest asyncio client, pymodbus and a blocking socket.

In: a length. Out: rows of the table. All clients read the same register of the same server, in alternating rounds.
"""

from __future__ import annotations

import asyncio
import statistics
from collections.abc import Sequence

from benchmarks._plc_server import modbus_peer
from benchmarks._plc_table import Bar, Length, Row, at, over_rounds, ratio_row
from benchmarks.modbus import measure

__all__ = ["single_rows"]

_PER_ROUND = 500


def single_rows(length: Length) -> list[Row]:
    """Median and 99th percentile, and what they are held against."""
    rounds = length.rounds(30, 6)
    with modbus_peer() as peer:
        times = asyncio.run(measure(peer.port, rounds=rounds, per_round=_PER_ROUND))
    ours, bare, pymodbus, floor = (_medians(times[name]) for name in ("bifrost", "protocol", "pymodbus", "floor"))
    tail = [at(part, 0.99) * 1e3 for part in _parts(times["bifrost"])]
    figures = ", ".join(
        f"{name} {at(times[key], 0.5) * 1e6:.0f}/{at(times[key], 0.99) * 1e6:.0f} us"
        for name, key in (
            ("bifrost", "bifrost"),
            ("bare", "protocol"),
            ("pymodbus", "pymodbus"),
            ("blocking socket", "floor"),
        )
    )
    what = "single register, p50"
    return [
        ratio_row(f"{what} / bare `asyncio.Protocol`", ours, bare, Bar(1.3, "<=", "x"), f"p50/p99: {figures}"),
        ratio_row(f"{what} / pymodbus's async client", ours, pymodbus, Bar(1.0, "<", "x"), peer.made_of),
        ratio_row(f"{what} / blocking socket", ours, floor, None),
        Row(
            "single register, p99",
            at(times["bifrost"], 0.99) * 1e3,
            "ms",
            Bar(1.0, "<", "ms"),
            f"{over_rounds(tail, 'ms')}; bare {at(times['protocol'], 0.99) * 1e3:.3f} ms",
        ),
    ]


def _parts(times: Sequence[float]) -> list[Sequence[float]]:
    return [times[begin : begin + _PER_ROUND] for begin in range(0, len(times), _PER_ROUND)]


def _medians(times: Sequence[float]) -> list[float]:
    return [statistics.median(part) for part in _parts(times)]
