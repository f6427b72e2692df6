"""What tests with real sockets, threads and processes share."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.integration.leftovers import nothing_left_behind


@pytest.fixture
async def leaves_nothing_behind() -> AsyncIterator[None]:
    """Fail a test after which there are more tasks, threads or descriptors than before it and its other fixtures."""
    async with nothing_left_behind():
        yield
