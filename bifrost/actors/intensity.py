"""The sliding window that decides when restarting has become pointless.

In: the times of restarts. Out: whether the limit is passed. No clock of its own.

Source: Erlang/OTP `supervisor`, "Tuning the intensity and period"; monotonic float seconds instead of whole ones.
"""

from __future__ import annotations

from collections import deque

__all__ = ["IntensityWindow"]


class IntensityWindow:
    """Remembers the restarts of the last `period` seconds.

    Args:
        intensity: restarts allowed within the period; 0 allows none.
        period: seconds, > 0.
    """

    __slots__ = ("_times", "intensity", "period")

    def __init__(self, intensity: int, period: float) -> None:
        self.intensity = intensity
        self.period = period
        self._times: deque[float] = deque()

    def add(self, now: float) -> bool:
        """Count one restart at `now` and tell whether it is still within the limit."""
        times = self._times
        times.append(now)
        while times and now - times[0] > self.period:
            times.popleft()
        return len(times) <= self.intensity

    def change(self, intensity: int, period: float) -> None:
        """Go by another limit from the next restart on; what was counted stays counted."""
        self.intensity = intensity
        self.period = period

    def clear(self) -> None:
        """Forget every restart."""
        self._times.clear()
