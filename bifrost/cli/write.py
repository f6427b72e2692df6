"""`bifrost write`: writes values to a device, each once."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING

from bifrost.cli.asked_tags import add_tag_options, asked_writes
from bifrost.cli.exit_code import ExitCode
from bifrost.cli.json_values import json_line
from bifrost.cli.link import add_link_options, linked, run_with_device
from bifrost.cli.output import HelpWithExamples, print_columns, shown
from bifrost.plc.connection import PLCConnection
from bifrost.plc.datatypes import Tag
from bifrost.plc.writes import WriteResults

if TYPE_CHECKING:
    from argparse import _SubParsersAction

__all__ = ["add_command"]


def add_command(commands: _SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add `write` to the command line."""
    parser = commands.add_parser(
        "write",
        help="write values to a device",
        description="Write values to a device, in the given order, each once and never again. Nothing is asked back; "
        "nothing is sent if one of the values is wrong.",
        epilog="""examples:
  bifrost write modbus-tcp://192.0.2.7 HR1=42 HR3:FLOAT32=21.5 C1=on
  bifrost write modbus-tcp://192.0.2.7 'HR10[3]=1,2,3' 'HR20:STRING(8)=OVEN 1' --verify
  bifrost write ethernet-ip://192.0.2.9 'Recipe={"speed": 5, "hot": true}'""",
        formatter_class=HelpWithExamples,
    )
    add_link_options(parser)
    parser.add_argument(
        "values", nargs="+", metavar="ADDRESS=VALUE", help="where and what; or the name of a tag of --tags and what"
    )
    add_tag_options(parser)
    parser.add_argument("--verify", action="store_true", help="read each value back and compare")
    parser.add_argument("--atomic", action="store_true", help="all of them in one request, or nothing at all")
    parser.set_defaults(command=_write)


def _write(options: argparse.Namespace) -> int:
    values = asked_writes(options.url, options.values, options.tags)
    return run_with_device(_write_once(options, values))


async def _write_once(options: argparse.Namespace, values: Mapping[Tag, object]) -> int:
    by_name = {tag.name: value for tag, value in values.items()}
    check = partial(_check, values=by_name, atomic=options.atomic)
    async with linked(options, tuple(values), check=check) as plc:
        results = await plc.write_tags(by_name, atomic=options.atomic, verify=options.verify)
    for tag, value in values.items() if options.json else ():
        error = results[tag.name]
        outcome = {
            "tag": tag.name,
            "address": tag.address,
            "value": value,
            "written": error is None,
            "verified": error is None and options.verify,
            "unknown_outcome": tag.name in results.unknown,
            "error": None if error is None else str(error),
        }
        print(json_line(outcome))
    if not options.json:
        print_columns([("TAG", "VALUE", "OUTCOME"), *_rows(values, results, verified=options.verify)])
    if results.unknown:
        return ExitCode.UNKNOWN_OUTCOME
    return ExitCode.OK if results.ok else ExitCode.SOME_BAD


def _check(plc: PLCConnection, *, values: Mapping[str, object], atomic: bool) -> None:
    plc.check_writes(values, atomic=atomic)


def _rows(values: Mapping[Tag, object], results: WriteResults, *, verified: bool) -> list[tuple[str, ...]]:
    good = "written and read back" if verified else "written"
    return [
        (shown(tag.name), shown(value), good if (error := results[tag.name]) is None else shown(str(error)))
        for tag, value in values.items()
    ]
