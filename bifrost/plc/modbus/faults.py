"""What goes wrong with a device, as the status of its tags.

Obeys: V1.1b3 section 7 (exception codes), OPC 10000-8 section 7.3.2 (status codes).
"""

from __future__ import annotations

from bifrost.core.quality import StatusCode
from bifrost.errors import (
    BifrostError,
    ConfigError,
    DataTypeError,
    LinkTimeout,
    ModbusFault,
    NotConnected,
    ProtocolError,
)

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
_OF_KIND = (  # the first that fits
    (DataTypeError, StatusCode.BAD_DECODING_ERROR),
    (ConfigError, StatusCode.BAD_NOT_READABLE),
    (LinkTimeout, StatusCode.BAD_TIMEOUT),
    (NotConnected, StatusCode.BAD_NOT_CONNECTED),
    (ProtocolError, StatusCode.BAD_COMMUNICATION_ERROR),
)


def status_of(error: BifrostError) -> StatusCode:
    """Tell the OPC UA status code for what went wrong."""
    if isinstance(error, ModbusFault):
        return _OF_CODE.get(error.code, StatusCode.BAD_DEVICE_FAILURE)
    return next((status for kind, status in _OF_KIND if isinstance(error, kind)), StatusCode.BAD)
