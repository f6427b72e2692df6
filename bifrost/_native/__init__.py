"""The gate to Rust: re-exports the built extension. No Python logic here.

In: bytes and columns. Out: columns and small value objects. `_rust.pyi` is the contract, checked by stubtest.
"""

from bifrost._native._rust import (
    BUILD_PROFILE,
    SQLITE_VERSION,
    STATUS_PARTIAL,
    AnomalyDetector,
    Columns,
    ModbusBlock,
    ModbusFramer,
    ModbusPlan,
    ModbusRequest,
    TumblingWindows,
    Wal,
    modbus_decode_answer,
    modbus_decode_request,
    modbus_encode_bits,
    modbus_encode_exception,
    modbus_encode_registers,
    modbus_encode_value,
    modbus_encode_write,
    modbus_frame,
    modbus_read_request,
    modbus_write_request,
)

__all__ = [
    "BUILD_PROFILE",
    "SQLITE_VERSION",
    "STATUS_PARTIAL",
    "AnomalyDetector",
    "Columns",
    "ModbusBlock",
    "ModbusFramer",
    "ModbusPlan",
    "ModbusRequest",
    "TumblingWindows",
    "Wal",
    "modbus_decode_answer",
    "modbus_decode_request",
    "modbus_encode_bits",
    "modbus_encode_exception",
    "modbus_encode_registers",
    "modbus_encode_value",
    "modbus_encode_write",
    "modbus_frame",
    "modbus_read_request",
    "modbus_write_request",
]
