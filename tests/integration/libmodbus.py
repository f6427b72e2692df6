"""Starts the C server made of libmodbus: an independent partner that shares no line with bifrost."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

__all__ = ["LibmodbusServer", "build_libmodbus_server", "missing_for_libmodbus", "serve_libmodbus"]

_SOURCE = Path(__file__).with_name("libmodbus_server.c")


class LibmodbusServer:
    """A running server.

    Attributes:
        port: where it listens on 127.0.0.1.
        process: the process.
    """

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        assert process.stdout is not None
        self.port = int(process.stdout.readline())

    def writes_taken(self) -> int:
        """How many write requests reached the server so far."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write("w\n")
        self.process.stdin.flush()
        return int(self.process.stdout.readline())


def missing_for_libmodbus() -> str | None:
    """Tell what has to be installed first, or None."""
    if shutil.which("cc") is None or shutil.which("pkg-config") is None:
        return "apt-get install gcc pkg-config libmodbus-dev"
    found = subprocess.run(["pkg-config", "--exists", "libmodbus"], check=False)
    return "apt-get install libmodbus-dev" if found.returncode else None


def build_libmodbus_server() -> Path:
    """Compile the server, once for each version of its source."""
    digest = hashlib.sha256(_SOURCE.read_bytes()).hexdigest()[:16]
    cache = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "bifrost"
    cache.mkdir(parents=True, exist_ok=True)
    binary = cache / f"libmodbus_server-{digest}"
    if not binary.exists():
        flags = subprocess.run(
            ["pkg-config", "--cflags", "--libs", "libmodbus"], check=True, capture_output=True, text=True
        ).stdout.split()
        with tempfile.TemporaryDirectory(dir=cache) as folder:
            built = Path(folder) / "server"
            subprocess.run(["cc", "-O2", "-o", str(built), str(_SOURCE), *flags], check=True)
            built.replace(binary)
    return binary


@contextmanager
def serve_libmodbus(count: int = 65536) -> Iterator[LibmodbusServer]:
    """Run the server with `count` values in each table."""
    process = subprocess.Popen(
        [build_libmodbus_server(), str(count)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        yield LibmodbusServer(process)
    finally:
        with process:
            assert process.stdin is not None
            process.stdin.close()
            try:
                process.wait(timeout=5)
            except subprocess.TimeoutExpired:
                process.kill()
