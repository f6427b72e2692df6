"""What one read asks for: the addresses of a set of tags, in chunks, and where their values go.

In: tags. Out: chunks of addresses for the reader, places for what it brings. Pure. How the chunks become packets is the
reader's business, which knows the controller.
"""

from __future__ import annotations

from collections.abc import Sequence

from bifrost.core.value import Value
from bifrost.errors import BifrostError
from bifrost.plc.datatypes import DataType, Tag
from bifrost.plc.ethernet_ip.address import LogixAddress

__all__ = ["Chunk", "LogixPlan"]

_TAGS, _VALUES = 500, 20_000
_WIDE = frozenset({DataType.UINT64, DataType.AUTO})


class Chunk:
    """Some of the addresses of a plan, and the slot of each one's first value."""

    __slots__ = ("addresses", "slots", "total")

    def __init__(self) -> None:
        self.addresses: list[LogixAddress] = []
        self.slots: list[int] = []
        self.total = 0


class LogixPlan:
    """The requests for a set of tags; see `bifrost.plc.drivers.base.Plan`.

    Attributes:
        tags: in the caller's order.
        slots: where each tag's first value stands.
        total: how many values there are.
        wide: slots whose integers may need 64 bits without a sign.
        chunks: what is asked for in one go; a controller that is asked for too much at once answers nothing at all.
    """

    __slots__ = ("chunks", "slots", "tags", "total", "wide")

    def __init__(self, tags: Sequence[Tag]) -> None:
        self.tags = tuple(tags)
        self.slots: list[int] = []
        self.total = 0
        self.chunks: list[Chunk] = []
        wide: list[int] = []
        for tag in self.tags:
            self.slots.append(self.total)
            self._add(tag.resolved)
            if tag.resolved.datatype in _WIDE:
                wide += range(self.total, self.total + tag.resolved.count)
            self.total += tag.resolved.count
        self.wide = tuple(wide)

    def _add(self, address: LogixAddress) -> None:
        chunk = self.chunks[-1] if self.chunks else None
        if chunk is None or len(chunk.addresses) >= _TAGS or chunk.total + address.count > _VALUES:
            chunk = Chunk()
            self.chunks.append(chunk)
        chunk.addresses.append(address)
        chunk.slots.append(self.total)
        chunk.total += address.count

    def place(
        self,
        chunk: Chunk,
        outcomes: Sequence[list[Value] | BifrostError],
        values: list[Value],
        errors: dict[int, BifrostError],
    ) -> None:
        """Put what the reader brought for one of the chunks where it belongs."""
        for address, slot, outcome in zip(chunk.addresses, chunk.slots, outcomes, strict=True):
            if isinstance(outcome, list):
                values[slot : slot + address.count] = outcome
            else:
                errors.update(dict.fromkeys(range(slot, slot + address.count), outcome))
