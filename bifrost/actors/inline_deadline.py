"""The deadline of an ask whose handler runs on the asker's stack: read from that stack.

In: a cell whose handler has not suspended yet. Out: loop time. Such an ask has no envelope and no timer, and noting its
deadline would cost every ask, while few handlers look at it.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bifrost.actors.handling_cell import HandlingCell

__all__ = ["inline_deadline"]


def inline_deadline(cell: HandlingCell) -> float | None:
    """When the asker of the message in hand gives up; None if it was told, or is asked without a limit."""
    frame = sys._getframe(1)  # noqa: SLF001 - the documented way to one's callers
    code = type(cell).run_now.__code__
    while frame.f_back is not None:
        if frame.f_code is code and frame.f_locals.get("self") is cell:
            timeout = frame.f_back.f_locals.get("timeout")
            return None if timeout is None else cell.system.loop.time() + float(timeout)
        frame = frame.f_back
    return None
