"""What a troubled S7 CPU does to a connection: nothing hangs, no value is wrong, nothing is left behind."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest

from bifrost.core.clock import SystemClock
from bifrost.core.quality import StatusCode
from bifrost.errors import BifrostError, LinkError, NotConnected, S7Fault, WriteError
from bifrost.plc import PLCConnection, Tag
from bifrost.plc.reconnect import LinkState
from bifrost.plc.s7 import S7Driver, S7Settings
from bifrost.plc.sim import Fault, FaultPlan, Injection
from bifrost.plc.sim.s7 import S7_FAULTS, S7Target
from tests.integration.leftovers import nothing_left_behind
from tests.integration.waiting import until

_TIMEOUT = 0.15
_HARMLESS = {Fault.SPLIT, Fault.SLOW_BYTES, Fault.DUPLICATE}
_SPEED = Tag("speed", "DB1.DBD4:REAL", access="rw", protocol="s7")
_TEXT = Tag("text", "DB1:20:STRING(20)", access="rw", protocol="s7")
_FLAG = Tag("flag", "DB1.DBX0.3", access="rw", protocol="s7")


@asynccontextmanager
async def _target(**more: object) -> AsyncIterator[S7Target]:
    async with nothing_left_behind(), S7Target({1: 600, 2: 40}, **more) as target:  # type: ignore[arg-type]  # options
        target.put("DB1.DBD4:REAL", 20.5)
        target.put("DB1:20:STRING(20)", "valve")
        target.put("DB1.DBX0.3", True)
        yield target


def _driver(target: S7Target, **options: object) -> S7Driver:
    settings = S7Settings(protocol="s7", host="127.0.0.1", port=target.port, **options)  # type: ignore[arg-type]  # as given
    return S7Driver(settings, SystemClock())


@asynccontextmanager
async def _linked(target: S7Target, **options: object) -> AsyncIterator[tuple[S7Driver, list[BifrostError]]]:
    losses: list[BifrostError] = []
    driver = _driver(target, **options)
    try:
        await driver.connect(timeout=1.0, on_lost=losses.append)
        yield driver, losses
    finally:
        await driver.aclose()


def _injection(fault: Fault, *, code: int = 0x05) -> Injection:
    return Injection(fault, seconds=2 * _TIMEOUT if fault is Fault.DELAY else 0.0005, code=code)


@pytest.mark.parametrize("fault", S7_FAULTS)
async def test_a_disturbed_answer_brings_the_right_value_or_none(fault: Fault) -> None:
    """Each fault ends in time: with the right values, a refusal for each tag, or the loss of the link told once."""
    async with _target() as target, _linked(target) as (driver, losses):
        plan = driver.plan([_SPEED, _TEXT, _FLAG])
        target.faults = FaultPlan.script(_injection(fault, code=0x03))
        began = time.monotonic()
        try:
            readings = await driver.read(plan, timeout=_TIMEOUT)
        except NotConnected:
            assert fault not in _HARMLESS | {Fault.EXCEPTION}
            await until(lambda: len(losses) == 1)
        else:
            if fault is Fault.EXCEPTION:
                assert readings.values == [20.5, "valve", True], "the parts are asked for again, one by one"
            else:
                assert fault in _HARMLESS
                assert readings.values == [20.5, "valve", True]
                assert len(losses) == (fault is Fault.DUPLICATE)
        assert time.monotonic() - began < _TIMEOUT + 0.5


async def test_a_connection_gets_over_every_fault_by_itself() -> None:
    """After each disturbed answer the next good reading comes without anybody's help."""
    async with (
        _target() as target,
        PLCConnection(
            "s7", host="127.0.0.1", port=target.port, timeout=_TIMEOUT, backoff_min=0.05, backoff_max=0.05
        ) as plc,
    ):
        for fault in S7_FAULTS:
            target.faults = FaultPlan.script(_injection(fault, code=0x01))  # a code that is not remembered
            await plc.read_tags([_SPEED])
            async with asyncio.timeout(2.0):
                async for snapshot in plc.poll([_SPEED], interval_ms=10):
                    assert snapshot["speed"].value in {20.5, None}
                    if snapshot["speed"].ok:
                        break
        assert target.counters.injected == len(S7_FAULTS)


@pytest.mark.parametrize("fault", S7_FAULTS)
async def test_a_write_is_never_sent_twice(fault: Fault) -> None:
    """Whatever happens to the answer, the CPU has seen the write once at most, and a doubt is told."""
    async with _target() as target, _linked(target) as (driver, _):
        target.faults = FaultPlan.script(_injection(fault, code=0x05))
        outcome = await _outcome(driver.write(driver.prepare(_SPEED, 1.5), timeout=_TIMEOUT))
        if fault is Fault.EXCEPTION:
            assert isinstance(outcome, S7Fault)
            assert outcome.code == 0x05
        elif fault in _HARMLESS:
            assert outcome is None
        else:
            assert isinstance(outcome, WriteError)
            assert outcome.unknown_outcome
        await asyncio.sleep(0.1)
        assert target.write_count == (fault is not Fault.EXCEPTION)


async def _outcome(writing: Awaitable[None]) -> BifrostError | None:
    try:
        await writing
    except BifrostError as error:
        return error
    return None


async def test_a_cancelled_write_is_not_sent_again_and_ends_the_link() -> None:
    """Nobody knows what the answer to a write that was given up belongs to."""
    async with _target() as target, _linked(target) as (driver, losses):
        target.faults = FaultPlan.always(Injection(Fault.DELAY, seconds=0.2))
        writing = asyncio.create_task(driver.write(driver.prepare(_SPEED, 1.5), timeout=1.0))
        await until(lambda: target.write_count == 1)
        writing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await writing
        assert len(losses) == 1
        await asyncio.sleep(0.3)
        assert target.write_count == 1


async def test_a_link_that_ends_while_idle_is_noticed_without_a_read() -> None:
    """FIN and RST are told at once, not with the next read."""
    for reset in (False, True):
        async with _target() as target, _linked(target) as (_, losses):
            target.drop_clients(reset=reset)
            await until(lambda losses=losses: len(losses) == 1, timeout=0.5)  # type: ignore[misc]  # bound in the loop


async def test_an_item_that_is_refused_harms_no_other() -> None:
    """0x03, 0x05 and 0x0A are the status of their tag; where they are is remembered."""
    bad = {
        "far": ("DB1.DBW599", StatusCode.BAD_NODE_ID_UNKNOWN, 0x05),
        "block": ("DB77.DBB0", StatusCode.BAD_NODE_ID_UNKNOWN, 0x0A),
        "denied": ("DB2.DBW0", StatusCode.BAD_USER_ACCESS_DENIED, 0x03),
    }
    tags = [_SPEED, _TEXT, *(Tag(name, at, protocol="s7") for name, (at, _, _) in bad.items()), _FLAG]
    async with _target() as target, _linked(target) as (driver, losses):
        target.memory.refuse("DB2")
        plan = driver.plan(tags)
        for round_ in range(2):
            before = target.counters.jobs
            readings = await driver.read(plan, timeout=_TIMEOUT)
            assert readings.values == [20.5, "valve", None, None, None, True]
            assert readings.status is not None
            for slot, (_, status, code) in enumerate(bad.values(), 2):
                error = readings.errors[slot]
                assert isinstance(error, S7Fault)
                assert (readings.status[slot], error.code) == (status, code)
                assert "optimized" in str(error)
            assert target.counters.jobs - before <= (3 if round_ == 0 else 1)
        assert losses == []


async def test_what_was_refused_is_asked_for_again_on_a_new_link() -> None:
    """The program may be another one by then."""
    missing = Tag("late", "DB2.DBW0", protocol="s7")
    async with _target() as target:
        target.memory.refuse("DB2", 0x0A)
        async with _linked(target) as (driver, _):
            plan = driver.plan([missing, _SPEED])
            assert (await driver.read(plan, timeout=_TIMEOUT)).values == [None, 20.5]
            target.memory.refuse("DB2", None)
            assert (await driver.read(plan, timeout=_TIMEOUT)).values == [None, 20.5]
        async with _linked(target) as (driver, _):
            assert (await driver.read(plan, timeout=_TIMEOUT)).values == [0, 20.5]


async def test_a_pdu_that_is_renegotiated_smaller_makes_smaller_jobs() -> None:
    """The plan of the longer PDU serves the next link, whose answers are shorter; what is longer is UNCERTAIN."""
    tags = [_SPEED, Tag("all", "DB1.DBB0:BYTE[600]", protocol="s7"), Tag("raw", "DB1.DBB0:BYTES(200)", protocol="s7")]
    async with _target() as target:
        async with _linked(target) as (driver, _):
            plan = driver.plan(tags)
            wide = await driver.read(plan, timeout=_TIMEOUT)
            assert wide.status is None
            first = target.counters.jobs
        target.pdu_length = 112
        async with _linked(target) as (driver, _):
            narrow = await driver.read(plan, timeout=_TIMEOUT)
            assert narrow.values == wide.values
            assert target.counters.jobs - first > first
            assert narrow.status is not None
            assert narrow.status[:601] == [0] * 601
            assert narrow.status[601] == StatusCode.UNCERTAIN_SUB_NORMAL
            assert narrow.errors == {}


async def test_a_write_that_is_longer_than_a_job_takes_several() -> None:
    """Arrays are cut between their values; each value is sent once."""
    long = Tag("long", "DB1.DBD100:DINT[100]", access="rw", protocol="s7")
    text = Tag("text", "DB1:20:STRING(60)", access="rw", protocol="s7")
    async with _target(pdu_length=112) as target, _linked(target) as (driver, _):
        target.put("DB1:20:STRING(60)", "")
        await driver.write(driver.prepare(long, list(range(100))), timeout=_TIMEOUT)
        await driver.write(driver.prepare(text, "x" * 60), timeout=_TIMEOUT)
        assert target.get("DB1.DBD100:DINT[100]") == list(range(100))
        assert target.get("DB1:20:STRING(60)") == "x" * 60
        assert sum(len(record.data) for record in target.memory.writes) == 400 + 61


async def test_a_bit_is_written_alone() -> None:
    """The other bits of the byte stay as the CPU has them, without reading them first."""
    bits = Tag("bits", "DB1.DBX8.6[4]", access="rw", protocol="s7")
    async with _target() as target, _linked(target) as (driver, _):
        target.put("DB1.DBB0", 0b1010_1010)
        target.put("DB1.DBB8", 0xFF)
        await driver.write(driver.prepare(_FLAG, False), timeout=_TIMEOUT)
        await driver.write(driver.prepare(bits, [False, True, True, False]), timeout=_TIMEOUT)
        assert target.get("DB1.DBB0") == 0b1010_0010
        assert (target.get("DB1.DBB8"), target.get("DB1.DBB9")) == (0b1011_1111, 0b01)
        assert target.counters.jobs == 2
        assert [record.bit for record in target.memory.writes] == [3, 6, 7, 0, 1]


async def test_a_refused_iso_connection_says_what_to_look_at() -> None:
    """Rack and slot are in the text; nothing is left open."""
    async with _target() as target:
        target.refuse_connections = True
        driver = _driver(target, slot=2)
        with pytest.raises(NotConnected, match=r"refused the connection to TSAP 0x0102 .*slot 2"):
            await driver.connect(timeout=1.0, on_lost=lambda _: None)
        await driver.aclose()


async def test_a_cpu_that_accepts_and_stays_silent_is_given_up_in_time() -> None:
    """What a CPU does whose connections are all taken, and one that has died behind its network card."""
    async with _target(max_clients=0, when_full="silence") as target:
        driver = _driver(target)
        began = time.monotonic()
        with pytest.raises(LinkError):
            await driver.connect(timeout=0.2, on_lost=lambda _: None)
        assert time.monotonic() - began < 0.5
        await driver.aclose()


async def test_a_connection_outlives_the_restart_of_the_cpu() -> None:
    """Readings are BAD meanwhile and good again after it."""
    async with (
        _target() as target,
        PLCConnection("s7", host="127.0.0.1", port=target.port, timeout=_TIMEOUT, backoff_min=0.05) as plc,
    ):
        assert await plc.read(_SPEED) == 20.5
        await target.restart()
        await plc.wait_connected(timeout=3.0)
        assert await plc.read(_SPEED) == 20.5
        await target.stop(reset=True)
        await until(lambda: plc.state is not LinkState.CONNECTED)
        assert (await plc.read_tags([_SPEED]))["speed"].status == StatusCode.BAD_NOT_CONNECTED
        target.put("DB1.DBD4:REAL", 7.0)
        await target.start()
        await plc.wait_connected(timeout=3.0)
        assert await plc.read(_SPEED) == 7.0


async def test_without_put_get_every_tag_says_what_to_permit() -> None:
    """0x8104 is no matter of single tags: nothing is asked for twice, nothing is remembered."""
    async with _target() as target, _linked(target) as (driver, losses):
        target.refuse_jobs = 0x8104
        plan = driver.plan([_SPEED, _TEXT, _FLAG])
        for jobs in (1, 2):
            readings = await driver.read(plan, timeout=_TIMEOUT)
            assert readings.values == [None, None, None]
            assert readings.status == [StatusCode.BAD_USER_ACCESS_DENIED] * 3
            assert all("PUT/GET" in str(error) for error in readings.errors.values())
            assert target.counters.jobs == jobs
        with pytest.raises(S7Fault, match="PUT/GET"):
            await driver.write(driver.prepare(_SPEED, 1.0), timeout=_TIMEOUT)
        target.refuse_jobs = None
        assert (await driver.read(plan, timeout=_TIMEOUT)).values == [20.5, "valve", True]
        assert losses == []


async def test_a_cpu_that_takes_few_items_is_asked_for_one_after_the_other() -> None:
    """The job as a whole was refused, its parts are not."""
    tags = [_SPEED, Tag("far", "DB1.DBW400", protocol="s7"), Tag("none", "DB9.DBW0", protocol="s7")]
    async with _target() as target, _linked(target) as (driver, _):
        target.max_items = 1
        readings = await driver.read(driver.plan(tags), timeout=_TIMEOUT)
        assert readings.values == [20.5, 0, None]
        assert target.counters.jobs == 1 + 3


async def test_bytes_that_are_no_value_are_the_status_of_their_tag() -> None:
    """`BAD_DECODING_ERROR`; the others are good, and the link goes on."""
    date = Tag("date", "DB1:100:DTL", protocol="s7")
    async with _target() as target, _linked(target) as (driver, losses):
        readings = await driver.read(driver.plan([_SPEED, date]), timeout=_TIMEOUT)
        assert readings.values == [20.5, None]
        assert readings.status == [0, StatusCode.BAD_DECODING_ERROR]
        assert "no date" in str(readings.errors[1])
        assert driver.counters()["undecodable_values"] == 1
        assert losses == []


async def test_a_write_that_is_refused_in_part_has_an_unknown_outcome() -> None:
    """Some bits of the array exist, some do not; refused as a whole, it is the device's fault."""
    async with _target() as target, _linked(target) as (driver, _):
        half = Tag("half", "DB1.DBX599.6[4]", access="rw", protocol="s7")
        with pytest.raises(WriteError, match="in part") as caught:
            await driver.write(driver.prepare(half, [True] * 4), timeout=_TIMEOUT)
        assert caught.value.unknown_outcome
        assert target.get("DB1.DBX599.6[2]") == [True, True]
        none = Tag("none", "DB1.DBX600.0[4]", access="rw", protocol="s7")
        with pytest.raises(S7Fault) as refused:
            await driver.write(driver.prepare(none, [True] * 4), timeout=_TIMEOUT)
        assert refused.value.code == 0x05


async def test_bytes_that_nobody_asked_for_end_the_link() -> None:
    """They may be the answer to something that was given up."""
    async with _target() as target, _linked(target) as (driver, losses):
        (client,) = target._tasks.values()
        client.writer.write(bytes.fromhex("0300000702f080"))
        await until(lambda: len(losses) == 1)
        assert "nobody asked for" in str(losses[0])
        with pytest.raises(NotConnected):
            await driver.read(driver.plan([_SPEED]), timeout=_TIMEOUT)


@pytest.mark.parametrize("seed", [1, 2])
async def test_random_faults_bring_no_wrong_value_and_no_second_write(seed: int) -> None:
    """Polling and counting writes go on through whatever comes; each write reaches the CPU once at most."""
    count = Tag("count", "DB1.DBW300", access="rw", protocol="s7")
    tried = 0
    async with (
        _target() as target,
        PLCConnection(
            "s7", host="127.0.0.1", port=target.port, timeout=0.05, backoff_min=0.05, backoff_max=0.05
        ) as plc,
    ):
        faults = [fault for fault in S7_FAULTS if fault is not Fault.EXCEPTION]
        target.faults = FaultPlan.seeded(seed, rate=0.3, faults=faults, seconds=0.02)
        written = 0
        async for snapshot in plc.poll([_SPEED, _TEXT, count], interval_ms=5):
            assert snapshot["speed"].value in {20.5, None}
            assert snapshot["text"].value in {"valve", None}
            assert snapshot["count"].value in {*range(max(0, written - 1), tried + 1), None}
            if target.counters.injected >= 25:
                break
            if plc.state is LinkState.CONNECTED:
                tried += 1
                outcome = await _outcome(plc.write(count, tried))
                written = tried if outcome is None else written
        assert target.write_count <= tried
        assert len({record.data for record in target.memory.writes}) == target.write_count
        assert written > 5


async def _lateness(seconds: float, work: Callable[[], Awaitable[object]]) -> tuple[float, float]:
    """How late the loop's turns are while `work` is done again and again: nineteen of twenty, and the latest."""
    late: list[float] = []

    async def watch() -> None:
        loop = asyncio.get_running_loop()
        while True:
            due = loop.time() + 0.001
            await asyncio.sleep(0.001)
            late.append(loop.time() - due)

    watching = asyncio.create_task(watch())
    patience = sys.getswitchinterval()
    sys.setswitchinterval(0.0002)  # the simulated CPU's threads would keep this one waiting for 5 ms
    try:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            await work()
            await asyncio.sleep(0.01)
    finally:
        sys.setswitchinterval(patience)
        watching.cancel()
        await asyncio.wait([watching])
    late.sort()
    assert len(late) > 20
    return late[len(late) * 95 // 100], late[-1]


async def test_the_loop_is_not_held_up_by_links_that_are_dead_or_hung() -> None:
    """Ten connections to silent, refusing and vanished CPUs: the loop turns every 5 ms all the same.

    A busy machine stands still by itself now and then, which is measured first; none of the turns waits for a timeout.
    """
    async with _target() as target, _target(max_clients=0, when_full="silence") as silent:
        ports = [target.port] * 4 + [silent.port] * 4 + [1, 1]
        plcs = [
            PLCConnection(
                "s7", host="127.0.0.1", port=port, timeout=0.05, connect_timeout=0.1, backoff_min=0.05, identify=False
            )
            for port in ports
        ]
        of_the_machine, _ = await _lateness(0.2, lambda: asyncio.sleep(0))
        try:
            for plc in plcs:
                plc.start()
            await plcs[0].wait_connected()
            target.faults = FaultPlan.always(Fault.SILENCE)
            usual, latest = await _lateness(0.5, lambda: asyncio.gather(*(plc.read_tags([_SPEED]) for plc in plcs)))
        finally:
            await asyncio.gather(*(plc.aclose() for plc in plcs))
    assert usual < 0.005 + of_the_machine
    assert latest < 0.045 + of_the_machine
