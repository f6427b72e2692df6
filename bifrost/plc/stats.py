"""What happened on a connection, in numbers."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping

import msgspec

from bifrost.plc.reconnect import LinkKeeper, LinkState

__all__ = ["ConnectionStats"]

_ROUND_TRIP = re.compile(r"answered_below_(\d+)_us")


class ConnectionStats(msgspec.Struct, frozen=True, kw_only=True):
    """A snapshot; every number only grows while the connection lives.

    Attributes:
        state: where the link stands now.
        connects: links that came up.
        losses: links that ended by themselves.
        connect_failures: attempts that failed.
        reads: reads that reached the device, of one or many tags each.
        writes: values that were sent, or tried to be.
        overruns: poll ticks that were skipped because the one before was not done.
        protocol: the protocol's own counters, by name; the properties below read those that mean the same everywhere.
    """

    state: LinkState
    connects: int
    losses: int
    connect_failures: int
    reads: int
    writes: int
    overruns: int
    protocol: Mapping[str, int]

    @property
    def reconnects(self) -> int:
        """Links that came up after the first."""
        return max(self.connects - 1, 0)

    @property
    def timeouts(self) -> int:
        """Requests without an answer by their deadline."""
        return self.protocol.get("timeouts", 0)

    @property
    def exceptions(self) -> int:
        """Refusals by the device."""
        return self.protocol.get("exceptions", 0)

    @property
    def late_answers(self) -> int:
        """Answers dropped because nobody waited for them any more, or never had."""
        return self.protocol.get("late_answers", 0)

    @property
    def crc_errors(self) -> int:
        """Frames dropped because their check sum was wrong; only serial protocols have one."""
        return self.protocol.get("crc_errors", 0)

    @property
    def round_trips(self) -> dict[int, int]:
        """Requests that were answered, by how long that took: below so many microseconds, but not below half of it."""
        found = ((_ROUND_TRIP.fullmatch(name), times) for name, times in self.protocol.items())
        return dict(sorted((int(match[1]), times) for match, times in found if match is not None))

    @classmethod
    def gather(cls, keeper: LinkKeeper, *, reads: int, writes: int, overruns: int) -> ConnectionStats:
        """Take the snapshot."""
        counters = Counter(keeper.past)
        if keeper.driver is not None:
            counters.update(keeper.driver.counters())
        return cls(
            state=keeper.state,
            connects=keeper.connects,
            losses=keeper.losses,
            connect_failures=keeper.failures,
            reads=reads,
            writes=writes,
            overruns=overruns,
            protocol=dict(counters),
        )
