"""bifrost joins the machines on a factory floor to modern computing: supervised actors for PLCs, pipelines and uplinks.

In: nothing at import; no optional dependency, no global state, no signal or logging handler is touched. Out: the names
that most programs need; the rest is in the packages: `actors`, `plc`, `edge`, `bridge`, `gateway`, `testing`, `errors`.
"""

from bifrost.actors import Actor, ActorRef, ActorSystem, ChildSpec, DynamicSupervisor, Supervisor
from bifrost.core.batch import Batch
from bifrost.core.quality import Quality
from bifrost.core.value import TagValue
from bifrost.edge import Aggregator, Anomaly, Detector, Pipeline, Window
from bifrost.errors import BifrostError
from bifrost.gateway import Gateway
from bifrost.plc import DataType, PLCConnection, ProtocolType, Tag

__all__ = [
    "Actor",
    "ActorRef",
    "ActorSystem",
    "Aggregator",
    "Anomaly",
    "Batch",
    "BifrostError",
    "ChildSpec",
    "DataType",
    "Detector",
    "DynamicSupervisor",
    "Gateway",
    "PLCConnection",
    "Pipeline",
    "ProtocolType",
    "Quality",
    "Supervisor",
    "Tag",
    "TagValue",
    "Window",
]
