"""The gateway's supervision tree: settings in, specifications out. Nothing is started here.

```
gateway      one_for_one
├── wal      owns the buffer
├── uplinks  one_for_one, each rest_for_one [sender, reader]
├── pipelines one_for_one, each rest_for_one [last stage … source]
├── devices  dynamic, a restart budget for each child, parks what will not come up
└── surfaces one_for_one [control]
```

What others need starts first, and the stop runs in reverse; so nothing else is needed for an orderly stop.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any, Final, TypeVar

import msgspec

from bifrost.actors import ChildSpec, DynamicSupervisor, IntensityScope, OnExhausted, Supervisor
from bifrost.bridge.buffering.actor import wal_spec
from bifrost.bridge.buffering.port import WalPort
from bifrost.bridge.buffering.sink import WalSink
from bifrost.bridge.connectors.registry import connector
from bifrost.bridge.uplink_actor import uplink_spec
from bifrost.core.ports import Sink
from bifrost.core.settings import Settings, local_paths
from bifrost.edge.anomaly import Anomaly
from bifrost.edge.building import build_pipeline
from bifrost.edge.settings import PipelineSettings
from bifrost.edge.stages.sinking import AnomalyFunction, BatchFunction
from bifrost.edge.statistics import PipelineMeters
from bifrost.gateway.control import ControlActor, Operation
from bifrost.gateway.references import EVERY_DEVICE, LOG_SINK, WAL_SINK
from bifrost.gateway.settings import GatewaySettings

__all__ = ["DIRECT_PIPELINE", "GatewaySink", "GatewayTree", "in_data_dir"]

DIRECT_PIPELINE: Final = "direct"
"""Name of the pipeline that brings every value to the buffer as it is, if the settings have no pipeline."""

GatewaySink = Sink | BatchFunction | AnomalyFunction
"""What an application may bring as a sink: a function gets batches in `sinks` and anomalies in `anomaly_sinks`."""

S = TypeVar("S", bound=Settings)

_log = logging.getLogger("bifrost.gateway")


class GatewayTree:
    """The specifications of one gateway.

    Args:
        settings: what to run, checked.
        port: the handle to the buffer.
        operations: what the control socket does.
        sinks: the application's own sinks, by the names that pipelines use.

    Attributes:
        sources: for each pipeline, the names of its devices, or `EVERY_DEVICE` among them.
        meters: for each pipeline, its running counters.

    Raises:
        ConfigError: a pipeline cannot be built.
    """

    def __init__(
        self,
        settings: GatewaySettings,
        port: WalPort,
        operations: Mapping[str, Operation],
        sinks: Mapping[str, GatewaySink],
    ) -> None:
        self._settings = settings
        self._port = port
        self._operations = operations
        self._sinks = sinks
        pipelines = settings.pipelines or {DIRECT_PIPELINE: PipelineSettings(sinks=(WAL_SINK,))}
        self.sources = {name: pipeline.sources or [EVERY_DEVICE] for name, pipeline in pipelines.items()}
        self.meters = {name: PipelineMeters() for name in pipelines}
        self._pipelines = [self._pipeline(name, pipeline) for name, pipeline in pipelines.items()]

    def children(self) -> list[ChildSpec]:
        """The root's children, in start order."""
        data_dir = self._settings.data_dir
        uplinks = [
            uplink_spec(
                name,
                partial(connector(uplink.kind).make, in_data_dir(uplink.connector, data_dir)),
                self._port,
                uplink.delivery,
            )
            for name, uplink in self._settings.uplinks.items()
        ]
        return [
            wal_spec(in_data_dir(self._settings.wal, data_dir), self._port),
            Supervisor.spec("uplinks", uplinks),
            Supervisor.spec("pipelines", self._pipelines),
            DynamicSupervisor.spec("devices", intensity_scope=IntensityScope.CHILD, on_exhausted=OnExhausted.PARK),
            Supervisor.spec("surfaces", self._surfaces(data_dir)),
        ]

    def _pipeline(self, name: str, settings: PipelineSettings) -> ChildSpec:
        if EVERY_DEVICE in settings.sources:
            settings = msgspec.structs.replace(settings, sources=())
        sinks: dict[str, Any] = {**self._sinks, WAL_SINK: WalSink(self._port)}
        anomaly_sinks: dict[str, Any] = {
            **self._sinks,
            WAL_SINK: WalSink(self._port, stream="anomalies"),
            LOG_SINK: partial(_warn, name),
        }
        pipeline = build_pipeline(name, settings, sinks, anomaly_sinks=anomaly_sinks)
        return pipeline.child_spec(meters=self.meters[name])

    def _surfaces(self, data_dir: Path) -> list[ChildSpec]:
        control = self._settings.surfaces.control
        if not control.enabled:
            return []
        args = (data_dir, self._operations, control.request_timeout)
        return [ChildSpec(id="control", start=ControlActor, args=args)]


def in_data_dir(settings: S, data_dir: Path) -> S:
    """Make the relative local paths of a section relative to the data directory."""
    changes = {name: str(data_dir / path) for name, path in local_paths(settings).items()}
    return msgspec.structs.replace(settings, **changes) if changes else settings


def _warn(pipeline: str, anomalies: list[Anomaly]) -> None:
    for anomaly in anomalies:
        _log.warning(
            "pipeline %s: anomaly in %s: %s (%s)", pipeline, anomaly.tag, anomaly.value, "; ".join(anomaly.reasons)
        )
