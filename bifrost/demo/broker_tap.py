"""A subscriber of its own at the MQTT broker, so that what arrived there is counted by somebody else.

In: the broker's address. Out: every sample that came, and how often. Needs aiomqtt (extra `mqtt`).
"""

from __future__ import annotations

import asyncio
from collections import Counter
from types import TracebackType
from typing import Any, Self

import msgspec

from bifrost.demo.history import Row
from bifrost.errors import LinkTimeout, MissingExtra

__all__ = ["BrokerTap"]

_QUIET = 2.0
"""Seconds without a message after which nothing more is expected."""
_LONGEST_WAIT = 30.0


class _Sample(msgspec.Struct):
    tag: str
    ts: int
    value: Any
    status: int = 0
    received: int | None = None


class _Body(msgspec.Struct):
    buffer_id: str
    seq: int
    part: int
    samples: list[_Sample]


class BrokerTap:
    """Subscribes for the length of an `async with`.

    Args:
        host: the broker.
        port: its port.
        topic: filter of the topics to count.

    Attributes:
        rows: how often each sample came; a message that is recognised as a replay counts in `replays` instead.
        replays: messages whose buffer, place and part had come before.
    """

    def __init__(self, host: str, port: int, topic: str) -> None:
        self.rows: Counter[Row] = Counter()
        self.replays = 0
        self._host, self._port, self._topic = host, port, topic
        self._known: set[tuple[str, int, int]] = set()
        self._subscribed = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._last = 0.0

    async def __aenter__(self) -> Self:
        """Subscribe; everything that is published from now on is counted.

        Raises:
            LinkTimeout: the broker did not answer in time.
        """
        self._task = asyncio.create_task(self._run(), name="broker tap")
        subscribed = asyncio.create_task(self._subscribed.wait())
        await asyncio.wait({self._task, subscribed}, timeout=10, return_when=asyncio.FIRST_COMPLETED)
        subscribed.cancel()
        if self._task.done():
            self._task.result()
        if not self._subscribed.is_set():
            self._task.cancel()
            raise LinkTimeout(f"no answer from the broker at {self._host}:{self._port} within 10 s")
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Wait until nothing more comes, then leave."""
        assert self._task is not None
        loop = asyncio.get_running_loop()
        self._last = loop.time()
        deadline = self._last + _LONGEST_WAIT
        while exc is None and loop.time() < min(self._last + _QUIET, deadline):  # noqa: ASYNC110 - waits for silence
            await asyncio.sleep(0.1)
        self._task.cancel()
        await asyncio.wait({self._task})

    async def _run(self) -> None:
        try:
            import aiomqtt  # an extra
        except ImportError as error:
            raise MissingExtra("aiomqtt is missing: pip install 'bifrost-edge[mqtt]'") from error
        version = aiomqtt.ProtocolVersion.V5
        async with aiomqtt.Client(self._host, self._port, protocol=version, max_queued_incoming_messages=0) as client:
            await client.subscribe(self._topic, qos=1)
            self._subscribed.set()
            async for message in client.messages:
                assert isinstance(message.payload, bytes | bytearray)
                self._count(msgspec.json.decode(message.payload, type=_Body))

    def _count(self, body: _Body) -> None:
        self._last = asyncio.get_running_loop().time()
        key = (body.buffer_id, body.seq, body.part)
        if key in self._known:
            self.replays += 1
            return
        self._known.add(key)
        for sample in body.samples:
            self.rows[Row(sample.tag, sample.ts, sample.value, sample.status, sample.received)] += 1
