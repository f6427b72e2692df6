"""`bifrost run`: runs a gateway until a signal or a failure, as a process of its own."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import logging
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bifrost.cli.exit_code import ExitCode

if TYPE_CHECKING:
    from argparse import _SubParsersAction

    from bifrost.gateway.settings import GatewaySettings

__all__ = ["add_command"]

_log = logging.getLogger("bifrost")


def add_command(commands: _SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add `run` to the command line."""
    parser = commands.add_parser(
        "run",
        help="run a gateway",
        description="Run a gateway until SIGINT or SIGTERM stops it in order; a second signal ends it at once.",
        epilog="What the buffer has acknowledged survives both.",
    )
    parser.add_argument("file", type=Path, help="the settings, such as gateway.toml")
    parser.add_argument(
        "--log-level",
        choices=["debug", "info", "warning", "error"],
        default="info",
        help="least level that is written to stderr (default: info)",
    )
    parser.set_defaults(command=_run)


def _run(options: argparse.Namespace) -> int:
    from bifrost.gateway.settings_file import read_settings

    settings = read_settings(options.file)
    logging.basicConfig(
        stream=sys.stderr, level=options.log_level.upper(), format="%(asctime)s %(levelname)s %(name)s: %(message)s"
    )
    asyncio.run(_serve(settings))
    return ExitCode.OK


async def _serve(settings: GatewaySettings) -> None:
    from bifrost.gateway.gateway import Gateway

    stop = asyncio.Event()
    with _stop_signals(asyncio.get_running_loop(), stop):
        async with Gateway(settings):
            _log.info("gateway %s runs with %d devices", settings.gateway.name, len(settings.devices))
            await stop.wait()  # if the tree gives up, the gateway cancels this block
            _log.info("gateway %s stops", settings.gateway.name)


@contextlib.contextmanager
def _stop_signals(loop: asyncio.AbstractEventLoop, stop: asyncio.Event) -> Iterator[None]:
    """Let the first SIGINT or SIGTERM set `stop`; from the second on they do what they always do."""
    before: dict[signal.Signals, Any] = {}
    seen: list[int] = []

    def restore() -> None:
        for number, handler in before.items():
            signal.signal(number, handler)

    def stop_once(number: int, _frame: object) -> None:
        if seen:
            restore()
            signal.raise_signal(number)
            return
        seen.append(number)
        _log.info("%s: stopping in order; once more ends at once", signal.Signals(number).name)
        loop.call_soon_threadsafe(stop.set)  # the handler may run in the middle of anything

    # signal.signal and not loop.add_signal_handler: the latter is missing on Windows.
    for number in (signal.SIGINT, signal.SIGTERM):
        before[number] = signal.signal(number, stop_once)
    try:
        yield
    finally:
        restore()
