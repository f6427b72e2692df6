"""Where a gateway's control socket is, from its data directory.

`control.sock` in the data directory, mode 0600. Where Unix domain sockets are missing, or the path is longer than
they take, `control.json` (mode 0600) holds a loopback TCP port and the token that every request must carry.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import socket
import tempfile
from pathlib import Path

import msgspec

from bifrost.errors import NotConnected

__all__ = ["ControlAddress", "find_address", "listen", "withdraw"]

SOCKET_NAME = "control.sock"
PORT_FILE_NAME = "control.json"
_MAX_UNIX_PATH_BYTES = 100  # sun_path holds 108 bytes on Linux and 104 on macOS, with the ending zero


class ControlAddress(msgspec.Struct, frozen=True, omit_defaults=True):
    """One control socket: a Unix path, or a loopback TCP port with its token."""

    unix: str | None = None
    port: int | None = None
    token: str | None = None

    def __repr__(self) -> str:
        """Show the address without its token."""
        return f"ControlAddress({self.unix or f'127.0.0.1:{self.port}'})"

    def connect(self, *, timeout: float) -> socket.socket:
        """Open a blocking connection whose every wait ends after `timeout` seconds.

        Raises:
            NotConnected: nobody listens there.
        """
        try:
            if self.unix is None:
                return socket.create_connection(("127.0.0.1", self.port or 0), timeout=timeout)
            link = socket.socket(socket.AF_UNIX)
        except OSError as error:
            raise NotConnected(f"no gateway listens on {self!r}: {error}") from error
        try:
            link.settimeout(timeout)
            link.connect(self.unix)
        except OSError as error:
            link.close()
            raise NotConnected(f"no gateway listens on {self!r}: {error}") from error
        return link


def find_address(data_dir: Path) -> ControlAddress:
    """Tell where the gateway that owns `data_dir` listens.

    Raises:
        NotConnected: no gateway runs there.
    """
    if (data_dir / SOCKET_NAME).exists():
        return ControlAddress(unix=str(data_dir / SOCKET_NAME))
    try:
        return msgspec.json.decode((data_dir / PORT_FILE_NAME).read_bytes(), type=ControlAddress)
    except FileNotFoundError:
        raise NotConnected(
            f"no gateway runs with the data directory {data_dir}; start one with: bifrost run gateway.toml"
        ) from None
    except (OSError, msgspec.DecodeError) as error:
        raise NotConnected(f"cannot read {data_dir / PORT_FILE_NAME}: {error}") from error


def listen(data_dir: Path) -> tuple[socket.socket, ControlAddress]:
    """Bind the control socket of a data directory; what a killed gateway left there is replaced.

    Returns:
        A bound, not yet listening socket, and its address.

    Raises:
        NotConnected: it cannot be bound, or another gateway listens there.
    """
    path = data_dir / SOCKET_NAME
    fits = len(os.fsencode(path)) <= _MAX_UNIX_PATH_BYTES
    try:
        if hasattr(socket, "AF_UNIX") and fits:
            return _listen_unix(path)
        return _listen_tcp(data_dir)
    except OSError as error:
        raise NotConnected(f"cannot open the control socket in {data_dir}: {error}") from error


def withdraw(data_dir: Path, address: ControlAddress) -> None:
    """Remove what `listen` left on disk."""
    name = SOCKET_NAME if address.unix is not None else PORT_FILE_NAME
    with contextlib.suppress(OSError):
        (data_dir / name).unlink()


def _listen_unix(path: Path) -> tuple[socket.socket, ControlAddress]:
    address = ControlAddress(unix=str(path))
    if path.exists():
        try:
            address.connect(timeout=1.0).close()
        except NotConnected:
            path.unlink(missing_ok=True)
        else:
            raise NotConnected(f"another gateway listens on {path}; stop it, or use another data_dir")
    link = socket.socket(socket.AF_UNIX)
    try:
        link.bind(str(path))
        path.chmod(0o600)  # before anybody can connect: the socket does not listen yet
        link.setblocking(False)
    except OSError:
        link.close()
        raise
    return link, address


def _listen_tcp(data_dir: Path) -> tuple[socket.socket, ControlAddress]:
    link = socket.socket()
    try:
        link.bind(("127.0.0.1", 0))
        link.setblocking(False)
        address = ControlAddress(port=link.getsockname()[1], token=secrets.token_urlsafe(32))
        # mkstemp gives mode 0600 from the first moment; the rename makes the file appear whole.
        handle, temporary = tempfile.mkstemp(dir=data_dir, prefix=PORT_FILE_NAME)
        with os.fdopen(handle, "wb") as file:
            file.write(msgspec.json.encode(address))
        Path(temporary).replace(data_dir / PORT_FILE_NAME)
    except OSError:
        link.close()
        raise
    return link, address
