"""What the core half of the conformance suite is written with: short words for specifications and benches."""

from __future__ import annotations

from typing import Any

from bifrost.actors import (
    AutoShutdown,
    ChildSpec,
    ChildType,
    Crash,
    ExitReason,
    IntensityScope,
    Killed,
    Normal,
    OnExhausted,
    Restart,
    Shutdown,
    StartFailure,
    Strategy,
    SupervisorFlags,
)
from bifrost.testing import CoreBench

PERMANENT, TRANSIENT, TEMPORARY = Restart.PERMANENT, Restart.TRANSIENT, Restart.TEMPORARY
ANY, ALL, NEVER = AutoShutdown.ANY_SIGNIFICANT, AutoShutdown.ALL_SIGNIFICANT, AutoShutdown.NEVER
NORMAL_ENDS: list[ExitReason] = [Normal(), Shutdown(), Shutdown("for a reason")]
ABNORMAL_ENDS: list[ExitReason] = [Crash(RuntimeError("broken")), Killed(), StartFailure(RuntimeError("broken"))]
ENDS = [*NORMAL_ENDS, *ABNORMAL_ENDS]


def child(
    child_id: str,
    restart: Restart = PERMANENT,
    *,
    significant: bool = False,
    kind: ChildType = ChildType.WORKER,
    **options: Any,
) -> ChildSpec:
    return ChildSpec(id=child_id, start=object, restart=restart, significant=significant, type=kind, **options)


def children(names: str, restart: Restart = PERMANENT) -> list[ChildSpec]:
    return [child(name, restart) for name in names]


def bench(
    specs: list[ChildSpec],
    strategy: Strategy = Strategy.ONE_FOR_ONE,
    *,
    intensity: int = 2,
    period: float = 3600.0,
    auto_shutdown: AutoShutdown = NEVER,
) -> CoreBench:
    """A supervisor that runs; the starts are not in its log any more."""
    flags = SupervisorFlags(strategy=strategy, intensity=intensity, period=period, auto_shutdown=auto_shutdown)
    made = CoreBench(specs, flags).begin()
    made.take_log()
    return made


def dynamic(
    names: str = "", *, intensity: int = 2, scope: IntensityScope = IntensityScope.SUPERVISOR, park: bool = False
) -> CoreBench:
    """A dynamic supervisor that runs, with children added one by one."""
    flags = SupervisorFlags(
        dynamic=True,
        intensity=intensity,
        intensity_scope=scope,
        on_exhausted=OnExhausted.PARK if park else OnExhausted.ESCALATE,
    )
    made = CoreBench((), flags).begin()
    for name in names:
        assert made.add(child(name)) == "ok"
    made.take_log()
    return made
