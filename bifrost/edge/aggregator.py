"""What a pipeline computes of the numbers in a window."""

from __future__ import annotations

from typing import Final

import msgspec

from bifrost.errors import ConfigError

__all__ = ["AGGREGATES", "Aggregator"]

AGGREGATES: Final = ("count", "sum", "mean", "min", "max", "std", "first", "last", "delta")
"""The names that `Aggregator.named` and settings files know."""


class Aggregator(msgspec.Struct, frozen=True):
    """One summary; its name becomes the suffix of the derived tag, such as ``press/temperature.mean``.

    BAD rows, NaN and infinities are in no summary. A bool counts as 0 or 1. Integers stay integers in sum, min, max,
    first, last and delta, unless the result exceeds 64 bits.
    """

    name: str

    @staticmethod
    def named(name: str) -> Aggregator:
        """Make the summary of this name, one of `AGGREGATES`.

        Raises:
            ConfigError: there is none.
        """
        if name not in AGGREGATES:
            raise ConfigError(f"expected an aggregate among {', '.join(AGGREGATES)}, got {name!r}")
        return Aggregator(name)

    @staticmethod
    def count() -> Aggregator:
        """How many numbers."""
        return Aggregator("count")

    @staticmethod
    def sum() -> Aggregator:
        """Their sum."""
        return Aggregator("sum")

    @staticmethod
    def mean() -> Aggregator:
        """Arithmetic mean: each sample weighs the same, whatever time it stood for."""
        return Aggregator("mean")

    @staticmethod
    def min() -> Aggregator:
        """The smallest."""
        return Aggregator("min")

    @staticmethod
    def max() -> Aggregator:
        """The largest."""
        return Aggregator("max")

    @staticmethod
    def std() -> Aggregator:
        """Sample standard deviation (n - 1); 0.0 for a single number."""
        return Aggregator("std")

    @staticmethod
    def first() -> Aggregator:
        """The one with the earliest source time."""
        return Aggregator("first")

    @staticmethod
    def last() -> Aggregator:
        """The one with the latest source time."""
        return Aggregator("last")

    @staticmethod
    def delta() -> Aggregator:
        """Last less first."""
        return Aggregator("delta")
