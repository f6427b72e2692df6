"""A sink on the write-ahead log tells a pipeline whether a retry makes sense."""

from __future__ import annotations

import pytest

from bifrost.bridge.buffering.port import WalPort
from bifrost.bridge.buffering.sink import WalSink
from bifrost.core.batch import Batch
from bifrost.core.ports import Sink
from bifrost.errors import BatchTooLarge, BufferFull, Rejected, RetryLater, WalError

BATCH = Batch.from_columns(["t"], [1], [1])


class Full:
    """A log at its cap."""

    async def append(self, batch: Batch, stream: str = "telemetry", *, timeout: float | None = 30.0) -> int:
        raise BufferFull("the buffer holds its bytes")


async def test_a_full_log_is_to_be_retried_in_a_second() -> None:
    """`BufferFull` becomes `RetryLater` with a wait."""
    with pytest.raises(RetryLater) as caught:
        await WalSink(Full()).write(BATCH)
    assert caught.value.after == 1.0


async def test_a_log_that_is_being_reopened_is_to_be_retried() -> None:
    """A port without a log waits its patience out, then says `RetryLater`."""
    with pytest.raises(RetryLater):
        await WalSink(WalPort(patience=3.0)).write(BATCH)


async def test_an_empty_batch_is_nothing_to_write() -> None:
    """No rows, no append; and the sink is a `Sink`."""
    sink = WalSink(Full())
    await sink.write(Batch.from_columns([], [], []))
    assert isinstance(sink, Sink)


class Failing(Full):
    """A log that fails with a given error."""

    def __init__(self, error: Exception) -> None:
        self.error = error

    async def append(self, batch: Batch, stream: str = "telemetry", *, timeout: float | None = 30.0) -> int:
        raise self.error


async def test_a_batch_that_will_never_fit_is_rejected() -> None:
    """`BatchTooLarge` becomes `Rejected`: waiting changes nothing."""
    with pytest.raises(Rejected, match="too large"):
        await WalSink(Failing(BatchTooLarge("too large"))).write(BATCH)


async def test_a_failing_storage_is_to_be_retried() -> None:
    """Any other trouble of the log keeps the batch with the caller."""
    with pytest.raises(RetryLater, match="disk image"):
        await WalSink(Failing(WalError("disk image is malformed"))).write(BATCH)
