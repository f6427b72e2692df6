"""Links: two actors that fall together.

In: two running actors, and how one of them ended. Out: the end of the other, or a message if it traps. A link joins two
incarnations, not two places: a restart on either side ends it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bifrost.actors.exit_reason import ExitReason, is_abnormal
from bifrost.actors.handling_cell import HandlingCell
from bifrost.actors.mailbox import Envelope, Lane
from bifrost.errors import ActorError, LinkedExit

if TYPE_CHECKING:
    from bifrost.actors.cell import Cell
    from bifrost.actors.incarnation import Incarnation
    from bifrost.actors.ref import ActorRef

__all__ = ["Exit", "break_links", "cut", "join"]


@dataclass(frozen=True, slots=True)
class Exit:
    """What an actor that traps exits is sent when a linked actor has ended, for whatever reason.

    Attributes:
        ref: who.
        reason: why.
        incarnation: which incarnation, from 1; 0 if it never ran.
    """

    ref: ActorRef[Any]
    reason: ExitReason
    incarnation: int


def join(inc: Incarnation, target: Cell) -> None:
    """Link `inc` with the present incarnation of `target`; a repeat is no error.

    Raises:
        ActorError: `target` is a supervisor, or belongs to another system.
    """
    cell = inc.cell
    if inc.fenced or cell.present is not inc or target is cell:
        return
    if target.system is not cell.system:
        raise ActorError(f"{target.path} belongs to another system; links stay within one")
    peer = target.present
    if peer is None:
        if not isinstance(target, HandlingCell):
            raise ActorError(f"{target.path} is a supervisor; watch it instead of linking with it")
        _signal(inc, Exit(target.ref, target.last_reason, target.incarnation), is_fatal=True)
        return
    for one, other in ((inc, peer), (peer, inc)):
        extras = one.more()
        if extras.links is None:
            extras.links = {}
        extras.links[other.cell] = other


def cut(inc: Incarnation, target: Cell) -> None:
    """End a link; no error if there is none."""
    links = None if inc.extras is None else inc.extras.links
    peer = None if links is None else links.pop(target, None)  # type: ignore[call-overload]  # any cell may be asked for
    if peer is not None and peer.extras is not None and peer.extras.links is not None:
        peer.extras.links.pop(inc.cell, None)


def break_links(inc: Incarnation, reason: ExitReason) -> None:
    """Tell everybody linked with `inc` that it has ended."""
    links = None if inc.extras is None else inc.extras.links
    while links:
        _, peer = links.popitem()
        if peer.extras is not None and peer.extras.links is not None:
            peer.extras.links.pop(inc.cell, None)
        _signal(peer, Exit(inc.cell.ref, reason, inc.number), is_fatal=is_abnormal(reason))


def _signal(inc: Incarnation, exit_: Exit, *, is_fatal: bool) -> None:
    cell: HandlingCell = inc.cell
    if cell.present is not inc or inc.fenced:
        return
    if inc.extras is not None and inc.extras.traps:
        cell.put_unbounded(Envelope(exit_, lane=Lane.SYSTEM), inc)
    elif is_fatal:
        path = exit_.ref.path
        cell.task_crashed(inc, LinkedExit(f"linked with {path}, which ended: {exit_.reason}", path=path))
