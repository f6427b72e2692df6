"""What happened on a connection, in numbers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

import msgspec

from bifrost.plc.reconnect import LinkKeeper, LinkState

__all__ = ["ConnectionStats"]


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
        protocol: the protocol's own counters; for Modbus requests, timeouts, exceptions, late_answers,
            misaddressed_answers, malformed_answers, and answered_below_64_us and the like: round trips, each bucket
            without those of the one before.
    """

    state: LinkState
    connects: int
    losses: int
    connect_failures: int
    reads: int
    writes: int
    overruns: int
    protocol: Mapping[str, int]

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
