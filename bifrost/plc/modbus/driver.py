"""Modbus as a driver, on any link: blocks in, values with a status each out.

In: plans and write items. Out: readings. Not here: reconnecting, polling, actors, and how a link is opened
(`bifrost.plc.modbus.tcp_driver`).
Obeys: V1.1b3 sections 6 and 7.
"""

from __future__ import annotations

import abc
from collections.abc import Callable, Mapping, Sequence

from bifrost._native import modbus_decode_answer, modbus_frame
from bifrost.core.clock import Clock
from bifrost.core.value import Value
from bifrost.errors import BifrostError, LinkError, LinkTimeout, ModbusFault, NotConnected, ProtocolError, WriteError
from bifrost.plc.datatypes import Tag
from bifrost.plc.drivers.base import Capabilities, DeviceInfo, Readings, WriteItem
from bifrost.plc.modbus.exchanging import Lease, Link, Tally
from bifrost.plc.modbus.faults import status_of
from bifrost.plc.modbus.plan import ModbusReadPlan
from bifrost.plc.modbus.repair import Repair, spread
from bifrost.plc.modbus.settings import ModbusDeviceSettings
from bifrost.plc.modbus.writing import encode_write_item

__all__ = ["ModbusDriver"]

_HOLES_KEPT = 300.0


class ModbusDriver(abc.ABC):
    """One user of one link; see `bifrost.plc.drivers.base.Driver` for the contract."""

    capabilities = Capabilities(max_in_flight=1, max_read_words=125, max_read_bits=2000)

    def __init__(self, settings: ModbusDeviceSettings, clock: Clock) -> None:
        self._settings = settings
        self._clock = clock
        self._lease: Lease | None = None
        self._link: Link | None = None
        self._tally = Tally()
        self._faults = 0
        self._malformed = 0

    @abc.abstractmethod
    async def _open(self, *, timeout: float, on_lost: Callable[[BifrostError], None]) -> Lease:
        """Open a link, or take a share in one that is open.

        Raises:
            LinkError: not reachable within `timeout` seconds.
        """

    @property
    def degraded(self) -> bool:
        """True while a unit is silent."""
        link = self._link
        return link is not None and link.health.troubled

    def counters(self) -> Mapping[str, int]:
        """Requests, answers of each sort, and what was dropped."""
        link = self._link
        if link is None:
            return {}
        tally = self._tally
        return {
            "requests": tally.requests,
            "timeouts": tally.timeouts,
            **link.counters(),
            "exceptions": self._faults,
            "malformed_answers": self._malformed,
            # A histogram of round trips: each bucket reaches up to twice the one before.
            **{f"answered_below_{2**bucket}_us": times for bucket, times in enumerate(tally.rtt) if times},
        }

    def plan(self, tags: Sequence[Tag]) -> ModbusReadPlan:
        """Plan a read of these tags; pure."""
        settings = self._settings
        return ModbusReadPlan(tags, unit=settings.unit_id, byte_order=settings.order, limits=settings.limits)

    def prepare(self, tag: Tag, value: object) -> WriteItem:
        """Check and encode a value; pure."""
        return encode_write_item(tag, value, unit=self._settings.unit_id, byte_order=self._settings.order)

    async def connect(self, *, timeout: float, on_lost: Callable[[BifrostError], None]) -> DeviceInfo:
        """Open the link."""
        lease = await self._open(timeout=timeout, on_lost=on_lost)
        self._lease, self._link, self._tally = lease, lease.link, lease.tally
        return DeviceInfo(endpoint=self._settings.endpoint)

    async def aclose(self) -> None:
        """End the link; idempotent."""
        if self._lease is not None:
            await self._lease.aclose()

    async def read(self, plan: ModbusReadPlan, *, timeout: float) -> Readings:
        """Read every block of the plan; one block's trouble is not another's."""
        link = self._live()
        if plan.refused and self._clock.monotonic() >= plan.ask_again_at:
            plan.forget()
        health, tally = link.health, self._tally
        values: list[Value] = [None] * plan.total
        errors: dict[int, BifrostError] = dict(plan.refused) if plan.refused else {}
        repair: Repair | None = None
        for block in plan.blocks:
            try:
                if health.silent_units and not health.may_ask(block.unit, self._clock.monotonic()):
                    spread(errors, block, LinkTimeout(f"unit {block.unit} is silent; it is probed from time to time"))
                    continue
                block.decode(await link.exchange(block.frame, block.unit, timeout, tally), values)
                if health.troubled:
                    health.answered(block.unit)
                else:
                    health.last_good = block.unit
            except BifrostError as error:
                if repair is None:
                    repair = Repair(link, tally, values, errors, timeout=timeout, clock=self._clock)
                await repair.settle(block, error)
        if repair is not None:
            self._learn(plan, repair)
            if self._lease is not None and self._lease.link_is_dead:
                # Accepted, but dead: nobody answers. A new link is the only cure for a half-open one.
                text = f"the link was given up after {health.bad_in_a_row} requests in vain: {repair.unanswered}"
                gone = NotConnected(text)
                link.abort(gone)
                raise gone
        arrived_ns = self._clock.time_ns()
        return _with_status(values, errors, arrived_ns) if errors else Readings(values, arrived_ns)

    async def write(self, item: WriteItem, *, timeout: float) -> None:
        """Send one write, once."""
        link = self._live()
        sent = False

        def frame(transaction: int) -> bytes:
            nonlocal sent
            sent = True
            return modbus_frame(transaction, item.unit, item.request)

        try:
            modbus_decode_answer(item.request, await link.exchange(frame, item.unit, timeout, self._tally))
        except (LinkError, ProtocolError) as error:
            if not sent:
                raise
            text = f"tag {item.tag.name!r}: the write was sent, but {error}; the device may have acted"
            raise WriteError(text, unknown_outcome=True) from error
        except ModbusFault:
            self._faults += 1
            link.health.answered(item.unit)
            raise

    def _learn(self, plan: ModbusReadPlan, repair: Repair) -> None:
        self._faults += repair.faults
        self._malformed += repair.malformed
        if repair.refusals or repair.barriers:
            plan.learn(repair.refusals, repair.barriers, ask_again_at=self._clock.monotonic() + _HOLES_KEPT)

    def _live(self) -> Link:
        link = self._link
        if link is None or not link.connected:
            raise NotConnected("the link to the device is down")
        return link


def _with_status(values: list[Value], errors: dict[int, BifrostError], arrived_ns: int) -> Readings:
    status = [0] * len(values)
    for slot, reason in errors.items():
        values[slot] = None
        status[slot] = status_of(reason)
    return Readings(values, arrived_ns, status, errors)
