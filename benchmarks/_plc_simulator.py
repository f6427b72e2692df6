"""A simulated Modbus TCP device as a process: it prints its port and serves until standard input closes.

Its holding registers hold their own address, as those of the server in C do.
"""

from __future__ import annotations

import asyncio
import os
import threading

from bifrost.plc.modbus.address import Area
from bifrost.plc.sim import ModbusTcpServer, RegisterBank

__all__ = ["end_of_input"]

_VALUES = 10_000
_BLOCK = 100


def end_of_input() -> asyncio.Event:
    """Tell, in the running loop, when standard input closes: a server ends with whoever started it."""
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()

    def wait() -> None:
        # The descriptor is read directly: a thread inside the buffered reader would hold its lock at interpreter exit.
        while os.read(0, 4096):
            pass
        loop.call_soon_threadsafe(ended.set)

    threading.Thread(target=wait, daemon=True).start()
    return ended


async def _serve() -> None:
    bank = RegisterBank()
    bank.map(Area.HOLDING, 0, _VALUES)
    bank.map(Area.COIL, 0, _VALUES)
    for address in range(0, _VALUES, _BLOCK):
        bank.write(Area.HOLDING, address, list(range(address, address + _BLOCK)))
    async with ModbusTcpServer(bank) as server:
        print(server.port, flush=True)
        await end_of_input().wait()


if __name__ == "__main__":
    asyncio.run(_serve())
