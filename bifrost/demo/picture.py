"""The picture of a demo run: the machine's series with what was found in it, above what the gateway lived through.

In: the series, the anomalies and the run's record. Out: one PNG file. Needs matplotlib (extra `demo`).
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.dates import AutoDateLocator, ConciseDateFormatter, date2num
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from bifrost.demo.labels import Assessment
from bifrost.demo.record import Record

__all__ = ["Series", "draw"]

Series = Sequence[tuple[int, float]]
"""Pairs of source time (ns since 1970, UTC) and value."""

_INK, _MUTED, _GRID = "#1b2733", "#6b7a88", "#e4e9ee"
_LINE, _MEAN, _HIT, _FALSE, _LABEL = "#8fb8de", "#1f5f99", "#1a7f37", "#c4320a", "#ffe2a8"
_ACKNOWLEDGED, _DELIVERED, _WAL = "#1f5f99", "#1a7f37", "#b06a00"
_STATES = {"connected": "#1a7f37", "degraded": "#b06a00", "connecting": "#d9a441", "starting": "#d9a441"}
_STATE_OTHER = "#c4320a"


def draw(
    path: Path, *, series: Series, means: Series, anomalies: Series, assessment: Assessment, record: Record
) -> None:
    """Draw the run and write it as a PNG of about 1,600 by 1,150 pixels.

    Args:
        path: where to write; its folder exists.
        series: the temperature as it arrived in the historian, time order.
        means: the windowed means of the same.
        anomalies: time and windowed mean of each detected anomaly.
        assessment: the anomalies held against the labelled windows.
        record: moments and notes of the run.
    """
    with mpl.rc_context({"font.size": 10, "font.family": "DejaVu Sans", "axes.edgecolor": _GRID, "text.color": _INK}):
        figure = Figure(figsize=(14.5, 10.4), dpi=110, facecolor="white", layout="constrained")
        FigureCanvasAgg(figure)
        top, rates, depth, states = figure.subplots(4, 1, height_ratios=[5.2, 2.1, 1.6, 1.3])
        _draw_series(top, series=series, means=means, anomalies=anomalies, assessment=assessment)
        _draw_rates(rates, record)
        _draw_wal(depth, record)
        _draw_states(states, record)
        for axes in (rates, depth):
            axes.sharex(states)
            axes.tick_params(labelbottom=False)
        states.set_xlabel("seconds of the run", color=_MUTED)
        figure.savefig(path)


def _plain(axes: Axes, title: str) -> None:
    axes.set_title(title, loc="left", fontweight="bold", color=_INK)
    axes.grid(visible=True, color=_GRID, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.tick_params(colors=_MUTED, length=0)
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)


def _day(ts_ns: int) -> float:
    return float(date2num(datetime.fromtimestamp(ts_ns / 1e9, tz=UTC)))


def _draw_series(axes: Axes, *, series: Series, means: Series, anomalies: Series, assessment: Assessment) -> None:
    total = len(assessment.windows)
    _plain(
        axes,
        f"press/temperature, recorded machine data: {assessment.found_count} of {total} labelled windows found, "
        f"{assessment.false_episodes} false alarms",
    )
    for window in assessment.windows:
        axes.axvspan(_day(window.start_ns), _day(window.end_ns), color=_LABEL, lw=0)
    axes.plot([_day(ts) for ts, _ in series], [value for _, value in series], color=_LINE, lw=0.7)
    axes.plot([_day(ts) for ts, _ in means], [value for _, value in means], color=_MEAN, lw=1.1)
    false = set(assessment.false_alarms)
    for chosen, colour, marker in ((False, _HIT, "o"), (True, _FALSE, "X")):
        points = [(ts, value) for ts, value in anomalies if (ts in false) is chosen]
        axes.plot(
            [_day(ts) for ts, _ in points], [value for _, value in points],
            linestyle="none", marker=marker, ms=7, mfc=colour, mec="white", mew=0.9, zorder=4,
        )  # fmt: skip
    locator = AutoDateLocator()
    axes.xaxis.set_major_locator(locator)
    axes.xaxis.set_major_formatter(ConciseDateFormatter(locator))
    axes.set_ylabel("°F as recorded", color=_MUTED)
    axes.margins(x=0.01)
    handles: list[Line2D | Patch] = [
        Line2D([], [], color=_LINE, lw=1.4, label="polled over Modbus TCP"),
        Line2D([], [], color=_MEAN, lw=1.6, label="windowed mean"),
        Patch(color=_LABEL, label="labelled anomaly"),
        Line2D([], [], color=_HIT, marker="o", ls="none", label="detected inside a label"),
        Line2D([], [], color=_FALSE, marker="X", ls="none", label="false alarm"),
    ]
    axes.legend(handles=handles, loc="lower left", ncols=5, frameon=False, fontsize=9)


def _draw_rates(axes: Axes, record: Record) -> None:
    _plain(axes, "rows since the start")
    at = [moment.at for moment in record.moments]
    acknowledged = [moment.acknowledged for moment in record.moments]
    axes.plot(at, acknowledged, color=_ACKNOWLEDGED, lw=1.4, label="acknowledged by the buffer")
    axes.plot(
        at,
        [moment.delivered for moment in record.moments],
        color=_DELIVERED,
        lw=1.4,
        label="delivered by the uplinks",
    )
    axes.legend(loc="lower right", frameon=False, fontsize=9, ncols=2)
    axes.set_ylim(bottom=0)
    _mark_notes(axes, record)


def _draw_wal(axes: Axes, record: Record) -> None:
    _plain(axes, "rows that wait in the write-ahead buffer")
    at = [moment.at for moment in record.moments]
    axes.fill_between(at, [moment.wal_rows for moment in record.moments], color=_WAL, alpha=0.85, lw=0)
    axes.set_ylim(bottom=0)
    _mark_notes(axes, record, numbers=False)


def _mark_notes(axes: Axes, record: Record, *, numbers: bool = True) -> None:
    for number, note in enumerate(record.notes, start=1):
        axes.axvline(note.at, color=_MUTED, lw=0.8, ls=(0, (3, 3)))
        if numbers:
            axes.annotate(
                str(number), (note.at, 0.93), xycoords=("data", "axes fraction"), ha="center", va="center", fontsize=8,
                color="white", bbox={"boxstyle": "circle,pad=0.25", "fc": _INK, "ec": "none"},
            )  # fmt: skip


def _draw_states(axes: Axes, record: Record) -> None:
    script = "   ".join(f"{number} {note.text}" for number, note in enumerate(record.notes, start=1))
    _plain(axes, "devices (green: connected, amber: connecting, red: down)")
    names = list(dict.fromkeys(name for moment in record.moments for name in moment.devices))
    for row, name in enumerate(names):
        for moment, following in zip(record.moments, record.moments[1:], strict=False):
            state = moment.devices.get(name)
            if state is not None:
                colour = _STATES.get(state, _STATE_OTHER)
                axes.barh(row, following.at - moment.at, left=moment.at, height=0.62, color=colour, lw=0)
    axes.set_yticks(range(len(names)), names)
    axes.invert_yaxis()
    axes.grid(visible=False, axis="y")
    axes.margins(x=0.01)
    axes.annotate(
        script, (0, 0), xycoords="axes fraction", xytext=(0, -44), textcoords="offset points",
        fontsize=8.5, color=_MUTED, va="top",
    )  # fmt: skip
