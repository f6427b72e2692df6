"""Devices on the factory floor: tags in, readings and batches out, over whatever protocol the device speaks.

In: tags, options, values to write. Out: `TagReadings`, `Batch`es. Not here: pipelines, uplinks; a device's supervision
is `bifrost.plc.actor`, its protocol a driver (`bifrost.plc.drivers`).
"""

from bifrost.plc.connection import PLCConnection
from bifrost.plc.datatypes import ByteOrder, DataType, ProtocolType, Tag
from bifrost.plc.drivers.registry import known_protocols, register_protocol
from bifrost.plc.modbus.address import Area
from bifrost.plc.readings import TagReadings
from bifrost.plc.reconnect import LinkState, StateChange
from bifrost.plc.settings import DeviceSettings, TagSettings
from bifrost.plc.stats import ConnectionStats

__all__ = [
    "Area",
    "ByteOrder",
    "ConnectionStats",
    "DataType",
    "DeviceSettings",
    "LinkState",
    "PLCConnection",
    "ProtocolType",
    "StateChange",
    "Tag",
    "TagReadings",
    "TagSettings",
    "known_protocols",
    "register_protocol",
]
