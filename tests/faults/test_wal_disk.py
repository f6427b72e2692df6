"""The write-ahead log on a bad disk: full, damaged, gone; and under clocks that jump."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from bifrost.bridge.buffering import WalEvent, WalSettings, WalSink, WriteAheadLog
from bifrost.core.batch import Batch
from bifrost.core.clock import SystemClock
from bifrost.errors import BufferClosed, BufferFull, ConfigError, Rejected, RetryLater, WalError


def batch(number: int, size: int = 9_000) -> Batch:
    """About `size` bytes that no compression makes smaller."""
    return Batch.from_columns(["blob"], [number], [random.Random(number).randbytes(size)], sequence=number)


async def fill(log: WriteAheadLog, *, timeout: float | None = 30.0) -> list[int]:
    """Append until the log takes no more; the error is the caller's."""
    acknowledged: list[int] = []
    try:
        while len(acknowledged) < 1_000:
            acknowledged.append(await log.append(batch(len(acknowledged) + 1), timeout=timeout))
    except (BufferFull, TimeoutError) as error:
        FULL.append(error)
    return acknowledged


FULL: list[Exception] = []


class EverySecond(SystemClock):
    """A clock on which a second passes between any two looks."""

    def __init__(self) -> None:
        self._now = 0.0

    def monotonic(self) -> float:
        self._now += 1.0
        return self._now


def contents(path: str | int) -> bytes:
    return Path(str(path)).read_bytes()


async def everything(log: WriteAheadLog) -> list[int]:
    found: list[int] = []
    while records := await log.read("cloud", found[-1] if found else None, limit=50):
        for record in records:
            assert record.batch() == batch(record.batch().sequence)
            found.append(record.seq)
    return found


def mount(folder: Path, options: str) -> None:
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", folder], check=False, capture_output=True)
    if done.returncode:
        pytest.skip(f"cannot mount a tmpfs here: {done.stderr.decode()}")


def unmount(folder: Path) -> None:
    subprocess.run(["umount", folder], check=False)


@pytest.mark.skipif(sys.platform != "linux" or os.geteuid() != 0, reason="needs tmpfs and root to mount it")
async def test_a_full_disk_is_an_answer_and_ends_when_there_is_room(tmp_path: Path) -> None:
    """ENOSPC on a real, tiny file system: `BufferFull`, nothing acknowledged is lost, and appends work again later."""
    folder = tmp_path / "tiny"
    folder.mkdir()
    await asyncio.to_thread(mount, folder, "size=2m")
    try:
        async with await WriteAheadLog.open(WalSettings(path=str(folder / "wal.sqlite"))) as log:
            await log.register_destination("cloud")
            acknowledged = await fill(log)
            assert "disk" in str(FULL.pop())
            assert len(acknowledged) > 20
            with pytest.raises(RetryLater):
                await WalSink(log).write(batch(0, 500_000))
            assert await everything(log) == acknowledged
            for _ in range(5):  # never a busy loop: each failing append answers by itself
                with pytest.raises(BufferFull):
                    await log.append(batch(0, 500_000))
        await asyncio.to_thread(mount, folder, "remount,size=16m")
        async with await WriteAheadLog.open(WalSettings(path=str(folder / "wal.sqlite"))) as log:
            assert await everything(log) == acknowledged
            assert await log.append(batch(2_000)) == acknowledged[-1] + 1
    finally:
        await asyncio.to_thread(unmount, folder)


async def test_the_cap_rejects_or_drops_the_oldest_and_says_so(tmp_path: Path) -> None:
    """At `max_bytes`, ``reject`` answers `BufferFull`; ``drop_oldest`` counts what it deletes and reports the gap."""
    settings = WalSettings(path=str(tmp_path / "reject.sqlite"), max_bytes=1 << 20, on_full="reject")
    async with await WriteAheadLog.open(settings) as log:
        await log.register_destination("cloud")
        await fill(log)
        assert "max_bytes" in str(FULL.pop())
        assert (await log.statistics()).dropped_records == 0
    events: list[WalEvent] = []
    settings = WalSettings(path=str(tmp_path / "drop.sqlite"), max_bytes=1 << 20)
    async with await WriteAheadLog.open(settings, on_event=events.append) as log:
        await log.register_destination("cloud")
        for number in range(300):
            await log.append(batch(number))
        statistics = await log.statistics()
        found = await everything(log)
        (gap,) = await log.gaps()
    assert statistics.file_bytes + statistics.wal_bytes <= 1 << 20
    assert found == list(range(statistics.dropped_records + 1, 301))
    assert (gap.first_seq, gap.last_seq, gap.records) == (1, found[0] - 1, statistics.dropped_records)
    assert {event.kind for event in events} == {"dropped"}
    assert sum(int(event.details["records"]) for event in events) == gap.records


async def test_a_blocked_append_ends_with_its_deadline_or_with_room(tmp_path: Path) -> None:
    """``block`` gives backpressure: the append waits, times out by its own deadline, and goes on after an ack."""
    settings = WalSettings(path=str(tmp_path / "wal.sqlite"), max_bytes=1 << 20, on_full="block")
    async with await WriteAheadLog.open(settings) as log:
        await log.register_destination("cloud")
        stored = len(await fill(log, timeout=0.2))
        assert isinstance(FULL.pop(), TimeoutError)
        waiting = asyncio.create_task(log.append(batch(stored + 1)))
        await asyncio.sleep(0.05)
        assert not waiting.done()
        await log.ack("cloud", stored)
        assert await asyncio.wait_for(waiting, 5) > stored


async def test_a_batch_that_waited_for_room_is_stored_once(tmp_path: Path) -> None:
    """However often a pipeline gives up waiting and comes back with the same batch, it has one place in the log."""
    settings = WalSettings(path=str(tmp_path / "wal.sqlite"), max_bytes=1 << 20, on_full="block")
    async with await WriteAheadLog.open(settings) as log:
        await log.register_destination("cloud")
        stored = len(await fill(log, timeout=0.2))
        FULL.pop()
        blocked = (await log.statistics()).blocked  # what `fill` left behind
        sink, late = WalSink(log, timeout=0.05), batch(5_000)
        for _ in range(5):
            with pytest.raises(RetryLater):
                await sink.write(late)
        with pytest.raises(TimeoutError):  # a stage that is less patient than the sink
            async with asyncio.timeout(0.01):
                await sink.write(late)
        assert (await log.statistics()).blocked == blocked + 1
        await log.ack("cloud", stored)
        await sink.write(late)
        await sink.write(batch(5_001))
        sequences = [record.batch().sequence for record in await log.read("cloud", limit=1_000)]
    assert sequences[-2:] == [5_000, 5_001]
    assert len(sequences) == len(set(sequences))


async def test_a_batch_that_is_too_large_goes_in_parts(tmp_path: Path) -> None:
    """A pipeline cannot make its batch smaller: the sink does, in order; only a row that never fits is rejected."""
    settings = WalSettings(path=str(tmp_path / "wal.sqlite"), max_bytes=1 << 20)
    large = Batch.concat([batch(number, 30_000) for number in range(20)])
    async with await WriteAheadLog.open(settings) as log:
        await log.register_destination("cloud")
        await WalSink(log).write(large)
        with pytest.raises(Rejected):
            await WalSink(log).write(batch(1, 200_000))
        records = await log.read("cloud", limit=100, max_bytes=1 << 24)
    assert len(records) > 1
    assert [row for record in records for row in record.batch().rows()] == large.rows()


async def test_a_file_that_another_program_holds_loses_no_batch(tmp_path: Path) -> None:
    """A person who looks into the file with a transaction open delays the pipeline, and that is all."""
    path = tmp_path / "wal.sqlite"
    async with await WriteAheadLog.open(WalSettings(path=str(path))) as log:
        await log.append(batch(1))
        code = (
            "import sqlite3, sys; held = sqlite3.connect(sys.argv[1], isolation_level=None)\n"
            "held.execute('BEGIN IMMEDIATE'); print('held', flush=True); sys.stdin.read()"
        )
        holder = subprocess.Popen(  # noqa: ASYNC220 - forking takes a moment, and nothing else runs on this loop
            [sys.executable, "-c", code, path], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        with holder:
            assert holder.stdout is not None
            assert holder.stdout.readline() == b"held\n"
            with pytest.raises(RetryLater, match="another program"):
                await WalSink(log).write(batch(2))
            holder.kill()
        await WalSink(log).write(batch(2))
        assert (await log.statistics()).records == 2


async def test_a_folder_that_vanishes_is_made_again(tmp_path: Path) -> None:
    """Somebody empties the data directory under a running gateway: nothing that was acknowledged is lost."""
    folder = tmp_path / "data"
    events: list[WalEvent] = []
    settings = WalSettings(path=str(folder / "wal.sqlite"), min_free_disk=1)
    async with await WriteAheadLog.open(settings, on_event=events.append, clock=EverySecond()) as log:
        await log.register_destination("cloud")
        acknowledged = [await log.append(batch(number)) for number in range(5)]
        await asyncio.to_thread(shutil.rmtree, folder)
        acknowledged.append(await log.append(batch(5)))
    assert [event.kind for event in events] == ["recovered"]
    async with await WriteAheadLog.open(settings) as log:
        assert await everything(log) == acknowledged


async def test_low_disk_space_stops_growth(tmp_path: Path) -> None:
    """With less free space than `min_free_disk`, the file does not grow; the policy of the cap applies."""
    reserve = shutil.disk_usage(tmp_path).total * 2
    settings = WalSettings(path=str(tmp_path / "wal.sqlite"), min_free_disk=reserve, on_full="reject")
    async with await WriteAheadLog.open(settings) as log:
        await fill(log)
        assert "disk space" in str(FULL.pop())


async def test_a_damaged_file_is_put_aside_and_reported(tmp_path: Path) -> None:
    """Garbage in place of the file: the start succeeds, the event names the copy, the log works."""
    path = tmp_path / "wal.sqlite"
    path.write_bytes(random.Random(1).randbytes(50_000))
    events: list[WalEvent] = []
    async with await WriteAheadLog.open(WalSettings(path=str(path)), on_event=events.append) as log:
        await log.append(batch(1))
    (event,) = events
    assert event.kind == "recovered"
    assert contents(event.details["path"]) == random.Random(1).randbytes(50_000)


async def test_random_damage_never_crashes_the_process(tmp_path: Path) -> None:
    """Bits flipped over all pages, the journal included: it opens, reads what is sound, appends, closes."""
    sound = tmp_path / "sound"
    sound.mkdir()
    settings = WalSettings(path=str(sound / "wal.sqlite"), durability="normal")
    async with await WriteAheadLog.open(settings) as log:
        await log.register_destination("cloud")
        for number in range(1, 60):
            await log.append(batch(number, 2_000))
        copies = {path.name: path.read_bytes() for path in sound.iterdir() if path.suffix != ".lock"}  # as if killed
    draw = random.Random(7)
    for round_number in range(60):
        folder = tmp_path / f"round{round_number}"
        folder.mkdir()
        for name, content in copies.items():
            damaged = bytearray(content)
            for _ in range(draw.choice([1, 3, 30])):
                if damaged and not name.endswith("-shm"):
                    damaged[draw.randrange(len(damaged))] ^= 1 << draw.randrange(8)
            (folder / name).write_bytes(damaged)
        log = await WriteAheadLog.open(WalSettings(path=str(folder / "wal.sqlite"), durability="normal"))
        await log.register_destination("cloud")
        after = None
        while records := await log.read("cloud", after, limit=50):
            for record in records:
                assert record.batch() == batch(record.batch().sequence, 2_000), f"round {round_number}: forged"
            after = records[-1].seq
        assert await log.append(batch(0, 10)) > 0
        await log.aclose()
        shutil.rmtree(folder)


async def test_another_process_keeps_out(tmp_path: Path) -> None:
    """The lock names the process that holds it, and ends with it."""
    path = tmp_path / "wal.sqlite"
    code = (
        "import asyncio, sys; from bifrost.bridge.buffering import *\n"
        "async def main():\n"
        "    log = await WriteAheadLog.open(WalSettings(path=sys.argv[1])); print('open', flush=True)\n"
        "    await asyncio.sleep(60)\n"
        "asyncio.run(main())"
    )
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    holder = subprocess.Popen(  # noqa: ASYNC220 - forking takes a moment, and nothing else runs on this loop
        [sys.executable, "-c", code, str(path)], stdout=subprocess.PIPE, env=environment
    )
    assert holder.stdout is not None
    try:
        assert holder.stdout.readline() == b"open\n"
        with pytest.raises(WalError, match=f"process {holder.pid}"):
            await WriteAheadLog.open(WalSettings(path=str(path)))
    finally:
        holder.kill()
        holder.wait(10)
        holder.stdout.close()
    await (await WriteAheadLog.open(WalSettings(path=str(path)))).aclose()


async def test_clocks_that_jump_change_neither_order_nor_deletion(tmp_path: Path) -> None:
    """Source times that run backwards, or lie in 1970 and 2262, are data: order and cursors follow the place alone."""
    times = [10**18, 0, -(10**18), 2**63 - 1, 5, 10**18 - 1]
    async with await WriteAheadLog.open(WalSettings(path=str(tmp_path / "wal.sqlite"))) as log:
        await log.register_destination("cloud")
        for number, source_ts in enumerate(times):
            await log.append(Batch.from_columns(["t"], [source_ts], [number]))
        await log.ack("cloud", 2)
        records = await log.read("cloud")
    assert [record.first_ts_ns for record in records] == times[2:]
    assert [record.seq for record in records] == [3, 4, 5, 6]


async def test_what_cannot_be_is_refused_before_any_io(tmp_path: Path) -> None:
    """Empty batches, unknown destinations, wrong options and a closed log are named errors."""
    with pytest.raises(ConfigError, match="at least"):
        await WriteAheadLog.open(WalSettings(path=str(tmp_path / "x" / "wal.sqlite"), max_bytes=5))
    assert not (tmp_path / "x").exists()
    log = await WriteAheadLog.open(WalSettings(path=str(tmp_path / "wal.sqlite")))
    with pytest.raises(ConfigError):
        await log.append(Batch.from_columns([], [], []))
    with pytest.raises(WalError, match="register"):
        await log.read("nobody")
    with pytest.raises(ConfigError, match="tomorrow"):
        await log.register_destination("cloud", start="tomorrow")
    await log.aclose()
    with pytest.raises(BufferClosed):
        await log.append(batch(1))


def test_a_loop_that_is_closed_under_the_log_hangs_nothing(tmp_path: Path) -> None:
    """A program that ends its loop without closing the log still ends, and what was appended is there."""
    path = tmp_path / "wal.sqlite"
    code = (
        "import asyncio, sys; from bifrost.bridge.buffering import *; from bifrost.core.batch import Batch\n"
        "async def main():\n"
        "    log = await WriteAheadLog.open(WalSettings(path=sys.argv[1]))\n"
        "    for n in range(50): await log.append(Batch.from_columns(['t'], [n], [n]))\n"
        "    for n in range(500): asyncio.ensure_future(log.append(Batch.from_columns(['t'], [n], [n])))\n"
        "    await asyncio.sleep(0)\n"
        "    return log\n"
        "loop = asyncio.new_event_loop(); log = loop.run_until_complete(main())\n"
        "for task in asyncio.all_tasks(loop): task._log_destroy_pending = False\n"
        "loop.close()"
    )
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    started = time.monotonic()
    subprocess.run([sys.executable, "-c", code, str(path)], check=True, timeout=20, env=environment)
    assert time.monotonic() - started < 10

    async def count() -> int:
        async with await WriteAheadLog.open(WalSettings(path=str(path))) as log:
            return (await log.statistics()).records

    assert asyncio.run(count()) >= 50


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_forked_child_ends_without_the_parents_log(tmp_path: Path) -> None:
    """A program that forks with a log open: the child has no thread to wait for, and the parent's log goes on."""
    script = tmp_path / "forks.py"
    script.write_text(
        "import asyncio, os, sys\n"
        "from bifrost.bridge.buffering import WalSettings, WriteAheadLog\n"
        "from bifrost.core.batch import Batch\n"
        "async def opened():\n"
        "    return await WriteAheadLog.open(WalSettings(path=sys.argv[1]))\n"
        "loop = asyncio.new_event_loop()\n"
        "log = loop.run_until_complete(opened())\n"
        "child = os.fork()\n"
        "if child == 0:\n"
        "    sys.exit(0)\n"
        "assert os.waitpid(child, 0)[1] == 0\n"
        "assert loop.run_until_complete(log.append(Batch.from_columns(['t'], [1], [1]))) == 1\n"
        "loop.run_until_complete(log.aclose())\n"
        "loop.close()\n",
        encoding="utf-8",
    )
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    with subprocess.Popen(
        [sys.executable, script, tmp_path / "wal.sqlite"], env=environment, process_group=0
    ) as parent:
        try:
            assert parent.wait(10) == 0
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(parent.pid, signal.SIGKILL)  # a child that hangs too
