"""`bifrost run`: runs a gateway until a signal or a failure, as a process of its own."""

from __future__ import annotations

import argparse
import asyncio
import gc
import logging
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from bifrost.cli.exit_code import ExitCode
from bifrost.cli.output import counted
from bifrost.cli.stop_signals import stop_signals

if TYPE_CHECKING:
    from argparse import _SubParsersAction

    from bifrost.gateway.gateway import Gateway
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
    _log_to_stderr(options.log_level.upper())
    asyncio.run(_serve(settings))
    return ExitCode.OK


def _device_count(gateway: Gateway) -> int:
    """Count the kept devices, too, which no settings have."""
    devices = gateway.tree().find("devices")
    return 0 if devices is None else len(devices.children)


def _log_to_stderr(level: str) -> None:
    logging.basicConfig(stream=sys.stderr, level=level, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    if level == "INFO":
        # Libraries report every attempt to connect, several lines each: hundreds of devices, some of them dead, would
        # fill a disk with that.
        logging.getLogger().setLevel(logging.WARNING)
        _log.setLevel(logging.INFO)


async def _serve(settings: GatewaySettings) -> None:
    from bifrost.gateway.gateway import Gateway

    stop = asyncio.Event()
    with stop_signals(stop, told=_tell):
        async with Gateway(settings) as gateway:
            _log.info("gateway %s runs with %s", settings.gateway.name, counted(_device_count(gateway), "devices"))
            # What lives as long as the gateway need not be looked at in every full collection: with hundreds of
            # devices that stopped all of them for tens of milliseconds. Only a process of our own may decide this.
            gc.collect()
            gc.freeze()
            await stop.wait()  # if the tree gives up, the gateway cancels this block
            _log.info("gateway %s stops", settings.gateway.name)


def _tell(name: str) -> None:
    _log.info("%s: stopping in order; once more ends at once", name)
