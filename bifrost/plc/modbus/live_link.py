"""How a link lives and ends, whatever it carries: it is up, then it is gone for good, and everybody hears why, once.

In: a transport, or another's client. Out: the end. Not here: requests and answers.
"""

from __future__ import annotations

import abc
import asyncio
from typing import cast

from bifrost.errors import BifrostError, NotConnected
from bifrost.plc.drivers.tcp import tune_socket
from bifrost.plc.modbus.exchanging import OnLost
from bifrost.plc.modbus.units import UnitHealth

__all__ = ["LiveLink", "TransportLink"]


class LiveLink(abc.ABC):
    """What all links have in common.

    Attributes:
        connected: false before the link is up and for good after it ended.
        health: which of its units are silent.
        writing: held by whoever writes.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, on_lost: OnLost, health: UnitHealth) -> None:
        self.connected = False
        self.health = health
        self.writing = asyncio.Lock()
        self._loop = loop
        self._on_lost: OnLost | None = on_lost

    @abc.abstractmethod
    def _fail(self, error: BifrostError) -> None:
        """Fail everybody who waits for an answer, and stop every timer."""

    def _end(self, error: BifrostError) -> None:
        self.connected = False
        self._fail(error)
        on_lost, self._on_lost = self._on_lost, None
        if on_lost is not None:
            on_lost(error)


class TransportLink(LiveLink, asyncio.Protocol):
    """A link on a transport of ours; alive from `connection_made` to `connection_lost`."""

    def __init__(self, loop: asyncio.AbstractEventLoop, on_lost: OnLost, health: UnitHealth) -> None:
        super().__init__(loop, on_lost, health)
        self._transport: asyncio.Transport | None = None
        self._closed = loop.create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the transport and make the kernel notice a dead peer."""
        self._transport = cast(asyncio.Transport, transport)
        self.connected = True
        tune_socket(transport.get_extra_info("socket"))

    def connection_lost(self, exc: Exception | None) -> None:
        """Fail what is on its way at once."""
        reason = "the device closed the link" if exc is None else f"the link broke: {exc}"
        self._end(NotConnected(reason))
        if not self._closed.done():
            self._closed.set_result(None)

    def abort(self, error: BifrostError) -> None:
        """Drop the link without waiting for the peer; `on_lost` hears `error`."""
        transport = self._transport
        self._end(error)
        if transport is not None:
            transport.abort()

    def _end(self, error: BifrostError) -> None:
        self._transport = None
        super()._end(error)
