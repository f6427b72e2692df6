"""The local historian on real files: exact, idempotent, patient with other programs, quick enough."""

from __future__ import annotations

import asyncio
import math
import sqlite3
import struct
import time
from pathlib import Path

import pytest

from bifrost.bridge.connectors.historian import HistorianSettings, HistorianUplink
from bifrost.bridge.connectors.historian_schema import value_of
from bifrost.core.batch import Batch
from bifrost.core.ports import Deferred, Delivered, Envelope
from bifrost.core.value import Value
from bifrost.errors import ConfigError, LinkError

BUFFER = "ab" * 16

VALUES: list[Value] = [
    True,
    False,
    0,
    1,
    2**63 - 1,
    -(2**63),
    2**53 + 1,
    0.0,
    -0.0,
    1.0,
    math.pi,
    5e-324,
    1.7976931348623157e308,
    math.inf,
    -math.inf,
    struct.unpack(">d", b"\x7f\xf8\x00\x00\xde\xad\xbe\xef")[0],
    "",
    "Grüße 🌈",
    "nul\0inside",
    b"",
    b"\x00\xff",
    None,
]


def bits(value: Value) -> object:
    return struct.pack(">d", value) if isinstance(value, float) else (type(value), value)


async def opened(path: Path, **options: object) -> HistorianUplink:
    uplink = HistorianUplink(HistorianSettings(path=str(path), **options))  # type: ignore[arg-type]  # a test's own
    await uplink.open()
    return uplink


def query(path: Path, sql: str) -> list[tuple[object, ...]]:
    reader = sqlite3.connect(path)
    try:
        return reader.execute(sql).fetchall()
    finally:
        reader.close()


async def test_every_kind_of_value_comes_back_bit_for_bit(tmp_path: Path) -> None:
    """Bools stay bools, 64-bit integers stay exact, floats keep every bit, NaN payload and -0.0 included."""
    path = tmp_path / "deep" / "history.sqlite"
    uplink = await opened(path)
    tags = [f"t{row:02}" for row in range(len(VALUES))]
    status = [0x8000_0000 if value is None else 0xC0FF_EE00 for value in VALUES]
    batch = Batch.from_columns(tags, list(range(len(VALUES))), VALUES, status=status, received_ts_ns=[7] * len(VALUES))
    assert await uplink.deliver([Envelope(BUFFER, 1, "telemetry", batch)]) == [Delivered()]
    await uplink.aclose()
    rows = query(path, "SELECT tag, source_ts_ns, kind, value, status, received_ts_ns FROM history ORDER BY tag")
    assert [row[0] for row in rows] == tags
    assert [row[1] for row in rows] == list(range(len(VALUES)))
    found = [value_of(row[2], row[3]) for row in rows]  # type: ignore[arg-type]  # columns of a query
    assert [bits(value) for value in found] == [bits(value) for value in VALUES]
    assert [row[4] for row in rows] == status
    assert {row[5] for row in rows} == {7}


@pytest.mark.parametrize("rows", [1, 31, 32, 33, 64, 70])
async def test_a_batch_of_any_size_is_stored_exactly_and_once(tmp_path: Path, rows: int) -> None:
    """However the rows are put together into statements, each one arrives bit for bit, those known before excepted."""
    path = tmp_path / "history.sqlite"
    values = (VALUES * 4)[:rows]
    batch = Batch.from_columns([f"t{row:02}" for row in range(rows)], list(range(rows)), values)
    known = rows // 2
    uplink = await opened(path)
    if known:
        await uplink.deliver([Envelope(BUFFER, 1, "telemetry", batch.slice(0, known))])
    assert await uplink.deliver([Envelope(BUFFER, 1, "telemetry", batch)]) == [Delivered()]
    assert uplink.figures() == {"stored": rows, "duplicates": known}
    await uplink.aclose()
    found = query(path, "SELECT tag, source_ts_ns, kind, value FROM history ORDER BY row")
    assert [row[:2] for row in found] == [(f"t{row:02}", row) for row in range(rows)]
    stored = [value_of(row[2], row[3]) for row in found]  # type: ignore[arg-type]  # columns of a query
    assert [bits(value) for value in stored] == [bits(value) for value in values]


async def test_a_replay_is_counted_as_duplicates_and_not_stored_twice(tmp_path: Path) -> None:
    """The same record again, also by another incarnation and half known, adds only what is missing."""
    path = tmp_path / "history.sqlite"
    batch = Batch.from_columns(["a", "b"], [1, 2], [1.5, 2])
    items = [Envelope(BUFFER, seq, "telemetry", batch) for seq in (1, 2, 3)]
    first = await opened(path)
    await first.deliver(items[:2])
    await first.deliver(items)
    assert first.figures() == {"stored": 6, "duplicates": 4}
    await first.aclose()
    second = await opened(path)
    await second.deliver([*items, Envelope("cd" * 16, 1, "telemetry", batch)])
    assert second.figures() == {"stored": 2, "duplicates": 6}
    await second.aclose()
    assert query(path, "SELECT count(*), count(DISTINCT buffer_id) FROM history") == [(8, 2)]


async def test_a_locked_file_defers_and_is_written_once_it_is_free(tmp_path: Path) -> None:
    """Another program's transaction makes the samples wait; nothing is lost, nothing crashes."""
    path = tmp_path / "history.sqlite"
    uplink = await opened(path, busy_timeout=0.05)
    item = Envelope(BUFFER, 1, "telemetry", Batch.from_columns(["a"], [1], [1]))
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    (outcome,) = await uplink.deliver([item])
    assert isinstance(outcome, Deferred)
    assert "locked" in outcome.reason
    other.execute("ROLLBACK")
    assert await uplink.deliver([item]) == [Delivered()]
    assert query(path, "SELECT tag, value FROM history") == [("a", 1)]
    other.close()
    await uplink.aclose()


async def test_a_file_that_is_something_else_is_a_settings_mistake(tmp_path: Path) -> None:
    """Garbage, or another program's tables of the same names: say so, and leave the file as it is."""
    garbage = tmp_path / "garbage"
    garbage.write_bytes(b"\xa5" * 10_000)
    with pytest.raises(ConfigError, match="no SQLite database"):
        await opened(garbage)
    assert garbage.read_bytes() == b"\xa5" * 10_000
    other = tmp_path / "other.sqlite"
    writer = sqlite3.connect(other)
    writer.execute("CREATE TABLE samples (name)")
    writer.close()
    with pytest.raises(ConfigError):
        await opened(other)


async def test_a_folder_that_cannot_be_made_is_to_be_retried(tmp_path: Path) -> None:
    """A path below a file cannot be opened now; mending the disk needs no restart."""
    (tmp_path / "file").write_text("x", encoding="utf-8")
    with pytest.raises(LinkError):
        await opened(tmp_path / "file" / "history.sqlite")


async def test_the_loop_stays_responsive_while_samples_are_stored(tmp_path: Path) -> None:
    """50,000 samples of 5,000 tags are stored faster than 20,000 a second, and the loop never stalls meanwhile."""
    uplink = await opened(tmp_path / "history.sqlite", synchronous="normal")
    tags = [f"device/tag{row}" for row in range(5_000)]
    stalls: list[float] = []

    async def watch() -> None:
        while True:
            before = time.perf_counter()
            await asyncio.sleep(0.005)
            stalls.append(time.perf_counter() - before)

    watcher = asyncio.create_task(watch())
    items = [
        Envelope(BUFFER, seq, "telemetry", Batch.from_columns(tags, [seq] * 5_000, [seq + 0.5] * 5_000))
        for seq in range(1, 11)
    ]
    started = time.perf_counter()
    assert await uplink.deliver(items) == [Delivered()] * 10
    elapsed = time.perf_counter() - started
    watcher.cancel()
    await uplink.aclose()
    assert elapsed < 2.5
    assert max(stalls) < 0.5, "the event loop was blocked"
