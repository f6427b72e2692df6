"""Injected faults: the sick device's tags turn BAD with the reason and recover; its neighbour notices nothing."""

from __future__ import annotations

import asyncio
import gc
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import psutil
import pytest

from bifrost.actors import Actor, ActorRef, ActorSystem, ChildSpec, DynamicSupervisor, SupervisorRef
from bifrost.core.batch import Batch
from bifrost.core.quality import Quality, StatusCode, quality_of
from bifrost.demo.plant_process import PlantProcess
from bifrost.plc import Area, DataType, TagSettings
from bifrost.plc.actor import device_spec
from bifrost.plc.device import DeviceStatus, GetStatus, PollGroup, WriteOutcome, WriteTag
from bifrost.plc.modbus.settings import ModbusSettings
from bifrost.plc.sim import Fault, FaultPlan, Injection, ModbusTcpServer, RegisterBank

MASK = 0xDEAD_BEEF
TIMEOUT = 0.1
TAGS = [TagSettings(name="count", address="HR1:UINT32"), TagSettings(name="check", address="HR3:UINT32")]
VALVE = TagSettings(name="valve", address="HR11", access="rw")


class Collector(Actor[Batch]):
    """Keeps every batch, and tells whoever waits for one."""

    def __init__(self, got: list[Batch], arrived: asyncio.Event) -> None:
        self.got = got
        self.arrived = arrived

    async def receive(self, message: Batch) -> None:
        self.got.append(message)
        self.arrived.set()


class Watched:
    """One device under test, and what came from it."""

    def __init__(self, ref: ActorRef[object], got: list[Batch], arrived: asyncio.Event) -> None:
        self.ref = ref
        self.got = got
        self._arrived = arrived

    async def until(self, done: Callable[[list[Batch]], bool], *, timeout: float = 5.0) -> None:
        """Wait until the batches that came satisfy `done`."""
        try:
            async with asyncio.timeout(timeout):
                while not done(self.got):
                    self._arrived.clear()
                    await self._arrived.wait()
        except TimeoutError:
            latest = self.got[-1].rows() if self.got else "nothing"
            pytest.fail(f"waited {timeout} s in vain; the latest was {latest}, the device is {await self.status()}")

    async def until_good(self) -> None:
        """Wait for good rows that come from now on."""
        start = len(self.got)
        await self.until(lambda got: any(row[3] == StatusCode.GOOD for batch in got[start:] for row in batch.rows()))

    async def until_status(self, status: int, *, since: int = 0) -> None:
        """Wait until both tags had this status code in a batch from `since` on."""

        def had_it(got: list[Batch]) -> bool:
            return len({row[0] for batch in got[since:] for row in batch.rows() if row[3] == status}) == len(TAGS)

        await self.until(had_it)

    async def status(self) -> DeviceStatus:
        answer = await self.ref.ask(GetStatus())
        assert isinstance(answer, DeviceStatus)
        return answer


def counting_bank() -> RegisterBank:
    """A device whose every read shows the next number, and beside it the same number masked."""
    bank = RegisterBank()
    bank.map(Area.HOLDING, 0, 4)
    reads = -1

    def count(*_: object) -> None:
        nonlocal reads
        reads += 1
        bank.put(Area.HOLDING, 0, reads, DataType.UINT32)
        bank.put(Area.HOLDING, 2, reads ^ MASK, DataType.UINT32)

    bank.on_read = count
    return bank


def settings(port: int, *, timeout: float) -> ModbusSettings:
    return ModbusSettings(
        host="127.0.0.1", port=port, timeout=timeout, connect_timeout=0.5, interval_ms=15.0,
        backoff_min=0.05, backoff_max=0.1, probe_interval=0.05, tags=[*TAGS, VALVE],
    )  # fmt: skip


@asynccontextmanager
async def nothing_left_behind() -> AsyncIterator[None]:
    """Everything opened inside is closed again: tasks, sockets, descriptors."""
    process = psutil.Process()
    tasks = asyncio.all_tasks()
    gc.collect()
    descriptors = _descriptors(process)
    yield
    for _ in range(50):
        gc.collect()
        if asyncio.all_tasks() == tasks and _descriptors(process) <= descriptors:
            return
        await asyncio.sleep(0.02)
    pytest.fail(f"left behind: {asyncio.all_tasks() - tasks}, {_descriptors(process) - descriptors} descriptors")


def _descriptors(process: psutil.Process) -> int:
    # Handles of Windows come and go by themselves; its open connections do not.
    return len(process.net_connections()) if sys.platform == "win32" else process.num_fds()


@asynccontextmanager
async def plant(port: int, *, timeout: float = TIMEOUT) -> AsyncIterator[tuple[Watched, Watched]]:
    """A gateway's tree with a sick device at `port` and a healthy one; yields both."""
    async with (
        nothing_left_behind(),
        ModbusTcpServer(counting_bank()) as healthy_server,
        ActorSystem("gateway", children=[DynamicSupervisor.spec("sinks"), DynamicSupervisor.spec("devices")]) as system,
    ):
        watched: list[Watched] = []
        sinks, devices = system.ref("sinks"), system.ref("devices")
        assert isinstance(sinks, SupervisorRef)
        assert isinstance(devices, SupervisorRef)
        for name, its_port, its_timeout in (("sick", port, timeout), ("healthy", healthy_server.port, 5.0)):
            got: list[Batch] = []
            arrived = asyncio.Event()
            sink = await sinks.start_child(ChildSpec(id=name, start=Collector, args=(got, arrived)))
            polled = [PollGroup(tuple(tag.name for tag in TAGS), 0.015)]
            spec = device_spec(settings(its_port, timeout=its_timeout), name=name, outputs=[sink], groups=polled)
            watched.append(Watched(await devices.start_child(spec), got, arrived))
        sick, healthy = watched
        await healthy.until_good()
        yield sick, healthy
        before = len(healthy.got)
        await healthy.until(lambda got: len(got) > before)
        check_complete(healthy.got)
        snapshot = system.snapshot()
        [nodes] = [child.children for child in snapshot.children if child.id == "devices"]
        assert {child.id: child.restarts for child in nodes} == {"sick": 0, "healthy": 0}


def check_complete(got: list[Batch]) -> None:
    """Every batch is there, every row good, every number of the device in its place."""
    assert [batch.sequence - got[0].sequence for batch in got] == list(range(len(got)))
    rows = [row for batch in got for row in batch.rows()]
    assert {row[3] for row in rows} == {int(StatusCode.GOOD)}
    counts = [row[2] for row in rows if row[0].endswith("/count")]
    assert counts == list(range(len(got)))


def check_truth(got: list[Batch], *, name: str = "sick") -> None:
    """Bad rows have no value; good rows are true: the two halves of one read agree, and numbers never go back."""
    last = -1
    for batch in got:
        rows = {row[0]: row for row in batch.rows()}
        for _, _, value, status, _ in rows.values():
            assert (value is None) == (quality_of(status) is Quality.BAD)
        counts = rows.get(f"{name}/count")
        checks = rows.get(f"{name}/check")
        if counts is not None and checks is not None and counts[2] is not None and checks[2] is not None:
            assert isinstance(counts[2], int)
            assert isinstance(checks[2], int)
            assert counts[2] ^ checks[2] == MASK
            assert counts[2] > last
            last = counts[2]


SICKENING = [
    pytest.param(Injection(Fault.DROP), StatusCode.BAD_TIMEOUT, id="drop"),
    pytest.param(Injection(Fault.SILENCE), StatusCode.BAD_TIMEOUT, id="silence"),
    pytest.param(Injection(Fault.DELAY, seconds=TIMEOUT * 1.6), StatusCode.BAD_TIMEOUT, id="late"),
    pytest.param(Injection(Fault.SLOW_BYTES, seconds=TIMEOUT / 5), StatusCode.BAD_TIMEOUT, id="slow-bytes"),
    pytest.param(Injection(Fault.WRONG_TRANSACTION), StatusCode.BAD_TIMEOUT, id="wrong-transaction"),
    pytest.param(Injection(Fault.WRONG_UNIT), StatusCode.BAD_TIMEOUT, id="wrong-unit"),
    pytest.param(Injection(Fault.WRONG_FUNCTION), StatusCode.BAD_COMMUNICATION_ERROR, id="wrong-function"),
    pytest.param(Injection(Fault.WRONG_BYTE_COUNT), StatusCode.BAD_COMMUNICATION_ERROR, id="wrong-byte-count"),
    pytest.param(Injection(Fault.EXCEPTION, code=1), StatusCode.BAD_NOT_SUPPORTED, id="exception-1"),
    pytest.param(Injection(Fault.EXCEPTION, code=2), StatusCode.BAD_CONFIGURATION_ERROR, id="exception-2"),
    pytest.param(Injection(Fault.EXCEPTION, code=4), StatusCode.BAD_DEVICE_FAILURE, id="exception-4"),
    pytest.param(Injection(Fault.EXCEPTION, code=6), StatusCode.BAD_OUT_OF_SERVICE, id="exception-6"),
    pytest.param(Injection(Fault.EXCEPTION, code=11), StatusCode.BAD_NO_COMMUNICATION, id="exception-11"),
    pytest.param(Injection(Fault.TRUNCATE, cut=9), StatusCode.BAD_NOT_CONNECTED, id="dies-mid-frame"),
    pytest.param(Injection(Fault.GARBAGE), StatusCode.BAD_NOT_CONNECTED, id="garbage"),
    pytest.param(Injection(Fault.BAD_PROTOCOL_ID), StatusCode.BAD_NOT_CONNECTED, id="bad-protocol-id"),
    pytest.param(Injection(Fault.FIN), StatusCode.BAD_NOT_CONNECTED, id="fin"),
    pytest.param(Injection(Fault.RST), StatusCode.BAD_NOT_CONNECTED, id="rst"),
]


@pytest.mark.parametrize(("injection", "expected"), SICKENING)
async def test_a_fault_turns_its_own_tags_bad_with_the_reason(injection: Injection, expected: StatusCode) -> None:
    """Good, then BAD with the reason, then good again once cured; the neighbour's numbers have no gap."""
    async with ModbusTcpServer(counting_bank()) as server, plant(server.port) as (sick, healthy):
        await sick.until_good()
        sickened, neighbour = len(sick.got), len(healthy.got)
        server.faults = FaultPlan.always(injection)
        await sick.until_status(expected, since=sickened)
        status = await sick.status()
        assert status.bad_tags == 2
        assert all(reading.value is None and reading.error for reading in status.values)
        await healthy.until(lambda got: len(got) >= neighbour + 3)
        server.faults = None
        if injection.code == 2:
            server.drop_clients()  # an address that was refused is not asked for again on the same link
        await sick.until_good()
        check_truth(sick.got)


@pytest.mark.parametrize(
    "injection",
    [
        Injection(Fault.SPLIT),
        Injection(Fault.DUPLICATE),
        Injection(Fault.COALESCE),
        Injection(Fault.DELAY, seconds=0.01),
    ],
    ids=lambda injection: injection.fault,
)
async def test_oddities_within_the_standard_do_no_harm(injection: Injection) -> None:
    """Answers in single bytes, twice, behind a foreign frame or a little late: every number arrives, all good."""
    async with (
        ModbusTcpServer(counting_bank(), faults=FaultPlan.always(injection)) as server,
        plant(server.port) as (sick, _),
    ):
        await sick.until(lambda got: len(got) >= 15)
        check_complete(sick.got)


@pytest.mark.parametrize("seed", [1, 2, 3])
async def test_no_random_mix_of_faults_ever_makes_a_wrong_value_good(seed: int) -> None:
    """Under a seeded storm of every fault, each good value is true; after it the device recovers."""
    plan = FaultPlan.seeded(seed, rate=0.5, seconds=0.15)
    async with ModbusTcpServer(counting_bank(), faults=plan) as server, plant(server.port) as (sick, _):
        await sick.until(lambda _: sum(entry is not None for entry in plan.history) >= 15, timeout=20.0)
        server.faults = None
        server.drop_clients()
        await sick.until_good()
        check_truth(sick.got)


@pytest.mark.parametrize(
    ("fault", "taken", "unknown"),
    [(Fault.DROP, 1, True), (Fault.FIN, 1, True), (Fault.WRONG_TRANSACTION, 1, True), (Fault.EXCEPTION, 0, False)],
)
async def test_a_write_is_sent_once_whatever_happens_to_its_answer(fault: Fault, taken: int, unknown: bool) -> None:
    """The outcome says whether the device may have acted; it acted once at most, also after the recovery."""
    bank = counting_bank()
    bank.map(Area.HOLDING, 10, 1)
    async with ModbusTcpServer(bank) as server, plant(server.port, timeout=0.3) as (sick, _):
        await sick.until_good()
        server.faults = FaultPlan.always(fault)
        outcome = await sick.ref.ask(WriteTag("valve", 7))
        assert isinstance(outcome, WriteOutcome)
        assert (outcome.ok, outcome.unknown_outcome) == (False, unknown)
        server.faults = None
        await sick.until_good()
        assert bank.write_count == taken
        assert bank.get(Area.HOLDING, 10) == 7 * taken
        assert (await sick.ref.ask(WriteTag("valve", 8))).ok
        assert bank.write_count == taken + 1


async def test_a_device_that_is_absent_at_start_joins_when_it_appears() -> None:
    """Its tags are BAD, not connected, at once; it is found by itself as soon as it is switched on."""
    server = ModbusTcpServer(counting_bank())
    await server.start()
    await server.stop()
    async with plant(server.port) as (sick, healthy):
        await sick.until_status(StatusCode.BAD_NOT_CONNECTED)
        assert (await sick.status()).connects == 0
        neighbour = len(healthy.got)
        await healthy.until(lambda got: len(got) >= neighbour + 5)
        await server.start()
        await sick.until_good()
        await server.stop()
        check_truth(sick.got)


async def test_a_device_that_turns_everybody_away_is_not_stormed() -> None:
    """It accepts and closes at once: the tags are BAD, and the back-off keeps the attempts few."""
    async with ModbusTcpServer(counting_bank(), max_clients=0) as server, plant(server.port) as (sick, healthy):
        await sick.until_status(StatusCode.BAD_NOT_CONNECTED)
        neighbour = len(healthy.got)
        await healthy.until(lambda got: len(got) >= neighbour + 20)
        assert server.counters.connections < 40
        assert server.counters.connections == server.counters.turned_away


async def test_a_killed_device_process_comes_back() -> None:
    """The device is a process that is killed without warning and started again on its port."""
    device = PlantProcess("pump")
    port = await device.start()
    try:
        async with plant(port) as (sick, _):
            await sick.until_good()
            since = len(sick.got)
            await device.kill()
            await sick.until_status(StatusCode.BAD_NOT_CONNECTED, since=since)
            await device.start()
            await sick.until_good()
    finally:
        await device.kill()


@pytest.mark.skipif(sys.platform == "win32", reason="Windows cannot pause a process by a signal")
async def test_a_paused_device_is_half_open_and_comes_back() -> None:
    """The process stands still while its port stays open: timeouts, then a fresh link; late answers harm nobody."""
    device = PlantProcess("pump")
    port = await device.start()
    [process] = [child for child in psutil.Process().children() if "bifrost.demo.plant" in child.cmdline()]
    try:
        async with plant(port) as (sick, _):
            await sick.until_good()
            since = len(sick.got)
            process.suspend()
            await sick.until_status(StatusCode.BAD_TIMEOUT, since=since)
            process.resume()
            await sick.until_good()
    finally:
        await device.kill()


async def test_a_silent_device_does_not_hold_up_a_stop() -> None:
    """A request that would wait for half a minute is given up when the system stops; nothing stays open."""
    async with ModbusTcpServer(counting_bank()) as server:
        async with plant(server.port, timeout=30.0) as (sick, _):
            await sick.until_good()
            server.faults = FaultPlan.always(Fault.SILENCE)
            requests = server.counters.requests
            for _ in range(250):
                if server.counters.requests > requests:
                    break
                await asyncio.sleep(0.02)
            began = asyncio.get_running_loop().time()
        assert asyncio.get_running_loop().time() - began < 3.0


async def test_a_long_outage_does_not_flood() -> None:
    """While the reason stays the same, one row for each tag is published, however many polls fail."""
    server = ModbusTcpServer(counting_bank())
    await server.start()
    async with plant(server.port) as (sick, _):
        await sick.until_good()
        since = len(sick.got)
        await server.stop()
        await sick.until_status(StatusCode.BAD_NOT_CONNECTED, since=since)
        polls = (await sick.status()).polls
        for _ in range(250):
            if (await sick.status()).polls >= polls + 15:
                break
            await asyncio.sleep(0.02)
        bad = [row for batch in sick.got[since:] for row in batch.rows() if row[3] != StatusCode.GOOD]
        assert len(bad) == len(TAGS)
        assert (await sick.status()).polls >= polls + 15
