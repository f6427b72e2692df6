"""What goes wrong with a device, as the status of its tags.

Obeys: V1.1b3 section 7 (exception codes), OPC 10000-8 section 7.3.2 (status codes).
"""

from __future__ import annotations

from bifrost.core.quality import StatusCode
from bifrost.errors import BifrostError, ConfigError, LinkTimeout, ModbusFault, NotConnected, ProtocolError

__all__ = ["BUSY_CODES", "REFUSED_CODES", "status_of"]

REFUSED_CODES = frozenset({2, 3})
"""Illegal data address or value: part of a block may be fine."""

BUSY_CODES = frozenset({5, 6})
"""Acknowledge and busy: the same read may succeed a little later."""

_OF_CODE = {
    1: StatusCode.BAD_NOT_SUPPORTED,
    2: StatusCode.BAD_CONFIGURATION_ERROR,
    3: StatusCode.BAD_CONFIGURATION_ERROR,
    5: StatusCode.BAD_OUT_OF_SERVICE,
    6: StatusCode.BAD_OUT_OF_SERVICE,
    10: StatusCode.BAD_NO_COMMUNICATION,
    11: StatusCode.BAD_NO_COMMUNICATION,
}


def status_of(error: BifrostError) -> StatusCode:
    """Tell the OPC UA status code for what went wrong."""
    if isinstance(error, ModbusFault):
        return _OF_CODE.get(error.code, StatusCode.BAD_DEVICE_FAILURE)
    if isinstance(error, LinkTimeout):
        return StatusCode.BAD_TIMEOUT
    if isinstance(error, NotConnected):
        return StatusCode.BAD_NOT_CONNECTED
    if isinstance(error, ConfigError):
        return StatusCode.BAD_NOT_READABLE
    if isinstance(error, ProtocolError):
        return StatusCode.BAD_COMMUNICATION_ERROR
    return StatusCode.BAD
