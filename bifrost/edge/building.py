"""From a settings section to a pipeline; the sinks are given by name, since they live elsewhere."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from bifrost.core.ports import Sink
from bifrost.core.settings import Problem
from bifrost.edge.aggregator import Aggregator
from bifrost.edge.pipeline import Pipeline
from bifrost.edge.settings import PipelineSettings
from bifrost.edge.stages.sinking import AnomalyFunction, BatchFunction
from bifrost.errors import ConfigError

__all__ = ["build_pipeline"]


def build_pipeline(
    name: str,
    settings: PipelineSettings,
    sinks: Mapping[str, Sink | BatchFunction],
    *,
    anomaly_sinks: Mapping[str, Sink | AnomalyFunction] | None = None,
) -> Pipeline:
    """Make the pipeline that the settings describe.

    Args:
        name: the pipeline's name.
        settings: the section.
        sinks: what `sinks`, `raw_sinks` and, if they have `write`, `anomaly_sinks` may name.
        anomaly_sinks: more of what `anomaly_sinks` may name, such as functions on anomalies.

    Raises:
        ConfigError: the settings contradict themselves, or name a sink that is not there; lists all mistakes.
    """
    for_anomalies: dict[str, Sink | AnomalyFunction] = {
        known: sink for known, sink in sinks.items() if isinstance(sink, Sink)
    }
    for_anomalies.update(anomaly_sinks or {})
    mistakes = [
        *_mistakes(settings),
        *_unknown("raw_sinks", settings.raw_sinks, sinks),
        *_unknown("sinks", settings.sinks, sinks),
        *_unknown("anomaly_sinks", settings.anomaly_sinks, for_anomalies),
    ]
    if mistakes:
        raise ConfigError(f"pipeline {name}: {'; '.join(mistakes)}", mistakes=mistakes)
    pipeline = Pipeline(name)
    for source in settings.sources or (None,):
        pipeline = pipeline.source(source, tags=settings.tags or None)
    for sink in settings.raw_sinks:
        pipeline = pipeline.sink(sinks[sink], name=f"raw:{sink}")
    if settings.window is not None:
        aggregators = [Aggregator.named(each) for each in settings.aggregates]
        pipeline = pipeline.window(settings.window.make()).aggregate(*aggregators)
    if settings.detect is not None:
        pipeline = pipeline.detect_anomalies(settings.detect.make(), on=settings.detect.on)
    for sink in settings.sinks:
        pipeline = pipeline.sink(sinks[sink], name=f"sink:{sink}")
    for sink in settings.anomaly_sinks:
        pipeline = pipeline.sink_on_anomaly(for_anomalies[sink], name=f"anomalies:{sink}")
    return pipeline


def _mistakes(settings: PipelineSettings) -> Iterable[str]:
    yield from map(_line, settings.problems())
    for part, key in ((settings.window, "window"), (settings.detect, "detect")):
        if part is not None:
            yield from (f"{key}.{_line(problem)}" for problem in part.problems())


def _unknown(field: str, wanted: Iterable[str], there: Mapping[str, object]) -> Iterable[str]:
    known = ", ".join(sorted(there)) or "none"
    return (f"{field}: expected one of {known}, got {sink}" for sink in wanted if sink not in there)


def _line(problem: Problem) -> str:
    path = ".".join(str(part) for part in problem.path)
    return f"{path}: {problem.text}" if path else problem.text
