"""EtherNet/IP as a driver: plans in, values with a status each out.

In: plans and write items. Out: readings, what the controller has. pycomm3 runs in the link's own thread; nothing here
waits for it without a deadline. Not here: reconnecting, polling; after any trouble with the link the driver, its thread
and its session are thrown away.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from bifrost.core.clock import Clock
from bifrost.core.value import Value
from bifrost.errors import (
    BifrostError,
    DeviceFault,
    LinkError,
    MissingExtra,
    NotConnected,
    ProtocolError,
    WriteError,
)
from bifrost.plc.datatypes import Tag
from bifrost.plc.drivers.base import BrowsedTag, Capabilities, DeviceInfo, Readings, WriteItem
from bifrost.plc.ethernet_ip.cip_socket import CipSocket, FrameRefused, SentMark
from bifrost.plc.ethernet_ip.faults import status_of
from bifrost.plc.ethernet_ip.plan import Chunk, LogixPlan
from bifrost.plc.ethernet_ip.settings import EtherNetIPSettings
from bifrost.plc.ethernet_ip.values import LogixWrite, prepare_write
from bifrost.plc.ethernet_ip.watched_thread import MAX_STUCK, LinkBusy, WatchedThread, stuck_threads

if TYPE_CHECKING:
    from bifrost.plc.ethernet_ip.reading import Outcome, TagReader
    from bifrost.plc.ethernet_ip.session import LogixSession
    from bifrost.plc.ethernet_ip.writing import TagWriter

__all__ = ["EtherNetIPDriver"]

_LOOK = 0.25  # seconds between two looks at an idle link
_EXCHANGES = 20  # a chunk of a read that takes more than so many times the timeout is given up
_REFRESH = 60.0  # seconds between two uploads of the list of tags
_GOODBYE = 0.3  # seconds for closing in order


class _Link:
    """What the thread of one link works with; only that thread touches it after `open`."""

    def __init__(self, settings: EtherNetIPSettings, wire: CipSocket, clock: Clock) -> None:
        self._settings = settings
        self._wire = wire
        self._clock = clock
        self.session: LogixSession
        self.reader: TagReader
        self.writer: TagWriter

    def open(self) -> str:
        """Import pycomm3, which takes long, and start the session."""
        from bifrost.plc.ethernet_ip.reading import TagReader
        from bifrost.plc.ethernet_ip.session import LogixSession
        from bifrost.plc.ethernet_ip.writing import TagWriter

        # The patience is for the device, not for the import.
        self._wire.beat = self._clock.monotonic()
        self.session = LogixSession(self._settings, self._wire, self._clock)
        description = self.session.start()
        self.reader = TagReader(self.session)
        self.writer = TagWriter(self.session, self.reader)
        return description

    def read(self, chunk: Chunk) -> list[Outcome]:
        """Read one chunk of a plan."""
        return self.reader.read(chunk.addresses)

    def write(self, item: LogixWrite, mark: SentMark) -> None:
        """Write one item."""
        self.writer.write(item, mark)

    def upload(self) -> int:
        """Get the list of tags; returns how many there are, -1 if the device has none."""
        self.session.upload()
        table = self.session.table
        return -1 if table is None else len(table)

    def browse(self) -> list[BrowsedTag] | None:
        """What the controller has."""
        return None if self.session.table is None else self.session.table.browse()


class EtherNetIPDriver:
    """One link to a Logix or Micro800 controller; see `bifrost.plc.drivers.base.Driver` for the contract."""

    capabilities = Capabilities(max_in_flight=1, browse=True)
    degraded = False  # a link of this protocol is up or down, never half

    def __init__(self, settings: EtherNetIPSettings, clock: Clock) -> None:
        self._settings = settings
        self._clock = clock
        self._wire: CipSocket | None = None
        self._thread: WatchedThread | None = None
        self._link: _Link | None = None
        self._listed = False
        self._listless = False
        self._look: asyncio.TimerHandle | None = None
        self._refreshing: asyncio.Task[None] | None = None
        self._closing: asyncio.Task[None] | None = None
        self._counts = dict.fromkeys(("reads", "writes", "exceptions", "tag_uploads"), 0)

    def counters(self) -> Mapping[str, int]:
        """Requests, and what became of them."""
        wire, thread = self._wire, self._thread
        if wire is None or thread is None:
            return {}
        return {
            "requests": wire.requests,
            "late_answers": wire.stale,
            "timeouts": thread.timeouts,
            "stuck_threads": thread.abandoned,
            **self._counts,
            # A histogram of round trips: each bucket reaches up to twice the one before.
            **{f"answered_below_{2**bucket}_us": times for bucket, times in enumerate(wire.rtt) if times},
        }

    def plan(self, tags: Sequence[Tag]) -> LogixPlan:
        """Plan a read of these tags; pure."""
        return LogixPlan(tags)

    def prepare(self, tag: Tag, value: object) -> WriteItem:
        """Check a value; pure."""
        return prepare_write(tag, value)

    async def connect(self, *, timeout: float, on_lost: Callable[[BifrostError], None]) -> DeviceInfo:
        """Make the thread, open the session, and get the list of tags if the settings say so.

        The list has `upload_timeout` seconds of its own.
        """
        endpoint = self._settings.endpoint
        if (stuck := stuck_threads(endpoint)) >= MAX_STUCK:
            raise NotConnected(
                f"{stuck} threads hang in requests to {endpoint}; no link is tried until one of them ends"
            )
        self._closing = None
        self._listed = self._listless = False
        try:
            thread, description = await self._open(timeout)
            if self._settings.init_tags == "auto" and not await self._uploaded(timeout):
                await thread.end()
                thread, description = await self._open(timeout)
        except (LinkError, MissingExtra):
            raise
        except BifrostError as error:
            raise NotConnected(f"cannot use {endpoint}: {error}") from error
        thread.on_dead = on_lost
        if thread.dead is not None:
            raise NotConnected(str(thread.dead))
        self._look = asyncio.get_running_loop().call_later(_LOOK, self._look_at_peer)
        return DeviceInfo(endpoint=endpoint, description=description)

    async def _open(self, timeout: float) -> tuple[WatchedThread, str]:
        wire = self._wire = CipSocket(self._clock)
        link = _Link(self._settings, wire, self._clock)
        thread = self._thread = WatchedThread(self._settings.endpoint, wire, self._clock, None)
        description = await thread.run(link.open, patience=timeout, limit=timeout)
        self._link = link
        return thread, description

    async def _uploaded(self, timeout: float) -> bool:
        """Get the list of tags; false if the device ended the link because it was asked."""
        thread, link = self._live()
        try:
            await self._upload(thread, link, timeout)
        except FrameRefused:
            self._listless = True  # a simulator: it has no list, and says so in this way
            return False
        return True

    async def aclose(self) -> None:
        """End the link and its thread, within about a second; idempotent."""
        if self._closing is None:
            self._closing = asyncio.get_running_loop().create_task(self._close(), name="bifrost-ethernet-ip-close")
        await asyncio.shield(self._closing)

    async def read(self, plan: LogixPlan, *, timeout: float) -> Readings:
        """Read every tag of the plan; one tag's trouble is not another's."""
        thread, link = self._live()
        values: list[Value] = [None] * plan.total
        errors: dict[int, BifrostError] = {}
        for chunk in plan.chunks:
            outcomes: Sequence[Outcome]
            try:
                outcomes = await thread.run(link.read, chunk, patience=timeout, limit=timeout * _EXCHANGES)
            except LinkBusy as error:
                outcomes = [LinkError(str(error))] * len(chunk.addresses)
            except (LinkError, ProtocolError) as error:
                raise NotConnected(f"the link was given up: {error}") from error
            plan.place(chunk, outcomes, values, errors)
        if link.session.stale and self._may_list:
            await self._list_now(thread, link, timeout)
            return await self.read(plan, timeout=timeout)
        self._counts["reads"] += 1
        if link.session.stale:
            self._refresh(thread, link, timeout)
        arrived_ns = self._clock.time_ns()
        if not errors:
            return Readings(values, arrived_ns)
        self._counts["exceptions"] += sum(isinstance(error, DeviceFault) for error in set(errors.values()))
        status = [0] * plan.total
        for slot, reason in errors.items():
            status[slot] = status_of(reason)
        return Readings(values, arrived_ns, status, errors)

    async def write(self, item: WriteItem, *, timeout: float) -> None:
        """Send one write, once.

        Raises:
            DataTypeError: the controller's tag is of another type; nothing was sent.
        """
        thread, link = self._live()
        mark = SentMark()
        if self._may_list and any(isinstance(value, Mapping) for value in item.request.values):
            await self._list_now(thread, link, timeout)
        self._counts["writes"] += 1
        try:
            await thread.run(link.write, item.request, mark, patience=timeout, limit=timeout * _EXCHANGES)
        except (LinkError, ProtocolError) as error:
            if not mark.sent:
                raise NotConnected(f"tag {item.tag.name!r}: nothing was written: {error}") from error
            text = f"tag {item.tag.name!r}: the write was sent, but {error}; the controller may have acted"
            raise WriteError(text, unknown_outcome=True) from error
        except DeviceFault:
            self._counts["exceptions"] += 1
            raise
        finally:
            if link.session.stale and thread.dead is None:
                self._refresh(thread, link, timeout)

    async def browse(self, *, timeout: float) -> Sequence[BrowsedTag]:
        """List the controller's tags, those of programs and the members of structures included.

        Raises:
            LinkError: the link is gone.
            DeviceFault: the device has no list of tags.
        """
        thread, link = self._live()
        browsed = None
        if not self._listless:
            try:
                await self._upload(thread, link, timeout)
            except ProtocolError as error:
                raise NotConnected(f"the link was given up: {error}") from error
            browsed = await thread.run(link.browse, patience=timeout, limit=self._settings.upload_timeout)
        if browsed is None:
            raise DeviceFault(f"{self._settings.endpoint} tells no list of its tags; give their names", code=0x08)
        return browsed

    # The list of tags

    @property
    def _may_list(self) -> bool:
        return self._settings.init_tags == "lazy" and not self._listed

    async def _list_now(self, thread: WatchedThread, link: _Link, timeout: float) -> None:
        try:
            await self._upload(thread, link, timeout)
        except (LinkError, ProtocolError) as error:
            raise NotConnected(f"the link was given up: {error}") from error

    async def _upload(self, thread: WatchedThread, link: _Link, timeout: float) -> None:
        self._listed = True
        limit = self._settings.upload_timeout
        await thread.run(link.upload, patience=timeout, limit=limit)
        self._counts["tag_uploads"] = link.session.uploads

    def _refresh(self, thread: WatchedThread, link: _Link, timeout: float) -> None:
        """Get the list of tags again: it no longer fits. Once in a while, since something may never fit."""
        if self._settings.init_tags == "off" or self._listless or self._refreshing is not None:
            return
        if link.session.seconds_since_upload < _REFRESH:
            return
        self._refreshing = asyncio.get_running_loop().create_task(
            self._refreshed(thread, link, timeout), name="bifrost-ethernet-ip-upload"
        )

    async def _refreshed(self, thread: WatchedThread, link: _Link, timeout: float) -> None:
        try:
            await self._upload(thread, link, timeout)
        except BifrostError:
            pass  # the link was given up, and that was told
        finally:
            self._refreshing = None

    # The link

    def _live(self) -> tuple[WatchedThread, _Link]:
        thread, link = self._thread, self._link
        if thread is None or link is None or thread.dead is not None or self._closing is not None:
            raise NotConnected("the link to the device is down")
        return thread, link

    def _look_at_peer(self) -> None:
        """Notice that the peer has closed while nobody asks it anything."""
        thread, wire = self._thread, self._wire
        self._look = None
        if thread is None or wire is None or thread.dead is not None:
            return
        if not thread.busy and wire.is_ended():
            thread.cut(NotConnected("the device closed the link"))
            return
        self._look = asyncio.get_running_loop().call_later(_LOOK, self._look_at_peer)

    async def _close(self) -> None:
        if self._look is not None:
            self._look.cancel()
            self._look = None
        thread, link = self._thread, self._link
        if thread is None:
            return
        thread.on_dead = None
        if link is not None and thread.dead is None and not thread.busy:
            with contextlib.suppress(BifrostError):  # it did not answer, or is gone; the link ends either way
                await thread.run(link.session.stop, patience=_GOODBYE, limit=_GOODBYE)
        await thread.end()
        if self._refreshing is not None:
            await asyncio.wait([self._refreshing])
