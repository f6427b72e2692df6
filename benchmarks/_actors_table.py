"""Rounds that alternate between rivals, and the table that they end in.

In: one callable per rival that runs one round and returns its figure. Out: rows with a ratio, its bar, and whether it
was reached. The machine is noisy, so a ratio is the median of the ratios within each round, never the quotient of two
figures that were taken minutes apart.
"""

from __future__ import annotations

import gc
import math
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

__all__ = ["Bar", "MissingPeer", "Round", "Row", "Setting", "at", "compete", "markdown", "plain", "solo"]

Round = Callable[[], float]
"""Runs one round and returns its figure in the contest's unit."""

_HEAD = ("what", "bifrost", "peer", "peer's", "ratio", "bar", "reached")
_RIGHT = (1, 3, 4)


class MissingPeer(Exception):
    """A peer cannot run here; the text says why and how to get it."""


@dataclass(frozen=True, slots=True)
class Setting:
    """How long everything runs.

    Attributes:
        rounds: rounds of each contest, all rivals in each.
        scale: factor on the number of operations in a round.
    """

    rounds: int = 7
    scale: float = 1.0

    def ops(self, count: int) -> int:
        """`count` operations at full length, fewer in a short run."""
        return max(100, int(count * self.scale))


@dataclass(frozen=True, slots=True)
class Bar:
    """What is to be reached: a ratio to the peer, or a figure of our own.

    Attributes:
        limit: the least (or most) that counts as reached.
        of_ratio: whether the ratio is held against it, or bifrost's own figure.
        at_most: whether less is better.
    """

    limit: float
    of_ratio: bool = True
    at_most: bool = False

    def text(self, unit: str) -> str:
        """The bar as the table prints it."""
        sign = "<=" if self.at_most else ">="
        return f"{sign} {self.limit:g} x" if self.of_ratio else f"{sign} {self.limit:,g} {unit}"

    def is_reached(self, ours: float, ratio: float | None) -> bool:
        """Hold it against a result."""
        value = ratio if self.of_ratio else ours
        assert value is not None, "a bar on the ratio needs a peer"
        return value <= self.limit if self.at_most else value >= self.limit


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One line of the table; what could not be measured is None and `note` says why."""

    what: str
    unit: str
    ours: float | None
    peer: str = ""
    theirs: float | None = None
    ratio: float | None = None
    bar: str = ""
    reached: bool | None = None
    note: str = ""

    def as_json(self) -> dict[str, Any]:
        """For a file."""
        return asdict(self)

    def cells(self) -> tuple[str, ...]:
        """The columns as text."""
        reached = "" if self.reached is None else "yes" if self.reached else "NO"
        return (
            self.what,
            _figure(self.ours, self.unit),
            self.peer,
            self.note or _figure(self.theirs, self.unit),
            "" if self.ratio is None else f"{self.ratio:.2f}",
            self.bar,
            reached,
        )


def compete(
    what: str,
    unit: str,
    ours: Round,
    peers: Mapping[str, Round],
    setting: Setting,
    *,
    bars: Mapping[str, Bar] | None = None,
) -> list[Row]:
    """Run the rounds, ours and every peer's in turn, and compare ours with each peer.

    A first round of each warms up and is not counted. A peer that is missing has its own row that says so.
    """
    bars = bars or {}
    running: dict[str, list[float]] = {}
    missing: dict[str, str] = {}
    _run(ours)
    for name, run in peers.items():
        try:
            _run(run)
            running[name] = []
        except MissingPeer as error:
            missing[name] = f"missing: {error}"
    own: list[float] = []
    for _ in range(setting.rounds):
        own.append(_run(ours))
        for name, figures in running.items():
            figures.append(_run(peers[name]))
    figure = statistics.median(own)
    rows = [Row(what=what, unit=unit, ours=figure, peer=name, note=note) for name, note in missing.items()]
    if not peers:
        rows.append(Row(what=what, unit=unit, ours=figure))
    for name, figures in running.items():
        ratio = statistics.median(mine / other for mine, other in zip(own, figures, strict=True))
        bar = bars.get(name)
        rows.append(
            Row(
                what=what,
                unit=unit,
                ours=figure,
                peer=name,
                theirs=statistics.median(figures),
                ratio=ratio,
                bar="" if bar is None else bar.text(unit),
                reached=None if bar is None else bar.is_reached(figure, ratio),
            )
        )
    order = [*peers, ""]
    return sorted(rows, key=lambda row: order.index(row.peer))


def solo(
    what: str, unit: str, ours: float, bar: Bar | None = None, *, peer: str = "", theirs: float | None = None
) -> Row:
    """A row of figures that were each taken once."""
    ratio = ours / theirs if theirs else None
    return Row(
        what=what,
        unit=unit,
        ours=ours,
        peer=peer,
        theirs=theirs,
        ratio=ratio,
        bar="" if bar is None else bar.text(unit),
        reached=None if bar is None else bar.is_reached(ours, ratio),
    )


def at(values: Sequence[float], share: float) -> float:
    """The value that `share` of all do not exceed: 0.5 is the median."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(len(ordered) * share) - 1)]


def plain(rows: list[Row]) -> str:
    """The table for a terminal."""
    lines = [_HEAD, *(row.cells() for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(_HEAD))]
    return "\n".join(
        "  ".join(
            cell.rjust(width) if column in _RIGHT else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    )


def markdown(rows: list[Row]) -> str:
    """The table for the documentation."""
    marks = ["---:" if column in _RIGHT else "---" for column in range(len(_HEAD))]
    lines = [_HEAD, marks, *(row.cells() for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _run(run: Round) -> float:
    gc.collect()
    return run()


def _figure(value: float | None, unit: str) -> str:
    if value is None:
        return ""
    if unit == "/s":
        return f"{value / 1e6:.2f} M/s" if value >= 1e6 else f"{value / 1e3:,.1f} k/s"
    return f"{value:,.0f} {unit}" if value >= 100 or unit == "B" else f"{value:,.{1 if value >= 10 else 3}f} {unit}"
