"""A simulated device in a process of its own, as `bifrost sim` serves it."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Simulated", "simulated"]

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Simulated:
    """A served device.

    Attributes:
        process: what serves it.
        urls: where it is.
        addresses: what it has.
    """

    process: asyncio.subprocess.Process
    urls: list[str]
    addresses: list[str]


@asynccontextmanager
async def simulated(*arguments: str, seconds: float = 30.0) -> AsyncIterator[Simulated]:
    """Serve a device for the length of the block, and no longer than `seconds` whatever happens."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "bifrost", "sim", *arguments, "--port", "0", "--json", "--seconds", str(seconds),
        env={**os.environ, "PYTHONPATH": str(ROOT)}, stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    stdout = process.stdout
    assert stdout is not None
    try:
        async with asyncio.timeout(20):
            told = json.loads(await stdout.readline())
        yield Simulated(process, told["urls"], [tag["address"] for tag in told["tags"]])
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()
