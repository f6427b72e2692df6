"""The Modbus TCP driver keeps the driver's contract, against a simulated device and against libmodbus."""

from __future__ import annotations

from tests.contract.modbus_devices import OnLibmodbus, OnTheSimulator


class TestModbusOnTheSimulator(OnTheSimulator):
    """Against our own server."""


class TestModbusOnLibmodbus(OnLibmodbus):
    """Against an independent one."""
