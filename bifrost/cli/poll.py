"""`bifrost poll`: reads values of a device again and again, as a live table, as lines, or as JSON."""

from __future__ import annotations

import argparse
import contextlib
import math
import sys
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from bifrost.cli.asked_tags import add_tag_options, asked_tags
from bifrost.cli.exit_code import ExitCode
from bifrost.cli.json_values import iso_time, json_line, plain, status_name
from bifrost.cli.link import add_link_options, opened, run_with_device
from bifrost.cli.output import HelpWithExamples, shown
from bifrost.core.quality import Quality
from bifrost.plc.connection import PLCConnection
from bifrost.plc.datatypes import Tag
from bifrost.plc.reconnect import LinkState, StateChange
from bifrost.plc.snapshot import Snapshot

if TYPE_CHECKING:
    from argparse import _SubParsersAction

__all__ = ["add_command"]

_Show = Callable[[Snapshot], None]


def add_command(commands: _SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add `poll` to the command line."""
    parser = commands.add_parser(
        "poll",
        help="watch values of a device",
        description="Read values of a device at a fixed rate, outages included, until Ctrl-C. On a terminal they are "
        "shown as a live table if the extra 'console' is installed, else as one line for each poll.",
        epilog="""examples:
  bifrost poll modbus-tcp://192.0.2.7 HR1:FLOAT32 level=HR3 --interval-ms 100
  bifrost poll modbus-tcp://192.0.2.7 --tags tags.csv --on-change --json | jq .values
  bifrost poll s7://192.0.2.8 DB1.DBD4:REAL --count 10""",
        formatter_class=HelpWithExamples,
    )
    add_link_options(parser)
    parser.add_argument(
        "addresses", nargs="*", metavar="ADDRESS", help="an address, NAME=ADDRESS, or the name of a tag of --tags"
    )
    add_tag_options(parser)
    parser.add_argument(
        "--interval-ms",
        type=_milliseconds,
        default=1000.0,
        metavar="MS",
        help="milliseconds from poll to poll, 1 to 86400000 (default: 1000)",
    )
    parser.add_argument("--count", type=_count, metavar="N", help="end after N polls that were shown")
    parser.add_argument("--on-change", action="store_true", help="show only polls that brought news, and what is news")
    parser.add_argument("--plain", action="store_true", help="lines instead of the live table")
    parser.set_defaults(command=_poll)


def _milliseconds(word: str) -> float:
    milliseconds = float(word)
    if not 1 <= milliseconds <= 86_400_000:
        raise argparse.ArgumentTypeError(f"{word} is no interval, expected milliseconds from 1 to 86400000")
    return milliseconds


def _count(word: str) -> int:
    if not word.isdecimal() or not 1 <= int(word) <= 10**12:
        raise argparse.ArgumentTypeError(f"{word} is no count, expected 1 or more")
    return int(word)


def _poll(options: argparse.Namespace) -> int:
    tags = asked_tags(options.url, options.addresses, options.tags)
    return run_with_device(_poll_on(options, tags))


async def _poll_on(options: argparse.Namespace, tags: tuple[Tag, ...]) -> int:
    bad = False
    left: float = math.inf if options.count is None else options.count
    async with opened(options, tags) as plc:
        snapshots: Any = plc.poll(interval_ms=options.interval_ms, on_change=options.on_change)
        async with contextlib.aclosing(snapshots):
            with _display(options, plc) as show:
                async for snapshot in snapshots:
                    show(snapshot)
                    bad = bad or any(reading.quality is Quality.BAD for reading in snapshot.values())
                    left -= 1
                    if left <= 0:
                        break
        if plc.stats.connects == 0:
            if options.json:
                print(f"bifrost: {options.url}: {plc.last_error}", file=sys.stderr)
            return ExitCode.NOT_CONNECTED
    return ExitCode.SOME_BAD if bad else ExitCode.OK


@contextlib.contextmanager
def _display(options: argparse.Namespace, plc: PLCConnection) -> Iterator[_Show]:
    if options.json:
        yield lambda snapshot: print(json_line(_snapshot_object(snapshot)), flush=True)
    elif options.plain or not sys.stdout.isatty() or find_spec("rich") is None:
        news = _LinkNews(options.url)
        if plc.state is LinkState.BACKOFF:
            news.down(plc.last_error)
        forget = plc.on_state_change(news)
        try:
            yield lambda snapshot: print(_line(snapshot, only_news=options.on_change), flush=True)
        finally:
            forget()
    else:
        from bifrost.cli.live_table import live_table

        with live_table(plc, options.url) as show:
            yield show


class _LinkNews:
    """Tells on stderr why the link is down, once for each reason, and that it is up again."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._told = ""

    def down(self, reason: str) -> None:
        """Tell why there is no link."""
        if reason != self._told:
            self._told = reason
            print(f"bifrost: {self._url}: {reason}", file=sys.stderr, flush=True)

    def __call__(self, change: StateChange) -> None:
        if change.new is LinkState.BACKOFF:
            self.down(change.reason)
        elif change.new is LinkState.CONNECTED and self._told:
            self._told = ""
            print(f"bifrost: {self._url}: connected", file=sys.stderr, flush=True)


def _snapshot_object(snapshot: Snapshot) -> dict[str, Any]:
    return {
        "seq": snapshot.seq,
        "time": iso_time(snapshot.cycle_start_ns),
        "duration_ms": round(snapshot.duration * 1000, 3),
        "overruns": snapshot.overruns,
        "dropped": snapshot.dropped,
        "changed": sorted(snapshot.changed),
        "values": {
            name: {
                "value": plain(reading.value),
                "quality": reading.quality.name,
                "status": reading.status,
                "status_name": status_name(reading.status),
                "error": reading.error,
            }
            for name, reading in snapshot.items()
        },
    }


def _line(snapshot: Snapshot, *, only_news: bool) -> str:
    parts = [
        f"{shown(name)}={shown(reading.value) if reading.value is not None else status_name(reading.status)}"
        for name, reading in snapshot.items()
        if not only_news or name in snapshot.changed
    ]
    return "  ".join([iso_time(snapshot.cycle_start_ns), *parts])
