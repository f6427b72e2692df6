"""How a dynamic supervisor uses its store: what it raises is told of, and breaks nothing.

In: a supervisor's cell. Out: the specifications that its store brings back; calls of the store as children come and go.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from bifrost.actors import events
from bifrost.actors.child_spec import ChildSpec, check_child_specs

if TYPE_CHECKING:
    from bifrost.actors.supervisor_cell import SupervisorCell

__all__ = ["forget_stored", "load_stored", "save_stored"]

_log = logging.getLogger("bifrost.actors")


def load_stored(cell: SupervisorCell) -> tuple[ChildSpec, ...]:
    """What the store brings back; nothing if it cannot."""
    store = cell.plan.store
    if store is None:
        return ()
    try:
        return check_child_specs(store.load(cell.path), auto_shutdown=cell.plan.flags.auto_shutdown)
    except Exception as error:  # noqa: BLE001 - a store is foreign code, and must not break the supervisor
        _tell(cell, "load", error)
        return ()


def save_stored(cell: SupervisorCell, child_id: str) -> None:
    """Keep the child's specification, if it is one that comes back."""
    store = cell.plan.store
    row = cell.core.children.get(child_id)
    if store is None or row is None or row.is_temporary:
        return
    try:
        store.save(cell.path, row.spec)
    except Exception as error:  # noqa: BLE001 - as above
        _tell(cell, "save", error)


def forget_stored(cell: SupervisorCell, child_id: str) -> None:
    """Let the store forget a child that is gone."""
    store = cell.plan.store
    if store is None:
        return
    try:
        store.remove(cell.path, child_id)
    except Exception as error:  # noqa: BLE001 - as above
        _tell(cell, "remove", error)


def _tell(cell: SupervisorCell, operation: str, error: Exception) -> None:
    cell.system.publish(events.SpecStoreFailed, cell.path, operation=operation, error=error)
    _log.error("%s: the store of specifications failed in %s", cell.path, operation, exc_info=error)
