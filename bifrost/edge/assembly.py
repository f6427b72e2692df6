"""From steps to specifications: which actor, under which name, sends to which."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from bifrost.actors.child_spec import ChildSpec
from bifrost.actors.mailbox import Mailbox, Overflow
from bifrost.actors.strategy import Strategy
from bifrost.actors.supervisor import Supervisor
from bifrost.edge.stages.detecting import DetectStage
from bifrost.edge.stages.filtering import FilterStage, SelectStage
from bifrost.edge.stages.sinking import AnomalySinkStage, SinkStage
from bifrost.edge.stages.source import PipelineSource, SourceInput
from bifrost.edge.stages.stage import Wiring
from bifrost.edge.stages.windowing import WindowStage
from bifrost.edge.statistics import PipelineMeters
from bifrost.edge.steps import AnomalySinkStep, DetectStep, FilterStep, SelectStep, SinkStep, Step, WindowStep
from bifrost.errors import ConfigError

__all__ = ["SOURCE_ID", "STAGE_MAILBOX", "assemble", "supervise"]

SOURCE_ID: Final = "source"
"""The id of the stage that batches are sent to."""

STAGE_MAILBOX: Final = Mailbox(capacity=64, overflow=Overflow.BACKPRESSURE)
"""Batches, not rows: enough to ride out a pause, little enough that a stuck sink is felt at the source."""

_WORDS: Final = {
    SelectStep: "select",
    FilterStep: "filter",
    WindowStep: "window",
    DetectStep: "detect",
    SinkStep: "sink",
    AnomalySinkStep: "anomalies",
}


def assemble(
    pipeline: str,
    inputs: Sequence[SourceInput],
    steps: Sequence[Step],
    meters: PipelineMeters,
    on_exhausted: Callable[[], None] | None,
) -> list[ChildSpec]:
    """Specify the stages in start order.

    A sink is a tap: the stage before it sends to it and to the stage after it. Every stage sends only to stages that
    stand later in the pipeline, so starting from the end means that none ever finds its neighbour missing.

    Raises:
        ConfigError: two stages have the same name.
    """
    ids = _ids(steps)
    stages = [SOURCE_ID, *ids]
    for stage in stages:
        meters.stage(stage)  # in the order of the flow
    specs: list[ChildSpec] = []
    for position, step in reversed(list(enumerate(steps))):
        stage = ids[position]
        wiring = Wiring(
            pipeline=pipeline,
            stage=stage,
            outputs=() if isinstance(step, SinkStep | AnomalySinkStep) else _outputs(steps, ids, position + 1),
            anomaly_outputs=_anomaly_outputs(steps, ids, position) if isinstance(step, DetectStep) else (),
            meters=meters,
        )
        specs.append(_spec(stage, step, wiring))
    first = Wiring(pipeline=pipeline, stage=SOURCE_ID, outputs=_outputs(steps, ids, 0), meters=meters)
    specs.append(_worker(SOURCE_ID, PipelineSource, first, tuple(inputs), on_exhausted))
    return specs


def supervise(child_id: str, specs: Sequence[ChildSpec]) -> ChildSpec:
    """Put the stages under a supervisor: a defect restarts its stage and the stages that send to it."""
    return Supervisor.spec(child_id, specs, strategy=Strategy.REST_FOR_ONE)


def _ids(steps: Sequence[Step]) -> list[str]:
    ids: list[str] = []
    for step in steps:
        given = step.name if isinstance(step, SinkStep | AnomalySinkStep) else None
        if given is not None:
            if given in ids or given == SOURCE_ID:
                raise ConfigError(f"stage name {given!r} is used twice: give each sink a name of its own")
            ids.append(given)
            continue
        word = _WORDS[type(step)]
        number = 1
        taken = {SOURCE_ID, *ids}
        while (name := word if number == 1 else f"{word}-{number}") in taken:
            number += 1
        ids.append(name)
    return ids


def _outputs(steps: Sequence[Step], ids: Sequence[str], start: int) -> tuple[str, ...]:
    """Name the sinks from there on, up to and with the next stage that is none."""
    outputs = []
    for step, stage in zip(steps[start:], ids[start:], strict=True):
        if isinstance(step, AnomalySinkStep):
            continue
        outputs.append(stage)
        if not isinstance(step, SinkStep):
            break
    return tuple(outputs)


def _anomaly_outputs(steps: Sequence[Step], ids: Sequence[str], position: int) -> tuple[str, ...]:
    later = zip(steps[position:], ids[position:], strict=True)
    return tuple(stage for step, stage in later if isinstance(step, AnomalySinkStep))


def _spec(stage: str, step: Step, wiring: Wiring) -> ChildSpec:
    match step:
        case SelectStep(tags):
            return _worker(stage, SelectStage, wiring, tags)
        case FilterStep(function):
            return _worker(stage, FilterStage, wiring, function)
        case WindowStep(window, aggregators):
            return _worker(stage, WindowStage, wiring, window, aggregators)
        case DetectStep(detector, on):
            return _worker(stage, DetectStage, wiring, detector, on)
        case SinkStep(sink, _, timeout):
            return _worker(stage, SinkStage, wiring, sink, timeout)
        case AnomalySinkStep(sink, _, timeout):
            return _worker(stage, AnomalySinkStage, wiring, sink, timeout)


def _worker(stage: str, start: Callable[..., object], *args: object) -> ChildSpec:
    """Specify a stage that handles what is queued before it stops."""
    return ChildSpec(id=stage, start=start, args=args, mailbox=STAGE_MAILBOX, drain=True)
