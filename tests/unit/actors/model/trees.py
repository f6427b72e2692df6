"""The trees that the model runs, as hypothesis strategies."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from hypothesis import strategies as st

from bifrost.actors import (
    Backoff,
    ChildSpec,
    DynamicSupervisor,
    IntensityScope,
    Mailbox,
    OnExhausted,
    OnRestart,
    Overflow,
    Restart,
    Strategy,
    Supervisor,
)
from tests.unit.actors.model.acts import Role, Stage, roles
from tests.unit.actors.model.ledger import Parcel
from tests.unit.actors.model.player import Player

if TYPE_CHECKING:
    from tests.unit.actors.model.world import World

__all__ = ["Branch", "WorkerPlan", "branches", "intensities", "strategies", "workers"]


def _key(message: object) -> object:
    return message.note.key if isinstance(message, Parcel) else None


@dataclass(frozen=True, kw_only=True)
class WorkerPlan:
    """One actor."""

    role: Role
    capacity: int
    overflow: Overflow
    on_restart: OnRestart
    restart: Restart
    backoff: Backoff | None
    shutdown: float
    drain: bool

    def spec(self, name: str, world: World) -> ChildSpec:
        """As its supervisor wants it."""
        key = _key if self.overflow is Overflow.CONFLATE else None
        return ChildSpec(
            id=name,
            start=Player,
            args=(world, self.role),
            kwargs={"drains": self.drain},
            mailbox=Mailbox(capacity=self.capacity, overflow=self.overflow, key=key, on_restart=self.on_restart),
            restart=self.restart,
            backoff=self.backoff,
            shutdown=self.shutdown,
            drain=self.drain,
            start_timeout=1.0,
        )


@dataclass(frozen=True, kw_only=True)
class SupervisorPlan:
    """A supervisor of its own, with some actors."""

    kids: tuple[WorkerPlan, ...]
    strategy: Strategy
    intensity: int

    def spec(self, name: str, world: World) -> ChildSpec:
        """As its supervisor wants it."""
        kids = [kid.spec(f"w{number}", world) for number, kid in enumerate(self.kids)]
        return Supervisor.spec(name, kids, strategy=self.strategy, intensity=self.intensity)


@dataclass(frozen=True, kw_only=True)
class DynamicPlan:
    """A dynamic supervisor, empty at first."""

    scope: IntensityScope
    exhausted: OnExhausted

    def spec(self, name: str, _: World) -> ChildSpec:
        """As its supervisor wants it."""
        return DynamicSupervisor.spec(
            name, intensity=2, intensity_scope=self.scope, on_exhausted=self.exhausted, max_children=3
        )


Branch = WorkerPlan | SupervisorPlan | DynamicPlan

strategies = st.sampled_from(Strategy)
intensities = st.sampled_from([0, 3, 50, 50])
_capacities = st.sampled_from([1, 2, 100])
_overflows = st.sampled_from([Overflow.BACKPRESSURE, Overflow.BACKPRESSURE, *Overflow])
_on_restarts = st.sampled_from(OnRestart)
_restarts = st.sampled_from([Restart.PERMANENT, Restart.PERMANENT, Restart.TRANSIENT, Restart.TEMPORARY])
_backoffs = st.sampled_from([None, None, None, Backoff(min=0.2, max=1.0), Backoff(min=0.1, max=1.0, max_attempts=2)])
_shutdowns = st.sampled_from([0.0, 0.3, 2.0])
_drains = st.booleans()
_kinds = st.sampled_from([WorkerPlan, WorkerPlan, SupervisorPlan, DynamicPlan])
_dynamic = st.builds(DynamicPlan, scope=st.sampled_from(IntensityScope), exhausted=st.sampled_from(OnExhausted))


@st.composite
def workers(draw: st.DrawFn, *first_start: Stage) -> WorkerPlan:
    """An actor whose first start is one of `first_start`."""
    return WorkerPlan(
        role=draw(roles(*first_start)),
        capacity=draw(_capacities),
        overflow=draw(_overflows),
        on_restart=draw(_on_restarts),
        restart=draw(_restarts),
        backoff=draw(_backoffs),
        shutdown=draw(_shutdowns),
        drain=draw(_drains),
    )


_one = workers(Stage.OK, Stage.OK, Stage.YIELD, Stage.SLOW)
_some = st.lists(_one, min_size=1, max_size=3).map(tuple)


@st.composite
def branches(draw: st.DrawFn) -> Branch:
    """What stands below the root; its actors start at the first attempt."""
    kind = draw(_kinds)
    if kind is WorkerPlan:
        return draw(_one)
    if kind is DynamicPlan:
        return draw(_dynamic)
    return SupervisorPlan(kids=draw(_some), strategy=draw(strategies), intensity=draw(intensities))
