"""Checks the names by which sections of a settings file mean each other.

In: the checked sections and the names that are declared, those of wrong sections too. Out: mistakes with their paths.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Final

from bifrost.core.checking.mistakes import Mistake, nearest
from bifrost.edge.settings import PipelineSettings
from bifrost.plc.settings import DeviceSettings

__all__ = ["EVERY_DEVICE", "LOG_SINK", "WAL_SINK", "check_references"]

EVERY_DEVICE: Final = "*"
"""In a pipeline's `sources`: every device, those too that are added later. An empty list means the same."""

WAL_SINK: Final = "wal"
"""The sink that every uplink reads from: rows in the stream ``telemetry``, anomalies in the stream ``anomalies``."""

LOG_SINK: Final = "log"
"""The sink for anomalies that writes a warning for each."""


def check_references(
    pipelines: Mapping[str, PipelineSettings],
    devices: Mapping[str, DeviceSettings],
    *,
    declared: Collection[str],
    sinks: Collection[str],
    anomaly_sinks: Collection[str],
) -> list[Mistake]:
    """Check what pipelines name.

    Args:
        pipelines: those whose own settings are right.
        devices: those whose own settings are right.
        declared: names of all devices, of wrong ones too.
        sinks: names that `sinks` and `raw_sinks` may use.
        anomaly_sinks: names that `anomaly_sinks` may use.
    """
    mistakes: list[Mistake] = []
    for name, pipeline in pipelines.items():
        for key, wanted, known, noun in (
            ("sources", pipeline.sources, [*declared, EVERY_DEVICE], "device"),
            ("raw_sinks", pipeline.raw_sinks, list(sinks), "sink"),
            ("sinks", pipeline.sinks, list(sinks), "sink"),
            ("anomaly_sinks", pipeline.anomaly_sinks, list(anomaly_sinks), "sink"),
        ):
            mistakes += [
                Mistake(("pipelines", name, key, index), _unknown(noun, word, known))
                for index, word in enumerate(wanted)
                if word and word not in known
            ]
        mistakes += _unknown_tags(name, pipeline, devices, declared)
    return mistakes


def _unknown_tags(
    name: str, pipeline: PipelineSettings, devices: Mapping[str, DeviceSettings], declared: Collection[str]
) -> list[Mistake]:
    """Find tags that no device can ever bring; a device that may be added later may bring any."""
    is_open = not pipeline.sources or EVERY_DEVICE in pipeline.sources
    feeding = list(declared) if is_open else pipeline.sources
    labels = {device: _labels(devices[device]) for device in feeding if device in devices}
    all_known = not is_open and all(device in labels for device in feeding)
    mistakes = []
    for index, tag in enumerate(pipeline.tags):
        device, slash, label = tag.partition("/")
        if slash and device in labels:
            if label not in labels[device]:
                text = _unknown(f"tag of device {device}", label, labels[device])
                mistakes.append(Mistake(("pipelines", name, "tags", index), text))
        elif all_known:
            every = [each for known in labels.values() for each in known]
            if tag not in every:
                mistakes.append(Mistake(("pipelines", name, "tags", index), _unknown("tag", tag, every)))
    return mistakes


def _labels(device: DeviceSettings) -> list[str]:
    return [label for tag in device.plc_tags() for label in tag.labels]


def _unknown(noun: str, word: str, known: Collection[str]) -> str:
    close = nearest(word, list(known))
    if close is not None:
        return f'there is no {noun} "{word}"; did you mean {close}?'
    shown = ", ".join(list(known)[:12]) or "none"
    return f'there is no {noun} "{word}", expected one of {shown}'
