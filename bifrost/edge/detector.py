"""How a pipeline finds anomalies: seven-line settings of a method whose running state is in Rust."""

from __future__ import annotations

import math

import msgspec

from bifrost._native import AnomalyDetector
from bifrost.errors import ConfigError

__all__ = ["Detector"]

_MOST = 2**32 - 1


class Detector(msgspec.Struct, frozen=True, kw_only=True):
    """A method and when it speaks; made by `Detector.mad` and its siblings.

    All methods share one face: each number gets a score from 0 (ordinary) over 0.5 (exactly at the threshold) towards
    1. Every tag is judged by its own past. BAD, partial and non-numeric rows are passed over. Memory is bounded.

    Attributes:
        method: zscore, ewma, mad, limits, flatline or rate.
        parameters: the method's own numbers.
        min_samples: numbers of a tag that are learned from before one is judged.
        learn_on_anomaly: whether numbers beyond the threshold are learned from.
        relearn_after: after this many in a row beyond the threshold they are the new normal and are learned from, so
            that a changed operating point does not alarm for ever; 0 turns that off.
        consecutive: how many in a row must be beyond the threshold before one is reported.
        cooldown: seconds of source time after a report without another one for that tag.
    """

    method: str
    parameters: dict[str, float | int | None]
    min_samples: int = 0
    learn_on_anomaly: bool = False
    relearn_after: int = 0
    consecutive: int = 1
    cooldown: float = 0.0

    @staticmethod
    def zscore(
        *,
        threshold: float = 4.0,
        min_scale: float = 0.0,
        min_samples: int = 30,
        learn_on_anomaly: bool = False,
        relearn_after: int = 100,
        consecutive: int = 1,
        cooldown: float = 0.0,
    ) -> Detector:
        """Standard deviations from the mean of everything learned; for a signal that keeps one operating point.

        Args:
            threshold: deviations at which a number counts as an anomaly.
            min_scale: least deviation to reckon with, in the value's unit: what the sensor's noise alone explains.
            min_samples: see the class, as the other arguments.
            learn_on_anomaly: see the class.
            relearn_after: see the class.
            consecutive: see the class.
            cooldown: see the class.
        """
        return Detector(
            method="zscore",
            parameters={"threshold": threshold, "min_scale": min_scale},
            min_samples=min_samples,
            learn_on_anomaly=learn_on_anomaly,
            relearn_after=relearn_after,
            consecutive=consecutive,
            cooldown=cooldown,
        ).checked()

    @staticmethod
    def ewma(
        *,
        alpha: float = 0.05,
        threshold: float = 4.0,
        min_scale: float = 0.0,
        min_samples: int = 30,
        learn_on_anomaly: bool = False,
        relearn_after: int = 100,
        consecutive: int = 1,
        cooldown: float = 0.0,
    ) -> Detector:
        """Deviations from an exponentially weighted mean; follows slow drift.

        Args:
            alpha: weight of the newest number, above 0, at most 1; about 2 / (n + 1) for a memory of n numbers.
            threshold: deviations at which a number counts as an anomaly.
            min_scale: least deviation to reckon with, in the value's unit.
            min_samples: see the class, as the other arguments.
            learn_on_anomaly: see the class.
            relearn_after: see the class.
            consecutive: see the class.
            cooldown: see the class.
        """
        return Detector(
            method="ewma",
            parameters={"alpha": alpha, "threshold": threshold, "min_scale": min_scale},
            min_samples=min_samples,
            learn_on_anomaly=learn_on_anomaly,
            relearn_after=relearn_after,
            consecutive=consecutive,
            cooldown=cooldown,
        ).checked()

    @staticmethod
    def mad(
        *,
        window: int = 120,
        threshold: float = 3.5,
        min_scale: float = 0.0,
        min_samples: int | None = None,
        learn_on_anomaly: bool = False,
        relearn_after: int | None = None,
        consecutive: int = 1,
        cooldown: float = 0.0,
    ) -> Detector:
        """Robust deviations from the median of the last numbers; the default, since outliers cannot mask themselves.

        Source: Iglewicz and Hoaglin, "How to Detect and Handle Outliers" (1993): modified z score, threshold 3.5.

        Args:
            window: how many numbers are remembered, 3 to 65,536; take some of the process's longest ordinary cycles.
            threshold: robust deviations at which a number counts as an anomaly.
            min_scale: least deviation to reckon with, in the value's unit.
            min_samples: see the class; a quarter of `window`, at least 3, if left out.
            learn_on_anomaly: see the class.
            relearn_after: see the class; `window` if left out.
            consecutive: see the class.
            cooldown: see the class.
        """
        return Detector(
            method="mad",
            parameters={"window": window, "threshold": threshold, "min_scale": min_scale},
            min_samples=max(window // 4, 3) if min_samples is None else min_samples,
            learn_on_anomaly=learn_on_anomaly,
            relearn_after=window if relearn_after is None else relearn_after,
            consecutive=consecutive,
            cooldown=cooldown,
        ).checked()

    @staticmethod
    def limits(
        *, low: float | None = None, high: float | None = None, consecutive: int = 1, cooldown: float = 0.0
    ) -> Detector:
        """Anything below `low` or above `high`, in the value's unit; one of them at least."""
        return Detector(
            method="limits", parameters={"low": low, "high": high}, consecutive=consecutive, cooldown=cooldown
        ).checked()

    @staticmethod
    def flatline(*, seconds: float, tolerance: float = 0.0, consecutive: int = 1, cooldown: float = 0.0) -> Detector:
        """A value that stays within `tolerance` of itself for more than `seconds` of source time: a stuck sensor."""
        _finite("seconds", seconds)
        return Detector(
            method="flatline",
            parameters={"duration_ns": round(seconds * 1e9), "tolerance": tolerance},
            consecutive=consecutive,
            cooldown=cooldown,
        ).checked()

    @staticmethod
    def rate(*, max_per_second: float, consecutive: int = 1, cooldown: float = 0.0) -> Detector:
        """A change, up or down, faster than `max_per_second` units per second of source time."""
        return Detector(
            method="rate",
            parameters={"max_per_second": max_per_second},
            consecutive=consecutive,
            cooldown=cooldown,
        ).checked()

    def start(self, *, on: str | None = None) -> AnomalyDetector:
        """Make the running state.

        Args:
            on: judge only rows whose tag ends in this aggregate's suffix; None judges all rows.

        Raises:
            ConfigError: a number is outside its range.
        """
        for name in ("min_samples", "relearn_after", "consecutive"):
            count = getattr(self, name)
            if isinstance(count, bool) or not isinstance(count, int) or not 0 <= count <= _MOST:
                raise ConfigError(f"detector {self.method}: expected {name} from 0 to {_MOST}, got {count!r}")
        _finite("cooldown", self.cooldown)
        for name, number in self.parameters.items():
            if number is not None:
                _finite(name, number)
        try:
            return AnomalyDetector(
                self.method,
                self.parameters,
                on=on,
                min_samples=self.min_samples,
                learn_on_anomaly=self.learn_on_anomaly,
                relearn_after=self.relearn_after,
                consecutive=self.consecutive,
                cooldown_ns=round(self.cooldown * 1e9),
            )
        except ConfigError as error:
            raise ConfigError(f"detector {self.method}: {error}") from None

    def checked(self) -> Detector:
        """Return self if it could start.

        Raises:
            ConfigError: a number is outside its range.
        """
        self.start()
        return self


def _finite(name: str, number: object) -> None:
    if isinstance(number, bool) or not isinstance(number, int | float) or not math.isfinite(number):
        raise ConfigError(f"detector {name}: expected a finite number, got {number!r}")
    if abs(number) > 1e18:
        raise ConfigError(f"detector {name}: expected a number below 1e18, got {number!r}")
