"""Finds EtherNet/IP devices by asking for their identity; nothing is written, nothing is opened.

In: an address, a broadcast address. Out: who answered. The question goes out by UDP, over the event loop; how many
answers are taken, and for how long, is bounded.
Obeys: CIP volume 2, section 2-4.2.
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
from collections.abc import AsyncGenerator, AsyncIterator

from bifrost.errors import AddressError, ConfigError, LinkError
from bifrost.plc.drivers.base import FoundDevice
from bifrost.plc.ethernet_ip.list_identity import REQUEST, Identity, parse_identities

__all__ = ["discover"]

_Answer = tuple[Identity, str]

_MOST = 1024  # answers that are kept
_ASKED = 2  # times that the question is asked: datagrams get lost


async def discover(
    target: str = "255.255.255.255", *, timeout: float = 1.0, port: int = 44818
) -> AsyncIterator[FoundDevice]:
    """Ask who is there; each device is told once, as its answer comes.

    Args:
        target: an IPv4 address, a broadcast address such as ``192.0.2.255``, or ``255.255.255.255`` (default) for
            the network of the default route; it may have ``:port`` behind it.
        timeout: seconds to wait for answers, more than 0; default 1.
        port: UDP port, 1 to 65535; default 44818.

    Raises:
        AddressError: the target is no IPv4 address.
        ConfigError: an option is out of range.
        LinkError: the question cannot be sent from here.
    """
    place = _place(target, port)
    if not timeout > 0:
        raise ConfigError(f"expected a timeout of more than 0 seconds, got {timeout:g}")
    loop = asyncio.get_running_loop()
    answers: asyncio.Queue[_Answer] = asyncio.Queue(_MOST)
    try:
        transport, asker = await loop.create_datagram_endpoint(
            lambda: _Asker(answers),
            allow_broadcast=True,
            local_addr=("0.0.0.0", 0),  # noqa: S104 - a broadcast goes out, and is answered, on whatever network
        )
    except OSError as error:
        raise LinkError(f"cannot ask the network: {error.strerror or error}") from error
    deadline = loop.time() + timeout
    seen: set[tuple[str, int, int]] = set()
    try:
        for asked in range(1, _ASKED + 1):
            transport.sendto(REQUEST, place)
            until = deadline if asked == _ASKED else min(deadline, loop.time() + timeout / 4)
            async with contextlib.aclosing(_until(answers, until)) as came:
                async for identity, source in came:
                    key = (source, identity.vendor, identity.serial)
                    if key not in seen:
                        seen.add(key)
                        yield _found(identity, source, place[1])
        if asker.failure is not None and not seen:
            raise LinkError(f"cannot ask {target}: {asker.failure.strerror or asker.failure}")
    finally:
        transport.abort()


class _Asker(asyncio.DatagramProtocol):
    """Takes answers as they come; what is none is ignored, and so is what comes when nobody takes any more."""

    def __init__(self, answers: asyncio.Queue[_Answer]) -> None:
        self.failure: OSError | None = None
        self._answers = answers

    def datagram_received(self, data: bytes, addr: tuple[str | int, int]) -> None:
        for identity in parse_identities(data):
            with contextlib.suppress(asyncio.QueueFull):
                self._answers.put_nowait((identity, str(addr[0])))

    def error_received(self, exc: Exception) -> None:
        if isinstance(exc, OSError):
            self.failure = exc


async def _until(answers: asyncio.Queue[_Answer], deadline: float) -> AsyncGenerator[tuple[Identity, str], None]:
    loop = asyncio.get_running_loop()
    while True:
        try:
            async with asyncio.timeout(max(0.0, deadline - loop.time())):
                answer = await answers.get()
        except TimeoutError:
            return
        yield answer


def _found(identity: Identity, source: str, port: int) -> FoundDevice:
    # Where the answer came from is where it can be reached; what the device believes may be behind a router.
    endpoint = f"{source}:{identity.port or port}"
    return FoundDevice(
        protocol="ethernet-ip",
        endpoint=endpoint,
        url=f"ethernet-ip://{endpoint}",
        name=identity.name,
        vendor=identity.vendor_name,
        description=identity.description,
    )


def _place(target: str, port: int) -> tuple[str, int]:
    host, colon, written = target.partition(":")
    try:
        address = ipaddress.IPv4Address(host)
    except ValueError:
        raise AddressError(f"expected an IPv4 address such as 192.0.2.255, got {target!r}") from None
    if colon:
        port = int(written) if written.isdecimal() and written.isascii() else 0
    if not 1 <= port <= 65535:
        raise ConfigError(f"expected a port of 1 to 65535, got {written or port!r}")
    return str(address), port
