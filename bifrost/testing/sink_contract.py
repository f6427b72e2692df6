"""What every sink promises, as tests: run them on a sink of your own.

In: a subclass that knows how to make the sink, how to look behind it, and how to trouble it. Out: the promises of
`core.ports.Sink`, tested in real time.

Example:
    >>> class TestMySink(SinkContract):
    ...     @asynccontextmanager
    ...     async def sink(self, folder):
    ...         async with MySink(folder / "rows") as made:
    ...             yield made
    ...
    ...     async def stored(self, folder): ...
"""

from __future__ import annotations

import abc
import asyncio
import math
import struct
from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Final

from bifrost.core.batch import Batch
from bifrost.core.ports import Sink
from bifrost.core.quality import StatusCode
from bifrost.core.value import Value
from bifrost.errors import DeliveryError, LinkError, Rejected, RetryLater

__all__ = ["SinkContract", "StoredRow", "contract_batch"]

StoredRow = tuple[str, int, Value, int]
"""Tag, source time in ns since 1970, value, status: what a sink must not alter."""

_PATIENCE = 10.0  # seconds after which anything that still waits counts as hanging
_MANY = 20
_BASE_NS: Final = 1_700_000_000_000_000_000

_VALUES: Final[tuple[Value, ...]] = (
    True,
    False,
    0,
    1,
    2**63 - 1,
    -(2**63),
    2**53 + 1,
    0.1,
    -0.0,
    1e308,
    math.inf,
    math.nan,
    5e-324,
    "",
    "Größe \N{DEGREE SIGN}C",
    "a\x00b",
    b"",
    b"\x00\xff",
)


def contract_batch(sequence: int, rows: int = 3) -> Batch:
    """A batch whose rows can be told from all others: a tag for each row, the value is ``sequence * 1000 + row``."""
    return Batch.from_columns(
        [f"device/tag{row}" for row in range(rows)],
        [_BASE_NS + sequence * 1_000 + row for row in range(rows)],
        [sequence * 1_000 + row for row in range(rows)],
        origin="device",
        sequence=sequence,
    )


class SinkContract(abc.ABC):
    """Tests that any sink must pass; subclass it in a test module."""

    @abc.abstractmethod
    def sink(self, folder: Path) -> AbstractAsyncContextManager[Sink]:
        """Make a sink for the length of an `async with`. `folder` is the test's own and is the same in `stored`."""

    @abc.abstractmethod
    async def stored(self, folder: Path) -> Sequence[StoredRow]:
        """What the sink has made durable, seen from outside: not from the sink's memory. Called while it is open."""

    @abc.abstractmethod
    async def fail(self) -> None:
        """Take away what the sink writes to; its `write` may then take 5 seconds to say so."""

    @abc.abstractmethod
    async def mend(self) -> None:
        """Undo `fail`."""

    def unacceptable(self) -> Batch | None:
        """A batch that the destination will never take, such as one that is too large; None if it takes all."""
        return None

    async def test_it_is_a_sink(self, tmp_path: Path) -> None:
        """The type that a pipeline looks for."""
        async with self.sink(tmp_path) as sink:
            assert isinstance(sink, Sink)

    async def test_what_is_written_is_there(self, tmp_path: Path) -> None:
        """Once `write` has returned, each row is durable, once, unaltered; the sink need not be closed for that."""
        async with self.sink(tmp_path) as sink:
            for sequence in range(_MANY):
                batch = contract_batch(sequence)
                await self._write(sink, batch)
                assert _exact(_rows(batch)) <= _exact(await self.stored(tmp_path))
            everything = [row for sequence in range(_MANY) for row in _rows(contract_batch(sequence))]
            stored = await self.stored(tmp_path)
            assert _exact(stored) == _exact(everything)
            assert len(stored) == len(everything)

    async def test_every_kind_of_value_is_kept_exactly_or_refused(self, tmp_path: Path) -> None:
        """Bools, whole numbers of 64 bits, every float, text, bytes: to the last bit, or `Rejected`; never altered."""
        async with self.sink(tmp_path) as sink:
            kept: list[StoredRow] = []
            for at, value in enumerate(_VALUES):
                batch = Batch.from_columns(["t"], [_BASE_NS + at], [value], origin="device", sequence=at)
                refusal = await self._refusal(sink, batch)
                if refusal is None:
                    kept += _rows(batch)
                else:
                    assert isinstance(refusal, Rejected), refusal
            assert _exact(await self.stored(tmp_path)) == _exact(kept)

    async def test_a_bad_row_stays_bad(self, tmp_path: Path) -> None:
        """A status is kept, and a value that is not there does not become a zero."""
        codes = [int(StatusCode.BAD_TIMEOUT), int(StatusCode.UNCERTAIN), int(StatusCode.GOOD), 0x80AB_0001]
        batch = Batch.from_columns(["a", "b", "c", "d"], [_BASE_NS] * 4, [None, 1.5, 2.5, None], status=codes)
        async with self.sink(tmp_path) as sink:
            await self._write(sink, batch)
            assert _exact(await self.stored(tmp_path)) == _exact(_rows(batch))

    async def test_an_empty_batch_is_nothing_to_write(self, tmp_path: Path) -> None:
        """No rows, no error, nothing stored."""
        async with self.sink(tmp_path) as sink:
            await self._write(sink, Batch.from_columns([], [], []))
            assert list(await self.stored(tmp_path)) == []

    async def test_writers_at_the_same_time_lose_nothing(self, tmp_path: Path) -> None:
        """Many tasks write at once; every row is there once."""
        async with self.sink(tmp_path) as sink:
            async with asyncio.timeout(_PATIENCE):
                await asyncio.gather(*(sink.write(contract_batch(sequence)) for sequence in range(_MANY)))
            stored = await self.stored(tmp_path)
            assert _exact(stored) == _exact([row for n in range(_MANY) for row in _rows(contract_batch(n))])
            assert len(stored) == 3 * _MANY

    async def test_a_cancelled_write_does_not_harm_the_next(self, tmp_path: Path) -> None:
        """The cancellation comes through; its batch is there whole or not at all; others can be written."""
        async with self.sink(tmp_path) as sink:
            for sequence in range(4):
                writing = asyncio.ensure_future(sink.write(contract_batch(sequence)))
                for _ in range(sequence):
                    await asyncio.sleep(0)
                finished = writing.done()
                writing.cancel()
                await asyncio.wait([writing], timeout=_PATIENCE)
                assert writing.done(), "it goes on after it was cancelled"
                assert finished or writing.cancelled(), "the cancellation was swallowed"
            await self._write(sink, contract_batch(100))
            stored = _exact(await self.stored(tmp_path))
            assert _exact(_rows(contract_batch(100))) <= stored
            for sequence in range(4):
                found = _exact(_rows(contract_batch(sequence))) & stored
                assert len(found) in {0, 3}, "half of a batch was stored"

    async def test_a_destination_that_is_gone_is_told_and_the_batch_can_come_again(self, tmp_path: Path) -> None:
        """`RetryLater` or a `LinkError`, never success; after the outage the same batch is taken."""
        async with self.sink(tmp_path) as sink:
            await self._write(sink, contract_batch(1))
            await self.fail()
            for _ in range(2):
                refusal = await self._refusal(sink, contract_batch(2))
                assert refusal is not None, "a batch was taken although there is nowhere to put it"
                assert isinstance(refusal, RetryLater | LinkError), refusal
                assert str(refusal)
            await self.mend()
            await self._write_until_taken(sink, contract_batch(2))
            wanted = _exact([*_rows(contract_batch(1)), *_rows(contract_batch(2))])
            assert _exact(await self.stored(tmp_path)) == wanted

    async def test_what_will_never_be_taken_is_rejected(self, tmp_path: Path) -> None:
        """`Rejected` with a reason, nothing stored; the next batch is taken."""
        batch = self.unacceptable()
        async with self.sink(tmp_path) as sink:
            if batch is not None:
                refusal = await self._refusal(sink, batch)
                assert isinstance(refusal, Rejected), f"expected Rejected, got {refusal!r}"
                assert refusal.reason
            await self._write(sink, contract_batch(1))
            assert _exact(await self.stored(tmp_path)) == _exact(_rows(contract_batch(1)))

    # What the tests share

    async def _write(self, sink: Sink, batch: Batch) -> None:
        try:
            async with asyncio.timeout(_PATIENCE):
                await sink.write(batch)
        except TimeoutError:
            raise AssertionError(f"a write did not end within {_PATIENCE:g} s") from None

    async def _refusal(self, sink: Sink, batch: Batch) -> DeliveryError | LinkError | None:
        """Write, and tell how the sink refused; anything else that it raises goes through."""
        try:
            await self._write(sink, batch)
        except (DeliveryError, LinkError) as refusal:
            return refusal
        return None

    async def _write_until_taken(self, sink: Sink, batch: Batch) -> None:
        loop = asyncio.get_running_loop()
        deadline = loop.time() + _PATIENCE
        while (refusal := await self._refusal(sink, batch)) is not None:
            assert loop.time() < deadline, f"the destination is back, and the batch is still not taken: {refusal}"
            await asyncio.sleep(0.05)


def _rows(batch: Batch) -> list[StoredRow]:
    return [row[:4] for row in batch.rows()]


def _exact(rows: Sequence[StoredRow]) -> set[tuple[object, ...]]:
    """Rows that are equal only if every bit is: True is not 1, -0.0 is not 0.0, and NaN is itself."""
    return {(tag, ts, type(value).__name__, _bits(value), status) for tag, ts, value, status in rows}


def _bits(value: Value) -> object:
    return struct.pack(">d", value) if isinstance(value, float) else value
