"""The process under test for EtherNet/IP and S7: reads beside the bare library, and a loop whose links are dead.

In: the protocol, how long. Out: figures as JSON. The controllers run in processes of their own.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import statistics
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass
from typing import Any

from benchmarks._plc_heartbeat import Blocked, beat_alone, watch
from benchmarks._plc_target import FLOATS, Target, TargetKind
from bifrost.plc import DataType, PLCConnection, Tag

__all__ = ["LinkFigures", "main"]

_POLL_MS = 50
_PROCESS_START = 0.3
"""Seconds until the process that watches the machine is there; to start it takes this loop's time, too."""
_OPTIONS: dict[TargetKind, tuple[str, dict[str, Any]]] = {"cip": ("ethernet-ip", {}), "s7": ("s7", {})}

Read = Callable[[], Awaitable[object]]


@dataclass(frozen=True, slots=True)
class LinkFigures:
    """All that is measured of one protocol.

    Attributes:
        one: seconds for one value, median of each round: ours, the bare library's.
        many: the same for all values at once.
        alive: the heartbeat with links that work.
        dead: with one controller that hangs, one that is gone, and one that takes links and says nothing.
        machine: of a process that did nothing else, at the same time.
    """

    one: tuple[list[float], list[float]]
    many: tuple[list[float], list[float]]
    alive: Blocked
    dead: Blocked
    machine: Blocked


def _connection(kind: TargetKind, port: int) -> PLCConnection:
    protocol, options = _OPTIONS[kind]
    return PLCConnection(protocol, host="127.0.0.1", port=port, timeout=1.0, connect_timeout=1.0, **options)


def _tags(kind: TargetKind) -> list[Tag]:
    if kind == "cip":
        return [Tag(f"v{index}", f"speed{index}", DataType.FLOAT32, protocol="ethernet-ip") for index in range(FLOATS)]
    return [Tag(f"v{index}", f"DB1.DBD{4 * index}:REAL", protocol="s7") for index in range(FLOATS)]


@asynccontextmanager
async def _bare(kind: TargetKind, port: int) -> AsyncIterator[tuple[Read, Read]]:
    """The library by itself, as its own examples use it: a read of one value, and of all."""
    if kind == "cip":
        from pycomm3 import LogixDriver

        names = [f"speed{index}" for index in range(FLOATS)]
        with LogixDriver(f"127.0.0.1:{port}/0") as driver:

            async def one() -> object:
                return driver.read(names[0]).value

            async def many() -> object:
                return [tag.value for tag in driver.read(*names)]

            yield one, many
        return
    from snap7 import AsyncClient

    client = AsyncClient()
    await client.connect("127.0.0.1", 0, 1, port)
    try:
        yield lambda: client.db_read_real(1, 0), lambda: client.db_read_array(1, 0, FLOATS)
    finally:
        await client.disconnect()


async def _contest(kind: TargetKind, rounds: int) -> tuple[tuple[list[float], list[float]], ...]:
    tags = _tags(kind)
    with Target(kind) as target:
        async with _connection(kind, target.port) as plc, _bare(kind, target.port) as (bare_one, bare_many):
            await plc.wait_connected(timeout=10)
            expected = [float(index) for index in range(FLOATS)]
            assert list((await plc.read_tags(tags)).values_dict().values()) == expected
            assert await bare_many() == expected
            pairs: list[tuple[Read, Read]] = [
                (lambda: plc.read(tags[0]), bare_one),
                (lambda: plc.read_tags(tags), bare_many),
            ]
            results = []
            for ours, theirs in pairs:
                mine: list[float] = []
                others: list[float] = []
                for index in range(rounds + 1):
                    for read, into in ((ours, mine), (theirs, others)):
                        figure = await _median_of(read)
                        if index:  # the first round warms up
                            into.append(figure)
                results.append((mine, others))
    return tuple(results)


async def _median_of(read: Read, times: int = 40) -> float:
    clock = time.perf_counter
    taken = []
    for _ in range(times):
        begin = clock()
        await read()
        taken.append(clock() - begin)
    return statistics.median(taken)


async def _poll(plc: PLCConnection, tags: Sequence[Tag]) -> None:
    async for _ in plc.poll(tags, interval_ms=_POLL_MS):
        pass


async def _blocked(kind: TargetKind, seconds: float) -> tuple[Blocked, Blocked, Blocked]:
    tags = _tags(kind)
    with contextlib.ExitStack() as targets:
        hanging, gone = (targets.enter_context(Target(kind)) for _ in range(2))
        mute = await asyncio.get_running_loop().create_server(asyncio.Protocol, "127.0.0.1", 0)
        ports = [hanging.port, gone.port, mute.sockets[0].getsockname()[1]]
        async with mute, contextlib.AsyncExitStack() as links:
            connections = [await links.enter_async_context(_connection(kind, port)) for port in ports]
            for plc in connections[:2]:
                await plc.wait_connected(timeout=10)
            polls = [asyncio.create_task(_poll(plc, tags)) for plc in connections]
            await asyncio.sleep(0.5)
            alive = await watch(seconds)
            hanging.hang()
            gone.kill()
            machine = asyncio.create_task(beat_alone(seconds))
            await asyncio.sleep(_PROCESS_START)
            dead = await watch(seconds)
            for poll in polls:
                assert not poll.done(), poll
                poll.cancel()
            await asyncio.wait(polls)
            return alive, dead, await machine


async def _measure(kind: TargetKind, rounds: int, seconds: float) -> LinkFigures:
    one, many = await _contest(kind, rounds)
    alive, dead, machine = await _blocked(kind, seconds)
    return LinkFigures(one, many, alive, dead, machine)


def main() -> None:
    """Be that process."""
    parser = argparse.ArgumentParser(description="links of the benchmark of bifrost.plc")
    parser.add_argument("kind", choices=["cip", "s7"])
    parser.add_argument("--rounds", type=int, required=True)
    parser.add_argument("--seconds", type=float, required=True)
    options = parser.parse_args()
    print(json.dumps(asdict(asyncio.run(_measure(options.kind, options.rounds, options.seconds)))))


if __name__ == "__main__":
    main()
