"""Receivers that acknowledge late, never, half, or twice: nothing is lost, nothing is acknowledged too early."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import pytest

from bifrost.bridge.buffering import WalSettings, WriteAheadLog
from bifrost.bridge.buffering.port import WalPort
from bifrost.bridge.delivery import Delivery, DeliverySettings, TransportDefect
from bifrost.bridge.retry import RetrySettings
from bifrost.core.batch import Batch
from bifrost.core.ports import Deferred, Delivered, Envelope, Outcome
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
