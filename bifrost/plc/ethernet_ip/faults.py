"""What a Logix controller refuses, as errors and as the status of tags.

In: general and extended status of a CIP answer. Out: a `CIPFault`, a status code. Pure.
Obeys: CIP volume 1 appendix B (general status), Rockwell 1756-PM020 (extended status of tag services), OPC 10000-8
section 7.3.2 (status codes).
"""

from __future__ import annotations

from bifrost.core.quality import StatusCode
from bifrost.errors import (
    AddressError,
    BifrostError,
    CIPFault,
    DataTypeError,
    DeviceFault,
    LinkTimeout,
    MissingExtra,
    NotConnected,
    ProtocolError,
)

__all__ = ["LINK_STATUS", "PATH_STATUS", "cip_fault", "status_of"]

PATH_STATUS = frozenset({0x04, 0x05, 0x16})
"""The controller knows no such tag: perhaps a new program was loaded."""

LINK_STATUS = frozenset({0x01, 0x07})
"""The connection inside the controller is gone, whatever the socket says."""

_TEXTS = {
    0x01: "the connection failed",
    0x02: "the controller has no resources left for it",
    0x03: "invalid value",
    0x04: "the controller cannot read this path; look at the spelling and the indexes",
    0x05: "the controller has no such tag, or the index is beyond its end",
    0x06: "only a part fits into an answer",
    0x07: "the connection inside the controller is lost",
    0x08: "the controller does not know this service",
    0x09: "invalid value of an attribute",
    0x0A: "an attribute of the list was refused",
    0x0B: "the object is in that state already",
    0x0C: "the state of the object does not allow it",
    0x0E: "the attribute cannot be set",
    0x0F: "access denied; look at the tag's external access and at the controller's security",
    0x10: "the controller's mode does not allow it; look at the keyswitch",
    0x11: "the answer does not fit",
    0x13: "the request was too short",
    0x14: "the attribute is not known",
    0x15: "the request was too long",
    0x16: "the object does not exist",
    0x1A: "a bridge on the way cannot pass a request of this size",
    0x1B: "a bridge on the way cannot pass an answer of this size",
    0x1E: "a request within the request was refused",
    0x20: "invalid parameter",
    0x26: "the length of the path is wrong",
    0xD1: "the module is not in run mode",
    0xFF: "refused",
}
_EXTENDED = {
    (0x01, 0x0100): "the connection is in use",
    (0x01, 0x0107): "the controller knows no such connection",
    (0x01, 0x0109): "the connection's size is not supported",
    (0x01, 0x0113): "the controller has no connection left",
    (0x01, 0x0203): "the connection timed out",
    (0x01, 0x0204): "the request was not answered on its way; look at the path and the slot",
    (0x01, 0x0311): "there is no such port on the way; look at the path",
    (0x01, 0x0312): "there is no such address on the way; look at the path and the slot",
    (0x01, 0x0315): "the path is wrong",
    (0x0C, 0x8010): "the tag is being edited",
    (0x10, 0x2101): "the keyswitch does not allow it",
    (0xFF, 0x2101): "the keyswitch does not allow it",
    (0xFF, 0x2104): "the address is out of range",
    (0xFF, 0x2105): "this is beyond the end of the tag",
    (0xFF, 0x2107): "the tag has another type",
    (0xFF, 0x2802): "the safety status does not allow it",
}
_STATUS = {
    0x02: StatusCode.BAD_OUT_OF_SERVICE,
    0x03: StatusCode.BAD_OUT_OF_RANGE,
    0x04: StatusCode.BAD_NODE_ID_UNKNOWN,
    0x05: StatusCode.BAD_NODE_ID_UNKNOWN,
    0x08: StatusCode.BAD_NOT_SUPPORTED,
    0x09: StatusCode.BAD_OUT_OF_RANGE,
    0x0A: StatusCode.BAD_NOT_SUPPORTED,
    0x0B: StatusCode.BAD_OUT_OF_SERVICE,
    0x0C: StatusCode.BAD_OUT_OF_SERVICE,
    0x0E: StatusCode.BAD_NOT_WRITABLE,
    0x0F: StatusCode.BAD_USER_ACCESS_DENIED,
    0x10: StatusCode.BAD_OUT_OF_SERVICE,
    0x13: StatusCode.BAD_CONFIGURATION_ERROR,
    0x14: StatusCode.BAD_NOT_SUPPORTED,
    0x15: StatusCode.BAD_CONFIGURATION_ERROR,
    0x16: StatusCode.BAD_NODE_ID_UNKNOWN,
    0x20: StatusCode.BAD_CONFIGURATION_ERROR,
    0x26: StatusCode.BAD_NODE_ID_UNKNOWN,
    0xD1: StatusCode.BAD_OUT_OF_SERVICE,
}
_EXTENDED_STATUS = {
    (0xFF, 0x2101): StatusCode.BAD_OUT_OF_SERVICE,
    (0xFF, 0x2104): StatusCode.BAD_NODE_ID_UNKNOWN,
    (0xFF, 0x2105): StatusCode.BAD_NODE_ID_UNKNOWN,
    (0xFF, 0x2107): StatusCode.BAD_TYPE_MISMATCH,
    (0xFF, 0x2802): StatusCode.BAD_USER_ACCESS_DENIED,
}
_OTHERS = (
    (LinkTimeout, StatusCode.BAD_TIMEOUT),
    (NotConnected, StatusCode.BAD_NOT_CONNECTED),
    (DataTypeError, StatusCode.BAD_TYPE_MISMATCH),
    (AddressError, StatusCode.BAD_CONFIGURATION_ERROR),
    (MissingExtra, StatusCode.BAD_CONFIGURATION_ERROR),
    (ProtocolError, StatusCode.BAD_DECODING_ERROR),
    (DeviceFault, StatusCode.BAD_DEVICE_FAILURE),
)


def cip_fault(what: str, code: int, extended: int | None = None) -> CIPFault:
    """Make the error for a refusal.

    Args:
        what: what was asked for; the text begins with it.
        code: general status, 1 to 255.
        extended: first word of the extended status, if there was one.
    """
    text = _EXTENDED.get((code, extended or 0)) or _TEXTS.get(code, "the controller refused")
    numbers = f"0x{code:02x}" if extended is None else f"0x{code:02x}, extended 0x{extended:04x}"
    return CIPFault(f"{what}: {text} (CIP status {numbers})", code=code, extended=extended)


def status_of(error: BifrostError) -> StatusCode:
    """Tell the OPC UA status code for what went wrong."""
    if isinstance(error, CIPFault):
        exact = _EXTENDED_STATUS.get((error.code, error.extended or 0))
        return exact or _STATUS.get(error.code, StatusCode.BAD_DEVICE_FAILURE)
    for kind, status in _OTHERS:
        if isinstance(error, kind):
            return status
    return StatusCode.BAD_COMMUNICATION_ERROR
