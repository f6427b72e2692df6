"""The builder of pipelines: sources, steps, sinks, checked as they are put together.

In: what the user wants, call by call. Out: specifications of supervised actors, or a running pipeline. Each call
returns a new pipeline, so a common beginning may be shared.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any, final

from bifrost.actors.child_spec import ChildSpec
from bifrost.core.clock import Clock
from bifrost.core.ports import Sink, Source
from bifrost.edge.aggregator import Aggregator
from bifrost.edge.assembly import assemble, supervise
from bifrost.edge.detector import Detector
from bifrost.edge.running import RunningPipeline, open_pipeline
from bifrost.edge.stages.filtering import BatchFilter
from bifrost.edge.stages.sinking import AnomalyFunction, BatchFunction
from bifrost.edge.stages.source import SourceInput
from bifrost.edge.statistics import PipelineMeters
from bifrost.edge.steps import AnomalySinkStep, DetectStep, FilterStep, SelectStep, SinkStep, Step, WindowStep
from bifrost.edge.window import Window
from bifrost.errors import ConfigError

__all__ = ["Pipeline"]

_WRITE_TIMEOUT = 30.0


@final
class Pipeline:
    """Rows in, derived rows and anomalies out; immutable.

    Args:
        name: its name; the origin of what it derives begins with it. Not empty, without ``/``.

    Example:
        ```python
        pipeline = (
            Pipeline("press")
            .source(plc, tags=["temperature"])
            .window(Window.tumbling(seconds=60))
            .aggregate(Aggregator.mean(), Aggregator.std())
            .detect_anomalies(Detector.mad(), on="mean")
            .sink(historian)
            .sink_on_anomaly(print)
        )
        await pipeline.run()
        ```
    """

    __slots__ = ("_inputs", "_name", "_steps")

    def __init__(self, name: str = "pipeline") -> None:
        if not name or "/" in name:
            raise ConfigError(f"expected a pipeline name that is not empty and has no '/', got {name!r}")
        self._name = name
        self._inputs: tuple[SourceInput, ...] = ()
        self._steps: tuple[Step, ...] = ()

    @property
    def name(self) -> str:
        """Its name."""
        return self._name

    def __repr__(self) -> str:
        steps = ", ".join(type(step).__name__.removesuffix("Step") for step in self._steps)
        return f"Pipeline({self._name!r}, sources={len(self._inputs)}, steps=[{steps}])"

    # Where rows come from

    def source(self, source: Source | str | None, *, tags: Sequence[str] | None = None) -> Pipeline:
        """Take rows from `source`; may be called several times.

        Args:
            source: an object with `batches()` to pull from, such as a `PLCConnection`; or the origin of batches that
                others send to the pipeline's ``source`` actor, such as a device's name in a gateway; None takes what
                anyone sends.
            tags: which tags; None takes all. Of batches that are sent, ``temperature`` and ``press/temperature`` both
                name that tag of the device ``press``.

        Raises:
            ConfigError: it is no source, or `tags` is empty or a single text.
        """
        wanted = None if tags is None else _labels("source", tags)
        if self._steps:
            raise ConfigError("source: sources come before the first step")
        if source is None or isinstance(source, str):
            made = SourceInput(source=None, origin=source, tags=wanted)
        elif isinstance(source, Source):
            made = SourceInput(source=source, origin=None, tags=wanted)
        else:
            raise ConfigError(f"source: expected an object with batches(), or a name, got {type(source).__name__}")
        return self._with(inputs=(*self._inputs, made))

    # What happens to them

    def select(self, tags: Sequence[str]) -> Pipeline:
        """Let only the rows of these labels through, such as ``press/temperature`` or ``press/temperature.mean``."""
        return self._add(SelectStep(_labels("select", tags)))

    def filter(self, function: BatchFilter) -> Pipeline:
        """Let through what `function(batch)` returns: a batch, or None for nothing.

        It runs on the event loop, so it must not block. If it raises three times in a row for a batch, that batch
        becomes a dead letter.
        """
        if not callable(function):
            raise ConfigError(f"filter: expected a function on Batch, got {type(function).__name__}")
        return self._add(FilterStep(function))

    def window(self, window: Window) -> Pipeline:
        """Cut time into windows; `aggregate` must follow."""
        if not isinstance(window, Window):
            raise ConfigError(f"window: expected Window.tumbling(seconds=...), got {window!r}")
        return self._add(WindowStep(window))

    def aggregate(self, *aggregators: Aggregator) -> Pipeline:
        """Compute these of each window and tag; rows ``<label>.<aggregate>`` at the window's start take their place.

        Raises:
            ConfigError: there is no `window` right before, no aggregator, or one twice.
        """
        if not self._steps or not isinstance(last := self._steps[-1], WindowStep) or last.aggregators:
            raise ConfigError("aggregate: put window(...) right before it")
        if not aggregators or not all(isinstance(each, Aggregator) for each in aggregators):
            raise ConfigError(f"aggregate: expected Aggregator.mean() and the like, got {list(aggregators)!r}")
        names = [aggregator.name for aggregator in aggregators]
        if len(set(names)) < len(names):
            raise ConfigError(f"aggregate: each aggregator once, got {', '.join(names)}")
        last.window.start(list(aggregators))
        return self._with(steps=(*self._steps[:-1], WindowStep(last.window, aggregators)))

    def detect_anomalies(self, detector: Detector | None = None, *, on: str | None = None) -> Pipeline:
        """Judge the rows that come by; they pass through unchanged. `sink_on_anomaly` must follow somewhere.

        Args:
            detector: `Detector.mad()` if left out.
            on: the aggregate to judge, such as ``mean``; None judges every row. One of those computed before.

        Raises:
            ConfigError: no step before it computes `on`, or a number is outside its range.
        """
        chosen = Detector.mad() if detector is None else detector
        if not isinstance(chosen, Detector):
            raise ConfigError(f"detect_anomalies: expected Detector.mad() or the like, got {detector!r}")
        if on is not None:
            computed = [each.name for step in self._steps if isinstance(step, WindowStep) for each in step.aggregators]
            if on not in computed:
                expected = f"one of {', '.join(computed)}" if computed else "aggregate(...) before it"
                raise ConfigError(f"detect_anomalies: expected on to be {expected}, got {on!r}")
        chosen.start(on=on)
        return self._add(DetectStep(chosen, on))

    # Where it all goes

    def sink(self, sink: Sink | BatchFunction, *, name: str | None = None, timeout: float = _WRITE_TIMEOUT) -> Pipeline:
        """Give every batch that comes by to `sink`; batches pass on to later steps, so it may stand anywhere.

        What fails because the destination is not there is tried again for ever while the pipeline waits; what the
        destination refuses, and what fails three times for another reason, becomes a dead letter.

        Args:
            sink: an object with `write(batch)`, or a function on `Batch`, plain or async; it must not block.
            name: the stage's name; ``sink`` with a number if left out.
            timeout: seconds that one write may take.
        """
        if not isinstance(sink, Sink) and not callable(sink):
            raise ConfigError(f"sink: expected an object with write(batch), or a function, got {type(sink).__name__}")
        return self._add(SinkStep(sink, _stage_name(name), _seconds("sink", timeout)))

    def sink_on_anomaly(
        self, sink: Sink | AnomalyFunction, *, name: str | None = None, timeout: float = _WRITE_TIMEOUT
    ) -> Pipeline:
        """Give what the detectors before this find to `sink`.

        Args:
            sink: a function on `list[Anomaly]`, plain or async, which must not block; or a sink, which gets one row
                ``<label>.anomaly`` with the score for each.
            name: the stage's name; ``anomalies`` with a number if left out.
            timeout: seconds that one call may take.

        Raises:
            ConfigError: there is no `detect_anomalies` before it.
        """
        if not isinstance(sink, Sink) and not callable(sink):
            raise ConfigError(f"sink_on_anomaly: expected a sink or a function, got {type(sink).__name__}")
        if not any(isinstance(step, DetectStep) for step in self._steps):
            raise ConfigError("sink_on_anomaly: put detect_anomalies(...) before it")
        return self._add(AnomalySinkStep(sink, _stage_name(name), _seconds("sink_on_anomaly", timeout)))

    # What becomes of it

    def specs(
        self, *, meters: PipelineMeters | None = None, on_exhausted: Callable[[], None] | None = None
    ) -> list[ChildSpec]:
        """Specify one actor per stage, in start order: the last stage first, ``source`` last.

        Args:
            meters: where the stages count; new ones if left out.
            on_exhausted: called when every source that is pulled from has ended.

        Raises:
            ConfigError: the pipeline is not complete; the text says what is missing.
        """
        mistakes = list(self._missing())
        if mistakes:
            raise ConfigError(f"pipeline {self._name}: {'; '.join(mistakes)}", mistakes=mistakes)
        return assemble(self._name, self._inputs, self._steps, meters or PipelineMeters(), on_exhausted)

    def child_spec(self, id: str | None = None, *, meters: PipelineMeters | None = None) -> ChildSpec:  # noqa: A002 - the word of every child specification
        """Specify the supervisor of the stages, rest_for_one, to be embedded in a tree; `id` is the name if left out.

        Batches are sent to the child ``source``.

        Raises:
            ConfigError: the pipeline is not complete.
        """
        return supervise(id or self._name, self.specs(meters=meters))

    def open(self, *, clock: Clock | None = None) -> AbstractAsyncContextManager[RunningPipeline]:
        """Run the pipeline for the length of an `async with`, in an actor system of its own.

        At the end of the block it stops in order: sources fall silent, open windows are emitted as partial ones,
        sinks write what is queued.

        Raises:
            ConfigError: the pipeline is not complete.
        """
        return open_pipeline(self, clock)

    async def run(self) -> None:
        """Run until every source has ended, or until the caller is cancelled; then stop in order.

        Raises:
            ConfigError: the pipeline is not complete, or has no source to pull from.
            SupervisorGaveUp: a stage keeps crashing.
        """
        if not any(each.source is not None for each in self._inputs):
            raise ConfigError(
                f"pipeline {self._name}: run needs a source to pull from; embed it with child_spec instead"
            )
        async with self.open() as running:
            await running.wait_exhausted()

    def _missing(self) -> list[str]:
        mistakes = []
        if not self._inputs:
            mistakes.append("no source: add source(...)")
        if not any(isinstance(step, SinkStep | AnomalySinkStep) for step in self._steps):
            mistakes.append("no sink: add sink(...) or sink_on_anomaly(...)")
        if any(isinstance(step, WindowStep) and not step.aggregators for step in self._steps):
            mistakes.append("window without aggregate: add aggregate(...) after it")
        kinds = [type(step) for step in self._steps]
        if DetectStep in kinds and AnomalySinkStep not in kinds[kinds.index(DetectStep) :]:
            mistakes.append("detect_anomalies without sink_on_anomaly: add one after it")
        return mistakes

    def _add(self, step: Step) -> Pipeline:
        if self._steps and isinstance(self._steps[-1], WindowStep) and not self._steps[-1].aggregators:
            raise ConfigError("window: aggregate(...) must follow right after it")
        return self._with(steps=(*self._steps, step))

    def _with(self, **changes: Any) -> Pipeline:
        made = Pipeline(self._name)
        made._inputs = changes.get("inputs", self._inputs)
        made._steps = changes.get("steps", self._steps)
        return made


def _labels(where: str, tags: Sequence[object]) -> tuple[str, ...]:
    labels = () if isinstance(tags, str) else tuple(tag for tag in tags if isinstance(tag, str) and tag)
    if not labels or len(labels) < len(tags):
        raise ConfigError(f"{where}: expected tags as a list of names, got {tags!r}")
    return labels


def _stage_name(name: object) -> str | None:
    if name is None:
        return None
    if not isinstance(name, str) or not name or "/" in name:
        raise ConfigError(f"expected a stage name that is not empty and has no '/', got {name!r}")
    return name


def _seconds(where: str, timeout: object) -> float:
    if isinstance(timeout, bool) or not isinstance(timeout, int | float) or not 0 < timeout < float("inf"):
        raise ConfigError(f"{where}: expected a timeout in finite seconds above 0, got {timeout!r}")
    return float(timeout)
