"""What the simulated units of these tests hold, and say of themselves."""

from __future__ import annotations

from bifrost.plc import Area, DataType
from bifrost.plc.sim import RegisterBank

__all__ = ["IDENTITY", "simulated_unit"]

IDENTITY: dict[int, str | bytes] = {
    0: "bifrost",
    1: "simulator",
    2: "1.0",
    4: "Simulated device",
    0x80: b"\x01\x02",
}


def simulated_unit() -> RegisterBank:
    """A bank of 130 of each kind whose values tell where they are."""
    bank = RegisterBank()
    for at in range(130):
        bank.put(Area.HOLDING, at, at, DataType.UINT16)
        bank.put(Area.INPUT, at, 1000 + at, DataType.UINT16)
        bank.put(Area.COIL, at, at % 3 == 0)
        bank.put(Area.DISCRETE_INPUT, at, at % 2 == 0)
    return bank
