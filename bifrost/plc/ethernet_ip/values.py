"""Values to write, checked before anything is sent: no number wraps, no text is cut.

In: a data type and a value. Out: the value, as the type has it. Pure.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Mapping

from bifrost.errors import DataTypeError
from bifrost.plc.datatypes import DataType, Tag
from bifrost.plc.drivers.base import WriteItem
from bifrost.plc.drivers.writable import elements_to_write
from bifrost.plc.ethernet_ip.address import LogixAddress

__all__ = ["LogixWrite", "checked_value", "prepare_write"]

_RANGES = {
    DataType.INT8: (-(2**7), 2**7 - 1),
    DataType.UINT8: (0, 2**8 - 1),
    DataType.INT16: (-(2**15), 2**15 - 1),
    DataType.UINT16: (0, 2**16 - 1),
    DataType.INT32: (-(2**31), 2**31 - 1),
    DataType.UINT32: (0, 2**32 - 1),
    DataType.INT64: (-(2**63), 2**63 - 1),
    DataType.UINT64: (0, 2**64 - 1),
}
_ANY = (bool, int, float, str, Mapping)


class LogixWrite:
    """What one write sends: the place, and one checked value for each element."""

    __slots__ = ("address", "values")

    def __init__(self, address: LogixAddress, values: list[object]) -> None:
        self.address = address
        self.values = values


def prepare_write(tag: Tag, value: object) -> WriteItem:
    """Check a value; what only the controller knows is checked before it is sent.

    Raises:
        ConfigError: the tag may not be written.
        DataTypeError: the value does not fit the tag.
    """
    address: LogixAddress = tag.resolved
    values = elements_to_write(tag, value)
    try:
        checked = [checked_value(address.datatype, one, length=address.length) for one in values]
    except DataTypeError as error:
        raise DataTypeError(f"tag {tag.name!r}: {error}") from None
    return WriteItem(tag, LogixWrite(address, checked))


def checked_value(datatype: DataType, value: object, *, length: int = 0) -> object:
    """Give the value as its type has it.

    Args:
        datatype: AUTO takes whatever a controller may have.
        value: from the user.
        length: most characters of a text; 0 for no limit known here.

    Raises:
        DataTypeError: it does not fit.
    """
    if datatype in _RANGES:
        return _integer(datatype, value)
    if datatype in {DataType.FLOAT32, DataType.FLOAT64}:
        return _float(datatype, value)
    if datatype is DataType.BOOL:
        if not isinstance(value, bool):
            raise DataTypeError(f"expected True or False for BOOL, got {value!r:.60}")
    elif datatype is DataType.STRING:
        _check_text(value, length)
    elif datatype is DataType.STRUCT:
        if not isinstance(value, Mapping) or not all(isinstance(key, str) for key in value):
            raise DataTypeError(f"expected a dictionary of the structure's members, got {value!r:.60}")
    elif not isinstance(value, _ANY):
        raise DataTypeError(f"expected a value of a controller's type, got {value!r:.60}")
    return value


def _integer(datatype: DataType, value: object) -> int:
    if isinstance(value, float) and value.is_integer():
        value = int(value)  # 3.0 is exactly 3; what has a fraction is refused, as NaN is
    if isinstance(value, bool) or not isinstance(value, int):
        raise DataTypeError(f"expected a whole number for {datatype}, got {value!r:.60}")
    low, high = _RANGES[datatype]
    if not low <= value <= high:
        raise DataTypeError(f"expected {low} to {high} for {datatype}, got {value!r:.60}")
    return value


def _float(datatype: DataType, value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise DataTypeError(f"expected a number for {datatype}, got {value!r:.60}")
    try:
        number = float(value)
        if datatype is DataType.FLOAT32 and math.isfinite(number):
            struct.pack("<f", number)
    except OverflowError:
        raise DataTypeError(f"{value!r:.60} is beyond the range of {datatype}") from None
    return number


def _check_text(value: object, length: int) -> None:
    if not isinstance(value, str):
        raise DataTypeError(f"expected a text for STRING, got {value!r:.60}")
    try:
        raw = value.encode("latin-1")
    except UnicodeEncodeError as error:
        raise DataTypeError(f"a controller's texts are Latin-1, got {value[error.start]!r} in {value!r:.60}") from None
    if length and len(raw) > length:
        raise DataTypeError(f"expected at most {length} characters, got {len(raw)}")
