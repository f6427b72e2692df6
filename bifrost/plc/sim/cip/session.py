"""One TCP connection to a simulated controller: frames in, disturbed answers out, in order.

Not here: what services do (`router`), what faults do to bytes (`faults`), listening (`target`).

Obeys: CIP volume 2, section 2-4 (commands) and 2-5 (sessions).
"""

from __future__ import annotations

import asyncio
import struct
from typing import Protocol

from bifrost.errors import CIPFault, ProtocolError
from bifrost.plc.sim.cip.connection_manager import CONNECTION_MANAGER_CLASS, ConnectionManager, ManagerService
from bifrost.plc.sim.cip.encapsulation import (
    Command,
    Frame,
    FrameReader,
    Item,
    ItemType,
    Status,
    decode_items,
    encode_items,
)
from bifrost.plc.sim.cip.faults import CipFault, CipInjection, disturb
from bifrost.plc.sim.cip.paths import Logical, LogicalKind
from bifrost.plc.sim.cip.replies import Request
from bifrost.plc.sim.cip.router import MessageRouter, Tampering
from bifrost.plc.sim.simulated_link import LinkOwner, SimulatedLink

__all__ = ["Session", "SessionOwner"]

_VERSION = 1
_UNCONNECTED_ROOM = 504  # bytes of an unconnected answer
_CARRIERS = frozenset({Command.SEND_RR_DATA, Command.SEND_UNIT_DATA})
_OPENERS = frozenset({ManagerService.FORWARD_OPEN, ManagerService.LARGE_FORWARD_OPEN, ManagerService.FORWARD_CLOSE})


class SessionOwner(LinkOwner, Protocol):
    """What a connection asks of its target."""

    @property
    def router(self) -> MessageRouter:
        """The controller's objects."""
        ...

    @property
    def manager(self) -> ConnectionManager:
        """The controller's connections."""
        ...

    def broke(self) -> None:
        """Count a connection whose bytes were no EtherNet/IP."""
        ...

    def repeated(self) -> None:
        """Count a request that came a second time."""
        ...

    def new_handle(self) -> int:
        """Give a session handle that no other session has."""
        ...

    def listing(self, frame: Frame, host: str) -> Frame | None:
        """Answer one of the commands that need no session, from `host`; None if it is none of them."""
        ...

    def next_injection(self, *, opening: bool) -> CipInjection | None:
        """Count a request and take the fault that it meets."""
        ...


class Session(SimulatedLink):
    """One connection, and the session registered on it."""

    def __init__(self, target: SessionOwner) -> None:
        super().__init__(target)
        self._target = target
        self._reader = FrameReader()
        self._handle = 0
        self._previous = b""
        self._host = "0.0.0.0"  # noqa: S104 (an address still unknown, not listened on)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Announce the connection."""
        self._host = transport.get_extra_info("sockname", (self._host,))[0]
        super().connection_made(transport)

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget everything that was still to be sent, and the CIP connections opened here."""
        self._target.manager.forget(self)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Take requests, whole or in pieces."""
        if self._silent:
            return
        try:
            for frame in self._reader.feed(data):
                self._take(frame)
        except ProtocolError:
            self._target.broke()
            self.drop(reset=True)

    def _take(self, frame: Frame) -> None:
        # Volume 2, 2-3.2: requests with a status or unknown options are discarded, NOP is never answered.
        if self._silent or frame.status or frame.options or frame.command == Command.NOP:
            return
        if frame.command == Command.UNREGISTER_SESSION:
            if frame.session == self._handle:
                self.drop(reset=False)
            return
        injection = self._target.next_injection(opening=_is_opening(frame))
        if injection is not None and injection.fault is CipFault.CONNECTION_LOST:
            self._target.manager.forget()
        refused = injection is not None and injection.fault is CipFault.INVALID_SESSION
        answer = frame.answer() if refused else self._answer(frame, injection)
        if answer is None:
            return
        sent = answer.encode()
        actions = disturb(injection, sent, self._previous)
        self._previous = sent
        self._do(actions)

    def _answer(self, frame: Frame, injection: CipInjection | None) -> Frame | None:
        listed = self._target.listing(frame, self._host)
        if listed is not None:
            return listed
        if frame.command == Command.REGISTER_SESSION:
            return self._register(frame)
        if frame.command not in _CARRIERS:
            return frame.answer(status=Status.UNSUPPORTED_COMMAND)
        if not self._handle or frame.session != self._handle:
            return frame.answer(status=Status.INVALID_SESSION)
        return self._carry(frame, Tampering() if injection is None else injection.tampering)

    def _carry(self, frame: Frame, tampering: Tampering) -> Frame | None:
        try:
            items = decode_items(frame.data)
        except ProtocolError:
            return frame.answer(status=Status.INCORRECT_DATA)
        match frame.command, items:
            case Command.SEND_RR_DATA, [Item(ItemType.NULL, b""), Item(ItemType.UNCONNECTED_DATA, message), *_]:
                return frame.answer(encode_items([Item(ItemType.NULL), self._unconnected(message, tampering)]))
            case Command.SEND_UNIT_DATA, [
                Item(ItemType.CONNECTED_ADDRESS, address),
                Item(ItemType.CONNECTED_DATA, message),
                *_,
            ] if len(address) == 4 and len(message) >= 2:
                return self._connected(frame, int.from_bytes(address, "little"), message, tampering)
        return frame.answer(status=Status.INCORRECT_DATA)

    def _register(self, frame: Frame) -> Frame:
        if len(frame.data) != 4:
            return frame.answer(status=Status.INVALID_LENGTH)
        version, options = struct.unpack("<HH", frame.data)
        if version != _VERSION or options:
            return frame.answer(struct.pack("<HH", _VERSION, 0), status=Status.UNSUPPORTED_VERSION)
        if self._handle:
            return frame.answer(status=Status.UNSUPPORTED_COMMAND)
        self._handle = self._target.new_handle()
        return frame.answer(frame.data, session=self._handle)

    def _unconnected(self, message: bytes, tampering: Tampering) -> Item:
        router = self._target.router
        request = _managed(message)
        if request is None or (tampering.refusal is not None and request.service in _OPENERS):
            return Item(ItemType.UNCONNECTED_DATA, router.handle(message, _UNCONNECTED_ROOM, tampering))
        answer = self._target.manager.serve(
            self, request, self._now(), lambda inner: router.handle(inner, _UNCONNECTED_ROOM, tampering)
        )
        return Item(ItemType.UNCONNECTED_DATA, answer)

    def _connected(self, frame: Frame, connection_id: int, message: bytes, tampering: Tampering) -> Frame | None:
        connection = self._target.manager.find(self, connection_id, self._now())
        if connection is None:
            # A controller that has closed the connection has nobody to answer to.
            return None
        sequence = int.from_bytes(message[:2], "little")
        # Volume 1, 3-4.4.3: a request that comes again is answered again and not acted on again.
        if sequence == connection.sequence:
            self._target.repeated()
        else:
            connection.answer = self._target.router.handle(message[2:], connection.size - 2, tampering)
            connection.sequence = sequence
        address = Item(ItemType.CONNECTED_ADDRESS, struct.pack("<I", connection.client_id))
        return frame.answer(encode_items([address, Item(ItemType.CONNECTED_DATA, message[:2] + connection.answer)]))

    @staticmethod
    def _now() -> float:
        return asyncio.get_running_loop().time()


def _managed(message: bytes) -> Request | None:
    """Read a request to the connection manager; None if it is for another object, or broken."""
    try:
        request = Request.decode(message)
    except CIPFault:
        return None
    head = request.path[:1]
    return request if head == (Logical(LogicalKind.CLASS, CONNECTION_MANAGER_CLASS),) else None


def _is_opening(frame: Frame) -> bool:
    """Tell requests that set a link up from requests that use it."""
    if frame.command != Command.SEND_RR_DATA:
        return frame.command != Command.SEND_UNIT_DATA
    # The service stands behind interface, timeout, item count and the headers of two items.
    return len(frame.data) > 16 and frame.data[16] in _OPENERS and frame.data[17:20] == b"\x02\x20\x06"
