from __future__ import annotations

import asyncio
import struct
from array import array

import pytest

from bifrost.demo.press import Press
from bifrost.demo.recording import Recording
from bifrost.errors import ConfigError
from bifrost.plc.modbus.address import Area
from bifrost.testing import VirtualClock


def recording(samples: int) -> Recording:
    return Recording(
        array("q", [1000 + 300 * at for at in range(samples)]), array("d", [at + 0.5 for at in range(samples)])
    )


def read(press: Press) -> tuple[int, float, int, int]:
    words = press.bank.read(Area.HOLDING, 0, 8)
    recorded_at, temperature, index, due = struct.unpack(">IfII", struct.pack(">8H", *words))
    return recorded_at, temperature, index, due


async def test_the_replay_waits_for_the_first_read(clock: VirtualClock) -> None:
    """However late the first reader comes, it sees the first record."""
    press = Press(recording(10), seconds=10.0, clock=clock)
    assert press.shown == 0
    assert read(press) == (1000, 0.5, 0, 0)


async def test_no_record_is_skipped_however_late_a_read_comes(clock: VirtualClock) -> None:
    """After a pause of five periods the next read shows the next record, and tells how many are due behind it."""
    press = Press(recording(10), seconds=10.0, clock=clock)
    seen = [read(press)[2]]
    await asyncio.sleep(5.5)
    late = [read(press)[2:] for _ in range(6)]
    assert late == [(1, 4), (2, 3), (3, 2), (4, 1), (5, 0), (5, 0)]
    seen += sorted({index for index, _ in late})
    assert seen == [0, 1, 2, 3, 4, 5]


async def test_the_end_is_announced_and_the_last_record_held(clock: VirtualClock) -> None:
    """`finished` is set once the last record was read, not before, and stays."""
    press = Press(recording(3), seconds=3.0, clock=clock)
    for expected in (0, 1, 2, 2):
        assert press.bank.read(Area.DISCRETE_INPUT, 1, 1) == [int(press.finished)]
        assert read(press)[2] == expected
        await asyncio.sleep(1.0)
    assert press.bank.read(Area.DISCRETE_INPUT, 0, 2) == [0, 1]


async def test_a_write_to_the_coil_starts_the_replay(clock: VirtualClock) -> None:
    """Two periods after the start, two records are due behind the first."""
    press = Press(recording(10), seconds=10.0, clock=clock)
    press.bank.write(Area.COIL, 0, [1])
    await asyncio.sleep(2.5)
    assert read(press)[2:] == (0, 2)
    assert press.bank.read(Area.DISCRETE_INPUT, 0, 1) == [1]


async def test_reads_beside_the_block_leave_the_record_alone(clock: VirtualClock) -> None:
    """Only a read of the first register takes the next record; the discrete inputs never do."""
    press = Press(recording(10), seconds=10.0, clock=clock)
    read(press)
    await asyncio.sleep(3.5)
    press.bank.read(Area.DISCRETE_INPUT, 0, 2)
    press.bank.read(Area.HOLDING, 2, 6)
    assert press.shown == 0
    assert read(press)[2] == 1


def test_a_replay_takes_time() -> None:
    """Zero, negative and endless durations are refused."""
    for seconds in (0.0, -1.0, float("inf"), float("nan")):
        with pytest.raises(ConfigError, match="positive"):
            Press(recording(2), seconds=seconds)
