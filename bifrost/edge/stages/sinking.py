"""The stages at the ends: they give batches and anomalies to sinks and to functions of the user's."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable
from typing import Any

from bifrost.core.batch import Batch
from bifrost.core.ports import Sink
from bifrost.edge.anomaly import Anomaly
from bifrost.edge.stages.attempts import attempt
from bifrost.edge.stages.stage import AnomalyReport, Stage, Wiring

__all__ = ["AnomalyFunction", "AnomalySinkStage", "BatchFunction", "SinkStage"]

BatchFunction = Callable[[Batch], Awaitable[object] | object]
"""A function that takes batches; it runs on the event loop, so it must not block."""

AnomalyFunction = Callable[[list[Anomaly]], Awaitable[object] | object]
"""A function that takes anomalies; it runs on the event loop, so it must not block."""


class SinkStage(Stage[Batch]):
    """Writes each batch to a sink before it takes the next."""

    def __init__(self, wiring: Wiring, sink: Sink | BatchFunction, timeout: float) -> None:
        super().__init__(wiring)
        self._sink = sink
        self._timeout = timeout

    async def receive(self, message: Batch) -> None:
        """Write a batch, see `attempt` for what happens if that fails."""
        self.meter.rows_in += len(message)
        if await attempt(self, message, lambda: _give(self._sink, message), timeout=self._timeout):
            self.meter.rows_out += len(message)


class AnomalySinkStage(Stage[AnomalyReport]):
    """Gives anomalies to a function as a list, to a sink as rows ``<label>.anomaly``."""

    def __init__(self, wiring: Wiring, sink: Sink | AnomalyFunction, timeout: float) -> None:
        super().__init__(wiring)
        self._sink = sink
        self._timeout = timeout

    async def receive(self, message: AnomalyReport) -> None:
        """Hand over a report, see `attempt` for what happens if that fails."""
        self.meter.rows_in += len(message.batch)
        given: Any = message.batch if isinstance(self._sink, Sink) else list(message.anomalies)
        if await attempt(self, message.batch, lambda: _give(self._sink, given), timeout=self._timeout):
            self.meter.rows_out += len(message.batch)


async def _give(sink: Sink | Callable[[Any], object], given: Any) -> None:
    if isinstance(sink, Sink):
        await sink.write(given)
        return
    answer = sink(given)
    if inspect.isawaitable(answer):
        await answer
