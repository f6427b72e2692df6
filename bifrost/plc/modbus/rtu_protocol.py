"""Modbus RTU as the registry knows it: on a serial line, and in TCP."""

from __future__ import annotations

from bifrost.plc.drivers.base import ProtocolSpec
from bifrost.plc.modbus.address import is_modbus_address, parse_modbus_address
from bifrost.plc.modbus.rtu_driver import ModbusRtuDriver, ModbusRtuOverTcpDriver
from bifrost.plc.modbus.rtu_settings import ModbusRtuOverTcpSettings, ModbusRtuSettings

__all__ = ["MODBUS_RTU", "MODBUS_RTU_OVER_TCP"]

MODBUS_RTU = ProtocolSpec(
    name="modbus-rtu",
    default_port=0,
    settings=ModbusRtuSettings,
    parse_address=parse_modbus_address,
    create=ModbusRtuDriver,
    url_host=None,
    url_path="serial_port",
    url_names={"unit": "unit_id", "baud": "baudrate"},
    recognises=is_modbus_address,
    discover="bifrost.plc.modbus.rtu_scan:scan_line",
    extra="serial",
)

MODBUS_RTU_OVER_TCP = ProtocolSpec(
    name="modbus-rtu-over-tcp",
    default_port=502,
    settings=ModbusRtuOverTcpSettings,
    parse_address=parse_modbus_address,
    create=ModbusRtuOverTcpDriver,
    url_names={"unit": "unit_id"},
    recognises=is_modbus_address,
    discover="bifrost.plc.modbus.rtu_scan:scan_bus_in_tcp",
)
