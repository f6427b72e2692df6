"""Real Erlang/OTP, kept running: scripts in, traces out.

Needs ``escript`` (Debian: ``apt-get install erlang-base``).
"""

from __future__ import annotations

import shutil
import subprocess
import tempfile
import threading
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.differential.script import Script, as_term

__all__ = ["Otp", "missing_for_otp"]

_DRIVER = Path(__file__).with_name("otp_driver.escript")
_BATCH_LIMIT = 600.0  # seconds for one batch; each script has its own limit in the driver


def missing_for_otp() -> str | None:
    """Tell what has to be installed first, or None."""
    return None if shutil.which("escript") else "apt-get install erlang-base"


class Otp:
    """One Erlang machine that plays batches of scripts; a context manager."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            ["escript", str(_DRIVER)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process.stdout.close()

    def play(self, scripts: Sequence[Script]) -> list[list[str]]:
        """Play the scripts and return the trace of each."""
        with tempfile.TemporaryDirectory() as folder:
            given, taken = Path(folder, "scripts"), Path(folder, "traces")
            given.write_text("".join(as_term(number, script) for number, script in enumerate(scripts)))
            overdue = threading.Timer(_BATCH_LIMIT, self._process.kill)
            overdue.start()
            try:
                self._ask(f"{given}\t{taken}\n")
            finally:
                overdue.cancel()
            traces: list[list[str]] = [[] for _ in scripts]
            for line in taken.read_text().splitlines():
                number, _, text = line.partition("\t")
                traces[int(number)].append(text)
        return traces

    def _ask(self, line: str) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(line)
        self._process.stdin.flush()
        answer = self._process.stdout.readline()
        if answer != "done\n":
            raise RuntimeError(f"the Erlang driver ended or failed: {answer!r}")
