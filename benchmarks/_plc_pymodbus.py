"""The mixed read as a user of pymodbus writes it: the same requests, then its own helpers, tag by tag.

In: fields, the requests' boundaries. Out: one dictionary of values for each read.
"""

from __future__ import annotations

from collections.abc import Sequence

from pymodbus.client import AsyncModbusTcpClient
from pymodbus.pdu import ModbusPDU

from benchmarks._plc_mixed_tags import Field

__all__ = ["PymodbusReader", "Span"]

Span = tuple[int, int, int]
"""Read function, first address, quantity: one request."""

_READ_COILS = 1

Value = bool | int | float | str | list[bool] | list[int] | list[float]


class PymodbusReader:
    """A client with its plan made before, as bifrost's is."""

    def __init__(self, client: AsyncModbusTcpClient, fields: Sequence[Field], spans: Sequence[Span]) -> None:
        self._client = client
        self._parts = [(span, [field for field in fields if _lies_in(field, span)]) for span in spans]
        assert sum(len(inside) for _, inside in self._parts) == len(fields)

    async def read(self) -> dict[str, Value]:
        """Read all fields."""
        values: dict[str, Value] = {}
        for answer, (span, fields) in zip(await self.fetch(), self._parts, strict=True):
            self._convert(answer, span, fields, values)
        return values

    async def fetch(self) -> list[ModbusPDU]:
        """Read all blocks and convert nothing."""
        client = self._client
        return [
            await client.read_coils(address, count=quantity, device_id=1)
            if function == _READ_COILS
            else await client.read_holding_registers(address, count=quantity, device_id=1)
            for (function, address, quantity), _ in self._parts
        ]

    def _convert(self, answer: ModbusPDU, span: Span, fields: list[Field], values: dict[str, Value]) -> None:
        convert = self._client.convert_from_registers
        first, registers, bits = span[1], answer.registers, answer.bits
        for field in fields:
            begin = field.offset - first
            if field.kind is None:
                values[field.tag.name] = bits[begin]
                continue
            value = convert(registers[begin : begin + field.words], field.kind, word_order=field.order)
            if field.scale is not None and isinstance(value, int):
                value = value * field.scale
            values[field.tag.name] = value


def _lies_in(field: Field, span: Span) -> bool:
    function, address, quantity = span
    return (field.kind is None) == (function == _READ_COILS) and address <= field.offset < address + quantity
