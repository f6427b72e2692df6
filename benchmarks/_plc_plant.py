"""Many simulated Modbus TCP devices in a process of their own, which notes when each poll reached each of them.

In: how many devices, which of them die and live again. Out: their ports, and at the end the times of every request.
Some of the dead refuse connections from then on, the others take them and say nothing any more.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import struct
import subprocess
import sys
import threading
import time
from functools import partial
from types import TracebackType
from typing import Final, Self

from bifrost.plc.modbus.address import Area
from bifrost.plc.sim import ModbusTcpServer, RegisterBank

__all__ = ["FLOATS", "TAGS", "WORDS", "PlcPlant", "main"]

TAGS: Final = 30
"""Of each device: half of them UINT16, then half of them FLOAT32, without holes."""
WORDS: Final = TAGS // 2
"""How many of them are one register."""
FLOATS: Final = TAGS - WORDS
"""How many of them are two registers."""
_IMAGES = 16
_START = 60.0
_ANSWER = 30.0


class PlcPlant:
    """The process, for the length of a `with`; it ends with its parent.

    Attributes:
        pid: of the process.
        ports: one for each device.
    """

    def __init__(self, devices: int) -> None:
        command = [sys.executable, "-m", "benchmarks._plc_plant", str(devices)]
        self._process: subprocess.Popen[str] = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self.pid = self._process.pid
        self.ports: list[int] = []

    def __enter__(self) -> Self:
        deadline = threading.Timer(_START, self._process.kill)
        deadline.start()
        try:
            self.ports = json.loads(self._line())
        finally:
            deadline.cancel()
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._process.poll() is None:
            self._process.kill()
        self._process.communicate()

    def kill_devices(self, refusing: int, silent: int) -> None:
        """Let the last devices die: so many of them refuse connections, so many others take them and say nothing."""
        self._order(f"{refusing} {silent}")

    def revive_devices(self) -> None:
        """Let all of them live again, on their old ports."""
        self._order("0 0")

    def finish(self) -> list[list[int]]:
        """End it; for each device the times at which requests came, by the monotonic clock, in ns."""
        out, _ = self._process.communicate(timeout=_ANSWER)
        polls: list[list[int]] = json.loads(out)
        return polls

    def _order(self, text: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(f"{text}\n")
        self._process.stdin.flush()

    def _line(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline()


class _Device:
    """One device: shows values that change with each request, and notes when it came."""

    def __init__(self, number: int) -> None:
        self.polls: list[int] = []
        self.bank = RegisterBank()
        self.bank.map(Area.HOLDING, 0, WORDS + 2 * FLOATS)
        # Made before the run: the simulators are to cost little.
        self._images = [_image(number, variant) for variant in range(_IMAGES)]
        self._show(0)
        self.bank.on_read = self._on_read

    def _on_read(self, area: Area, address: int, quantity: int) -> None:
        del area, address, quantity
        self.polls.append(time.monotonic_ns())
        self._show(len(self.polls))

    def _show(self, poll: int) -> None:
        self.bank.write(Area.HOLDING, 0, self._images[poll % _IMAGES])


def _image(number: int, variant: int) -> list[int]:
    floats = struct.pack(f">{FLOATS}f", *(20.0 + number + tag / 10 + variant / _IMAGES for tag in range(FLOATS)))
    return [*((number + tag + variant) & 0xFFFF for tag in range(WORDS)), *struct.unpack(f">{2 * FLOATS}H", floats)]


async def _serve(count: int) -> None:
    devices = [_Device(number) for number in range(count)]
    orders: asyncio.Queue[str] = asyncio.Queue()
    loop = asyncio.get_running_loop()
    async with contextlib.AsyncExitStack() as stack:
        servers = [await stack.enter_async_context(ModbusTcpServer(device.bank)) for device in devices]
        print(json.dumps([server.port for server in servers]), flush=True)
        threading.Thread(target=_take_orders, args=(loop, orders), daemon=True).start()
        dead: list[ModbusTcpServer] = []
        mutes: list[asyncio.Server] = []
        while order := await orders.get():
            refusing, silent = (int(word) for word in order.split())
            for mute in mutes:
                mute.close()
            for server in dead:
                await server.start()
            dead = servers[count - refusing - silent :]
            for server in dead:
                await server.stop(reset=True)
            mutes = [await loop.create_server(asyncio.Protocol, it.host, it.port) for it in dead[refusing:]]
        for mute in mutes:
            mute.close()
    print(json.dumps([device.polls for device in devices]), flush=True)


def _take_orders(loop: asyncio.AbstractEventLoop, orders: asyncio.Queue[str]) -> None:
    for line in sys.stdin:
        loop.call_soon_threadsafe(orders.put_nowait, line)
    loop.call_soon_threadsafe(partial(orders.put_nowait, ""))


def main() -> None:
    """Serve until standard input closes, then write what was noted."""
    parser = argparse.ArgumentParser(description="simulated devices of the benchmark of bifrost.plc")
    parser.add_argument("devices", type=int)
    asyncio.run(_serve(parser.parse_args().devices))


if __name__ == "__main__":
    main()
