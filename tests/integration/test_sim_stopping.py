"""Simulated devices stop while clients are just connecting, and leave nobody behind."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from typing import Any

import pytest

from bifrost.plc.sim import ModbusTcpServer, RegisterBank
from bifrost.plc.sim.cip import LogixTarget, TagStore
from bifrost.plc.sim.s7 import S7Target
from tests.integration.leftovers import nothing_left_behind
from tests.integration.waiting import until


@pytest.mark.parametrize(
    "make",
    [lambda: ModbusTcpServer(RegisterBank()), lambda: LogixTarget(TagStore()), lambda: S7Target({1: 8})],
    ids=["modbus", "cip", "s7"],
)
@pytest.mark.parametrize("reset", [False, True], ids=["fin", "rst"])
# What asyncio has accepted and not yet announced when its server is closed, it leaves to the garbage collector.
@pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")
async def test_a_client_that_is_just_connecting_does_not_hold_up_the_stop(make: Callable[[], Any], reset: bool) -> None:
    """It is turned away, however far its connection has come."""
    async with nothing_left_behind():
        device = make()
        for turns in range(8):
            await device.start()
            clients = [socket.socket() for _ in range(3)]
            try:
                for client in clients:
                    client.setblocking(False)
                    client.connect_ex(("127.0.0.1", device.port))
                for _ in range(turns):
                    await asyncio.sleep(0)
                await device.stop(reset=reset, timeout=0.5)
                await until(lambda device=device: device.clients == 0, timeout=0.5)  # type: ignore[misc]  # bound here
            finally:
                for client in clients:
                    client.close()
