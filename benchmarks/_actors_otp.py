"""Erlang/OTP as a peer: one virtual machine on one scheduler, asked for a round at a time.

In: the name of a round and its size. Out: what `actors_otp.escript` measured, in nanoseconds and bytes.
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Self

from benchmarks._actors_table import MissingPeer

__all__ = ["Otp"]

_SCRIPT = Path(__file__).with_name("actors_otp.escript")
_PATIENCE = 120.0  # seconds that the machine may take to end


class Otp:
    """The running virtual machine; one that is not installed makes every round raise `MissingPeer`."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[str] | None = None
        self.version = "missing"

    def __enter__(self) -> Self:
        program = shutil.which("escript")
        if program is not None:
            self._process = subprocess.Popen(
                [program, str(_SCRIPT)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
            )
            ready, release, flavour = self._line().split()
            assert ready == "ready", "the script says so first"
            self.version = f"{release} ({flavour}), one scheduler"
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        if exc_type is not None:
            process.kill()  # it may be in the middle of a round
        try:
            process.communicate(timeout=_PATIENCE)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()

    def figures(self, name: str, *sizes: int) -> list[int]:
        """Run a round and return its figures.

        Raises:
            MissingPeer: Erlang is not installed.
            RuntimeError: the script ended.
        """
        if self._process is None:
            raise MissingPeer("apt-get install erlang-base")
        assert self._process.stdin is not None
        print(name, *sizes, file=self._process.stdin, flush=True)
        return [int(word) for word in self._line().split()]

    def rate(self, name: str, count: int) -> Callable[[], float]:
        """A round of `count` operations, in operations per second."""
        return lambda: count / self.figures(name, count)[0] * 1e9

    def _line(self) -> str:
        assert self._process is not None
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"the Erlang program ended with code {self._process.wait()}; its output says why")
        return line
