"""A simulated Logix controller on a real TCP port, and on UDP for discovery.

Serves any EtherNet/IP client that speaks to tags: sessions, connections, tag list, templates, reads, writes.
Not here: the tags (`store`), the faults (`faults`), one client's link (`session`).

Obeys: CIP volumes 1 and 2; 1756-PM020.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import ipaddress
import socket
import struct
from collections import Counter

from bifrost.core.clock import Clock
from bifrost.errors import ConfigError, ProtocolError
from bifrost.plc.sim.cip.connection_manager import ConnectionManager, OpeningRules
from bifrost.plc.sim.cip.encapsulation import Command, Frame, Item, ItemType, encode_items
from bifrost.plc.sim.cip.faults import CipFaultPlan, CipInjection
from bifrost.plc.sim.cip.identity import LOGIX, MICRO800, Identity, Keyswitch
from bifrost.plc.sim.cip.router import MessageRouter
from bifrost.plc.sim.cip.session import Session
from bifrost.plc.sim.cip.store import TagStore
from bifrost.plc.sim.simulated_device import TcpDevice

__all__ = ["LogixTarget", "TargetCounters"]

_UDP_TRIES = 8
_EVERYWHERE = "0.0.0.0"  # noqa: S104 (compared with, not listened on)
_SERVICES = struct.pack("<HH16s", 1, 0x0120, b"Communications")


@dataclasses.dataclass(slots=True)
class TargetCounters:
    """What a target has seen since it was made.

    Attributes:
        connections: TCP connections accepted, those turned away included.
        turned_away: TCP connections closed, or met with silence, because `max_clients` were there.
        requests: frames that ask for something, NOP and UnRegisterSession left out.
        injected: requests that met a fault.
        broken: TCP connections ended because the client's bytes were no EtherNet/IP.
        repeated: connected requests that came a second time and were answered without being acted on.
        datagrams: UDP datagrams.
    """

    connections: int = 0
    turned_away: int = 0
    requests: int = 0
    injected: int = 0
    broken: int = 0
    repeated: int = 0
    datagrams: int = 0


class LogixTarget(TcpDevice):
    """A controller that serves EtherNet/IP.

    Use it as ``async with``, or call `start` and `stop`; a stopped target can be started again and keeps its port.

    Args:
        tags: its memory.
        host: IPv4 address to listen on; broadcasts reach only a target that listens on 0.0.0.0.
        port: TCP and UDP port; 0 lets the system choose, `port` then tells.
        udp: answer ListIdentity by UDP as well.
        identity: who it says it is; None chooses by `tags.micro800`.
        name: of the project in it.
        rules: which CIP connections it grants; None chooses by `tags.micro800`: only a Logix opens large ones.
        faults: what goes wrong with requests that use a link: read, write, browse. None means nothing. May be replaced
            at any time through the attribute.
        opening_faults: the same for requests that set a link up: RegisterSession, the lists, Forward Open and Close.
        max_clients: TCP connections served at the same time; None: no limit.
        turn_away: what happens to further ones: ``close``, or ``silence``: accepted and never answered.
        clock: its wall clock.

    Raises:
        ConfigError: `host` is no IPv4 address, or `turn_away` is neither.
    """

    def __init__(
        self,
        tags: TagStore,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        udp: bool = False,
        identity: Identity | None = None,
        name: str = "Simulated",
        rules: OpeningRules | None = None,
        faults: CipFaultPlan | None = None,
        opening_faults: CipFaultPlan | None = None,
        max_clients: int | None = None,
        turn_away: str = "close",
        clock: Clock | None = None,
    ) -> None:
        if turn_away not in ("close", "silence"):
            raise ConfigError(f"turn_away: expected 'close' or 'silence', got {turn_away!r}")
        try:
            ipaddress.IPv4Address(host)
        except ValueError as exc:
            raise ConfigError(f"host: expected an IPv4 address, got {host!r}") from exc
        chosen = identity or (MICRO800 if tags.micro800 else LOGIX)
        self.tags = tags
        self.router = MessageRouter(tags, chosen, name=name, clock=clock)
        self.manager = ConnectionManager(rules or OpeningRules(large=not tags.micro800))
        self.host = host
        self.port = port
        self.faults = faults
        self.opening_faults = opening_faults
        self.counters = TargetCounters()
        super().__init__(self.counters, max_clients=max_clients, silent_when_full=turn_away == "silence")
        self._udp = udp
        self._discovery: _Discovery | None = None
        self._next_handle = 0x0100_0001

    async def _listen(self) -> asyncio.Server:
        loop, wanted = asyncio.get_running_loop(), self.port
        for left in reversed(range(_UDP_TRIES)):
            server = await loop.create_server(lambda: Session(self), self.host, wanted)
            if not self._udp:
                break
            port = server.sockets[0].getsockname()[1]
            try:
                self._discovery = (await loop.create_datagram_endpoint(lambda: _Discovery(self), (self.host, port)))[1]
            except OSError:
                server.close()
                await server.wait_closed()
                # A port that the system chose for TCP may be taken for UDP: let it choose again.
                if wanted or not left:
                    raise
            else:
                break
        return server

    async def _switch_off(self) -> None:
        discovery, self._discovery = self._discovery, None
        if discovery is not None:
            await discovery.close()

    def forget_connections(self) -> None:
        """Close every CIP connection as a controller does whose client was silent too long; TCP stays."""
        self.manager.forget()

    @property
    def services(self) -> Counter[int]:
        """How often each service was asked for, refused or not: 0x4D is Write Tag, whatever became of it."""
        return self.router.services

    @property
    def keyswitch(self) -> Keyswitch:
        """The mode that the controller tells."""
        return self.router.keyswitch

    @keyswitch.setter
    def keyswitch(self, mode: Keyswitch) -> None:
        self.router.keyswitch = mode

    @property
    def locked(self) -> bool:
        """Whether writes are refused with 0x10 and 0x2802, as with a safety signature."""
        return self.router.locked

    @locked.setter
    def locked(self, locked: bool) -> None:
        self.router.locked = locked

    def broke(self) -> None:
        """Count a connection whose bytes were no EtherNet/IP."""
        self.counters.broken += 1

    def repeated(self) -> None:
        """Count a request that came a second time."""
        self.counters.repeated += 1

    def new_handle(self) -> int:
        """Give a session handle that no other session has."""
        taken, self._next_handle = self._next_handle, self._next_handle % 0xFFFF_FFFF + 1
        return taken

    def next_injection(self, *, opening: bool) -> CipInjection | None:
        """Count a request and take the fault that it meets."""
        self.counters.requests += 1
        plan = self.opening_faults if opening else self.faults
        injection = None if plan is None else plan.next_injection()
        self.counters.injected += injection is not None
        return injection

    def listing(self, frame: Frame, host: str) -> Frame | None:
        """Answer one of the commands that need no session; None if it is none of them.

        Args:
            frame: the request.
            host: our address as this client sees it.
        """
        match frame.command:
            case Command.LIST_IDENTITY:
                item = self.router.identity.list_item(host, self.port, self.router.keyswitch)
                return frame.answer(encode_items([Item(ItemType.IDENTITY, item)], prefix=b""))
            case Command.LIST_SERVICES:
                return frame.answer(encode_items([Item(ItemType.SERVICES, _SERVICES)], prefix=b""))
            case Command.LIST_INTERFACES:
                return frame.answer(encode_items([], prefix=b""))
        return None


class _Discovery(asyncio.DatagramProtocol):
    """Answers the lists by UDP; everything else is ignored."""

    def __init__(self, target: LogixTarget) -> None:
        self._target = target
        self._transport: asyncio.DatagramTransport | None = None
        self._ended = asyncio.Event()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport  # type: ignore[assignment]  # a datagram endpoint makes no other

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        self._ended.set()

    def datagram_received(self, data: bytes, addr: tuple[str | int, int]) -> None:
        self._target.counters.datagrams += 1
        with contextlib.suppress(ProtocolError):  # a datagram that is no request has nobody waiting for it
            answer = self._target.listing(Frame.decode(data), self._address_for(addr))
            if answer is not None and self._transport is not None:
                self._transport.sendto(answer.encode(), addr)

    def _address_for(self, peer: tuple[str | int, int]) -> str:
        if self._target.host != _EVERYWHERE:
            return self._target.host
        # A datagram does not tell which of our addresses it was sent to: ask for the route back; nothing is sent.
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            try:
                probe.connect(peer)
            except OSError:
                return self._target.host
            return str(probe.getsockname()[0])

    async def close(self) -> None:
        """Give the port back; the caller sets the deadline."""
        if self._transport is not None:
            self._transport.close()
        await self._ended.wait()
