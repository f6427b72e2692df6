"""How a link comes up: connected in time, and left alone for as long as the device needs.

In: where to. Out: a link that may be used. Not here: serial ports, which links there are.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TypeVar

from bifrost.errors import LinkTimeout, NotConnected
from bifrost.plc.drivers.lookup import connect_tcp
from bifrost.plc.modbus.exchanging import Link

__all__ = ["let_rest", "open_tcp"]

_Opened = TypeVar("_Opened", bound=asyncio.Protocol)


async def open_tcp(make: Callable[[], _Opened], host: str, port: int, *, timeout: float) -> _Opened:
    """Connect a link that `make` makes.

    Raises:
        LinkTimeout: not within `timeout` seconds.
        NotConnected: not reachable.
    """
    try:
        async with asyncio.timeout(timeout):
            _, link = await connect_tcp(make, host, port)
    except TimeoutError:
        raise LinkTimeout(f"no link to {host} port {port} within {timeout:g} s") from None
    except OSError as error:
        raise NotConnected(f"cannot connect to {host} port {port}: {error.strerror or error}") from error
    return link


async def let_rest(link: Link, where: str, seconds: float) -> None:
    """Wait until a link that just came up may be used: some devices are deaf for a while. Cancelled, it ends the link.

    Raises:
        NotConnected: the link ended meanwhile.
    """
    if seconds <= 0:
        return
    try:
        await asyncio.sleep(seconds)
    except BaseException:
        await link.aclose()
        raise
    if not link.connected:
        raise NotConnected(f"{where} closed the link as soon as it was up")
