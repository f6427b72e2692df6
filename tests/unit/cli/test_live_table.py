"""What the live table makes of names, values and errors that look like something else."""

from __future__ import annotations

import io
from contextlib import aclosing
from typing import Any, cast

import pytest

from bifrost.testing import VirtualClock
from tests.unit.plc.memory import Machine, memory

pytest.importorskip("rich", reason="needs the extra console: pip install 'bifrost-edge[console]'")

from rich.console import Console

from bifrost.cli.live_table import draw


async def test_texts_of_a_device_are_shown_as_they_are(clock: VirtualClock) -> None:
    """Neither markup, nor emoji, nor control characters of a terminal; a backslash is one."""
    texts = ["[red]x[/]", ":warning:", "end\\", "[/nope]", "a:on:b"]
    machine = Machine({f"{text}{number}": text for number, text in enumerate(texts)} | {"esc": "\x1b[31m"})
    async with memory(machine)(clock) as plc:
        async with aclosing(cast(Any, plc.poll(interval_ms=100.0))) as snapshots:
            snapshot = await anext(snapshots)
        out = io.StringIO()
        Console(file=out, width=200, force_terminal=False).print(draw(snapshot, plc, "memory://[x]:on:"))
    drawn = out.getvalue()
    for text in [*machine.values, *texts, "memory://[x]:on:", r"\x1b[31m"]:
        assert text in drawn
    assert "\x1b" not in drawn
