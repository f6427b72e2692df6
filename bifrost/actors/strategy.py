"""How a supervisor treats its children as a group.

In: the choices a person makes. Out: `SupervisorFlags`, checked.

Source: Erlang/OTP `supervisor` flags; Elixir `DynamicSupervisor`.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, TypedDict

from bifrost.errors import ChildSpecError

__all__ = ["AutoShutdown", "FlagChanges", "IntensityScope", "OnExhausted", "Strategy", "SupervisorFlags"]


class Strategy(enum.Enum):
    """Who is restarted with a child that failed."""

    ONE_FOR_ONE = "one_for_one"
    """Only the child."""
    ONE_FOR_ALL = "one_for_all"
    """Every child."""
    REST_FOR_ONE = "rest_for_one"
    """The child and those started after it."""


class AutoShutdown(enum.Enum):
    """Whether the end of significant children ends the supervisor."""

    NEVER = "never"
    """It does not; no child may be significant."""
    ANY_SIGNIFICANT = "any_significant"
    """The end of one does, if it ended by itself and is not restarted."""
    ALL_SIGNIFICANT = "all_significant"
    """The end of the last of them does, if it ended by itself and is not restarted."""


class IntensityScope(enum.Enum):
    """What one restart budget is shared by."""

    SUPERVISOR = "supervisor"
    """All children, as in OTP."""
    CHILD = "child"
    """Each child has its own: right for devices, whose failures are independent."""


class OnExhausted(enum.Enum):
    """What happens when the budget is exceeded."""

    ESCALATE = "escalate"
    """The supervisor stops its children and itself; its own supervisor decides."""
    PARK = "park"
    """The child stays down, its specification is kept, an event is published; the others run on."""


_CHOICES: Final[Mapping[str, type[enum.Enum]]] = {
    "strategy": Strategy,
    "auto_shutdown": AutoShutdown,
    "intensity_scope": IntensityScope,
    "on_exhausted": OnExhausted,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class SupervisorFlags:
    """The settings of one supervisor.

    Attributes:
        strategy: who is restarted with a child that failed.
        intensity: restarts allowed within `period`; one more exceeds the budget.
        period: seconds of the sliding window.
        auto_shutdown: whether significant children may end the supervisor.
        dynamic: children come and go at run time and are stopped in parallel.
        max_children: only with `dynamic`; None is unlimited.
        intensity_scope: what one budget is shared by.
        on_exhausted: what happens when it is exceeded.

    Raises:
        ChildSpecError: a value is of the wrong type or out of range, or does not go with `dynamic`.
    """

    strategy: Strategy = Strategy.ONE_FOR_ONE
    intensity: int = 3
    period: float = 5.0
    auto_shutdown: AutoShutdown = AutoShutdown.NEVER
    dynamic: bool = False
    max_children: int | None = None
    intensity_scope: IntensityScope = IntensityScope.SUPERVISOR
    on_exhausted: OnExhausted = OnExhausted.ESCALATE

    def __post_init__(self) -> None:
        # A word instead of the member would be taken for the default without a sound.
        for name, kind in _CHOICES.items():
            value: object = getattr(self, name)
            if not isinstance(value, kind):
                raise ChildSpecError(f"{name} must be of type {kind.__name__}, got {value!r}")
        intensity: object = self.intensity
        if isinstance(intensity, bool) or not isinstance(intensity, int) or intensity < 0:
            raise ChildSpecError(f"intensity must be an integer >= 0, got {intensity!r}")
        period: object = self.period
        if isinstance(period, bool) or not isinstance(period, int | float) or not 0 < period < float("inf"):
            raise ChildSpecError(f"period must be finite seconds > 0, got {period!r}")
        limit: object = self.max_children
        if limit is not None and (isinstance(limit, bool) or not isinstance(limit, int) or limit < 0):
            raise ChildSpecError(f"max_children must be an integer >= 0 or None, got {self.max_children!r}")
        if self.dynamic and self.strategy is not Strategy.ONE_FOR_ONE:
            raise ChildSpecError("a dynamic supervisor is one_for_one")
        if self.dynamic and self.auto_shutdown is not AutoShutdown.NEVER:
            raise ChildSpecError("a dynamic supervisor has no auto_shutdown")


class FlagChanges(TypedDict, total=False):
    """Flags that may change while a supervisor runs; what is left out stays as it is."""

    strategy: Strategy
    intensity: int
    period: float
    auto_shutdown: AutoShutdown
    max_children: int | None
    intensity_scope: IntensityScope
    on_exhausted: OnExhausted
