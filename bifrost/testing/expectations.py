"""What contract suites expect of code under test, so that they need no test framework of their own.

In: something that must fail, or come true. Out: the error, or an `AssertionError` that says what came instead.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

__all__ = ["refused", "refused_later", "until"]

_E = TypeVar("_E", bound=BaseException)


def refused(error: type[_E], action: Callable[[], object]) -> _E:
    """Call `action` and return the `error` it raises.

    Raises:
        AssertionError: it returned; anything else that it raises goes through.
    """
    try:
        got = action()
    except error as raised:
        return raised
    raise AssertionError(f"expected {error.__name__}, got {got!r}")


async def refused_later(error: type[_E], action: Awaitable[object]) -> _E:
    """Await `action` and return the `error` it raises.

    Raises:
        AssertionError: it returned; anything else that it raises goes through.
    """
    try:
        got = await action
    except error as raised:
        return raised
    raise AssertionError(f"expected {error.__name__}, got {got!r}")


async def until(condition: Callable[[], bool], otherwise: str, *, timeout: float) -> None:
    """Return when `condition` holds, looked at every ten milliseconds.

    Raises:
        AssertionError: it did not come to hold within `timeout` seconds; `otherwise` says what that means.
    """
    loop = asyncio.get_running_loop()
    deadline = loop.time() + timeout
    while not condition():
        assert loop.time() < deadline, otherwise
        await asyncio.sleep(0.01)
