"""Specifications of supervisors whose children come and go at run time.

In: flags. Out: a `ChildSpec`.
"""

from __future__ import annotations

from bifrost.actors.backoff import Backoff
from bifrost.actors.child_spec import ChildSpec, ChildType, Restart
from bifrost.actors.spec_store import SpecStore
from bifrost.actors.strategy import IntensityScope, OnExhausted, SupervisorFlags
from bifrost.actors.supervisor import SupervisorPlan

__all__ = ["DynamicSupervisor"]


class DynamicSupervisor:
    """Starts empty, is one_for_one, and stops its children in parallel.

    Children are added with `SupervisorRef.start_child`. When the supervisor itself restarts they are lost, as in OTP,
    unless it has a `store`: then those that are not temporary come back, on the refs and with the mail they had. One of
    these that fails to start is a restart that failed, not a supervisor that failed to start.
    """

    @staticmethod
    def spec(
        id: str,  # noqa: A002 - the word of every child specification
        *,
        max_children: int | None = None,
        intensity: int = 3,
        period: float = 5.0,
        intensity_scope: IntensityScope = IntensityScope.SUPERVISOR,
        on_exhausted: OnExhausted = OnExhausted.ESCALATE,
        restart: Restart = Restart.PERMANENT,
        shutdown: float | None = None,
        significant: bool = False,
        backoff: Backoff | None = None,
        name: str | None = None,
        store: SpecStore | None = None,
    ) -> ChildSpec:
        """Specify a dynamic supervisor.

        Args:
            id: its name within its own supervisor.
            max_children: how many children it may have, parked ones included; None is unlimited.
            intensity: restarts allowed within `period`.
            period: seconds of the sliding window.
            intensity_scope: whether all children share one budget or each has its own.
            on_exhausted: whether exceeding it stops the supervisor or parks the child.
            restart: when the supervisor is started again itself.
            shutdown: seconds for stopping all children; None is `INFINITY`: each child has its own.
            significant: its own end may end its supervisor.
            backoff: delay before the supervisor is started again.
            name: its name in the system's registry; None is none.
            store: keeps what was added, under the supervisor's path; None keeps nothing.

        Raises:
            ChildSpecError: a value is out of range; nothing was started.
        """
        flags = SupervisorFlags(
            intensity=intensity,
            period=period,
            dynamic=True,
            max_children=max_children,
            intensity_scope=intensity_scope,
            on_exhausted=on_exhausted,
        )
        return ChildSpec(
            id=id,
            start=SupervisorPlan(flags, store=store),
            restart=restart,
            shutdown=shutdown,
            type=ChildType.SUPERVISOR,
            significant=significant,
            backoff=backoff,
            name=name,
        )
