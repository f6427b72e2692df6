"""Specifications of supervisors.

In: children and flags. Out: a `ChildSpec` that any supervisor or system takes.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

from bifrost.actors.backoff import Backoff
from bifrost.actors.child_spec import ChildSpec, ChildType, Restart, check_child_specs
from bifrost.actors.restart import SupervisionCore
from bifrost.actors.strategy import AutoShutdown, Strategy, SupervisorFlags

__all__ = ["Supervisor", "SupervisorPlan"]


@dataclass(frozen=True, slots=True)
class SupervisorPlan:
    """What a supervisor starts with, at every incarnation."""

    flags: SupervisorFlags
    children: tuple[ChildSpec, ...]

    def __call__(self) -> SupervisorPlan:
        """Stand where a factory stands in a `ChildSpec`; the runtime recognises the plan."""
        return self

    def make_core(self, rng: random.Random) -> SupervisionCore:
        """The core of a new incarnation."""
        return SupervisionCore(self.flags, self.children, rng)

    def has_child(self, child_id: str) -> bool:
        """True if the child is part of the specification, not added at run time."""
        return any(spec.id == child_id for spec in self.children)


class Supervisor:
    """Starts children in order, restarts them by a strategy, stops them in reverse order."""

    @staticmethod
    def spec(
        id: str,  # noqa: A002 - the word of every child specification
        children: Sequence[ChildSpec] = (),
        *,
        strategy: Strategy = Strategy.ONE_FOR_ONE,
        intensity: int = 3,
        period: float = 5.0,
        auto_shutdown: AutoShutdown = AutoShutdown.NEVER,
        restart: Restart = Restart.PERMANENT,
        shutdown: float | None = None,
        significant: bool = False,
        backoff: Backoff | None = None,
    ) -> ChildSpec:
        """Specify a supervisor.

        Args:
            id: its name within its own supervisor.
            children: in start order.
            strategy: who is restarted with a child that failed.
            intensity: restarts allowed within `period`; one more stops the supervisor.
            period: seconds of the sliding window.
            auto_shutdown: whether significant children may end the supervisor.
            restart: when it is started again itself. A transient supervisor that uses up its intensity ends normally
                and stays down, so nested supervisors are permanent.
            shutdown: seconds for stopping the whole subtree; None is `INFINITY`: each child has its own.
            significant: its own end may end its supervisor.
            backoff: delay before it is started again.

        Raises:
            ChildSpecError: something contradicts something else; nothing was started.
        """
        flags = SupervisorFlags(strategy=strategy, intensity=intensity, period=period, auto_shutdown=auto_shutdown)
        return plan_spec(id, flags, children, restart, shutdown, significant=significant, backoff=backoff)


def plan_spec(
    child_id: str,
    flags: SupervisorFlags,
    children: Sequence[ChildSpec],
    restart: Restart,
    shutdown: float | None,
    *,
    significant: bool = False,
    backoff: Backoff | None = None,
) -> ChildSpec:
    """Check flags and children together and wrap them as a `ChildSpec`."""
    plan = SupervisorPlan(flags, check_child_specs(children))
    plan.make_core(random.Random(0))  # noqa: S311 - only checks that children and flags agree
    return ChildSpec(
        id=child_id,
        start=plan,
        restart=restart,
        shutdown=shutdown,
        type=ChildType.SUPERVISOR,
        significant=significant,
        backoff=backoff,
    )
