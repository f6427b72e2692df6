"""What every device section of a settings file has in common, whatever the protocol.

In: one table of the file. Out: checked options and tags. Not here: reading the file.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Literal

import msgspec

from bifrost.core.settings import LocalPath, Problem, Settings
from bifrost.errors import ConfigError
from bifrost.plc.datatypes import ByteOrder, DataType, ProtocolType, Tag
from bifrost.plc.labels import label_clash

__all__ = [
    "NOT_OPTIONS",
    "DeviceSettings",
    "TagSettings",
    "doubled_names",
    "refuse_problems",
    "refuse_unknown",
    "settings_from_options",
]


_ACTOR_OPTIONS = ("record_counter", "on_change", "report_interval")
"""What only a device actor does; a connection by itself polls for whoever asks."""

NOT_OPTIONS = frozenset({"protocol", "tags", "tag_file", *_ACTOR_OPTIONS})
"""Settings of a device that are no options of its connection."""


class TagSettings(Settings, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One tag; every key means what it means in `bifrost.plc.datatypes.Tag`."""

    name: str
    address: str | int | None = None
    datatype: DataType | None = None
    count: int = 1
    length: int | None = None
    bit: int | None = None
    byte_order: ByteOrder | None = None
    scale: float | None = None
    offset_value: float | None = None
    clamp: tuple[float, float] | None = None
    deadband: float | None = None
    deadband_type: Literal["abs", "pct"] = "abs"
    max_age: float | None = None
    interval_ms: float | None = None
    unit: int | None = None
    area: str | None = None
    offset: int | None = None
    access: Literal["r", "rw"] = "r"
    description: str = ""

    def tag(self, protocol: str | None = None) -> Tag:
        """Make the tag.

        Raises:
            ConfigError: the address or type is wrong.
        """
        return Tag(
            self.name,
            self.address,
            self.datatype,
            count=self.count,
            length=self.length,
            bit=self.bit,
            byte_order=self.byte_order,
            scale=self.scale,
            offset_value=self.offset_value,
            clamp=self.clamp,
            deadband=self.deadband,
            deadband_type=self.deadband_type,
            max_age=self.max_age,
            interval_ms=self.interval_ms,
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
        overall_timeout: seconds for a whole read, all its requests together, 0.01 to 600; then every tag of it is
            BAD_TIMEOUT. Default: none, each request has its own deadline.
        backoff_min: seconds before the first attempt to connect again; default 0.1. Doubles with each failure.
        backoff_max: most seconds between two attempts; default 30.
        interval_ms: milliseconds between two polls, 1 to 86,400,000; default 1000.
        source_time: name of a tag that carries the device's own clock; it then dates the other tags of its poll.
        source_time_unit: what that clock counts since 1970, UTC.
        on_change: publish only values that changed, deadbands considered; default false.
        report_interval: with `on_change`: seconds after which every value is published all the same; None: never.
        record_counter: name of a tag in which the device numbers its records; a record read twice is published once.
        tags: what to read.
        tag_file: a CSV or TOML file with more tags (`bifrost.plc.tag_files`); a settings file takes a relative one from
            its own folder. It is read with the settings, and its tags then stand in `tags`.
    """

    protocol: str = ProtocolType.MODBUS_TCP.value
    timeout: float = 1.0
    connect_timeout: float = 3.0
    overall_timeout: float | None = None
    backoff_min: float = 0.1
    backoff_max: float = 30.0
    interval_ms: float = 1000.0
    source_time: str | None = None
    source_time_unit: Literal["s", "ms", "us", "ns"] = "s"
    record_counter: str | None = None
    on_change: bool = False
    report_interval: float | None = None
    tags: Sequence[TagSettings] = ()
    tag_file: LocalPath | None = None

    def plc_tags(self) -> tuple[Tag, ...]:
        """The tags, made.

        Raises:
            ConfigError: one of them is wrong.
        """
        return tuple(map(self.make_tag, self.tags))

    def make_tag(self, settings: TagSettings) -> Tag:
        """Make one tag, as the device's own options want its address read.

        Raises:
            ConfigError: it is wrong.
        """
        return settings.tag(self.protocol)

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
        if self.overall_timeout is not None and not 0.01 <= self.overall_timeout <= 600:
            text = f"expected overall_timeout from 0.01 to 600, got {self.overall_timeout:g}"
            yield Problem(("overall_timeout",), text)
        if self.report_interval is not None and not 0.001 <= self.report_interval <= 86_400:
            text = f"expected report_interval from 0.001 to 86400 seconds, got {self.report_interval:g}"
            yield Problem(("report_interval",), text)
        if self.report_interval is not None and not self.on_change:
            yield Problem(
                ("report_interval",), "report_interval is for on_change = true; every poll is published without"
            )
        yield from self._tag_problems()

    def _tag_problems(self) -> Iterable[Problem]:
        names = [settings.name for settings in self.tags]
        yield from doubled_names(names)
        made = []
        for index, settings in enumerate(self.tags):
            try:
                made.append(self.make_tag(settings))
            except ConfigError as error:
                yield Problem(("tags", index), str(error))
        if (clash := label_clash(made)) is not None:
            yield Problem(("tags",), clash)
        for key in ("source_time", "record_counter"):
            name = getattr(self, key)
            # Whatever is in a file of tags is known only when that was read.
            if name is not None and name not in names and self.tag_file is None:
                yield Problem((key,), f"expected the name of one of this device's tags, got {name!r}")


def doubled_names(names: Iterable[str | None]) -> Iterator[Problem]:
    """Tell the tags of a device whose name another tag before them has; None stands for a tag without a name."""
    seen: dict[str, int] = {}
    for index, name in enumerate(names):
        if name is not None and seen.setdefault(name, index) != index:
            text = f"tag name {name!r} is taken by tag {seen[name] + 1} of this device"
            yield Problem(("tags", index, "name"), text)


def settings_from_options(
    settings: type[Settings], protocol: str, options: Mapping[str, object], *, lax: bool = False
) -> DeviceSettings:
    """Make a protocol's settings from keyword options; the tags are given elsewhere.

    Args:
        settings: the protocol's settings type.
        protocol: its name.
        options: by name.
        lax: read numbers and truth values from text, too.

    Raises:
        ConfigError: an option is unknown, of the wrong type, or out of range; all are in `.mistakes`.
    """
    refuse_unknown(options, settings, protocol)
    try:
        made = msgspec.convert({"protocol": protocol, **options}, settings, strict=not lax)
    except msgspec.ValidationError as error:
        raise ConfigError(f"wrong option for {protocol}: {_lowered(str(error))}") from None
    if not isinstance(made, DeviceSettings):
        raise ConfigError(f"the settings of {protocol} are no DeviceSettings; this is a defect of its plug-in")
    # The settings know no tags here: they are given to the connection beside them, and looked at there.
    refuse_problems(made, but=("source_time",))
    return made


def refuse_unknown(
    options: Iterable[str], settings: type[Settings], protocol: str, *, short: Collection[str] = ()
) -> None:
    """Raise `ConfigError` with every option that the settings of a protocol do not know.

    Args:
        options: their names.
        settings: the protocol's settings type.
        protocol: its name.
        short: other names that will do.
    """
    known = {field.name for field in msgspec.structs.fields(settings)} - NOT_OPTIONS
    mistakes = []
    for key in options:
        if key in known or key in short:
            continue
        if key in _ACTOR_OPTIONS:
            mistakes.append(f"option {key} is for devices of a gateway; a connection publishes nothing by itself")
            continue
        import difflib

        close = difflib.get_close_matches(key, [*short, *known], n=1)
        hint = f"did you mean {close[0]}" if close else f"known are {', '.join(sorted({*short, *known}))}"
        mistakes.append(f"unknown option {key} for {protocol}; {hint}")
    if mistakes:
        raise ConfigError("; ".join(mistakes), mistakes=mistakes)


def _lowered(text: str) -> str:
    return text[:1].lower() + text[1:]


def refuse_problems(settings: DeviceSettings, *, but: tuple[str, ...] = ()) -> None:
    """Raise `ConfigError` with everything that is wrong with the settings, except at the place `but`."""
    mistakes = [problem.text for problem in settings.problems() if problem.path != but]
    if mistakes:
        raise ConfigError("; ".join(mistakes), mistakes=mistakes)
