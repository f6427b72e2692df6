"""Faults that the demo's script inflicts on uplinks: a locked historian file, a cut network path.

In: what to break. Out: context managers and switches. Run as ``python -m bifrost.demo.outage FILE`` it holds the
exclusive lock of an SQLite file until its standard input closes, as a stuck backup tool would.
"""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
import sys
from pathlib import Path

__all__ = ["FileLock", "Forwarder", "main"]

_CHUNK = 65536


class FileLock:
    """A separate process that holds an SQLite file's exclusive lock: writers are refused, readers are not.

    Args:
        path: the database file.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._process: asyncio.subprocess.Process | None = None

    async def cut(self) -> None:
        """Take the lock; returns once it is held."""
        self._process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "bifrost.demo.outage", str(self._path),
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
        )  # fmt: skip
        assert self._process.stdout is not None
        async with asyncio.timeout(30):
            await self._process.stdout.readline()

    async def restore(self) -> None:
        """Release the lock. Idempotent."""
        process, self._process = self._process, None
        if process is None:
            return
        assert process.stdin is not None
        process.stdin.close()
        async with asyncio.timeout(30):
            await process.wait()


class Forwarder:
    """A TCP path to a broker that can be cut: every connection is reset and new ones are refused.

    Args:
        host: where the broker is.
        port: its port.
    """

    def __init__(self, host: str, port: int) -> None:
        self._target = (host, port)
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()
        self.port = 0

    async def start(self) -> int:
        """Listen on a loopback port, which is returned and kept over cuts."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]
        return self.port

    async def restore(self) -> None:
        """Let connections through again. Idempotent."""
        if self._server is None:
            await self.start()

    async def cut(self) -> None:
        """Reset every connection and refuse new ones until `restore`. Idempotent."""
        server, self._server = self._server, None
        if server is not None:
            server.close()
        for writer in tuple(self._writers):
            writer.transport.abort()
        await asyncio.sleep(0)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            far_reader, far_writer = await asyncio.open_connection(*self._target)
        except OSError:
            writer.transport.abort()
            return
        await asyncio.gather(self._pump(reader, far_writer), self._pump(far_reader, writer))

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        try:
            with contextlib.suppress(ConnectionError):
                while chunk := await reader.read(_CHUNK):
                    writer.write(chunk)
                    await writer.drain()
        finally:
            self._writers.discard(writer)
            writer.close()


def main(path: str) -> None:
    """Hold the exclusive lock of the SQLite file at `path` until standard input closes."""
    connection = sqlite3.connect(path, timeout=20, isolation_level=None)
    try:
        connection.execute("BEGIN EXCLUSIVE")
        sys.stdout.write("held\n")
        sys.stdout.flush()
        sys.stdin.read()
    finally:
        connection.close()


if __name__ == "__main__":
    main(sys.argv[1])
