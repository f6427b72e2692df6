"""Values to write, as requests: everything that can be wrong with a value is found here, before any I/O.

In: a tag and a raw value. Out: a `WriteItem`. Pure.
Obeys: V1.1b3 sections 6.5, 6.6, 6.11, 6.12, 6.16.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, TypeAlias

import msgspec

from bifrost._native import modbus_encode_value, modbus_mask_write_request, modbus_write_request
from bifrost.errors import ConfigError, DataTypeError
from bifrost.plc.datatypes import ByteOrder, Tag
from bifrost.plc.drivers.base import WriteItem
from bifrost.plc.drivers.writable import elements_to_write
from bifrost.plc.modbus.address import ModbusAddress

__all__ = ["MAX_WRITE_BITS", "MAX_WRITE_REGISTERS", "BitsWrite", "ValuesWrite", "WriteSingle", "encode_write_item"]

MAX_WRITE_REGISTERS = 123
MAX_WRITE_BITS = 1968

WriteSingle: TypeAlias = Literal["auto", "6", "16"]
"""Which function writes one register: 6, or 16 as for several. ``6`` never uses 16; coils follow with 5 and 15."""


class ValuesWrite(msgspec.Struct, frozen=True):
    """Neighbouring coils or registers to write.

    Attributes:
        bits: coils, not registers.
        address: of the first, from 0.
        values: one for each: true or false, or a word.
        pdu: the request.
    """

    bits: bool
    address: int
    values: tuple[int, ...]
    pdu: bytes

    @classmethod
    def of(cls, bits: bool, address: int, values: Sequence[int], single: WriteSingle) -> ValuesWrite:
        """Make the request; function 5 or 6 for one value, 15 or 16 for more, as `single` allows."""
        if bits:
            function = 5 if len(values) == 1 and single != "16" else 15
        else:
            function = 6 if len(values) == 1 and single != "16" else 16
        if len(values) > 1 and single == "6":
            what = "coils" if bits else "registers"
            raise ConfigError(
                f"expected one value, for write_single is '6' and the device takes no more; got {len(values)} {what}"
            )
        return cls(bits, address, tuple(values), modbus_write_request(function, address, values))


class BitsWrite(msgspec.Struct, frozen=True):
    """Bits of one register to write, and the others to leave alone.

    Attributes:
        address: of the register, from 0.
        and_mask: bits that stay.
        or_mask: what the others become.
    """

    address: int
    and_mask: int
    or_mask: int

    @property
    def pdu(self) -> bytes:
        """The request, function 22."""
        return modbus_mask_write_request(self.address, self.and_mask, self.or_mask)

    def applied_to(self, word: int) -> int:
        """What the register becomes; V1.1b3 section 6.16."""
        return (word & self.and_mask) | (self.or_mask & ~self.and_mask & 0xFFFF)


def encode_write_item(
    tag: Tag,
    value: object,
    *,
    unit: int,
    byte_order: ByteOrder,
    single: WriteSingle = "auto",
    most: int = MAX_WRITE_REGISTERS,
    base: int = 1,
) -> WriteItem:
    """Check and encode a raw value.

    Args:
        tag: the tag.
        value: a value, or a list of them for an array.
        unit: for tags that name none.
        byte_order: for tags that name none.
        single: see `WriteSingle`.
        most: registers in one request.
        base: number of the first register in numbered addresses, 0 or 1.

    Raises:
        ConfigError: the tag may not be written.
        DataTypeError: the value does not fit the tag.
    """
    address: ModbusAddress = tag.resolved
    values = elements_to_write(tag, value)
    unit = unit if address.unit is None else address.unit
    request: ValuesWrite | BitsWrite
    try:
        offset = address.offset_from(base)
        if address.bit is not None:
            request = _bit(offset, address.bit, values[0])
        elif address.area.is_bits:
            request = ValuesWrite.of(True, offset, [_truth(value) for value in values], single)
        else:
            words = _words(address, values, address.byte_order or byte_order, most)
            request = ValuesWrite.of(False, offset, words, single)
    except ConfigError as error:
        raise type(error)(f"tag {tag.name!r}: {error}") from None
    return WriteItem(tag, request, unit)


def _truth(value: object) -> bool:
    if not isinstance(value, bool):
        raise DataTypeError(f"expected True or False for BOOL, got {value!r}")
    return value


def _bit(offset: int, bit: int, value: object) -> BitsWrite:
    mask = 1 << bit
    return BitsWrite(offset, 0xFFFF ^ mask, mask if _truth(value) else 0)


def _words(address: ModbusAddress, values: list[object], order: ByteOrder, most: int) -> list[int]:
    words: list[int] = []
    for value in values:
        words += modbus_encode_value(value, address.datatype.value, order.value, address.length)
    if len(words) > most:
        raise ConfigError(f"expected at most {most} registers in one write, got {len(words)}; split the tag")
    return words
