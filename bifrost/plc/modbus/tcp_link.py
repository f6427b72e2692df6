"""The transport of a Modbus TCP link: bytes in both directions, frames cut, an end that everybody hears.

In: a connected socket. Out: frames, for `bifrost.plc.modbus.link` and `pipelined_link`. Not here: who asks what when.
Obeys: MODBUS Messaging on TCP/IP Implementation Guide V1.0b, sections 3.1.3 (MBAP) and 4.2 (client).
"""

from __future__ import annotations

import abc
import asyncio
from collections.abc import Mapping
from typing import Literal, TypeAlias, cast

from bifrost._native import ModbusFramer
from bifrost.errors import BifrostError, NotConnected, ProtocolError
from bifrost.plc.drivers.tcp import tune_socket
from bifrost.plc.modbus.exchanging import Frame, OnLost, Tally
from bifrost.plc.modbus.units import UnitHealth

__all__ = ["TcpLink", "UnitPolicy"]

UnitPolicy: TypeAlias = Literal["0/255", "strict", "any"]


class TcpLink(asyncio.Protocol, abc.ABC):
    """What all Modbus TCP links have in common; alive from `connection_made` to `connection_lost`.

    Attributes:
        connected: false before the link is up and for good after it ended.
        health: which of its units are silent.
        writing: held by whoever writes.
        max_in_flight: requests that may be on the wire at the same time.
        late: answers dropped because nobody waited for them any more, or never had.
        misaddressed: answers dropped because their unit id was another's.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        on_lost: OnLost,
        health: UnitHealth,
        *,
        max_in_flight: int = 1,
        unit_policy: UnitPolicy = "0/255",
    ) -> None:
        self.connected = False
        self.health = health
        self.writing = asyncio.Lock()
        self.max_in_flight = max_in_flight
        self.late = 0
        self.misaddressed = 0
        self._loop = loop
        self._on_lost: OnLost | None = on_lost
        self._unit_policy = unit_policy
        self._framer = ModbusFramer()
        self._feed = self._framer.feed
        self._transport: asyncio.Transport | None = None
        self._closed = loop.create_future()

    @abc.abstractmethod
    async def exchange(self, frame: Frame, unit: int, timeout: float, tally: Tally) -> bytes:
        """Send one request and wait for its answer; see `bifrost.plc.modbus.exchanging.Link`."""

    @abc.abstractmethod
    async def announce(self, frame: Frame, tally: Tally) -> None:
        """Send one request that nobody answers; see `bifrost.plc.modbus.exchanging.Link`."""

    @abc.abstractmethod
    def withdraw(self, tally: Tally, error: BifrostError) -> None:
        """Fail what one user waits for; see `bifrost.plc.modbus.exchanging.Link`."""

    @abc.abstractmethod
    def _take(self, transaction: int, unit: int, pdu: bytes) -> None:
        """Hand an answer to whoever waits for it."""

    @abc.abstractmethod
    def _fail(self, error: BifrostError) -> None:
        """Fail everybody who waits for an answer, and stop every timer."""

    def counters(self) -> Mapping[str, int]:
        """Answers that were nobody's."""
        return {"late_answers": self.late, "misaddressed_answers": self.misaddressed}

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the transport and make the kernel notice a dead peer."""
        self._transport = cast(asyncio.Transport, transport)
        self.connected = True
        tune_socket(transport.get_extra_info("socket"))

    def data_received(self, data: bytes) -> None:
        """Cut what came into frames and hand each over."""
        try:
            frames = self._feed(data)
        except ProtocolError as error:
            self._break(error)
            return
        for transaction, unit, pdu in frames:
            self._take(transaction, unit, pdu)
        if (failure := self._framer.failure) is not None:
            self._break(ProtocolError(failure))

    def connection_lost(self, exc: Exception | None) -> None:
        """Fail what is on its way at once."""
        reason = "the device closed the link" if exc is None else f"the link broke: {exc}"
        self._end(NotConnected(reason))
        if not self._closed.done():
            self._closed.set_result(None)

    def abort(self, error: BifrostError) -> None:
        """Drop the link without waiting for the peer; `on_lost` hears `error`."""
        self._break(error)

    def drop(self) -> None:
        """End the link at once; `on_lost` is not called."""
        self._on_lost = None
        self._break(NotConnected("the connection was closed"))

    async def aclose(self, *, timeout: float = 1.0) -> None:
        """End the link in order, by force after `timeout` seconds; idempotent; `on_lost` is not called."""
        self._on_lost = None
        transport = self._transport
        self._end(NotConnected("the connection was closed"))
        if transport is None:
            return
        transport.close()
        try:
            await asyncio.wait([self._closed], timeout=timeout)
        finally:
            transport.abort()

    def _is_foreign(self, asked: int, answered: int) -> bool:
        """Tell whether an answer with another unit id than was asked is another's.

        Many devices that are no gateway answer as unit 0 or 255, whatever they are called (V1.0b section 4.4.1.2).
        """
        if self._unit_policy == "0/255":
            return answered not in {0, 255} and asked not in {0, 255}
        return self._unit_policy == "strict"

    def _break(self, error: BifrostError) -> None:
        transport = self._transport
        self._end(error)
        if transport is not None:
            transport.abort()

    def _end(self, error: BifrostError) -> None:
        self.connected = False
        self._transport = None
        self._fail(error)
        on_lost, self._on_lost = self._on_lost, None
        if on_lost is not None:
            on_lost(error)
