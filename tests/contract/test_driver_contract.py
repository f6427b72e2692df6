"""The driver's contract catches broken drivers: each of its tests fails for one that breaks its promise."""

from __future__ import annotations

import asyncio
import dataclasses
import socket
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pytest
from msgspec import structs

from bifrost.core.value import Value
from bifrost.errors import BifrostError, ConfigError, DeviceFault, LinkError, NotConnected, WriteError
from bifrost.plc import Tag, register_protocol
from bifrost.plc.drivers.base import BrowsedTag, DeviceInfo, Driver, ProtocolSpec, Readings, WriteItem
from bifrost.plc.modbus.plan import ModbusReadPlan
from bifrost.plc.modbus.protocol import MODBUS_TCP
from bifrost.plc.modbus.tcp_driver import ModbusTcpDriver
from bifrost.testing.driver_contract import DriverContract
from tests.contract.catching import expect_caught, promises_of
from tests.contract.modbus_devices import OnTheSimulator

Lost = Callable[[BifrostError], None]


class PlansInItsOwnOrder(ModbusTcpDriver):
    def plan(self, tags: Sequence[Tag]) -> ModbusReadPlan:
        return super().plan(sorted(tags, key=lambda tag: tag.name))


class IsBornDegraded(ModbusTcpDriver):
    @property
    def degraded(self) -> bool:
        return self._link is None or super().degraded


class ReadsWithoutALink(ModbusTcpDriver):
    async def read(self, plan: ModbusReadPlan, *, timeout: float) -> Readings:
        try:
            return await super().read(plan, timeout=timeout)
        except NotConnected:
            return Readings([None] * plan.total, 0)


class ClosesOnce(ModbusTcpDriver):
    async def aclose(self) -> None:
        if self._link is None:
            raise NotConnected("there is nothing to close")
        await super().aclose()


class LeavesATask(ModbusTcpDriver):
    async def connect(self, *, timeout: float, on_lost: Lost) -> DeviceInfo:
        self.pinger = asyncio.ensure_future(asyncio.sleep(30))
        return await super().connect(timeout=timeout, on_lost=on_lost)


class KeepsTheEndpointSecret(ModbusTcpDriver):
    async def connect(self, *, timeout: float, on_lost: Lost) -> DeviceInfo:
        await super().connect(timeout=timeout, on_lost=on_lost)
        return DeviceInfo(endpoint="")


class LetsTheSystemsErrorThrough(ModbusTcpDriver):
    async def connect(self, *, timeout: float, on_lost: Lost) -> DeviceInfo:
        try:
            return await super().connect(timeout=timeout, on_lost=on_lost)
        except LinkError as error:
            raise OSError(str(error)) from error


class NeverTellsALoss(ModbusTcpDriver):
    async def connect(self, *, timeout: float, on_lost: Lost) -> DeviceInfo:
        def keep(error: BifrostError) -> None:
            self.secret = error

        return await super().connect(timeout=timeout, on_lost=keep)


class TellsALossTwice(ModbusTcpDriver):
    async def connect(self, *, timeout: float, on_lost: Lost) -> DeviceInfo:
        def twice(error: BifrostError) -> None:
            on_lost(error)
            on_lost(error)

        return await super().connect(timeout=timeout, on_lost=twice)


class CallsItsOwnEndALoss(ModbusTcpDriver):
    async def connect(self, *, timeout: float, on_lost: Lost) -> DeviceInfo:
        self.on_lost = on_lost
        return await super().connect(timeout=timeout, on_lost=on_lost)

    async def aclose(self) -> None:
        await super().aclose()
        self.on_lost(NotConnected("closed"))


class MakesEveryNumberAFloat(ModbusTcpDriver):
    async def read(self, plan: ModbusReadPlan, *, timeout: float) -> Readings:
        readings = await super().read(plan, timeout=timeout)
        readings.values[:] = [float(value) if type(value) is int else value for value in readings.values]
        return readings


class RefusesToReadNothing(ModbusTcpDriver):
    async def read(self, plan: ModbusReadPlan, *, timeout: float) -> Readings:
        if not plan.total:
            raise ConfigError("there is nothing to read")
        return await super().read(plan, timeout=timeout)


class KnowsOnlyItsOwnPlans(ModbusTcpDriver):
    def plan(self, tags: Sequence[Tag]) -> ModbusReadPlan:
        self.made = super().plan(tags)
        return self.made

    async def read(self, plan: ModbusReadPlan, *, timeout: float) -> Readings:
        if plan is not self.__dict__.get("made"):
            raise ConfigError("this plan is another driver's")
        return await super().read(plan, timeout=timeout)


class ReadsTheMachinesClock(ModbusTcpDriver):
    async def read(self, plan: ModbusReadPlan, *, timeout: float) -> Readings:
        readings = await super().read(plan, timeout=timeout)
        readings.arrived_ns = time.time_ns()
        return readings


class MixesUpItsReaders(ModbusTcpDriver):
    async def read(self, plan: ModbusReadPlan, *, timeout: float) -> Readings:
        self.wanted = plan
        await asyncio.sleep(0)
        return await super().read(self.wanted, timeout=timeout)


class FailsAsAWhole(ModbusTcpDriver):
    async def read(self, plan: ModbusReadPlan, *, timeout: float) -> Readings:
        readings = await super().read(plan, timeout=timeout)
        if readings.errors:
            error = next(iter(readings.errors.values()))
            bad = [0x8000_0000] * plan.total
            return Readings([None] * plan.total, 0, bad, dict.fromkeys(range(plan.total), error))
        return readings


class CountsNothing(ModbusTcpDriver):
    def counters(self) -> Mapping[str, int]:
        return {"requests": 0}


class RemembersWhatItRead(ModbusTcpDriver):
    latest: Readings

    async def read(self, plan: ModbusReadPlan, *, timeout: float) -> Readings:
        readings = await super().read(plan, timeout=timeout)
        if readings.errors:
            return self.latest
        self.latest = readings
        return readings


class SwallowsCancellation(ModbusTcpDriver):
    async def read(self, plan: ModbusReadPlan, *, timeout: float) -> Readings:
        try:
            return await super().read(plan, timeout=timeout)
        except asyncio.CancelledError:
            return Readings([None] * plan.total, 0)


class TakesALateAnswer(ModbusTcpDriver):
    async def read(self, plan: ModbusReadPlan, *, timeout: float) -> Readings:
        under_way: asyncio.Task[Readings] | None = self.__dict__.pop("under_way", None)
        if under_way is None:
            under_way = asyncio.ensure_future(super().read(plan, timeout=timeout))
        self.under_way = under_way
        readings = await asyncio.shield(under_way)
        del self.under_way
        return readings


class WritesWhatIsReadOnly(ModbusTcpDriver):
    def prepare(self, tag: Tag, value: object) -> WriteItem:
        return super().prepare(dataclasses.replace(tag, access="rw"), value)


class WritesTwice(ModbusTcpDriver):
    async def write(self, item: WriteItem, *, timeout: float) -> None:
        await super().write(item, timeout=timeout)
        await super().write(item, timeout=timeout)


class IgnoresARefusal(ModbusTcpDriver):
    async def write(self, item: WriteItem, *, timeout: float) -> None:
        try:
            await super().write(item, timeout=timeout)
        except DeviceFault:
            return


class WritesAgainAfterSilence(ModbusTcpDriver):
    async def write(self, item: WriteItem, *, timeout: float) -> None:
        try:
            await super().write(item, timeout=timeout)
        except WriteError:
            await super().write(item, timeout=timeout)


class CallsAnUnknownOutcomeAFailure(ModbusTcpDriver):
    async def write(self, item: WriteItem, *, timeout: float) -> None:
        try:
            await super().write(item, timeout=timeout)
        except WriteError as error:
            raise WriteError(str(error)) from error


class LeavesAThread(ModbusTcpDriver):
    async def connect(self, *, timeout: float, on_lost: Lost) -> DeviceInfo:
        threading.Thread(target=time.sleep, args=(3.0,), daemon=True).start()
        return await super().connect(timeout=timeout, on_lost=on_lost)


class LeavesADescriptor(ModbusTcpDriver):
    async def connect(self, *, timeout: float, on_lost: Lost) -> DeviceInfo:
        KEPT_OPEN.append(socket.socket())
        return await super().connect(timeout=timeout, on_lost=on_lost)


KEPT_OPEN: list[socket.socket] = []


def close_what_is_open() -> None:
    while KEPT_OPEN:
        KEPT_OPEN.pop().close()


class Scales(ModbusTcpDriver):
    async def read(self, plan: ModbusReadPlan, *, timeout: float) -> Readings:
        readings = await super().read(plan, timeout=timeout)
        readings.values[:] = [
            value * tag.scale if isinstance(value, int) and tag.scale is not None else value
            for tag, value in zip(plan.tags, readings.values, strict=False)
        ]
        return readings


class NamesWhatItDoesNotHave(ModbusTcpDriver):
    capabilities = structs.replace(ModbusTcpDriver.capabilities, browse=True)

    async def browse(self, *, timeout: float) -> Sequence[BrowsedTag]:
        return [BrowsedTag(name="far", address="HR60000")]


class BlocksTheLoop(ModbusTcpDriver):
    async def read(self, plan: ModbusReadPlan, *, timeout: float) -> Readings:
        time.sleep(timeout)  # noqa: ASYNC251 - that is what the suite is to find
        return await super().read(plan, timeout=timeout)


class WritesInTheBackground(ModbusTcpDriver):
    async def write(self, item: WriteItem, *, timeout: float) -> None:
        await asyncio.shield(self._twice(item, timeout))

    async def _twice(self, item: WriteItem, timeout: float) -> None:
        await super().write(item, timeout=timeout)
        await super().write(item, timeout=timeout)


class LetsAWriteWaitForAnotherLink(ModbusTcpDriver):
    async def write(self, item: WriteItem, *, timeout: float) -> None:
        try:
            await super().write(item, timeout=timeout)
        except WriteError:
            await asyncio.get_running_loop().create_future()


class LosesWhatItJoined(ModbusTcpDriver):
    capabilities = structs.replace(ModbusTcpDriver.capabilities, merge_writes=True)

    def merge(self, items: Sequence[WriteItem]) -> list[WriteItem]:
        return list(items[:1])


CAUGHT: list[tuple[type[Driver], str]] = [
    (PlansInItsOwnOrder, "test_planning_needs_no_link"),
    (IsBornDegraded, "test_a_fresh_driver_can_be_asked_how_it_is"),
    (ReadsWithoutALink, "test_without_a_link_there_is_nothing_to_read_or_write"),
    (ClosesOnce, "test_closing_is_idempotent_and_needs_no_link"),
    (LeavesATask, "test_closing_is_idempotent_and_needs_no_link"),
    (LeavesAThread, "test_nothing_is_left_of_a_closed_link"),
    (LeavesADescriptor, "test_nothing_is_left_of_a_closed_link"),
    (LeavesATask, "test_nothing_is_left_of_a_closed_link"),
    (Scales, "test_scaling_is_left_to_the_connection"),
    (NamesWhatItDoesNotHave, "test_browsing_tells_what_can_be_read"),
    (BlocksTheLoop, "test_the_loop_goes_on_while_the_device_is_silent"),
    (WritesInTheBackground, "test_a_cancelled_write_is_never_sent_again"),
    (LetsAWriteWaitForAnotherLink, "test_a_write_whose_link_ends_is_told_and_never_sent_again"),
    (LosesWhatItJoined, "test_merged_writes_arrive_in_order"),
    (KeepsTheEndpointSecret, "test_connecting_tells_the_endpoint"),
    (LetsTheSystemsErrorThrough, "test_an_unreachable_device_is_a_link_error_in_time"),
    (NeverTellsALoss, "test_the_loss_of_the_link_is_told_once"),
    (TellsALossTwice, "test_the_loss_of_the_link_is_told_once"),
    (CallsItsOwnEndALoss, "test_an_end_that_was_asked_for_is_no_loss"),
    (MakesEveryNumberAFloat, "test_a_read_brings_what_the_device_holds"),
    (RefusesToReadNothing, "test_reading_nothing_is_no_error"),
    (KnowsOnlyItsOwnPlans, "test_a_plan_stays_valid_for_the_next_driver"),
    (ReadsTheMachinesClock, "test_the_time_of_arrival_comes_from_the_clock_that_was_given"),
    (MixesUpItsReaders, "test_reads_at_the_same_time_get_their_own_values"),
    (FailsAsAWhole, "test_a_tag_that_the_device_does_not_have_fails_alone"),
    (CountsNothing, "test_counters_only_rise"),
    (RemembersWhatItRead, "test_a_silent_device_ends_a_read_in_time_and_leaves_no_value"),
    (SwallowsCancellation, "test_a_late_answer_is_not_taken_for_another_one"),
    (TakesALateAnswer, "test_a_late_answer_is_not_taken_for_another_one"),
    (WritesWhatIsReadOnly, "test_what_must_not_be_written_is_refused_before_it_is_sent"),
    (WritesTwice, "test_what_is_written_is_read_back"),
    (IgnoresARefusal, "test_a_refused_write_is_the_devices_fault"),
    (WritesAgainAfterSilence, "test_a_write_without_an_answer_is_told_and_never_sent_again"),
    (CallsAnUnknownOutcomeAFailure, "test_a_write_without_an_answer_is_told_and_never_sent_again"),
]


@pytest.mark.parametrize(("broken", "test"), CAUGHT, ids=lambda value: getattr(value, "__name__", None))
async def test_a_broken_driver_is_caught(broken: type[Driver], test: str, request: pytest.FixtureRequest) -> None:
    """The test of the promise that it breaks fails."""
    suite = OnTheSimulator()
    suite.patience = 1.0
    request.addfinalizer(close_what_is_open)
    suite.driver_type = broken
    await expect_caught(suite, test)


class OnASloppyProtocol(OnTheSimulator):
    """Its addresses are never wrong."""

    def known(self) -> Sequence[tuple[Tag, Value]]:
        return [(Tag("any", "whatever", protocol="sloppy"), 0)]


async def test_a_protocol_that_takes_any_address_is_caught() -> None:
    """Addresses are the protocol's, so this is no matter of the driver."""

    def parse(tag: Tag) -> Any:
        return Tag(tag.name, "HR1").resolved

    spec = ProtocolSpec(
        name="sloppy", default_port=1, settings=MODBUS_TCP.settings, parse_address=parse, create=MODBUS_TCP.create
    )
    register_protocol("sloppy", spec)
    await expect_caught(OnASloppyProtocol(), "test_a_wrong_address_is_refused_where_the_tag_is_made")


def test_no_test_of_the_suite_is_without_a_driver_that_it_catches() -> None:
    """A test that cannot fail is a defect."""
    caught = {test for _, test in CAUGHT}
    assert caught | {"test_a_wrong_address_is_refused_where_the_tag_is_made"} == promises_of(DriverContract)
