"""The administrative side of a supervisor.

In: child ids and specifications. Out: OTP's results, refusals as named errors.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bifrost.actors.child_spec import ChildSpec, ChildType, check_child_specs
from bifrost.actors.child_table import ChildCounts, ChildStatus
from bifrost.actors.ref import ActorRef
from bifrost.actors.state import ActorState
from bifrost.actors.steps import Refusal, Verb
from bifrost.errors import (
    ActorError,
    AlreadyPresent,
    AlreadyStarted,
    ChildNotFound,
    ChildRestarting,
    ChildRunning,
    ChildSpecError,
    MaxChildren,
)

if TYPE_CHECKING:
    from bifrost.actors.supervisor_cell import SupervisorCell

__all__ = ["ChildInfo", "SupervisorRef", "refusal_error"]


@dataclass(frozen=True, slots=True)
class ChildInfo:
    """One line of `which_children`.

    Attributes:
        id: the child's id.
        ref: its ref; None if it never started.
        status: what the supervisor believes of it.
        type: worker or supervisor.
        spec: its specification.
    """

    id: str
    ref: ActorRef[Any] | None
    status: ChildStatus
    type: ChildType
    spec: ChildSpec


class SupervisorRef(ActorRef[Any]):
    """Names a supervisor. Its calls are served in order, one at a time, between restarts."""

    __slots__ = ()

    cell: SupervisorCell

    async def start_child(self, spec: ChildSpec, *, timeout: float | None = None) -> ActorRef[Any]:
        """Add a child and return once its `on_start` has returned.

        Args:
            spec: the child.
            timeout: seconds to wait; None is the child's `start_timeout` and 30 s more for what is queued before.

        Raises:
            AlreadyStarted: a child with this id runs.
            AlreadyPresent: one exists and does not run.
            MaxChildren: the dynamic supervisor is full.
            ChildSpecError: the specification contradicts the supervisor's flags.
            StartFailed: it did not start; its specification was discarded, and nothing was counted or retried.
            ActorStopped: the supervisor is stopping.
            TimeoutError: the supervisor was busy; the child may still start.
        """
        (spec,) = check_child_specs([spec])
        ref = await self._call(spec.id, spec, spec.start_timeout + 30.0 if timeout is None else timeout)
        assert ref is not None, "it has just started"
        return ref

    async def terminate_child(self, child_id: str, *, timeout: float | None = None) -> None:
        """Stop a child for good: a repeat is no error.

        A static child keeps its specification, for `restart_child` or a group restart; a temporary or dynamic child
        loses it. While a child is being restarted, this ends the restarting.

        Raises:
            ChildNotFound: there is no such child.
            ActorStopped: the supervisor is stopping.
            TimeoutError: it takes longer; it still stops.
        """
        await self._call(child_id, Verb.TERMINATE, timeout)

    async def restart_child(self, child_id: str, *, timeout: float | None = 60.0) -> ActorRef[Any]:
        """Start a stopped or parked child again, with a fresh restart budget of its own.

        Raises:
            ChildRunning: it runs.
            ChildRestarting: it is being restarted.
            ChildNotFound: there is no such child.
            StartFailed: it did not start and stays stopped.
            ActorStopped: the supervisor is stopping.
        """
        ref = await self._call(child_id, Verb.RESTART, timeout)
        assert ref is not None, "it has just started"
        return ref

    async def delete_child(self, child_id: str, *, timeout: float | None = 60.0) -> None:
        """Forget the specification of a stopped or parked child.

        Raises:
            ChildRunning: it runs; terminate it first.
            ChildRestarting: it is being restarted; terminate it first.
            ChildNotFound: there is no such child.
            ActorStopped: the supervisor is stopping.
        """
        await self._call(child_id, Verb.DELETE, timeout)

    def which_children(self) -> list[ChildInfo]:
        """Every child known, newest first, as in OTP."""
        kids = self.cell.kids
        rows = [
            ChildInfo(
                row.spec.id, kids[row.spec.id].ref if row.spec.id in kids else None, row.status, row.spec.type, row.spec
            )
            for row in self.cell.core.children
        ]
        return rows[::-1]

    def count_children(self) -> ChildCounts:
        """OTP's four counts."""
        return self.cell.core.children.counts()

    def child(self, child_id: str) -> ActorRef[Any] | None:
        """The ref of the child, or None if there is none that ever started."""
        kid = self.cell.kids.get(child_id)
        return None if kid is None else kid.ref

    async def _call(self, child_id: str, verb: Verb | ChildSpec, timeout: float | None) -> ActorRef[Any] | None:
        self._check_caller()
        if self.state is ActorState.RESTARTING:
            await self.wait_running()
        async with asyncio.timeout(timeout):
            return await self.cell.call(child_id, verb)


def refusal_error(  # noqa: PLR0911 - one line for each refusal
    refusal: Refusal, path: str, child_id: str
) -> ActorError:
    """The error that stands for a refusal of the core."""
    who = f"child {child_id!r} of {path}"
    if refusal is Refusal.ALREADY_STARTED:
        return AlreadyStarted(f"{who} is running")
    if refusal is Refusal.ALREADY_PRESENT:
        return AlreadyPresent(f"{who} exists and does not run: restart or delete it")
    if refusal is Refusal.RUNNING:
        return ChildRunning(f"{who} is running: terminate it first")
    if refusal is Refusal.RESTARTING:
        return ChildRestarting(f"{who} is being restarted: terminate it first")
    if refusal is Refusal.NOT_FOUND:
        return ChildNotFound(f"{path} has no child {child_id!r}")
    if refusal is Refusal.MAX_CHILDREN:
        return MaxChildren(f"{path} has as many children as it may have; {child_id!r} was not started")
    return ChildSpecError(f"{who} is significant, but the supervisor's auto_shutdown is never")
