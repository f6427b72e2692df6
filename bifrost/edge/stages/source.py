"""The first stage: takes batches that are sent to it, and pulls from sources that it was given."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Sequence
from typing import Final

import msgspec

from bifrost.actors.backoff import Backoff
from bifrost.core.batch import Batch
from bifrost.core.ports import Source
from bifrost.edge.stages.stage import SEND_TIMEOUT, Stage, Wiring
from bifrost.errors import LinkError, MailboxFull

__all__ = ["PipelineSource", "SourceInput"]

_RECONNECT: Final = Backoff(min=0.5, max=30.0, factor=2.0, jitter=0.2)


class SourceInput(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that a pipeline takes its rows from.

    Attributes:
        source: an object to pull from, or None for batches that others send.
        origin: whose batches are wanted, of those that others send; None wants all.
        tags: which tags; None wants all. Of batches that others send, ``tag`` and ``origin/tag`` both name a row.
    """

    source: Source | None
    origin: str | None
    tags: tuple[str, ...] | None


class PipelineSource(Stage[Batch]):
    """Accepts `Batch` messages, and runs one task for each source to pull from.

    An unreachable source is tried again with growing pauses; anything else that a source raises is a defect and
    restarts this stage. A source that ends is done; `on_exhausted` is called once all are.
    """

    def __init__(
        self, wiring: Wiring, inputs: Sequence[SourceInput], on_exhausted: Callable[[], None] | None = None
    ) -> None:
        super().__init__(wiring)
        self._inputs = tuple(inputs)
        self._pushed = tuple(each for each in inputs if each.source is None)
        self._pulling = 0
        self._on_exhausted = on_exhausted

    async def on_start(self) -> None:
        """Start pulling."""
        await super().on_start()
        for each in self._inputs:
            if each.source is not None:
                self._pulling += 1
                self.ctx.spawn_task(self._pull(each.source, each.tags), name="pull")

    async def receive(self, message: Batch) -> None:
        """Pass on what is wanted of a batch; anything else is the sender's defect, and a crash shows it."""
        if not isinstance(message, Batch):
            raise TypeError(f"{self.ctx.path}: expected a Batch, got {type(message).__name__}")
        self.meter.rows_in += len(message)
        await self.forward(self._wanted(message))

    def _wanted(self, batch: Batch) -> Batch:
        if not self._pushed:
            return batch
        wanted: set[str] = set()
        for each in self._pushed:
            if each.origin is not None and each.origin != batch.origin:
                continue
            if each.tags is None:
                return batch
            wanted.update(each.tags)
            wanted.update(f"{batch.origin}/{tag}" for tag in each.tags)
        return batch.select(wanted)

    async def _pull(self, source: Source, tags: Sequence[str] | None) -> None:
        jitter = random.Random()  # noqa: S311  spreads reconnects, guards nothing
        failures = 0
        while True:
            try:
                async for batch in source.batches(tags):
                    failures = 0
                    await self._accept(batch)
            except LinkError as error:
                failures += 1
                pause = _RECONNECT.delay(failures, jitter)
                self.ctx.log.warning("source is not reachable, tries again in %.1f s: %s", pause, error)
                await asyncio.sleep(pause)
            else:
                break
        self._pulling -= 1
        if self._pulling == 0 and self._on_exhausted is not None:
            self._on_exhausted()

    async def _accept(self, batch: Batch) -> None:
        # Through the own mailbox: what is queued there at a stop is still passed on.
        while True:
            try:
                await self.ctx.ref.send(batch, timeout=SEND_TIMEOUT)
            except MailboxFull:
                self.meter.waits += 1
            else:
                return
