"""One device, for people and for the device actor: read, write, poll; the link is kept alive underneath.

In: tags. Out: readings, batches. Device trouble is a quality of the values, never an exception of a read of many tags.
Not here: any protocol (`bifrost.plc.drivers`), any actor.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from typing import Any, Self

from bifrost.core.batch import Batch
from bifrost.core.clock import Clock, SystemClock
from bifrost.core.quality import StatusCode
from bifrost.core.value import Value
from bifrost.errors import BifrostError, ConfigError, NotConnected
from bifrost.plc.datatypes import ProtocolType, Tag
from bifrost.plc.drivers.base import Driver
from bifrost.plc.drivers.registry import protocol_named
from bifrost.plc.prepared import PreparedRead, PreparedReads
from bifrost.plc.readings import TagReadings
from bifrost.plc.reconnect import LinkKeeper, LinkState, StateChange
from bifrost.plc.settings import DeviceSettings, refuse_problems, settings_from_options
from bifrost.plc.source_time import SourceTime
from bifrost.plc.stats import ConnectionStats
from bifrost.plc.ticker import Ticker

__all__ = ["PLCConnection"]

_I64_MAX = 2**63 - 1


class PLCConnection:
    """A connection to one device that mends itself.

    ```python
    async with PLCConnection(protocol=ProtocolType.MODBUS_TCP, host="192.0.2.7") as plc:
        print(await plc.read(Tag("speed", "HR1", DataType.UINT16)))
    ```

    It belongs to the event loop it is started in. Several tasks may use it at once; requests take turns.

    Args:
        protocol: a `ProtocolType`, or the name of a plug-in's protocol.
        name: the device's name; labels in batches become ``name/tag``, and it is the batches' origin.
        tags: tags that may be named by text in calls, and that `batches` reads.
        clock: where the time of arrival is read; tests bring their own.
        options: what the protocol's settings know, such as `host`, `port`, `unit_id`, `timeout`, `byte_order`,
            `max_gap`, `interval_ms`, `source_time`; see `bifrost.plc.modbus.settings.ModbusSettings`.

    Raises:
        ConfigError: an option is unknown or out of range; all mistakes are in `.mistakes`. Nothing was opened.
    """

    def __init__(
        self,
        protocol: str = ProtocolType.MODBUS_TCP,
        *,
        name: str | None = None,
        tags: Sequence[Tag] = (),
        clock: Clock | None = None,
        **options: object,
    ) -> None:
        spec = protocol_named(protocol)
        settings = settings_from_options(spec.settings, spec.name, options)
        self._name = name
        self._settings = settings
        self._clock: Clock = clock or SystemClock()
        self._timeout = settings.timeout
        self._tags = {tag.name: tag for tag in tags}
        if len(self._tags) != len(tags):
            raise ConfigError(
                "two tags of this connection have the same name; names are how their values are told apart"
            )
        if settings.source_time is not None and tags and settings.source_time not in self._tags:
            raise ConfigError(f"expected source_time to name one of the tags, got {settings.source_time!r}")
        self._source_time = SourceTime(settings.source_time, settings.source_time_unit)
        create = spec.create
        self._planner: Driver = create(settings, self._clock)
        self._plans = PreparedReads(self._planner, self._tags, name=name, clock_tag=settings.source_time)
        self._keeper = LinkKeeper(
            lambda: create(settings, self._clock),
            clock=self._clock,
            connect_timeout=settings.connect_timeout,
            backoff=(settings.backoff_min, settings.backoff_max),
        )
        self._reads = 0
        self._writes = 0
        self._overruns = 0
        self._sequence: int | None = None

    @classmethod
    def from_settings(cls, settings: DeviceSettings, *, name: str | None = None, clock: Clock | None = None) -> Self:
        """Make a connection from a checked section of a settings file; its tags come along.

        Raises:
            ConfigError: the settings have problems; all are in `.mistakes`.
        """
        refuse_problems(settings)
        options = {key: getattr(settings, key) for key in settings.__struct_fields__ if key not in {"protocol", "tags"}}
        return cls(settings.protocol, name=name, tags=settings.plc_tags(), clock=clock, **options)

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

    def start(self) -> None:
        """Begin to connect and to reconnect; returns at once."""
        self._keeper.start()

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

    @property
    def stats(self) -> ConnectionStats:
        """What happened so far."""
        return ConnectionStats.gather(self._keeper, reads=self._reads, writes=self._writes, overruns=self._overruns)

    async def read(self, tag: Tag | str) -> Value:
        """Read one value; a list if the tag is an array.

        Raises:
            NotConnected: there is no link.
            LinkTimeout: the device did not answer in time.
            DeviceFault: it refused.
            ProtocolError: its answer was malformed.
        """
        prepared = self._plans.one(tag, self._keeper.connects)
        driver = self._keeper.driver
        if driver is None:
            raise self._keeper.down()
        readings = await driver.read(prepared.plan, timeout=self._timeout)
        self._reads += 1
        if readings.status is not None or self._keeper.state is LinkState.DEGRADED:
            self._keeper.note_quality(driver)
            for error in readings.errors.values():
                # Remembered refusals are raised again and again: without the traces of earlier times.
                raise error.with_traceback(None)
        values = readings.values
        return values[0] if prepared.tags[0].count == 1 else list(values)

    async def read_tags(self, tags: Sequence[Tag | str] | None = None) -> TagReadings:
        """Read many tags in as few requests as possible; device trouble is in each reading's quality.

        Args:
            tags: None reads the connection's own.

        Raises:
            ConfigError: a text names no tag of this connection.
        """
        prepared = self._plans.many(tags, self._keeper.connects)
        driver = self._keeper.driver
        if driver is None:
            return self._all_bad(prepared, self._keeper.down())
        try:
            readings = await driver.read(prepared.plan, timeout=self._timeout)
        except NotConnected as error:
            return self._all_bad(prepared, error)
        finally:
            self._keeper.note_quality(driver)
        self._reads += 1
        source_ns = self._source_time.read(readings, prepared.clock_slot)
        times = (source_ns, readings.arrived_ns)
        return TagReadings.collect(
            prepared.tags, prepared.plan.slots, readings.values, readings.status, readings.errors, times=times
        )

    async def read_batch(self, tags: Sequence[Tag | str] | None = None, *, sequence: int = 0) -> Batch:
        """Read many tags into one batch, without an object per value; never raises for device trouble.

        Arrays become rows ``tag[0]`` … ; an integer beyond 63 bits becomes BAD_OUT_OF_RANGE.

        Args:
            tags: None reads the connection's own. The same tuple again is fastest.
            sequence: the batch's number.
        """
        prepared = self._plans.many(tags, self._keeper.connects)
        labels = prepared.labels
        origin = self._name or ""
        driver = self._keeper.driver
        try:
            if driver is None:
                raise self._keeper.down()
            readings = await driver.read(prepared.plan, timeout=self._timeout)
        except NotConnected:
            rows = len(labels)
            now = self._clock.time_ns()
            status = [int(StatusCode.BAD_NOT_CONNECTED)] * rows
            return Batch.from_columns(
                labels, [now] * rows, [None] * rows, status=status, origin=origin, sequence=sequence
            )
        finally:
            if driver is not None:
                self._keeper.note_quality(driver)
        self._reads += 1
        if prepared.plan.wide:
            _refuse_wide(readings.values, prepared.plan.wide, readings)
        source_ns = self._source_time.read(readings, prepared.clock_slot)
        rows = len(labels)
        received = None if prepared.clock_slot is None else [readings.arrived_ns] * rows
        return Batch.from_columns(
            labels,
            [source_ns] * rows,
            readings.values,
            status=readings.status,
            received_ts_ns=received,
            origin=origin,
            sequence=sequence,
        )

    async def write(self, tag: Tag | str, value: object) -> None:
        """Write one value, or all values of an array; it is sent once, never twice.

        Raises:
            ConfigError: the tag may not be written; `DataTypeError`: the value does not fit. Nothing was sent.
            NotConnected: there is no link; nothing was sent.
            DeviceFault: the device refused.
            WriteError: it was sent, and what became of it is not known (`unknown_outcome`).
        """
        item = self._planner.prepare(self._plans.tag(tag), value)
        driver = self._keeper.driver
        if driver is None:
            raise self._keeper.down()
        self._writes += 1
        await driver.write(item, timeout=self._timeout)

    async def write_tags(self, values: Mapping[Tag | str, object]) -> dict[str, BifrostError | None]:
        """Write several tags, one after the other in the given order.

        Returns:
            For each tag name None if it was written, else why not.

        Raises:
            ConfigError: one of the values or tags is wrong; nothing at all was sent.
        """
        items = [self._planner.prepare(self._plans.tag(tag), value) for tag, value in values.items()]
        outcomes: dict[str, BifrostError | None] = {}
        for item in items:
            driver = self._keeper.driver
            try:
                if driver is None:
                    raise self._keeper.down()
                self._writes += 1
                await driver.write(item, timeout=self._timeout)
            except BifrostError as error:
                outcomes[item.tag.name] = error
            else:
                outcomes[item.tag.name] = None
        return outcomes

    async def poll(
        self, tags: Sequence[Tag | str] | None = None, interval_ms: float | None = None
    ) -> AsyncIterator[TagReadings]:
        """Read at a fixed rate, outages included: those readings are BAD.

        Each reading is fresh: a slow consumer misses ticks (`stats.overruns`), it never gets old values. Leaving the
        loop ends the polling.

        Args:
            tags: None reads the connection's own.
            interval_ms: milliseconds from tick to tick; None takes the connection's.
        """
        prepared = self._plans.many(tags, self._keeper.connects).tags
        ticker = self._ticker(interval_ms)
        while True:
            await self._tick(ticker)
            yield await self.read_tags(prepared)

    async def batches(
        self, tags: Sequence[str] | None = None, *, max_rows: int = 1024, max_delay: float = 0.05
    ) -> AsyncIterator[Batch]:
        """Poll at the connection's interval, as batches of at most `max_rows` rows; none is held back.

        Each poll counts one sequence number, whatever the number of its batches. The numbers begin with the time (ns
        since 1970, UTC), so that a later iteration, or a later connection, does not give them again.
        """
        prepared = self._plans.many(tags, self._keeper.connects).tags
        ticker = self._ticker(None)
        if max_rows < 1:
            raise ConfigError(f"expected max_rows of at least 1, got {max_rows}")
        while True:
            await self._tick(ticker)
            self._sequence = sequence = self._clock.time_ns() if self._sequence is None else self._sequence + 1
            batch = await self.read_batch(prepared, sequence=sequence)
            if len(batch) <= max_rows:
                yield batch
            else:
                for start in range(0, len(batch), max_rows):
                    yield batch.slice(start, start + max_rows)

    def _ticker(self, interval_ms: float | None) -> Ticker:
        return Ticker((self._settings.interval_ms if interval_ms is None else interval_ms) / 1000)

    async def _tick(self, ticker: Ticker) -> None:
        before = ticker.overruns
        await ticker.wait()
        self._overruns += ticker.overruns - before

    def _all_bad(self, prepared: PreparedRead, error: NotConnected) -> TagReadings:
        now = self._clock.time_ns()
        return TagReadings.all_bad(prepared.tags, StatusCode.BAD_NOT_CONNECTED, str(error), now)


def _refuse_wide(values: list[Value], wide: Sequence[int], readings: Any) -> None:
    for slot in wide:
        value = values[slot]
        if isinstance(value, int) and value > _I64_MAX:
            values[slot] = None
            if readings.status is None:
                readings.status = [0] * len(values)
            readings.status[slot] = StatusCode.BAD_OUT_OF_RANGE
