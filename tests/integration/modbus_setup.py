"""What the tests of Modbus TCP begin with: a quick connection, a device with values, an answer for a scripted one."""

from __future__ import annotations

import struct
from collections.abc import Iterable
from typing import Any

from bifrost._native import modbus_frame
from bifrost.plc import Area, PLCConnection, Tag
from bifrost.plc.sim import RegisterBank

__all__ = ["OTHER", "TAG", "connection", "good", "holding"]

TAG = Tag("t", "HR1", access="rw")
OTHER = Tag("other", "HR50")


def connection(port: int, **options: Any) -> PLCConnection:
    """A connection that gives up and comes back quickly."""
    return PLCConnection(host="127.0.0.1", port=port, **{"timeout": 0.1, "backoff_min": 0.05, **options})


def holding(values: Iterable[int]) -> RegisterBank:
    """A bank with these values in its holding registers."""
    bank = RegisterBank()
    for address, value in enumerate(values):
        bank.put(Area.HOLDING, address, value)
    return bank


def good(request: bytes, value: int = 42) -> bytes:
    """Answer a read with the same value in every register, a write with its echo."""
    transaction, _, _, unit, function, _, quantity = struct.unpack(">HHHBBHH", request[:12])
    if function == 3:
        return modbus_frame(transaction, unit, bytes([3, 2 * quantity]) + value.to_bytes(2, "big") * quantity)
    return modbus_frame(transaction, unit, request[7:12])
