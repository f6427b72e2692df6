"""Kill -9 at any moment: what the buffer acknowledged arrives, once."""

from __future__ import annotations

import asyncio
import os
import random
import secrets
import sqlite3
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tests.integration.gateway_process import ROOT, plant_server, run_gateway, short_folder

KILLS_WHILE_DOWN = 50
KILLS_WHILE_DRAINING = 10
LONGEST_LIFE = 0.9  # seconds from the start of the process; about 0.35 of them pass before the first poll
TAGS = ("temperature", "count", "again")


@pytest.fixture
def folder() -> Iterator[Path]:
    yield from short_folder()


def settings_file(folder: Path, port: int) -> Path:
    path = folder / "gateway.toml"
    path.write_text(f"""\
[gateway]
data_dir = "data"
[devices.press]
host = "127.0.0.1"
port = {port}
interval_ms = 10
tags = [
  {{ name = "temperature", address = "HR1:FLOAT32" }},
  {{ name = "count", address = "HR3" }},
  {{ name = "again", address = "HR3" }},
]
[pipelines.all]
sinks = ["wal"]
[uplinks.local]
kind = "historian"
path = "history.sqlite"
busy_timeout = 0.02
[uplinks.local.delivery]
batch_records = 8
retry = {{ base = 0.05, cap = 0.2 }}
""")
    return path


async def live_and_die(settings: Path, journal: Path, seconds: float) -> None:
    """Run a gateway for some time from the start of its process, then kill it."""
    with settings.with_suffix(".err").open("ab") as stderr:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            str(ROOT / "tests" / "faults" / "gateway_runner.py"),
            str(settings),
            str(journal),
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stderr=stderr,
        )
        try:
            await asyncio.sleep(seconds)
            assert process.returncode is None, settings.with_suffix(".err").read_text()
        finally:
            if process.returncode is None:
                process.kill()
            await process.wait()


def acknowledged(journal: Path) -> set[int]:
    """Read what was acknowledged; a line may have been cut off by the kill."""
    text = journal.read_text() if journal.exists() else ""
    return {int(line) for line in text.splitlines(keepends=True) if line.endswith("\n")} - {0}


def stored(history: Path) -> tuple[Counter[int], int]:
    """Count the rows of each place in the historian, and rows with the same tag and time."""
    with closing(sqlite3.connect(history)) as database:
        places = Counter(dict(database.execute("SELECT seq, count(*) FROM samples GROUP BY seq")))
        (repeated,) = database.execute(
            "SELECT count(*) FROM (SELECT 1 FROM samples GROUP BY tag, source_ts_ns HAVING count(*) > 1)"
        ).fetchone()
    return places, repeated


@pytest.mark.timeout(180)
async def test_every_acknowledged_sample_survives_kills_and_arrives_once(folder: Path) -> None:
    """Killed at 60 random moments, most while the uplink is down: all that was acknowledged is delivered, once."""
    seed = int(os.environ.get("BIFROST_FAULT_SEED", "") or secrets.randbits(32))
    print(f"BIFROST_FAULT_SEED={seed}")  # noqa: T201 - repeats a failed run
    moments = random.Random(seed)
    journal, history = folder / "acknowledged.txt", folder / "data" / "history.sqlite"
    history.parent.mkdir()
    lives_with_acknowledgements = 0
    async with plant_server() as server:
        settings = settings_file(folder, server.port)
        with closing(sqlite3.connect(history, isolation_level=None)) as holder:
            holder.execute("PRAGMA journal_mode=WAL")
            holder.execute("BEGIN IMMEDIATE")  # the historian cannot be written: the uplink is down
            for _ in range(KILLS_WHILE_DOWN):
                before = len(acknowledged(journal))
                await live_and_die(settings, journal, moments.uniform(0.0, LONGEST_LIFE))
                lives_with_acknowledgements += len(acknowledged(journal)) > before
            assert holder.execute("SELECT count(*) FROM sqlite_master").fetchone() == (0,)  # nothing got through
            holder.execute("ROLLBACK")
        while_down = acknowledged(journal)
        for _ in range(KILLS_WHILE_DRAINING):
            await live_and_die(settings, journal, moments.uniform(0.3, LONGEST_LIFE))
        async with run_gateway(settings) as gateway:
            assert await gateway.stop() == 0  # an orderly stop drains the uplink
    acked = acknowledged(journal)
    places, repeated = stored(history)
    facts = f"seed {seed}: {len(acked)} acknowledged, {len(while_down)} while down, {len(places)} stored"
    print(facts)  # noqa: T201 - shown with a failure, or with -s
    assert lives_with_acknowledgements >= KILLS_WHILE_DOWN // 3, facts
    assert len(while_down) > 5 * KILLS_WHILE_DOWN, facts
    assert sorted(acked - set(places)) == [], facts
    assert {seq: rows for seq, rows in places.items() if rows != len(TAGS)} == {}, facts
    assert repeated == 0, facts
