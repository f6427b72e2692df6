"""A hundred thousand supervised actors in one process: start, tell each, ask each, stop.

In: how many. Out: seconds and megabytes. It runs in a process of its own, which prints them as JSON when started as
``python -m benchmarks._actors_crowd COUNT``. It fails if a message is lost or anything is left at the end.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time

import psutil

from benchmarks._actors_messages import Tally
from benchmarks._actors_otp import Otp
from benchmarks._actors_table import MissingPeer, Row, Setting, solo
from bifrost.actors import Actor, ActorSystem, ChildSpec, DynamicSupervisor

__all__ = ["crowd_rows", "main"]

_LONG = 600.0  # seconds that the process may take


class Member(Actor[int]):
    """Counts what it is told, answers what it is asked."""

    def __init__(self, tally: Tally) -> None:
        self.tally = tally

    async def receive(self, message: int) -> int:
        """Count a message below zero, answer any other."""
        if message < 0:
            tally = self.tally
            tally.seen += 1
            if tally.seen == tally.target:
                tally.done.set_result(None)
        return message


async def live(count: int) -> dict[str, float]:
    """The life of a crowd: seconds of its parts, megabytes in between."""
    process = psutil.Process()
    marks = [time.perf_counter()]
    tally = Tally(count)
    async with ActorSystem("bench", [DynamicSupervisor.spec("crowd")], stop_timeout=_LONG) as system:
        bare = process.memory_info().rss
        crowd = system.supervisor("crowd")
        marks[0] = time.perf_counter()
        refs = [await crowd.start_child(ChildSpec(id=f"m{n}", start=Member, args=(tally,))) for n in range(count)]
        marks.append(time.perf_counter())
        fresh = process.memory_info().rss
        for ref in refs:
            ref.tell(-1)
        async with asyncio.timeout(_LONG):
            await tally.done
        marks.append(time.perf_counter())
        for number, ref in enumerate(refs):
            assert await ref.ask(number) == number
        marks.append(time.perf_counter())
        used = process.memory_info().rss
        assert tally.seen == count
        report = await system.stop()
        marks.append(time.perf_counter())
        assert not report.timed_out, report
        assert not report.leaked, report
    times = {name: marks[i + 1] - marks[i] for i, name in enumerate(("start", "tell", "ask", "stop"))}
    return times | {"fresh": (fresh - bare) / 1e6, "used": (used - bare) / 1e6}


def crowd_rows(setting: Setting, otp: Otp) -> list[Row]:
    """The same crowd here and in OTP, once each."""
    count = setting.ops(100_000)
    command = [sys.executable, "-m", __spec__.name, str(count)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, timeout=_LONG)
    ours: dict[str, float] = json.loads(done.stdout)
    rows = []
    peer = "OTP, gen_servers"
    theirs: list[float | None]
    try:
        theirs = [figure / 1e6 for figure in otp.figures("crowd", count)]
    except MissingPeer as missing:
        rows.append(Row(what="crowd", unit="ms", ours=None, peer=peer, note=f"missing: {missing}"))
        theirs = [None] * 4
    for name, their in zip(("start", "tell", "ask", "stop"), theirs, strict=True):
        rows.append(solo(f"{count:,} actors: {name} all", "ms", ours[name] * 1e3, peer=peer, theirs=their))
    rows.append(solo(f"{count:,} actors: RSS, started", "MB", ours["fresh"]))
    rows.append(solo(f"{count:,} actors: RSS, told and asked", "MB", ours["used"]))
    return rows


def main() -> None:
    """Be that process."""
    print(json.dumps(asyncio.run(live(int(sys.argv[1])))))


if __name__ == "__main__":
    main()
