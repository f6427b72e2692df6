"""The entry point of the `bifrost` command: reads the arguments, calls the subcommand, turns errors into exit codes."""

from __future__ import annotations

import argparse
import contextlib
import io
import os
import sys
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from bifrost.cli import browse, check, device, inspection, poll, read, run, scan, sim, write
from bifrost.cli.exit_code import ExitCode
from bifrost.errors import BifrostError, ConfigError

__all__ = ["build_parser", "main"]


def main(argv: Sequence[str] | None = None) -> int:
    """Run one `bifrost` command.

    Args:
        argv: arguments without the program's name; those of the process by default.

    Returns:
        The exit code, as the package's docstring tells.
    """
    _open_closed_streams()
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # as stderr has it: a code page must not end a command
    arguments = list(sys.argv[1:] if argv is None else argv)
    try:
        if arguments[:1] == ["demo"]:  # the demo owns its arguments, its --help too
            return _demo(arguments[1:])
        options = build_parser().parse_args(arguments)
        code: int = options.command(options)
        sys.stdout.flush()
    except ConfigError as error:
        print(f"bifrost: {error}", file=sys.stderr)
        return ExitCode.WRONG_SETTINGS
    except BifrostError as error:
        print(f"bifrost: {error}", file=sys.stderr)
        return ExitCode.FAILED
    except KeyboardInterrupt:
        return ExitCode.INTERRUPTED
    except OSError as error:
        if not isinstance(error, BrokenPipeError):  # whoever closed the pipe has read enough
            print(f"bifrost: {error}", file=sys.stderr)
        _drop_output()
        return ExitCode.FAILED
    return code


def _open_closed_streams() -> None:
    # Called with a stream closed, as by `>&-`, Python has None there; and `print` takes None for the other one.
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, Path(os.devnull).open("w"))  # noqa: SIM115 - for the life of the process


def _drop_output() -> None:
    # What could not be written must not fail once more in the flush at exit.
    with contextlib.suppress(OSError):
        sys.stdout.flush()
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def build_parser() -> argparse.ArgumentParser:
    """Build the parser of the whole command line."""
    parser = argparse.ArgumentParser(
        prog="bifrost",
        description="Collect data from the machines on a factory floor and deliver it without losing a sample.",
        epilog="Exit codes: 0 it worked, 1 it failed while running, 2 the settings or arguments are wrong, 3 a value "
        "is BAD or was not written, 4 no device answered, 5 a write was sent and its outcome is not known.",
    )
    parser.add_argument("--version", action="version", version=f"bifrost {_version()}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    run.add_command(commands)
    check.add_command(commands)
    device.add_command(commands)
    inspection.add_commands(commands)
    read.add_command(commands)
    write.add_command(commands)
    poll.add_command(commands)
    browse.add_command(commands)
    scan.add_command(commands)
    sim.add_command(commands)
    commands.add_parser(
        "demo", add_help=False, help="watch a gateway collect recorded machine data through injected faults"
    )
    return parser


def _demo(arguments: list[str]) -> int:
    from bifrost.demo.main import main as demo

    return demo(arguments)


def _version() -> str:
    try:
        return version("bifrost-edge")
    except PackageNotFoundError:
        return f"(not installed, run from {Path(__file__).parents[2]})"


if __name__ == "__main__":
    sys.exit(main())
