"""`bifrost browse`: lists what a device says it has."""

from __future__ import annotations

import argparse
import fnmatch
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from bifrost.cli.exit_code import ExitCode
from bifrost.cli.json_values import json_line
from bifrost.cli.link import add_link_options, linked, run_with_device
from bifrost.cli.output import HelpWithExamples, counted, print_columns, shown
from bifrost.errors import ConfigError
from bifrost.plc.datatypes import Tag
from bifrost.plc.drivers.base import BrowsedTag
from bifrost.plc.tag_writing import tags_to_csv

if TYPE_CHECKING:
    from argparse import _SubParsersAction

__all__ = ["add_command"]


def add_command(commands: _SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add `browse` to the command line."""
    parser = commands.add_parser(
        "browse",
        help="list what a device has",
        description="List the values that a device says it has, where its protocol can: EtherNet/IP tags, the blocks "
        "of an S7. Modbus devices cannot be asked.",
        epilog="""examples:
  bifrost browse ethernet-ip://192.0.2.9
  bifrost browse ethernet-ip://192.0.2.9 --filter 'Program:Main.*' --json
  bifrost browse ethernet-ip://192.0.2.9 --filter '*speed*' --csv > tags.csv""",
        formatter_class=HelpWithExamples,
    )
    add_link_options(parser)
    parser.add_argument(
        "--filter", default="*", metavar="GLOB", help="only names like this, such as 'Program:Main.*'; case is ignored"
    )
    parser.add_argument("--csv", action="store_true", help="write a list of tags, as --tags reads it")
    parser.set_defaults(command=_browse)


def _browse(options: argparse.Namespace) -> int:
    return run_with_device(_browse_once(options))


async def _browse_once(options: argparse.Namespace) -> int:
    async with linked(options) as plc:
        found = await plc.browse()
        protocol = plc.settings.protocol
    wanted = options.filter.casefold()
    chosen = [tag for tag in found if fnmatch.fnmatchcase(tag.name.casefold(), wanted)]
    if options.json:
        for tag in chosen:
            print(json_line(_object(tag)))
    elif options.csv:
        sys.stdout.write(tags_to_csv(_tags(chosen, protocol)))
    else:
        print_columns([("NAME", "TYPE", "ACCESS", "ADDRESS", "DESCRIPTION"), *map(_row, chosen)])
    if not chosen:
        print(f"bifrost: none of {counted(len(found), 'names')} is like {options.filter!r}", file=sys.stderr)
    return ExitCode.OK


def _object(tag: BrowsedTag) -> dict[str, Any]:
    return {
        "name": tag.name,
        "address": tag.address,
        "datatype": tag.datatype,
        "count": tag.count,
        "access": tag.access,
        "type_name": tag.type_name,
        "description": tag.description,
    }


def _row(tag: BrowsedTag) -> tuple[str, ...]:
    kind = tag.type_name or tag.datatype or ""
    cells = (tag.name, f"{kind}[{tag.count}]" if tag.count > 1 else kind, tag.access, tag.address, tag.description)
    return tuple(map(shown, cells))


def _tags(found: Sequence[BrowsedTag], protocol: str) -> list[Tag]:
    tags = []
    for entry in found:
        try:
            tag = Tag(
                entry.name,
                entry.address,
                entry.datatype,
                count=entry.count,
                access=entry.access,
                protocol=protocol,
                description=entry.description,
            )
        except ConfigError as error:
            print(f"bifrost: left out: {error}", file=sys.stderr)
        else:
            tags.append(tag)
    return tags
