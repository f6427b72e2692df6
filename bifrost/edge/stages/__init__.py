"""The actors of a pipeline: one per stage, each forwards to the next with `send`, so a slow sink slows the source.

In: batches in a mailbox. Out: batches in the next stage's mailbox, or in a sink. Not here: how stages are joined; that
is `bifrost.edge.assembly`.
"""

from bifrost.edge.stages.detecting import DetectStage
from bifrost.edge.stages.filtering import FilterStage, SelectStage
from bifrost.edge.stages.sinking import AnomalySinkStage, SinkStage
from bifrost.edge.stages.source import PipelineSource
from bifrost.edge.stages.windowing import WindowStage

__all__ = [
    "AnomalySinkStage",
    "DetectStage",
    "FilterStage",
    "PipelineSource",
    "SelectStage",
    "SinkStage",
    "WindowStage",
]
