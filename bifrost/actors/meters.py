"""Several meters on one system: attach and detach.

In: a system and a meter. Out: `ActorSystem.meter` set to that meter, or to one that passes everything on to all.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bifrost.actors.cell import Cell
    from bifrost.actors.dead_letters import DeadLetterReason
    from bifrost.actors.mailbox import Envelope
    from bifrost.actors.meter import Meter
    from bifrost.actors.system import ActorSystem

__all__ = ["add_meter"]

_log = logging.getLogger("bifrost.actors")


def add_meter(system: ActorSystem, meter: Meter) -> Callable[[], None]:
    """Let `meter` hear of every message from now on; the function returned ends it and may be called more than once.

    An exception in a meter is logged and changes nothing.
    """
    present = system.meter
    meters = present.meters if isinstance(present, _Fan) else ()
    _set(system, (*meters, meter))

    def remove() -> None:
        fan = system.meter
        if isinstance(fan, _Fan) and meter in fan.meters:
            _set(system, tuple(one for one in fan.meters if one is not meter))

    return remove


def _set(system: ActorSystem, meters: tuple[Meter, ...]) -> None:
    system.meter = _Fan(meters) if meters else None
    for cell in system.cells():
        cell.regate()


class _Fan:
    """Passes on to each meter; what one attaches to an envelope is its own."""

    def __init__(self, meters: tuple[Meter, ...]) -> None:
        self.meters = meters

    def sent(self, cell: Cell, envelope: Envelope) -> None:
        traces: dict[Meter, object] = {}
        for meter in self.meters:
            envelope.trace = None
            _guarded(meter.sent, cell, envelope)
            traces[meter] = envelope.trace
        envelope.trace = traces

    def begin(self, cell: Cell, envelope: Envelope) -> Any:
        traces = envelope.trace if isinstance(envelope.trace, dict) else {}
        tokens = []
        for meter in self.meters:
            envelope.trace = traces.get(meter)
            tokens.append((meter, _guarded(meter.begin, cell, envelope)))
        envelope.trace = traces
        return tokens

    def end(self, cell: Cell, envelope: Envelope, token: Any, error: BaseException | None) -> None:
        for meter, own in reversed(token):
            _guarded(meter.end, cell, envelope, own, error)

    def dropped(self, cell: Cell, message: object, reason: DeadLetterReason) -> None:
        for meter in self.meters:
            _guarded(meter.dropped, cell, message, reason)


def _guarded(call: Callable[..., Any], *args: Any) -> Any:
    try:
        return call(*args)
    except Exception:  # noqa: BLE001 - a meter is foreign code and must never affect an actor
        _log.exception("a meter failed in %s", getattr(call, "__qualname__", call))
        return None
