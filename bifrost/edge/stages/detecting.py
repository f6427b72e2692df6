"""The stage that finds anomalies: batches pass through, what it finds goes to the sinks for anomalies."""

from __future__ import annotations

from bifrost.core.batch import Batch
from bifrost.edge.anomaly import Anomaly
from bifrost.edge.detector import Detector
from bifrost.edge.stages.stage import AnomalyReport, Numbering, Stage, Wiring

__all__ = ["DetectStage"]


class DetectStage(Stage[Batch]):
    """Judges each batch, reports what it finds, then passes the batch on unchanged."""

    def __init__(self, wiring: Wiring, detector: Detector, on: str | None) -> None:
        super().__init__(wiring)
        self._method = detector.method
        self._on = on
        self._detector = detector.start(on=on)
        self._overflowed = 0

    async def on_start(self) -> None:
        """Find the next stages."""
        await super().on_start()
        self._numbering = Numbering(self.wiring, self.ctx.clock.time_ns())

    async def receive(self, message: Batch) -> None:
        """Judge a batch."""
        self.meter.rows_in += len(message)
        _, found = self._detector.push(message.columns)
        self.meter.overflowed += self._detector.overflowed - self._overflowed
        self._overflowed = self._detector.overflowed
        if found:
            rows = message.rows()
            suffix = "" if self._on is None else f".{self._on}"
            anomalies = tuple(
                Anomaly(
                    tag=rows[row][0].removesuffix(suffix),
                    source_ts_ns=rows[row][1],
                    value=value,
                    score=score,
                    detector=self._method,
                    on=self._on,
                    reasons=(reason,),
                )
                for row, value, score, reason in found
            )
            self.meter.anomalies += len(anomalies)
            await self.report(AnomalyReport(anomalies=anomalies, batch=self._scores(anomalies)))
        await self.forward(message)

    def _scores(self, anomalies: tuple[Anomaly, ...]) -> Batch:
        now_ns = self.ctx.clock.time_ns()
        scores = Batch.from_columns(
            [f"{anomaly.tag}.anomaly" for anomaly in anomalies],
            [anomaly.source_ts_ns for anomaly in anomalies],
            [anomaly.score for anomaly in anomalies],
            received_ts_ns=[now_ns] * len(anomalies),
        )
        return self._numbering.stamp(scores)
