"""One link to a simulated device, as long as it lives: what is to be sent leaves in order, pauses and all.

In: actions. Out: bytes on a transport, and its end. Not here: what comes (each protocol's session), what faults do.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
import sys
from collections import deque
from collections.abc import Iterable
from typing import Protocol

from bifrost.plc.sim.actions import Action, Drop, Hold, Pause, Send, Silence

__all__ = ["LinkOwner", "SimulatedLink", "end_transport"]

_LINGER_RESET = struct.pack("hh" if sys.platform == "win32" else "ii", 1, 0)
"""Lingering for 0 seconds makes the kernel answer a close with RST; the structure differs on Windows."""


def end_transport(transport: asyncio.WriteTransport, *, reset: bool) -> None:
    """End a connection, by RST or by FIN after what was written."""
    if not reset:
        transport.close()
        return
    peer = transport.get_extra_info("socket")
    if peer is not None:
        with contextlib.suppress(OSError):  # the peer may have gone first
            peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_RESET)
    transport.abort()


class LinkOwner(Protocol):
    """What every link asks of its device."""

    def opened(self, link: SimulatedLink) -> bool:
        """Take a new link, or say no."""
        ...

    def closed(self, link: SimulatedLink) -> None:
        """Forget a link that ended."""
        ...


class SimulatedLink(asyncio.Protocol):
    """What all links have in common. Actions run in order; a pause holds back everything behind it.

    Args:
        owner: its device.
    """

    def __init__(self, owner: LinkOwner) -> None:
        self._owner = owner
        self._actions: deque[Action] = deque()
        self._timer: asyncio.TimerHandle | None = None
        self._held: Hold | None = None
        self._release: asyncio.TimerHandle | None = None
        self._silent = False
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Announce the link; turned away, it ends at once."""
        self._transport = transport  # type: ignore[assignment]  # the servers make two-way transports only
        if not self._owner.opened(self):
            transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget everything that was still to be sent."""
        for timer in (self._timer, self._release):
            if timer is not None:
                timer.cancel()
        self._timer = self._release = self._held = None
        self._actions.clear()
        self._transport = None
        self._owner.closed(self)

    def pause_writing(self) -> None:
        """Take no more requests: a client that never reads must not fill this process's memory with answers."""
        if self._transport is not None and not self._transport.is_closing():
            self._transport.pause_reading()

    def resume_writing(self) -> None:
        """Go on once the client has read."""
        if self._transport is not None and not self._transport.is_closing():
            self._transport.resume_reading()

    def fall_silent(self) -> None:
        """Answer nothing any more, and keep the link open."""
        self._silent = True
        self._actions.clear()

    def drop(self, *, reset: bool) -> None:
        """End the link, by RST or by FIN after what was written."""
        if self._transport is not None:
            end_transport(self._transport, reset=reset)

    def _do(self, actions: Iterable[Action]) -> None:
        """Do this after what is still to be done."""
        self._actions.extend(actions)
        if self._timer is None:
            self._run()

    def _run(self) -> None:
        self._timer = None
        while self._actions and self._transport is not None and not self._transport.is_closing():
            match self._actions.popleft():
                case Send(frame):
                    self._send(self._transport, frame)
                case Hold(seconds=seconds) as hold:
                    self._let_go()
                    self._held = hold
                    self._release = asyncio.get_running_loop().call_later(seconds, self._let_go)
                case Pause(seconds):
                    self._timer = asyncio.get_running_loop().call_later(seconds, self._run)
                    return
                case Drop(reset):
                    self.drop(reset=reset)
                case Silence():
                    self.fall_silent()

    def _send(self, transport: asyncio.Transport, frame: bytes) -> None:
        held, self._held = self._held, None
        if held is None:
            transport.write(frame)
        elif held.joined:
            transport.write(held.frame + frame)
        else:
            transport.write(frame)
            transport.write(held.frame)

    def _let_go(self) -> None:
        """Send what waited for a next answer that did not come."""
        if self._release is not None:
            self._release.cancel()
            self._release = None
        held, self._held = self._held, None
        if held is not None and self._transport is not None and not self._transport.is_closing():
            self._transport.write(held.frame)
