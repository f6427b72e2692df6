"""The wire of a link under test: what the link sends is kept, what the test answers arrives at once."""

from __future__ import annotations

import asyncio
from typing import Any

from bifrost._native import modbus_frame, modbus_read_request
from bifrost.plc.modbus.tcp_link import TcpLink

__all__ = ["Wire", "answer_of", "request_for"]


class Wire(asyncio.Transport):
    """Stands in the place of a socket.

    Attributes:
        sent: every request, whole, in order.
        times: when each was sent, by the loop's clock.
    """

    def __init__(self, link: TcpLink) -> None:
        super().__init__()
        self.sent: list[bytes] = []
        self.times: list[float] = []
        self._link = link
        self._closing = False
        link.connection_made(self)

    def write(self, data: Any) -> None:
        """Keep a request."""
        assert not self._closing, "a request was sent on a link that had ended"
        self.sent.append(bytes(data))
        self.times.append(asyncio.get_running_loop().time())

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """There is no socket to tune."""
        return default

    def is_closing(self) -> bool:
        """True once somebody ended it."""
        return self._closing

    def close(self) -> None:
        """End it in order."""
        if not self._closing:
            self._closing = True
            asyncio.get_running_loop().call_soon(self._link.connection_lost, None)

    def abort(self) -> None:
        """End it at once."""
        self.close()

    def answer(self, index: int, value: int = 42, *, transaction: int | None = None, unit: int | None = None) -> None:
        """Answer the read with this place in `sent`."""
        self._link.data_received(answer_of(self.sent[index], value, transaction=transaction, unit=unit))


def answer_of(request: bytes, value: int, *, transaction: int | None = None, unit: int | None = None) -> bytes:
    """The answer to a read of registers: `value` in each."""
    quantity = int.from_bytes(request[10:12], "big")
    pdu = bytes([request[7], 2 * quantity]) + value.to_bytes(2, "big") * quantity
    return modbus_frame(
        int.from_bytes(request[:2], "big") if transaction is None else transaction,
        request[6] if unit is None else unit,
        pdu,
    )


def request_for(address: int, unit: int = 1, quantity: int = 1) -> Any:
    """A read of holding registers, as a link takes it."""
    pdu = modbus_read_request(3, address, quantity)
    return lambda transaction: modbus_frame(transaction, unit, pdu)
