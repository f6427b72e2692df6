"""How long to wait before the next try: exponential, capped, and spread out so that gateways do not come together."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Annotated

import msgspec

from bifrost.core.settings import Settings

__all__ = ["RetryDelay", "RetrySettings"]

_Seconds = Annotated[float, msgspec.Meta(ge=0, le=86400)]


class RetrySettings(Settings, frozen=True):
    """Delays between tries. The wait is drawn from 0 to ``min(cap, base * factor ** failures)`` ("full jitter").

    Attributes:
        base: seconds, upper bound of the first wait.
        factor: growth of the bound with every failure in a row.
        cap: seconds, the bound's own bound.
        max_attempts: tries of a record that the destination refuses, before it becomes a dead letter. A record that is
            merely deferred, or whose link is down, is tried for ever.
    """

    base: _Seconds = 1.0
    factor: Annotated[float, msgspec.Meta(ge=1, le=100)] = 2.0
    cap: _Seconds = 60.0
    max_attempts: Annotated[int, msgspec.Meta(ge=1)] = 3


class RetryDelay:
    """Counts failures in a row and draws the wait after each."""

    def __init__(self, settings: RetrySettings, draw: Callable[[], float] = random.random) -> None:
        """Draw from `draw`, a function that returns 0.0 <= x < 1.0."""
        self._settings = settings
        self._draw = draw
        self.failures = 0

    def next(self, at_least: float | None = None) -> float:
        """Count a failure and return the seconds to wait, not less than what the destination asked for."""
        exponent = min(self.failures, 64)  # the cap is reached long before; a float must not overflow
        bound = min(self._settings.cap, self._settings.base * self._settings.factor**exponent)
        self.failures += 1
        return max(self._draw() * bound, at_least or 0.0)

    def reset(self) -> None:
        """Start again from `base`: something worked."""
        self.failures = 0
