"""`bifrost scan`: searches for devices. It never writes to one."""

from __future__ import annotations

import argparse
import re
import sys
from contextlib import aclosing
from typing import TYPE_CHECKING, Any

from bifrost.cli.exit_code import ExitCode
from bifrost.cli.json_values import json_line
from bifrost.cli.link import run_with_device
from bifrost.cli.output import HelpWithExamples, print_columns, shown
from bifrost.errors import ConfigError
from bifrost.plc.discovery import FoundDevice, discover, search_options

if TYPE_CHECKING:
    from argparse import _SubParsersAction

__all__ = ["add_command", "units_from_text"]

_RANGE = re.compile(r"(\d{1,3})(?:-(\d{1,3}))?")


def add_command(commands: _SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add `scan` to the command line."""
    parser = commands.add_parser(
        "scan",
        help="search for devices",
        description="Search for devices; nothing is ever written to one. EtherNet/IP devices answer a broadcast or a "
        "single question (ListIdentity), an S7 is asked how it is reached and what it is. Behind a Modbus address each "
        "unit is asked, one after the other and only those that --units names.",
        epilog="""examples:
  bifrost scan ethernet-ip 192.0.2.255
  bifrost scan s7 192.0.2.8
  bifrost scan modbus-tcp 192.0.2.7 --units 1-32 --json""",
        formatter_class=HelpWithExamples,
    )
    parser.add_argument("protocol", metavar="PROTOCOL", help="such as ethernet-ip, s7, modbus-tcp")
    parser.add_argument("target", metavar="TARGET", help="a host, or a broadcast address of EtherNet/IP")
    parser.add_argument("--port", type=int, metavar="PORT", help="another port than the protocol's own")
    parser.add_argument("--units", metavar="LIST", help="Modbus: the units to ask, such as 1-32 or 1,5,17-20")
    parser.add_argument("--rate", type=float, metavar="N", help="Modbus: requests a second at most (default: 10)")
    parser.add_argument(
        "--timeout", type=float, default=1.0, metavar="SECONDS", help="longest wait for an answer (default: 1)"
    )
    parser.add_argument("--json", action="store_true", help="write JSON, one object a line, as devices answer")
    parser.set_defaults(command=_scan)


def units_from_text(text: str) -> tuple[int, ...]:
    """Read a list of unit ids such as ``1,5,17-20``.

    Raises:
        ConfigError: it is none, or an id is not within 0 to 255.
    """
    units: dict[int, None] = {}
    for part in text.split(","):
        matched = _RANGE.fullmatch(part.strip())
        first, last = (int(matched[1]), int(matched[2] or matched[1])) if matched else (1, 0)
        if not 0 <= first <= last <= 255:
            raise ConfigError(f"found units {text!r:.60}, expected a list such as 1-32 or 1,5,17-20, each 0 to 255")
        units |= dict.fromkeys(range(first, last + 1))
    return tuple(units)


def _scan(options: argparse.Namespace) -> int:
    extra: dict[str, Any] = {name: getattr(options, name) for name in ("port", "rate")}
    extra["units"] = None if options.units is None else units_from_text(options.units)
    known = search_options(options.protocol)
    if known is not None and "units" in known and options.units is None:
        raise ConfigError("a search among units asks each of them; say which with --units, such as --units 1-32")
    for name, value in extra.items():
        if value is not None and known is not None and name not in known:
            raise ConfigError(f"--{name} means nothing to a search for {options.protocol} devices; leave it out")
    return run_with_device(_search(options, {name: value for name, value in extra.items() if value is not None}))


async def _search(options: argparse.Namespace, extra: dict[str, Any]) -> int:
    found: list[FoundDevice] = []
    devices: Any = discover(options.protocol, options.target, timeout=options.timeout, **extra)
    async with aclosing(devices):
        async for device in devices:
            found.append(device)
            if options.json:
                print(json_line(_object(device)), flush=True)
    if found and not options.json:
        print_columns([("URL", "NAME", "VENDOR", "DESCRIPTION"), *map(_row, found)])
    if not found:
        print(f"bifrost: no {options.protocol} device answered at {options.target}", file=sys.stderr)
        return ExitCode.NOT_CONNECTED
    return ExitCode.OK


def _object(device: FoundDevice) -> dict[str, Any]:
    return {
        "protocol": device.protocol,
        "endpoint": device.endpoint,
        "url": device.url,
        "name": device.name,
        "vendor": device.vendor,
        "description": device.description,
        "unit_id": device.unit_id,
    }


def _row(device: FoundDevice) -> tuple[str, ...]:
    return (device.url, *map(shown, (device.name, device.vendor, device.description)))
