"""The write-ahead log under kill -9: whatever was acknowledged is there afterwards."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from bifrost.bridge.buffering import WalSettings, WriteAheadLog
from tests.faults.wal_writer import batch

KILLS = 30
WRITER = Path(__file__).with_name("wal_writer.py")


def write_until_killed(path: Path, durability: str, first: int, seed: int) -> dict[int, int]:
    """Run a writer, kill it at a moment that the seed chooses; return what it said was acknowledged."""
    arguments = [sys.executable, str(WRITER), str(path), durability, str(first), str(seed)]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    process = subprocess.Popen(arguments, stdout=subprocess.PIPE, env=environment)
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        time.sleep(random.Random(seed).random() ** 2 * 0.12)
    finally:
        process.send_signal(signal.SIGKILL)
        said, _ = process.communicate(timeout=10)
    lines = said.split(b"\n")[:-1]  # a line that was cut short says nothing
    return {int(line.split()[0]): int(line.split()[1]) for line in lines}


@pytest.mark.skipif(sys.platform == "win32", reason="SIGKILL")
@pytest.mark.parametrize("durability", ["sync", "normal"])
async def test_every_acknowledged_batch_survives_kill_9(tmp_path: Path, durability: str) -> None:
    """30 writers in a row are killed at seeded moments; every acknowledged batch is found again, bit for bit."""
    path = tmp_path / "wal.sqlite"
    seeds = random.Random(f"wal {durability}")
    acknowledged: dict[int, int] = {}
    buffer_id = ""
    checked = 0
    for life in range(KILLS):
        seed = seeds.randrange(1 << 32)
        acknowledged |= write_until_killed(path, durability, life * 1_000_000, seed)
        events: list[object] = []
        async with await WriteAheadLog.open(WalSettings(path=str(path)), on_event=events.append) as log:
            assert not events, f"seed {seed}: {events}"
            assert log.buffer_id == (buffer_id or log.buffer_id), f"seed {seed}: the buffer lost its identity"
            buffer_id = log.buffer_id
            await log.register_destination("test")
            found: dict[int, int] = {}
            after = checked
            while records := await log.read("test", after, limit=1000, max_bytes=1 << 24):
                for record in records:
                    stored = record.batch()
                    found[record.seq] = stored.sequence
                    assert stored == batch(stored.sequence), f"seed {seed}: record {record.seq} changed"
                after = records[-1].seq
            expected = {seq: number for seq, number in acknowledged.items() if seq > checked}
            missing = {seq: number for seq, number in expected.items() if found.get(seq) != number}
            assert not missing, f"seed {seed}: acknowledged and not there: {missing}"
            statistics = await log.statistics()
            assert statistics.quarantined == statistics.dropped_records == 0
            checked = after
    assert len(acknowledged) > KILLS, "the writers were killed before they wrote anything: the test proved nothing"
