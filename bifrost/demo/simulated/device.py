"""What all simulated devices have in common, whatever their protocol."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Any, Protocol

import msgspec

from bifrost.errors import ConfigError

__all__ = ["Server", "SimulatedDevice", "SimulatedTag", "fault_options", "host_in_url"]


class Server(Protocol):
    """What a simulator of `bifrost.plc.sim` can do."""

    async def __aenter__(self) -> Any:
        """Start."""
        ...

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Stop."""
        ...


class SimulatedTag(msgspec.Struct, frozen=True):
    """A value to try.

    Attributes:
        address: as a command line takes it, its type included.
        description: what it is.
        writable: it may be written.
    """

    address: str
    description: str
    writable: bool = False


class SimulatedDevice(msgspec.Struct, frozen=True):
    """A device that can be served.

    Attributes:
        server: as ``async with`` it serves.
        urls: tells where, once it serves: what `PLCConnection.from_url` takes.
        tags: what to read and write there.
    """

    server: Server
    urls: Callable[[], Sequence[str]]
    tags: tuple[SimulatedTag, ...]


def host_in_url(host: str) -> str:
    """Write a host as a URL has it: an IPv6 address stands in brackets; RFC 3986 section 3.2.2."""
    return f"[{host}]" if ":" in host else host


def fault_options(text: str) -> tuple[int, float]:
    """Read ``SEED:RATE``: which faults, and their share of the requests.

    Raises:
        ConfigError: it is not of that form, or the rate is not within 0 to 1.
    """
    seed, colon, rate = text.partition(":")
    try:
        share = float(rate)
        if colon and 0.0 <= share <= 1.0:
            return int(seed), share
    except ValueError:
        pass
    raise ConfigError(f"found faults {text!r:.60}, expected SEED:RATE such as 7:0.05, the rate from 0 to 1")
