"""The tutorial's lesson is done, step by step, as a reader does it: its files, its commands, its order."""

from __future__ import annotations

import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

_PAGE = Path(__file__).parents[2] / "docs" / "tutorial" / "first-gateway.md"
_FENCE = re.compile(r"^```(\w+)[^\n]*\n(.*?)^```", re.MULTILINE | re.DOTALL)


def free_ports(count: int) -> list[int]:
    taken = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [each.getsockname()[1] for each in taken]
    for each in taken:
        each.close()
    return ports


def files_of_the_lesson(folder: Path) -> None:
    """Save the page's files, on ports that are free."""
    press, oven = free_ports(2)
    blocks = _FENCE.findall(_PAGE.read_text(encoding="utf-8"))
    machines, history = (body for kind, body in blocks if kind == "python")
    (added,) = (body for kind, body in blocks if kind == "text")
    files = {
        "machines.py": machines,
        "history.py": history,
        "oven.toml": added,
        "gateway.toml": "\n".join(body for kind, body in blocks if kind == "toml"),
    }
    for name, body in files.items():
        text = body.replace("5020", str(press)).replace("5021", str(oven))
        (folder / name).write_text(text, encoding="utf-8")


class Reader:
    """Somebody in the lesson's folder, with terminals."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def run(self, *arguments: str) -> str:
        command = [sys.executable, "-W", "error", *arguments]
        done = subprocess.run(command, cwd=self.folder, capture_output=True, text=True, timeout=30, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    @contextmanager
    def terminal(self, *arguments: str) -> Iterator[None]:
        """Run a program until the end of the block, and end it with Ctrl-C."""
        log = self.folder / f"{Path(arguments[-1]).name}.log"
        with log.open("w") as output:
            process = subprocess.Popen(
                [sys.executable, "-W", "error", *arguments], cwd=self.folder, stdout=output, stderr=output
            )
        try:
            yield
            process.send_signal(signal.SIGINT)
            assert process.wait(timeout=20) in {0, 130}, log.read_text()
        finally:
            process.kill()
            process.wait(timeout=5)

    def until(self, look: Callable[[str], bool], *arguments: str) -> str:
        """Repeat a command until its output is as expected."""
        deadline = time.monotonic() + 20
        while True:
            done = subprocess.run(
                [sys.executable, *arguments], cwd=self.folder, capture_output=True, text=True, timeout=30, check=False
            )
            if done.returncode == 0 and look(done.stdout):
                return done.stdout
            assert time.monotonic() < deadline, done.stdout + done.stderr
            time.sleep(0.2)

    def devices_until(self, look: Callable[[str], bool]) -> str:
        return self.until(look, "-m", "bifrost", "device", "list")


@pytest.mark.skipif(not hasattr(socket, "AF_UNIX"), reason="the lesson is for Linux")
def test_the_lesson_works_as_written(tmp_path: Path) -> None:
    """Check, run, add a device, read the history, an outage and its end, and a stop that loses nothing."""
    files_of_the_lesson(tmp_path)
    reader = Reader(tmp_path)
    assert "right (1 device, 2 tags, 1 pipeline, 1 uplink)" in reader.run("-m", "bifrost", "check", "gateway.toml")
    assert "no history yet" in reader.run("history.py")
    with reader.terminal("-m", "bifrost", "run", "gateway.toml"):
        with reader.terminal("machines.py", "3600"):
            reader.devices_until(lambda text: "press   connected" in text)
            assert "temperatures  running" in reader.run("-m", "bifrost", "tree")
            added = reader.run("-m", "bifrost", "device", "add", "oven", "oven.toml")
            assert added == "device oven added with 1 tag\n"
            wanted = ("oven/temperature.mean", "press/temperature.max", "press/temperature ")
            shown = reader.until(lambda text: all(tag in text for tag in wanted), "history.py")
            assert "press/pieces" not in shown
        silent = reader.devices_until(lambda text: "press   backoff" in text and "oven    backoff" in text)
        assert "Connect call failed" in silent or "Connection refused" in silent or "closed the link" in silent
        reader.until(lambda text: " 0 without" not in text.splitlines()[0], "history.py")
        with reader.terminal("machines.py", "3600"):
            reader.devices_until(lambda text: text.count("connected") == 2)
    assert "oven/temperature" in reader.run("history.py")
