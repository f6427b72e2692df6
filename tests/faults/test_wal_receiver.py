"""Receivers that acknowledge late, never, half, or twice: nothing is lost, nothing is acknowledged too early."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

import pytest

from bifrost.bridge.buffering import WalRecord, WalSettings, WriteAheadLog
from bifrost.bridge.buffering.port import WalPort
from bifrost.bridge.delivery import Delivery, DeliverySettings, TransportDefect
from bifrost.bridge.retry import RetrySettings
from bifrost.core.batch import Batch
from bifrost.core.ports import Deferred, Delivered, Envelope, Outcome, Refused
from bifrost.errors import LinkError, LinkTimeout

QUICK = DeliverySettings(retry=RetrySettings(base=0.002, cap=0.005), safety_poll=0.1, batch_records=6)


class Receiver:
    """Misbehaves as its seed says; remembers what it took."""

    def __init__(self, seed: int) -> None:
        self._draw = random.Random(seed)
        self.taken: Counter[int] = Counter()
        self.order: list[int] = []
        self.behaves = False
        self._news = asyncio.Event()

    async def took(self, seq: int) -> None:
        while not self.taken[seq]:
            self._news.clear()
            await self._news.wait()

    async def connect(self) -> None:
        if not self.behaves and self._draw.random() < 0.3:
            raise LinkError("nobody there")

    async def deliver(self, items: Sequence[Envelope]) -> Sequence[Outcome]:
        mood = (
            "good" if self.behaves else self._draw.choice(["good", "late", "half", "lost", "never", "holes", "broken"])
        )
        if mood == "broken":
            raise TransportDefect("a defect of the connector")
        if mood == "never":
            raise LinkTimeout("no answer")
        if mood == "late":
            await asyncio.sleep(self._draw.random() * 0.01)
        outcomes: list[Outcome] = []
        for number, item in enumerate(items):
            keeps = mood in {"good", "late", "lost"} or (
                number < len(items) // 2 if mood == "half" else number % 2 == 0
            )
            if keeps:
                self.taken[item.seq] += 1
                self.order.append(item.seq)
                self._news.set()
            outcomes.append(Delivered() if keeps else Deferred("busy"))
        if mood == "lost":  # it took everything, and the acknowledgement got lost
            raise LinkError("cut")
        return outcomes


@pytest.mark.parametrize("seed", range(8))
async def test_a_troublesome_receiver_gets_everything_at_least_once(tmp_path: Path, seed: int) -> None:
    """Whatever is acknowledged was taken before; at the end everything was taken, and the log is empty."""
    receiver = Receiver(seed)
    async with await WriteAheadLog.open(WalSettings(path=str(tmp_path / "wal.sqlite"), durability="normal")) as log:
        port = WalPort()
        port.attach(log)
        for life in range(4):
            delivery = Delivery("cloud", port, receiver, QUICK)
            task = asyncio.create_task(delivery.run())
            for number in range(25):
                await log.append(Batch.from_columns(["t"], [number], [life * 25 + number]))
                acked = (await log.statistics()).cursors.get("cloud", 0)
                assert all(receiver.taken[seq] for seq in range(1, acked + 1)), f"seed {seed}: acknowledged too early"
                await asyncio.sleep(0.001)
            task.cancel()  # the reader dies with sends under way; the next one takes up at the cursor
            with contextlib.suppress(asyncio.CancelledError):
                await task
            delivery.abandon()
        letters = {letter.record.seq for letter in await log.dead_letters(limit=1000)}
        receiver.behaves = True
        delivery = Delivery("cloud", port, receiver, QUICK)
        assert await delivery.drain()
        assert (await log.statistics()).records == 0
    assert set(receiver.taken) | letters == set(range(1, 101)), f"seed {seed}: lost"


async def test_a_receiver_that_never_answers_costs_no_record_and_no_cpu(tmp_path: Path) -> None:
    """Without a link nothing is deleted and tries are spread out: a handful, not thousands."""

    class Nobody:
        tries = 0

        async def connect(self) -> None:
            self.tries += 1
            raise LinkError("nobody there")

        async def deliver(self, items: Sequence[Envelope]) -> Sequence[Outcome]:
            raise AssertionError("never connected")

    nobody = Nobody()
    settings = DeliverySettings(retry=RetrySettings(base=0.1, cap=0.1))
    async with await WriteAheadLog.open(WalSettings(path=str(tmp_path / "wal.sqlite"))) as log:
        port = WalPort()
        port.attach(log)
        task = asyncio.create_task(Delivery("cloud", port, nobody, settings).run())
        for number in range(50):
            await log.append(Batch.from_columns(["t"], [number], [number]))
        await asyncio.sleep(0.5)
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
        assert (await log.statistics()).records == 50
    assert 2 <= nobody.tries <= 60


async def test_a_new_record_wakes_an_idle_reader_at_once(tmp_path: Path) -> None:
    """No polling: with a safety poll of a minute, a record is delivered within milliseconds of its append."""
    receiver = Receiver(0)
    receiver.behaves = True
    settings = DeliverySettings(safety_poll=60)
    async with await WriteAheadLog.open(WalSettings(path=str(tmp_path / "wal.sqlite"))) as log:
        port = WalPort()
        port.attach(log)
        task = asyncio.create_task(Delivery("cloud", port, receiver, settings).run())
        await asyncio.sleep(0.1)
        for number in range(1, 20):
            await log.append(Batch.from_columns(["t"], [number], [number]))
            async with asyncio.timeout(2):
                await receiver.took(number)
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
    assert receiver.order == list(range(1, 20))


class Scripted:
    """A transport that does what the test says with each send."""

    def __init__(self, act: Callable[[Sequence[Envelope]], Awaitable[Sequence[Outcome]]]) -> None:
        self._act = act
        self.taken: list[tuple[str, int]] = []
        self._news = asyncio.Event()

    async def took(self, records: int) -> None:
        while len(self.taken) < records:
            self._news.clear()
            await self._news.wait()

    async def connect(self) -> None:
        pass

    async def deliver(self, items: Sequence[Envelope]) -> Sequence[Outcome]:
        outcomes = await self._act(items)
        self.taken += [
            (item.buffer_id, item.seq)
            for item, outcome in zip(items, outcomes, strict=True)
            if isinstance(outcome, Delivered)
        ]
        self._news.set()
        return outcomes


async def test_a_refused_record_that_was_dropped_meanwhile_does_not_end_the_delivery(tmp_path: Path) -> None:
    """At the cap the oldest records make room while the destination thinks about them: it goes on with the next."""
    settings = WalSettings(path=str(tmp_path / "wal.sqlite"), max_bytes=1 << 20, durability="normal")

    async with await WriteAheadLog.open(settings) as log:

        async def act(items: Sequence[Envelope]) -> Sequence[Outcome]:
            if items[0].seq > 1:
                return [Delivered()] * len(items)
            for number in range(200):
                await log.append(Batch.from_columns(["t"], [number], [random.Random(number).randbytes(9_000)]))
            return [Refused("never")] * len(items)

        port = WalPort()
        port.attach(log)
        scripted = Scripted(act)
        options = DeliverySettings(retry=RetrySettings(base=0.002, cap=0.005, max_attempts=1), drain_grace=20)
        await log.append(Batch.from_columns(["t"], [1], [1]))
        assert await Delivery("cloud", port, scripted, options).drain()
        statistics = await log.statistics()
    assert statistics.records == 0
    assert len(scripted.taken) == 201 - statistics.dropped_records


async def test_a_log_that_does_not_answer_is_an_outage_and_no_crash(tmp_path: Path) -> None:
    """A disk that hangs for longer than a call may take: the delivery waits and goes on."""

    class Hanging(WalPort):
        hangs = 2

        async def read(
            self, destination: str, after: int | None = None, *, limit: int = 64, max_bytes: int = 1 << 20
        ) -> list[WalRecord]:
            if self.hangs:
                self.hangs -= 1
                raise TimeoutError
            return await super().read(destination, after, limit=limit, max_bytes=max_bytes)

    receiver = Receiver(0)
    receiver.behaves = True
    async with await WriteAheadLog.open(WalSettings(path=str(tmp_path / "wal.sqlite"))) as log:
        port = Hanging()
        port.attach(log)
        task = asyncio.create_task(Delivery("cloud", port, receiver, QUICK).run())
        await log.append(Batch.from_columns(["t"], [1], [1]))
        async with asyncio.timeout(5):
            await receiver.took(1)
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def test_a_new_file_is_delivered_whole_whatever_was_settled_of_the_old_one(tmp_path: Path) -> None:
    """The log comes back as another file, with places from 1 again: none of them passes for one that was delivered."""
    port = WalPort()
    is_open = False

    async def act(items: Sequence[Envelope]) -> Sequence[Outcome]:
        return [Delivered() if is_open or item.seq > 1 else Deferred("busy") for item in items]

    scripted = Scripted(act)
    delivery = Delivery("cloud", port, scripted, QUICK)
    ids = []
    for name in ("old", "new"):
        async with await WriteAheadLog.open(WalSettings(path=str(tmp_path / name))) as log:
            ids.append(log.buffer_id)
            port.attach(log)
            for number in range(4):
                await log.append(Batch.from_columns(["t"], [number], [number]))
            is_open = name == "new"
            task = asyncio.create_task(delivery.run())
            async with asyncio.timeout(5):
                await scripted.took(3 if name == "old" else 7)
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
            port.detach()
    assert sorted(scripted.taken) == sorted(
        [(ids[0], seq) for seq in (2, 3, 4)] + [(ids[1], seq) for seq in (1, 2, 3, 4)]
    )


async def test_an_uplink_in_trouble_is_told_once_each_time(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """One line when the first connect fails and one when records are held; silence while it lasts."""

    class Slow(Receiver):
        tries = 0

        async def connect(self) -> None:
            self.tries += 1
            if self.tries < 5:
                raise LinkError("wrong password")

        async def deliver(self, items: Sequence[Envelope]) -> Sequence[Outcome]:
            self.tries += 1
            if self.tries < 12:
                return [Deferred("not authorized")] * len(items)
            return await super().deliver(items)

    receiver = Slow(0)
    receiver.behaves = True
    async with await WriteAheadLog.open(WalSettings(path=str(tmp_path / "wal.sqlite"))) as log:
        port = WalPort()
        port.attach(log)
        await log.append(Batch.from_columns(["t"], [1], [1]))
        task = asyncio.create_task(Delivery("cloud", port, receiver, QUICK).run())
        async with asyncio.timeout(5):
            await receiver.took(1)
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
    told = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert [line for line in told if "wrong password" in line] == ["uplink cloud: no link: wrong password"]
    assert [line for line in told if "not authorized" in line] == ["uplink cloud: not taken for now: not authorized"]
