"""What the `bifrost` command tells its caller by its exit code."""

from __future__ import annotations

from enum import IntEnum

__all__ = ["ExitCode"]


class ExitCode(IntEnum):
    """Exit codes, also told in the command's `--help`."""

    OK = 0
    FAILED = 1
    WRONG_SETTINGS = 2
    INTERRUPTED = 130
