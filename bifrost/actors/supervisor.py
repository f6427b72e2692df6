"""Specifications of supervisors.

In: children and flags. Out: a `ChildSpec` that any supervisor or system takes.
"""

from __future__ import annotations

import random
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

from bifrost.actors.backoff import Backoff
from bifrost.actors.child_spec import ChildSpec, ChildType, Restart, check_child_specs
from bifrost.actors.restart import SupervisionCore
from bifrost.actors.spec_store import SpecStore
from bifrost.actors.strategy import AutoShutdown, Strategy, SupervisorFlags
from bifrost.errors import ChildSpecError

__all__ = ["Supervisor", "SupervisorPlan"]


@dataclass(frozen=True, slots=True)
class SupervisorPlan:
    """What a supervisor starts with, at every incarnation.

    Attributes:
        flags: its flags.
        children: what it starts, in order.
        store: brings back what was added at run time; only with `flags.dynamic`.

    Raises:
        ChildSpecError: children and flags contradict each other.
    """

    flags: SupervisorFlags
    children: tuple[ChildSpec, ...] = ()
    store: SpecStore | None = None

    def __post_init__(self) -> None:
        children = check_child_specs(self.children, auto_shutdown=self.flags.auto_shutdown)
        missing = [name for name in ("load", "save", "remove") if not callable(getattr(self.store, name, None))]
        if self.store is not None and missing:
            raise ChildSpecError(f"a store has load, save and remove; {self.store!r} lacks {', '.join(missing)}")
        object.__setattr__(self, "children", children)

    def __call__(self) -> SupervisorPlan:
        """Stand where a factory stands in a `ChildSpec`; the runtime recognises the plan."""
        return self

    def ids(self) -> set[str]:
        """The ids of the children in the list."""
        return {spec.id for spec in self.children}

    def make_core(
        self, rng: random.Random, *, stored: Iterable[ChildSpec] = (), held: Collection[str] = ()
    ) -> SupervisionCore:
        """The core of a new incarnation."""
        specs = (*self.children, *stored)
        return SupervisionCore(self.flags, specs, rng, held=held, durable=self.store is not None)


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
        name: str | None = None,
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
            name: its name in the system's registry; None is none.

        Raises:
            ChildSpecError: something contradicts something else; nothing was started.
        """
        flags = SupervisorFlags(strategy=strategy, intensity=intensity, period=period, auto_shutdown=auto_shutdown)
        return ChildSpec(
            id=id,
            start=SupervisorPlan(flags, tuple(children)),
            restart=restart,
            shutdown=shutdown,
            type=ChildType.SUPERVISOR,
            significant=significant,
            backoff=backoff,
            name=name,
        )
