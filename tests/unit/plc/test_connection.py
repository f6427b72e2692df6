"""What `PLCConnection` adds to a driver, on virtual time: polls, subscriptions, stand-ins, groups of writes."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import aclosing
from typing import Any, cast

import pytest

from bifrost.core.quality import Quality, StatusCode
from bifrost.errors import (
    AddressError,
    BadValue,
    ClosedError,
    ConfigError,
    DataTypeError,
    LinkTimeout,
    ModbusFault,
    NotConnected,
    WriteError,
)
from bifrost.plc import DataType, PLCConnection, Snapshot, Tag
from bifrost.plc.drivers.base import WriteItem
from bifrost.testing import VirtualClock
from tests.unit.plc.memory import Machine, MemoryDriver, memory

LAST = int(StatusCode.UNCERTAIN_LAST_USABLE_VALUE)


def connection(machine: Machine, clock: VirtualClock, **options: Any) -> PLCConnection:
    return memory(machine, **options)(clock)


def tag_of(plc: PLCConnection, name: str, **fields: Any) -> Tag:
    return Tag(name, name, fields.pop("datatype", DataType.FLOAT64), protocol=plc.settings.protocol, **fields)


# Readings


async def test_readings_can_be_used_as_the_values_they_are(clock: VirtualClock) -> None:
    """As a number, in a text, as a truth value; and with a type that a checker knows."""
    async with connection(Machine({"a": 21.5, "b": 0, "c": True}), clock) as plc:
        readings = await plc.read_tags()
        assert float(readings["a"]) == 21.5
        assert int(readings["a"]) == 21
        assert f"{readings['a']:.2f}" == "21.50"
        assert not readings["b"]
        assert readings["c"]
        assert readings["b"].expect(float) == 0.0
        assert readings["c"].expect(bool) is True
        assert readings.values_dict() == {"a": 21.5, "b": 0, "c": True}
        for kind in (int, str, bytes):
            with pytest.raises(BadValue, match="'a'"):
                readings["a"].expect(kind)
        with pytest.raises(BadValue, match="expected int, got bool"):
            readings["c"].expect(int)


async def test_a_bad_reading_is_never_taken_for_a_value(clock: VirtualClock) -> None:
    """Not for zero, and not for false."""
    async with connection(Machine({"a": 1}, silent={"a"}), clock) as plc:
        reading = (await plc.read_tags())["a"]
        assert (reading.value, reading.quality) == (None, Quality.BAD)
        for use in (float, int, bool, lambda value: f"{value:.1f}"):
            with pytest.raises(BadValue, match="no answer") as caught:
                cast(Any, use)(reading)
            assert caught.value.status == StatusCode.BAD_TIMEOUT


async def test_readings_tell_their_age_by_the_clock_that_never_jumps(clock: VirtualClock) -> None:
    """When the answer came, or when there was none."""
    machine = Machine({"a": 1}, read_takes=0.5)
    async with connection(machine, clock) as plc:
        began = clock.monotonic()
        assert (await plc.read_tags()).monotonic == pytest.approx(began + 0.5)
        machine.pull_the_plug()
        assert (await plc.read_tags()).monotonic == pytest.approx(clock.monotonic())


async def test_strict_reads_raise_what_is_wrong(clock: VirtualClock) -> None:
    """The first trouble, in the order of the tags; all good is no trouble."""
    machine = Machine({"a": 1, "b": 2})
    async with connection(machine, clock) as plc:
        assert (await plc.read_tags(strict=True)).ok
        machine.silent = {"b"}
        with pytest.raises(LinkTimeout):
            await plc.read_tags(strict=True)
        assert (await plc.read_tags(["a"], strict=True))["a"].value == 1
        machine.pull_the_plug()
        with pytest.raises(NotConnected):
            await plc.read_tags(strict=True)


async def test_what_can_never_bring_anything_is_refused(clock: VirtualClock) -> None:
    """A connection that was not started, or was closed."""
    plc = connection(Machine({"a": 1}), clock)
    with pytest.raises(NotConnected, match="not started"):
        await plc.read_tags()
    async with plc:
        assert (await plc.read_tags()).ok
    for use in (plc.read_tags(), plc.read("a"), plc.write("a", 1)):
        with pytest.raises(ClosedError):
            await use


async def test_the_last_good_value_stands_in_for_as_long_as_the_tag_allows(clock: VirtualClock) -> None:
    """UNCERTAIN and stale, with the time at which it was true; after that BAD. Others are BAD at once."""
    machine = Machine({"a": 1.0, "b": 2.0})
    plc = connection(machine, clock, backoff_max=3600.0, backoff_min=3600.0)
    tags = [tag_of(plc, "a", max_age=5.0), tag_of(plc, "b")]
    async with plc:
        good = await plc.read_tags(tags)
        machine.pull_the_plug()
        await asyncio.sleep(4.9)
        kept = (await plc.read_tags(tags))["a"]
        assert (kept.value, kept.status, kept.stale, kept.ok) == (1.0, LAST, True, False)
        assert kept.source_ts_ns == good["a"].source_ts_ns
        assert kept.server_ts_ns == pytest.approx(good["a"].server_ts_ns + 4.9e9)
        assert kept.error is not None
        other = (await plc.read_tags(tags))["b"]
        assert (other.value, other.quality, other.stale) == (None, Quality.BAD, False)
        batch = await plc.read_batch(tags)
        (row, other_row) = batch.rows()
        assert row[1:4] == (good["a"].source_ts_ns, 1.0, LAST), "a stale value was stamped as new"
        assert other_row[2] is None
        await asyncio.sleep(0.2)
        assert (await plc.read_tags(tags))["a"].value is None
        assert (await plc.read_tags(["b"], max_age=100.0))["b"].value is None, "b was never read with an age"


async def test_a_value_that_the_device_refuses_has_no_stand_in(clock: VirtualClock) -> None:
    """Its last value is no longer one: only silence is bridged."""
    machine = Machine({"a": 1.0})
    plc = connection(machine, clock)
    tags = [tag_of(plc, "a", max_age=60.0)]
    async with plc:
        await plc.read_tags(tags)
        machine.silent = {"a"}
        assert (await plc.read_tags(tags))["a"].value == 1.0
        machine.refused = {"a"}
        assert (await plc.read_tags(tags))["a"].value is None


# Scaling


async def test_numbers_are_scaled_and_the_raw_ones_kept(clock: VirtualClock) -> None:
    """``raw * scale + offset_value``; what a limit holds back is UNCERTAIN."""
    machine = Machine({"a": 100, "b": 7})
    plc = connection(machine, clock)
    tags = [tag_of(plc, "a", scale=0.5, offset_value=-10.0, clamp=(-20.0, 50.0)), tag_of(plc, "b")]
    async with plc:
        reading = (await plc.read_tags(tags))["a"]
        assert (reading.value, reading.raw, reading.ok) == (40.0, 100, True)
        assert (await plc.read_tags(tags))["b"].raw is None
        for raw, held in ((1000, 50.0), (-1000, -20.0)):
            machine.values["a"] = raw
            reading = (await plc.read_tags(tags))["a"]
            assert (reading.value, reading.raw, reading.quality) == (held, raw, Quality.UNCERTAIN)
            assert reading.status == StatusCode.UNCERTAIN_ENGINEERING_UNITS_EXCEEDED
        assert await plc.read(tags[0]) == -20.0


async def test_a_written_number_is_scaled_back_and_held_to_its_limits(clock: VirtualClock) -> None:
    """Beyond them it is refused before anything is sent."""
    machine = Machine({"a": 0})
    plc = connection(machine, clock)
    tag = tag_of(plc, "a", datatype=DataType.INT16, scale=0.1, clamp=(0.0, 10.0), access="rw")
    async with plc:
        await plc.write(tag, 3.3)
        for value in (10.1, -0.1, float("nan"), "1", True):
            with pytest.raises(DataTypeError):
                await plc.write(tag, value)
        assert machine.log.count("write a 33") == 1
        assert sum(entry.startswith("write ") for entry in machine.log) == 1


# Polls


async def collect(plc: PLCConnection, count: int, *, wait: float = 0.0, **options: Any) -> list[Snapshot]:
    got: list[Snapshot] = []
    async with aclosing(cast(Any, plc.poll(**options))) as snapshots:
        async for snapshot in snapshots:
            got.append(snapshot)
            if len(got) == count:
                break
            await asyncio.sleep(wait)
    return got


async def test_a_poll_keeps_its_grid_and_tells_how_each_cycle_went(clock: VirtualClock) -> None:
    """Numbered cycles, at whole intervals from the first, with the time that each took."""
    machine = Machine({"a": 1}, read_takes=0.004)
    async with connection(machine, clock) as plc:
        got = await collect(plc, 50, interval_ms=10.0)
        assert [snapshot.seq for snapshot in got] == list(range(50))
        assert [snapshot.started - got[0].started for snapshot in got] == pytest.approx([n * 0.01 for n in range(50)])
        assert all(snapshot.duration == pytest.approx(0.004) for snapshot in got)
        assert (got[-1].overruns, got[-1].dropped, plc.stats.overruns) == (0, 0, 0)
        assert got[0].changed == {"a"}
        assert got[1].changed == set()
        assert got[1].data == {"a": 1}


async def test_a_slow_consumer_gets_the_latest_and_learns_what_it_missed(clock: VirtualClock) -> None:
    """The cycles go on without it; a longer queue keeps more."""
    async with connection(Machine({"a": 1}), clock) as plc:
        got = await collect(plc, 4, wait=0.054, interval_ms=10.0)
        assert [snapshot.seq for snapshot in got] == [0, 5, 10, 16]
        assert got[-1].dropped == 13
        assert got[-1].overruns == 0
        kept = await collect(plc, 4, wait=0.054, interval_ms=10.0, queue=3)
        assert [snapshot.seq for snapshot in kept] == [0, 3, 8, 14]


async def test_overrun_cycles_are_skipped_or_made_up(clock: VirtualClock) -> None:
    """Skipped ones leave a gap in the numbers; made up ones follow at once, and none is missing."""
    machine = Machine({"a": 1})
    async with connection(machine, clock) as plc:
        for way, numbers in (("skip", [0, 3, 4, 5]), ("catch_up", [0, 1, 2, 3])):
            machine.delays = [0.035, 0.0, 0.0, 0.0]
            got = await collect(plc, 4, interval_ms=10.0, on_overrun=way, queue=10)
            assert [snapshot.seq for snapshot in got] == numbers, way
            assert got[-1].overruns == 2


async def test_a_poll_goes_on_through_an_outage(clock: VirtualClock) -> None:
    """Bad readings at the same rate, good ones when the device is back; nothing is raised."""
    machine = Machine({"a": 1})
    async with connection(machine, clock, backoff_max=0.1) as plc:
        asyncio.get_running_loop().call_later(0.1, machine.pull_the_plug)
        asyncio.get_running_loop().call_later(0.3, setattr, machine, "present", True)
        got = await collect(plc, 60, interval_ms=10.0)
        states = [snapshot["a"].ok for snapshot in got]
        assert states[0]
        assert states[-1]
        assert 15 <= states.count(False) <= 45
        assert [snapshot.seq for snapshot in got] == list(range(60))


async def test_a_poll_on_change_gives_only_news(clock: VirtualClock) -> None:
    """The first, and what leaves the deadband, measured from what was given last."""
    machine = Machine({"a": 0.0})
    plc = connection(machine, clock)
    tag = tag_of(plc, "a", deadband=0.5)

    def drift() -> None:
        machine.values["a"] += 0.2

    machine.on_read = drift
    async with plc:
        got = await collect(plc, 4, tags=[tag], interval_ms=10.0, on_change=True)
        assert [snapshot.data["a"] for snapshot in got] == pytest.approx([0.2, 0.8, 1.4, 2.0])
        assert [snapshot.seq for snapshot in got] == [0, 3, 6, 9]


async def fail_within_a_poll(plc: PLCConnection) -> None:
    async with aclosing(cast(Any, plc.poll(interval_ms=10.0))) as snapshots:
        async for _ in snapshots:
            raise ZeroDivisionError


async def test_leaving_a_poll_ends_its_task(clock: VirtualClock) -> None:
    """By break, by an exception, by cancelling the consumer, by closing the connection."""
    async with connection(Machine({"a": 1}), clock) as plc:
        await asyncio.sleep(0)
        before = asyncio.all_tasks()
        await collect(plc, 2, interval_ms=10.0)
        with pytest.raises(ZeroDivisionError):
            await fail_within_a_poll(plc)
        consumer = asyncio.create_task(collect(plc, 10**6, interval_ms=10.0))
        await asyncio.sleep(0.1)
        consumer.cancel()
        with pytest.raises(asyncio.CancelledError):
            await consumer
        await asyncio.sleep(0)
        assert asyncio.all_tasks() == before
        to_the_end = asyncio.create_task(collect(plc, 10**6, interval_ms=10.0))
        await asyncio.sleep(0.105)
    assert len(await to_the_end) == 11
    assert len(asyncio.all_tasks()) == 1


@pytest.mark.parametrize("options", [{"interval_ms": 0.0}, {"queue": 0}, {"on_overrun": "wait"}, {"tags": ["b"]}])
async def test_a_wrong_poll_is_refused_before_it_begins(clock: VirtualClock, options: dict[str, Any]) -> None:
    """At the call, not at the first snapshot."""
    async with connection(Machine({"a": 1}), clock) as plc:
        with pytest.raises(ConfigError):
            plc.poll(**options)


async def test_several_pollers_share_the_link(clock: VirtualClock) -> None:
    """Each at its own rate."""
    machine = Machine({"a": 1, "b": 2})
    async with connection(machine, clock) as plc:
        fast, slow = await asyncio.gather(
            collect(plc, 30, tags=["a"], interval_ms=10.0), collect(plc, 3, tags=["b"], interval_ms=100.0)
        )
        assert fast[-1].started - fast[0].started == pytest.approx(0.29)
        assert slow[-1].started - slow[0].started == pytest.approx(0.2)
        assert plc.stats.connects == 1


# Subscriptions


async def test_a_subscriber_is_called_with_news_until_it_is_cancelled(clock: VirtualClock) -> None:
    """A function or a coroutine function; what it raises is reported and ends nothing."""
    machine = Machine({"a": 0})
    heard: list[Any] = []
    reported: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: reported.append(context))

    def hear(snapshot: Snapshot) -> None:
        heard.append(snapshot["a"].value)
        if len(heard) == 1:
            raise ZeroDivisionError

    async def hear_later(snapshot: Snapshot) -> None:
        await asyncio.sleep(0.001)
        heard.append(("later", snapshot["a"].value))

    async with connection(machine, clock) as plc:
        first = plc.subscribe(["a"], hear, interval_ms=10.0)
        async with plc.subscribe(["a"], hear_later, interval_ms=10.0) as second:
            await asyncio.sleep(0.05)
            machine.values["a"] = 5
            await asyncio.sleep(0.05)
        assert not second.active
        assert heard == [0, ("later", 0), 5, ("later", 5)]
        assert isinstance(reported[0]["exception"], ZeroDivisionError)
        assert first.active
    await first.wait_ended()
    machine.values["a"] = 6
    await asyncio.sleep(0.1)
    assert 6 not in heard
    assert len(asyncio.all_tasks()) == 1


# Writes


class Merging(MemoryDriver):
    """Writes all neighbours at once."""

    capabilities = MemoryDriver.capabilities.__class__(merge_writes=True)

    def merge(self, items: Sequence[WriteItem]) -> Sequence[WriteItem]:
        runs: list[list[WriteItem]] = []
        for item in items:
            if runs and ord(item.tag.name) == ord(runs[-1][-1].tag.name) + 1:
                runs[-1].append(item)
            else:
                runs.append([item])
        return [WriteItem(run[0].tag, b"+".join(item.request for item in run)) for run in runs]


async def test_writes_keep_their_order_and_each_tells_its_own_end(clock: VirtualClock) -> None:
    """One that fails does not keep the others from being written."""
    machine = Machine({"a": 0, "b": 0, "c": 0})
    async with connection(machine, clock) as plc:
        results = await plc.write_tags({"c": 1, "a": 2})
        assert list(results) == ["c", "a"]
        assert results.ok
        results.raise_errors()
        machine.write_fails = ModbusFault("no", code=4)
        results = await plc.write_tags({"b": 3})
        assert isinstance(results["b"], ModbusFault)
        assert not results.ok
        assert results.unknown == ()
        machine.write_fails = WriteError("lost", unknown_outcome=True)
        results = await plc.write_tags({"b": 3})
        assert results.unknown == ("b",)
        with pytest.raises(WriteError, match="1 of 1 values were not written: b: lost") as caught:
            results.raise_errors()
        assert caught.value.unknown_outcome
        assert caught.value.results is results
        writes = [entry for entry in machine.log if entry.startswith("write ")]
        assert writes == ["write c 1", "write a 2", "write b 3", "write b 3"]


async def test_one_wrong_value_keeps_all_from_being_sent(clock: VirtualClock) -> None:
    """Checked before anything moves."""
    machine = Machine({"a": 0, "b": 0})
    plc = connection(machine, clock)
    async with plc:
        with pytest.raises(DataTypeError):
            await plc.write_tags({tag_of(plc, "a", access="rw"): 1, tag_of(plc, "b", access="rw", scale=2.0): "x"})
        with pytest.raises(ConfigError, match="did you mean"):
            await plc.write_tags({"a": 1, "bb": 2})
        assert not [entry for entry in machine.log if entry.startswith("write ")]


async def test_neighbours_are_merged_if_asked_and_atomic_means_one_request(clock: VirtualClock) -> None:
    """In the given order; what cannot be one request is refused as a whole."""
    machine = Machine(dict.fromkeys("abcx", 0), driver_type=Merging)
    async with connection(machine, clock) as plc:
        results = await plc.write_tags({"a": 1, "b": 2, "x": 3}, merge=True)
        assert list(results) == ["a", "b", "x"]
        assert machine.log[-4:] == ["write a 1+2", "written", "write x 3", "written"]
        await plc.write_tags({"a": 1, "b": 2, "c": 3}, atomic=True)
        assert machine.log[-2:] == ["write a 1+2+3", "written"]
        sent = len(machine.log)
        with pytest.raises(ConfigError, match="3 values need 2 requests"):
            await plc.write_tags({"a": 1, "b": 2, "x": 3}, atomic=True)
        assert len(machine.log) == sent
        machine.write_fails = WriteError("lost", unknown_outcome=True)
        assert (await plc.write_tags({"a": 1, "b": 2}, merge=True)).unknown == ("a", "b")


async def test_a_verified_write_is_read_back(clock: VirtualClock) -> None:
    """A device that took it and did not keep it is told."""
    machine = Machine({"a": 5, "b": 0})
    async with connection(machine, clock) as plc:
        results = await plc.write_tags({"a": 5, "b": 7}, verify=True)
        assert results["a"] is None
        error = results["b"]
        assert isinstance(error, WriteError)
        assert not error.unknown_outcome
        assert "the device now has 0, not 7" in str(error)


# Tags of other protocols


async def test_an_address_of_another_protocol_is_refused_before_anything_is_sent(clock: VirtualClock) -> None:
    """Where the tag names it, and where it is named at the call."""
    machine = Machine({"a": 1})
    foreign = Tag("t", "HR1", protocol="modbus-tcp")
    async with connection(machine, clock) as plc:
        with pytest.raises(AddressError, match="this connection speaks memory"):
            await plc.read_tags([foreign])
    with pytest.raises(AddressError, match="this connection speaks modbus-tcp"):
        PLCConnection(host="192.0.2.1", tags=[Tag("t", "a", protocol=plc.settings.protocol)])


async def test_a_tag_without_protocol_is_understood_by_the_connection(clock: VirtualClock) -> None:
    """HR1 is a register for Modbus, and a plain name for others."""
    async with connection(Machine({"HR1": 4}), clock) as plc:
        assert await plc.read(Tag("HR1", "HR1")) == 4
