"""Modbus TCP as the registry knows it."""

from __future__ import annotations

from bifrost.plc.drivers.base import ProtocolSpec
from bifrost.plc.modbus.address import is_modbus_address, parse_modbus_address
from bifrost.plc.modbus.settings import ModbusSettings
from bifrost.plc.modbus.tcp_driver import ModbusTcpDriver

__all__ = ["MODBUS_TCP"]

MODBUS_TCP = ProtocolSpec(
    name="modbus-tcp",
    default_port=502,
    settings=ModbusSettings,
    parse_address=parse_modbus_address,
    create=ModbusTcpDriver,
    url_names={"unit": "unit_id"},
    recognises=is_modbus_address,
    discover="bifrost.plc.modbus.scan:scan_units",
)
