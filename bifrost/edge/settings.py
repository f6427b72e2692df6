"""A pipeline as a section of a settings file.

In: one table. Out: a checked struct. Not here: the pipeline that is made from it; that is `bifrost.edge.building`.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

from bifrost.core.settings import Problem, Settings
from bifrost.edge.detector import Detector
from bifrost.edge.window import Window
from bifrost.errors import ConfigError

__all__ = ["DetectSettings", "PipelineSettings", "WindowSettings"]

AggregateName = Literal["count", "sum", "mean", "min", "max", "std", "first", "last", "delta"]
DetectorName = Literal["mad", "zscore", "ewma", "limits", "flatline", "rate"]

_PARAMETERS: dict[str, tuple[str, ...]] = {
    "mad": ("window", "threshold", "min_scale", "min_samples", "learn_on_anomaly", "relearn_after"),
    "zscore": ("threshold", "min_scale", "min_samples", "learn_on_anomaly", "relearn_after"),
    "ewma": ("alpha", "threshold", "min_scale", "min_samples", "learn_on_anomaly", "relearn_after"),
    "limits": ("low", "high"),
    "flatline": ("seconds", "tolerance"),
    "rate": ("max_per_second",),
}
_NEEDED: dict[str, tuple[str, ...]] = {"flatline": ("seconds",), "rate": ("max_per_second",)}


class WindowSettings(Settings, frozen=True):
    """How time is cut; defaults and meaning as in `Window`.

    Attributes:
        kind: tumbling: without gap or overlap.
        seconds: length.
        offset: shift of the alignment to 1970, in seconds.
        max_out_of_order: seconds that an older row may come after a newer one.
        idle_timeout: seconds of silence after which the clock completes a tag's windows.
        max_future: seconds that a row may be ahead of the wall clock and be believed.
    """

    seconds: float
    kind: Literal["tumbling"] = "tumbling"
    offset: float = 0.0
    max_out_of_order: float = 2.0
    idle_timeout: float = 10.0
    max_future: float = 60.0

    def make(self) -> Window:
        """Make the window.

        Raises:
            ConfigError: a number is outside its range.
        """
        return Window.tumbling(
            self.seconds,
            offset=self.offset,
            max_out_of_order=self.max_out_of_order,
            idle_timeout=self.idle_timeout,
            max_future=self.max_future,
        )

    def problems(self) -> Iterable[Problem]:
        """Ask the window itself."""
        try:
            self.make()
        except ConfigError as error:
            yield Problem(path=("seconds",), text=str(error))


class DetectSettings(Settings, frozen=True):
    """How anomalies are found; defaults and meaning as in `Detector`.

    Attributes:
        detector: the method.
        on: the aggregate to judge; left out, every row that comes by.
        consecutive: how many in a row before one is reported.
        cooldown: seconds of source time between reports.
        window: mad: numbers remembered.
        threshold: mad, zscore, ewma: deviations.
        min_scale: mad, zscore, ewma: least deviation to reckon with, in the value's unit.
        min_samples: mad, zscore, ewma: numbers learned from before one is judged.
        learn_on_anomaly: mad, zscore, ewma: whether anomalies are learned from.
        relearn_after: mad, zscore, ewma: anomalies in a row that become the new normal.
        alpha: ewma: weight of the newest number.
        low: limits: least allowed value.
        high: limits: largest allowed value.
        seconds: flatline: how long a value may stay.
        tolerance: flatline: what counts as staying, in the value's unit.
        max_per_second: rate: largest change per second.
    """

    detector: DetectorName = "mad"
    on: AggregateName | None = None
    consecutive: int = 1
    cooldown: float = 0.0
    window: int | None = None
    threshold: float | None = None
    min_scale: float | None = None
    min_samples: int | None = None
    learn_on_anomaly: bool | None = None
    relearn_after: int | None = None
    alpha: float | None = None
    low: float | None = None
    high: float | None = None
    seconds: float | None = None
    tolerance: float | None = None
    max_per_second: float | None = None

    def make(self) -> Detector:
        """Make the detector.

        Raises:
            ConfigError: a number is missing or outside its range.
        """
        given = {name: getattr(self, name) for name in _PARAMETERS[self.detector]}
        options = {name: value for name, value in given.items() if value is not None}
        for name in _NEEDED.get(self.detector, ()):
            if name not in options:
                raise ConfigError(f"detector {self.detector}: expected {name}, got none")
        make = getattr(Detector, self.detector)
        made: Detector = make(**options, consecutive=self.consecutive, cooldown=self.cooldown)
        return made

    def problems(self) -> Iterable[Problem]:
        """Report numbers of another method, then ask the detector itself."""
        own = {"detector", "on", "consecutive", "cooldown", *_PARAMETERS[self.detector]}
        for name in self.__struct_fields__:
            if name not in own and getattr(self, name) is not None:
                allowed = ", ".join(_PARAMETERS[self.detector])
                yield Problem(path=(name,), text=f"does not belong to detector {self.detector}, which takes {allowed}")
        try:
            self.make()
        except ConfigError as error:
            yield Problem(path=("detector",), text=str(error))


class PipelineSettings(Settings, frozen=True):
    """One pipeline of a gateway: rows of devices in, derived rows and anomalies out.

    Attributes:
        sources: devices whose rows are wanted; empty takes every device's.
        tags: which tags, as ``temperature`` or ``press/temperature``; empty takes all.
        window: how time is cut; left out, rows stay as they are.
        aggregates: what is computed of each window.
        detect: how anomalies are found.
        raw_sinks: names of sinks that get the rows as they come, before the window.
        sinks: names of sinks that get what the pipeline makes; without a window, the rows.
        anomaly_sinks: names of sinks that get a row ``<label>.anomaly`` for each anomaly.
    """

    sources: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    window: WindowSettings | None = None
    aggregates: tuple[AggregateName, ...] = ()
    detect: DetectSettings | None = None
    raw_sinks: tuple[str, ...] = ()
    sinks: tuple[str, ...] = ()
    anomaly_sinks: tuple[str, ...] = ()

    def problems(self) -> Iterable[Problem]:
        """Report what does not fit together."""
        windowed, detecting = self.window is not None, self.detect is not None
        on = None if self.detect is None else self.detect.on
        sinks = self.sinks or self.raw_sinks or self.anomaly_sinks
        for wrong, path, text in (
            (windowed and not self.aggregates, "window", 'a window needs aggregates, such as aggregates = ["mean"]'),
            (self.aggregates and not windowed, "aggregates", "aggregates need a window, such as window.seconds = 60"),
            (detecting and not self.anomaly_sinks, "detect", "detect needs anomaly_sinks, else nobody hears of it"),
            (self.anomaly_sinks and not detecting, "anomaly_sinks", "anomaly_sinks need detect, such as detect = {}"),
            (on is not None and on not in self.aggregates, "detect.on", f"expected one of aggregates, got {on}"),
            (not sinks, "", "no sink: give sinks, raw_sinks or anomaly_sinks"),
        ):
            if wrong:
                yield Problem(path=tuple(path.split(".")) if path else (), text=text)
        yield from self._repeated()

    def _repeated(self) -> Iterable[Problem]:
        for field in ("sources", "tags", "aggregates", "raw_sinks", "sinks", "anomaly_sinks"):
            names = getattr(self, field)
            for position, name in enumerate(names):
                if not name:
                    yield Problem(path=(field, position), text="expected a name, got an empty text")
                elif name in names[:position]:
                    yield Problem(path=(field, position), text=f"{name} stands there twice")
