"""Several meters on one system: attach and detach.

In: a system and a meter. Out: `ActorSystem.meter` set to that meter, or to one that passes everything on to all.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from bifrost.actors.cell import Cell
    from bifrost.actors.dead_letters import DeadLetterReason
    from bifrost.actors.mailbox import Envelope
    from bifrost.actors.meter import Meter
    from bifrost.actors.system import ActorSystem

__all__ = ["add_meter"]

_log = logging.getLogger("bifrost.actors")

_FAILED: Final = object()


def add_meter(system: ActorSystem, meter: Meter) -> Callable[[], None]:
    """Let `meter` hear of every message from now on; the function returned ends it and may be called more than once.

    An exception in a meter is logged and changes nothing.
    """
    guarded = _Guarded(meter)
    _set(system, (*_meters_of(system), guarded))

    def remove() -> None:
        present = _meters_of(system)
        if guarded in present:
            _set(system, tuple(one for one in present if one is not guarded))

    return remove


def _meters_of(system: ActorSystem) -> tuple[Meter, ...]:
    if isinstance(system.meter, _Fan):
        return system.meter.meters
    return () if system.meter is None else (system.meter,)


def _set(system: ActorSystem, meters: tuple[Meter, ...]) -> None:
    system.meter = _Fan(meters) if len(meters) > 1 else meters[0] if meters else None
    for cell in system.cells():
        cell.regate()


class _Guarded:
    """Keeps what a meter raises from the actors."""

    def __init__(self, meter: Meter) -> None:
        self._meter = meter

    def sent(self, cell: Cell, envelope: Envelope) -> None:
        try:
            self._meter.sent(cell, envelope)
        except Exception:  # noqa: BLE001 - a meter is foreign code and must never affect an actor
            self._log("sent")

    def begin(self, cell: Cell, envelope: Envelope) -> Any:
        try:
            return self._meter.begin(cell, envelope)
        except Exception:  # noqa: BLE001 - as above
            self._log("begin")
            return _FAILED

    def end(self, cell: Cell, envelope: Envelope, token: Any, error: BaseException | None) -> None:
        if token is _FAILED:
            return  # it knows nothing of this message
        try:
            self._meter.end(cell, envelope, token, error)
        except Exception:  # noqa: BLE001 - as above
            self._log("end")

    def dropped(self, cell: Cell, message: object, reason: DeadLetterReason) -> None:
        try:
            self._meter.dropped(cell, message, reason)
        except Exception:  # noqa: BLE001 - as above
            self._log("dropped")

    def _log(self, what: str) -> None:
        _log.exception("a meter failed in %s.%s", type(self._meter).__qualname__, what)


class _Fan:
    """Passes on to each meter; what one attaches to an envelope is its own."""

    def __init__(self, meters: tuple[Meter, ...]) -> None:
        self.meters = meters

    def sent(self, cell: Cell, envelope: Envelope) -> None:
        traces: dict[Meter, object] = {}
        for meter in self.meters:
            envelope.trace = None
            meter.sent(cell, envelope)
            traces[meter] = envelope.trace
        envelope.trace = traces

    def begin(self, cell: Cell, envelope: Envelope) -> Any:
        traces = envelope.trace if isinstance(envelope.trace, dict) else {}
        tokens = []
        for meter in self.meters:
            envelope.trace = traces.get(meter)
            tokens.append((meter, meter.begin(cell, envelope)))
        envelope.trace = traces
        return tokens

    def end(self, cell: Cell, envelope: Envelope, token: Any, error: BaseException | None) -> None:
        for meter, own in reversed(token):
            meter.end(cell, envelope, own, error)

    def dropped(self, cell: Cell, message: object, reason: DeadLetterReason) -> None:
        for meter in self.meters:
            meter.dropped(cell, message, reason)
