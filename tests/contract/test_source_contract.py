"""The source's contract catches broken sources: each of its tests fails for one that breaks its promise."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager

import pytest

from bifrost.core.batch import Batch
from bifrost.core.ports import Source
from bifrost.testing import SourceContract, source_contract
from tests.contract.catching import expect_caught, promises_of
from tests.contract.test_source_plc import OnAPlc

KNOWN = {"speed", "axes", "level"}


class Broken:
    """Passes on what a sound source gives; the subclasses do not."""

    def __init__(self, sound: Source) -> None:
        self.sound = sound

    async def batches(
        self, tags: Sequence[str] | None = None, *, max_rows: int = 1024, max_delay: float = 0.05
    ) -> AsyncIterator[Batch]:
        async for batch in self.sound.batches(tags, max_rows=max_rows, max_delay=max_delay):
            yield batch


class IsNone:
    def __init__(self, sound: Source) -> None:
        pass


class LosesATag(Broken):
    async def batches(
        self, tags: Sequence[str] | None = None, *, max_rows: int = 1024, max_delay: float = 0.05
    ) -> AsyncIterator[Batch]:
        async for batch in self.sound.batches(tags, max_rows=max_rows):
            yield batch.select([tag for tag in batch.tags() if not tag.endswith("level")])


class GivesEveryTag(Broken):
    async def batches(
        self, tags: Sequence[str] | None = None, *, max_rows: int = 1024, max_delay: float = 0.05
    ) -> AsyncIterator[Batch]:
        async for batch in self.sound.batches(None, max_rows=max_rows):
            yield batch


class CutsOffWhatIsTooLong(Broken):
    async def batches(
        self, tags: Sequence[str] | None = None, *, max_rows: int = 1024, max_delay: float = 0.05
    ) -> AsyncIterator[Batch]:
        async for batch in self.sound.batches(tags):
            yield batch.slice(0, max_rows)


class HoldsRowsBack(Broken):
    async def batches(
        self, tags: Sequence[str] | None = None, *, max_rows: int = 1024, max_delay: float = 0.05
    ) -> AsyncIterator[Batch]:
        async for batch in self.sound.batches(tags, max_rows=max_rows):
            await asyncio.sleep(0.7)
            yield batch


class CountsFromZeroAgain(Broken):
    async def batches(
        self, tags: Sequence[str] | None = None, *, max_rows: int = 1024, max_delay: float = 0.05
    ) -> AsyncIterator[Batch]:
        sequence = 0
        async for batch in self.sound.batches(tags, max_rows=max_rows):
            yield batch.with_origin(batch.origin, sequence)
            sequence += 1


class OverlooksWrongTags(Broken):
    async def batches(
        self, tags: Sequence[str] | None = None, *, max_rows: int = 1024, max_delay: float = 0.05
    ) -> AsyncIterator[Batch]:
        wanted = None if tags is None else [tag for tag in tags if tag in KNOWN]
        async for batch in self.sound.batches(wanted or None, max_rows=max_rows):
            yield batch


class ServesOneConsumer(Broken):
    busy = False

    async def batches(
        self, tags: Sequence[str] | None = None, *, max_rows: int = 1024, max_delay: float = 0.05
    ) -> AsyncIterator[Batch]:
        if self.busy:
            return
        self.busy = True
        async for batch in self.sound.batches(tags, max_rows=max_rows):
            yield batch


class LeavesATask(Broken):
    async def batches(
        self, tags: Sequence[str] | None = None, *, max_rows: int = 1024, max_delay: float = 0.05
    ) -> AsyncIterator[Batch]:
        self.reader = asyncio.ensure_future(asyncio.sleep(30))
        async for batch in self.sound.batches(tags, max_rows=max_rows):
            yield batch


class SwallowsCancellation(Broken):
    async def batches(
        self, tags: Sequence[str] | None = None, *, max_rows: int = 1024, max_delay: float = 0.05
    ) -> AsyncIterator[Batch]:
        try:
            async for batch in self.sound.batches(tags, max_rows=max_rows):
                yield batch
        except asyncio.CancelledError:
            return


class RepeatsTheLastValues(Broken):
    async def batches(
        self, tags: Sequence[str] | None = None, *, max_rows: int = 1024, max_delay: float = 0.05
    ) -> AsyncIterator[Batch]:
        async for batch in self.sound.batches(tags, max_rows=max_rows):
            if batch.statuses() is None:
                self.good = batch
            yield self.good


class MakesAnErrorAZero(Broken):
    async def batches(
        self, tags: Sequence[str] | None = None, *, max_rows: int = 1024, max_delay: float = 0.05
    ) -> AsyncIterator[Batch]:
        async for batch in self.sound.batches(tags, max_rows=max_rows):
            rows = batch.rows()
            yield Batch.from_columns(
                [row[0] for row in rows],
                [row[1] for row in rows],
                [0 if row[2] is None else row[2] for row in rows],
                status=[row[3] for row in rows],
                origin=batch.origin,
                sequence=batch.sequence,
            )


class OnABrokenSource(OnAPlc):
    """The sound one with a broken one before it."""

    breaks: Callable[[Source], Source]

    @asynccontextmanager
    async def source(self) -> AsyncIterator[Source]:
        async with super().source() as sound:
            yield type(self).breaks(sound)


CAUGHT: list[tuple[type, str]] = [
    (IsNone, "test_it_is_a_source"),
    (LosesATag, "test_every_tag_comes_in_batches_with_rows"),
    (GivesEveryTag, "test_only_the_wanted_tags_come"),
    (CutsOffWhatIsTooLong, "test_no_batch_is_longer_than_asked_and_no_row_is_lost_by_that"),
    (HoldsRowsBack, "test_no_row_is_held_back"),
    (CountsFromZeroAgain, "test_numbers_never_come_again"),
    (OverlooksWrongTags, "test_a_wrong_request_is_refused"),
    (ServesOneConsumer, "test_two_consumers_do_not_take_each_others_rows"),
    (LeavesATask, "test_a_consumer_may_leave_at_any_time"),
    (SwallowsCancellation, "test_a_consumer_may_leave_at_any_time"),
    (RepeatsTheLastValues, "test_an_outage_is_told_and_ends"),
    (MakesAnErrorAZero, "test_a_row_has_a_value_or_a_reason"),
]


@pytest.mark.parametrize(("broken", "test"), CAUGHT, ids=lambda value: getattr(value, "__name__", None))
async def test_a_broken_source_is_caught(broken: type, test: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The test of the promise that it breaks fails."""
    monkeypatch.setattr(source_contract, "_PATIENCE", 1.5)
    suite = type("Suite", (OnABrokenSource,), {"breaks": broken})()
    await expect_caught(suite, test)


def test_no_test_of_the_suite_is_without_a_source_that_it_catches() -> None:
    """A test that cannot fail is a defect."""
    assert {test for _, test in CAUGHT} == promises_of(SourceContract)
