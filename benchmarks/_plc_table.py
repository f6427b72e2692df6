"""What a figure is held against, and the table in which all of them end.

In: samples, bars. Out: rows, as Markdown and for a file. A ratio is the median of the ratios within each round, never
the quotient of two figures that were taken minutes apart; its least and greatest round stand beside it.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

__all__ = ["Bar", "Length", "Row", "at", "markdown", "over_rounds", "ratio_row"]

_HEAD = ("figure", "bar", "measured", "reached")


@dataclass(frozen=True, slots=True)
class Length:
    """How long everything runs.

    Attributes:
        quick: a first impression in seconds, not a figure to publish.
    """

    quick: bool = False

    def rounds(self, full: int, quick: int) -> int:
        """How many rounds there are."""
        return quick if self.quick else full

    def seconds(self, full: float, quick: float = 10.0) -> float:
        """How long a phase lasts."""
        return quick if self.quick else full


@dataclass(frozen=True, slots=True)
class Bar:
    """What is to be reached.

    Attributes:
        limit: the value.
        sign: how the figure must stand to it: ``<=``, ``<`` or ``>=``.
        unit: of both, as it is printed.
    """

    limit: float
    sign: str
    unit: str

    def text(self) -> str:
        """The bar as the table prints it."""
        return f"{self.sign} {self.limit:g} {self.unit}"

    def is_reached(self, value: float) -> bool:
        """Hold a figure against it."""
        match self.sign:
            case "<=":
                return value <= self.limit
            case "<":
                return value < self.limit
            case ">=":
                return value >= self.limit
        raise ValueError(f"expected <=, < or >=, got {self.sign!r}")


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table.

    Attributes:
        what: is measured.
        value: the figure; None if it could not be measured.
        unit: of the figure.
        bar: None if it is told for information only.
        note: what else is known: the rounds' spread, the peer's own figure, or why there is none.
    """

    what: str
    value: float | None
    unit: str
    bar: Bar | None = None
    note: str = ""

    @property
    def reached(self) -> bool | None:
        """Whether it reaches its bar; None without a bar or a figure."""
        if self.bar is None or self.value is None:
            return None
        return self.bar.is_reached(self.value)

    def as_json(self) -> dict[str, Any]:
        """For a file."""
        return {**asdict(self), "bar": None if self.bar is None else self.bar.text(), "reached": self.reached}

    def cells(self) -> tuple[str, ...]:
        """The columns as text."""
        figure = "not measured" if self.value is None else f"{_digits(self.value)} {self.unit}".rstrip()
        reached = "" if self.reached is None else "reached" if self.reached else "**missed**"
        if self.bar is not None and self.value is None:
            reached = "not measured"
        return (
            self.what,
            "" if self.bar is None else self.bar.text(),
            f"{figure} ({self.note})" if self.note else figure,
            reached,
        )


def at(values: Sequence[float], share: float) -> float:
    """The value that `share` of all do not exceed: 0.5 is the median."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(len(ordered) * share) - 1)]


def over_rounds(values: Sequence[float], unit: str = "") -> str:
    """The least, median and greatest of the rounds' figures: how noisy the machine was."""
    figures = " / ".join(_digits(value) for value in (min(values), statistics.median(values), max(values)))
    return f"rounds {figures} {unit}".rstrip()


def ratio_row(what: str, ours: Sequence[float], theirs: Sequence[float], bar: Bar | None, note: str = "") -> Row:
    """Compare two rivals whose rounds alternated."""
    ratios = [mine / other for mine, other in zip(ours, theirs, strict=True)]
    spread = over_rounds(ratios)
    return Row(what, statistics.median(ratios), "x", bar, f"{spread}; {note}" if note else spread)


def markdown(rows: Sequence[Row]) -> str:
    """The table for the documentation."""
    lines = [_HEAD, ("---",) * len(_HEAD), *(row.cells() for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _digits(value: float) -> str:
    if value == int(value) and abs(value) < 1e6:
        return f"{value:.0f}"
    size = abs(value)
    return f"{value:,.0f}" if size >= 1000 else f"{value:.1f}" if size >= 10 else f"{value:.3g}"
