"""TCP connections by host name, without anybody waiting for a name server that hangs but those who asked for the name.

In: host and port. Out: a transport. Not here: deadlines, which the caller has. The event loop's own lookups share a few
threads with everything else in the program: a handful of names that hang would hold up all of it.
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import socket
import threading
from collections.abc import Callable
from typing import TypeVar
from weakref import WeakKeyDictionary

__all__ = ["addresses_of", "connect_tcp"]

_Opened = TypeVar("_Opened", bound=asyncio.Protocol)
_Lookups = dict[str, asyncio.Future[list[str]]]

_lookups: WeakKeyDictionary[asyncio.AbstractEventLoop, _Lookups] = WeakKeyDictionary()
"""What is being looked up, for each event loop: a name at a time takes one thread, however many ask for it."""


async def connect_tcp(make: Callable[[], _Opened], host: str, port: int) -> tuple[asyncio.Transport, _Opened]:
    """Connect to the first address of a host that takes the connection.

    Raises:
        OSError: the name is not known, or no address took it; the error of the last one.
    """
    loop = asyncio.get_running_loop()
    refused = OSError(f"the name {host} stands for no address")
    for address in await addresses_of(host):
        try:
            return await loop.create_connection(make, address, port)
        except OSError as error:
            refused = error
    raise refused


async def addresses_of(host: str) -> list[str]:
    """Look a host up; an address is itself. Given up, the lookup goes on for others, and ends by itself.

    Raises:
        OSError: the name is not known.
    """
    with contextlib.suppress(ValueError):
        ipaddress.ip_address(host)
        return [host]
    loop = asyncio.get_running_loop()
    lookups = _lookups.setdefault(loop, {})
    lookup = lookups.get(host)
    if lookup is None:
        lookup = lookups[host] = loop.create_future()
        lookup.add_done_callback(lambda done: _forget(lookups, host, done))
        thread = threading.Thread(
            target=_look_up, args=(loop, host, lookup), name=f"bifrost-lookup-{host}", daemon=True
        )
        thread.start()
    return await asyncio.shield(lookup)


def _forget(lookups: _Lookups, host: str, done: asyncio.Future[list[str]]) -> None:
    del lookups[host]
    if not done.cancelled():
        done.exception()  # looked at, for perhaps nobody waits any more


def _look_up(loop: asyncio.AbstractEventLoop, host: str, lookup: asyncio.Future[list[str]]) -> None:
    found: list[str] | OSError
    try:
        places = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
        found = list(dict.fromkeys(str(place[4][0]) for place in places))
    except OSError as error:
        found = error
    except UnicodeError as error:  # a label that is too long for any name
        found = OSError(str(error))
    with contextlib.suppress(RuntimeError):  # the loop was closed meanwhile
        loop.call_soon_threadsafe(_settle, lookup, found)


def _settle(lookup: asyncio.Future[list[str]], found: list[str] | OSError) -> None:
    if lookup.done():
        return
    if isinstance(found, OSError):
        lookup.set_exception(found)
    else:
        lookup.set_result(found)
