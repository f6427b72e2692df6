"""Modbus addresses: every form that is in use, one meaning.

In: a tag. Out: its area, its address from 0, and the shape of its value. Pure; no I/O.
Obeys: V1.1b3 section 4.3 and 4.4 (four areas, protocol addresses 0 to 65535 for data numbered from 1).
"""

from __future__ import annotations

import re
from enum import StrEnum
from typing import TypeVar

import msgspec

from bifrost.errors import AddressError, DataTypeError
from bifrost.plc.addressing import AddressParts, split_address
from bifrost.plc.datatypes import ByteOrder, DataType, Tag
from bifrost.plc.modbus.address_hints import hint_for, two_meanings

__all__ = ["MAX_STRING_BYTES", "Area", "ModbusAddress", "is_modbus_address", "parse_modbus_address", "words_of"]

MAX_STRING_BYTES = 250  # 125 registers: what one read can bring without tearing the text

_T = TypeVar("_T")
_HEAD = re.compile(
    r"(?P<long>coil|discrete-input|input-register|holding-register):(?P<long_number>\d{1,9})"
    r"|(?P<short>HR|IR|DI|C)_?(?P<short_number>\d{1,9})"
    r"|(?P<digit>[0134])x(?P<digit_number>\d{4,6})(?!\d)"
    r"|(?P<plain>\d{1,9})",
    re.IGNORECASE,
)
_SURE = re.compile(
    r"\s*(\d{1,3}!|(coil|discrete-input|input-register|holding-register):|(HR|IR|DI)_?\d+(?!\w)|[0134]x\d|\d+\s*$)",
    re.IGNORECASE,
)
_WORDS = {
    DataType.INT8: 1,
    DataType.UINT8: 1,
    DataType.INT16: 1,
    DataType.UINT16: 1,
    DataType.FLOAT16: 1,
    DataType.BCD16: 1,
    DataType.BCD32: 2,
    DataType.INT32: 2,
    DataType.UINT32: 2,
    DataType.FLOAT32: 2,
    DataType.INT64: 4,
    DataType.UINT64: 4,
    DataType.FLOAT64: 4,
}
_WITH_LENGTH = frozenset({DataType.STRING, DataType.BYTES})
_UNKNOWN_HERE = frozenset({DataType.STRUCT, DataType.AUTO})


class Area(StrEnum):
    """The four tables of a Modbus device; V1.1b3 section 4.3."""

    COIL = "coil"
    DISCRETE_INPUT = "discrete-input"
    INPUT = "input-register"
    HOLDING = "holding-register"

    @property
    def function(self) -> int:
        """The function code that reads this area."""
        return _FUNCTIONS[self]

    @property
    def is_bits(self) -> bool:
        """True for coils and discrete inputs."""
        return self in {Area.COIL, Area.DISCRETE_INPUT}

    @property
    def writable(self) -> bool:
        """True for coils and holding registers."""
        return self in {Area.COIL, Area.HOLDING}


_FUNCTIONS = {Area.COIL: 1, Area.DISCRETE_INPUT: 2, Area.HOLDING: 3, Area.INPUT: 4}
_SHORT = {"C": Area.COIL, "DI": Area.DISCRETE_INPUT, "IR": Area.INPUT, "HR": Area.HOLDING}
_DIGITS = {"0": Area.COIL, "1": Area.DISCRETE_INPUT, "3": Area.INPUT, "4": Area.HOLDING}
_PREFIXES = {area: short for short, area in _SHORT.items()}


class ModbusAddress(msgspec.Struct, frozen=True, kw_only=True):
    """A tag's place and shape.

    Attributes:
        area: which table.
        offset: protocol address, 0 to 65535.
        datatype: type of one value.
        count: values in a row.
        length: room of a STRING or BYTES in bytes, else 0.
        bit: bit of a register, for a BOOL that lives in one.
        unit: unit id; None takes the connection's.
        byte_order: None takes the connection's.
        is_numbered: the offset comes from a number that counts as the connection's `address_base` says.
    """

    area: Area
    offset: int
    datatype: DataType
    count: int = 1
    length: int = 0
    bit: int | None = None
    unit: int | None = None
    byte_order: ByteOrder | None = None
    is_numbered: bool = False

    def offset_from(self, base: int) -> int:
        """The protocol address, where numbers begin with `base`, 0 or 1.

        Raises:
            AddressError: with numbers from 0, the value runs past the last address.
        """
        if base == 1 or not self.is_numbered:
            return self.offset
        if self.offset + 1 + words_of(self.datatype, self.length) * self.count > 65536:
            number = self.offset + 1
            raise AddressError(f"with address_base=0, {_PREFIXES[self.area]}{number} runs past {self.area} 65535")
        return self.offset + 1


def words_of(datatype: DataType, length: int = 0) -> int:
    """Registers that one value takes."""
    return (length + 1) // 2 if datatype in _WITH_LENGTH else _WORDS.get(datatype, 1)


def parse_modbus_address(tag: Tag) -> ModbusAddress:
    """Understand a tag's address; explicit fields of the tag and the address must agree.

    Raises:
        AddressError: no such address; the text names the right form.
        DataTypeError: the type does not fit the address.
    """
    area, offset, parts = _place(tag)
    bit = _agreed("bit", tag.bit, parts.bit)
    length = _agreed("length", tag.length, parts.length)
    count = _agreed("count", tag.count if tag.count != 1 else None, parts.count) or 1
    unit = _agreed("unit", tag.unit, parts.unit)
    order = _agreed("byte order", tag.byte_order, parts.byte_order)
    datatype = _agreed("data type", tag.datatype, parts.datatype)
    if datatype is None:
        datatype = DataType.BOOL if area.is_bits or bit is not None else DataType.UINT16
    address = ModbusAddress(
        area=area,
        offset=offset,
        datatype=datatype,
        count=count,
        length=length or 0,
        bit=bit,
        unit=unit,
        byte_order=order,
        is_numbered=tag.offset is None and parts.base is None,
    )
    _check_numbers(address, given_count=parts.count if parts.count is not None else tag.count)
    _check_type(address)
    _check_length(address, length)
    if tag.access == "rw" and not area.writable:
        raise AddressError(f"{area} can only be read; leave access at 'r', or use a coil or a holding register")
    return address


def is_modbus_address(text: str) -> bool:
    """Tell whether a text is surely meant as an address of Modbus, right or wrong: ``HR0`` and ``4x1`` are."""
    return _SURE.match(text) is not None


def _agreed(what: str, explicit: _T | None, written: _T | None) -> _T | None:
    if explicit is not None and written is not None and explicit != written:
        raise AddressError(f"the address says {what} {written}, the tag says {explicit}; keep one")
    return written if explicit is None else explicit


def _place(tag: Tag) -> tuple[Area, int, AddressParts]:
    if tag.offset is not None:
        if tag.address is not None:
            raise AddressError("give either an address, or area and offset, not both")
        if tag.area is None:
            raise AddressError("an offset needs an area, such as area=Area.HOLDING")
        return _area(tag.area), _checked_offset(tag.offset), AddressParts(head="")
    address: object = tag.address
    if isinstance(address, int) and not isinstance(address, bool) and not 0 <= address < 10**9:
        raise AddressError("expected an address of at most six digits, such as 40001 or 'HR1'")
    if isinstance(address, bool | float) or not isinstance(address, str | int):
        hint = "; write it as text, for 40001.10 and 40001.1 are the same float" if isinstance(address, float) else ""
        raise AddressError(f"expected an address such as 40001 or 'HR1', got {address!r}{hint}")
    text = str(address)
    try:
        parts = split_address(text, _HEAD)
    except AddressError as error:
        hint = hint_for(text) or "known forms are 40001, 'HR1', 'holding-register:1', '4x00001'"
        raise AddressError(f"{error}; {hint}") from None
    datatype = tag.datatype or parts.datatype
    area, number = _numbered(parts.head, datatype)
    if tag.area is not None and _area(tag.area) is not area:
        raise AddressError(f"the address is in {area}, the tag says {tag.area}; keep one")
    base = 1 if parts.base is None else parts.base
    if not base <= number < 65536 + base:
        first = f"{_PREFIXES[area]}{base}"
        hint = f"; if numbers begin with 0 there, add {{base=0}}: '{text}{{base=0}}'" if number == 0 else ""
        raise AddressError(
            f"{area} numbers run from {base} to {65535 + base}, got {number} in {address!r}; the first is "
            f"{first!r}{hint}"
        )
    return area, number - base, parts


def _area(name: str) -> Area:
    try:
        return Area(name)
    except ValueError:
        raise AddressError(f"expected area {', '.join(Area)}, got {name!r}") from None


def _checked_offset(offset: object) -> int:
    if isinstance(offset, bool) or not isinstance(offset, int) or not 0 <= offset <= 65535:
        raise AddressError(f"expected an offset of 0 to 65535, got {offset!r}")
    return offset


def _numbered(head: str, datatype: DataType | None) -> tuple[Area, int]:
    matched = _HEAD.fullmatch(head)
    assert matched is not None, "the head was cut by the same pattern"
    if matched["long"]:
        return Area(matched["long"].lower()), int(matched["long_number"])
    if matched["short"]:
        return _SHORT[matched["short"].upper()], int(matched["short_number"])
    if matched["digit"]:
        return _DIGITS[matched["digit"]], int(matched["digit_number"])
    return _plain(matched["plain"], datatype)


def _plain(digits: str, datatype: DataType | None) -> tuple[Area, int]:
    if len(digits) in {5, 6} and digits[0] in _DIGITS:
        return _DIGITS[digits[0]], int(digits[1:])
    number = int(digits)
    if 1 <= number <= 9999 and digits[0] != "0":
        if datatype is DataType.BOOL:
            return Area.COIL, number
        raise AddressError(two_meanings(digits))
    raise AddressError(
        f"cannot read address {digits!r}; write 40001, 400001 or 'HR1' for a holding register, 30001 or 'IR1' for an "
        "input register, 10001 or 'DI1' for a discrete input, 'C1' for a coil"
    )


def _check_numbers(address: ModbusAddress, *, given_count: object) -> None:
    if isinstance(given_count, bool) or not isinstance(given_count, int) or not 1 <= given_count <= 65535:
        raise AddressError(f"expected a count of at least 1 and at most 65535, got {given_count!r}")
    for name in ("unit", "bit", "length"):
        number: object = getattr(address, name)
        if number is not None and (isinstance(number, bool) or not isinstance(number, int)):
            raise AddressError(f"expected a whole number as {name}, got {number!r}")
    if address.unit is not None and not 0 <= address.unit <= 255:
        raise AddressError(f"expected a unit id of 0 to 255, got {address.unit}")
    if address.bit is not None and not 0 <= address.bit <= 15:
        raise AddressError(f"a register has bits 0 to 15, got bit {address.bit}")
    end = address.offset + words_of(address.datatype, address.length) * address.count
    if end > 65536:
        values = f"{address.count} of {address.datatype}" if address.count > 1 else f"a {address.datatype}"
        raise AddressError(f"{values} at {address.offset + 1} runs past {address.area} 65536, the last one")


def _check_type(address: ModbusAddress) -> None:
    area, datatype = address.area, address.datatype
    if datatype in _UNKNOWN_HERE:
        raise DataTypeError(f"Modbus devices do not tell their types; name one, such as UINT16, instead of {datatype}")
    if area.is_bits:
        if datatype is not DataType.BOOL or address.bit is not None:
            raise DataTypeError(f"{area} holds BOOL only, got {datatype}{'' if address.bit is None else ' with a bit'}")
    elif datatype is not DataType.BOOL:
        if address.bit is not None:
            raise DataTypeError(f"one bit of a register is a BOOL, got {datatype}")
    elif address.bit is None:
        hint = f"'{_PREFIXES[area]}{address.offset + 1}.0'"
        raise DataTypeError(f"a BOOL in {area} needs a bit of 0 to 15, such as {hint}")
    elif address.count != 1:
        raise AddressError("an array of bits of registers is not known; name each bit, or read the registers")


def _check_length(address: ModbusAddress, length: int | None) -> None:
    datatype = address.datatype
    if datatype not in _WITH_LENGTH:
        if length is not None:
            raise DataTypeError(f"a length is for STRING and BYTES, got {datatype}")
    elif length is None or not 1 <= length <= MAX_STRING_BYTES:
        text = f"a {datatype} needs a length of 1 to {MAX_STRING_BYTES} bytes, such as ':{datatype}(16)'"
        raise DataTypeError(text)
