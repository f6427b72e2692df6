"""Jobs as a CPU sees them: what a frame asks for, and answers as frames. Bytes in, bytes out; no socket.

Obeys: RFC 1006 section 6 (TPKT), ISO 8073 class 0 (COTP), the S7 job header.
"""

from __future__ import annotations

import dataclasses
import struct
from collections.abc import Sequence

from bifrost.errors import ProtocolError
from bifrost.plc.s7.areas import S7Area
from bifrost.plc.s7.pdu import ITEM_BYTES, OK, READ_VAR, WRITE_VAR, Transport

__all__ = [
    "CONNECTION_REQUEST",
    "DATA",
    "DISCONNECT_REFUSED",
    "S7Item",
    "S7Job",
    "answer_error",
    "answer_items",
    "answer_writes",
    "clamp_pdu",
    "is_userdata",
    "read_job",
    "write_values",
]

CONNECTION_REQUEST = 0xE0
DATA = 0xF0
DISCONNECT_REFUSED = bytes.fromhex("0300000b06800001000088")
"""COTP disconnect request, "connection request refused": what comes instead of a confirmation."""

_JOB = struct.Struct(">BBHHHH")
_ANSWER = struct.Struct(">BBHHHHBB")
_SPECIFICATION = struct.Struct(">BBBBHHB3s")
_ITEM = struct.Struct(">BBH")
_COTP = b"\x02\xf0\x80"
_AREAS = {area.code: area for area in S7Area}
_SETUP = 0xF0
_STEPS = {Transport.BIT: 1, Transport.BYTE: 1, 0x03: 1, 0x04: 2, 0x05: 2, 0x06: 4, 0x07: 4, 0x08: 4}


@dataclasses.dataclass(frozen=True, slots=True)
class S7Item:
    """What one item is about; `area` is None if there is none of this code."""

    area: S7Area | None
    db: int
    start: int
    bit: int | None
    size: int


@dataclasses.dataclass(frozen=True, slots=True)
class S7Job:
    """A Read Var or Write Var."""

    reference: int
    function: int
    items: tuple[S7Item, ...]
    data: bytes


def is_userdata(frame: bytes) -> bool:
    """Tell whether a frame asks for something about the CPU itself."""
    return len(frame) > 8 and frame[5] == DATA and frame[7:9] == b"\x32\x07"


def read_job(frame: bytes) -> S7Job | None:
    """Read a frame as Read Var or Write Var; None if it is anything else.

    Raises:
        ProtocolError: it is one of them, and malformed.
    """
    pdu = frame[7:]
    if len(pdu) < _JOB.size + 2 or pdu[0] != 0x32 or pdu[1] != 0x01 or pdu[_JOB.size] not in {READ_VAR, WRITE_VAR}:
        return None
    *_, reference, parameter_bytes, data_bytes = _JOB.unpack_from(pdu)
    begin = _JOB.size + 2
    data_at = _JOB.size + parameter_bytes
    count = pdu[_JOB.size + 1]
    if parameter_bytes != 2 + count * ITEM_BYTES or len(pdu) != data_at + data_bytes:
        raise ProtocolError(f"a job of {len(pdu)} bytes does not hold {count} items")
    items = tuple(_item(pdu, begin + index * ITEM_BYTES) for index in range(count))
    return S7Job(reference, pdu[_JOB.size], items, pdu[data_at:])


def _item(pdu: bytes, at: int) -> S7Item:
    _, _, _, transport, count, db, code, address_bytes = _SPECIFICATION.unpack_from(pdu, at)
    area = _AREAS.get(code)
    address = int.from_bytes(address_bytes)
    if area is not None and area.is_counted:
        return S7Item(area, 0, address, None, count * 2)
    bit = address % 8 if transport == Transport.BIT else None
    db = db if area is S7Area.DB else 0
    return S7Item(area, db, address // 8, bit, count * _STEPS.get(transport, 1))


def write_values(job: S7Job) -> list[bytes]:
    """Cut the data of a Write Var into the value of each item.

    Raises:
        ProtocolError: they do not fit the items.
    """
    values: list[bytes] = []
    at = 0
    for item in job.items:
        if at + _ITEM.size > len(job.data):
            raise ProtocolError("the data end before the last item")
        _, transport, length = _ITEM.unpack_from(job.data, at)
        size = (length + 7) // 8 if transport in {0x03, 0x04, 0x05} else length
        at += _ITEM.size
        if at + size > len(job.data) or (item.bit is None and size != item.size):
            raise ProtocolError(f"expected a value of {item.size} bytes, got {size}")
        values.append(job.data[at : at + size])
        at += size + (size & 1)
    return values


def answer_items(job: S7Job, results: Sequence[bytes | int]) -> bytes:
    """Answer a Read Var: for each item its bytes, or a return code. A bit comes as a bit."""
    data = bytearray()
    for item, result in zip(job.items, results, strict=True):
        data += bytes(len(data) & 1)
        if isinstance(result, int):
            data += _ITEM.pack(result, 0, 0)
        elif item.bit is not None:
            data += _ITEM.pack(OK, Transport.VALUE_BITS, 1) + result
        elif item.area is not None and item.area.is_counted:
            data += _ITEM.pack(OK, Transport.VALUE_OCTETS, len(result)) + result
        else:
            data += _ITEM.pack(OK, Transport.VALUE_BYTES, len(result) * 8) + result
    return _frame(job.reference, bytes([READ_VAR, len(job.items)]), bytes(data))


def answer_writes(job: S7Job, codes: Sequence[int]) -> bytes:
    """Answer a Write Var: a return code for each item."""
    return _frame(job.reference, bytes([WRITE_VAR, len(codes)]), bytes(codes))


def answer_error(job: S7Job, code: int) -> bytes:
    """Refuse a job as a whole, with error class and code."""
    return _tpkt(_ANSWER.pack(0x32, 0x02, 0, job.reference, 0, 0, code >> 8, code & 0xFF))


def clamp_pdu(frame: bytes, most: int) -> tuple[bytes, int | None]:
    """Grant at most `most` bytes in the answer to a negotiation; other frames stay as they are.

    Returns:
        The frame, and the length granted if it was one.
    """
    if len(frame) < 27 or frame[7] != 0x32 or frame[8] != 0x03 or frame[19] != _SETUP:
        return frame, None
    granted = min(int.from_bytes(frame[25:27]), most)
    return frame[:25] + granted.to_bytes(2) + frame[27:], granted


def _frame(reference: int, parameters: bytes, data: bytes) -> bytes:
    return _tpkt(_ANSWER.pack(0x32, 0x03, 0, reference, len(parameters), len(data), 0, 0) + parameters + data)


def _tpkt(pdu: bytes) -> bytes:
    return b"\x03\x00" + (len(pdu) + 7).to_bytes(2) + _COTP + pdu
