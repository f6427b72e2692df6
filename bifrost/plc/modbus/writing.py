"""Values to write, as requests: everything that can be wrong with a value is found here, before any I/O.

In: a tag and a value. Out: a `WriteItem`. Pure.
Obeys: V1.1b3 sections 6.5, 6.6, 6.11, 6.12.
"""

from __future__ import annotations

import math

from bifrost._native import modbus_encode_value, modbus_write_request
from bifrost.errors import ConfigError, DataTypeError
from bifrost.plc.datatypes import ByteOrder, DataType, Tag
from bifrost.plc.drivers.base import WriteItem
from bifrost.plc.modbus.address import ModbusAddress

__all__ = ["encode_write_item"]

_INTEGERS = {DataType.INT16, DataType.UINT16, DataType.INT32, DataType.UINT32, DataType.INT64, DataType.UINT64}


def encode_write_item(tag: Tag, value: object, *, unit: int, byte_order: ByteOrder) -> WriteItem:
    """Check and encode a value; a scaled number is scaled back, and rounded to the nearest if the tag is an integer.

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
            request = _registers(tag, address, values, address.byte_order or byte_order)
    except ConfigError as error:
        raise type(error)(f"tag {tag.name!r}: {error}") from None
    return WriteItem(tag, unit, request)


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


def _registers(tag: Tag, address: ModbusAddress, values: list[object], order: ByteOrder) -> bytes:
    words: list[int] = []
    for value in values:
        raw = _unscaled(tag, value)
        words += modbus_encode_value(raw, address.datatype.value, order.value, address.length)
    return modbus_write_request(6 if len(words) == 1 else 16, address.offset, words)


def _unscaled(tag: Tag, value: object) -> object:
    if tag.scale is None and tag.offset_value is None:
        return value
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise DataTypeError(f"expected a number, got {value!r}")
    try:
        raw = (value - (tag.offset_value or 0.0)) / (tag.scale or 1.0)
    except OverflowError:  # an integer beyond every float
        raw = math.inf
    if not math.isfinite(raw) and not (isinstance(value, float) and not math.isfinite(value)):
        raise DataTypeError(f"scaled back, the value is beyond the range of {tag.datatype}")
    if tag.datatype in _INTEGERS and abs(raw) < 2**64:
        return round(raw)
    return raw
