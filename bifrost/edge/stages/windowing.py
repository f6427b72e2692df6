"""The stage that cuts batches into windows and aggregates each."""

from __future__ import annotations

from typing import Final

from bifrost.actors.exit_reason import ExitReason
from bifrost.core.batch import Batch
from bifrost.edge.aggregator import Aggregator
from bifrost.edge.stages.stage import Numbering, Stage, Wiring, is_orderly
from bifrost.edge.window import Window

__all__ = ["Tick", "WindowStage"]

_COUNTED: Final = ("late", "future", "bad", "skipped", "overflowed")


class Tick:
    """Time has passed."""


class WindowStage(Stage[Batch | Tick]):
    """Takes rows; passes on one row per tag, window and aggregate, at the window's start time.

    At an orderly stop the open windows are passed on, marked as partial in their status.
    """

    def __init__(self, wiring: Wiring, window: Window, aggregators: tuple[Aggregator, ...]) -> None:
        super().__init__(wiring)
        self._window = window
        self._windows = window.start(list(aggregators))
        self._counted = dict.fromkeys(_COUNTED, 0)

    async def on_start(self) -> None:
        """Begin to watch for tags that fall silent."""
        await super().on_start()
        self._numbering = Numbering(self.wiring, self.ctx.clock.time_ns())
        interval = max(min(self._window.seconds, self._window.idle_timeout, 1.0), 0.1)
        self.ctx.timers.every("tick", interval, Tick())

    async def receive(self, message: Batch | Tick) -> None:
        """Take a batch, or let time pass."""
        clock = self.ctx.clock
        monotonic_ns = round(clock.monotonic() * 1e9)
        if isinstance(message, Batch):
            self.meter.rows_in += len(message)
            derived = self._windows.push(message.columns, clock.time_ns(), monotonic_ns)
            self._count()
        elif isinstance(message, Tick):
            derived = self._windows.tick(monotonic_ns)
        else:
            raise TypeError(f"{self.ctx.path}: expected a Batch, got {type(message).__name__}")
        if len(derived):
            await self.forward(self._numbering.stamp(Batch(derived)))

    async def on_stop(self, reason: ExitReason) -> None:
        """Pass on the open windows if the stop is orderly."""
        if is_orderly(reason):
            derived = self._windows.flush()
            if len(derived):
                await self.forward_last(self._numbering.stamp(Batch(derived)))

    def _count(self) -> None:
        # The native counters begin anew with each incarnation; the meter goes on.
        counts = self._windows.statistics()
        for name, before in self._counted.items():
            setattr(self.meter, name, getattr(self.meter, name) + counts[name] - before)
            self._counted[name] = counts[name]
