"""Modbus, in TCP and on serial lines: requests out, values in, on the Rust codec.

In: tags and values. Out: readings. Not here: the codec itself (`native/codec`), reconnecting and polling
(`bifrost.plc.connection`), actors. Obeys: MODBUS Application Protocol V1.1b3, Messaging on TCP/IP V1.0b, Modbus over
Serial Line V1.02. What is for serial lines (`rtu_driver`, `rtu_settings`) is imported from its own module: most
programs need none of it.
"""

from bifrost.plc.modbus.address import Area, ModbusAddress, parse_modbus_address
from bifrost.plc.modbus.settings import ModbusSettings
from bifrost.plc.modbus.tcp_driver import ModbusTcpDriver

__all__ = [
    "Area",
    "ModbusAddress",
    "ModbusSettings",
    "ModbusTcpDriver",
    "parse_modbus_address",
]
