"""How fast the write-ahead log appends, beside plain `sqlite3` that commits every batch, in the same run.

Both encode each batch, both sync every commit to the disk, both write to the same folder. "In turn" awaits each append
before the next, as a single pipeline does; "together" has 32 writers, as a gateway of many devices does: there the log
shares commits, and plain `sqlite3` cannot.

Run: .venv/bin/python -m benchmarks.wal [--folder DIR]
"""

from __future__ import annotations

import argparse
import asyncio
import math
import sqlite3
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

from benchmarks._report import heading
from bifrost._native import SQLITE_VERSION
from bifrost.bridge.buffering import WalSettings, WriteAheadLog
from bifrost.core.batch import Batch

__all__ = ["main"]

_WRITERS = 32
_ROUNDS = 3


def make_batch(rows: int) -> Batch:
    """A poll of `rows` tags that look like measurements."""
    return Batch.from_columns(
        [f"press/tag{row:04}" for row in range(rows)],
        [1_700_000_000_000_000_000 + row for row in range(rows)],
        [round(20 + 5 * math.sin(row / 50), 2) for row in range(rows)],
        origin="press",
    )


def plain(batch: Batch, count: int, folder: Path) -> float:
    """Seconds for `count` appends with the standard library: one INSERT and one COMMIT each."""
    connection = sqlite3.connect(folder / "plain.sqlite", isolation_level=None)
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=FULL")
    connection.execute("CREATE TABLE records (seq INTEGER PRIMARY KEY, n INTEGER, payload BLOB)")
    started = time.perf_counter()
    for _ in range(count):
        connection.execute("BEGIN")
        connection.execute("INSERT INTO records (n, payload) VALUES (?, ?)", (len(batch), batch.encode()))
        connection.execute("COMMIT")
    elapsed = time.perf_counter() - started
    connection.close()
    return elapsed


def logged(batch: Batch, count: int, writers: int, folder: Path) -> float:
    """Seconds for `count` acknowledged appends by `writers` tasks."""

    async def run() -> float:
        async with await WriteAheadLog.open(WalSettings(path=str(folder / "wal.sqlite"), durability="sync")) as log:

            async def write() -> None:
                for _ in range(count // writers):
                    await log.append(batch)

            started = time.perf_counter()
            await asyncio.gather(*[write() for _ in range(writers)])
            return time.perf_counter() - started

    return asyncio.run(run())


def best(folder: Path | None, run: Callable[[Path], float]) -> float:
    """The best of some rounds, each in a fresh folder."""
    times = []
    for _ in range(_ROUNDS):
        with tempfile.TemporaryDirectory(dir=folder) as fresh:
            times.append(run(Path(fresh)))
    return min(times)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description="append rate of the write-ahead log")
    parser.add_argument("--folder", type=Path, help="where to write; the figures are those of its disk")
    folder: Path | None = parser.parse_args().folder
    print(heading("append rate of the write-ahead log beside a plain SQLite insert"))
    print(f"SQLite {SQLITE_VERSION} (log), {sqlite3.sqlite_version} (plain), synchronous=FULL, best of {_ROUNDS}")
    print(f"{'append':<34}{'appends/s':>12}{'rows/s':>14}{'of plain':>10}")
    for rows, count in ((1024, 640), (1, 3200)):
        batch = make_batch(rows)
        name = "1024-row batches" if rows > 1 else "single samples"
        floor = best(folder, partial(plain, batch, count))
        lines = [(f"{name}, plain sqlite3", floor)]
        for how, writers in (("in turn", 1), ("together", _WRITERS)):
            elapsed = best(folder, partial(logged, batch, count, writers))
            lines.append((f"{name}, log {how}", elapsed))
        for label, elapsed in lines:
            print(f"{label:<34}{count / elapsed:>12,.0f}{count * rows / elapsed:>14,.0f}{floor / elapsed:>9.2f}x")


if __name__ == "__main__":
    main()
