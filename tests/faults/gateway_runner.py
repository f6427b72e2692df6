"""Runs a gateway and writes down every acknowledgement of its buffer, until it is killed.

Usage: ``gateway_runner.py SETTINGS JOURNAL``. The journal gets one line for each acknowledged place, in one unbuffered
write right after the acknowledgement, so that a kill loses none that this process has seen.
"""

from __future__ import annotations

import asyncio
import os
import sys

from bifrost.gateway import Gateway


async def main(settings: str, journal: str) -> None:
    gateway = Gateway.from_file(settings)
    file = os.open(journal, os.O_WRONLY | os.O_APPEND | os.O_CREAT)

    def write_down(seq: int) -> None:
        os.write(file, f"{seq}\n".encode())

    gateway.wal.listen(write_down)
    async with gateway:
        await gateway.wait()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2]))
