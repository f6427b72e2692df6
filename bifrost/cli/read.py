"""`bifrost read`: reads values of a device once."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from bifrost.cli.asked_tags import add_tag_options, asked_tags
from bifrost.cli.exit_code import ExitCode
from bifrost.cli.json_values import json_line, reading_object, status_name
from bifrost.cli.link import add_link_options, linked, run_with_device
from bifrost.cli.output import HelpWithExamples, print_columns, shown
from bifrost.core.quality import Quality
from bifrost.plc.datatypes import Tag
from bifrost.plc.readings import TagReadings

if TYPE_CHECKING:
    from argparse import _SubParsersAction

__all__ = ["add_command"]


def add_command(commands: _SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add `read` to the command line."""
    parser = commands.add_parser(
        "read",
        help="read values of a device",
        description="Read values of a device once, each with its quality. Addresses carry their type: HR1:FLOAT32.",
        epilog="""examples:
  bifrost read modbus-tcp://192.0.2.7 HR1 level=HR3:FLOAT32 'HR10[4]:INT16' C1
  bifrost read 'modbus-rtu:///dev/ttyUSB0?baudrate=19200&unit=3' 40001 30001
  bifrost read 's7://192.0.2.8?rack=0&slot=1' DB1.DBD4:REAL M10.3 --json
  bifrost read ethernet-ip://192.0.2.9 Program:Main.Speed 'Recipe[3]'
  bifrost read modbus-tcp://192.0.2.7 --tags tags.csv""",
        formatter_class=HelpWithExamples,
    )
    add_link_options(parser)
    parser.add_argument(
        "addresses", nargs="*", metavar="ADDRESS", help="an address, NAME=ADDRESS, or the name of a tag of --tags"
    )
    add_tag_options(parser)
    parser.set_defaults(command=_read)


def _read(options: argparse.Namespace) -> int:
    tags = asked_tags(options.url, options.addresses, options.tags)
    return run_with_device(_read_once(options, tags))


async def _read_once(options: argparse.Namespace, tags: tuple[Tag, ...]) -> int:
    async with linked(options, tags) as plc:
        readings = await plc.read_tags()
    if options.json:
        for tag in tags:
            print(json_line(reading_object(readings[tag.name], tag.address)))
    else:
        _print_table(readings)
    bad = any(reading.quality is Quality.BAD for reading in readings.values())
    return ExitCode.SOME_BAD if bad else ExitCode.OK


def _print_table(readings: TagReadings) -> None:
    rows = [("TAG", "VALUE", "STATUS", "ERROR")]
    rows += [
        (shown(reading.tag), shown(reading.value), status_name(reading.status), shown(reading.error or ""))
        for reading in readings.values()
    ]
    print_columns(rows)
