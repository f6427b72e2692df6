"""A gateway as it is run in earnest, `bifrost run` in a process of its own, and its cost as the system sees it.

In: ports of devices. Out: its process, its status, its memory and processor time. Nothing is added to the process.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import msgspec
import psutil

from bifrost.errors import LinkError
from bifrost.gateway.control.client import ask_gateway

__all__ = ["GatewayProcess", "device_name", "peak_rss_mb", "rss_mb"]

HISTORY_FILE = "history.sqlite"
_START_TIMEOUT = 60.0
_STOP_TIMEOUT = 90.0
_MB = 1e6

_SETTINGS = """\
[gateway]
name = "benchmark"
data_dir = "state"

[pipelines.all]
{pipeline}

[uplinks.historian]
kind = "historian"
path = "{history}"
"""

_WATCHING = """\
raw_sinks = ["wal"]
window = { seconds = 10.0 }
aggregates = ["mean"]
detect = { detector = "mad", on = "mean" }
sinks = ["wal"]
anomaly_sinks = ["wal"]"""

_PLAIN = 'sinks = ["wal"]'

_DEVICE = """
[devices.{name}]
protocol = "modbus-tcp"
host = "127.0.0.1"
port = {port}
interval_ms = {interval_ms}
tags = [
{tags}
]
"""


def device_name(number: int) -> str:
    """The name of a device, by its place among the ports."""
    return f"device-{number:02}"


class GatewayProcess:
    """`bifrost run` for the length of a `with`: devices, one pipeline with window and detector, buffer, historian.

    Args:
        folder: an empty folder.
        ports: of the devices, on this machine.
        tags: FLOAT32 tags of each.
        interval_ms: milliseconds from poll to poll.
        plain: leave out window and detector.

    Attributes:
        history: the historian's file.
        process: to look at.
    """

    def __init__(self, folder: Path, ports: Sequence[int], *, tags: int, interval_ms: int, plain: bool = False) -> None:
        lines = "\n".join(
            f'    {{ name = "tag-{tag:03}", address = "HR{1 + 2 * tag}", datatype = "FLOAT32" }},'
            for tag in range(tags)
        )
        text = _SETTINGS.format(pipeline=_PLAIN if plain else _WATCHING, history=HISTORY_FILE)
        for number, port in enumerate(ports):
            text += _DEVICE.format(name=device_name(number), port=port, interval_ms=interval_ms, tags=lines)
        settings = folder / "gateway.toml"
        settings.write_text(text, encoding="utf-8")
        self._data_dir = folder / "state"
        self._log = folder / "gateway.log"
        self.history = self._data_dir / HISTORY_FILE
        with self._log.open("wb") as log:
            self._child = subprocess.Popen(
                [sys.executable, "-m", "bifrost", "run", str(settings), "--log-level", "warning"],
                stdout=log, stderr=log,
            )  # fmt: skip
        self.process = psutil.Process(self._child.pid)

    def __enter__(self) -> Self:
        deadline = time.monotonic() + _START_TIMEOUT
        while True:
            try:
                ask_gateway(self._data_dir, "tree", timeout=5.0)
            except (LinkError, OSError):
                if self._child.poll() is not None or time.monotonic() > deadline:
                    self._child.kill()
                    raise RuntimeError(f"the gateway did not start: {self.log()}") from None
                time.sleep(0.1)
            else:
                return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._child.poll() is None:
            self._child.kill()
            self._child.wait()

    def status(self) -> dict[str, Any]:
        """What it says of itself."""
        answer = ask_gateway(self._data_dir, "status", timeout=30.0)
        return msgspec.convert(answer, dict[str, Any])

    def stop(self) -> int:
        """Stop it in order and return its exit code."""
        self._child.send_signal(signal.SIGTERM if os.name == "nt" else signal.SIGINT)
        return self._child.wait(_STOP_TIMEOUT)

    def log(self) -> str:
        """What it wrote, warnings and worse."""
        return self._log.read_text(encoding="utf-8", errors="replace")

    def cpu_seconds(self) -> float:
        """Processor time so far, of all its threads, in the system's name too."""
        times = self.process.cpu_times()
        return float(times.user + times.system)


def rss_mb(process: psutil.Process) -> float:
    """Memory that a process holds, in MB of 1,000,000 bytes."""
    return float(process.memory_info().rss) / _MB


def peak_rss_mb(process: psutil.Process) -> float | None:
    """The most that a process ever held, where the system keeps it."""
    peak = getattr(process.memory_info(), "peak_wset", None)
    if peak is not None:
        return float(peak) / _MB
    with contextlib.suppress(OSError, StopIteration):
        status = Path(f"/proc/{process.pid}/status").read_text(encoding="ascii", errors="replace")
        line = next(line for line in status.splitlines() if line.startswith("VmHWM:"))
        return int(line.split()[1]) * 1024 / _MB
    return None
