"""A server that answers with damaged frames: the driver ends in order, with an error of ours or with readings."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import pytest

from bifrost.core.clock import SystemClock
from bifrost.errors import LinkError, NotConnected, S7Fault, WriteError
from bifrost.plc import Tag
from bifrost.plc.s7 import S7Driver, S7Settings
from bifrost.plc.sim.s7 import S7Target
from tests.integration.leftovers import nothing_left_behind

_TAGS = [
    Tag("speed", "DB1.DBD4:REAL", access="rw", protocol="s7"),
    Tag("text", "DB1:20:STRING(20)", protocol="s7"),
    Tag("far", "DB1.DBW99", protocol="s7"),
]


async def _frame(reader: asyncio.StreamReader) -> bytes:
    header = await reader.readexactly(4)
    return header + await reader.readexactly(int.from_bytes(header[2:]) - 4)


class _Damager:
    """Relays a CPU's answers, one of them damaged; it hangs up behind that one, so that nobody has to wait."""

    def __init__(self, target: S7Target) -> None:
        self.target = target
        self.damaged = 0
        self.turn = 0
        self.random = random.Random(0)

    def prepare(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.turn = self.random.randrange(9)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        upstream, down = await asyncio.open_connection("127.0.0.1", self.target.port)
        try:
            turn = 0
            while True:
                down.write(await _frame(reader))
                answer = await _frame(upstream)
                if turn == self.turn:
                    answer = self._damage(answer)
                    self.damaged += 1
                writer.write(answer)
                if turn == self.turn:
                    break
                turn += 1
        except (asyncio.IncompleteReadError, OSError):
            pass
        finally:
            for one in (down, writer):
                one.close()

    def _damage(self, frame: bytes) -> bytes:
        damaged = bytearray(frame)
        match self.random.randrange(4):
            case 0:
                damaged[self.random.randrange(len(damaged))] = self.random.randrange(256)
            case 1:
                for _ in range(4):
                    damaged[self.random.randrange(4, len(damaged))] = self.random.randrange(256)
            case 2:
                del damaged[self.random.randrange(4, len(damaged)) :]
                damaged[2:4] = len(damaged).to_bytes(2)  # the frame is whole, its content is not
            case 3:
                damaged[4:] = self.random.randbytes(self.random.randrange(3, 60))
                damaged[2:4] = len(damaged).to_bytes(2)
        return bytes(damaged)


@asynccontextmanager
async def _damager() -> AsyncIterator[tuple[_Damager, int]]:
    async with S7Target({1: 100}) as target:
        target.put("DB1.DBD4:REAL", 20.5)
        target.put("DB1:20:STRING(20)", "valve")
        damager = _Damager(target)
        server = await asyncio.start_server(damager.serve, "127.0.0.1")
        async with server:
            yield damager, server.sockets[0].getsockname()[1]


@pytest.mark.parametrize("seeds", [range(40), range(40, 80), range(80, 120)])
async def test_damaged_answers_end_in_errors_of_ours(seeds: Sequence[int]) -> None:
    """Connecting, reading, browsing and writing raise what the contract says, and leave nothing behind."""
    async with nothing_left_behind(), _damager() as (damager, port):
        for seed in seeds:
            damager.prepare(seed)
            driver = S7Driver(S7Settings(protocol="s7", host="127.0.0.1", port=port), SystemClock())
            try:
                await driver.connect(timeout=0.5, on_lost=lambda _: None)
                readings = await driver.read(driver.plan(_TAGS), timeout=0.5)
                assert len(readings.values) == 3
                assert readings.values[2] is None
                await driver.browse(timeout=0.5)
                await driver.write(driver.prepare(_TAGS[0], 20.5), timeout=0.5)
            except (LinkError, S7Fault, WriteError):
                pass
            finally:
                await driver.aclose()
        assert damager.damaged >= len(seeds) // 2


async def test_an_attempt_to_connect_can_be_given_up_at_any_moment() -> None:
    """However far it has come, it leaves no task and no descriptor."""
    async with nothing_left_behind(), S7Target({1: 8}) as target:
        for turns in [*range(12), 20, 40, 80]:
            driver = S7Driver(S7Settings(protocol="s7", host="127.0.0.1", port=target.port), SystemClock())
            connecting = asyncio.create_task(driver.connect(timeout=1.0, on_lost=lambda _: None))
            for _ in range(turns):
                await asyncio.sleep(0)
            connecting.cancel()
            await asyncio.wait([connecting])
            await driver.aclose()
            assert connecting.cancelled() or connecting.exception() is None


async def test_a_read_can_be_given_up_at_any_moment() -> None:
    """The link is gone if a job was on its way, and good if not; never a wrong value."""
    async with nothing_left_behind(), S7Target({1: 100}) as target:
        target.put("DB1.DBD4:REAL", 20.5)
        target.put("DB1.DBW0", 7)
        one, other = Tag("speed", "DB1.DBD4:REAL", protocol="s7"), Tag("count", "DB1.DBW0", protocol="s7")
        for turns in [*range(10), 15, 20, 30]:
            driver = S7Driver(S7Settings(protocol="s7", host="127.0.0.1", port=target.port), SystemClock())
            await driver.connect(timeout=1.0, on_lost=lambda _: None)
            reading = asyncio.create_task(driver.read(driver.plan([one]), timeout=1.0))
            for _ in range(turns):
                await asyncio.sleep(0)
            reading.cancel()
            await asyncio.wait([reading])
            try:
                assert (await driver.read(driver.plan([other]), timeout=1.0)).values == [7]
            except NotConnected:
                assert turns > 0
            await driver.aclose()
