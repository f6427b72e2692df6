"""What an idle supervised actor weighs.

In: how many. Out: bytes for each, as Python's allocator counts them and as the operating system does. Each figure is
that of a process of its own, because memory that was freed is not always given back. Everything that belongs to the
actor counts: its specification, its name, its place in the supervisor's tables, its instance.

Run by itself it is that process: ``python -m benchmarks._actors_memory COUNT fresh|asked traced|rss`` prints bytes.
"""

from __future__ import annotations

import asyncio
import gc
import subprocess
import sys
import tracemalloc
from collections.abc import Sequence
from typing import Literal

import psutil

from benchmarks._actors_otp import Otp
from benchmarks._actors_starts import Idle
from benchmarks._actors_table import Bar, MissingPeer, Row, Setting, solo
from bifrost.actors import ActorSystem, ChildSpec, DynamicSupervisor

__all__ = ["main", "memory_rows"]

_BAR = Bar(2_640, of_ratio=False, at_most=True)
_LONG = 600.0  # seconds that one process may take


async def weigh(count: int, state: str, how: str) -> float:
    """Bytes that each of `count` actors adds."""

    def held() -> int:
        gc.collect()
        return tracemalloc.get_traced_memory()[0] if how == "traced" else psutil.Process().memory_info().rss

    async with ActorSystem("bench", [DynamicSupervisor.spec("crowd")]) as system:
        crowd = system.supervisor("crowd")
        for number in range(100):  # what the first actors load and cache is not the others' weight
            ref = await crowd.start_child(ChildSpec(id=f"first{number}", start=Idle))
            await ref.ask(number)
        if how == "traced":
            tracemalloc.start()
        before = held()
        for number in range(count):
            ref = await crowd.start_child(ChildSpec(id=f"idle{number}", start=Idle))
            if state == "asked":
                await ref.ask(number)
        await asyncio.sleep(0.01)
        after = held()
        tracemalloc.stop()
        assert crowd.count_children().active == count + 100
    return (after - before) / count


def in_own_process(count: int, state: str, how: Literal["traced", "rss"]) -> float:
    """The same in a fresh interpreter."""
    command = [sys.executable, "-m", __spec__.name, str(count), state, how]
    return float(subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, timeout=_LONG).stdout)


def memory_rows(setting: Setting, otp: Otp) -> list[Row]:
    """Fresh actors, and actors that have answered one ask."""
    small, large = max(2_000, setting.ops(20_000)), max(5_000, setting.ops(100_000))
    peer = "OTP, supervised gen_server"
    rows: list[Row] = []
    figures: Sequence[int | None]
    try:
        figures = otp.figures("memory", small)
    except MissingPeer as missing:
        rows.append(Row(what="memory", unit="B", ours=None, peer=peer, note=f"missing: {missing}"))
        figures = [None] * 4
    one, fresh, one_asked, asked = figures
    for state, theirs, whole in (("fresh", one, fresh), ("asked", one_asked, asked)):
        for count in (small, large):
            label = f"memory, {state}, of {count:,}"
            rows.append(
                solo(f"{label}, allocated", "B", in_own_process(count, state, "traced"), _BAR, peer=peer, theirs=theirs)
            )
            rows.append(
                solo(
                    f"{label}, RSS", "B", in_own_process(count, state, "rss"), _BAR, peer=f"{peer}, node", theirs=whole
                )
            )
    return rows


def main() -> None:
    """Be one of those processes."""
    count, state, how = sys.argv[1:]
    print(asyncio.run(weigh(int(count), state, how)))


if __name__ == "__main__":
    main()
