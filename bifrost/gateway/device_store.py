"""Devices that were added at run time and shall be there after a restart: one JSON file in the data directory.

In: a device's plain settings by name. Out: the same after a restart. The file is replaced as a whole, so a kill leaves
the old one or the new one.
"""

from __future__ import annotations

import contextlib
import os
import tempfile
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from bifrost.errors import BifrostError, ConfigError

__all__ = ["DeviceStore"]

FILE_NAME = "devices.json"
_MAX_BYTES = 64 * 1024 * 1024


class DeviceStore:
    """The kept devices of one data directory."""

    def __init__(self, data_dir: Path) -> None:
        self.path = data_dir / FILE_NAME
        self._turn = threading.Lock()  # one change at a time: each reads the file and replaces it

    def load(self) -> dict[str, Any]:
        """Read every kept device's settings, unchecked, by name.

        Raises:
            ConfigError: the file is there and cannot be read; mend or remove it.
        """
        try:
            with self.path.open("rb") as file:
                raw = file.read(_MAX_BYTES + 1)
        except FileNotFoundError:
            return {}
        except OSError as error:
            raise ConfigError(f"cannot read {self.path}: {error.strerror or error}") from error
        if len(raw) > _MAX_BYTES:
            raise ConfigError(f"{self.path} is longer than {_MAX_BYTES} bytes; it is no list of kept devices")
        try:
            return msgspec.json.decode(raw, type=dict[str, Any])
        except (msgspec.DecodeError, RecursionError) as error:
            raise ConfigError(f"{self.path} holds no list of kept devices: {error}; mend or remove it") from error

    def keep(self, name: str, settings: Mapping[str, Any]) -> None:
        """Add a device, or replace it; on return it is on disk."""
        with self._turn:
            self._write({**self.load(), name: dict(settings)})

    def forget(self, name: str) -> bool:
        """Remove a device; false if it was not kept."""
        with self._turn:
            kept = self.load()
            if name not in kept:
                return False
            del kept[name]
            self._write(kept)
            return True

    def _write(self, kept: dict[str, Any]) -> None:
        temporary: str | None = None
        try:
            handle, temporary = tempfile.mkstemp(dir=self.path.parent, prefix=FILE_NAME)
            with os.fdopen(handle, "wb") as file:
                file.write(msgspec.json.format(msgspec.json.encode(kept), indent=2))
                file.flush()
                os.fsync(file.fileno())
            Path(temporary).replace(self.path)
            _sync_folder(self.path.parent)
        except OSError as error:
            if temporary is not None:
                with contextlib.suppress(OSError):
                    Path(temporary).unlink()
            raise BifrostError(f"cannot keep devices in {self.path}: {error.strerror or error}") from error


def _sync_folder(folder: Path) -> None:
    """Bring the new name to the disk, where a folder can be opened for that."""
    if not hasattr(os, "O_DIRECTORY"):
        return
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
