"""Runs cpppo's `enip_server`: an independent controller that shares no line with bifrost, nor with pycomm3."""

from __future__ import annotations

import importlib.util
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

__all__ = ["CpppoServer", "need_cpppo", "serve_cpppo"]

_DEADLINE = 15.0


class CpppoServer:
    """A running server.

    Attributes:
        port: where it listens on 127.0.0.1.
        process: the process.
    """

    def __init__(self, process: subprocess.Popen[bytes], port: int, log: Path) -> None:
        self.process = process
        self.port = port
        self._log = log

    def writes_taken(self) -> int:
        """How many writes it has carried out so far, as its own log tells."""
        return sum("<=" in line for line in self._log.read_text(errors="replace").splitlines())

    def freeze(self) -> None:
        """Let it answer nothing while its links stay open."""
        self.process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Undo `freeze`."""
        self.process.send_signal(signal.SIGCONT)


def need_cpppo() -> None:
    """Skip the test, or fail it in CI, if cpppo is not installed."""
    if importlib.util.find_spec("cpppo") is None:
        text = "needs cpppo; run: pip install 'cpppo>=5.2'"
        if os.environ.get("CI"):
            pytest.fail(text)
        pytest.skip(text)


@contextmanager
def serve_cpppo(tags: Sequence[str], values: Sequence[str] = ()) -> Iterator[CpppoServer]:
    """Run the server.

    Args:
        tags: such as ``Speed=REAL[10]``.
        values: written by cpppo's own client before anybody else comes, such as ``Speed[0]=(REAL)1.5``.
    """
    with tempfile.TemporaryDirectory() as folder, socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port: int = taken.getsockname()[1]
        taken.close()
        log = Path(folder) / "log"
        place = f"127.0.0.1:{port}"
        with log.open("wb") as out:
            command = [sys.executable, "-m", "cpppo.server.enip", "--print", "-a", place, *tags]
            process = subprocess.Popen(
                command, stdout=out, stderr=subprocess.DEVNULL, env={**os.environ, "PYTHONUNBUFFERED": "1"}
            )
        try:
            _wait_until_it_listens(process, port)
            if values:
                client = [sys.executable, "-m", "cpppo.server.enip.client", "-a", place, *values]
                subprocess.run(client, check=True, capture_output=True, timeout=_DEADLINE)
            yield CpppoServer(process, port, log)
        finally:
            with process:
                process.send_signal(signal.SIGCONT)
                process.kill()


def _wait_until_it_listens(process: subprocess.Popen[bytes], port: int) -> None:
    deadline = time.monotonic() + _DEADLINE
    while time.monotonic() < deadline:
        assert process.poll() is None, f"cpppo ended with {process.returncode}"
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1.0).close()
        except OSError:
            time.sleep(0.02)
        else:
            return
    raise AssertionError("cpppo does not listen")
