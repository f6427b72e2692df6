"""What a connection does while its link does not come up, breaks, or only looks as if it were there.

One suite for every protocol over TCP: a subclass says which device is simulated. Each test also looks for what is left.
"""

from __future__ import annotations

import abc
import asyncio
import socket
import sys
import threading
from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path
from typing import Any, ClassVar, Protocol

import pytest

from bifrost.core.quality import StatusCode
from bifrost.core.value import Value
from bifrost.errors import NotConnected
from bifrost.plc import LinkState, PLCConnection, Tag
from tests.faults.silent_relay import silent_relay
from tests.integration.leftovers import nothing_left_behind
from tests.integration.waiting import until

__all__ = ["LinkPromises", "SimulatedDevice"]

_OUT_OF_REACH = {StatusCode.BAD_TIMEOUT, StatusCode.BAD_NOT_CONNECTED}


class SimulatedDevice(Protocol):
    """What the suite does with a simulated device."""

    port: int

    async def start(self) -> None:
        """Switch it on."""
        ...

    async def stop(self, *, reset: bool = False) -> None:
        """Switch it off."""
        ...


class LinkPromises(abc.ABC):
    """Promises about links, on one protocol.

    Attributes:
        protocol: its name.
        tag: one that can be read.
        value: what it reads as.
        options: more options of the connection.
        lookup_threads: threads that may hang in a name server, of eight connections to one name.
    """

    protocol: ClassVar[str]
    tag: ClassVar[Tag]
    value: ClassVar[Value]
    options: ClassVar[Mapping[str, object]] = {}
    lookup_threads: ClassVar[int] = 1

    @abc.abstractmethod
    def device(self) -> SimulatedDevice:
        """Make a device that is switched off."""

    @pytest.fixture(autouse=True)
    async def _clean(self) -> AsyncIterator[None]:
        async with nothing_left_behind():
            yield

    @pytest.fixture
    async def running(self) -> AsyncIterator[SimulatedDevice]:
        """A device that is switched on."""
        device = self.device()
        await device.start()
        try:
            yield device
        finally:
            await device.stop()

    def connection(self, port: int, **options: Any) -> PLCConnection:
        """A connection with short deadlines."""
        short = {"timeout": 0.1, "connect_timeout": 0.3, "backoff_min": 0.05, "backoff_max": 0.1}
        return PLCConnection(self.protocol, **{"host": "127.0.0.1", "port": port, **short, **self.options, **options})

    async def test_a_device_that_restarts_is_read_again(self, running: SimulatedDevice) -> None:
        """Switched off in the middle of a poll and on again: BAD meanwhile, at once, and no value is wrong."""
        async with self.connection(running.port, timeout=5.0) as plc:
            seen: list[int] = []
            loop = asyncio.get_running_loop()
            async for snapshot in plc.poll([self.tag], interval_ms=10):
                reading = snapshot[self.tag.name]
                seen.append(reading.status)
                assert reading.value == (self.value if reading.ok else None)
                assert snapshot.duration < 1.0, "a link that ended was waited for"
                if len(seen) == 3:
                    await running.stop(reset=True)
                    stopped = loop.time()
                if len(seen) == 8:
                    await running.start()
                if len(seen) > 8 and reading.ok:
                    break
                assert len(seen) < 3 or loop.time() - stopped < 8.0
            assert seen[:3] == [StatusCode.GOOD] * 3
            assert StatusCode.BAD_NOT_CONNECTED in seen
            assert plc.stats.connects == 2
            assert plc.stats.losses == 1

    @pytest.mark.parametrize("reset", [False, True], ids=["fin", "rst"])
    async def test_a_link_that_ends_while_nobody_asks_is_noticed(self, running: SimulatedDevice, reset: bool) -> None:
        """Also without a read, and writes are refused without a word to the device."""
        async with self.connection(running.port) as plc:
            assert await plc.read(self.tag) == self.value
            await running.stop(reset=reset)
            await until(lambda: plc.state not in {LinkState.CONNECTED, LinkState.DEGRADED}, timeout=2.0)
            with pytest.raises(NotConnected):
                await plc.read(self.tag)

    async def test_a_port_where_nobody_listens_is_refused_with_its_name(self) -> None:
        """At once, and the attempts go on, but not in a tight loop."""
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        async with self.connection(port, connect_timeout=5.0) as plc:
            with pytest.raises(NotConnected, match=rf"127\.0\.0\.1.*{port}"):
                await plc.read(self.tag)
            await asyncio.sleep(0.3)
            assert 2 <= plc.stats.connect_failures <= 8
            assert plc.stats.connects == 0

    async def test_a_name_that_nobody_knows_is_told_and_tried_again(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """The name may be known a little later; each attempt asks for it anew."""
        asked: list[object] = []

        def unknown(host: object, *_: object, **__: object) -> list[object]:
            asked.append(host)
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

        monkeypatch.setattr(socket, "getaddrinfo", unknown)
        async with self.connection(9, host="no-such-device.invalid") as plc:
            with pytest.raises(NotConnected, match=r"no-such-device\.invalid.*not known"):
                await plc.read(self.tag)
            await until(lambda: len(asked) >= 2, timeout=2.0)

    async def test_a_name_server_that_hangs_holds_up_nobody_else(
        self, running: SimulatedDevice, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Attempts take a few threads at most, none of the loop's own; they succeed once there is an answer."""
        answer = threading.Event()
        known = socket.getaddrinfo

        def hang(host: Any, *more: Any, **options: Any) -> Any:
            if host != "slow.invalid":
                return known(host, *more, **options)
            assert answer.wait(10.0)
            return known("127.0.0.1", *more, **options)

        monkeypatch.setattr(socket, "getaddrinfo", hang)
        loop = asyncio.get_running_loop()
        threads = threading.active_count()
        plcs = [self.connection(running.port, host="slow.invalid", connect_timeout=0.05) for _ in range(8)]
        try:
            for plc in plcs:
                plc.start()
            await until(lambda: all(plc.stats.connect_failures >= 2 for plc in plcs), timeout=5.0)
            assert threading.active_count() <= threads + self.lookup_threads
            assert not any("asyncio" in thread.name for thread in threading.enumerate())
            began = loop.time()
            await plcs.pop().aclose()
            assert loop.time() - began < 1.0
            answer.set()
            for plc in plcs:
                await plc.wait_connected(timeout=5.0)
                assert await plc.read(self.tag) == self.value
        finally:
            answer.set()
            for plc in plcs:
                await plc.aclose()

    async def test_a_half_open_link_is_given_up_and_made_anew(self, running: SimulatedDevice) -> None:
        """Open, and nobody is there: after a few deadlines there is another link, without anybody's help."""
        async with silent_relay(running.port) as relay, self.connection(relay.port) as plc:
            assert await plc.read(self.tag) == self.value
            relay.mute = True
            loop = asyncio.get_running_loop()
            began = loop.time()
            while relay.accepted < 2:
                reading = (await plc.read_tags([self.tag]))[self.tag.name]
                assert (reading.value, reading.status in _OUT_OF_REACH) == (None, True)
                assert loop.time() - began < 3.0, "the dead link was kept"
                await asyncio.sleep(0.01)
            relay.mute = False
            await self._until_good(plc)
            assert plc.stats.losses >= 1

    async def test_a_device_that_accepts_and_says_nothing_is_tried_again(self, running: SimulatedDevice) -> None:
        """What a device does whose connections are all taken: each attempt and each read ends in time."""
        async with silent_relay(running.port) as relay:
            relay.mute = True
            loop = asyncio.get_running_loop()
            began = loop.time()
            async with self.connection(relay.port) as plc:
                assert loop.time() - began < 1.5
                while relay.accepted < 2:
                    began = loop.time()
                    reading = (await plc.read_tags([self.tag]))[self.tag.name]
                    assert loop.time() - began < 1.0
                    assert (reading.value, reading.status in _OUT_OF_REACH) == (None, True)
                    await asyncio.sleep(0.01)
                relay.mute = False
                await self._until_good(plc)

    async def test_closing_is_quick_whatever_the_link_does(self, running: SimulatedDevice) -> None:
        """On a dead link, with a read on its way, and while it is being made: within a second, and twice is as once."""
        async with silent_relay(running.port) as relay:
            plc = self.connection(relay.port, timeout=30.0, connect_timeout=30.0)
            plc.start()
            await plc.wait_connected()
            relay.mute = True
            reading = asyncio.create_task(plc.read_tags([self.tag]))
            await asyncio.sleep(0.05)
            await _timed(plc.aclose)
            assert not (await reading).ok
            await _timed(plc.aclose)
            assert plc.state is LinkState.CLOSED
            connecting = self.connection(relay.port, timeout=30.0, connect_timeout=30.0)
            connecting.start()
            await asyncio.sleep(0.05)
            await _timed(connecting.aclose)

    async def test_what_happened_is_counted_under_the_same_names(self, running: SimulatedDevice) -> None:
        """Round trips, timeouts and reconnects can be looked at without knowing the protocol."""
        async with silent_relay(running.port) as relay, self.connection(relay.port) as plc:
            assert await plc.read(self.tag) == self.value
            stats = plc.stats
            assert (stats.reconnects, stats.timeouts, stats.exceptions) == (0, 0, 0)
            assert (stats.late_answers, stats.crc_errors) == (0, 0)
            assert sum(stats.round_trips.values()) >= 1
            assert list(stats.round_trips) == sorted(stats.round_trips)
            assert all(limit.bit_count() == 1 for limit in stats.round_trips)
            relay.mute = True
            while relay.accepted < 2:
                await plc.read_tags([self.tag])
                await asyncio.sleep(0.01)
            relay.mute = False
            await self._until_good(plc)
            assert plc.stats.timeouts >= 1
            assert plc.stats.reconnects >= 1

    @pytest.mark.skipif(sys.platform != "linux", reason="where the kernel's timers can be looked at")
    async def test_the_kernel_looks_after_a_link_that_is_not_used(self, running: SimulatedDevice) -> None:
        """A peer that vanishes without a word is found by keepalive probes, even if nobody reads."""
        async with self.connection(running.port) as plc:
            assert await plc.read(self.tag) == self.value
            await until(lambda: _has_keepalive(running.port), timeout=2.0)

    async def _until_good(self, plc: PLCConnection) -> None:
        async def good() -> bool:
            reading = (await plc.read_tags([self.tag]))[self.tag.name]
            assert reading.value == (self.value if reading.ok else None)
            return reading.ok

        await until(good, timeout=5.0)


async def _timed(close: Callable[[], Any]) -> None:
    loop = asyncio.get_running_loop()
    began = loop.time()
    await close()
    assert loop.time() - began < 1.3


def _has_keepalive(port: int) -> bool:
    """Look for a connection to `port` whose pending timer is the keepalive timer (proc(5), /proc/net/tcp, field tr)."""
    rows = [line.split() for line in Path("/proc/net/tcp").read_text(encoding="ascii").splitlines()[1:]]
    wanted = f"0100007F:{port:04X}"
    return any(row[2] == wanted and row[3] == "01" and row[5].startswith("02:") for row in rows)
