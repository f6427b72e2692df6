"""Devices on the factory floor: tags in, readings and batches out, over whatever protocol the device speaks.

In: tags, options, values to write. Out: `TagReadings`, `Batch`es. Not here: pipelines, uplinks; a device's supervision
is `bifrost.plc.actor`, its protocol a driver (`bifrost.plc.drivers`).
"""

from bifrost.plc.connection import PLCConnection
from bifrost.plc.datatypes import ByteOrder, DataType, ProtocolType, Tag
from bifrost.plc.drivers.base import BrowsedTag, FoundDevice
from bifrost.plc.drivers.registry import known_protocols, register_protocol
from bifrost.plc.modbus.address import Area
from bifrost.plc.readings import TagReadings
from bifrost.plc.reconnect import LinkState, StateChange
from bifrost.plc.settings import DeviceSettings, TagSettings
from bifrost.plc.snapshot import Snapshot
from bifrost.plc.stats import ConnectionStats
from bifrost.plc.subscription import Subscription
from bifrost.plc.writes import WriteResults

__all__ = [
    "Area",
    "BrowsedTag",
    "ByteOrder",
    "ConnectionStats",
    "DataType",
    "DeviceSettings",
    "FoundDevice",
    "LinkState",
    "PLCConnection",
    "ProtocolType",
    "Snapshot",
    "StateChange",
    "Subscription",
    "Tag",
    "TagReadings",
    "TagSettings",
    "WriteResults",
    "known_protocols",
    "register_protocol",
]
