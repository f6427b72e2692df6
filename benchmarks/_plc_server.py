"""The device that the clients are compared at: libmodbus in C where it is there, else the simulator in its own process.

In: nothing. Out: a port on 127.0.0.1, whose holding registers hold their own address.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from tests.integration.libmodbus import missing_for_libmodbus, serve_libmodbus

__all__ = ["ModbusPeer", "modbus_peer"]


@dataclass(frozen=True, slots=True)
class ModbusPeer:
    """A server that runs.

    Attributes:
        port: where it listens on 127.0.0.1.
        made_of: what it is.
    """

    port: int
    made_of: str


@contextmanager
def modbus_peer() -> Iterator[ModbusPeer]:
    """Run the best server that this machine has, for the length of a `with`."""
    if missing_for_libmodbus() is None:
        with serve_libmodbus() as server:
            yield ModbusPeer(server.port, "libmodbus in C")
        return
    command = [sys.executable, "-m", "benchmarks._plc_simulator"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            yield ModbusPeer(int(process.stdout.readline()), "bifrost.plc.sim, for want of libmodbus")
        finally:
            process.stdin.close()
