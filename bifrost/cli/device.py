"""`bifrost device`: adds, removes and lists the devices of a running gateway."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from bifrost.cli.exit_code import ExitCode
from bifrost.cli.output import add_gateway_options, counted, device_rows, gateway_address, print_columns, print_json
from bifrost.gateway.control.client import ask_gateway

if TYPE_CHECKING:
    from argparse import _SubParsersAction

__all__ = ["add_command"]


def add_command(commands: _SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add `device add`, `device remove` and `device list` to the command line."""
    parser = commands.add_parser("device", help="add, remove or list the devices of a running gateway")
    actions = parser.add_subparsers(title="actions", metavar="ACTION", required=True)
    add = actions.add_parser(
        "add",
        help="add a device to a running gateway",
        description="Add a device to a running gateway. Its settings come from FILE, from --set, or from both.",
        epilog="Example: bifrost device add oven oven.toml --set port=5021 --keep",
    )
    add.add_argument("name", help="the new device's name")
    add.add_argument(
        "file",
        type=Path,
        nargs="?",
        help="TOML file with the keys of a [devices.NAME] table, or with that whole table",
    )
    add.add_argument(
        "--set",
        dest="overrides",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="one key of the device, its value as in TOML; may be repeated and wins over FILE",
    )
    add.add_argument("--keep", action="store_true", help="add it again whenever the gateway starts")
    add_gateway_options(add)
    add.set_defaults(command=_add)

    remove = actions.add_parser("remove", help="remove a device; one from the settings file returns at the next start")
    remove.add_argument("name", help="the device's name")
    add_gateway_options(remove)
    remove.set_defaults(command=_remove)

    listing = actions.add_parser("list", help="list the devices and their states")
    add_gateway_options(listing)
    listing.set_defaults(command=_list)


def _add(options: argparse.Namespace) -> int:
    from bifrost.gateway.device_file import read_device_table

    table = read_device_table(options.file, options.name, overrides=options.overrides)
    params = {"name": options.name, "settings": table, "persist": options.keep}
    answer = ask_gateway(gateway_address(options), "devices.add", params, timeout=options.timeout)
    if options.json:
        print_json(answer)
    else:
        print(f"device {options.name} added with {counted(answer['tags'], 'tags')}")
    return ExitCode.OK


def _remove(options: argparse.Namespace) -> int:
    answer = ask_gateway(gateway_address(options), "devices.remove", {"name": options.name}, timeout=options.timeout)
    if options.json:
        print_json(answer)
    else:
        print(f"device {options.name} removed")
    return ExitCode.OK


def _list(options: argparse.Namespace) -> int:
    devices = ask_gateway(gateway_address(options), "devices.list", timeout=options.timeout)
    if options.json:
        print_json(devices)
        return ExitCode.OK
    print_columns(device_rows(devices))
    return ExitCode.OK
