"""What a Modbus driver asks of a link, whatever carries it: TCP, a serial line, RTU in TCP.

In: requests. Out: the PDUs of their answers. Not here: any transport, and what a PDU means.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Protocol

from bifrost.errors import BifrostError
from bifrost.plc.modbus.units import UnitHealth

__all__ = ["MBAP_BYTES", "Frame", "Lease", "Link", "OnLost", "Tally", "unheard"]

MBAP_BYTES = 7
"""Bytes of a Modbus TCP frame before its PDU; V1.0b section 3.1.3."""

Frame = Callable[[int], bytes]
"""Makes a request, as a whole Modbus TCP frame, from a transaction id. A link with another framing takes the PDU from
it: ``frame(0)[MBAP_BYTES:]``. It is called once, when the request is sent: what was not called was not sent."""

OnLost = Callable[[BifrostError], None]
"""Is called once, if a link ends by itself, with the reason."""


class Tally:
    """What one user of a link has done on it; a link may have several users.

    Attributes:
        requests: requests sent.
        timeouts: requests that got no answer in time.
        rtt: requests answered by round-trip time; index n counts 2**(n-1) to 2**n - 1 microseconds.
        ended: true once this user has left; a link sends nothing for it any more.
    """

    __slots__ = ("ended", "requests", "rtt", "timeouts")

    def __init__(self) -> None:
        self.ended = False
        self.requests = 0
        self.timeouts = 0
        self.rtt = [0] * 32


class Link(Protocol):
    """A way to one device or, with a gateway or a bus, to several units; alive until it is lost or closed.

    Attributes:
        connected: false for good once the link has ended.
        health: which of its units are silent.
        writing: held by whoever writes, and over both halves of a read-modify-write; reads do not take it.
        max_in_flight: requests that may be on the wire at the same time.
    """

    connected: bool
    health: UnitHealth
    writing: asyncio.Lock
    max_in_flight: int

    async def exchange(self, frame: Frame, unit: int, timeout: float, tally: Tally) -> bytes:
        """Send one request, once, and wait for its answer; requests take turns in order of arrival.

        A cancelled or late request leaves the link usable: its answer is never taken for another one's.

        Args:
            frame: makes the request.
            unit: whose answer is meant.
            timeout: seconds from sending to the answer.
            tally: counts for the user who asks.

        Returns:
            The answer's PDU.

        Raises:
            NotConnected: the link is gone; `ProtocolError` if it ended because of what came. `connected` is false.
            LinkTimeout: no answer by the deadline.
        """
        ...

    async def announce(self, frame: Frame, tally: Tally) -> None:
        """Send one request that nobody answers (a broadcast), in its turn.

        Raises:
            NotConnected: the link is gone; nothing was sent.
        """
        ...

    def withdraw(self, tally: Tally, error: BifrostError) -> None:
        """Fail with `error` whatever this user waits for, and send nothing for it any more; others are served on."""
        ...

    def abort(self, error: BifrostError) -> None:
        """Drop the link without waiting for the peer; everybody who waits, and `on_lost`, hear `error`."""
        ...

    async def aclose(self) -> None:
        """End the link in order, within about a second; idempotent; `on_lost` is not called."""
        ...

    def counters(self) -> Mapping[str, int]:
        """What happened on the link that is nobody's in particular, such as late answers."""
        ...


class Lease:
    """One user's hold on a link that it does not share.

    Attributes:
        link: the link.
        tally: what this user has done on it.
    """

    __slots__ = ("link", "tally")

    def __init__(self, link: Link, tally: Tally) -> None:
        self.link = link
        self.tally = tally
        tally.ended = False

    @property
    def link_is_dead(self) -> bool:
        """True if nobody answers any more, so that only a new link can help; to be asked at the end of a read."""
        return self.link.health.link_is_dead

    async def aclose(self) -> None:
        """Let the link go; idempotent."""
        await self.link.aclose()


def unheard(error: BifrostError) -> None:
    """Stand for a listener where nobody has to hear of a loss: before there is one, after it has heard, in searches."""
