"""A link that is open only while it is used: for devices that take few links, or charge for open ones.

In: the beginnings and ends of uses, several at a time. Out: one opening before the first, one closing after the last.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

__all__ = ["BriefUse"]


class BriefUse:
    """Counts the users of one link.

    Args:
        open_link: opens the link, unless it is open.
        close_link: closes it.
    """

    def __init__(self, open_link: Callable[[], Awaitable[None]], close_link: Callable[[], Awaitable[None]]) -> None:
        self._open_link = open_link
        self._close_link = close_link
        self._users = 0
        self._changing = asyncio.Lock()

    async def begin(self) -> None:
        """Have the link open until `end`; what `open_link` raises ends the use."""
        self._users += 1
        try:
            async with self._changing:
                await self._open_link()
        except BaseException:
            self._users -= 1
            raise

    async def end(self) -> None:
        """Close the link if nobody uses it any more."""
        self._users -= 1
        if self._users == 0:
            async with self._changing:
                if self._users == 0:
                    await self._close_link()
