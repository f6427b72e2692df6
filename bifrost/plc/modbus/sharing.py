"""One link for all users of an event loop that talk to the same place: a gateway's port, a serial line.

In: who wants a link, and where to. Out: a lease; the last one that is given back closes the link. Not here: how a link
is opened. Devices take few connections at a time, and a serial line takes one; behind both may be many units.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Hashable, Mapping
from typing import TypeAlias
from weakref import WeakKeyDictionary, WeakValueDictionary

from bifrost.errors import BifrostError, ConfigError, LinkError, LinkTimeout, NotConnected
from bifrost.plc.modbus.exchanging import Lease, Link, OnLost, Tally

__all__ = ["OpenLink", "SharedLease", "lease_shared"]

OpenLink: TypeAlias = Callable[[OnLost], Awaitable[Link]]
"""Opens a link whose loss is told to the given function; raises `LinkError`."""

_PATIENCE = 10
"""Requests in vain after which a link is given up although one of its users has not asked anything yet."""

# Both maps are weak: what is open is held by its leases and its loop, and nothing outlives either.
_LINKS: WeakKeyDictionary[asyncio.AbstractEventLoop, WeakValueDictionary[Hashable, _SharedLink]] = WeakKeyDictionary()


class SharedLease(Lease):
    """One user's hold on a link that may have others."""

    __slots__ = ("_on_lost", "_shared")

    def __init__(self, link: Link, tally: Tally, shared: _SharedLink, on_lost: OnLost) -> None:
        super().__init__(link, tally)
        self._shared: _SharedLink | None = shared
        self._on_lost: OnLost | None = on_lost

    @property
    def link_is_dead(self) -> bool:
        """True if nobody answers any more; as long as one user has not asked at all, its unit may well be alive."""
        shared = self._shared
        health = self.link.health
        if not health.link_is_dead:
            return False
        return shared is None or shared.all_have_asked or health.bad_in_a_row >= _PATIENCE

    def tell(self, error: BifrostError) -> None:
        """Tell the user, once, that the link was lost."""
        on_lost, self._on_lost = self._on_lost, None
        if on_lost is not None:
            on_lost(error)

    async def aclose(self) -> None:
        """Give the link back: what this user still waits for fails, and the last one closes it; idempotent."""
        self._on_lost = None
        shared, self._shared = self._shared, None
        if shared is not None:
            self.link.withdraw(self.tally, NotConnected("the connection was closed"))
            await shared.give_back(self)


async def lease_shared(
    key: Hashable,
    options: Mapping[str, object],
    open_link: OpenLink,
    *,
    timeout: float,
    on_lost: OnLost,
    tally: Tally,
) -> Lease:
    """Take a share in the link to a place; the first user opens it, those who come meanwhile wait for the same attempt.

    Args:
        key: the place; one link leads to it.
        options: what the link is like; all its users must want the same.
        open_link: opens it; in bounded time.
        timeout: seconds to wait at most for another user's attempt.
        on_lost: called once if the link ends by itself.
        tally: counts what this user does.

    Raises:
        ConfigError: the link is there, and is not like that; the text names the option.
        LinkError: it could not be opened.
    """
    loop = asyncio.get_running_loop()
    links = _LINKS.setdefault(loop, WeakValueDictionary())
    deadline = loop.time() + timeout
    while (shared := links.get(key)) is not None and shared.closing:
        # A device that takes one connection would refuse the next while the old one ends.
        if not await shared.gone(deadline - loop.time()):
            raise LinkTimeout(f"the link before did not end within {timeout:g} s")
    if shared is None:
        shared = links[key] = _SharedLink(links, key, options, open_link)
        return await shared.take(on_lost, tally, timeout=None)
    shared.check(options)
    return await shared.take(on_lost, tally, timeout=deadline - loop.time())


class _SharedLink:
    """A link with its users."""

    def __init__(
        self,
        links: WeakValueDictionary[Hashable, _SharedLink],
        key: Hashable,
        options: Mapping[str, object],
        open_link: OpenLink,
    ) -> None:
        self.closing = False
        self._links = links
        self._key = key
        self._options = dict(options)
        self._leases: list[SharedLease] = []
        self._waiting = 0
        self._ended = asyncio.Event()
        self._lost: BifrostError | None = None
        self._opening = asyncio.get_running_loop().create_task(self._open(open_link), name="bifrost-modbus-connect")

    @property
    def all_have_asked(self) -> bool:
        """True if every user has sent at least one request on this link."""
        return not self._waiting and all(lease.tally.requests for lease in self._leases)

    def check(self, options: Mapping[str, object]) -> None:
        """Raise `ConfigError` if the link is another one than is asked for."""
        for name, value in options.items():
            theirs = self._options.get(name)
            if theirs != value:
                raise ConfigError(
                    f"expected {name}={theirs!r}, as another connection to the same place has it, got {value!r}; "
                    "give both the same, or share_link=False to one of them"
                )

    async def take(self, on_lost: OnLost, tally: Tally, *, timeout: float | None) -> SharedLease:
        """Wait for the link and become one of its users."""
        self._waiting += 1
        try:
            opening = self._opening
            if not opening.done():
                await asyncio.wait([opening], timeout=timeout)
            if not opening.done():
                raise LinkTimeout("the link did not come up in time")
            if opening.cancelled():
                raise NotConnected("the attempt to connect was given up")
            if (error := opening.exception()) is not None:
                if not isinstance(error, LinkError):
                    raise error
                # Each user gets an error of its own: one that several raise would collect all their traces.
                raise type(error)(*error.args) from error
            link = opening.result()
            if self._lost is not None or not link.connected:
                raise NotConnected(f"the link ended as soon as it came up: {self._lost}")
            lease = SharedLease(link, tally, self, on_lost)
            self._leases.append(lease)
            return lease
        finally:
            self._waiting -= 1
            await self._close_if_unused()

    async def give_back(self, lease: SharedLease) -> None:
        """Take a user off the list."""
        self._leases.remove(lease)
        await self._close_if_unused()

    async def gone(self, timeout: float) -> bool:
        """Wait until a closing link has ended; false if it has not in time."""
        try:
            async with asyncio.timeout(timeout):
                await self._ended.wait()
        except TimeoutError:
            return False
        return True

    async def _open(self, open_link: OpenLink) -> Link:
        try:
            return await open_link(self._tell)
        except BaseException:
            # At once: who comes now makes an attempt of its own.
            self._forget()
            raise

    def _tell(self, error: BifrostError) -> None:
        self._lost = error
        self._forget()
        for lease in list(self._leases):
            lease.tell(error)

    def _forget(self) -> None:
        if self._links.get(self._key) is self:
            del self._links[self._key]

    async def _close_if_unused(self) -> None:
        if self._leases or self._waiting or self.closing:
            return
        self.closing = True
        opening = self._opening
        try:
            if not opening.done():
                opening.cancel()
                await asyncio.wait([opening])
            if not opening.cancelled() and opening.exception() is None:
                await opening.result().aclose()
        finally:
            self._forget()
            self._ended.set()
