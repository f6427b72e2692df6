"""The device actor on virtual time, above a protocol whose machine lives in memory."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest

from bifrost.actors import Actor, ActorRef, ActorState, ActorSystem, Backoff, ChildSpec, Mailbox
from bifrost.core.batch import Batch
from bifrost.core.clock import Clock
from bifrost.errors import BifrostError, ConfigError, LinkTimeout, ModbusFault, NotConnected, WriteError
from bifrost.plc import DataType, DeviceSettings, PLCConnection, TagSettings
from bifrost.plc.actor import Connect, device_spec
from bifrost.plc.device import DeviceMessage, DeviceStatus, GetStatus, PollGroup, SetOutputs, WriteOutcome, WriteTag
from bifrost.testing import VirtualClock
from tests.unit.plc.memory import GONE, GOOD, TIMEOUT, Machine, memory


class Collector(Actor[Batch]):
    """Keeps every batch."""

    def __init__(self, got: list[Batch], takes: float = 0.0) -> None:
        self.got = got
        self.takes = takes

    async def receive(self, message: Batch) -> None:
        await asyncio.sleep(self.takes)
        self.got.append(message)


class Plant:
    """A running device and everything that it published."""

    def __init__(self, system: ActorSystem, got: list[Batch]) -> None:
        self.system = system
        self.ref: ActorRef[DeviceMessage] = system.ref("press")
        self.got = got

    async def status(self) -> DeviceStatus:
        answer = await self.ref.ask(GetStatus())
        assert isinstance(answer, DeviceStatus)
        return answer

    def statuses(self, since: int = 0) -> list[int]:
        return [row[3] for batch in self.got[since:] for row in batch.rows()]


@asynccontextmanager
async def running(
    clock: VirtualClock, connect: Connect, *, sink: ChildSpec | None = None, **options: Any
) -> AsyncIterator[Plant]:
    got: list[Batch] = []
    async with ActorSystem("test", clock=clock, seed=1) as system:
        out = await system.start_child(sink or ChildSpec(id="sink", start=Collector, args=(got,)))
        await system.start_child(device_spec(connect, name="press", outputs=[out], **options))
        yield Plant(system, got)
    assert len(asyncio.all_tasks()) == 1


async def test_a_start_does_not_wait_for_the_device(clock: VirtualClock) -> None:
    """The device hangs in connecting: the actor runs and answers at once; its rows are bad by the connect timeout."""
    machine = Machine({"a": 1}, hangs=True)
    began = clock.monotonic()
    async with running(clock, memory(machine, connect_timeout=3.0)) as plant:
        assert clock.monotonic() == began
        await asyncio.sleep(0.01)  # the actor runs; let its link begin
        status = await plant.status()
        assert (status.state, status.good_tags, status.bad_tags, status.values) == ("connecting", 0, 1, ())
        await asyncio.sleep(3.2)
        assert plant.statuses() == [GONE]


async def test_a_connected_device_is_never_called_bad_at_start(clock: VirtualClock) -> None:
    """The first row is a good one."""
    async with running(clock, memory(Machine({"a": 7}))) as plant:
        await asyncio.sleep(0.35)
        assert plant.got[0].rows()[0][:1] == ("press/a",)
        assert set(plant.statuses()) == {GOOD}


async def test_polls_keep_their_grid_however_long_a_read_takes(clock: VirtualClock) -> None:
    """A thousand polls of 30 ms every 100 ms: each begins a whole number of intervals after the first."""
    machine = Machine({"a": 1}, read_takes=0.03)
    async with running(clock, memory(machine)) as plant:
        await asyncio.sleep(100.2)
        first = machine.reads[0]
        assert len(machine.reads) >= 1000
        for number, at in enumerate(machine.reads):
            assert at - first == pytest.approx(number * 0.1, abs=1e-6)
        assert (await plant.status()).overruns == 0


async def test_each_poll_is_one_batch_numbered_without_gaps(clock: VirtualClock) -> None:
    """Origin is the device, labels are device/tag, numbers go up by one from the start time."""
    started_ns = clock.time_ns()
    async with running(clock, memory(Machine({"a": 1, "b": 2}))) as plant:
        await asyncio.sleep(2.0)
        assert len(plant.got) >= 19
        assert [batch.sequence for batch in plant.got] == [started_ns + n for n in range(len(plant.got))]
        assert {batch.origin for batch in plant.got} == {"press"}
        assert all([row[0] for row in batch.rows()] == ["press/a", "press/b"] for batch in plant.got)
        status = await plant.status()
        assert status.rows_published == 2 * len(plant.got)
        assert status.polls == len(plant.got)


async def test_slow_polls_are_skipped_and_counted(clock: VirtualClock) -> None:
    """A read of 250 ms every 100 ms: no two at once, skipped ones are overruns."""
    machine = Machine({"a": 1}, read_takes=0.25)
    async with running(clock, memory(machine)) as plant:
        await asyncio.sleep(10.0)
        status = await plant.status()
        assert min(b - a for a, b in zip(machine.reads, machine.reads[1:], strict=False)) >= 0.2499
        assert 35 <= status.polls <= 40
        assert status.polls + status.overruns >= 97
        assert status.poll_p50 == pytest.approx(0.25)


async def test_an_outage_is_told_at_once_then_slowly_and_ends_by_itself(
    clock: VirtualClock, caplog: pytest.LogCaptureFixture
) -> None:
    """Not connected within one interval, repeated every ten seconds, good again after the link is back."""
    machine = Machine({"a": 1})
    async with running(clock, memory(machine, backoff_max=1.0)) as plant:
        await asyncio.sleep(1.05)
        before = len(plant.got)
        machine.pull_the_plug()
        await asyncio.sleep(0.15)
        assert plant.statuses(before) == [GONE]
        [(_, ts, value, _, _)] = plant.got[-1].rows()
        assert value is None
        assert clock.time_ns() - ts <= 0.15e9
        await asyncio.sleep(25.0)
        assert plant.statuses(before) == [GONE] * 3
        status = await plant.status()
        assert (status.good_tags, status.bad_tags) == (0, 1)
        assert status.state in {"backoff", "connecting"}
        assert status.values[0].error == status.last_error == "nobody there"
        machine.present = True
        await asyncio.sleep(1.5)
        assert plant.statuses(before)[-1] == GOOD
        assert (await plant.status()).connects == 2
        assert [batch.sequence - plant.got[0].sequence for batch in plant.got] == list(range(len(plant.got)))
        assert [record.getMessage() for record in caplog.records] == ["press: not connected: the plug was pulled"]


async def test_a_device_that_takes_links_and_answers_none_is_one_outage(
    clock: VirtualClock, caplog: pytest.LogCaptureFixture
) -> None:
    """However many links it takes meanwhile: the log tells of the outage once, and of its end with an answer."""
    machine = Machine({"a": 1, "b": 2})

    def hang_up() -> None:
        if machine.silent and machine.driver is not None and machine.driver.on_lost is not None:
            lose = machine.driver.on_lost
            asyncio.get_running_loop().call_later(0.01, lose, LinkTimeout("given up"))

    machine.on_read = hang_up
    with caplog.at_level(logging.INFO, logger="bifrost.actors"):
        async with running(clock, memory(machine, backoff_max=1.0)) as plant:
            await asyncio.sleep(1.0)
            machine.silent = {"a", "b"}
            await asyncio.sleep(60.0)
            assert (await plant.status()).connects > 30
            machine.silent = {"b"}
            machine.on_read = lambda: None
            await asyncio.sleep(3.0)
        told = [record.getMessage() for record in caplog.records if record.getMessage().startswith("press: ")]
    assert told == ["press: connected", "press: not connected: given up", "press: connected"]


async def test_a_link_that_comes_and_goes_fills_no_log_and_leaves_no_wrong_last_word(
    clock: VirtualClock, caplog: pytest.LogCaptureFixture
) -> None:
    """A few lines at once, then two a minute that count what was held back; the last one says how it is now."""
    machine = Machine({"a": 1})

    def hang_up() -> None:
        if machine.driver is not None and machine.driver.on_lost is not None:
            asyncio.get_running_loop().call_later(0.01, machine.driver.on_lost, NotConnected("hung up"))

    machine.on_read = hang_up
    with caplog.at_level(logging.INFO, logger="bifrost.actors"):
        async with running(clock, memory(machine, backoff_max=0.2)) as plant:
            await asyncio.sleep(600.0)
            assert (await plant.status()).connects > 500
            machine.present = False
            await asyncio.sleep(60.0)
        told = [record.getMessage() for record in caplog.records if record.getMessage().startswith("press: ")]
    assert told[:3] == ["press: connected", "press: not connected: hung up", "press: connected"]
    assert 25 <= len(told) <= 35
    assert told[-1].startswith("press: not connected: ")
    assert "lines held back" in told[-2]


async def test_one_bad_tag_does_not_hide_the_others(clock: VirtualClock) -> None:
    """The silent tag is published bad once; the other one goes on with every poll."""
    machine = Machine({"a": 1, "b": 2})
    async with running(clock, memory(machine)) as plant:
        await asyncio.sleep(0.95)
        before = len(plant.got)
        machine.silent = {"b"}
        await asyncio.sleep(1.0)
        rows = [row for batch in plant.got[before:] for row in batch.rows()]
        assert [row[3] for row in rows if row[0] == "press/b"] == [TIMEOUT]
        assert len([row for row in rows if row[0] == "press/a"]) == len(plant.got) - before >= 9
        status = await plant.status()
        assert (status.good_tags, status.bad_tags) == (1, 1)
        assert status.values[1].error == "bad timeout"


async def test_a_slow_group_learns_of_loss_and_return_at_once(clock: VirtualClock) -> None:
    """Polled once a minute: bad a moment after the loss, good a moment after the return."""
    machine = Machine({"a": 1})
    async with running(clock, memory(machine, interval=60.0, backoff_max=0.5)) as plant:
        await asyncio.sleep(5.0)
        assert plant.statuses() == [GOOD]
        machine.pull_the_plug()
        await asyncio.sleep(0.01)
        assert plant.statuses() == [GOOD, GONE]
        machine.present = True
        await asyncio.sleep(1.0)
        assert plant.statuses() == [GOOD, GONE, GOOD]


async def test_groups_have_their_own_pace(clock: VirtualClock) -> None:
    """One tag ten times a second, the other once; numbers stay without gaps over both."""
    machine = Machine({"fast": 1, "slow": 2})
    groups = [PollGroup(("fast",), 0.1), PollGroup(("slow",), 1.0)]
    async with running(clock, memory(machine), groups=groups) as plant:
        await asyncio.sleep(10.95)
        names = [row[0] for batch in plant.got for row in batch.rows()]
        assert 99 <= names.count("press/fast") <= 110
        assert 9 <= names.count("press/slow") <= 11
        assert [batch.sequence - plant.got[0].sequence for batch in plant.got] == list(range(len(plant.got)))


async def test_a_full_output_holds_the_device_back_and_drops_are_counted(
    clock: VirtualClock, caplog: pytest.LogCaptureFixture
) -> None:
    """Beyond the deadline a batch is dropped: counted, logged, and visible as a gap in the numbers."""
    got: list[Batch] = []
    slow = ChildSpec(id="slow", start=Collector, args=(got, 2.0), mailbox=Mailbox(capacity=1), shutdown=0.0)
    with caplog.at_level(logging.WARNING):
        async with running(clock, memory(Machine({"a": 1, "b": 2})), sink=slow, publish_timeout=0.5) as plant:
            await asyncio.sleep(20.3)
            status = await plant.status()
    assert status.rows_dropped > 0
    assert status.rows_dropped % 2 == 0
    assert status.overruns > 0
    numbers = [batch.sequence - got[0].sequence for batch in got]
    assert numbers[-1] > len(numbers)
    assert status.rows_published // 2 >= len(got)
    assert status.polls - (status.rows_published + status.rows_dropped) // 2 in {0, 1}  # one may be on its way
    assert "dropped 2 rows" in caplog.text
    assert caplog.text.count("dropped") == 1


async def test_new_outputs_survive_a_crash(clock: VirtualClock) -> None:
    """A defect in a read restarts the actor after its back-off; it publishes to the outputs that were set last."""
    machine = Machine({"a": 1})
    other: list[Batch] = []
    async with running(clock, memory(machine), backoff=Backoff(min=0.5, max=1.0, jitter=0.0)) as plant:
        second = await plant.system.start_child(ChildSpec(id="other", start=Collector, args=(other,)))
        await asyncio.sleep(0.5)
        await plant.ref.ask(SetOutputs((second,)))
        await asyncio.sleep(0.5)
        assert other
        last = other[-1].sequence
        machine.defect = RuntimeError("a bug in the driver")
        await asyncio.sleep(2.0)
        assert plant.ref.incarnation == 2
        assert plant.ref.state is ActorState.RUNNING
        assert other[-1].sequence > last
        assert machine.log.count("close") == 1
        later = [batch.sequence for batch in other if batch.sequence > last]
        assert later[0] > last + 1_000_000


async def test_a_write_reaches_the_machine_once_and_before_the_next_poll(clock: VirtualClock) -> None:
    """Polls that fall due while a write is on its way wait for it; polling goes on afterwards."""
    machine = Machine({"a": 1}, write_takes=0.45)
    async with running(clock, memory(machine)) as plant:
        await asyncio.sleep(1.0)
        machine.log.clear()
        assert await plant.ref.ask(WriteTag("a", 42)) == WriteOutcome("a")
        await asyncio.sleep(0.5)
        assert machine.log.count("write a 42") == 1
        start = machine.log.index("write a 42")
        assert machine.log[start : start + 3] == ["write a 42", "written", "read"]
        assert machine.log[start + 1 :].count("read") >= 4
        assert (await plant.status()).overruns >= 2


@pytest.mark.parametrize(
    ("trouble", "unknown"),
    [
        (ModbusFault("refused: device failure", code=4), False),
        (WriteError("it was sent, no answer came", unknown_outcome=True), True),
        (NotConnected("the link is down"), False),
    ],
)
async def test_a_write_that_fails_is_told_and_never_repeated(
    clock: VirtualClock, trouble: BifrostError, unknown: bool
) -> None:
    """The outcome says why, and whether the device may have acted; the actor goes on."""
    machine = Machine({"a": 1}, write_fails=trouble)
    async with running(clock, memory(machine)) as plant:
        await asyncio.sleep(0.5)
        outcome = await plant.ref.ask(WriteTag("a", 42))
        assert outcome == WriteOutcome("a", str(trouble), unknown)
        assert not outcome.ok
        await asyncio.sleep(5.0)
        assert machine.log.count("write a 42") == 1
        assert plant.ref.incarnation == 1


async def test_a_write_to_no_tag_or_no_device_is_an_answer(clock: VirtualClock) -> None:
    """Unknown tags and outages are told, nothing is sent, nothing crashes."""
    machine = Machine({"a": 1}, present=False)
    async with running(clock, memory(machine)) as plant:
        await asyncio.sleep(0.5)
        unknown = await plant.ref.ask(WriteTag("speed", 1))
        assert "no tag 'speed'" in unknown.error
        gone = await plant.ref.ask(WriteTag("a", 1))
        assert "nobody there" in gone.error
        assert plant.ref.incarnation == 1


async def test_a_record_is_published_once_and_missed_ones_are_counted(clock: VirtualClock) -> None:
    """Polled twice for each record: every second poll publishes nothing; a jump of the counter is counted."""
    machine = Machine({"number": 0, "value": 10})
    reads = 0

    def advance() -> None:
        nonlocal reads
        reads += 1
        number = reads // 2 + (5 if reads > 20 else 0)
        machine.values |= {"number": number, "value": 10 + number}

    machine.on_read = advance
    async with running(clock, memory(machine), record_counter="number") as plant:
        await asyncio.sleep(4.0)
        shown = [row[2] for batch in plant.got for row in batch.rows() if row[0] == "press/number"]
        numbers = [number for number in shown if isinstance(number, int)]
        assert len(numbers) == len(shown)
        assert numbers == sorted(set(numbers))
        assert [batch.sequence - plant.got[0].sequence for batch in plant.got] == list(range(len(plant.got)))
        status = await plant.status()
        assert status.missed_records == 4
        assert status.repeated_records == status.polls - len(plant.got) > 10


async def test_a_record_that_stays_is_told_again_after_an_outage(clock: VirtualClock) -> None:
    """The same record before and after: bad in between, and good again, though the number is the same."""
    machine = Machine({"number": 3})
    async with running(clock, memory(machine), record_counter="number") as plant:
        await asyncio.sleep(1.0)
        machine.pull_the_plug()
        await asyncio.sleep(1.0)
        machine.present = True
        await asyncio.sleep(5.0)
        assert plant.statuses() == [GOOD, GONE, GOOD]


async def test_a_device_without_tags_is_watched(clock: VirtualClock) -> None:
    """It is connected and never read."""
    machine = Machine({})
    async with running(clock, memory(machine)) as plant:
        await asyncio.sleep(2.0)
        status = await plant.status()
        assert (status.state, status.polls, status.bad_tags) == ("connected", 0, 0)
        assert machine.reads == []


async def test_a_device_without_outputs_just_polls(clock: VirtualClock) -> None:
    """Nothing is published and nothing dropped; the readings can be asked for."""
    async with running(clock, memory(Machine({"a": 5}))) as plant:
        await plant.ref.ask(SetOutputs(()))
        await asyncio.sleep(2.0)
        status = await plant.status()
        assert (status.rows_published, status.rows_dropped) == (0, 0)
        assert [(reading.tag, reading.value) for reading in status.values] == [("press/a", 5)]


def test_what_cannot_work_is_refused_before_anything_starts() -> None:
    """Groups and counters that name no tag, a negative repeat: a ConfigError from `device_spec`."""
    from bifrost.plc.modbus.settings import ModbusSettings

    settings = ModbusSettings(host="192.0.2.1", tags=[TagSettings(name="speed", address="HR1")])
    assert device_spec(settings, name="press").id == "press"
    for options, complaint in (
        ({"groups": [PollGroup(("sped",), 1.0)]}, "no tag 'sped'; known are speed"),
        ({"groups": [PollGroup((), 1.0)]}, "has no tags"),
        ({"groups": [PollGroup(("speed",), 0.0)]}, "interval"),
        ({"record_counter": "number"}, "record_counter: expected the name of a polled tag, got 'number'"),
        ({"bad_repeat": -1.0}, "bad_repeat"),
    ):
        with pytest.raises(ConfigError, match=complaint):
            device_spec(settings, name="press", **options)


async def test_each_tag_is_polled_at_its_own_rate(clock: VirtualClock) -> None:
    """Tags of one interval together, those without one at the device's; all over one link."""
    machine = Machine({"fast": 1, "slow": 2, "plain": 3})

    def connect(clock: Clock) -> PLCConnection:
        made = memory(machine, interval=0.5)(clock)
        tags = [replace(tag, interval_ms={"fast": 100.0, "slow": 2000.0}.get(tag.name)) for tag in made.tags]
        return PLCConnection(made.settings.protocol, name="press", tags=tags, clock=clock, interval_ms=500.0)

    async with running(clock, connect) as plant:
        await asyncio.sleep(20.9)
        counts = Counter(row[0] for batch in plant.got for row in batch.rows())
        assert 205 <= counts["press/fast"] <= 210
        assert 40 <= counts["press/plain"] <= 42
        assert 10 <= counts["press/slow"] <= 12
        assert all(len({row[0] for row in batch.rows()}) == 1 for batch in plant.got)
        assert (await plant.status()).connects == 1


async def test_a_group_can_publish_only_what_changed(clock: VirtualClock) -> None:
    """First everything, then what left its deadband; at the latest after the report interval, everything again."""
    machine = Machine({"a": 10, "b": 20})
    group = PollGroup(("a", "b"), 0.1, on_change=True, report_interval=5.0)
    async with running(clock, memory(machine), groups=[group]) as plant:
        await asyncio.sleep(1.05)
        machine.values["b"] = 21
        await asyncio.sleep(1.0)
        rows = [(row[0], row[2]) for batch in plant.got for row in batch.rows()]
        assert rows == [("press/a", 10), ("press/b", 20), ("press/b", 21)]
        await asyncio.sleep(4.0)
        rows = [(row[0], row[2]) for batch in plant.got for row in batch.rows()]
        assert rows[3:] == [("press/a", 10), ("press/b", 21)]
        assert (await plant.status()).polls >= 55


async def test_an_outage_is_told_by_a_group_that_publishes_on_change(clock: VirtualClock) -> None:
    """At once, again every `bad_repeat` seconds, and once when it is over."""
    machine = Machine({"a": 1})
    group = PollGroup(("a",), 0.1, on_change=True)
    async with running(clock, memory(machine, backoff_max=1.0), groups=[group], bad_repeat=5.0) as plant:
        await asyncio.sleep(0.55)
        machine.pull_the_plug()
        await asyncio.sleep(11.0)
        assert plant.statuses() == [GOOD, GONE, GONE, GONE]
        machine.present = True
        await asyncio.sleep(3.0)
        assert plant.statuses()[4:] == [GOOD]


async def test_the_settings_of_a_device_reach_its_groups(clock: VirtualClock) -> None:
    """What a settings file says about publishing holds without naming a group."""
    settings = DeviceSettings(
        protocol=memory(Machine({"a": 1}))(clock).settings.protocol,
        interval_ms=100.0,
        on_change=True,
        tags=[TagSettings(name="a", address="a", datatype=DataType.UINT32, interval_ms=200.0)],
    )
    got: list[Batch] = []
    async with ActorSystem("test", clock=clock, seed=1) as system:
        out = await system.start_child(ChildSpec(id="sink", start=Collector, args=(got,)))
        await system.start_child(device_spec(settings, name="press", outputs=[out]))
        await asyncio.sleep(3.05)
        status = await system.ref("press").ask(GetStatus())
        assert isinstance(status, DeviceStatus)
        assert 14 <= status.polls <= 16
    assert [row[2] for batch in got for row in batch.rows()] == [1]
