"""Specifications of supervisors whose children come and go at run time.

In: flags. Out: a `ChildSpec`.
"""

from __future__ import annotations

from bifrost.actors.backoff import Backoff
from bifrost.actors.child_spec import ChildSpec, Restart
from bifrost.actors.strategy import IntensityScope, OnExhausted, SupervisorFlags
from bifrost.actors.supervisor import plan_spec

__all__ = ["DynamicSupervisor"]


class DynamicSupervisor:
    """Starts empty, is one_for_one, and stops its children in parallel.

    Children are added with `SupervisorRef.start_child` and are lost when the supervisor itself restarts, as in OTP.
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
        backoff: Backoff | None = None,
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
            backoff: delay before the supervisor is started again.

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
        return plan_spec(id, flags, (), restart, shutdown, backoff=backoff)
