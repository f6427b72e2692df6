"""Starts a real mosquitto with a configuration of its own; it can be killed and started again on the same port."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

__all__ = ["Mosquitto", "mosquitto", "require_mosquitto"]


class Mosquitto:
    """One broker on 127.0.0.1, plain, without persistence.

    Attributes:
        port: where it listens.
    """

    def __init__(self, folder: Path, *, acl: str | None = None, lines: str = "") -> None:
        self.port = _free_port()
        self._config = folder / "mosquitto.conf"
        text = f"listener {self.port} 127.0.0.1\npersistence false\nuser root\n"
        text += f"{lines}\n" if "allow_anonymous" in lines else f"allow_anonymous true\n{lines}\n"
        if acl is not None:
            rights = folder / "acl"
            rights.write_text(acl, encoding="utf-8")
            rights.chmod(0o600)
            text += f"acl_file {rights}\n"
        self._config.write_text(text, encoding="utf-8")
        self._log = folder / "mosquitto.log"
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"mqtt://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Start and return when it accepts connections."""
        with self._log.open("ab") as log:
            self._process = subprocess.Popen([_binary(), "-c", self._config], stdout=log, stderr=log)
        for _ in range(500):
            with socket.socket() as probe:
                probe.settimeout(0.2)
                if probe.connect_ex(("127.0.0.1", self.port)) == 0:
                    return
            if self._process.poll() is not None:
                break
            _pause(0.01)
        raise AssertionError(f"mosquitto did not start: {self._log.read_text(encoding='utf-8')}")

    def kill(self) -> None:
        """End it at once, as a power cut would."""
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.wait(10)

    def stop_reading(self) -> None:
        """Let it accept bytes and answer nothing: a black hole."""
        assert self._process is not None
        self._process.send_signal(19)  # SIGSTOP

    def read_again(self) -> None:
        """Undo `stop_reading`."""
        assert self._process is not None
        self._process.send_signal(18)  # SIGCONT


@contextmanager
def mosquitto(folder: Path, *, acl: str | None = None, lines: str = "") -> Iterator[Mosquitto]:
    """Run a broker for as long as the block lasts."""
    broker = Mosquitto(folder, acl=acl, lines=lines)
    broker.start()
    try:
        yield broker
    finally:
        broker.kill()


def require_mosquitto() -> None:
    """Skip without mosquitto; fail where it has to be there."""
    if _binary():
        return
    if os.environ.get("CI"):
        pytest.fail("mosquitto is missing: apt-get install mosquitto")
    pytest.skip("mosquitto is missing: apt-get install mosquitto")


def _binary() -> str:
    return shutil.which("mosquitto", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin") or ""


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _pause(seconds: float) -> None:
    import time

    time.sleep(seconds)
