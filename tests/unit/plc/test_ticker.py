"""Fixed-rate ticks: no drift, and no catching up."""

from __future__ import annotations

import asyncio

import pytest

from bifrost.errors import ConfigError
from bifrost.plc.ticker import Ticker


async def test_ticks_do_not_drift() -> None:
    """However long each turn takes, as long as it is shorter than the period."""
    loop, ticker, times = asyncio.get_running_loop(), Ticker(0.1), []
    for index in range(100):
        await ticker.wait()
        times.append(loop.time())
        await asyncio.sleep(0.01 * (index % 9))
    assert times == pytest.approx([times[0] + 0.1 * index for index in range(100)], abs=1e-6)
    assert ticker.overruns == 0


async def test_ticks_that_were_missed_are_skipped_and_counted() -> None:
    """The next one is on the old grid."""
    loop, ticker = asyncio.get_running_loop(), Ticker(0.1)
    await ticker.wait()
    begin = loop.time()
    await asyncio.sleep(0.35)
    await ticker.wait()
    await ticker.wait()
    assert loop.time() - begin == pytest.approx(0.4)
    assert ticker.overruns == 2


def test_an_interval_has_a_range() -> None:
    """Zero would spin."""
    with pytest.raises(ConfigError, match="expected an interval"):
        Ticker(0)
