"""What the `bifrost` command tells its caller by its exit code."""

from __future__ import annotations

from enum import IntEnum

__all__ = ["ExitCode"]


class ExitCode(IntEnum):
    """Exit codes, also told in the command's `--help`."""

    OK = 0
    FAILED = 1
    WRONG_SETTINGS = 2
    SOME_BAD = 3
    """Of several values at least one could not be read or written."""
    NOT_CONNECTED = 4
    """No device answered."""
    UNKNOWN_OUTCOME = 5
    """A write was sent and no answer came: the device may have acted."""
    INTERRUPTED = 130
