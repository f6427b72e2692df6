"""The actor that keeps the control socket: opens it when it starts, removes it when it ends."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from bifrost.actors import Actor, ExitReason
from bifrost.gateway.control.address import ControlAddress, listen, withdraw
from bifrost.gateway.control.server import ControlServer, Operation

__all__ = ["ControlActor"]


class ControlActor(Actor[None]):
    """Serves one gateway's control socket for one incarnation.

    Args:
        data_dir: the gateway's data directory; it exists.
        operations: what each method does, by name.
        request_timeout: seconds within which a request is answered.
    """

    def __init__(self, data_dir: Path, operations: Mapping[str, Operation], request_timeout: float) -> None:
        self._data_dir = data_dir
        self._operations = operations
        self._request_timeout = request_timeout
        self._address: ControlAddress | None = None
        self._server: ControlServer | None = None

    async def on_start(self) -> None:
        """Bind, write down where, listen."""
        link, self._address = listen(self._data_dir)
        self._server = ControlServer(self._operations, token=self._address.token, request_timeout=self._request_timeout)
        await self._server.start(link)
        self.ctx.log.info("control socket at %r", self._address)

    async def on_stop(self, reason: ExitReason) -> None:
        """End every connection and remove the socket."""
        if self._server is not None:
            await self._server.aclose()
        if self._address is not None:
            withdraw(self._data_dir, self._address)
