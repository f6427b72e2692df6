"""What the log is told of a device's link: once for each outage, and little of a link that comes and goes.

In: when the link was lost, and when the device answered again. Out: lines of the log. Not here: the link's state
(`bifrost.plc.reconnect`), when polls are made (`bifrost.plc.actor`).
"""

from __future__ import annotations

import logging
from typing import Final

__all__ = ["LinkNews"]

_LINES = 10
_LINE_EVERY: Final = 30.0


class LinkNews:
    """Tells the log of outages.

    Ten lines come at once, and then two a minute: a device that ends each connection after its answer, or a bad cable,
    fills no disk. What is held back is counted in the next line, and the log never keeps a wrong last word for longer
    than half a minute, if `look` is called now and then.

    Args:
        log: where the lines go.

    Attributes:
        is_down: whether there is an outage.
    """

    def __init__(self, log: logging.Logger | logging.LoggerAdapter[logging.Logger]) -> None:
        self.is_down = False
        self._log = log
        self._reason = ""
        self._told_down = False
        self._held = 0
        self._room = float(_LINES)
        self._counted_at: float | None = None

    def down(self, reason: str, now: float) -> bool:
        """The link was lost, or did not come up; false if it was down already.

        Args:
            reason: why, in words.
            now: monotonic time.
        """
        if self.is_down:
            return False
        self.is_down = True
        self._reason = reason
        self._say(now)
        return True

    def up(self, now: float) -> None:
        """The device has answered; `now` is monotonic time."""
        self.is_down = False
        self._say(now)

    def look(self, now: float) -> None:
        """Make up for a line that was held back, if the log's last word is wrong; `now` is monotonic time."""
        if self._held and self._told_down != self.is_down:
            self._held -= 1  # this one is told now
            self._say(now)

    def _say(self, now: float) -> None:
        if self._counted_at is not None:
            self._room = min(_LINES, self._room + (now - self._counted_at) / _LINE_EVERY)
        self._counted_at = now
        if self._room < 1.0:
            self._held += 1
            return
        self._room -= 1.0
        more = f" (it came and went: {self._held} lines held back)" if self._held else ""
        self._held = 0
        self._told_down = self.is_down
        if self.is_down:
            self._log.warning("not connected: %s%s", self._reason, more)
        else:
            self._log.info("connected%s", more)
