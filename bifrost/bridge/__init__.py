"""Store and forward: from a pipeline's end, through the write-ahead log, to destinations that come and go.

In: batches, into a `WalSink`. Out: envelopes, to every `core.ports.Uplink` that is registered, each record acknowledged
before it is deleted. Not here: how samples are made; which uplinks a gateway has (`bifrost.gateway`).

`buffering` is the log; `delivery` reads it for one destination; `uplink_actor` supervises that; `connectors` are the
destinations.
"""

from bifrost.bridge.buffering import WalSettings, WalSink, WriteAheadLog
from bifrost.bridge.buffering.actor import GetWalStatistics, WalActor, wal_spec
from bifrost.bridge.buffering.port import WalPort
from bifrost.bridge.connectors import Connector, connector, connector_names, register_connector
from bifrost.bridge.delivery import DeliverySettings
from bifrost.bridge.retry import RetrySettings
from bifrost.bridge.statistics import UplinkStatistics
from bifrost.bridge.uplink_actor import GetUplinkStatistics, ReaderActor, SenderActor, uplink_spec

__all__ = [
    "Connector",
    "DeliverySettings",
    "GetUplinkStatistics",
    "GetWalStatistics",
    "ReaderActor",
    "RetrySettings",
    "SenderActor",
    "UplinkStatistics",
    "WalActor",
    "WalPort",
    "WalSettings",
    "WalSink",
    "WriteAheadLog",
    "connector",
    "connector_names",
    "register_connector",
    "uplink_spec",
    "wal_spec",
]
