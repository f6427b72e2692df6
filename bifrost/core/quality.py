"""What a value is worth: `Quality` for people, the OPC UA status code for machines.

Obeys: OPC 10000-4 section 7.39 (StatusCode), OPC 10000-8 section 7.3.2 (data access codes).
"""

from __future__ import annotations

from enum import IntEnum

__all__ = ["Quality", "StatusCode", "quality_of"]


class Quality(IntEnum):
    """The top two bits of an OPC UA status code."""

    GOOD = 0
    UNCERTAIN = 1
    BAD = 2


class StatusCode(IntEnum):
    """The OPC UA status codes that bifrost itself sets; any other 32-bit code may travel in a value."""

    GOOD = 0x0000_0000
    UNCERTAIN = 0x4000_0000
    UNCERTAIN_LAST_USABLE_VALUE = 0x4090_0000
    UNCERTAIN_ENGINEERING_UNITS_EXCEEDED = 0x4094_0000
    UNCERTAIN_SUB_NORMAL = 0x4095_0000
    BAD = 0x8000_0000
    BAD_COMMUNICATION_ERROR = 0x8005_0000
    BAD_DECODING_ERROR = 0x8007_0000
    BAD_TIMEOUT = 0x800A_0000
    BAD_USER_ACCESS_DENIED = 0x801F_0000
    BAD_NO_COMMUNICATION = 0x8031_0000
    BAD_WAITING_FOR_INITIAL_DATA = 0x8032_0000
    BAD_NODE_ID_UNKNOWN = 0x8034_0000
    BAD_NOT_READABLE = 0x803A_0000
    BAD_NOT_WRITABLE = 0x803B_0000
    BAD_OUT_OF_RANGE = 0x803C_0000
    BAD_NOT_SUPPORTED = 0x803D_0000
    BAD_TYPE_MISMATCH = 0x8074_0000
    BAD_CONFIGURATION_ERROR = 0x8089_0000
    BAD_NOT_CONNECTED = 0x808A_0000
    BAD_DEVICE_FAILURE = 0x808B_0000
    BAD_SENSOR_FAILURE = 0x808C_0000
    BAD_OUT_OF_SERVICE = 0x808D_0000


def quality_of(status: int) -> Quality:
    """Tell the quality that a 32-bit OPC UA status code stands for; the reserved pattern 0b11 counts as BAD."""
    return Quality(min(status >> 30 & 0b11, Quality.BAD))
