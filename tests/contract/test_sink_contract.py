"""The sink's contract catches broken sinks: each of its tests fails for one that breaks its promise."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from bifrost.core.batch import Batch
from bifrost.core.ports import Sink
from bifrost.errors import ConfigError, Rejected, RetryLater
from bifrost.testing import SinkContract, sink_contract
from tests.contract.catching import expect_caught, promises_of
from tests.contract.test_sink_wal import OnTheWal


class Broken:
    """Passes on to a sound sink; the subclasses do not."""

    def __init__(self, sound: Sink) -> None:
        self.sound = sound

    async def write(self, batch: Batch) -> None:
        await self.sound.write(batch)


class IsNone:
    def __init__(self, sound: Sink) -> None:
        pass


class AcknowledgesEarly(Broken):
    async def write(self, batch: Batch) -> None:
        self.writing = asyncio.ensure_future(self.sound.write(batch))
        await asyncio.sleep(0)


class StoresTwice(Broken):
    async def write(self, batch: Batch) -> None:
        await self.sound.write(batch)
        await self.sound.write(batch)


class MakesEveryNumberAFloat(Broken):
    async def write(self, batch: Batch) -> None:
        tag, ts, value, status, _ = batch.rows()[0]
        number = float(value) if isinstance(value, int) else value
        await self.sound.write(Batch.from_columns([tag], [ts], [number], status=[status]))


class ForgetsTheStatus(Broken):
    async def write(self, batch: Batch) -> None:
        rows = batch.rows()
        await self.sound.write(
            Batch.from_columns([row[0] for row in rows], [row[1] for row in rows], [row[2] for row in rows])
        )


class StumblesOverNothing(Broken):
    async def write(self, batch: Batch) -> None:
        if not len(batch):
            raise ConfigError("a batch has at least one row")
        await self.sound.write(batch)


class TakesOneAtATime(Broken):
    busy = False

    async def write(self, batch: Batch) -> None:
        if self.busy:
            return
        self.busy = True
        try:
            await self.sound.write(batch)
        finally:
            self.busy = False


class SwallowsCancellation(Broken):
    async def write(self, batch: Batch) -> None:
        try:
            await self.sound.write(batch)
        except asyncio.CancelledError:
            return


class DropsWhatItCannotPlace(Broken):
    async def write(self, batch: Batch) -> None:
        try:
            await self.sound.write(batch)
        except RetryLater:
            return


class NeverGivesUp(Broken):
    async def write(self, batch: Batch) -> None:
        try:
            await self.sound.write(batch)
        except Rejected as error:
            raise RetryLater(str(error)) from error


class OnABrokenSink(OnTheWal):
    """The sound one with a broken one before it."""

    breaks: Callable[[Sink], Sink]

    @asynccontextmanager
    async def sink(self, folder: Path) -> AsyncIterator[Sink]:
        async with super().sink(folder) as sound:
            yield type(self).breaks(sound)


CAUGHT: list[tuple[type, str]] = [
    (IsNone, "test_it_is_a_sink"),
    (AcknowledgesEarly, "test_what_is_written_is_there"),
    (StoresTwice, "test_what_is_written_is_there"),
    (MakesEveryNumberAFloat, "test_every_kind_of_value_is_kept_exactly_or_refused"),
    (ForgetsTheStatus, "test_a_bad_row_stays_bad"),
    (StumblesOverNothing, "test_an_empty_batch_is_nothing_to_write"),
    (TakesOneAtATime, "test_writers_at_the_same_time_lose_nothing"),
    (SwallowsCancellation, "test_a_cancelled_write_does_not_harm_the_next"),
    (DropsWhatItCannotPlace, "test_a_destination_that_is_gone_is_told_and_the_batch_can_come_again"),
    (NeverGivesUp, "test_what_will_never_be_taken_is_rejected"),
]


@pytest.mark.parametrize(("broken", "test"), CAUGHT, ids=lambda value: getattr(value, "__name__", None))
async def test_a_broken_sink_is_caught(
    broken: type, test: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The test of the promise that it breaks fails."""
    monkeypatch.setattr(sink_contract, "_PATIENCE", 3.0)
    suite = type("Suite", (OnABrokenSink,), {"breaks": broken})()
    await expect_caught(suite, test, tmp_path)


def test_no_test_of_the_suite_is_without_a_sink_that_it_catches() -> None:
    """A test that cannot fail is a defect."""
    assert {test for _, test in CAUGHT} == promises_of(SinkContract)
