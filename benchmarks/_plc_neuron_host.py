"""The process under test of the crowd of devices: 500 supervised device actors, one sink, nothing else.

In: how many devices, their interval, how long, how often some die. Out: what it cost and how punctual it was, as JSON:
first of the steady stretch, then of each with dead devices and of each after they came back, in turn. The simulators
run in another process, which this one starts.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import psutil

from benchmarks._plc_plant import FLOATS, WORDS, PlcPlant
from benchmarks._plc_schedule import punctuality
from benchmarks._plc_table import at
from bifrost.actors import Actor, ActorRef, ActorSystem, ChildSpec, DynamicSupervisor
from bifrost.core.batch import Batch
from bifrost.core.clock import Clock
from bifrost.plc import DataType, PLCConnection, Tag
from bifrost.plc.actor import device_spec
from bifrost.plc.device import DeviceStatus, GetStatus

__all__ = ["Stretch", "main"]

_SETTLE = 5.0
"""Seconds after a change until what follows counts as steady."""
_SETTLE_DEAD = 10.0
"""The same after devices died: by then their links were given up."""
_SETTLE_REVIVED = 20.0
"""The same after they came back: by then the longest pause between two attempts to connect is over."""
_STOP = 30.0
_SLICES = 6


@dataclass(frozen=True, slots=True)
class Stretch:
    """What came of a stretch of time.

    Attributes:
        cpu: of the process under test, percent of one core.
        plant_cpu: of the simulators, percent of one core.
        rss: of the process under test at the end, MB.
        rows: rows that reached the sink each second.
        overruns: polls that the devices alive skipped, by their own count.
        made: polls of devices alive that reached them.
        due: polls that should have.
        late: start-of-poll error in ms: median, 99th percentile, greatest.
        tails: the 99th percentile of each slice of the time, in ms.
    """

    cpu: float
    plant_cpu: float
    rss: float
    rows: float
    overruns: int
    made: int = 0
    due: int = 0
    late: tuple[float, ...] = ()
    tails: tuple[float, ...] = ()


@dataclass(slots=True)
class _Window:
    """A stretch while it is measured."""

    begin: int
    end: int
    alive: int
    figures: dict[str, float] = field(default_factory=dict)


class _Sink(Actor[Batch]):
    """Counts rows."""

    def __init__(self, counted: list[int]) -> None:
        self._counted = counted

    async def receive(self, message: Batch) -> None:
        """Take one batch."""
        self._counted[0] += len(message)


class _Site:
    """The devices, their plant, and what is measured of them."""

    def __init__(self, options: argparse.Namespace, plant: PlcPlant) -> None:
        self._options = options
        self._plant = plant
        self._counted = [0]
        self._process = psutil.Process()
        self._plant_process = psutil.Process(plant.pid)
        self._refs: list[ActorRef[Any]] = []
        self.windows: list[_Window] = []

    async def run(self) -> None:
        """Live through all stretches."""
        options = self._options
        tree = [ChildSpec(id="sink", start=_Sink, args=(self._counted,)), DynamicSupervisor.spec("devices")]
        async with ActorSystem("bench", tree, stop_timeout=_STOP) as system:
            devices = system.supervisor("devices")
            sink = system.ref("sink")
            for number, port in enumerate(self._plant.ports):
                name = f"device{number}"
                connect = _Connect(name, port, options.interval_ms)
                self._refs.append(await devices.start_child(device_spec(connect, name=name, outputs=[sink])))
            await asyncio.sleep(_SETTLE)
            gc.collect()
            gc.freeze()  # as `bifrost run` does once its gateway runs
            await self._measure(options.seconds, alive=len(self._refs))
            # In turn, so that a busy machine hurts both alike; always the same devices are looked at.
            others = len(self._refs) - options.dead
            for _ in range(options.cycles):
                self._plant.kill_devices(options.dead - options.dead // 2, options.dead // 2)
                await asyncio.sleep(_SETTLE_DEAD)
                await self._measure(options.cycle_seconds, alive=others)
                self._plant.revive_devices()
                await asyncio.sleep(_SETTLE_REVIVED)
                await self._measure(options.cycle_seconds, alive=others)

    async def _measure(self, seconds: float, *, alive: int) -> None:
        overruns = await self._overruns(alive)
        counted, cpu, plant_cpu = self._counted[0], _cpu(self._process), _cpu(self._plant_process)
        begin = time.monotonic_ns()
        await asyncio.sleep(seconds)
        end = time.monotonic_ns()
        elapsed = (end - begin) / 1e9
        figures = {
            "cpu": (_cpu(self._process) - cpu) / elapsed * 100,
            "plant_cpu": (_cpu(self._plant_process) - plant_cpu) / elapsed * 100,
            "rss": self._process.memory_info().rss / 1e6,
            "rows": (self._counted[0] - counted) / elapsed,
        }
        # A whole period more, so that the last polls that were due have their chance.
        await asyncio.sleep(self._options.interval_ms / 1000 + 0.5)
        figures["overruns"] = await self._overruns(alive) - overruns
        self.windows.append(_Window(begin, end, alive, figures))

    async def _overruns(self, alive: int) -> int:
        total = 0
        for ref in self._refs[:alive]:
            status: DeviceStatus = await ref.ask(GetStatus())
            total += status.overruns
        return total


class _Connect:
    """Makes one device's connection."""

    def __init__(self, name: str, port: int, interval_ms: float) -> None:
        self._name = name
        self._port = port
        self._interval_ms = interval_ms

    def __call__(self, clock: Clock) -> PLCConnection:
        words = [Tag(f"w{index}", f"HR{index + 1}", DataType.UINT16) for index in range(WORDS)]
        floats = [Tag(f"f{index}", f"HR{WORDS + 2 * index + 1}", DataType.FLOAT32) for index in range(FLOATS)]
        return PLCConnection(
            "modbus-tcp",
            name=self._name,
            tags=[*words, *floats],
            clock=clock,
            host="127.0.0.1",
            port=self._port,
            interval_ms=self._interval_ms,
        )


def _cpu(process: psutil.Process) -> float:
    return sum(process.cpu_times()[:2])


def _judge(window: _Window, polls: Sequence[Sequence[int]], period: float) -> Stretch:
    seen = punctuality(polls[: window.alive], begin=window.begin, end=window.end, period=period)
    late = [behind * 1e3 for behind in seen.late]
    return Stretch(
        cpu=window.figures["cpu"],
        plant_cpu=window.figures["plant_cpu"],
        rss=window.figures["rss"],
        rows=window.figures["rows"],
        overruns=int(window.figures["overruns"]),
        made=seen.made,
        due=seen.due,
        late=(at(late, 0.5), at(late, 0.99), max(late)),
        tails=tuple(tail * 1e3 for tail in seen.tails(_SLICES, (window.end - window.begin) / 1e9)),
    )


def main() -> None:
    """Be that process."""
    parser = argparse.ArgumentParser(description="device actors of the benchmark of bifrost.plc")
    parser.add_argument("--devices", type=int, required=True)
    parser.add_argument("--interval-ms", type=float, required=True)
    parser.add_argument("--seconds", type=float, required=True)
    parser.add_argument("--dead", type=int, default=0)
    parser.add_argument("--cycles", type=int, default=0)
    parser.add_argument("--cycle-seconds", type=float, default=0.0)
    options = parser.parse_args()
    with PlcPlant(options.devices) as plant:
        site = _Site(options, plant)
        asyncio.run(site.run())
        polls = plant.finish()
    period = options.interval_ms / 1000
    print(json.dumps([asdict(_judge(window, polls, period)) for window in site.windows]))


if __name__ == "__main__":
    main()
