"""Runs one test of a contract suite on a broken implementation and expects the suite to notice."""

from __future__ import annotations

from pathlib import Path

import pytest

from bifrost.errors import BifrostError

__all__ = ["expect_caught", "promises_of"]


def promises_of(suite: type) -> set[str]:
    """The names of a suite's tests."""
    return {name for name in dir(suite) if name.startswith("test_")}


async def expect_caught(suite: object, test: str, folder: Path | None = None) -> None:
    """Run `test` of `suite`: it must fail, and by what it says or by what the broken thing raised."""
    arguments = [] if folder is None else [folder]
    with pytest.raises((AssertionError, BifrostError, OSError)):
        await getattr(suite, test)(*arguments)
