"""The connection manager: connections opened and closed, and requests passed on to the controller's slot.

In: requests to class 0x06. Out: answers, connections. Not here: frames (`encapsulation`), faults (`faults`).

Obeys: CIP volume 1, section 3-5 (services and error codes of the connection manager).
"""

from __future__ import annotations

import dataclasses
import struct
from collections.abc import Callable, Iterator
from enum import IntEnum

from bifrost.errors import CIPFault
from bifrost.plc.sim.cip.paths import Logical, LogicalKind, Port, parse_path
from bifrost.plc.sim.cip.replies import Reply, Request

__all__ = ["CONNECTION_MANAGER_CLASS", "Connection", "ConnectionManager", "ManagerService", "OpeningRules"]

CONNECTION_MANAGER_CLASS = 0x06
_FAILURE = 0x01
_STANDARD_LIMIT = 511
_FIRST_ID = 0x0001_0001


class ManagerService(IntEnum):
    """Services of the connection manager, volume 1, table 3-5.5."""

    FORWARD_CLOSE = 0x4E
    UNCONNECTED_SEND = 0x52
    FORWARD_OPEN = 0x54
    LARGE_FORWARD_OPEN = 0x5B


@dataclasses.dataclass(frozen=True, slots=True)
class OpeningRules:
    """What the connection manager grants.

    Attributes:
        forward_open: false refuses every opening with 0x08.
        large: false refuses Large Forward Open with 0x08, as older controllers do; clients fall back.
        max_size: bytes of the largest connection; larger ones are refused with 0x01 and 0x0109.
        max_connections: open at the same time, over all clients; further ones get 0x01 and 0x0113.
        slot: where the controller sits on the backplane; None takes any slot.
        idle_timeout: seconds without a request after which a connection is closed, without a word; None: never.
    """

    forward_open: bool = True
    large: bool = True
    max_size: int = 4002
    max_connections: int = 32
    slot: int | None = 0
    idle_timeout: float | None = None


@dataclasses.dataclass(slots=True)
class Connection:
    """One open connection of transport class 3.

    Attributes:
        id: that the client puts into requests.
        client_id: that goes into answers.
        triad: connection serial number, vendor and originator serial number, as bytes.
        size: bytes of an answer at most, sequence count included.
        used: when the latest request came, in the seconds of `now`.
        sequence: count of the latest request; None before the first.
        answer: to the latest request, sent again if the request comes again.
    """

    id: int
    client_id: int
    triad: bytes
    size: int
    used: float
    sequence: int | None = None
    answer: bytes = b""


class ConnectionManager:
    """The connections of one controller, by id; each belongs to the link on which it was opened."""

    def __init__(self, rules: OpeningRules) -> None:
        self.rules = rules
        self._open: dict[int, tuple[object, Connection]] = {}
        self._next_id = _FIRST_ID

    def __len__(self) -> int:
        return len(self._open)

    def __iter__(self) -> Iterator[Connection]:
        return iter([connection for _, connection in self._open.values()])

    def find(self, owner: object, connection_id: int, now: float) -> Connection | None:
        """Find an open connection of this link, and note that it is used at `now` (seconds of any steady clock)."""
        self._expire(now)
        held, connection = self._open.get(connection_id, (None, None))
        if connection is None or held is not owner:
            return None
        connection.used = now
        return connection

    def forget(self, owner: object | None = None) -> None:
        """Close the connections of one link, or all, without a word to the client."""
        self._open = {} if owner is None else {key: one for key, one in self._open.items() if one[0] is not owner}

    def serve(self, owner: object, request: Request, now: float, deliver: Callable[[bytes], bytes]) -> bytes:
        """Answer a request to the connection manager; never raises.

        Args:
            owner: the link it came on.
            request: to class 0x06.
            now: seconds of the clock that `find` is given.
            deliver: answers a message that is passed on to the controller.
        """
        self._expire(now)
        try:
            match request.service:
                case ManagerService.UNCONNECTED_SEND:
                    return deliver(self._unwrapped(request.data))
                case ManagerService.FORWARD_OPEN | ManagerService.LARGE_FORWARD_OPEN:
                    reply = self._forward_open(owner, request, now)
                case ManagerService.FORWARD_CLOSE:
                    reply = self._forward_close(owner, request.data)
                case _:
                    reply = Reply(status=0x08)
        except CIPFault as fault:
            reply = Reply.refusing(fault)
        return reply.encode(request.service)

    def _forward_open(self, owner: object, request: Request, now: float) -> Reply:
        large = request.service == ManagerService.LARGE_FORWARD_OPEN
        if not self.rules.forward_open or (large and not self.rules.large):
            raise CIPFault("this controller opens no such connection", code=0x08)
        form = struct.Struct("<BBII8sB3xIIIIB" if large else "<BBII8sB3xIHIHB")
        data = request.data
        if len(data) < form.size + 1:
            raise CIPFault("the opening is cut off", code=0x13)
        _tick, _ticks, _ot, client_id, triad, _multiplier, ot_rpi, ot, to_rpi, to, transport = form.unpack_from(data)
        self._check_route(_path(data, form.size, padded=False))
        mask = 0xFFFF if large else _STANDARD_LIMIT
        sizes = ot & mask, to & mask
        if transport & 0x0F not in (2, 3):
            raise CIPFault("class 2 or 3 expected", code=_FAILURE, extended=0x0103)
        if not all(8 <= size <= self.rules.max_size for size in sizes):
            raise CIPFault(f"connections of {sizes} bytes", code=_FAILURE, extended=0x0109)
        if any(connection.triad == triad for connection in self):
            raise CIPFault("the connection is open already", code=_FAILURE, extended=0x0100)
        if len(self._open) >= self.rules.max_connections:
            raise CIPFault("no more connections", code=_FAILURE, extended=0x0113)
        made = Connection(self._next_id, client_id, triad, sizes[1], now)
        self._next_id = self._next_id % 0xFFFF_0000 + 1
        self._open[made.id] = owner, made
        return Reply(struct.pack("<II8sIIBB", made.id, client_id, triad, ot_rpi, to_rpi, 0, 0))

    def _expire(self, now: float) -> None:
        limit = self.rules.idle_timeout
        if limit is not None:
            self._open = {key: one for key, one in self._open.items() if now - one[1].used <= limit}

    def _forward_close(self, owner: object, data: bytes) -> Reply:
        if len(data) < 12:
            raise CIPFault("the closing is cut off", code=0x13)
        triad = data[2:10]
        self._check_route(_path(data, 10, padded=True))
        for held, connection in list(self._open.values()):
            if held is owner and connection.triad == triad:
                del self._open[connection.id]
                return Reply(triad + bytes(2))
        raise CIPFault("no such connection", code=_FAILURE, extended=0x0107)

    def _unwrapped(self, data: bytes) -> bytes:
        if len(data) < 6:
            raise CIPFault("the request to pass on is cut off", code=0x13)
        length = int.from_bytes(data[2:4], "little")
        end = 4 + length + length % 2
        if end + 2 > len(data):
            raise CIPFault("the request to pass on is cut off", code=0x13)
        self._check_route(_path(data, end, padded=True))
        return data[4 : 4 + length]

    def _check_route(self, path: bytes) -> None:
        """Accept a route to our slot, or none; then the message router, or nothing."""
        segments = parse_path(path)
        ports = [one for one in segments if isinstance(one, Port)]
        for hop in ports:
            wrong_slot = self.rules.slot is not None and hop.link != bytes([self.rules.slot])
            if len(ports) > 1 or hop.port != 1 or wrong_slot:
                raise CIPFault("nothing is there", code=_FAILURE, extended=0x0311 if hop.port != 1 else 0x0204)
        rest = [one for one in segments if not isinstance(one, Port)]
        router = [Logical(LogicalKind.CLASS, 2), Logical(LogicalKind.INSTANCE, 1)]
        if rest and rest != router:
            raise CIPFault("only the message router takes connections", code=_FAILURE, extended=0x0315)


def _path(data: bytes, at: int, *, padded: bool) -> bytes:
    end = at + 1 + padded + 2 * data[at]
    if end > len(data):
        raise CIPFault("the route is cut off", code=_FAILURE, extended=0x0315)
    return data[at + 1 + padded : end]
