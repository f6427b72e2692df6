"""A supervised uplink, whole: log actor, reader, sender, historian; crashes, outages, poison and orderly stops."""

from __future__ import annotations

import asyncio
import shutil
import sqlite3
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec
import pytest

from bifrost.actors import ActorSystem, Strategy, Supervisor
from bifrost.bridge.buffering import WalSettings, WalSink, WriteAheadLog
from bifrost.bridge.buffering.actor import GetWalStatistics, LogEnded, wal_spec
from bifrost.bridge.buffering.port import WalPort
from bifrost.bridge.connectors.historian import HistorianSettings, HistorianUplink
from bifrost.bridge.delivery import DeliverySettings
from bifrost.bridge.retry import RetrySettings
from bifrost.bridge.statistics import UplinkStatistics
from bifrost.bridge.uplink_actor import GetUplinkStatistics, uplink_spec
from bifrost.core.batch import Batch
from bifrost.core.ports import Delivered, Envelope, Outcome, Refused, Uplink
from bifrost.errors import ChildSpecError, LinkError, RetryLater
from tests.integration.waiting import until

QUICK = DeliverySettings(
    retry=RetrySettings(base=0.02, cap=0.05, max_attempts=2), safety_poll=0.2, batch_records=8, timeout=5
)


def batch(sequence: int, rows: int = 10) -> Batch:
    return Batch.from_columns(
        [f"t{row}" for row in range(rows)],
        [sequence] * rows,
        [sequence * 100 + row for row in range(rows)],
        sequence=sequence,
    )


class Troubled(HistorianUplink):
    """A historian whose troubles are chosen by the test."""

    def __init__(
        self, settings: HistorianSettings, trouble: Callable[[Sequence[Envelope]], Sequence[Outcome] | None]
    ) -> None:
        super().__init__(settings)
        self._trouble = trouble

    async def deliver(self, items: Sequence[Envelope]) -> Sequence[Outcome]:
        instead = self._trouble(items)
        return await super().deliver(items) if instead is None else instead


class Gateway:
    """The tree of a gateway, as far as the bridge is concerned."""

    def __init__(
        self, folder: Path, make: Callable[[], Uplink] | None = None, settings: DeliverySettings = QUICK
    ) -> None:
        self.history = folder / "history.sqlite"
        self.wal = WalSettings(path=str(folder / "wal.sqlite"))
        self.port = WalPort()
        self.sink = WalSink(self.port)
        uplink = uplink_spec("plant", make or self.historian, self.port, settings)
        self.system = ActorSystem(
            "gateway",
            children=[
                wal_spec(self.wal, self.port),
                Supervisor.spec("uplinks", [uplink], strategy=Strategy.ONE_FOR_ONE),
            ],
        )

    def historian(self) -> Uplink:
        return HistorianUplink(HistorianSettings(path=str(self.history)))

    async def statistics(self) -> UplinkStatistics:
        answer: UplinkStatistics = await self.system.ref("uplinks/plant/reader").ask(GetUplinkStatistics())
        return answer

    async def until(self, condition: Callable[[UplinkStatistics], bool]) -> UplinkStatistics:
        async def holds() -> bool:
            return condition(await self.statistics())

        await until(holds)
        return await self.statistics()

    def stored(self) -> set[int]:
        reader = sqlite3.connect(self.history)
        try:
            return {row[0] for row in reader.execute("SELECT value FROM history")}
        finally:
            reader.close()


def values(sequences: Sequence[int]) -> set[int]:
    return {sequence * 100 + row for sequence in sequences for row in range(10)}


async def test_what_is_written_to_the_sink_arrives_and_is_deleted_from_the_log(tmp_path: Path) -> None:
    """Sink to historian and acknowledged: every sample is stored once, the log ends up empty."""
    gateway = Gateway(tmp_path)
    async with gateway.system:
        await asyncio.gather(*[gateway.sink.write(batch(sequence)) for sequence in range(1, 101)])
        statistics = await gateway.until(lambda now: now.delivered_records == 100)
        assert statistics.connected
        assert statistics.delivered_rows == 1000
        assert statistics.backlog_records == 0
        assert statistics.connector == {"stored": 1000, "duplicates": 0}
        assert (await gateway.system.ref("wal").ask(GetWalStatistics())).records == 0
    assert gateway.stored() == values(range(1, 101))


async def test_an_orderly_stop_drains_within_the_grace_period(tmp_path: Path) -> None:
    """What is in the log when the tree stops still goes out, after the writers fell silent."""
    gateway = Gateway(tmp_path)
    async with gateway.system:
        await asyncio.gather(*[gateway.sink.write(batch(sequence)) for sequence in range(1, 301)])
    assert gateway.stored() == values(range(1, 301))
    async with await WriteAheadLog.open(gateway.wal) as log:
        assert (await log.statistics()).records == 0


async def test_a_stop_while_the_destination_is_down_keeps_everything_for_the_next_start(tmp_path: Path) -> None:
    """The drain gives up at once without a link; the next start delivers it, flagged as a replay."""

    def down(_items: Sequence[Envelope]) -> Sequence[Outcome] | None:
        raise LinkError("cut")

    gateway = Gateway(tmp_path, lambda: Troubled(HistorianSettings(path=str(tmp_path / "history.sqlite")), down))
    async with gateway.system:
        await asyncio.gather(*[gateway.sink.write(batch(sequence)) for sequence in range(1, 21)])
        statistics = await gateway.until(lambda now: now.link_failures > 2)
        assert not statistics.connected
        assert statistics.last_error == "cut"
        assert statistics.backlog_records == 20
    replayed: list[bool] = []

    def note(items: Sequence[Envelope]) -> Sequence[Outcome] | None:
        replayed.extend(item.replayed for item in items)
        return None

    again = Gateway(tmp_path, lambda: Troubled(HistorianSettings(path=str(tmp_path / "history.sqlite")), note))
    async with again.system:
        await again.until(lambda now: now.delivered_records == 20)
        await again.sink.write(batch(21))
        await again.until(lambda now: now.delivered_records == 21)
    assert again.stored() == values(range(1, 22))
    assert replayed == [True] * 20 + [False]


async def test_poison_is_isolated_and_becomes_a_dead_letter(tmp_path: Path) -> None:
    """A record that makes the connector raise is found, given up after its attempts, and its neighbours arrive."""

    def choke(items: Sequence[Envelope]) -> Sequence[Outcome] | None:
        if any(item.seq == 13 for item in items):
            raise ValueError("cannot digest 13")
        return None

    gateway = Gateway(tmp_path, lambda: Troubled(HistorianSettings(path=str(tmp_path / "history.sqlite")), choke))
    async with gateway.system:
        await asyncio.gather(*[gateway.sink.write(batch(sequence)) for sequence in range(1, 31)])
        statistics = await gateway.until(lambda now: now.delivered_records == 29 and now.dead_lettered_records == 1)
        assert statistics.backlog_records == 0
        (letter,) = await gateway.port.dead_letters()
        assert (letter.record.seq, letter.destination, letter.attempts) == (13, "plant", 2)
        assert "cannot digest 13" in letter.reason
        poison = letter.record.batch().sequence
    assert gateway.stored() == values([sequence for sequence in range(1, 31) if sequence != poison])


async def test_a_half_taken_batch_is_acknowledged_only_as_far_as_it_is_contiguous(tmp_path: Path) -> None:
    """Refused records hold the cursor until they are given up; what was delivered behind them is not sent again."""
    sent: list[int] = []

    def refuse_some(items: Sequence[Envelope]) -> Sequence[Outcome] | None:
        sent.extend(item.seq for item in items)
        if any(item.seq in {3, 4} for item in items):
            return [Refused("no") if item.seq in {3, 4} else Delivered() for item in items]
        return None

    gateway = Gateway(tmp_path, lambda: Troubled(HistorianSettings(path=str(tmp_path / "history.sqlite")), refuse_some))
    async with gateway.system:
        await asyncio.gather(*[gateway.sink.write(batch(sequence)) for sequence in range(1, 9)])
        statistics = await gateway.until(lambda now: now.cursor == 8)
        assert statistics.dead_lettered_records == 2
        assert len(await gateway.port.dead_letters()) == 2
    assert [sent.count(seq) for seq in range(1, 9)] == [1, 1, 2, 2, 1, 1, 1, 1]


async def test_the_log_actors_restart_is_survived_by_writers_and_readers(tmp_path: Path) -> None:
    """While the log's actor is restarted, writers wait or retry, and everything acknowledged arrives once."""
    gateway = Gateway(tmp_path)
    async with gateway.system:

        async def write(sequence: int) -> None:
            while True:
                try:
                    return await gateway.sink.write(batch(sequence))
                except RetryLater:
                    await asyncio.sleep(0.01)

        for part in range(3):
            await asyncio.gather(*[write(part * 50 + sequence) for sequence in range(50)])
            if part < 2:
                gateway.system.ref("wal").tell(LogEnded())
                await asyncio.sleep(0.05)
        await gateway.until(lambda now: now.backlog_records == 0 and now.cursor >= 150)
        assert gateway.system.ref("wal").incarnation == 3
    assert gateway.stored() == values(range(150))


@pytest.mark.parametrize("mistake", ["a/b", ""])
async def test_a_wrong_name_is_refused_before_anything_starts(mistake: str) -> None:
    """An uplink's name is part of a path."""
    with pytest.raises(ChildSpecError):
        uplink_spec(mistake, lambda: HistorianUplink(HistorianSettings()), WalPort())


async def test_a_killed_sender_is_back_at_once_and_nothing_is_lost(tmp_path: Path) -> None:
    """The reader that is stopped with it does not try to drain through a sender that waits for it to end."""
    gateway = Gateway(tmp_path, settings=msgspec.structs.replace(QUICK, drain_grace=60.0, timeout=60.0))
    async with gateway.system as system:
        await gateway.sink.write(batch(1))
        await gateway.until(lambda statistics: statistics.delivered_rows == 10)
        system.ref("uplinks/plant/sender").kill()
        await gateway.sink.write(batch(2))

        def is_back() -> bool:
            return system.ref("uplinks/plant/reader").incarnation == 2 and len(gateway.stored()) == 20

        await until(is_back, timeout=5.0)


@pytest.mark.parametrize("replaced", [False, True])
async def test_a_history_that_is_deleted_while_it_is_written_loses_nothing_after_that(
    tmp_path: Path, *, replaced: bool
) -> None:
    """What comes after somebody has deleted or replaced the file goes into the new one."""
    path = tmp_path / "history" / "h.sqlite"

    def clear() -> None:
        shutil.rmtree(path.parent)
        if replaced:
            path.parent.mkdir()
            sqlite3.connect(path).close()

    uplink = HistorianUplink(HistorianSettings(path=str(path)))
    await uplink.open()
    assert await uplink.deliver([Envelope("b" * 32, 1, "telemetry", batch(1))]) == [Delivered()]
    await asyncio.to_thread(clear)
    with pytest.raises(LinkError, match="deleted"):
        await uplink.deliver([Envelope("b" * 32, 2, "telemetry", batch(2))])
    await uplink.aclose()
    await uplink.open()
    assert await uplink.deliver([Envelope("b" * 32, 2, "telemetry", batch(2))]) == [Delivered()]
    await uplink.aclose()
    found = sqlite3.connect(path)
    assert found.execute("SELECT DISTINCT seq FROM history").fetchall() == [(2,)]
    found.close()


async def test_a_connector_that_breaks_when_it_is_opened_does_not_end_the_gateway(tmp_path: Path) -> None:
    """A plug-in's defect is that uplink's trouble: nothing is restarted, given up or refused, and it is tried again."""
    opened = 0

    class Broken(HistorianUplink):
        async def open(self) -> None:
            nonlocal opened
            opened += 1
            if opened < 15:
                raise ValueError("defect of a plug-in")
            await super().open()

    gateway = Gateway(tmp_path, lambda: Broken(HistorianSettings(path=str(tmp_path / "history.sqlite"))))
    async with gateway.system:
        await gateway.sink.write(batch(1))
        statistics = await gateway.until(lambda now: now.delivered_records == 1)
        assert statistics.dead_lettered_records == 0
        assert gateway.system.ref("uplinks/plant/reader").incarnation == 1
    assert gateway.stored() == values([1])
