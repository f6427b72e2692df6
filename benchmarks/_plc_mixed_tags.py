"""A thousand tags of a plant as its Modbus map has them: all types, both word orders, some scaled, no holes.

In: nothing. Out: the tags for bifrost, the same fields for pymodbus, and the registers that give each a plain value.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from pymodbus.client import AsyncModbusTcpClient
from pymodbus.client.mixin import ModbusClientMixin

from bifrost.plc import ByteOrder, DataType, Tag

__all__ = ["COUNT", "Field", "mixed_fields", "seed"]

COUNT = 1_000
"""Tags in all."""
_MACHINES = 50
_STRINGS = 10
_STRING_BYTES = 16
_WRITE = 100

# One machine: what stands one after the other in its registers.
_MACHINE: tuple[tuple[DataType, ByteOrder, float | None], ...] = (
    *((DataType.UINT16, ByteOrder.ABCD, None),) * 5,
    *((DataType.INT16, ByteOrder.ABCD, 0.1),) * 2,
    (DataType.INT16, ByteOrder.ABCD, None),
    *((DataType.FLOAT32, ByteOrder.ABCD, None),) * 3,
    *((DataType.FLOAT32, ByteOrder.CDAB, None),) * 2,
    (DataType.UINT32, ByteOrder.ABCD, None),
    (DataType.UINT32, ByteOrder.CDAB, None),
    (DataType.INT32, ByteOrder.CDAB, 0.001),
    (DataType.INT64, ByteOrder.ABCD, None),
    (DataType.FLOAT64, ByteOrder.ABCD, None),
)


@dataclass(frozen=True, slots=True)
class Field:
    """One tag, for both clients.

    Attributes:
        tag: as bifrost takes it.
        offset: protocol address, from 0.
        words: registers that it takes; 0 for a coil.
        kind: pymodbus's name for its type; None for a coil.
        order: of its words, as pymodbus calls it.
        scale: factor, or None.
        value: what it holds, before the factor.
    """

    tag: Tag
    offset: int
    words: int
    kind: ModbusClientMixin.DATATYPE | None
    order: Literal["big", "little"]
    scale: float | None
    value: bool | int | float | str


def mixed_fields() -> list[Field]:
    """The map: `COUNT` fields without a hole between them, in the order of their addresses."""
    fields = list(_registers())
    for offset in range(COUNT - len(fields)):
        tag = Tag(f"running{offset}", f"coil:{offset + 1}", DataType.BOOL)
        fields.append(Field(tag, offset, 0, None, "big", None, offset % 3 == 0))
    return fields


def _registers() -> Iterator[Field]:
    offset = 0
    for machine in range(_MACHINES):
        for index, (datatype, order, scale) in enumerate(_MACHINE):
            kind = ModbusClientMixin.DATATYPE[datatype.value]
            words = kind.value[1]
            tag = Tag(f"m{machine}.{index}", f"HR{offset + 1}", datatype, byte_order=order, scale=scale)
            number = machine * 100 + index
            value = number + 0.5 if datatype in {DataType.FLOAT32, DataType.FLOAT64} else number
            yield Field(tag, offset, words, kind, "little" if order is ByteOrder.CDAB else "big", scale, value)
            offset += words
    for number in range(_STRINGS):
        tag = Tag(f"order{number}", f"HR{offset + 1}", DataType.STRING, length=_STRING_BYTES)
        yield Field(
            tag, offset, _STRING_BYTES // 2, ModbusClientMixin.DATATYPE.STRING, "big", None, f"order {number:06}"
        )
        offset += _STRING_BYTES // 2


async def seed(port: int, fields: list[Field]) -> None:
    """Write every field's value into the server, by pymodbus."""
    client = AsyncModbusTcpClient("127.0.0.1", port=port)
    assert await client.connect()
    words: list[int] = []
    coils: list[bool] = []
    for field in fields:
        if field.kind is None:
            coils.append(bool(field.value))
        else:
            encoded = client.convert_to_registers(field.value, field.kind, word_order=field.order)
            words += encoded + [0] * (field.words - len(encoded))
    for at in range(0, len(words), _WRITE):
        assert not (await client.write_registers(at, words[at : at + _WRITE], device_id=1)).isError()
    assert not (await client.write_coils(0, coils, device_id=1)).isError()
    client.close()
