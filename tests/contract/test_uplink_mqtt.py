"""The MQTT connector keeps the uplink's contract, against a real broker."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import aiomqtt
import msgspec
import pytest

from bifrost.bridge.connectors.mqtt import MqttSettings, MqttUplink
from bifrost.core.ports import Uplink
from bifrost.testing.uplink_contract import UplinkContract
from tests.integration.mosquitto import Mosquitto, mosquitto, require_mosquitto


class TestMqtt(UplinkContract):
    """Against mosquitto, with a subscriber that was there first."""

    broker: Mosquitto
    seen: set[int]

    @pytest.fixture(autouse=True)
    async def destination(self, tmp_path: Path) -> AsyncIterator[None]:
        require_mosquitto()
        self.seen = set()
        with mosquitto(tmp_path) as self.broker:
            ready = asyncio.Event()
            task = asyncio.create_task(self._subscribe(ready))
            await asyncio.wait_for(ready.wait(), 5)
            yield
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task

    async def _subscribe(self, ready: asyncio.Event) -> None:
        async with aiomqtt.Client("127.0.0.1", self.broker.port) as client:
            await client.subscribe("#", qos=1)
            ready.set()
            async for message in client.messages:
                assert isinstance(message.payload, bytes)
                self.seen |= {sample["value"] for sample in msgspec.json.decode(message.payload)["samples"]}

    async def make(self, folder: Path) -> Uplink:
        return MqttUplink(MqttSettings(url=self.broker.url))

    async def stored(self, folder: Path) -> set[int]:
        await asyncio.sleep(0.2)  # the broker acknowledges before its subscribers have everything
        return self.seen
