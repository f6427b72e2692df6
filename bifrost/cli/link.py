"""The commands that talk to a device by its URL: their common options, and what becomes of their errors."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import sys
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from typing import Any

from bifrost.cli.exit_code import ExitCode
from bifrost.errors import LinkError, NotConnected, WriteError
from bifrost.plc.connection import PLCConnection
from bifrost.plc.datatypes import Tag
from bifrost.plc.reconnect import LinkState

__all__ = ["add_link_options", "linked", "opened", "run_with_device"]

_LONGEST_TIMEOUT = 60.0


def add_link_options(parser: argparse.ArgumentParser) -> None:
    """Add the device's URL and what is common to all commands that use it."""
    parser.add_argument("url", metavar="URL", help="the device, such as modbus-tcp://192.0.2.7:502?unit=1")
    parser.add_argument(
        "--timeout",
        type=_seconds,
        metavar="SECONDS",
        help="longest wait for the link, and for each answer (default: 3 and 1, or as the URL says)",
    )
    parser.add_argument("--json", action="store_true", help="write JSON, one object a line")


def _seconds(word: str) -> float:
    seconds = float(word)
    if not 0.01 <= seconds <= _LONGEST_TIMEOUT:
        raise argparse.ArgumentTypeError(f"{word} is no timeout, expected seconds from 0.01 to {_LONGEST_TIMEOUT:g}")
    return seconds


def run_with_device(work: Coroutine[Any, Any, int]) -> int:
    """Run a command to its end; a device that cannot be reached is told with an exit code of its own."""
    try:
        return asyncio.run(work)
    except LinkError as error:
        print(f"bifrost: {error}", file=sys.stderr)
        return ExitCode.NOT_CONNECTED
    except WriteError as error:
        print(f"bifrost: {error}", file=sys.stderr)
        return ExitCode.UNKNOWN_OUTCOME if error.unknown_outcome else ExitCode.FAILED


@contextlib.asynccontextmanager
async def opened(
    options: argparse.Namespace, tags: Sequence[Tag] = (), *, check: Callable[[PLCConnection], None] = lambda _: None
) -> AsyncIterator[PLCConnection]:
    """Make a connection to the device that the options name, linked or not, for the length of the block.

    Args:
        options: of the command line.
        tags: the connection's.
        check: called before anything is opened; raises what is wrong with what will be asked of the connection.
    """
    extra = {} if options.timeout is None else {"timeout": options.timeout, "connect_timeout": options.timeout}
    made = PLCConnection.from_url(options.url, tags=tags, **extra)
    check(made)
    async with made as plc:
        yield plc


@contextlib.asynccontextmanager
async def linked(
    options: argparse.Namespace, tags: Sequence[Tag] = (), *, check: Callable[[PLCConnection], None] = lambda _: None
) -> AsyncIterator[PLCConnection]:
    """Make a connection as `opened` does, and give up if the first attempt fails.

    Raises:
        NotConnected: there is no link; the text says why.
    """
    async with opened(options, tags, check=check) as plc:
        if plc.state not in {LinkState.CONNECTED, LinkState.DEGRADED}:
            raise NotConnected(f"{options.url}: {plc.last_error or 'no link'}")
        yield plc
