"""S7 jobs and their answers as bytes: Read Var and Write Var with many items. No socket, no clock.

An answer carries a return code for each item, so that one bad item is no harm to the others.
Obeys: the S7 communication protocol as in Wireshark's ``packet-s7comm.c``; every number is big-endian.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence

from bifrost.errors import ProtocolError
from bifrost.plc.s7.faults import refused_job

__all__ = [
    "ITEM_BYTES",
    "MAX_ITEMS",
    "OK",
    "READ_OVERHEAD",
    "READ_VAR",
    "WRITE_OVERHEAD",
    "WRITE_VAR",
    "Transport",
    "item_specification",
    "job",
    "open_answer",
    "padded",
    "read_parameters",
    "read_results",
    "write_data",
    "write_parameters",
    "write_results",
]

READ_VAR = 0x04
WRITE_VAR = 0x05
OK = 0xFF
MAX_ITEMS = 20
"""Items in one job; more are refused by every CPU."""

ITEM_BYTES = 12
"""An item's specification in a job."""

READ_OVERHEAD = 14
"""Bytes of an answer to Read Var before its first item; each item begins with 4 more."""

WRITE_OVERHEAD = 12
"""Bytes of a Write Var before its first specification; each item's value begins with 4 more."""

_JOB = 0x01
_ANSWERS = frozenset({0x02, 0x03})
_HEADER = struct.Struct(">BBHHHH")
_ANSWER_HEADER = struct.Struct(">BBHHHHBB")
_SPECIFICATION = struct.Struct(">BBBBHHB3s")
_ITEM = struct.Struct(">BBH")
_LENGTH_IN_BITS = frozenset({0x03, 0x04, 0x05})


class Transport:
    """Transport sizes: what an item counts (in its specification), and what its value's length counts."""

    BIT = 0x01
    BYTE = 0x02
    COUNTER = 0x1C
    TIMER = 0x1D
    VALUE_BITS = 0x03
    VALUE_BYTES = 0x04
    VALUE_OCTETS = 0x09


def padded(size: int) -> int:
    """Bytes that a value takes in a PDU if another item follows it."""
    return size + (size & 1)


def item_specification(area: int, db: int, address: int, count: int, transport: int) -> bytes:
    """Name what an item is about.

    Args:
        area: the area's code.
        db: number of the data block, else 0.
        address: of the first bit; for timers and counters their number.
        count: how many of `transport`.
        transport: see `Transport`.
    """
    return _SPECIFICATION.pack(0x12, 0x0A, 0x10, transport, count, db, area, address.to_bytes(3))


def read_parameters(specifications: Sequence[bytes]) -> bytes:
    """The parameters of a Read Var with 1 to 20 items."""
    return bytes([READ_VAR, len(specifications)]) + b"".join(specifications)


def write_parameters(specifications: Sequence[bytes]) -> bytes:
    """The parameters of a Write Var with 1 to 20 items."""
    return bytes([WRITE_VAR, len(specifications)]) + b"".join(specifications)


def write_data(values: Sequence[tuple[int, bytes]]) -> bytes:
    """The data of a Write Var: for each item what its length counts, and the value."""
    data = bytearray()
    for transport, value in values:
        if len(data) & 1:
            data.append(0)
        length = len(value) * (8 if transport in _LENGTH_IN_BITS else 1)
        if transport == Transport.VALUE_BITS:
            length = 1  # one bit, in a byte of its own
        data += _ITEM.pack(0, transport, length) + value
    return bytes(data)


def job(reference: int, parameters: bytes, data: bytes = b"") -> bytes:
    """A whole job; `reference` (0 to 65535) comes back in its answer."""
    return _HEADER.pack(0x32, _JOB, 0, reference, len(parameters), len(data)) + parameters + data


def open_answer(pdu: bytes, reference: int, function: int, items: int) -> bytes:
    """Take the data out of an answer.

    Raises:
        ProtocolError: it is not the answer to this job; whatever follows on the link cannot be trusted.
        S7Fault: the job as a whole was refused.
    """
    if len(pdu) < _ANSWER_HEADER.size or pdu[0] != 0x32 or pdu[1] not in _ANSWERS:
        raise ProtocolError(f"expected the answer to an S7 job, got 0x{pdu[:16].hex()}")
    *_, came_reference, parameter_bytes, data_bytes, error_class, error_code = _ANSWER_HEADER.unpack_from(pdu)
    if came_reference != reference:
        raise ProtocolError(f"expected the answer to job {reference}, got the one to job {came_reference}")
    error = error_class << 8 | error_code
    if error:
        raise refused_job(error)
    begin = _ANSWER_HEADER.size + parameter_bytes
    if parameter_bytes != 2 or len(pdu) != begin + data_bytes:
        raise ProtocolError(f"an answer of {len(pdu)} bytes declares {parameter_bytes} and {data_bytes}")
    if pdu[12] != function or pdu[13] != items:
        text = f"expected function 0x{function:02x} with {items} items, got 0x{pdu[12]:02x} with {pdu[13]}"
        raise ProtocolError(text)
    return pdu[begin:]


def read_results(data: bytes, sizes: Sequence[int]) -> list[bytes | int]:
    """Cut the data of a Read Var's answer into items.

    Args:
        data: as `open_answer` gives it.
        sizes: bytes asked for, for each item.

    Returns:
        For each item its bytes, or its return code if it was refused.

    Raises:
        ProtocolError: the data are malformed, or not what was asked for.
    """
    results: list[bytes | int] = []
    at = 0
    for size in sizes:
        if at + _ITEM.size > len(data):
            raise ProtocolError(f"the answer ends before item {len(results) + 1} of {len(sizes)}")
        code, transport, length = _ITEM.unpack_from(data, at)
        at += _ITEM.size
        if code != OK:
            results.append(code)
            continue
        came = (length + 7) // 8 if transport in _LENGTH_IN_BITS else length
        if came != size or at + size > len(data):
            raise ProtocolError(f"item {len(results) + 1}: expected {size} bytes, got {min(came, len(data) - at)}")
        results.append(data[at : at + size])
        at += padded(size)
    if at < len(data):
        raise ProtocolError(f"the answer goes on after its last item, for {len(data) - at} bytes")
    return results


def write_results(data: bytes, items: int) -> list[int]:
    """Return the code of each item of a Write Var's answer.

    Raises:
        ProtocolError: there is not one code for each item.
    """
    if len(data) != items:
        raise ProtocolError(f"expected {items} return codes, got {len(data)}")
    return list(data)
