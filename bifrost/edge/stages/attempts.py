"""Trying something of the user's until it succeeds, is refused, or has failed too often."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from math import isnan
from typing import Any, Final

from bifrost.actors.backoff import Backoff
from bifrost.core.batch import Batch
from bifrost.edge.stages.stage import Stage
from bifrost.edge.statistics import DeadBatch
from bifrost.errors import LinkError, Rejected, RetryLater

__all__ = ["MAX_ATTEMPTS", "attempt"]

MAX_ATTEMPTS: Final = 3
"""How often a batch that makes the user's code raise is tried before it becomes a dead letter."""

_LATER: Final = Backoff(min=0.2, max=30.0, factor=2.0, jitter=0.2)
_LONGEST: Final = 3600.0  # seconds; a destination that names a longer pause is asked in between
_JITTER = random.Random()  # noqa: S311  spreads retries, guards nothing


async def attempt(stage: Stage[Any], batch: Batch, action: Callable[[], Awaitable[None]], *, timeout: float) -> bool:
    """Run `action` for a batch and tell whether it succeeded.

    `RetryLater`, `LinkError` and a passed `timeout` are tried again for ever, with growing pauses: meanwhile the
    stage's mailbox fills and the stages before it wait. Anything else that is raised is tried `MAX_ATTEMPTS` times, and
    `Rejected` once; then the batch becomes a dead letter and the stage goes on with the next.
    """
    failures = 0
    pauses = 0
    while True:
        pauses += 1
        try:
            async with asyncio.timeout(timeout):
                await action()
        except (RetryLater, LinkError, TimeoutError) as error:
            after = error.after if isinstance(error, RetryLater) else None
            pause = _LATER.delay(pauses, _JITTER) if after is None or isnan(after) else min(max(after, 0.0), _LONGEST)
            stage.ctx.log.info("tries again in %.1f s: %s", pause, str(error) or f"not done in {timeout:g} s")
        except Rejected as error:
            _give_up(stage, batch, str(error))
            return False
        except Exception as error:  # noqa: BLE001  the user's code may raise anything; it must not end the pipeline
            failures += 1
            if failures >= MAX_ATTEMPTS:
                _give_up(stage, batch, f"failed {failures} times, last with {type(error).__name__}: {error}")
                return False
            pause = _LATER.delay(pauses, _JITTER)
            stage.ctx.log.warning("tries again in %.1f s after %s: %s", pause, type(error).__name__, error)
        else:
            return True
        stage.meter.retries += 1
        await asyncio.sleep(pause)


def _give_up(stage: Stage[Any], batch: Batch, reason: str) -> None:
    stage.ctx.log.error("gives up %d rows from %s #%d: %s", len(batch), batch.origin, batch.sequence, reason)
    stage.wiring.meters.bury(DeadBatch(stage=stage.wiring.stage, reason=reason, batch=batch))
