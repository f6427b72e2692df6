"""Values to write, as requests: everything that can be wrong with a value is found here, before any I/O.

In: a tag and a value. Out: a `WriteItem`. Pure.
Obeys: V1.1b3 sections 6.5, 6.6, 6.11, 6.12.
"""

from __future__ import annotations

from bifrost._native import modbus_encode_value, modbus_write_request
from bifrost.errors import ConfigError, DataTypeError
from bifrost.plc.datatypes import ByteOrder, Tag
from bifrost.plc.drivers.base import WriteItem
from bifrost.plc.modbus.address import ModbusAddress

__all__ = ["encode_write_item"]


def encode_write_item(tag: Tag, value: object, *, unit: int, byte_order: ByteOrder) -> WriteItem:
    """Check and encode a raw value.

    Raises:
        ConfigError: the tag may not be written.
        DataTypeError: the value does not fit the tag.
    """
    address: ModbusAddress = tag.resolved
    if tag.access != "rw":
        raise ConfigError(f"tag {tag.name!r} is read-only; declare it with access='rw' to write it")
    if address.bit is not None:
        raise ConfigError(
            f"tag {tag.name!r} is one bit of a register, which cannot be written alone; write the register"
        )
    unit = unit if address.unit is None else address.unit
    values = _listed(tag, value)
    try:
        if address.area.is_bits:
            request = _coils(address, values)
        else:
            request = _registers(address, values, address.byte_order or byte_order)
    except ConfigError as error:
        raise type(error)(f"tag {tag.name!r}: {error}") from None
    return WriteItem(tag, request, unit)


def _listed(tag: Tag, value: object) -> list[object]:
    if tag.count == 1:
        return [value]
    if not isinstance(value, list | tuple) or len(value) != tag.count:
        got = f"{len(value)} values" if isinstance(value, list | tuple) else repr(value)
        raise DataTypeError(f"tag {tag.name!r}: expected a list of {tag.count} values, got {got}")
    return list(value)


def _coils(address: ModbusAddress, values: list[object]) -> bytes:
    bits: list[bool] = []
    for value in values:
        if not isinstance(value, bool):
            raise DataTypeError(f"expected True or False for BOOL, got {value!r}")
        bits.append(value)
    return modbus_write_request(5 if len(bits) == 1 else 15, address.offset, bits)


def _registers(address: ModbusAddress, values: list[object], order: ByteOrder) -> bytes:
    words: list[int] = []
    for value in values:
        words += modbus_encode_value(value, address.datatype.value, order.value, address.length)
    return modbus_write_request(6 if len(words) == 1 else 16, address.offset, words)
