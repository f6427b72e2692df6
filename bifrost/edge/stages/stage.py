"""What all stages have in common: counters, and passing batches on with backpressure."""

from __future__ import annotations

import asyncio
from typing import Generic, TypeVar

import msgspec

from bifrost.actors.actor import Actor, M
from bifrost.actors.exit_reason import ExitReason, is_abnormal
from bifrost.actors.ref import ActorRef
from bifrost.core.batch import Batch
from bifrost.edge.anomaly import Anomaly
from bifrost.edge.statistics import PipelineMeters
from bifrost.errors import ActorError, MailboxFull

__all__ = ["AnomalyReport", "Numbering", "Stage", "Wiring", "is_orderly"]

_Sent = TypeVar("_Sent")

SEND_TIMEOUT = 5.0
"""Seconds after which a full neighbour is counted and logged; the wait goes on, since that is what backpressure is."""


class AnomalyReport(msgspec.Struct, frozen=True, kw_only=True):
    """What a detecting stage sends to the sinks for anomalies.

    Attributes:
        anomalies: for callables.
        batch: for sinks: one row ``<label>.anomaly`` with the score for each anomaly.
    """

    anomalies: tuple[Anomaly, ...]
    batch: Batch


class Wiring(msgspec.Struct, frozen=True, kw_only=True):
    """Where a stage stands in its pipeline.

    Attributes:
        pipeline: the pipeline's name; the origin of derived batches begins with it.
        stage: the stage's id in its supervisor.
        outputs: ids of the stages that its batches go to, in order.
        anomaly_outputs: ids of the stages that its anomaly reports go to.
        meters: the pipeline's counters.
    """

    pipeline: str
    stage: str
    outputs: tuple[str, ...]
    meters: PipelineMeters
    anomaly_outputs: tuple[str, ...] = ()


class Numbering:
    """Origin and number of the batches that a stage makes.

    Numbers begin at the wall clock in ns, so that they grow over restarts of the stage and of the process.
    """

    __slots__ = ("_next", "_origin")

    def __init__(self, wiring: Wiring, now_ns: int) -> None:
        self._origin = f"{wiring.pipeline}/{wiring.stage}"
        self._next = max(now_ns, 0)

    def stamp(self, batch: Batch) -> Batch:
        """Give the batch this stage's origin and the next number."""
        stamped = batch.with_origin(self._origin, self._next)
        self._next += 1
        return stamped


class Stage(Actor[M], Generic[M]):
    """Base of the stages."""

    def __init__(self, wiring: Wiring) -> None:
        self.wiring = wiring
        self.meter = wiring.meters.stage(wiring.stage)
        self._outputs: tuple[ActorRef[Batch], ...] = ()
        self._anomaly_outputs: tuple[ActorRef[AnomalyReport], ...] = ()

    async def on_start(self) -> None:
        """Find the next stages: they started before this one."""
        above, slash, _ = self.ctx.path.rpartition("/")
        self._outputs = tuple(self.ctx.system.ref(f"{above}{slash}{name}") for name in self.wiring.outputs)
        self._anomaly_outputs = tuple(
            self.ctx.system.ref(f"{above}{slash}{name}") for name in self.wiring.anomaly_outputs
        )

    async def forward(self, batch: Batch) -> None:
        """Pass a batch on to every next stage, waiting for room in each; an empty one is not passed on."""
        if not len(batch):
            return
        for output in self._outputs:
            await self._send(output, batch)
        self.meter.rows_out += len(batch)

    async def report(self, report: AnomalyReport) -> None:
        """Pass anomalies on to every sink for them, waiting for room in each."""
        for output in self._anomaly_outputs:
            await self._send(output, report)

    async def _send(self, output: ActorRef[_Sent], message: _Sent) -> None:
        while True:
            try:
                await output.send(message, timeout=SEND_TIMEOUT)
            except MailboxFull:
                self.meter.waits += 1
                self.ctx.log.warning("waits for %s: its mailbox has been full for %g s", output.path, SEND_TIMEOUT)
            else:
                return

    async def forward_last(self, batch: Batch) -> None:
        """Pass a batch on while stopping: if the next stage is gone or full, its rows are counted and logged."""
        try:
            await self.forward(batch)
        except ActorError as error:
            self._drop(batch, str(error))
        except asyncio.CancelledError:
            self._drop(batch, "the next stage had no room until the stop was over")
            raise

    def _drop(self, batch: Batch, reason: str) -> None:
        self.meter.overflowed += len(batch)
        self.ctx.log.warning("drops %d rows at its stop: %s", len(batch), reason)


def is_orderly(reason: ExitReason) -> bool:
    """Tell whether the stage was asked to stop, so that it may still send."""
    return not is_abnormal(reason)
