"""The stages that let part of the rows through."""

from __future__ import annotations

from collections.abc import Callable

from bifrost.core.batch import Batch
from bifrost.edge.stages.attempts import attempt
from bifrost.edge.stages.stage import Stage, Wiring

__all__ = ["BatchFilter", "FilterStage", "SelectStage"]

BatchFilter = Callable[[Batch], Batch | None]
"""What `Pipeline.filter` takes: a batch in, the batch to pass on out, or None for nothing."""

_TIMEOUT = 30.0


class SelectStage(Stage[Batch]):
    """Lets the rows of some tags through."""

    def __init__(self, wiring: Wiring, tags: tuple[str, ...]) -> None:
        super().__init__(wiring)
        self._tags = tags

    async def receive(self, message: Batch) -> None:
        """Pass on the rows of the wanted tags."""
        self.meter.rows_in += len(message)
        await self.forward(message.select(self._tags))


class FilterStage(Stage[Batch]):
    """Passes on what the user's function returns; a batch on which it keeps raising becomes a dead letter."""

    def __init__(self, wiring: Wiring, function: BatchFilter) -> None:
        super().__init__(wiring)
        self._function = function

    async def receive(self, message: Batch) -> None:
        """Ask the function about a batch."""
        self.meter.rows_in += len(message)
        kept: list[Batch] = []

        async def ask() -> None:
            answer = self._function(message)
            if answer is None:
                return
            if not isinstance(answer, Batch):
                raise TypeError(f"a filter must return a Batch or None, got {type(answer).__name__}")
            kept.append(answer)

        await attempt(self, message, ask, timeout=_TIMEOUT)
        for batch in kept:
            await self.forward(batch)
