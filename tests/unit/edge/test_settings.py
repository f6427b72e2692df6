"""A pipeline from a settings section: what it becomes, and every mistake in one report."""

from __future__ import annotations

import msgspec
import pytest

from bifrost.core.batch import Batch
from bifrost.edge.building import build_pipeline
from bifrost.edge.settings import PipelineSettings
from bifrost.errors import ConfigError


class Memory:
    def __init__(self) -> None:
        self.rows: list[object] = []

    async def write(self, batch: Batch) -> None:
        self.rows += [row[:3] for row in batch.rows()]


def read(text: str) -> PipelineSettings:
    return msgspec.toml.decode(text, type=PipelineSettings)


FULL = """
sources = ["press"]
tags = ["t"]
aggregates = ["mean", "max"]
raw_sinks = ["wal"]
sinks = ["wal"]
anomaly_sinks = ["wal"]
window = { seconds = 2, max_out_of_order = 0 }
detect = { detector = "limits", on = "max", high = 5 }
"""


async def test_the_section_becomes_the_pipeline_it_describes() -> None:
    """Raw rows, derived rows and anomalies reach the sink that is named for each."""
    wal = Memory()
    pipeline = build_pipeline("heat", read(FULL), {"wal": wal})
    assert [spec.id for spec in pipeline.specs()] == [
        "anomalies:wal", "sink:wal", "detect", "window", "raw:wal", "source",
    ]  # fmt: skip
    async with pipeline.open() as running:
        times = [0, 1_000_000_000, 2_000_000_000]
        await running.send(Batch.from_columns(["press/t"] * 3, times, [1.0, 9.0, 1.0], origin="press"))
    assert {row for row in wal.rows if isinstance(row, tuple) and row[1] == 0} == {
        ("press/t", 0, 1.0), ("press/t.mean", 0, 5.0), ("press/t.max", 0, 9.0), ("press/t.anomaly", 0, 9 / 14),
    }  # fmt: skip


def test_every_mistake_is_in_one_report() -> None:
    """Combinations, ranges, foreign numbers and unknown sinks, each with its place."""
    settings = read("""
sources = ["press", "press"]
aggregates = ["mean"]
sinks = ["cloud"]
window = { seconds = 0 }
detect = { detector = "zscore", on = "std", low = 1, threshold = -1 }
""")
    with pytest.raises(ConfigError) as caught:
        build_pipeline("heat", settings, {"wal": Memory()})
    assert [mistake.partition(": ")[0] for mistake in caught.value.mistakes] == [
        "detect", "detect.on", "sources.1", "window.seconds", "detect.low", "detect.detector", "sinks",
    ]  # fmt: skip


@pytest.mark.parametrize("text", ['sink = ["wal"]', 'aggregates = ["median"]', "window = { minutes = 1 }"])
def test_unknown_keys_and_names_are_refused(text: str) -> None:
    """A spelling mistake never passes for a default."""
    with pytest.raises(msgspec.ValidationError):
        read(text)


def test_without_any_sink_nothing_is_built() -> None:
    """It would work for nobody."""
    with pytest.raises(ConfigError, match="no sink"):
        build_pipeline("heat", PipelineSettings(), {})
