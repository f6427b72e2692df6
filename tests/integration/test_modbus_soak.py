"""Users come and go, give up in the middle, and the device hangs up at random: nothing is left, nothing is wrong."""

from __future__ import annotations

import asyncio
import random
from typing import Any

import pytest

from bifrost.core.quality import StatusCode
from bifrost.plc import Area, PLCConnection, Tag
from bifrost.plc.sim import ModbusTcpServer, RegisterBank

TAGS = [Tag("near", "HR1"), Tag("far", "HR301"), Tag("unit", "HR151")]


pytestmark = pytest.mark.usefixtures("leaves_nothing_behind")


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"max_in_flight": 4},
        {"close_after_poll": True},
        {"close_after_poll": True, "max_in_flight": 3},
        {"strict_tid": False},
        {"connect_delay": 0.005},
        {"inter_request_delay": 0.001},
        {"share_link": False},
    ],
    ids=lambda options: ",".join(options) or "default",
)
async def test_users_that_come_and_go_on_a_link_that_breaks_get_their_own_values_or_none(
    options: dict[str, Any],
) -> None:
    """Eight at a time, three units, reads that are cancelled, links that are reset; in the end nobody holds a link."""
    chance = random.Random(7)
    banks = {unit: RegisterBank() for unit in (1, 2, 3)}
    for unit, bank in banks.items():
        bank.map(Area.HOLDING, 0, 400)
        bank.put(Area.HOLDING, 150, unit)
    good = 0

    async def use(number: int) -> None:
        nonlocal good
        unit = number % 3 + 1
        for _ in range(25):
            plc = PLCConnection(
                host="127.0.0.1", port=server.port, unit_id=unit, timeout=0.05, backoff_min=0.05, **options
            )
            async with plc:
                for _ in range(chance.randrange(6)):
                    reading = asyncio.ensure_future(plc.read_tags(TAGS))
                    await asyncio.sleep(chance.random() * 0.003)
                    if chance.random() < 0.3:
                        reading.cancel()
                    try:
                        readings = await reading
                    except asyncio.CancelledError:
                        continue
                    good += readings.ok
                    assert readings["unit"].value in {unit, None}
                    assert (readings["unit"].value is None) == (readings["unit"].status != StatusCode.GOOD)

    async def break_links() -> None:
        while True:
            await asyncio.sleep(chance.random() * 0.05)
            server.drop_clients(reset=chance.random() < 0.5)

    async with ModbusTcpServer(banks) as server:
        breaking = asyncio.ensure_future(break_links())
        async with asyncio.timeout(20):
            await asyncio.gather(*(use(number) for number in range(8)))
        breaking.cancel()
        await asyncio.wait([breaking])
        async with asyncio.timeout(2):
            while server.clients:  # noqa: ASYNC110 - the server hears of the end a little later
                await asyncio.sleep(0.005)
    assert good > 0
