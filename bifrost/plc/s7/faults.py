"""What an S7 CPU refuses, in words that say what to do, and as the status of a tag.

Obeys: return codes and error codes as in Wireshark's ``packet-s7comm.c``; OPC 10000-8 section 7.3.2 (status codes).
"""

from __future__ import annotations

from bifrost.core.quality import StatusCode
from bifrost.errors import BifrostError, LinkTimeout, NotConnected, ProtocolError, S7Fault

__all__ = ["TAG_CODES", "refused_item", "refused_job", "status_of"]

_OPTIMIZED = (
    "or the block has optimized access, which classic S7 communication cannot read: switch it off in its settings"
)
_ITEM_TEXTS = {
    0x01: "hardware fault",
    0x03: f"access to the object is not allowed: see the CPU's protection level, {_OPTIMIZED}",
    0x05: f"address out of range: the area ends before it, {_OPTIMIZED}",
    0x06: "the data type is not supported there",
    0x07: "the data type does not fit",
    0x0A: f"the object does not exist: there is no such block or address, {_OPTIMIZED}",
}
TAG_CODES = frozenset({0x03, 0x05, 0x06, 0x07, 0x0A})
"""Return codes of an item whose parts may be fine one by one."""

_JOB_TEXTS = {
    0x8001: "the function is not possible in the CPU's present state",
    0x8104: (
        "the function is not available: on an S7-1200 or S7-1500 permit 'PUT/GET communication from remote partner' in "
        "the CPU's protection settings"
    ),
    0x8404: "the CPU could not carry the job out: no such block or address",
    0x8500: "the job or its answer is too long for the negotiated PDU",
    0x8700: "the CPU refused the access",
    0xD240: "the CPU's protection level or password does not allow it",
    0xD241: "the CPU's protection level or password does not allow it",
}
_STATUS = {
    0x01: StatusCode.BAD_DEVICE_FAILURE,
    0x03: StatusCode.BAD_USER_ACCESS_DENIED,
    0x05: StatusCode.BAD_NODE_ID_UNKNOWN,
    0x06: StatusCode.BAD_TYPE_MISMATCH,
    0x07: StatusCode.BAD_TYPE_MISMATCH,
    0x0A: StatusCode.BAD_NODE_ID_UNKNOWN,
    0x8104: StatusCode.BAD_USER_ACCESS_DENIED,
    0x8404: StatusCode.BAD_NODE_ID_UNKNOWN,
    0xD240: StatusCode.BAD_USER_ACCESS_DENIED,
    0xD241: StatusCode.BAD_USER_ACCESS_DENIED,
}


def refused_item(code: int, where: str) -> S7Fault:
    """Make the error for an item's return code; `where` is its address in words."""
    return S7Fault(f"{where} was refused: {_ITEM_TEXTS.get(code, 'unknown return code')} (0x{code:02X})", code=code)


def refused_job(code: int) -> S7Fault:
    """Make the error for the error code of a whole job."""
    return S7Fault(f"the job was refused: {_JOB_TEXTS.get(code, 'error of the CPU')} (0x{code:04X})", code=code)


def status_of(error: BifrostError) -> StatusCode:
    """Tell the OPC UA status code for what went wrong."""
    if isinstance(error, S7Fault):
        return _STATUS.get(error.code, StatusCode.BAD_DEVICE_FAILURE)
    if isinstance(error, ProtocolError):
        return StatusCode.BAD_DECODING_ERROR
    if isinstance(error, LinkTimeout):
        return StatusCode.BAD_TIMEOUT
    if isinstance(error, NotConnected):
        return StatusCode.BAD_NOT_CONNECTED
    return StatusCode.BAD
