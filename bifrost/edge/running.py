"""A pipeline that runs on its own, without a gateway."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from bifrost.actors.system import ActorSystem
from bifrost.core.batch import Batch
from bifrost.core.clock import Clock
from bifrost.edge.assembly import SOURCE_ID, supervise
from bifrost.edge.statistics import DeadBatch, PipelineMeters, StageStatistics

if TYPE_CHECKING:
    from bifrost.edge.pipeline import Pipeline

__all__ = ["RunningPipeline", "open_pipeline"]


class RunningPipeline:
    """The handle that `Pipeline.open` gives."""

    def __init__(self, name: str, system: ActorSystem, meters: PipelineMeters, exhausted: asyncio.Event) -> None:
        self._source = system.ref(f"{name}/{SOURCE_ID}")
        self._system = system
        self._meters = meters
        self._exhausted = exhausted

    @property
    def system(self) -> ActorSystem:
        """The actor system that the stages live in."""
        return self._system

    async def send(self, batch: Batch, *, timeout: float = 5.0) -> None:
        """Give the pipeline a batch, waiting up to `timeout` seconds for room.

        Raises:
            MailboxFull: the pipeline did not make room in time; it has not taken the batch.
            ActorStopped: it has stopped.
        """
        await self._source.send(batch, timeout=timeout)

    async def wait_exhausted(self) -> None:
        """Return when every source that is pulled from has ended; what they gave may still be under way."""
        await self._exhausted.wait()

    def statistics(self) -> tuple[StageStatistics, ...]:
        """What each stage has done so far, in the order of the flow."""
        return self._meters.snapshot()

    def dead(self) -> tuple[DeadBatch, ...]:
        """The last batches that were given up, oldest first."""
        return self._meters.dead


@asynccontextmanager
async def open_pipeline(pipeline: Pipeline, clock: Clock | None) -> AsyncIterator[RunningPipeline]:
    """Run a pipeline in an actor system of its own, see `Pipeline.open`."""
    meters = PipelineMeters()
    exhausted = asyncio.Event()
    specs = pipeline.specs(meters=meters, on_exhausted=exhausted.set)
    async with ActorSystem(pipeline.name, [supervise(pipeline.name, specs)], clock=clock) as system:
        yield RunningPipeline(pipeline.name, system, meters, exhausted)
