"""One device, for people and for the device actor: read, write, poll; the link is kept alive underneath.

In: tags. Out: readings, batches. Device trouble is a quality of the values, never an exception of a read of many tags.
Not here: making, starting and closing it (`bifrost.plc.device_link`), any protocol (`bifrost.plc.drivers`), any actor.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping, Sequence
from typing import Any, Literal, TypeVar, cast, overload
from weakref import WeakSet

from bifrost.core.batch import Batch
from bifrost.core.clock import Clock
from bifrost.core.value import Value
from bifrost.errors import ConfigError
from bifrost.plc.batching import batch_of
from bifrost.plc.datatypes import ProtocolType, Tag
from bifrost.plc.device_link import DeviceLink
from bifrost.plc.drivers.base import BrowsedTag, BrowsingDriver
from bifrost.plc.poller import Poller
from bifrost.plc.prepared import PreparedRead
from bifrost.plc.reader import Reader
from bifrost.plc.readings import Reading, TagReadings, first_error
from bifrost.plc.reconnect import LinkState
from bifrost.plc.snapshot import Snapshot
from bifrost.plc.source_time import SourceTime
from bifrost.plc.stats import ConnectionStats
from bifrost.plc.subscription import OnSnapshot, Subscription
from bifrost.plc.ticker import Ticker
from bifrost.plc.writer import Writer
from bifrost.plc.writes import WriteResults

__all__ = ["PLCConnection"]

_Name = TypeVar("_Name", Tag, str)


class PLCConnection(DeviceLink):
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
        lax: take options as text too, such as ``port="502"``, as they come from a URL or a command line.
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
        lax: bool = False,
        **options: object,
    ) -> None:
        super().__init__(protocol, name=name, tags=tags, clock=clock, lax=lax, **options)
        settings = self._settings
        source_time = SourceTime(settings.source_time, settings.source_time_unit)
        self._reader = Reader(
            self._keeper, self._clock, source_time, timeout=settings.timeout, overall=settings.overall_timeout
        )
        self._writer = Writer(self._keeper, self._plans, self._reader, timeout=settings.timeout)
        self._subscriptions: set[Subscription] = set()
        self._tickers: WeakSet[Ticker] = WeakSet()
        self._overruns = 0
        self._sequence: int | None = None

    async def aclose(self) -> None:
        """Close for good, within about a second; polls and subscriptions end; idempotent."""
        for subscription in tuple(self._subscriptions):
            subscription.cancel()
        try:
            await super().aclose()
        finally:
            for ticker in tuple(self._tickers):
                ticker.end()

    @property
    def stats(self) -> ConnectionStats:
        """What happened so far."""
        return ConnectionStats.gather(
            self._keeper, reads=self._reader.reads, writes=self._writer.writes, overruns=self._overruns
        )

    async def read(self, tag: Tag | str) -> Value:
        """Read one value; a list if the tag is an array.

        Raises:
            NotConnected: there is no link.
            LinkTimeout: the device did not answer in time.
            DeviceFault: it refused.
            ProtocolError: its answer was malformed.
        """
        prepared = self._plans.one(tag, self._keeper.connects)
        reading = await self._reader.read_strictly(prepared)
        if (reading.errors or reading.status) and (error := first_error(prepared, reading)) is not None:
            # Remembered refusals are raised again and again: without the traces of earlier times.
            raise error.with_traceback(None)
        values = reading.values
        return values[0] if prepared.tags[0].count == 1 else list(values)

    async def read_tags(
        self, tags: Sequence[Tag | str] | None = None, *, strict: bool = False, max_age: float | None = None
    ) -> TagReadings:
        """Read many tags in as few requests as possible; device trouble is in each reading's quality.

        Args:
            tags: None reads the connection's own.
            strict: raise the first thing that is wrong with a tag instead.
            max_age: seconds for which the last good value of a tag stands in, UNCERTAIN and stale, while the device
                cannot be reached; a tag's own `Tag.max_age` counts more. None: it does not.

        Raises:
            ConfigError: a text names no tag of this connection, or an address is none of its protocol.
            NotConnected: the connection was never started; `ClosedError` if it was closed.
        """
        prepared = self._plans.many(tags, self._keeper.connects)
        _check_age(max_age)
        self._keeper.check_open()
        reading = await self._reader.read(prepared, max_age)
        if strict and (error := first_error(prepared, reading)) is not None:
            raise error.with_traceback(None)
        return TagReadings(prepared, reading)

    async def read_batch(self, tags: Sequence[Tag | str] | None = None, *, sequence: int = 0) -> Batch:
        """Read many tags into one batch, without an object per value; never raises for device trouble.

        Arrays become rows ``tag[0]`` … ; an integer beyond 63 bits becomes BAD_OUT_OF_RANGE, a structure JSON text.

        Args:
            tags: None reads the connection's own. The same tuple again is fastest.
            sequence: the batch's number.
        """
        prepared = self._plans.many(tags, self._keeper.connects)
        reading = await self._reader.read(prepared)
        return batch_of(prepared, reading, origin=self._name or "", sequence=sequence)

    async def write(self, tag: Tag | str, value: object) -> None:
        """Write one value, or all values of an array; it is sent once, never twice.

        Raises:
            ConfigError: the tag may not be written; `DataTypeError`: the value does not fit. Nothing was sent.
            NotConnected: there is no link; nothing was sent.
            DeviceFault: the device refused.
            WriteError: it was sent, and what became of it is not known (`unknown_outcome`).
        """
        await self._writer.write(tag, value)

    @overload
    async def write_tags(
        self, values: Mapping[Tag | str, object], *, atomic: bool = ..., verify: bool = ..., merge: bool = ...
    ) -> WriteResults: ...

    @overload
    async def write_tags(
        self, values: Mapping[_Name, object], *, atomic: bool = ..., verify: bool = ..., merge: bool = ...
    ) -> WriteResults: ...

    async def write_tags(
        self,
        values: Mapping[Any, object],
        *,
        atomic: bool = False,
        verify: bool = False,
        merge: bool = False,
    ) -> WriteResults:
        """Write several tags, one after the other in the given order.

        Args:
            values: what to write, by tag or by its name.
            atomic: all of them in one request, or nothing at all: they must be neighbours of the same kind.
            verify: read each value back and compare; a difference is a `WriteError` whose outcome is known.
            merge: write neighbours with one request where the protocol can; the order is kept.

        Returns:
            For each tag name None if it was written, else why not.

        Raises:
            ConfigError: one of the values or tags is wrong, or `atomic` cannot be had; nothing at all was sent.
        """
        return await self._writer.write_tags(values, atomic=atomic, verify=verify, merge=merge or atomic)

    def check_writes(self, values: Mapping[Any, object], *, atomic: bool = False) -> None:
        """Check what `write_tags` would send, without sending it; the connection need not be started.

        Args:
            values: as for `write_tags`.
            atomic: as for `write_tags`.

        Raises:
            ConfigError: one of the values or tags is wrong, or `atomic` cannot be had.
        """
        self._writer.planned(values, atomic=atomic, merge=atomic)

    async def browse(self, *, timeout: float | None = None) -> Sequence[BrowsedTag]:
        """List what the device says it has, where the protocol can.

        Args:
            timeout: seconds for each request; None takes the connection's.

        Raises:
            ConfigError: this protocol's devices cannot be asked.
            LinkError: there is no link, or no answer in time.
            DeviceFault: the device refused.
        """
        driver = self._keeper.driver
        if not self._plans.planner.capabilities.browse:
            raise ConfigError(f"a {self._settings.protocol} device cannot be asked what it has; take its maker's table")
        if driver is None:
            raise self._keeper.down()
        return await cast(BrowsingDriver, driver).browse(timeout=self._settings.timeout if timeout is None else timeout)

    def poll(
        self,
        tags: Sequence[Tag | str] | None = None,
        interval_ms: float | None = None,
        *,
        on_change: bool = False,
        max_age: float | None = None,
        on_overrun: Literal["skip", "catch_up"] = "skip",
        queue: int = 1,
    ) -> AsyncGenerator[Snapshot, None]:
        """Read at a fixed rate, outages included: those readings are BAD. Never raises for device trouble.

        The cycles keep their times whatever the consumer does; a slow one gets the latest snapshot and misses those
        before (`Snapshot.dropped`). Leaving the loop ends the polling; `contextlib.aclosing` ends it at once even where
        the loop is left by an exception.

        Args:
            tags: None reads the connection's own.
            interval_ms: milliseconds from tick to tick; None takes the connection's.
            on_change: give only snapshots with news, deadbands considered; the first is always given.
            max_age: as for `read_tags`.
            on_overrun: what becomes of cycles whose time has passed before the one before was done: ``skip`` leaves
                them out, ``catch_up`` makes them up.
            queue: snapshots kept for a slow consumer, 1 or more.

        Raises:
            ConfigError: a tag is unknown, or an option out of range; before anything is sent.
        """
        if on_overrun not in {"skip", "catch_up"}:
            raise ConfigError(f"expected on_overrun 'skip' or 'catch_up', got {on_overrun!r}")
        room: object = queue
        if not isinstance(room, int) or room < 1:
            raise ConfigError(f"expected a queue of 1 or more snapshots, got {room!r:.40}")
        _check_age(max_age)
        chosen = self._plans.many(tags, self._keeper.connects).tags
        poller = Poller(
            lambda: self._plans.many(chosen, self._keeper.connects),
            lambda prepared: self._polled(prepared, max_age),
            self._ticker(interval_ms, catch_up=on_overrun == "catch_up"),
            self._clock,
            on_change=on_change,
            queue=queue,
            on_overrun=self._count_overruns,
        )
        return poller.snapshots()

    def subscribe(
        self,
        tags: Sequence[Tag | str] | None,
        callback: OnSnapshot,
        *,
        interval_ms: float | None = None,
        on_change: bool = True,
        max_age: float | None = None,
    ) -> Subscription:
        """Call a function with each snapshot that has news, until it is cancelled or the connection is closed.

        Args:
            tags: None reads the connection's own.
            callback: a function or coroutine function that takes a `Snapshot`; its `changed` names what is news. What
                it raises is reported to the event loop's exception handler, and the subscription goes on.
            interval_ms: as for `poll`.
            on_change: False calls it in every cycle.
            max_age: as for `read_tags`.

        Raises:
            ConfigError: a tag is unknown, or an option out of range.
        """
        snapshots = self.poll(tags, interval_ms, on_change=on_change, max_age=max_age)
        subscription = Subscription(snapshots, callback, on_end=self._subscriptions.discard)
        self._subscriptions.add(subscription)
        return subscription

    async def batches(
        self, tags: Sequence[str] | None = None, *, max_rows: int = 1024, max_delay: float = 0.05
    ) -> AsyncGenerator[Batch, None]:
        """Poll at the connection's interval, as batches of at most `max_rows` rows; none is held back.

        They end when the connection is closed. Each poll counts one sequence number, whatever the number of its
        batches. The numbers begin with the time (ns since 1970, UTC), so that a later iteration, or a later connection,
        does not give them again.
        """
        prepared = self._plans.many(tags, self._keeper.connects).tags
        ticker = self._ticker(None)
        if max_rows < 1:
            raise ConfigError(f"expected max_rows of at least 1, got {max_rows}")
        while True:
            before = ticker.overruns
            await ticker.wait()
            if self._keeper.state is LinkState.CLOSED:
                return
            self._count_overruns(ticker.overruns - before)
            self._sequence = sequence = self._clock.time_ns() if self._sequence is None else self._sequence + 1
            batch = await self.read_batch(prepared, sequence=sequence)
            if self.state is LinkState.CLOSED:
                return
            if len(batch) <= max_rows:
                yield batch
            else:
                for start in range(0, len(batch), max_rows):
                    yield batch.slice(start, start + max_rows)

    async def _polled(self, prepared: PreparedRead, max_age: float | None) -> Reading:
        self._keeper.check_open()
        reading = await self._reader.read(prepared, max_age)
        self._keeper.check_open()  # what was under way then is no news of the device
        return reading

    def _ticker(self, interval_ms: float | None, *, catch_up: bool = False) -> Ticker:
        interval = self._settings.interval_ms if interval_ms is None else interval_ms
        if not isinstance(interval, int | float):
            raise ConfigError(f"expected an interval in milliseconds, got {interval!r:.40}")
        ticker = Ticker(interval / 1000, catch_up=catch_up)
        self._tickers.add(ticker)
        return ticker

    def _count_overruns(self, skipped: int) -> None:
        self._overruns += skipped


def _check_age(max_age: object) -> None:
    if max_age is not None and not (isinstance(max_age, int | float) and max_age >= 0):
        raise ConfigError(f"expected a max_age of 0 or more seconds, got {max_age!r:.40}")
