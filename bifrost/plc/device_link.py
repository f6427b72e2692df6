"""The life of a connection to one device: made, started, kept alive, closed; and what it is called.

In: options, a URL, a table of settings. Out: a link that mends itself. Not here: reading and writing, which is
`bifrost.plc.connection`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Self

from bifrost.core.clock import Clock, SystemClock
from bifrost.errors import ConfigError
from bifrost.plc.datatypes import DataType, ProtocolType, Tag
from bifrost.plc.device_table import device_from_file, device_from_table, with_tag_file
from bifrost.plc.drivers.registry import protocol_named
from bifrost.plc.prepared import PreparedReads, tags_by_name
from bifrost.plc.reconnect import LinkKeeper, LinkState, StateChange
from bifrost.plc.settings import NOT_OPTIONS, DeviceSettings, refuse_problems, settings_from_options
from bifrost.plc.url import options_from_url

__all__ = ["DeviceLink"]


class DeviceLink:
    """What `bifrost.plc.connection.PLCConnection` is made of; see there."""

    def __init__(
        self,
        protocol: str = ProtocolType.MODBUS_TCP,
        *,
        name: str | None = None,
        tags: Sequence[Tag] = (),
        clock: Clock | None = None,
        lax: bool = False,
        **options: object,
    ) -> None:
        spec = protocol_named(protocol)
        settings = settings_from_options(spec.settings, spec.name, options, lax=lax)
        self._name = name
        self._settings = settings
        self._clock: Clock = clock or SystemClock()
        # Every address is understood by this protocol from here on, or refused before anything is opened.
        self._tags = tags_by_name(tags, spec)
        if settings.source_time is not None and self._tags and settings.source_time not in self._tags:
            raise ConfigError(f"expected source_time to name one of the tags, got {settings.source_time!r}")
        create = spec.create
        planner = create(settings, self._clock)
        self._plans = PreparedReads(spec, planner, self._tags, name=name, clock_tag=settings.source_time)
        self._keeper = LinkKeeper(
            lambda: create(settings, self._clock),
            clock=self._clock,
            connect_timeout=settings.connect_timeout,
            backoff=(settings.backoff_min, settings.backoff_max),
        )

    @classmethod
    def from_settings(cls, settings: DeviceSettings, *, name: str | None = None, clock: Clock | None = None) -> Self:
        """Make a connection from a checked section of a settings file; its tags come along.

        Raises:
            ConfigError: the settings have problems; all are in `.mistakes`.
        """
        refuse_problems(settings)
        settings = with_tag_file(settings)
        options = {key: getattr(settings, key) for key in settings.__struct_fields__ if key not in NOT_OPTIONS}
        made = cls(settings.protocol, name=name, tags=settings.plc_tags(), clock=clock, **options)
        made._settings = settings  # with what is for a device actor, too
        return made

    @classmethod
    def from_url(
        cls,
        url: str,
        *,
        name: str | None = None,
        tags: Sequence[Tag] = (),
        clock: Clock | None = None,
        **options: object,
    ) -> Self:
        """Make a connection from a URL such as ``modbus-tcp://192.0.2.7:502?unit=1``.

        Args:
            url: protocol, place and options; see the page of each protocol.
            name: as for the class.
            tags: as for the class.
            clock: as for the class.
            options: further ones; they may not contradict the URL.

        Raises:
            ConfigError: the URL or an option is wrong. Nothing was opened.
        """
        spec, found = options_from_url(url)
        if twice := sorted(found.keys() & options.keys()):
            raise ConfigError(f"option {twice[0]} is in the URL and beside it; keep one")
        return cls(spec.name, name=name, tags=tags, clock=clock, lax=True, **found, **options)

    @classmethod
    def from_config(
        cls, config: Mapping[str, object] | str | Path, name: str | None = None, *, clock: Clock | None = None
    ) -> Self:
        """Make a connection from a table of settings, or from a TOML file that has one.

        Args:
            config: the keys of a ``[devices.<name>]`` section, tags included; or the path of a TOML file with sections
                ``[devices.<name>]`` or ``[plc.<name>]``.
            name: which section of the file, if there are several; else what the device is called.
            clock: as for the class.

        Raises:
            ConfigError: the file or the settings are wrong; all mistakes are in `.mistakes`. Nothing was opened.
        """
        if isinstance(config, Mapping):
            return cls.from_settings(device_from_table(config), name=name, clock=clock)
        name, settings = device_from_file(config, name)
        return cls.from_settings(settings, name=name, clock=clock)

    async def __aenter__(self) -> Self:
        """Start, and wait for the first attempt to connect; a device that is not there is no error here."""
        self.start()
        try:
            await self._keeper.first_attempt()
        except BaseException:
            await self.aclose()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        """Close."""
        await self.aclose()

    def start(self, *, retry_all: bool = False) -> None:
        """Begin to connect and to reconnect; returns at once.

        Args:
            retry_all: try again, too, what somebody has to mend first: a missing extra, options that contradict those
                of another connection to the same place. It is an outage then, and is not raised.
        """
        self._keeper.start(retry_all=retry_all)

    async def wait_connected(self, *, timeout: float = 5.0) -> None:
        """Wait until the link is up.

        Raises:
            NotConnected: it did not come up within `timeout` seconds; the text says why. Attempts go on.
        """
        await self._keeper.wait_connected(timeout=timeout)

    async def aclose(self) -> None:
        """Close for good, within about a second; idempotent."""
        await self._keeper.aclose()

    async def close(self) -> None:
        """Close; the same as `aclose`."""
        await self.aclose()

    @property
    def name(self) -> str | None:
        """The device's name."""
        return self._name

    @property
    def tags(self) -> tuple[Tag, ...]:
        """The tags that were given to the connection."""
        return tuple(self._tags.values())

    def tag(self, name: str, address: str | int | None = None, datatype: DataType | None = None, **fields: Any) -> Tag:
        """Make a tag whose address is one of this connection's protocol.

        Args:
            name: as for `Tag`, like what follows.
            address: in a form of this protocol.
            datatype: None takes the one in the address.
            fields: the others of `Tag`.

        Raises:
            AddressError: the protocol knows no such address.
            DataTypeError: the type does not fit it.
        """
        return Tag(name, address, datatype, protocol=self._settings.protocol, **fields)

    @property
    def settings(self) -> DeviceSettings:
        """The options, defaults included."""
        return self._settings

    @property
    def state(self) -> LinkState:
        """Where the link stands."""
        return self._keeper.state

    @property
    def last_error(self) -> str:
        """Why the link is, or last was, down."""
        return self._keeper.reason

    def on_state_change(self, callback: Callable[[StateChange], None]) -> Callable[[], None]:
        """Call `callback` in the loop after every change of state; returns a function that ends that."""
        return self._keeper.on_change(callback)
