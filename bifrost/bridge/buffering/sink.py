"""The write-ahead log as a sink: what a pipeline ends in."""

from __future__ import annotations

from typing import Protocol

from bifrost.core.batch import Batch
from bifrost.errors import BatchTooLarge, BufferClosed, BufferFull, Rejected, RetryLater, WalError

__all__ = ["Appendable", "WalSink"]


class Appendable(Protocol):
    """A write-ahead log, or the port to the one that is open at the moment."""

    async def append(self, batch: Batch, stream: str = "telemetry", *, timeout: float | None = 30.0) -> int:
        """Append a batch and return its place."""
        ...


class WalSink:
    """A `core.ports.Sink` whose `write` returns when the log has acknowledged: from there on the batch survives."""

    def __init__(self, log: Appendable, *, stream: str = "telemetry", timeout: float = 30.0) -> None:
        """Write to `stream` of `log`, waiting `timeout` seconds at most."""
        self._log = log
        self._stream = stream
        self._timeout = timeout

    async def write(self, batch: Batch) -> None:
        """Append the batch; an empty one is nothing to append.

        Raises:
            RetryLater: the log is full, closed at the moment (its actor is being restarted), failing, or did not answer
                in time.
            Rejected: the batch is larger than the log ever takes.
        """
        if not len(batch):
            return
        try:
            await self._log.append(batch, self._stream, timeout=self._timeout)
        except BufferFull as error:
            raise RetryLater(str(error), after=1.0) from error
        except BufferClosed as error:
            raise RetryLater(str(error), after=0.1) from error
        except BatchTooLarge as error:
            raise Rejected(str(error)) from error
        except WalError as error:
            # A storage that fails may be mended; whoever waits keeps the batch, whoever gives up loses it.
            raise RetryLater(str(error)) from error
        except TimeoutError as error:
            raise RetryLater(f"the write-ahead log did not answer within {self._timeout:g} s") from error
