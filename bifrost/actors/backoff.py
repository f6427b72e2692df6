"""How long to wait before a child is started again.

In: attempt numbers. Out: seconds. The random generator is the caller's, so that a seed repeats a run.
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from bifrost.errors import ChildSpecError

__all__ = ["Backoff"]

_KINDS: Final[Mapping[str, Any]] = {
    "min": int | float,
    "max": int | float,
    "factor": int | float,
    "jitter": int | float,
    "reset_after": int | float | None,
    "max_attempts": int | None,
    "counts": bool,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Backoff:
    """Delays restarts of one child; each failed attempt in a row waits longer.

    Attributes:
        min: seconds before the first restart, > 0.
        max: longest wait in seconds, before jitter.
        factor: growth per attempt, >= 1.
        jitter: share of the delay that is drawn at random around it, 0 to 1; keeps many children from returning at
            the same instant.
        reset_after: seconds that the child must have run for its next restart to count as the first again; None takes
            the middle between `min` and `max`.
        max_attempts: attempts in a row before the supervisor treats the child as exhausted; None never does.
        counts: true lets delayed restarts count against the supervisor's intensity as well.

    Raises:
        ChildSpecError: a value is of the wrong type or out of range.
    """

    min: float = 0.5
    max: float = 30.0
    factor: float = 2.0
    jitter: float = 0.2
    reset_after: float | None = None
    max_attempts: int | None = None
    counts: bool = False

    def __post_init__(self) -> None:
        for name, kind in _KINDS.items():
            value: object = getattr(self, name)
            if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
                raise ChildSpecError(f"backoff {name} must be of type {getattr(kind, '__name__', kind)}, got {value!r}")
        if not 0 < self.min <= self.max < float("inf"):
            raise ChildSpecError(f"backoff needs 0 < min <= max in seconds, got min={self.min!r}, max={self.max!r}")
        if not 1 <= self.factor < float("inf"):
            raise ChildSpecError(f"backoff factor must be at least 1, got {self.factor!r}")
        if not 0 <= self.jitter <= 1:
            raise ChildSpecError(f"backoff jitter must be between 0 and 1, got {self.jitter!r}")
        if self.reset_after is not None and not self.reset_after >= 0:
            raise ChildSpecError(f"backoff reset_after must be seconds >= 0 or None, got {self.reset_after!r}")
        if self.max_attempts is not None and self.max_attempts < 1:
            raise ChildSpecError(f"backoff max_attempts must be at least 1 or None, got {self.max_attempts!r}")

    def delay(self, attempt: int, rng: random.Random) -> float:
        """Draw the seconds to wait before restart number `attempt`, counted from 1."""
        try:
            base = min(self.max, self.min * self.factor ** (attempt - 1))
        except OverflowError:  # more than a float can say is more than `max`
            base = self.max
        return base * (1 + self.jitter * (2 * rng.random() - 1))

    @property
    def stable_after(self) -> float:
        """Seconds of running after which the attempts are counted afresh."""
        return (self.min + self.max) / 2 if self.reset_after is None else self.reset_after
