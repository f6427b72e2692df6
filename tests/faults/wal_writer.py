"""A process to be killed: appends as fast as it can and says what was acknowledged, one line each.

Usage: wal_writer.py PATH DURABILITY FIRST_ID SEED
"""

from __future__ import annotations

import asyncio
import os
import random
import sys

from bifrost.bridge.buffering import WalSettings, WriteAheadLog
from bifrost.core.batch import Batch


def batch(number: int) -> Batch:
    """A batch that can be recognised by its number alone; its size depends on it too."""
    rows = 1 + number * 7919 % 300
    return Batch.from_columns(
        [f"t{row}" for row in range(rows)],
        [number * 1_000_000 + row for row in range(rows)],
        [number * 31 + row for row in range(rows)],
        origin="writer",
        sequence=number,
    )


async def main() -> None:
    path, durability, first, seed = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
    draw = random.Random(seed)
    log = await WriteAheadLog.open(WalSettings(path=path, durability=durability))  # type: ignore[arg-type]  # from argv
    numbers = iter(range(first, sys.maxsize))

    async def write() -> None:
        for number in numbers:
            seq = await log.append(batch(number))
            os.write(1, b"%d %d\n" % (seq, number))
            if draw.random() < 0.1:
                await asyncio.sleep(draw.random() * 0.002)

    os.write(1, b"ready\n")
    await asyncio.gather(*[write() for _ in range(4)])


if __name__ == "__main__":
    asyncio.run(main())
