"""What a pipeline is made of, before anything runs: one frozen value per builder call."""

from __future__ import annotations

import msgspec

from bifrost.core.ports import Sink
from bifrost.edge.aggregator import Aggregator
from bifrost.edge.detector import Detector
from bifrost.edge.stages.filtering import BatchFilter
from bifrost.edge.stages.sinking import AnomalyFunction, BatchFunction
from bifrost.edge.window import Window

__all__ = ["AnomalySinkStep", "DetectStep", "FilterStep", "SelectStep", "SinkStep", "Step", "WindowStep"]


class SelectStep(msgspec.Struct, frozen=True):
    """Let the rows of some tags through."""

    tags: tuple[str, ...]


class FilterStep(msgspec.Struct, frozen=True):
    """Let through what a function returns."""

    function: BatchFilter


class WindowStep(msgspec.Struct, frozen=True):
    """Cut into windows and aggregate each; without aggregators it is not complete."""

    window: Window
    aggregators: tuple[Aggregator, ...] = ()


class DetectStep(msgspec.Struct, frozen=True):
    """Find anomalies; batches pass through."""

    detector: Detector
    on: str | None


class SinkStep(msgspec.Struct, frozen=True):
    """Give every batch that comes by to a sink; batches pass through."""

    sink: Sink | BatchFunction
    name: str | None
    timeout: float


class AnomalySinkStep(msgspec.Struct, frozen=True):
    """Give the anomalies of all detectors before it to a sink."""

    sink: Sink | AnomalyFunction
    name: str | None
    timeout: float


Step = SelectStep | FilterStep | WindowStep | DetectStep | SinkStep | AnomalySinkStep
