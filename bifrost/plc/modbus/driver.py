"""Modbus as a driver, on any link: blocks in, values with a status each out.

In: plans and write items. Out: readings. Not here: reconnecting, polling, actors, and how a link is opened
(`bifrost.plc.modbus.tcp_driver`).
Obeys: V1.1b3 sections 6 and 7.
"""

from __future__ import annotations

import abc
from collections import Counter
from collections.abc import Callable, Coroutine, Hashable, Iterator, Mapping, Sequence
from typing import Any

from bifrost._native import ModbusBlock, modbus_frame
from bifrost.core.clock import Clock
from bifrost.core.quality import StatusCode
from bifrost.core.value import Value
from bifrost.errors import (
    BifrostError,
    ConfigError,
    DeviceFault,
    LinkError,
    LinkTimeout,
    NotConnected,
    ProtocolError,
    WriteError,
)
from bifrost.plc.datatypes import Tag
from bifrost.plc.drivers.base import Capabilities, DeviceInfo, Readings, WriteItem
from bifrost.plc.modbus.brief import BriefUse
from bifrost.plc.modbus.exchanging import Lease, Link, OnLost, Tally, unheard
from bifrost.plc.modbus.faults import status_of
from bifrost.plc.modbus.identification import DeviceIdentification, identify
from bifrost.plc.modbus.merging import merge_writes
from bifrost.plc.modbus.pipelined_link import PipelinedLink
from bifrost.plc.modbus.plan import ModbusReadPlan
from bifrost.plc.modbus.repair import Repair, note_undecodable, spread
from bifrost.plc.modbus.settings import ModbusDeviceSettings
from bifrost.plc.modbus.sharing import lease_shared
from bifrost.plc.modbus.units import UnitHealth
from bifrost.plc.modbus.windowed import read_windowed
from bifrost.plc.modbus.writer import BROADCAST, Writer
from bifrost.plc.modbus.writing import encode_write_item

__all__ = ["ModbusDriver"]

_HOLES_KEPT = 300.0


class ModbusDriver(abc.ABC):
    """One user of one link; see `bifrost.plc.drivers.base.Driver` for the contract."""

    capabilities = Capabilities(merge_writes=True, max_in_flight=1, max_read_words=125, max_read_bits=2000)

    def __init__(self, settings: ModbusDeviceSettings, clock: Clock) -> None:
        self._settings = settings
        self._clock = clock
        self._lease: Lease | None = None
        self._link: Link | None = None
        self._tally = Tally()
        self._on_lost: OnLost = unheard
        self._writer = Writer(clock, single=settings.write_single, allow_rmw=settings.allow_rmw)
        self._brief = BriefUse(self._reopen, self._give_link) if settings.close_after_poll else None
        self._past: Counter[str] = Counter()
        self._one_by_one = True  # unless a link with several places is opened
        self._faults = 0
        self._malformed = 0
        self._missed: set[int] = set()
        self._closed = False

    @abc.abstractmethod
    def _place(self) -> Hashable:
        """What the link leads to; drivers with the same place may share one."""

    @abc.abstractmethod
    async def _open_link(self, on_lost: OnLost, health: UnitHealth, *, timeout: float) -> Link:
        """Open a link.

        Raises:
            LinkError: not reachable within `timeout` seconds.
        """

    @property
    def degraded(self) -> bool:
        """True while a unit that this user has asked is silent; what others on the link ask does not count."""
        link = self._link
        if link is None or not link.health.troubled:
            return False
        return any(map(link.health.owes, self._missed))

    def counters(self) -> Mapping[str, int]:
        """Requests, answers of each sort, and what was dropped; dropped answers are those of all who share the link."""
        link = self._link
        if link is None:
            return {}
        tally = self._tally
        past = self._past
        return {
            "requests": tally.requests,
            "timeouts": tally.timeouts,
            **{name: count + past[name] for name, count in link.counters().items()},
            "exceptions": self._faults + self._writer.faults,
            "malformed_answers": self._malformed,
            # A histogram of round trips: each bucket reaches up to twice the one before.
            **{f"answered_below_{2**bucket}_us": times for bucket, times in enumerate(tally.rtt) if times},
        }

    def plan(self, tags: Sequence[Tag]) -> ModbusReadPlan:
        """Plan a read of these tags; pure."""
        settings = self._settings
        return ModbusReadPlan(
            tags,
            unit=settings.unit_id,
            byte_order=settings.order,
            limits=settings.limits,
            base=settings.address_base,
        )

    def prepare(self, tag: Tag, value: object) -> WriteItem:
        """Check and encode a value; pure."""
        settings = self._settings
        return encode_write_item(
            tag,
            value,
            unit=settings.unit_id,
            byte_order=settings.order,
            single=settings.write_single,
            most=settings.max_write_registers,
            base=settings.address_base,
        )

    def merge(self, items: Sequence[WriteItem]) -> list[WriteItem]:
        """Join neighbouring writes; pure."""
        return merge_writes(items, single=self._settings.write_single, most=self._settings.max_write_registers)

    async def connect(self, *, timeout: float, on_lost: Callable[[BifrostError], None]) -> DeviceInfo:
        """Open the link, or take a share in one that is open."""
        self._on_lost = on_lost
        await self._take_link(timeout)
        said = await self._described(timeout) if self._settings.identify else ""
        return DeviceInfo(endpoint=self._settings.endpoint, description=said)

    async def read_device_identification(self, unit: int | None = None, *, timeout: float) -> DeviceIdentification:
        """Ask a device what it is (function 43 / 14); each request has `timeout` seconds.

        Args:
            unit: None asks the connection's own.
            timeout: seconds from sending to the answer.

        Raises:
            ConfigError: unit 0 is nobody.
            ModbusFault: it does not identify itself.
            ProtocolError: its answers contradict the standard.
            LinkError: the link is gone, or there was no answer in time.
        """
        link = self._live()
        asked = self._settings.unit_id if unit is None else unit
        if asked == BROADCAST:
            raise ConfigError("unit 0 is the broadcast, which nobody answers; name the unit to ask")

        async def ask(request: bytes) -> bytes:
            return await link.exchange(lambda tid: modbus_frame(tid, asked, request), asked, timeout, self._tally)

        return await identify(ask)

    async def _described(self, timeout: float) -> str:
        try:
            return str(await self.read_device_identification(timeout=timeout))
        except NotConnected:
            await self._give_link()
            raise
        except (ConfigError, DeviceFault, ProtocolError):
            return ""  # many devices do not know the function; that is no reason not to use them
        except LinkTimeout:
            await self._replace_link(timeout)
            return ""
        except BaseException:
            await self._give_link()
            raise

    async def aclose(self) -> None:
        """End the link, or give the share back; idempotent."""
        self._closed = True
        await self._give_link()

    def read(self, plan: ModbusReadPlan, *, timeout: float) -> Coroutine[Any, Any, Readings]:
        """Read every block of the plan; one block's trouble is not another's."""
        # No coroutine of its own: this is on the way of every read.
        if self._brief is None:
            return self._read(plan, timeout) if self._one_by_one else self._read_windowed(plan, timeout)
        return self._read_briefly(self._brief, plan, timeout)

    async def _read_briefly(self, brief: BriefUse, plan: ModbusReadPlan, timeout: float) -> Readings:
        await brief.begin()
        try:
            return await (self._read(plan, timeout) if self._one_by_one else self._read_windowed(plan, timeout))
        finally:
            await brief.end()

    async def _read(self, plan: ModbusReadPlan, timeout: float) -> Readings:
        link = self._live()
        values, errors = self._begin(plan)
        repair: Repair | None = None
        health, tally = link.health, self._tally
        for block in plan.blocks:
            try:
                if health.silent_units and not health.may_ask(block.unit, self._clock.monotonic()):
                    self._skip(block, errors)
                    continue
                undecodable = block.decode(await link.exchange(block.frame, block.unit, timeout, tally), values)
                if health.troubled:
                    health.answered(block.unit)
                else:
                    health.last_good = block.unit
                if undecodable is not None:
                    note_undecodable(errors, undecodable)
            except BifrostError as error:
                if repair is None:
                    repair = self._repair(link, values, errors, timeout)
                await repair.settle(block, error)
        if repair is None and not errors and not plan.torn:
            return Readings(values, self._clock.time_ns())
        return self._finish(link, plan, values, errors, repair)

    async def _read_windowed(self, plan: ModbusReadPlan, timeout: float) -> Readings:
        link = self._live()
        assert isinstance(link, PipelinedLink), "only a pipelined link has more than one place"
        values, errors = self._begin(plan)
        repair = self._repair(link, values, errors, timeout)
        blocks = self._willing(plan, errors, link.health)
        await read_windowed(link, blocks, values, errors, repair.settle, timeout=timeout, tally=self._tally)
        return self._finish(link, plan, values, errors, repair)

    def _begin(self, plan: ModbusReadPlan) -> tuple[list[Value], dict[int, BifrostError]]:
        if not plan.refused:
            return [None] * plan.total, {}
        if self._clock.monotonic() >= plan.ask_again_at:
            plan.forget()
        return [None] * plan.total, dict(plan.refused)

    def _finish(
        self,
        link: Link,
        plan: ModbusReadPlan,
        values: list[Value],
        errors: dict[int, BifrostError],
        repair: Repair | None,
    ) -> Readings:
        if repair is not None:
            self._learn(plan, repair)
            if (gone := self._given_up(link, repair.unanswered)) is not None:
                raise gone
        arrived_ns = self._clock.time_ns()
        if not errors and not plan.torn:
            return Readings(values, arrived_ns)
        status = [0] * len(values)
        for slot in plan.torn:
            status[slot] = StatusCode.UNCERTAIN
        for slot, reason in errors.items():
            values[slot] = None
            status[slot] = status_of(reason)
        return Readings(values, arrived_ns, status, errors)

    async def write(self, item: WriteItem, *, timeout: float) -> None:
        """Send one write, once."""
        if self._brief is None:
            await self._write(item, timeout)
            return
        await self._brief.begin()
        try:
            await self._write(item, timeout)
        finally:
            await self._brief.end()

    async def _write(self, item: WriteItem, timeout: float) -> None:
        link = self._live()
        try:
            await self._writer.write(link, self._tally, item, timeout=timeout)
        except WriteError as error:
            self._missed.add(item.unit)
            self._given_up(link, error)
            raise

    def _willing(
        self, plan: ModbusReadPlan, errors: dict[int, BifrostError], health: UnitHealth
    ) -> Iterator[ModbusBlock]:
        """Give the blocks whose unit may be asked, as they stand when each is asked for."""
        for block in plan.blocks:
            if health.silent_units and not health.may_ask(block.unit, self._clock.monotonic()):
                self._skip(block, errors)
            else:
                yield block

    def _skip(self, block: ModbusBlock, errors: dict[int, BifrostError]) -> None:
        self._missed.add(block.unit)
        spread(errors, block, LinkTimeout(f"unit {block.unit} is silent; it is probed from time to time"))

    def _repair(self, link: Link, values: list[Value], errors: dict[int, BifrostError], timeout: float) -> Repair:
        retries = self._settings.busy_retries
        return Repair(link, self._tally, values, errors, timeout=timeout, clock=self._clock, busy_retries=retries)

    def _learn(self, plan: ModbusReadPlan, repair: Repair) -> None:
        self._faults += repair.faults
        self._malformed += repair.malformed
        self._missed |= repair.missed
        if repair.refusals or repair.barriers:
            plan.learn(repair.refusals, repair.barriers, ask_again_at=self._clock.monotonic() + _HOLES_KEPT)

    def _given_up(self, link: Link, why: BifrostError | None) -> NotConnected | None:
        """Drop a link on which nobody answers any more: a new one is the only cure for a half-open one."""
        lease = self._lease
        if lease is None or why is None or not link.connected or not lease.link_is_dead:
            return None
        text = f"the link was given up after {link.health.bad_in_a_row} requests in vain: {why}"
        gone = NotConnected(text)
        link.abort(gone)
        return gone

    def _live(self) -> Link:
        link = self._link
        if link is None or self._closed or not link.connected:
            raise NotConnected("the link to the device is down")
        return link

    async def _take_link(self, timeout: float) -> None:
        settings, before = self._settings, self._link
        health = UnitHealth(probe_interval=settings.probe_interval) if before is None else before.health

        async def open_link(on_lost: OnLost) -> Link:
            health.renew()
            return await self._open_link(on_lost, health, timeout=timeout)

        if settings.share_link:
            lease = await lease_shared(
                self._place(),
                settings.link_options,
                open_link,
                timeout=timeout + settings.connect_delay,
                on_lost=self._lost,
                tally=self._tally,
            )
        else:
            lease = Lease(await open_link(self._lost), self._tally)
        self._lease, self._link = lease, lease.link

    async def _replace_link(self, timeout: float) -> None:
        """Take a new link in the place of one whose device may still be busy with what it does not understand.

        libmodbus 3.1.6 rests for half a second over a function that it does not know, and throws away what came
        meanwhile.
        """
        on_lost, self._on_lost = self._on_lost, unheard
        if self._lease is not None:
            self._lease.link.abort(NotConnected("the device did not say what it is, and may not listen any more"))
        await self._give_link()
        self._on_lost = on_lost
        await self._take_link(timeout)

    async def _give_link(self) -> None:
        lease, self._lease = self._lease, None
        if lease is not None:
            await lease.aclose()

    async def _reopen(self) -> None:
        if self._closed:
            raise NotConnected("the connection was closed")
        if self._lease is not None:
            return
        if self._link is not None:
            self._past.update(self._link.counters())
        try:
            await self._take_link(self._settings.connect_timeout)
        except LinkError as error:
            # The link is down for good: whoever keeps this driver makes a new one, later and later.
            self._lost(error)
            raise NotConnected(str(error)) from error

    def _lost(self, error: BifrostError) -> None:
        on_lost, self._on_lost = self._on_lost, unheard
        on_lost(error)
