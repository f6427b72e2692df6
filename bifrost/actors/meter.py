"""What a meter of messages is told: the seam between the runtime and telemetry.

In: messages taken, handlers begun and ended, messages dropped. Out: nothing that the runtime looks at. A system
without a meter pays nothing for it: only with one does every message travel in an envelope.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from bifrost.actors.cell import Cell
    from bifrost.actors.dead_letters import DeadLetterReason
    from bifrost.actors.mailbox import Envelope

__all__ = ["Meter"]


class Meter(Protocol):
    """Hears of every message of one system; called on the loop's thread, and must neither block nor raise."""

    def sent(self, cell: Cell, envelope: Envelope) -> None:
        """A message is in the mailbox, or waits for room in it; the sender's context is current.

        `envelope.trace` is the meter's to set.
        """

    def begin(self, cell: Cell, envelope: Envelope) -> Any:
        """A handler begins; what is returned comes back in `end`."""

    def end(self, cell: Cell, envelope: Envelope, token: Any, error: BaseException | None) -> None:
        """The handler is done, or has failed with `error`."""

    def dropped(self, cell: Cell, message: object, reason: DeadLetterReason) -> None:
        """A message was not handled."""
