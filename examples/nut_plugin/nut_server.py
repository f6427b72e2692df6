"""Starts a real `upsd` and a UPS for it (`dummy-ups`), both of Debian's nut-server."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

__all__ = ["NutServer", "Ups", "missing"]

_BIN = Path("/lib/nut")
_VARIABLES = {
    "battery.charge": "87.5",
    "battery.runtime": "1200",
    "battery.runtime.low": "300",
    "input.voltage": "229.1",
    "output.current": "2",
    "ups.mfr": "ACME",
    "ups.status": "OL",
}


def missing() -> str | None:
    """Tell what installs the server, if it is not there."""
    there = (_BIN / "upsd").exists() and (_BIN / "dummy-ups").exists()
    return None if there else "apt-get install nut-server"


class Ups:
    """A UPS, ``cabinet``, and the server that serves it: both are slow to start, so tests share them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._state = folder / "state"
        self._state.mkdir(mode=0o700)
        device = f"port = {folder}/cabinet.dev\n  mode = dummy-once\n  pollinterval = 1\n"
        self.write("nut.conf", "MODE=standalone\n")
        self.write("ups.conf", f"[cabinet]\n  driver = dummy-ups\n  {device}")
        self.write("cabinet.dev", "".join(f"{name}: {value}\n" for name, value in _VARIABLES.items()))
        self.write("upsd.users", "[operator]\n  password = secret\n  actions = SET\n")
        self._process = self.run("dummy-ups", "-a", "cabinet", log=folder / "ups.log")
        _wait(lambda: any(self._state.glob("dummy-ups-cabinet*")))
        self._server: NutServer | None = None

    def server(self) -> NutServer:
        """The server that serves it; a new one if the last was killed."""
        if self._server is None or not self._server.alive:
            self._server = NutServer(self)
        return self._server

    def write(self, name: str, text: str) -> None:
        """Write a file of the configuration."""
        file = self.folder / name
        file.write_text(text, encoding="utf-8")
        file.chmod(0o640)

    def run(self, name: str, *arguments: str, log: Path) -> subprocess.Popen[bytes]:
        """Start one of NUT's programs."""
        paths = dict.fromkeys(("NUT_STATEPATH", "NUT_ALTPIDPATH", "NUT_PIDPATH"), str(self._state))
        environment = {**os.environ, **paths, "NUT_CONFPATH": str(self.folder)}
        user = "root" if os.geteuid() == 0 else os.environ.get("USER", "nobody")
        with log.open("wb") as output:
            command = [str(_BIN / name), "-F", *arguments, "-u", user]
            return subprocess.Popen(command, env=environment, stdout=output, stderr=output)

    def stop(self) -> None:
        """End both."""
        if self._server is not None:
            self._server.stop()
        self._process.kill()
        self._process.wait(5.0)


class NutServer:
    """A server of that UPS; user ``operator`` with password ``secret`` may write.

    Attributes:
        port: where it listens on 127.0.0.1.
    """

    def __init__(self, ups: Ups) -> None:
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            self.port: int = taken.getsockname()[1]
        ups.write("upsd.conf", f"LISTEN 127.0.0.1 {self.port}\n")
        self._log = ups.folder / f"upsd-{self.port}.log"
        self._server = ups.run("upsd", log=self._log)
        _wait(self.has_all)

    def writes_taken(self) -> int:
        """How many SETs have reached the server: it logs each."""
        return self._log.read_text(encoding="utf-8", errors="replace").count("Set variable: ")

    @property
    def alive(self) -> bool:
        """True until it was killed."""
        return self._server.poll() is None

    def kill(self) -> None:
        """End the server, as a power cut does."""
        self._server.kill()
        self._server.wait(5.0)

    def pause(self) -> None:
        """Let the server answer nothing while its links stay open."""
        self._server.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Undo `pause`."""
        self._server.send_signal(signal.SIGCONT)

    def stop(self) -> None:
        """End it."""
        self._server.kill()
        self._server.wait(5.0)

    def has_all(self) -> bool:
        """Tell whether the UPS has read its file: some variables are there before."""
        return all(self.knows(name) for name in _VARIABLES)

    def knows(self, variable: str) -> bool:
        """Tell whether the server serves a variable."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=1.0) as link, link.makefile("rw") as lines:
            lines.write(f"GET VAR cabinet {variable}\n")
            lines.flush()
            return lines.readline().startswith("VAR ")


def _wait(is_ready: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10.0
    while time.monotonic() < deadline:
        try:
            if is_ready():
                return
        except OSError:
            pass
        time.sleep(0.02)
    raise RuntimeError("Network UPS Tools did not start within 10 s")
