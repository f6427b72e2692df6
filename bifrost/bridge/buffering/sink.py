"""The write-ahead log as a sink: what a pipeline ends in."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Final, Protocol

from bifrost.core.batch import Batch
from bifrost.errors import BatchTooLarge, BufferClosed, BufferFull, Rejected, RetryLater, WalError

__all__ = ["Appendable", "WalSink"]

_REMEMBERED: Final = 64  # batches that wait for their writer to come back


class Appendable(Protocol):
    """A write-ahead log, or the port to the one that is open at the moment."""

    async def append(self, batch: Batch, stream: str = "telemetry", *, timeout: float | None = 30.0) -> int:
        """Append a batch and return its place."""
        ...


@dataclass(slots=True)
class _Begun:
    """A batch on its way into the log."""

    batch: Batch
    parts: list[Batch]  # still to be appended
    appending: asyncio.Task[int] | None = None  # of the first of them


class WalSink:
    """A `core.ports.Sink` whose `write` returns when the log has acknowledged: from there on the batch survives.

    A batch that is written again after a `RetryLater` or a cancellation takes up the append that may still be under
    way, so that waiting for room or for a slow disk never stores it twice.
    """

    def __init__(self, log: Appendable, *, stream: str = "telemetry", timeout: float = 30.0) -> None:
        """Write to `stream` of `log`, waiting `timeout` seconds at most."""
        self._log = log
        self._stream = stream
        self._timeout = timeout
        self._begun: dict[int, _Begun] = {}  # by the batch's id, which stays its own for as long as it stands here
        self._appending: set[asyncio.Task[int]] = set()

    async def write(self, batch: Batch) -> None:
        """Append the batch, in parts if it is too large for one record; an empty one is nothing to append.

        Raises:
            RetryLater: the log is full, closed at the moment (its actor is being restarted), failing, or did not answer
                in time.
            Rejected: one row is larger than the log ever takes.
        """
        if not len(batch):
            return
        begun = self._begun.setdefault(id(batch), _Begun(batch, [batch]))
        while len(self._begun) > _REMEMBERED:  # whoever wrote that one has been killed and does not come back
            del self._begun[next(iter(self._begun))]
        try:
            async with asyncio.timeout(self._timeout):
                await self._append(begun)
        except BufferFull as error:
            raise RetryLater(str(error), after=1.0) from error
        except BufferClosed as error:
            raise RetryLater(str(error), after=0.1) from error
        except BatchTooLarge as error:
            self._begun.pop(id(batch), None)
            raise Rejected(str(error)) from error
        except WalError as error:
            # A storage that fails may be mended; whoever waits keeps the batch, whoever gives up loses it.
            raise RetryLater(str(error)) from error
        except TimeoutError as error:
            raise RetryLater(f"the write-ahead log did not answer within {self._timeout:g} s") from error
        self._begun.pop(id(batch), None)

    async def _append(self, begun: _Begun) -> None:
        while begun.parts:
            part = begun.parts[0]
            if begun.appending is None:
                begun.appending = asyncio.create_task(self._log.append(part, self._stream, timeout=None))
                self._appending.add(begun.appending)
                begun.appending.add_done_callback(self._ended)
            await asyncio.wait([begun.appending])  # leaves it alone if this waiting is cut short
            ended, begun.appending = begun.appending, None
            try:
                ended.result()
            except BatchTooLarge:
                if len(part) <= 1:
                    raise
                middle = len(part) // 2
                begun.parts[:1] = [part.slice(0, middle), part.slice(middle, len(part))]
            except asyncio.CancelledError:  # of the append, by whoever ends the loop
                raise BufferClosed("the append was cancelled") from None
            else:
                del begun.parts[0]

    def _ended(self, appending: asyncio.Task[int]) -> None:
        self._appending.discard(appending)
        if not appending.cancelled():
            appending.exception()  # seen: whoever began it may not come back
