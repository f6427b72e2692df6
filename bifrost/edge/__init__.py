"""Pipelines at the edge: rows in, windows, aggregates and anomalies out, each stage a supervised actor.

In: `Batch` messages or a source to pull from. Out: derived rows in sinks, `Anomaly` values in functions. Not here:
devices (`bifrost.plc`), the way to the cloud (`bifrost.bridge`), and the arithmetic itself, which is in Rust.

The builder is `pipeline.py`, what it becomes `assembly.py`, the actors `stages/`, the settings section `settings.py`.
"""

from bifrost.edge.aggregator import Aggregator
from bifrost.edge.anomaly import Anomaly
from bifrost.edge.building import build_pipeline
from bifrost.edge.detector import Detector
from bifrost.edge.pipeline import Pipeline
from bifrost.edge.running import RunningPipeline
from bifrost.edge.settings import DetectSettings, PipelineSettings, WindowSettings
from bifrost.edge.stages.source import PipelineSource
from bifrost.edge.statistics import DeadBatch, PipelineMeters, StageStatistics
from bifrost.edge.window import Window

__all__ = [
    "Aggregator",
    "Anomaly",
    "DeadBatch",
    "DetectSettings",
    "Detector",
    "Pipeline",
    "PipelineMeters",
    "PipelineSettings",
    "PipelineSource",
    "RunningPipeline",
    "StageStatistics",
    "Window",
    "WindowSettings",
    "build_pipeline",
]
