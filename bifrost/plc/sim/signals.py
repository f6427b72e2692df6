"""What a simulated sensor measures: seconds since its start in, a value out. Pure: the same seconds, the same value.

Not here: clocks, registers. `synthetic` tells invented signals from recorded ones, so that a screen can label them.
"""

from __future__ import annotations

import dataclasses
import math
import random
from collections.abc import Sequence
from typing import ClassVar, Protocol

from bifrost.errors import ConfigError

__all__ = ["Constant", "Counter", "Noise", "Replay", "Signal", "Sine", "Square", "Sum"]


class Signal(Protocol):
    """A value as a function of time.

    Attributes:
        synthetic: true if the signal was invented, false if it was recorded from a machine.
    """

    @property
    def synthetic(self) -> bool:
        """True if the signal was invented."""
        ...

    def at(self, seconds: float) -> float:
        """Return the value `seconds` (0 or more) after the start."""
        ...


def _positive(name: str, seconds: float) -> None:
    if not (math.isfinite(seconds) and seconds > 0):
        raise ConfigError(f"{name}: expected a positive number of seconds, got {seconds!r}")


@dataclasses.dataclass(frozen=True, slots=True)
class Constant:
    """Always the same value."""

    value: float
    synthetic: ClassVar[bool] = True

    def at(self, seconds: float) -> float:
        """Return the value."""
        return self.value


@dataclasses.dataclass(frozen=True, slots=True)
class Counter:
    """Counts up by one every `period` seconds, from 0."""

    period: float
    synthetic: ClassVar[bool] = True

    def __post_init__(self) -> None:
        _positive("period", self.period)

    def at(self, seconds: float) -> float:
        """Return the count as a whole number."""
        return float(int(seconds / self.period))


@dataclasses.dataclass(frozen=True, slots=True)
class Sine:
    """Swings around `mean` by `amplitude`, once every `period` seconds, `phase` seconds ahead."""

    mean: float
    amplitude: float
    period: float
    phase: float = 0.0
    synthetic: ClassVar[bool] = True

    def __post_init__(self) -> None:
        _positive("period", self.period)

    def at(self, seconds: float) -> float:
        """Return the value."""
        return self.mean + self.amplitude * math.sin(math.tau * (seconds + self.phase) / self.period)


@dataclasses.dataclass(frozen=True, slots=True)
class Square:
    """`high` for the first `duty` (0..1) of every `period` seconds, then `low`."""

    low: float
    high: float
    period: float
    duty: float = 0.5
    synthetic: ClassVar[bool] = True

    def __post_init__(self) -> None:
        _positive("period", self.period)

    def at(self, seconds: float) -> float:
        """Return `high` or `low`."""
        return self.high if seconds % self.period < self.duty * self.period else self.low


@dataclasses.dataclass(frozen=True, slots=True)
class Noise:
    """Gaussian noise around 0 with deviation `sigma`, a new value every `hold` seconds; the seed gives the sequence."""

    sigma: float
    seed: int
    hold: float = 0.1
    synthetic: ClassVar[bool] = True

    def __post_init__(self) -> None:
        _positive("hold", self.hold)

    def at(self, seconds: float) -> float:
        """Return the value."""
        step = int(seconds / self.hold)
        # A generator per step makes the value a function of time alone, whoever asks and however often.
        rng = random.Random((self.seed << 64) ^ step)  # noqa: S311 (a simulated sensor, no secret)
        return rng.gauss(0.0, self.sigma)


@dataclasses.dataclass(frozen=True, slots=True)
class Sum:
    """The sum of its parts; synthetic if one of them is."""

    parts: tuple[Signal, ...]

    @property
    def synthetic(self) -> bool:
        """True if a part is synthetic."""
        return any(part.synthetic for part in self.parts)

    def at(self, seconds: float) -> float:
        """Return the sum."""
        return math.fsum(part.at(seconds) for part in self.parts)


@dataclasses.dataclass(frozen=True, slots=True)
class Replay:
    """Recorded values, one every `period` seconds; the last one is held."""

    values: Sequence[float]
    period: float
    synthetic: ClassVar[bool] = False

    def __post_init__(self) -> None:
        _positive("period", self.period)
        if not self.values:
            raise ConfigError("values: expected at least one recorded value, got none")

    def index_at(self, seconds: float) -> int:
        """Return the position of the value that is due at `seconds`."""
        return max(0, min(int(seconds / self.period), len(self.values) - 1))

    def at(self, seconds: float) -> float:
        """Return the recorded value."""
        return self.values[self.index_at(seconds)]
