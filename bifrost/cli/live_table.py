"""A live table of the values that a poll brings: snapshots in, a picture on the terminal out.

The picture is drawn ten times a second at most, however fast the poll is. Needs the extra ``console`` (rich).
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime

from rich.live import Live
from rich.table import Table
from rich.text import Text

from bifrost.cli.json_values import status_name
from bifrost.cli.output import counted, shown
from bifrost.core.quality import Quality
from bifrost.plc.connection import PLCConnection
from bifrost.plc.snapshot import Snapshot

__all__ = ["draw", "live_table"]

_FRAME = 0.1
_STYLES = {Quality.GOOD: "green", Quality.UNCERTAIN: "yellow", Quality.BAD: "red"}


@contextlib.contextmanager
def live_table(plc: PLCConnection, url: str) -> Iterator[Callable[[Snapshot], None]]:
    """Show snapshots until the block ends; the last one stays on the screen."""
    latest: Snapshot | None = None
    shown_at = -_FRAME
    with Live(auto_refresh=False) as live:

        def show(snapshot: Snapshot) -> None:
            nonlocal latest, shown_at
            latest = snapshot
            now = time.monotonic()
            if now - shown_at >= _FRAME:
                shown_at = now
                live.update(draw(snapshot, plc, url), refresh=True)

        try:
            yield show
        finally:
            if latest is not None:
                live.update(draw(latest, plc, url), refresh=True)


def draw(snapshot: Snapshot, plc: PLCConnection, url: str) -> Table:
    """Lay out one snapshot: a row for each tag, the link above, the rhythm below."""
    error = f", {plc.last_error}" if plc.state not in {"connected", "degraded"} else ""
    started = datetime.fromtimestamp(snapshot.cycle_start_ns / 1e9, tz=UTC).astimezone()
    table = Table(
        title=Text(shown(f"{url}: {plc.state.value}{error}")),
        caption=f"{started:%H:%M:%S}, poll {snapshot.seq + 1} took {snapshot.duration * 1000:.1f} ms, "
        f"{counted(snapshot.overruns, 'overruns')}",
        title_justify="left",
        caption_justify="left",
    )
    table.add_column("tag", no_wrap=True)
    table.add_column("value", justify="right", overflow="ellipsis")
    table.add_column("status", no_wrap=True)
    table.add_column("error", overflow="ellipsis")
    for name, reading in snapshot.items():
        style = "bold" if name in snapshot.changed else ""
        status = Text(status_name(reading.status), _STYLES[reading.quality])
        # As text and not as markup: a device's text may look like rich's own, such as ":warning:" or "[red]".
        tag, value, why = (Text(shown(word)) for word in (name, reading.value, reading.error or ""))
        table.add_row(tag, value, status, why, style=style)
    return table
