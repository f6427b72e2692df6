"""How long an event loop did not get to run: a task that wants to run every millisecond, and how late it was.

In: the running loop. Out: how late each beat came. The timer of the loop itself rounds up to a millisecond.
``python -m benchmarks._plc_heartbeat SECONDS`` is a process that does nothing else and tells what the machine alone did
to a loop meanwhile.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from dataclasses import asdict, dataclass
from types import TracebackType
from typing import Self

__all__ = ["Blocked", "Heartbeat", "beat_alone", "main", "watch"]

_EVERY = 0.001


@dataclass(frozen=True, slots=True)
class Blocked:
    """How late the loop's heartbeat was in a stretch of time, in ms.

    Attributes:
        longest: of all beats.
        tail: its 99.9th percentile.
        beyond: beats that were more than 5 ms late.
        beats: all of them.
    """

    longest: float
    tail: float
    beyond: int
    beats: int


class Heartbeat:
    """Beats for the length of an ``async with``.

    Attributes:
        late: how much later than wanted each beat came, in seconds.
    """

    def __init__(self) -> None:
        self.late: list[float] = []
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self._task = asyncio.get_running_loop().create_task(self._beat())
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        assert self._task is not None
        self._task.cancel()
        await asyncio.wait([self._task])

    async def _beat(self) -> None:
        clock, late = time.perf_counter, self.late
        while True:
            begin = clock()
            await asyncio.sleep(_EVERY)
            late.append(clock() - begin - _EVERY)


async def watch(seconds: float) -> Blocked:
    """Beat for so long in the running loop."""
    async with Heartbeat() as beat:
        await asyncio.sleep(seconds)
    late = sorted(one * 1e3 for one in beat.late)
    return Blocked(late[-1], late[int(len(late) * 0.999)], sum(one > 5 for one in late), len(late))


async def beat_alone(seconds: float) -> Blocked:
    """Beat for so long in a process of its own."""
    command = [sys.executable, "-m", "benchmarks._plc_heartbeat", str(seconds)]
    process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
    out, _ = await process.communicate()
    return Blocked(**json.loads(out))


def main() -> None:
    """Be that process."""
    print(json.dumps(asdict(asyncio.run(watch(float(sys.argv[1]))))))


if __name__ == "__main__":
    main()
