"""The plug-in seam: what a protocol must bring, and where protocols are found by name.

In: protocol names and tags. Out: drivers. Not here: any protocol; any reconnecting.
"""

from bifrost.plc.drivers.base import (
    Address,
    Capabilities,
    DeviceInfo,
    Driver,
    Plan,
    ProtocolSpec,
    Readings,
    WriteItem,
)
from bifrost.plc.drivers.registry import GROUP, known_protocols, protocol_named, register_protocol

__all__ = [
    "GROUP",
    "Address",
    "Capabilities",
    "DeviceInfo",
    "Driver",
    "Plan",
    "ProtocolSpec",
    "Readings",
    "WriteItem",
    "known_protocols",
    "protocol_named",
    "register_protocol",
]
