"""One plant device as a separate process that the demo starts, kills and starts again.

In: the device's name and options. Out: the port on which it serves Modbus TCP. Not here: what it serves (`plant`).
"""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections.abc import Sequence

import msgspec

from bifrost.errors import LinkTimeout

__all__ = ["PlantProcess"]


class _Ready(msgspec.Struct):
    port: int


class PlantProcess:
    """A device of the demo plant in a process of its own.

    The process ends when its standard input closes, so it never outlives the demo.

    Args:
        device: the device's name in `bifrost.demo.plant`.
        options: further command-line options of the plant.
    """

    def __init__(self, device: str, options: Sequence[str] = ()) -> None:
        self.device = device
        self.port = 0
        self._options = tuple(options)
        self._process: asyncio.subprocess.Process | None = None

    async def start(self, *, timeout: float = 15.0) -> int:
        """Start it, on the port that it had before if it had one, and return the port once it serves.

        Raises:
            LinkTimeout: it did not say that it is ready within `timeout` seconds.
        """
        self._process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "bifrost.demo.plant",
            "--device", self.device, "--port", str(self.port), *self._options,
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
        )  # fmt: skip
        stdout = self._process.stdout
        assert stdout is not None
        try:
            async with asyncio.timeout(timeout):
                line = await stdout.readline()
            self.port = msgspec.json.decode(line, type=_Ready).port
        except (TimeoutError, msgspec.DecodeError) as exc:
            await self.kill()
            raise LinkTimeout(f"plant device {self.device} did not become ready within {timeout:g} s") from exc
        return self.port

    async def kill(self) -> None:
        """End it at once, as a power cut would; no answer under way is finished. Idempotent."""
        process, self._process = self._process, None
        if process is None:
            return
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()
        if process.stdin is not None:
            process.stdin.close()
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                await process.stdin.wait_closed()
