"""Every async test below this folder runs on a loop with virtual time, unless marked `real_time`."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from bifrost.testing import VirtualClock, VirtualLoop


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "real_time: run this unit test on an ordinary event loop")


def pytest_asyncio_loop_factories(item: pytest.Item) -> dict[str, Callable[[], asyncio.AbstractEventLoop]]:
    if item.get_closest_marker("real_time") is not None:
        return {"real": asyncio.new_event_loop}
    return {"virtual": VirtualLoop}


@pytest.fixture
async def clock() -> VirtualClock:
    """The clock of the test's own loop."""
    return VirtualClock()
