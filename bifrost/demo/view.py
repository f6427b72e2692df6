"""The live terminal view of a demo run: one frame from one scene. Needs rich (extra `console`).

In: a `Scene`. Out: something that rich can draw. Not here: reading the gateway, timing.
"""

from __future__ import annotations

from rich.console import Group, RenderableType
from rich.layout import Layout
from rich.panel import Panel
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text
from rich.tree import Tree

from bifrost.actors import ActorSnapshot, ActorState
from bifrost.core.quality import Quality, StatusCode
from bifrost.core.value import TagValue
from bifrost.demo.scene import Scene

__all__ = ["frame"]

_QUALITY_STYLE = {Quality.GOOD: "green", Quality.UNCERTAIN: "yellow", Quality.BAD: "bold red"}
_GOOD_STATES = {"connected", "running"}


def frame(scene: Scene) -> RenderableType:
    """Draw one frame of the run."""
    layout = Layout()
    layout.split_column(Layout(_head(scene), size=3), Layout(name="body"), Layout(name="foot", size=10))
    layout["body"].split_row(
        Layout(Panel(_tree(scene.tree), title="supervision tree", border_style="dim"), ratio=5),
        Layout(Panel(_tags(scene.tags), title="tags", border_style="dim"), ratio=7),
    )
    layout["foot"].split_row(
        Layout(Panel(_flow(scene), title="flow", border_style="dim"), ratio=5),
        Layout(Panel(_script(scene), title="what happened", border_style="dim"), ratio=7),
    )
    return layout


def _head(scene: Scene) -> RenderableType:
    total = scene.seconds
    row = Table.grid(expand=True, padding=(0, 1))
    row.add_column(no_wrap=True)
    row.add_column(ratio=1)
    row.add_column(justify="right", no_wrap=True)
    row.add_row(
        Text("bifrost demo", style="bold"),
        ProgressBar(total=total or 1.0, completed=min(scene.moment.at, total or 1.0)),
        Text(f"{scene.moment.at:.0f} of {total:.0f} s" if total else f"{scene.moment.at:.0f} s, until ctrl-c"),
    )
    return Panel(row, border_style="dim")


def _tree(root: ActorSnapshot) -> Tree:
    branch = Tree(_actor(root), guide_style="dim")
    _grow(branch, root)
    return branch


def _grow(branch: Tree, snapshot: ActorSnapshot) -> None:
    for child in snapshot.children:
        _grow(branch.add(_actor(child)), child)


def _actor(snapshot: ActorSnapshot) -> Text:
    running = snapshot.state is ActorState.RUNNING
    line = Text.assemble(("● " if running else "○ ", "green" if running else "red"), snapshot.id)
    if not running:
        line.append(f"  {snapshot.state.value}", style="red")
    if snapshot.restarts:
        line.append(f"  restarted {snapshot.restarts}x", style="yellow")
    return line


def _tags(tags: tuple[TagValue, ...]) -> Table:
    table = Table.grid(expand=True, padding=(0, 1))
    table.add_column(no_wrap=True)
    table.add_column(justify="right", no_wrap=True)
    table.add_column(ratio=1, no_wrap=True, overflow="ellipsis")
    for value in tags:
        quality = Text(value.quality.name, style=_QUALITY_STYLE[value.quality])
        if not value.ok:
            quality.append(f"  {_reason(value)}", style="dim")
        table.add_row(value.tag, _shown(value), quality)
    return table


def _shown(value: TagValue) -> str:
    match value.value:
        case None:
            return "-"
        case float(number):
            return f"{number:.2f}"
        case other:
            return str(other)


def _reason(value: TagValue) -> str:
    if value.error:
        return value.error
    try:
        return StatusCode(value.status).name.lower()
    except ValueError:
        return f"status 0x{value.status:08x}"


def _flow(scene: Scene) -> Table:
    moment = scene.moment
    table = Table.grid(padding=(0, 2), expand=True)
    table.add_column(style="dim", no_wrap=True, min_width=max([13] + [len(up.name) + 7 for up in scene.uplinks]))
    table.add_column(ratio=1, no_wrap=True, overflow="ellipsis")
    table.add_row("acknowledged", f"{moment.acknowledged:,} rows")
    table.add_row("delivered", f"{moment.delivered:,} rows, {scene.rate:,.0f} rows/s")
    waiting = "bold yellow" if moment.wal_rows > max(200.0, scene.rate) else ""
    table.add_row("in the buffer", Text(f"{moment.wal_rows:,} rows, {scene.wal_bytes / 1024:,.0f} KiB", style=waiting))
    for uplink in scene.uplinks:
        good = uplink.state in _GOOD_STATES and not uplink.detail
        words = Text(uplink.state, style="green" if good else "bold red")
        if uplink.detail:
            words.append(f"  {uplink.detail}", style="dim")
        table.add_row(f"uplink {uplink.name}", words)
    table.add_row("anomalies", _anomalies(scene))
    return table


def _anomalies(scene: Scene) -> str:
    return f"{len(scene.anomalies)}, last {scene.anomalies[-1]}" if scene.anomalies else "none yet"


def _script(scene: Scene) -> RenderableType:
    lines = [Text.assemble((f"{note.at:5.1f} s  ", "dim"), note.text) for note in scene.notes[-8:]]
    return Group(*lines) if lines else Text("the plant starts", style="dim")
