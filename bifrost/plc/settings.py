"""What every device section of a settings file has in common, whatever the protocol.

In: one table of the file. Out: checked options and tags. Not here: reading the file.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Literal

from bifrost.core.settings import Problem, Settings
from bifrost.errors import ConfigError
from bifrost.plc.datatypes import ByteOrder, DataType, ProtocolType, Tag

__all__ = ["DeviceSettings", "TagSettings"]


class TagSettings(Settings, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One tag; every key means what it means in `bifrost.plc.datatypes.Tag`."""

    name: str
    address: str | int | None = None
    datatype: str | None = None
    count: int = 1
    length: int | None = None
    bit: int | None = None
    byte_order: str | None = None
    scale: float | None = None
    offset_value: float | None = None
    unit: int | None = None
    area: str | None = None
    offset: int | None = None
    access: Literal["r", "rw"] = "r"
    description: str = ""

    def tag(self, protocol: str) -> Tag:
        """Make the tag.

        Raises:
            ConfigError: the address or type is wrong.
        """
        return Tag(
            self.name,
            self.address,
            None if self.datatype is None else DataType(self.datatype),
            count=self.count,
            length=self.length,
            bit=self.bit,
            byte_order=None if self.byte_order is None else ByteOrder(self.byte_order),
            scale=self.scale,
            offset_value=self.offset_value,
            unit=self.unit,
            area=self.area,
            offset=self.offset,
            access=self.access,
            protocol=protocol,
            description=self.description,
        )


class DeviceSettings(Settings, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One device.

    Attributes:
        protocol: name of the protocol.
        timeout: seconds from a request to its answer, 0.01 to 60; default 1.
        connect_timeout: seconds for the link to come up, 0.01 to 60; default 3.
        backoff_min: seconds before the first attempt to connect again; default 0.1. Doubles with each failure.
        backoff_max: most seconds between two attempts; default 30.
        interval_ms: milliseconds between two polls, 1 to 86,400,000; default 1000.
        source_time: name of a tag that carries the device's own clock; it then dates the other tags of its poll.
        source_time_unit: what that clock counts since 1970, UTC.
        record_counter: name of a tag in which the device numbers its records; a record read twice is published once.
        tags: what to read.
    """

    protocol: str = ProtocolType.MODBUS_TCP.value
    timeout: float = 1.0
    connect_timeout: float = 3.0
    backoff_min: float = 0.1
    backoff_max: float = 30.0
    interval_ms: float = 1000.0
    source_time: str | None = None
    source_time_unit: Literal["s", "ms", "us", "ns"] = "s"
    record_counter: str | None = None
    tags: Sequence[TagSettings] = ()

    def plc_tags(self) -> tuple[Tag, ...]:
        """The tags, made.

        Raises:
            ConfigError: one of them is wrong.
        """
        return tuple(settings.tag(self.protocol) for settings in self.tags)

    def problems(self) -> Iterable[Problem]:
        """Ranges, addresses, and names that come twice."""
        ranges = {
            "timeout": (0.01, 60.0),
            "connect_timeout": (0.01, 60.0),
            "backoff_min": (0.05, 3600.0),
            "backoff_max": (self.backoff_min, 3600.0),
            "interval_ms": (1.0, 86_400_000.0),
        }
        for key, (low, high) in ranges.items():
            value = getattr(self, key)
            if not low <= value <= high:
                yield Problem((key,), f"expected {key} from {low:g} to {high:g}, got {value:g}")
        yield from self._tag_problems()

    def _tag_problems(self) -> Iterable[Problem]:
        seen: dict[str, int] = {}
        for index, settings in enumerate(self.tags):
            if settings.name in seen:
                text = f"tag name {settings.name!r} is taken by tag {seen[settings.name] + 1} of this device"
                yield Problem(("tags", index, "name"), text)
            seen.setdefault(settings.name, index)
            try:
                settings.tag(self.protocol)
            except ConfigError as error:
                yield Problem(("tags", index), str(error))
        for key in ("source_time", "record_counter"):
            name = getattr(self, key)
            if name is not None and name not in seen:
                yield Problem((key,), f"expected the name of one of this device's tags, got {name!r}")
