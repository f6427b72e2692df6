"""Simulated Modbus TCP devices in a process of their own, which also notes when each poll reached them.

In: how many devices, how many FLOAT32 tags each. Out: their ports, and at the end the times of every poll.
A device writes nothing down but times, and its values are made before the run, so that the plant costs little.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import math
import os
import subprocess
import sys
import threading
import time
from types import TracebackType
from typing import Any, Self

import msgspec

from bifrost.plc.datatypes import DataType
from bifrost.plc.modbus.address import Area
from bifrost.plc.sim import ModbusTcpServer, RegisterBank

__all__ = ["Plant", "PlantReport", "main"]

_VARIANTS = 16
"""Sets of values that each device shows in turn, one for each poll."""
_WORDS = 2  # a FLOAT32
_START_TIMEOUT = 60.0
_STOP_TIMEOUT = 30.0


class PlantReport(msgspec.Struct):
    """What the devices saw.

    Attributes:
        began: for each device, when the first request of each poll came; ns since 1970.
        ended: for each device, when the last request of each poll came.
    """

    began: list[list[int]]
    ended: list[list[int]]


class _Ready(msgspec.Struct):
    ports: list[int]


class Plant:
    """The process, for the length of a `with`; it ends with its parent.

    Attributes:
        ports: one for each device.
        pid: of the process.
    """

    def __init__(self, *, devices: int, tags: int) -> None:
        command = [sys.executable, "-m", "benchmarks._plant", "--devices", str(devices), "--tags", str(tags)]
        self._process: subprocess.Popen[bytes] = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        self.pid = self._process.pid
        self.ports: list[int] = []

    def __enter__(self) -> Self:
        assert self._process.stdout is not None
        deadline = threading.Timer(_START_TIMEOUT, self._process.kill)
        deadline.start()
        try:
            self.ports = msgspec.json.decode(self._process.stdout.readline(), type=_Ready).ports
        finally:
            deadline.cancel()
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._process.poll() is None:
            self._process.kill()
        self._process.communicate()

    def finish(self) -> PlantReport:
        """End it and take its notes."""
        out, _ = self._process.communicate(timeout=_STOP_TIMEOUT)
        return msgspec.json.decode(out, type=PlantReport)


class _Device:
    """One device: notes the first and the last request of each poll, and shows new values with each."""

    def __init__(self, number: int, tags: int) -> None:
        self.began: list[int] = []
        self.ended: list[int] = []
        self.bank = RegisterBank()
        self._words = tags * _WORDS
        self._variants = [self._values(number, tags, variant) for variant in range(_VARIANTS)]
        self.bank.on_read = self._on_read

    def _values(self, number: int, tags: int, variant: int) -> list[int]:
        for tag in range(tags):
            wave = math.sin(2 * math.pi * (variant + tag) / _VARIANTS)
            self.bank.put(Area.HOLDING, tag * _WORDS, 20.0 + number + tag / 10 + wave, DataType.FLOAT32)
        # In pieces, as a client does it: a bank answers what a request may ask for.
        return [
            word
            for at in range(0, tags * _WORDS, 100)
            for word in self.bank.read(Area.HOLDING, at, min(100, tags * _WORDS - at))
        ]

    def _on_read(self, _area: Area, address: int, quantity: int) -> None:
        if address == 0:
            self.began.append(time.time_ns())
            self.bank.write(Area.HOLDING, 0, self._variants[len(self.began) % _VARIANTS])
            self.bank.writes.clear()
        if address + quantity == self._words:
            self.ended.append(time.time_ns())


async def _serve(options: argparse.Namespace) -> PlantReport:
    devices = [_Device(number, options.tags) for number in range(options.devices)]
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    async with contextlib.AsyncExitStack() as stack:
        servers = [await stack.enter_async_context(ModbusTcpServer(device.bank)) for device in devices]
        _write(_Ready([server.port for server in servers]))
        threading.Thread(target=_wait_for_end_of_input, args=(loop, stopped), daemon=True).start()
        await stopped.wait()
    return PlantReport([device.began for device in devices], [device.ended for device in devices])


def _wait_for_end_of_input(loop: asyncio.AbstractEventLoop, stopped: asyncio.Event) -> None:
    # The descriptor is read directly: a thread inside the buffered reader would hold its lock at interpreter exit.
    while os.read(0, 4096):
        pass
    loop.call_soon_threadsafe(stopped.set)


def _write(answer: Any) -> None:
    sys.stdout.buffer.write(msgspec.json.encode(answer) + b"\n")
    sys.stdout.buffer.flush()


def main() -> None:
    """Serve until standard input closes, then write the report."""
    parser = argparse.ArgumentParser(description="simulated devices of the benchmarks")
    parser.add_argument("--devices", type=int, required=True)
    parser.add_argument("--tags", type=int, required=True)
    _write(asyncio.run(_serve(parser.parse_args())))


if __name__ == "__main__":
    main()
