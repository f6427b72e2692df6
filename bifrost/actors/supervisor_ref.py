"""The administrative side of a supervisor.

In: child ids and specifications. Out: OTP's results, refusals as named errors.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Unpack

from bifrost.actors import steps
from bifrost.actors.child_spec import INFINITY, ChildSpec, ChildType, check_child_specs
from bifrost.actors.child_table import ChildCounts, ChildStatus
from bifrost.actors.ref import ActorRef
from bifrost.actors.state import ActorState
from bifrost.actors.steps import Refusal, Verb
from bifrost.actors.strategy import FlagChanges
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

_QUEUE = 30.0  # seconds that a call may wait for what is queued before it


@dataclass(frozen=True, slots=True)
class ChildInfo:
    """One line of `which_children`.

    Attributes:
        id: the child's id.
        ref: its ref; None if it never started.
        status: what the supervisor believes of it.
        type: worker or supervisor.
        spec: its specification.
        held: it was stopped with `hold`; group restarts leave it stopped, too.
    """

    id: str
    ref: ActorRef[Any] | None
    status: ChildStatus
    type: ChildType
    spec: ChildSpec
    held: bool = False


class SupervisorRef(ActorRef[Any]):
    """Names a supervisor. Its calls are served in order, one at a time, between restarts."""

    __slots__ = ()

    cell: SupervisorCell

    async def start_child(self, spec: ChildSpec, *, timeout: float | None = None) -> ActorRef[Any]:
        """Add a child and return once its `on_start` has returned.

        Args:
            spec: the child.
            timeout: seconds to wait; None is the child's `start_timeout` and 30 s more for what is queued before.

        Returns:
            Its ref. If its factory said `IGNORE` the ref's state is STOPPED.

        Raises:
            AlreadyStarted: a child with this id runs, or its registered name is taken.
            AlreadyPresent: one exists and does not run.
            MaxChildren: the dynamic supervisor is full.
            ChildSpecError: the specification contradicts the supervisor's flags.
            StartFailed: it did not start; its specification was discarded, and nothing was counted or retried.
            ActorStopped: the supervisor is stopping.
            TimeoutError: the supervisor was busy; the child may still start.
        """
        if spec.__class__ is not ChildSpec:
            (spec,) = check_child_specs([spec])
        self._check_caller()
        cell = self.cell
        if cell.state is ActorState.RESTARTING:
            await self.wait_running()
        call = cell.start_now(spec) if cell.state is ActorState.RUNNING else None
        if isinstance(call, ActorRef):
            return call
        if call is None:
            call = cell.call(spec.id, steps.StartChild(0, spec), spec)
        ref = await call.result(spec.start_timeout + _QUEUE if timeout is None else timeout)
        assert ref is not None, "it has just started"
        return ref

    async def terminate_child(self, child_id: str, *, hold: bool = False, timeout: float | None = None) -> None:
        """Stop a child for good: a repeat is no error.

        A static child keeps its specification, for `restart_child` or a group restart; a temporary or dynamic child
        loses it. While a child is being restarted, this ends the restarting.

        Args:
            child_id: which child.
            hold: keep it stopped until `restart_child`: group restarts, and restarts of this supervisor, leave it out,
                and a dynamic child keeps its specification. A temporary child is gone all the same.
            timeout: seconds to wait; None is as long as the stop takes.

        Raises:
            ChildNotFound: there is no such child.
            ActorStopped: the supervisor is stopping.
            TimeoutError: it takes longer; it still stops.
        """
        await self._call(child_id, steps.AdminCall(0, Verb.TERMINATE, child_id, hold), timeout)

    async def restart_child(self, child_id: str, *, timeout: float | None = 60.0) -> ActorRef[Any]:
        """Start a stopped, held or parked child again, with a fresh restart budget of its own.

        Args:
            child_id: which child.
            timeout: seconds to wait for what is queued before and for the start; None is as long as it takes.

        Returns:
            Its ref. If its factory said `IGNORE` the ref's state is STOPPED.

        Raises:
            ChildRunning: it runs.
            ChildRestarting: it is being restarted.
            ChildNotFound: there is no such child.
            AlreadyStarted: its registered name is taken.
            StartFailed: it did not start and stays stopped.
            ActorStopped: the supervisor is stopping.
            TimeoutError: it takes longer; it may still start.
        """
        ref = await self._call(child_id, steps.AdminCall(0, Verb.RESTART, child_id), timeout)
        assert ref is not None, "it has just started"
        return ref

    async def replace_child(self, spec: ChildSpec, *, timeout: float | None = None) -> ActorRef[Any]:
        """Stop the child with the id of `spec` and start `spec` in its place: same order, same ref, same queued mail.

        A child that was stopped, parked or being restarted is started as well; one that is held gets the new
        specification and stays held. The ref is another one only if an actor takes the place of a supervisor or the
        other way round. Nothing is counted against the restart intensity.

        If the new child does not start, the old specification is put back, and the old child runs again if it ran
        before. If even that fails, it is a restart that failed: it is tried again as its specification and the
        supervisor's intensity allow; a temporary child is gone.

        Args:
            spec: what is to run instead.
            timeout: seconds to wait; None is both children's limits for stop and start and 30 s more for what is queued
                before, or as long as it takes if the old one's `shutdown` is `INFINITY`.

        Raises:
            ChildNotFound: there is no child with this id.
            ChildSpecError: the specification contradicts the supervisor's flags; nothing was stopped.
            AlreadyStarted: its registered name is taken; the old child is back.
            StartFailed: the new child did not start; the old one is back, or being restarted.
            ActorStopped: the supervisor is stopping.
            TimeoutError: it takes longer; it still happens.
        """
        (spec,) = check_child_specs([spec])
        await self._ready()
        if timeout is None:
            row = self.cell.core.children.get(spec.id)
            old = spec if row is None else row.spec
            timeout = old.shutdown_seconds + old.start_timeout + spec.start_timeout + _QUEUE
        call = self.cell.call(spec.id, steps.ReplaceChild(0, spec), spec)
        ref = await call.result(None if timeout == INFINITY else timeout)
        assert ref is not None, "it has a place in the tree"
        return ref

    async def delete_child(self, child_id: str, *, timeout: float | None = 60.0) -> None:
        """Forget the specification of a stopped or parked child.

        Args:
            child_id: which child.
            timeout: seconds to wait for what is queued before; None is as long as it takes.

        Raises:
            ChildRunning: it runs; terminate it first.
            ChildRestarting: it is being restarted; terminate it first.
            ChildNotFound: there is no such child.
            ActorStopped: the supervisor is stopping.
            TimeoutError: the supervisor was busy; it still forgets the child.
        """
        await self._call(child_id, steps.AdminCall(0, Verb.DELETE, child_id), timeout)

    async def change(
        self,
        children: Sequence[ChildSpec] | None = None,
        *,
        timeout: float | None = 60.0,
        **flags: Unpack[FlagChanges],
    ) -> None:
        """Go by other flags or another list of children from now on, also after a restart; publish `ConfigChanged`.

        Children that are new in the list are known and not started: `restart_child` starts them. Where a specification
        differs, what runs goes on, with the new limits for its stop, and the next start takes the new one. What is not
        in the list any more goes on too, after all others in the start order, until it is deleted or this supervisor
        restarts. What was counted against the intensity stays counted.

        Args:
            children: the new list, in start order; None leaves the list as it is.
            timeout: seconds to wait for what is queued before.
            flags: those that change, by the names that `Supervisor.spec` and `DynamicSupervisor.spec` give them.

        Raises:
            ChildSpecError: something contradicts something else; nothing was changed.
            ActorStopped: the supervisor is stopping.
            TimeoutError: the supervisor was busy; it still changes.

        Source: Erlang/OTP `supervisor:code_change/3`.
        """
        specs = None if children is None else tuple(children)
        await self._call("", steps.ChangeSelf(0, flags, specs), timeout)

    def get_child_spec(self, child_id: str) -> ChildSpec:
        """The specification that the child was started with, or will be started with next.

        Raises:
            ChildNotFound: there is no such child.
        """
        row = self.cell.core.children.get(child_id)
        if row is None:
            raise refusal_error(Refusal.NOT_FOUND, self.path, child_id)
        return row.spec

    def which_children(self) -> list[ChildInfo]:
        """Every child known, newest first, as in OTP."""
        kids = self.cell.kids
        children = []
        for row in self.cell.core.children:
            spec = row.spec
            kid = kids.get(spec.id)
            ref = None if kid is None else kid.ref
            children.append(ChildInfo(spec.id, ref, row.status, spec.type, spec, row.held))
        return children[::-1]

    def count_children(self) -> ChildCounts:
        """OTP's four counts."""
        return self.cell.core.children.counts()

    def child(self, child_id: str) -> ActorRef[Any] | None:
        """The ref of the child, or None if there is none that ever started."""
        kid = self.cell.kids.get(child_id)
        return None if kid is None else kid.ref

    def drain(self) -> None:
        """Refuse: a supervisor has no mailbox.

        Raises:
            ActorError: always; `terminate_child` stops a branch in order.
        """
        self.cell.drain()  # in the caller's thread, which hears of it

    async def _ready(self) -> None:
        self._check_caller()
        if self.cell.state is ActorState.RESTARTING:
            await self.wait_running()

    async def _call(self, child_id: str, event: steps.Admin, timeout: float | None) -> ActorRef[Any] | None:
        await self._ready()
        return await self.cell.call(child_id, event).result(timeout)


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
