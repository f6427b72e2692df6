"""A gateway in a process of its own, and the `bifrost` command as a user calls it."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass
from pathlib import Path

from bifrost.plc.datatypes import DataType
from bifrost.plc.modbus.address import Area
from bifrost.plc.sim import ModbusTcpServer, RegisterBank

ROOT = Path(__file__).parents[2]

__all__ = ["ROOT", "Finished", "GatewayProcess", "bifrost", "history", "plant_server", "run_gateway", "short_folder"]


@dataclass(frozen=True)
class Finished:
    """What a command left."""

    code: int
    out: str
    err: str


def _environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"}


async def bifrost(*arguments: str | Path, timeout: float = 20.0) -> Finished:
    """Call `bifrost` and wait for its end."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "bifrost",
        *map(str, arguments),
        env=_environment(),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        async with asyncio.timeout(timeout):
            out, err = await process.communicate()
    except BaseException:
        process.kill()
        await process.wait()
        raise
    return Finished(process.returncode or 0, out.decode(), err.decode())


class GatewayProcess:
    """A running `bifrost run`."""

    def __init__(self, process: asyncio.subprocess.Process, log: Path) -> None:
        self.process = process
        self._log = log

    def log(self) -> str:
        """What it wrote to stderr so far."""
        return self._log.read_text()

    async def stop(self, *, timeout: float = 20.0) -> int:
        """Ask it to stop with SIGTERM; returns its exit code."""
        if self.process.returncode is None:
            self.process.terminate()
        async with asyncio.timeout(timeout):
            return await self.process.wait()

    async def kill(self) -> None:
        """End it as a power cut would."""
        if self.process.returncode is None:
            self.process.kill()
        await self.process.wait()


@asynccontextmanager
async def run_gateway(settings: Path, *, python: Sequence[str] = ("-m", "bifrost")) -> AsyncIterator[GatewayProcess]:
    """Run a gateway until its control socket is there, and for the length of the block.

    Args:
        settings: its file.
        python: what Python is called with before ``run``.
    """
    log = settings.with_suffix(".log")
    with log.open("wb") as stderr:
        process = await asyncio.create_subprocess_exec(
            sys.executable, *python, "run", str(settings), env=_environment(), stderr=stderr
        )
    gateway = GatewayProcess(process, log)
    try:
        async with asyncio.timeout(20):
            while "gateway" not in gateway.log() or " runs with " not in gateway.log():
                assert process.returncode is None, gateway.log()
                await asyncio.sleep(0.02)
        yield gateway
    finally:
        await gateway.kill()


@asynccontextmanager
async def plant_server(value: float = 21.5) -> AsyncIterator[ModbusTcpServer]:
    """A simulated device: HR1 holds a FLOAT32, HR3 the number 7."""
    bank = RegisterBank()
    bank.put(Area.HOLDING, 0, value, DataType.FLOAT32)
    bank.put(Area.HOLDING, 2, 7)
    async with ModbusTcpServer(bank) as server:
        yield server


def short_folder() -> Iterator[Path]:
    """A folder whose path leaves room for a socket's name, which a path of pytest's may not."""
    with tempfile.TemporaryDirectory(prefix="bf", ignore_cleanup_errors=True) as folder:
        yield Path(folder)


def history(path: Path, where: str = "1") -> Sequence[tuple[str, int, int]]:
    """Read tag, source time and status of a historian's rows, in the order of their arrival."""
    query = f"SELECT tags.name, source_ts_ns, status FROM samples JOIN tags ON tags.id = tag WHERE {where} ORDER BY seq"
    with closing(sqlite3.connect(path)) as database:
        return database.execute(query).fetchall()
