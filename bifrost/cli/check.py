"""`bifrost check`: reads a settings file and tells every mistake in it; starts nothing."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bifrost.cli.exit_code import ExitCode
from bifrost.cli.output import counted, print_json
from bifrost.errors import ConfigError

if TYPE_CHECKING:
    from argparse import _SubParsersAction

__all__ = ["add_command"]


def add_command(commands: _SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add `check` to the command line."""
    parser = commands.add_parser(
        "check",
        help="tell every mistake in a settings file",
        description="Read a settings file and tell every mistake with its line; starts nothing, asks no device.",
    )
    parser.add_argument("file", type=Path, help="the settings, such as gateway.toml")
    parser.add_argument("--json", action="store_true", help="write the outcome as JSON")
    parser.set_defaults(command=_check)


def _check(options: argparse.Namespace) -> int:
    from bifrost.gateway.settings_file import read_settings

    try:
        settings = read_settings(options.file)
    except ConfigError as error:
        if not options.json:
            raise
        print_json({"ok": False, "mistakes": list(error.mistakes)})
        return ExitCode.WRONG_SETTINGS
    counts: dict[str, Any] = {
        "devices": len(settings.devices),
        "tags": settings.tag_count,
        "pipelines": len(settings.pipelines),
        "uplinks": len(settings.uplinks),
    }
    if options.json:
        print_json({"ok": True, **counts})
    else:
        print(f"{options.file}: right ({', '.join(counted(count, noun) for noun, count in counts.items())})")
    return ExitCode.OK
