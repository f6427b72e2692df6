"""`bifrost demo`: the whole of bifrost on one screen, in one minute, with a verdict at the end.

In: command-line arguments. Out: a live view, a verdict, a picture, and an exit code: 0 if the verdict is good, else 1.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import shutil
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from urllib.parse import urlsplit

from bifrost.demo.director import Director
from bifrost.demo.history import numbers, read_rows
from bifrost.demo.labels import assess, load_windows
from bifrost.demo.recording import load_recording
from bifrost.demo.scene import Scene
from bifrost.demo.settings_text import WINDOW_SECONDS
from bifrost.demo.verdict import Verdict, compare
from bifrost.errors import BifrostError, MissingExtra

__all__ = ["main", "make_parser"]

_TEMPERATURE = "press/temperature"
_OWN_FILES = ("gateway.toml", "state", "verdict.txt", "picture.png")


def make_parser() -> argparse.ArgumentParser:
    """The options of `bifrost demo`."""
    parser = argparse.ArgumentParser(
        prog="bifrost demo",
        description="Starts a small plant of separate processes and a gateway that collects from it, breaks things by "
        "script, and says at the end what arrived. Everything stays on this machine.",
    )
    parser.add_argument("--seconds", type=_seconds, default=60.0, metavar="S", help="length of the run (default 60)")
    parser.add_argument("--keep-running", action="store_true", help="stay after the script until ctrl-c")
    parser.add_argument("--mqtt", metavar="URL", type=_broker, help="deliver to this broker too, mqtt://HOST[:PORT]")
    parser.add_argument("--output", type=Path, default=Path("demo-output"), metavar="DIR", help="default demo-output")
    parser.add_argument("--plain", action="store_true", help="lines instead of the live view")
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the demo; return the exit code."""
    options = make_parser().parse_args(arguments)
    try:
        _clear(options.output)
        return asyncio.run(_run(options))
    except (KeyboardInterrupt, asyncio.CancelledError):
        return 130
    except BifrostError as error:
        sys.stderr.write(f"bifrost demo: {error}\n")
        return 2


async def _run(options: argparse.Namespace) -> int:
    draw = _needed()
    with _display(plain=options.plain or not sys.stdout.isatty()) as show:
        director = Director(
            options.output,
            seconds=options.seconds,
            keep_running=options.keep_running,
            broker=options.mqtt,
            show=show,
        )
        try:
            with _ended_by_signals():
                await director.run()
        except asyncio.CancelledError:
            if not options.keep_running:
                raise
    anomalies = [ts for ts, _ in numbers(director.history_path, f"{_TEMPERATURE}.anomaly")]
    verdict = await asyncio.to_thread(_judge, director, anomalies)
    text = "\n".join(verdict.lines())
    picture = options.output / "picture.png"
    means = dict(numbers(director.history_path, f"{_TEMPERATURE}.mean"))
    draw(
        picture,
        series=numbers(director.history_path, _TEMPERATURE),
        means=sorted(means.items()),
        anomalies=[(ts, means[ts]) for ts in anomalies if ts in means],
        assessment=verdict.assessment,
        record=director.record,
    )
    (options.output / "verdict.txt").write_text(text + "\n", encoding="utf-8")
    sys.stdout.write(f"\n{text}\n\npicture     {picture}\nsettings    {director.settings_path}\n")
    sys.stdout.write("verdict     good\n" if verdict.ok else "verdict     NOT good\n")
    return 0 if verdict.ok else 1


def _judge(director: Director, anomalies: Sequence[int]) -> Verdict:
    rows = read_rows(director.history_path)
    status = director.status
    assert status is not None
    records = {row.value for row in rows if row.tag == "press/sample_index" and row.value is not None}
    historian = next((up.statistics for up in status.uplinks if up.name == "historian"), None)
    return Verdict(
        samples=compare(director.seen, rows),
        replays=0 if historian is None else int(historian.connector.get("duplicates", 0)),
        records=len(records),
        recording=len(load_recording()),
        dropped=sum(device.details.rows_dropped for device in status.devices if device.details),
        restarts=director.restarts,
        assessment=assess(anomalies, load_windows(), span_ns=int(WINDOW_SECONDS * 1e9)),
        broker=None if director.broker is None else compare(director.seen, director.broker.rows),
        seconds=director.record.moments[-1].at,
    )


@contextlib.contextmanager
def _ended_by_signals() -> Iterator[None]:
    """Let SIGTERM cancel the run, as ctrl-c does through `asyncio.run`."""
    loop, task = asyncio.get_running_loop(), asyncio.current_task()
    assert task is not None
    # A plain handler: a loop on Windows has no `add_signal_handler`.
    before = signal.signal(signal.SIGTERM, lambda _number, _frame: loop.call_soon_threadsafe(task.cancel))
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


@contextlib.contextmanager
def _display(*, plain: bool) -> Iterator[Callable[[Scene], None]]:
    if plain:
        yield _PlainLines().show
        return
    from rich.live import Live  # an extra

    from bifrost.demo.view import frame

    with Live(screen=True, auto_refresh=False) as live:
        yield lambda scene: live.update(frame(scene), refresh=True)


class _PlainLines:
    """A line every few seconds, and one for each step of the script, for logs and pipes."""

    def __init__(self) -> None:
        self._next = 0.0
        self._notes = 0

    def show(self, scene: Scene) -> None:
        moment = scene.moment
        for note in scene.notes[self._notes :]:
            sys.stdout.write(f"{note.at:6.1f} s  ** {note.text}\n")
        self._notes = len(scene.notes)
        if moment.at >= self._next:
            self._next = moment.at + 5.0
            bad = sum(not value.ok for value in scene.tags)
            uplinks = ", ".join(f"{uplink.name} {uplink.state}" for uplink in scene.uplinks)
            sys.stdout.write(
                f"{moment.at:6.1f} s  {moment.acknowledged:,} rows acknowledged, {moment.delivered:,} delivered "
                f"({scene.rate:,.0f}/s), {moment.wal_rows:,} in the buffer, {bad} of {len(scene.tags)} tags not good, "
                f"{len(scene.anomalies)} anomalies; uplinks: {uplinks}\n"
            )
        sys.stdout.flush()


def _needed() -> Callable[..., None]:
    """Import what the extra `demo` brings, before anything is started."""
    try:
        import rich  # noqa: F401  # the live view needs it; a missing one is better said now
        import sqlite_utils  # noqa: F401  # the historian needs it

        from bifrost.demo.picture import draw
    except ImportError as error:
        raise MissingExtra(f"{error.name} is missing: pip install 'bifrost-edge[demo]'") from error
    return draw


def _clear(folder: Path) -> None:
    """Make the folder, without what an earlier run left; nothing else in it is touched."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in _OWN_FILES:
        path = folder / name
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)


def _seconds(text: str) -> float:
    seconds = float(text)
    if not 10 <= seconds <= 3600:
        raise argparse.ArgumentTypeError(f"expected 10 to 3600 seconds, got {text}")
    return seconds


def _broker(text: str) -> tuple[str, int]:
    parts = urlsplit(text)
    if parts.scheme != "mqtt" or not parts.hostname:
        raise argparse.ArgumentTypeError(f"expected mqtt://HOST[:PORT], got {text}")
    return parts.hostname, parts.port or 1883
