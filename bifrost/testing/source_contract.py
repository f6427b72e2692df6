"""What every source promises, as tests: run them on a source of your own.

In: a subclass that knows how to make a live source, what it is called there, and how to trouble it. Out: the promises
of `core.ports.Source`, tested in real time.

Example:
    >>> class TestMySource(SourceContract):
    ...     @asynccontextmanager
    ...     async def source(self):
    ...         async with MySource() as self.made:
    ...             yield self.made
"""

from __future__ import annotations

import abc
import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, aclosing
from typing import cast

from bifrost.core.batch import Batch
from bifrost.core.clock import SystemClock
from bifrost.core.ports import Source
from bifrost.core.quality import Quality, quality_of
from bifrost.errors import ConfigError, LinkError
from bifrost.testing.expectations import refused_later, until

__all__ = ["SourceContract"]

_PATIENCE = 10.0  # seconds after which anything that still waits counts as hanging
_MANY = 10
_SLACK = 0.5  # seconds that a busy machine may add to a delay


class SourceContract(abc.ABC):
    """Tests that any source must pass; subclass it in a test module.

    The source has at least two tags, whose values come at least five times a second, dated by the machine's own clock.
    """

    @abc.abstractmethod
    def source(self) -> AbstractAsyncContextManager[Source]:
        """Run a source for the length of an `async with`; every test has one of its own."""

    @abc.abstractmethod
    def labels(self) -> Mapping[str, Sequence[str]]:
        """Each tag as `batches` is asked for it, at least two, with the labels of its rows in the batches."""

    @abc.abstractmethod
    async def fail(self) -> None:
        """Take away what the source reads from, as a power cut does."""

    @abc.abstractmethod
    async def mend(self) -> None:
        """Undo `fail`."""

    async def test_it_is_a_source(self) -> None:
        """The type that a pipeline looks for."""
        async with self.source() as source:
            assert isinstance(source, Source)

    async def test_every_tag_comes_in_batches_with_rows(self) -> None:
        """Batches from one origin, never an empty one, with all of the source's labels and no others."""
        async with self.source() as source:
            batches = await self._take(source.batches(), _MANY)
        assert {type(batch) for batch in batches} == {Batch}
        assert all(len(batch) for batch in batches)
        assert len({batch.origin for batch in batches}) == 1
        assert {tag for batch in batches for tag in batch.tags()} == self._all_labels()

    async def test_only_the_wanted_tags_come(self) -> None:
        """Each tag can be asked for alone."""
        for tag, labels in self.labels().items():
            async with self.source() as source:
                batches = await self._take(source.batches([tag]), 3)
            assert {seen for batch in batches for seen in batch.tags()} == set(labels)

    async def test_no_batch_is_longer_than_asked_and_no_row_is_lost_by_that(self) -> None:
        """With at most one row in a batch all labels still come, equally often."""
        labels = self._all_labels()
        async with self.source() as source:
            batches = await self._take(source.batches(max_rows=1), 3 * len(labels))
        assert {len(batch) for batch in batches} == {1}
        seen = [tag for batch in batches for tag in batch.tags()]
        assert {tag: seen.count(tag) for tag in seen} == dict.fromkeys(labels, 3)

    async def test_no_row_is_held_back(self) -> None:
        """Each row comes at most `max_delay` seconds after its time."""
        clock = SystemClock()
        async with self.source() as source:
            stream = _generator(source.batches(max_delay=0.05))
            async with aclosing(stream), asyncio.timeout(_PATIENCE):
                left = _MANY
                async for batch in stream:
                    now = clock.time_ns()
                    for _, source_ts, _, _, received_ts in batch.rows():
                        age = (now - (source_ts if received_ts is None else received_ts)) / 1e9
                        assert age <= 0.05 + _SLACK, f"a row was held back for {age:.2f} s"
                    left -= 1
                    if not left:
                        break

    async def test_numbers_never_come_again(self) -> None:
        """Origin and sequence make a duplicate recognisable: they rise, over two iterations too."""
        async with self.source() as source:
            first = await self._take(source.batches(), _MANY)
            second = await self._take(source.batches(), _MANY)
        numbers = [batch.sequence for batch in (*first, *second)]
        assert numbers == sorted(numbers)
        assert first[-1].sequence < second[0].sequence, "two iterations give different batches the same number"
        rows = [(batch.sequence, *row[:2]) for batch in (*first, *second) for row in batch.rows()]
        assert len(set(rows)) == len(rows)

    async def test_a_wrong_request_is_refused(self) -> None:
        """A tag that is not there and a `max_rows` below 1 are `ConfigError`, not silence."""
        async with self.source() as source:
            for stream in (source.batches(["no such tag"]), source.batches(max_rows=0)):
                await refused_later(ConfigError, self._take(stream, 1))

    async def test_two_consumers_do_not_take_each_others_rows(self) -> None:
        """Both get every tag."""
        async with self.source() as source:
            taken = await asyncio.gather(*(self._take(source.batches(), _MANY) for _ in range(2)))
        for batches in taken:
            assert {tag for batch in batches for tag in batch.tags()} == self._all_labels()

    async def test_a_consumer_may_leave_at_any_time(self) -> None:
        """Cancelled while it waits, it ends at once and leaves no task; another one may begin."""
        async with self.source() as source:
            await self._take(source.batches(), 1)
            tasks = asyncio.all_tasks()
            for pause in (0.0, 0.01, 0.15):
                consumer = asyncio.ensure_future(_drain(source.batches()))
                await asyncio.sleep(pause)
                consumer.cancel()
                await asyncio.wait([consumer], timeout=1.0)
                assert consumer.done(), "it goes on after it was cancelled"
                assert consumer.cancelled(), "the cancellation was swallowed"
            await until(lambda: asyncio.all_tasks() <= tasks, "tasks of the iteration are left", timeout=1.0)
            await self._take(source.batches(), 1)

    async def test_an_outage_is_told_and_ends(self) -> None:
        """BAD rows without a value, or a `LinkError`; and values again once it is over."""
        async with self.source() as source:
            assert await self._first(source, Quality.GOOD)
            await self.fail()
            assert await self._first(source, Quality.BAD)
            await self.mend()
            assert await self._first(source, Quality.GOOD)

    async def test_a_row_has_a_value_or_a_reason(self) -> None:
        """GOOD rows have one, BAD rows have none, before, during and after an outage."""
        async with self.source() as source:
            batches = await self._take(source.batches(), 3)
            await self.fail()
            batches += await self._take_some(source, 1.0)
            await self.mend()
            batches += await self._take_some(source, 1.0)
        for batch in batches:
            for tag, _, value, status, _ in batch.rows():
                assert (value is None) == (quality_of(status) is Quality.BAD), f"{tag} is {value!r} with {status:#x}"

    # What the tests share

    def _all_labels(self) -> set[str]:
        return {label for labels in self.labels().values() for label in labels}

    async def _take(self, batches: AsyncIterator[Batch], count: int) -> list[Batch]:
        taken: list[Batch] = []
        async with aclosing(_generator(batches)) as stream, asyncio.timeout(_PATIENCE):
            async for batch in stream:
                taken.append(batch)
                if len(taken) == count:
                    return taken
        raise AssertionError(f"expected {count} batches, got {len(taken)} before the end")

    async def _take_some(self, source: Source, seconds: float) -> list[Batch]:
        """Take what comes; an outage may end the iteration."""
        taken: list[Batch] = []
        try:
            async with asyncio.timeout(seconds), aclosing(_generator(source.batches())) as stream:
                async for batch in stream:
                    taken.append(batch)  # noqa: PERF401 - what came before the time was up is kept
        except (TimeoutError, LinkError):
            pass
        return taken

    async def _first(self, source: Source, quality: Quality) -> bool:
        """Wait for a row of this quality; a `LinkError` is as good as BAD."""
        async with asyncio.timeout(_PATIENCE):
            while True:
                try:
                    async with aclosing(_generator(source.batches())) as stream:
                        async for batch in stream:
                            if any(quality_of(row[3]) is quality for row in batch.rows()):
                                return True
                except LinkError:
                    if quality is Quality.BAD:
                        return True
                    await asyncio.sleep(0.05)
                else:
                    raise AssertionError("the source ended")


async def _drain(batches: AsyncIterator[Batch]) -> None:
    async with aclosing(_generator(batches)) as stream:
        async for _ in stream:
            pass


def _generator(batches: AsyncIterator[Batch]) -> AsyncGenerator[Batch, None]:
    """See an iterator as what can be closed; one that cannot is given an end of its own."""
    if hasattr(batches, "aclose"):
        return cast(AsyncGenerator[Batch, None], batches)

    async def closable() -> AsyncGenerator[Batch, None]:
        async for batch in batches:
            yield batch

    return closable()
