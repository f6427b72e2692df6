"""The seam between a protocol and everything above it.

In: tags. Out: values with a status each. A driver knows one protocol and nothing else: no reconnecting, no polling, no
actors, no logging policy. `bifrost.plc.connection.PLCConnection` adds those.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, Protocol

import msgspec

from bifrost.core.clock import Clock
from bifrost.core.settings import Settings
from bifrost.core.value import Value
from bifrost.errors import BifrostError
from bifrost.plc.datatypes import DataType, Tag

__all__ = [
    "Address",
    "BrowsedTag",
    "BrowsingDriver",
    "Capabilities",
    "DeviceInfo",
    "Driver",
    "FoundDevice",
    "MergingDriver",
    "Plan",
    "ProtocolSpec",
    "Readings",
    "WriteItem",
]


class Capabilities(msgspec.Struct, frozen=True, kw_only=True):
    """What a protocol can do; limits are in values of its own unit, 0 for none.

    Attributes:
        write: values can be written.
        browse: the driver is a `BrowsingDriver`.
        merge_writes: the driver is a `MergingDriver`.
        max_in_flight: requests that may be on their way at a time.
        max_read_words: registers in one request.
        max_read_bits: bits in one request.
    """

    write: bool = True
    browse: bool = False
    merge_writes: bool = False
    max_in_flight: int = 1
    max_read_words: int = 0
    max_read_bits: int = 0


class DeviceInfo(msgspec.Struct, frozen=True):
    """What is known about the device after connecting."""

    endpoint: str
    description: str = ""


class BrowsedTag(msgspec.Struct, frozen=True, kw_only=True):
    """One value that a device says it has.

    Attributes:
        name: what the device calls it.
        address: what a `Tag` takes to read it.
        datatype: None if the protocol does not tell.
        count: values in a row.
        access: ``r`` if it can only be read.
        description: the device's own words.
        type_name: the device's own name of the type.
    """

    name: str
    address: str
    datatype: DataType | None = None
    count: int = 1
    access: Literal["r", "rw"] = "rw"
    description: str = ""
    type_name: str = ""


class FoundDevice(msgspec.Struct, frozen=True, kw_only=True):
    """A device that answered a search.

    Attributes:
        protocol: name of the protocol it answered.
        endpoint: where, such as ``192.0.2.7:502``.
        url: what `PLCConnection.from_url` takes.
        name: what it calls itself, such as its product name.
        vendor: who made it.
        description: what else it said.
        unit_id: which unit answered behind a Modbus endpoint.
    """

    protocol: str
    endpoint: str
    url: str
    name: str = ""
    vendor: str = ""
    description: str = ""
    unit_id: int | None = None


class Address(Protocol):
    """What a protocol made of a tag's address."""

    @property
    def datatype(self) -> DataType:
        """The type of one value."""
        ...

    @property
    def count(self) -> int:
        """Values in a row."""
        ...


class Plan(Protocol):
    """The requests for a set of tags; made once, used for every read."""

    @property
    def tags(self) -> Sequence[Tag]:
        """The tags, in the caller's order."""
        ...

    @property
    def slots(self) -> Sequence[int]:
        """Where each tag's first value stands in `Readings.values`: in the order of the tags, without holes."""
        ...

    @property
    def total(self) -> int:
        """How many values there are: an array of n counts n."""
        ...

    @property
    def wide(self) -> Sequence[int]:
        """Slots whose integers may need 64 bits without a sign."""
        ...


class Readings:
    """What one read brought: a flat list of values, arrays spread out.

    Attributes:
        values: one for each slot of the plan; None where the status is BAD.
        arrived_ns: when the last answer came; ns since 1970, UTC.
        status: one OPC UA status code for each slot, or None if all are GOOD.
        errors: for each slot that is not GOOD, why.
    """

    __slots__ = ("arrived_ns", "errors", "status", "values")

    def __init__(
        self,
        values: list[Value],
        arrived_ns: int,
        status: list[int] | None = None,
        errors: Mapping[int, BifrostError] | None = None,
    ) -> None:
        self.values = values
        self.arrived_ns = arrived_ns
        self.status = status
        self.errors: Mapping[int, BifrostError] = errors or {}


class WriteItem(msgspec.Struct, frozen=True):
    """One value to write, checked and encoded: nothing can be wrong with it but the device.

    Attributes:
        tag: the tag; of merged items the first one's.
        request: what the protocol sends, in a form of its own.
        unit: unit id, where the protocol has units.
    """

    tag: Tag
    request: Any
    unit: int = 0


class Driver(Protocol):
    """One link to one device, alive from `connect` to `aclose` or to its loss; it is not used again after that."""

    capabilities: Capabilities

    @property
    def degraded(self) -> bool:
        """True while part of the device does not answer."""
        ...

    def plan(self, tags: Sequence[Tag]) -> Any:
        """Plan a read; pure. The caller keeps the plan; it stays valid for the next driver of the same settings."""
        ...

    def prepare(self, tag: Tag, value: object) -> WriteItem:
        """Check and encode a value; pure. It is raw: `Tag.scale` and the like were undone by the connection.

        Raises:
            DataTypeError: it does not fit the tag.
            ConfigError: the tag may not be written.
        """
        ...

    async def connect(self, *, timeout: float, on_lost: Callable[[BifrostError], None]) -> DeviceInfo:
        """Open the link; `on_lost` is called once if it ends by itself.

        Raises:
            LinkError: not reachable; try again later with a new driver.
        """
        ...

    async def read(self, plan: Any, *, timeout: float) -> Readings:
        """Read everything in the plan; each request has `timeout` seconds. The values are raw, as the device has them.

        Raises:
            NotConnected: the link is gone. Any other trouble is a status in the readings.
        """
        ...

    async def write(self, item: WriteItem, *, timeout: float) -> None:
        """Write one value; sent once at most.

        Raises:
            NotConnected: nothing was sent.
            DeviceFault: the device refused.
            WriteError: it was sent and no answer came: `unknown_outcome`.
        """
        ...

    async def aclose(self) -> None:
        """End the link; idempotent."""
        ...

    def counters(self) -> Mapping[str, int]:
        """What happened on this link so far, by name.

        Names that mean the same for every protocol: ``timeouts``, ``exceptions`` (refusals by the device),
        ``late_answers``, ``crc_errors``, and ``answered_below_64_us`` and other powers of 2: round trips, each without
        those of the smaller ones. `bifrost.plc.stats.ConnectionStats` has properties for them.
        """
        ...


class BrowsingDriver(Driver, Protocol):
    """A driver whose device tells what it has."""

    async def browse(self, *, timeout: float) -> Sequence[BrowsedTag]:
        """List the device's values; each request has `timeout` seconds.

        Raises:
            LinkError: the link is gone, or there was no answer in time.
            DeviceFault: the device refused.
        """
        ...


class MergingDriver(Driver, Protocol):
    """A driver that can write several neighbouring values with one request."""

    def merge(self, items: Sequence[WriteItem]) -> Sequence[WriteItem]:
        """Join neighbours in the given order into as few items as there can be; pure."""
        ...


class ProtocolSpec(msgspec.Struct, frozen=True, kw_only=True):
    """What a protocol brings to the registry; an entry point of group ``bifrost.plc.protocols`` names one.

    Attributes:
        name: as settings write it, such as ``modbus-tcp``.
        default_port: where its devices listen.
        settings: the type of its section in a settings file; its fields are also the connection's options.
        parse_address: understands a tag's address; pure; raises `AddressError` or `DataTypeError`.
        create: makes a driver that is not connected yet.
        url_host: the option that takes the host of a URL; None: its URLs have none.
        url_path: the option that takes the path of a URL, without the leading ``/`` unless there is no host.
        url_names: short names in a URL's query, and the options they stand for.
        recognises: tells whether a text is surely meant as an address of this protocol, right or wrong.
        discover: ``package.module:attribute`` of an async generator function that takes ``(target, *, timeout,
            **options)``, yields `FoundDevice`s and never writes.
        extra: the extra of bifrost that installs what the protocol needs.
    """

    name: str
    default_port: int
    settings: type[Settings]
    parse_address: Callable[[Tag], Any]
    create: Callable[[Any, Clock], Driver]
    url_host: str | None = "host"
    url_path: str | None = None
    url_names: Mapping[str, str] = {}
    recognises: Callable[[str], bool] | None = None
    discover: str | None = None
    extra: str | None = None
