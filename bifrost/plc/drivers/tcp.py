"""What drivers over TCP have in common: the socket's options, and what a host and a port may be.

In: a socket, settings. Out: nothing, or what is wrong. Not here: connecting.
"""

from __future__ import annotations

import socket
from collections.abc import Iterator

from bifrost.core.settings import Problem

__all__ = ["host_problems", "port_problems", "tune_socket"]


def tune_socket(sock: socket.socket | None) -> None:
    """Send small requests without delay, and probe an idle link: a peer that vanished is noticed within 30 s."""
    if sock is None or sock.family not in {socket.AF_INET, socket.AF_INET6}:
        return
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    # Not every system has these; without them its own, slower, defaults hold.
    for name, value in (("TCP_KEEPIDLE", 10), ("TCP_KEEPINTVL", 5), ("TCP_KEEPCNT", 4), ("TCP_USER_TIMEOUT", 30_000)):
        option = getattr(socket, name, None)
        if option is not None:
            sock.setsockopt(socket.IPPROTO_TCP, option, value)


def host_problems(host: str) -> Iterator[Problem]:
    """Tell if this can be no name or address; nothing is looked up."""
    try:
        usable = host.isprintable() and " " not in host and bool(host.encode("idna"))
    except UnicodeError:
        usable = False
    if not usable:
        yield Problem(("host",), f"expected a host name or address, got {host!r}")


def port_problems(port: int) -> Iterator[Problem]:
    """Tell if this is no TCP port."""
    if not 1 <= port <= 65535:
        yield Problem(("port",), f"expected port from 1 to 65535, got {port}")
