"""The ports where stages meet: a stage knows these, never its neighbour.

Contract suites for every port are in `bifrost.testing`.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Protocol, runtime_checkable

import msgspec

from bifrost.core.batch import Batch

__all__ = ["Deferred", "Delivered", "Envelope", "Outcome", "Refused", "Sink", "Source", "Uplink"]


@runtime_checkable
class Source(Protocol):
    """Where batches come from: a device connection, an OPC UA session, a pipeline's output."""

    def batches(
        self, tags: Sequence[str] | None = None, *, max_rows: int = 1024, max_delay: float = 0.05
    ) -> AsyncIterator[Batch]:
        """Yield batches of at most `max_rows` rows, none held back longer than `max_delay` seconds."""
        ...


@runtime_checkable
class Sink(Protocol):
    """Where batches go: the WAL, a historian, an alert, a user's function."""

    async def write(self, batch: Batch) -> None:
        """Return when the batch is as durable as this sink promises.

        Raises:
            RetryLater: not now; the caller keeps the batch.
            Rejected: never; the caller dead-letters it.
        """
        ...


class Envelope(msgspec.Struct, frozen=True):
    """One acknowledged WAL record on its way out.

    Attributes:
        buffer_id: identity of the WAL, stable over restarts; with `seq` it makes a record recognisable.
        seq: position in the WAL, from 1.
        stream: the WAL stream, such as ``telemetry``.
        batch: the samples.
        replayed: true if the record may have been sent before.
    """

    buffer_id: str
    seq: int
    stream: str
    batch: Batch
    replayed: bool = False


class Delivered(msgspec.Struct, frozen=True, tag=True):
    """The destination has it and said so."""


class Deferred(msgspec.Struct, frozen=True, tag=True):
    """Not now: try again, after `after` seconds if given."""

    reason: str
    after: float | None = None


class Refused(msgspec.Struct, frozen=True, tag=True):
    """Never: the record goes to the dead letters with this reason."""

    reason: str


Outcome = Delivered | Deferred | Refused


@runtime_checkable
class Uplink(Protocol):
    """A destination beyond this machine, or a database on it."""

    async def open(self) -> None:
        """Connect; raises `LinkError` to be retried, `ConfigError` if the settings can never work."""
        ...

    async def deliver(self, items: Sequence[Envelope]) -> Sequence[Outcome]:
        """Return one outcome per item, in order. Never both delivered and raised.

        May raise `LinkError`: then nothing is known of any item and all are sent again.
        """
        ...

    async def aclose(self) -> None:
        """Release everything; idempotent."""
        ...
