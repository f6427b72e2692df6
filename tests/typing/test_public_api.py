"""The module that the type checker reads is a module: its names exist at run time too."""

from __future__ import annotations

import inspect

from tests.typing import public_api


def test_what_is_type_checked_exists() -> None:
    """Every import of the checked module works, and each of its functions says what it checks."""
    assert all(inspect.getdoc(getattr(public_api, name)) for name in public_api.__all__)
