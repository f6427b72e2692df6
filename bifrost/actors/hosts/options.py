"""What a host may say about the system that it embeds: the options of `ActorSystem`, in one place.

In: nothing. Out: a type for keyword arguments.
"""

from __future__ import annotations

from typing import TypedDict

from bifrost.actors.companion import Companion
from bifrost.actors.strategy import AutoShutdown, Strategy
from bifrost.core.clock import Clock

__all__ = ["SystemOptions"]


class SystemOptions(TypedDict, total=False):
    """Keyword arguments that a host passes on to `ActorSystem`; see there.

    Attributes:
        strategy: the root's strategy.
        intensity: restarts allowed within `period`; one more ends the system.
        period: seconds of the sliding window.
        auto_shutdown: whether significant children may end the system.
        clock: where event times come from.
        stop_timeout: seconds for the whole orderly stop.
        seed: seeds the jitter of back-offs.
        watchdog: reports slow handlers and a blocked loop.
        telemetry: measures the messages.
    """

    strategy: Strategy
    intensity: int
    period: float
    auto_shutdown: AutoShutdown
    clock: Clock | None
    stop_timeout: float
    seed: int | None
    watchdog: Companion | None
    telemetry: Companion | None
