"""The transport of a Modbus TCP link: bytes in both directions, frames cut, an end that everybody hears.

In: a connected socket. Out: frames, for `bifrost.plc.modbus.link` and `pipelined_link`. Not here: who asks what when.
Obeys: MODBUS Messaging on TCP/IP Implementation Guide V1.0b, sections 3.1.3 (MBAP) and 4.2 (client).
"""

from __future__ import annotations

import abc
import asyncio
from collections.abc import Mapping
from typing import Literal, TypeAlias

from bifrost._native import ModbusFramer
from bifrost.errors import BifrostError, NotConnected, ProtocolError
from bifrost.plc.modbus.exchanging import Frame, OnLost, Tally
from bifrost.plc.modbus.live_link import TransportLink
from bifrost.plc.modbus.units import UnitHealth

__all__ = ["TcpLink", "UnitPolicy"]

UnitPolicy: TypeAlias = Literal["0/255", "strict", "any"]


class TcpLink(TransportLink):
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
        super().__init__(loop, on_lost, health)
        self.max_in_flight = max_in_flight
        self.late = 0
        self.misaddressed = 0
        self._unit_policy = unit_policy
        self._framer = ModbusFramer()
        self._feed = self._framer.feed

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

    def counters(self) -> Mapping[str, int]:
        """Answers that were nobody's."""
        return {"late_answers": self.late, "misaddressed_answers": self.misaddressed}

    def data_received(self, data: bytes) -> None:
        """Cut what came into frames and hand each over."""
        try:
            frames = self._feed(data)
        except ProtocolError as error:
            self.abort(error)
            return
        for transaction, unit, pdu in frames:
            self._take(transaction, unit, pdu)
        if (failure := self._framer.failure) is not None:
            self.abort(ProtocolError(failure))

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
