"""Tags and their types, whatever the protocol.

In: what a user writes. Out: frozen, hashable `Tag`s whose address has been understood. Not here: any I/O, and what an
address means, which is the protocol's own business (`bifrost.plc.drivers.registry`).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Literal

from bifrost.errors import AddressError, ConfigError, DataTypeError

__all__ = ["ByteOrder", "DataType", "ProtocolType", "Tag"]

_DIALECTS = {
    "BIT": "BOOL",
    "BOOLEAN": "BOOL",
    "DINT": "INT32",
    "DOUBLE": "FLOAT64",
    "DWORD": "UINT32",
    "FLOAT": "FLOAT32",
    "INT": "INT16",
    "LINT": "INT64",
    "LREAL": "FLOAT64",
    "REAL": "FLOAT32",
    "UDINT": "UINT32",
    "UINT": "UINT16",
    "ULINT": "UINT64",
    "WORD": "UINT16",
}


class ProtocolType(StrEnum):
    """The protocols that come with bifrost; wherever one is asked for, a plug-in's name does as well."""

    MODBUS_TCP = "modbus-tcp"


class DataType(StrEnum):
    """What a value is. Integers are exact; FLOAT32 arrives as the same number in a Python float."""

    BOOL = "BOOL"
    INT16 = "INT16"
    UINT16 = "UINT16"
    INT32 = "INT32"
    UINT32 = "UINT32"
    INT64 = "INT64"
    UINT64 = "UINT64"
    FLOAT32 = "FLOAT32"
    FLOAT64 = "FLOAT64"
    STRING = "STRING"

    @classmethod
    def _missing_(cls, value: object) -> DataType:
        name = str(value).upper()
        for member in cls:
            if member.value == name:
                return member
        raise DataTypeError(f"unknown data type {value!r}{_nearest(name)}")


class ByteOrder(StrEnum):
    """The order in which the bytes of 32 bits travel, A the highest; 64 bits follow the same pattern."""

    ABCD = "ABCD"
    CDAB = "CDAB"
    BADC = "BADC"
    DCBA = "DCBA"

    @classmethod
    def _missing_(cls, value: object) -> ByteOrder:
        name = str(value).upper()
        for member in cls:
            if member.value == name:
                return member
        raise ConfigError(f"expected byte order ABCD, CDAB, BADC or DCBA, got {value!r}")


def _is_finite(number: object) -> bool:
    try:
        return not isinstance(number, bool) and isinstance(number, int | float) and math.isfinite(number)
    except OverflowError:  # an integer beyond every float
        return False


def _nearest(name: str) -> str:
    import difflib

    known = _DIALECTS.get(name)
    close = [known] if known else difflib.get_close_matches(name, list(DataType), n=1)
    return f"; did you mean {close[0]}" if close else f"; known are {', '.join(DataType)}"


@dataclass(frozen=True, slots=True, eq=True)
class Tag:
    """One named value in a device. Wrong ones fail here, before anything is sent.

    Attributes:
        name: how the value is called from here on; unique on its connection.
        address: where it is, in any form that the protocol knows: ``40001``, ``"HR1"``, ``"holding-register:1"``.
        datatype: None takes the one in the address, else BOOL for bits and UINT16 for registers.
        count: values in a row; more than 1 makes the value a list.
        length: room of a STRING in bytes.
        bit: bit of a register, 0 = lowest.
        byte_order: None takes the connection's.
        scale: factor; numbers become ``value * scale + offset_value``, a float.
        offset_value: added after `scale`.
        unit: unit id; None takes the connection's.
        area: with `offset`: the explicit form of an address, such as ``Area.HOLDING``.
        offset: protocol address, from 0.
        access: ``r`` (default), or ``rw`` if it may be written.
        protocol: whose address forms are meant.
        description: for people.
        metadata: for programs; travels with the tag, takes no part in comparing tags.
        resolved: the address as the protocol understood it.

    Raises:
        AddressError: the address is none, or the value does not fit behind it; the text names the right form.
        DataTypeError: the data type is unknown, or does not fit the address.
    """

    name: str
    address: str | int | None = None
    datatype: DataType | None = None
    count: int = field(default=1, kw_only=True)
    length: int | None = field(default=None, kw_only=True)
    bit: int | None = field(default=None, kw_only=True)
    byte_order: ByteOrder | None = field(default=None, kw_only=True)
    scale: float | None = field(default=None, kw_only=True)
    offset_value: float | None = field(default=None, kw_only=True)
    unit: int | None = field(default=None, kw_only=True)
    area: str | None = field(default=None, kw_only=True)
    offset: int | None = field(default=None, kw_only=True)
    access: Literal["r", "rw"] = field(default="r", kw_only=True)
    protocol: str = field(default=ProtocolType.MODBUS_TCP, kw_only=True)
    description: str = field(default="", kw_only=True, compare=False)
    metadata: Mapping[str, object] = field(default_factory=dict, kw_only=True, compare=False, repr=False)
    resolved: Any = field(init=False, compare=False, repr=False)
    _hash: int = field(init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        from bifrost.plc.drivers.registry import protocol_named

        self._check_fields()
        try:
            resolved = protocol_named(self.protocol).parse_address(self)
        except ConfigError as error:
            raise type(error)(f"tag {self.name!r}: {error}") from None
        identity = (self.name, str(self.address), resolved.datatype, resolved.count, self.unit, self.offset)
        self._settle(
            resolved=resolved, datatype=resolved.datatype, count=resolved.count, _hash=hash((*identity, self.protocol))
        )
        numbers = self.datatype not in {DataType.BOOL, DataType.STRING}
        if not numbers and (self.scale is not None or self.offset_value is not None):
            raise DataTypeError(f"tag {self.name!r}: scale and offset_value are for numbers, not for {self.datatype}")

    def _check_fields(self) -> None:
        name: object = self.name
        if not isinstance(name, str) or not name.strip():
            raise ConfigError(f"expected a tag name, got {name!r}")
        if self.datatype is not None:
            self._settle(datatype=DataType(self.datatype))
        if self.byte_order is not None:
            self._settle(byte_order=ByteOrder(self.byte_order))
        if self.access not in {"r", "rw"}:
            raise ConfigError(f"tag {name!r}: expected access 'r' or 'rw', got {self.access!r}")
        for what, number in (("scale", self.scale), ("offset_value", self.offset_value)):
            if number is not None and not _is_finite(number):
                raise ConfigError(f"tag {name!r}: expected a finite {what}, got {number!r:.40}")
        if self.scale == 0:
            raise ConfigError(f"tag {name!r}: a scale of 0 makes every value the same; leave it out for none")
        if self.address is None and self.offset is None:
            raise AddressError(f"tag {name!r} has no address; give one, such as address='HR1', or area and offset")

    def _settle(self, **fields: object) -> None:
        for field_name, value in fields.items():
            object.__setattr__(self, field_name, value)

    def __hash__(self) -> int:
        """Computed once: tags are keys on the way of every read."""
        return self._hash

    @property
    def labels(self) -> tuple[str, ...]:
        """The name, or ``name[0]`` … for an array: how the values are called in a batch."""
        if self.count == 1:
            return (self.name,)
        return tuple(f"{self.name}[{index}]" for index in range(self.count))
