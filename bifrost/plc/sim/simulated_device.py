"""What all simulated devices have in common: they are switched on and off, and have links that come and go.

Out: a device on a TCP port, or a base for one on anything else. Not here: any protocol.
"""

from __future__ import annotations

import abc
import asyncio
from types import TracebackType
from typing import Protocol, Self

from bifrost.errors import LinkTimeout

__all__ = ["DeviceLink", "LinkCounters", "SimulatedDevice", "SwitchedDevice", "TcpDevice"]


class LinkCounters(Protocol):
    """What every device counts of its links.

    Attributes:
        connections: links opened, those turned away included.
        turned_away: links beyond the most that are served.
    """

    connections: int
    turned_away: int


class DeviceLink(Protocol):
    """What a device asks of a link."""

    def drop(self, *, reset: bool) -> None:
        """End the link, by RST or by FIN after what was written."""
        ...

    def fall_silent(self) -> None:
        """Answer nothing any more, and keep the link open."""
        ...


class SimulatedDevice:
    """A device with links, each known from `opened` to `closed`.

    Args:
        counters: where links are counted.
        max_clients: links served at the same time. None: no limit.
        silent_when_full: further ones are never answered, instead of ended at once.
    """

    def __init__(
        self, counters: LinkCounters, *, max_clients: int | None = None, silent_when_full: bool = False
    ) -> None:
        self._links: set[DeviceLink] = set()
        self._idle = asyncio.Event()
        self._idle.set()
        self._link_counters = counters
        self._max_clients = max_clients
        self._silent_when_full = silent_when_full

    def drop_clients(self, *, reset: bool = True) -> None:
        """End every link at once, by RST or by FIN where there is such a thing, and go on listening."""
        for link in list(self._links):
            link.drop(reset=reset)

    @property
    def clients(self) -> int:
        """Links that are open now."""
        return len(self._links)

    def opened(self, link: DeviceLink) -> bool:
        """Take a new link, or say no: it then ends itself."""
        self._link_counters.connections += 1
        self._links.add(link)
        self._idle.clear()
        if self._max_clients is None or len(self._links) <= self._max_clients:
            return True
        self._link_counters.turned_away += 1
        if not self._silent_when_full:
            return False
        link.fall_silent()
        return True

    def closed(self, link: DeviceLink) -> None:
        """Forget a link that ended."""
        self._links.discard(link)
        if not self._links:
            self._idle.set()


class SwitchedDevice(SimulatedDevice, abc.ABC):
    """A device that is switched on and off, best as ``async with``."""

    @abc.abstractmethod
    async def start(self) -> None:
        """Listen. Does nothing if it listens already."""

    @abc.abstractmethod
    async def stop(self) -> None:
        """Stop listening and end every link. Idempotent."""

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.stop()


class TcpDevice(SwitchedDevice):
    """A device on a TCP port; stopped, it can be started again and keeps its port.

    Attributes:
        host: address to listen on.
        port: TCP port; 0 lets the system choose at the first start.
    """

    host: str
    port: int
    _server: asyncio.Server | None = None
    _stopped = False

    def opened(self, link: DeviceLink) -> bool:
        """Take a new link, or say no; one that was just being accepted when the device was switched off comes late."""
        return super().opened(link) and not self._stopped

    @abc.abstractmethod
    async def _listen(self) -> asyncio.Server:
        """Listen on `host` and `port`, and start whatever else belongs to the device."""

    async def _switch_off(self) -> None:
        """End what `_listen` started beside the server; links are ended already, perhaps not yet gone."""

    async def start(self) -> None:
        """Listen. Does nothing if it listens already.

        Raises:
            OSError: the port is taken or may not be used.
        """
        if self._server is None:
            self._stopped = False
            self._server = await self._listen()
            self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self, *, reset: bool = False, timeout: float = 1.0) -> None:
        """Stop listening and end every connection, as a device does that is switched off. Idempotent.

        Args:
            reset: end the connections by RST instead of FIN.
            timeout: seconds until the connections must be gone.

        Raises:
            LinkTimeout: a connection was still open at the deadline.
        """
        server, self._server = self._server, None
        if server is None:
            return
        self._stopped = True
        server.close()
        self.drop_clients(reset=reset)
        try:
            async with asyncio.timeout(timeout):
                await self._switch_off()
                await self._idle.wait()
                await server.wait_closed()
        except TimeoutError as exc:
            raise LinkTimeout(f"{self.clients} connections still open after {timeout:g} s") from exc
