"""A controller in a process of its own: a Logix one of our simulator, or python-snap7's S7 server.

In: which one. Out: its port; it can be stopped in the middle of everything, as a controller that hangs, and killed.
``python -m benchmarks._plc_target cip|s7`` is that process: it prints its port and serves until standard input closes.
"""

from __future__ import annotations

import asyncio
import struct
import subprocess
import sys
from types import TracebackType
from typing import Final, Literal, Self

import psutil

from benchmarks._plc_simulator import end_of_input

__all__ = ["FLOATS", "Target", "TargetKind", "main"]

TargetKind = Literal["cip", "s7"]

FLOATS: Final = 50
"""REAL values: tags ``speed0`` … in a Logix controller, DB1 from byte 0 on in an S7 one. Each holds its number."""


class Target:
    """The process, for the length of a `with`.

    Attributes:
        port: where it listens on 127.0.0.1.
    """

    def __init__(self, kind: TargetKind) -> None:
        command = [sys.executable, "-m", "benchmarks._plc_target", kind]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.port = 0

    def __enter__(self) -> Self:
        assert self._process.stdout is not None
        self.port = int(self._process.stdout.readline())
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.kill()

    def hang(self) -> None:
        """Stop it where it stands: its links stay open and nothing comes any more."""
        psutil.Process(self._process.pid).suspend()

    def kill(self) -> None:
        """End it at once: its links break, new ones are refused. Idempotent."""
        if self._process.poll() is None:
            self._process.kill()
        self._process.communicate()


async def _serve_cip() -> None:
    from bifrost.plc.sim.cip import LogixTarget, TagStore

    store = TagStore()
    for number in range(FLOATS):
        store.add(f"speed{number}", "REAL", float(number))
    async with LogixTarget(store, udp=False) as target:
        print(target.port, flush=True)
        await end_of_input().wait()


async def _serve_s7() -> None:
    from snap7.server import Server
    from snap7.type import SrvArea

    server = Server(log=False)
    server.register_area(SrvArea.DB, 1, bytearray(struct.pack(f">{FLOATS}f", *range(FLOATS))))
    server.start_to("127.0.0.1", 0)
    try:
        assert server.server_socket is not None
        print(server.server_socket.getsockname()[1], flush=True)
        await end_of_input().wait()
    finally:
        server.stop()


def main() -> None:
    """Be that process."""
    asyncio.run({"cip": _serve_cip, "s7": _serve_s7}[sys.argv[1]]())


if __name__ == "__main__":
    main()
