"""Which messages belong to which item, and what became of them.

In: items to send, then one result for each message. Out: one outcome for each item. Not here: sending.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from bifrost.bridge.connectors.mqtt_message import Message, messages
from bifrost.bridge.connectors.mqtt_settings import MqttSettings
from bifrost.core.ports import Deferred, Delivered, Envelope, Outcome
from bifrost.errors import LinkError

__all__ = ["Ledger"]


class Ledger:
    """The books of one `deliver`. An item is delivered when all its messages are acknowledged."""

    def __init__(self, items: Sequence[Envelope], settings: MqttSettings) -> None:
        """Open the books for `items`."""
        self._items = items
        self._settings = settings
        self._left = [0] * len(items)
        self._verdicts: list[Outcome | None] = [None] * len(items)  # None: not settled yet

    def work(self) -> Iterator[tuple[int, Message]]:
        """Every message with its item's number, encoded when asked for, so that nobody waits for a whole batch."""
        for number, item in enumerate(self._items):
            made = messages(item, self._settings)
            self._left[number] = len(made)
            if not made:
                self._verdicts[number] = Delivered()  # no sample, so no message
            for message in made:
                yield number, message

    def note(self, number: int, outcome: Outcome) -> None:
        """Write down the result of one message; the first that is not delivered decides over its item."""
        self._left[number] -= 1
        is_last = self._left[number] == 0
        if self._verdicts[number] is None and (is_last or not isinstance(outcome, Delivered)):
            self._verdicts[number] = outcome

    def close(self, lost: LinkError | None) -> list[Outcome]:
        """One outcome per item; what was not settled is deferred.

        Raises:
            LinkError: `lost`, if no item was settled before the link was lost.
        """
        if lost is not None and all(verdict is None for verdict in self._verdicts):
            raise lost
        return [verdict or Deferred(str(lost or "not sent")) for verdict in self._verdicts]
