"""Links that hang, threads that are stuck: the event loop goes on, and nothing is used up."""

from __future__ import annotations

import asyncio
import socket
import struct
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest

from bifrost.core.clock import SystemClock
from bifrost.errors import LinkError, LinkTimeout, NotConnected
from bifrost.plc import LinkState, PLCConnection
from bifrost.plc.ethernet_ip import EtherNetIPSettings
from bifrost.plc.ethernet_ip.cip_socket import CipSocket
from bifrost.plc.ethernet_ip.driver import EtherNetIPDriver
from bifrost.plc.ethernet_ip.watched_thread import MAX_STUCK, MAX_WAITING, LinkBusy, WatchedThread, stuck_threads
from bifrost.plc.sim.cip import CipFault, CipFaultPlan, CipInjection, LogixTarget
from tests.integration.ethernet_ip.logix import link, linked, tag, tag_store
from tests.integration.ethernet_ip.loop_gap import loop_gap
from tests.integration.leftovers import nothing_left_behind
from tests.integration.waiting import until

_LIMIT = 0.005
_SESSION = struct.pack("<HHIIQI", 0x65, 4, 7, 0, 0, 0) + struct.pack("<HH", 1, 0)

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


async def _mute(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read()
    writer.close()


async def _half(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read(28)
    writer.write(_SESSION[:15])
    await reader.read()


async def _half_then_closed(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read(28)
    writer.write(_SESSION[:25])
    writer.write_eof()
    await reader.read()


async def _dribble(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read(28)
    # A frame that says it is long, and comes for ever.
    writer.write(struct.pack("<HHIIQI", 0x65, 0xFFFF, 7, 0, 0, 0))
    while not reader.at_eof():
        writer.write(b"\0")
        await asyncio.sleep(0.01)


async def _mute_after_register(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read(28)
    writer.write(_SESSION)
    await reader.read()


@asynccontextmanager
async def _served(serve: Serve) -> AsyncIterator[int]:
    async def serve_one(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await serve(reader, writer)
        except ConnectionError:
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(serve_one, "127.0.0.1")
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        await server.wait_closed()


@asynccontextmanager
async def _full_backlog() -> AsyncIterator[int]:
    """A port that takes no connection and refuses none, as a host behind a silent firewall."""
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen(0)
        waiting = []
        for _ in range(8):
            filler = socket.socket()
            filler.setblocking(False)
            filler.connect_ex(server.getsockname())
            waiting.append(filler)
        try:
            yield server.getsockname()[1]
        finally:
            for filler in waiting:
                filler.close()


async def test_the_measure_of_the_loop_can_fail() -> None:
    """A call that blocks for 20 ms is seen as such."""
    async with loop_gap() as gap:
        await asyncio.sleep(0.005)
        time.sleep(0.02)  # noqa: ASYNC251 - this is what must be seen
    assert gap.longest > 3 * _LIMIT


@pytest.mark.parametrize("serve", [_mute, _half, _half_then_closed, _dribble, _mute_after_register, None])
async def test_a_device_that_hangs_never_blocks_the_loop(serve: Serve | None) -> None:
    """While attempt after attempt hangs, no turn of the loop waits for one; each ends by its deadline."""
    async with nothing_left_behind(), _full_backlog() if serve is None else _served(serve) as port:
        await _fail(port)  # the first one imports pycomm3
        gaps = []
        for _ in range(3):
            async with loop_gap() as gap:
                await _fail(port)
            assert gap.turns > 1
            gaps.append(gap.longest)
        assert min(gaps) < _LIMIT, "what blocks, blocks every time; what a busy machine does, does not"


async def _fail(port: int) -> None:
    attempt = link(port)
    began = time.monotonic()
    with pytest.raises(LinkError):
        await attempt.driver.connect(timeout=0.08, on_lost=attempt.losses.append)
    assert time.monotonic() - began < 1.0
    await attempt.driver.aclose()


async def test_a_link_that_falls_silent_never_blocks_the_loop() -> None:
    """Reads, writes and closing of a link whose peer is gone without a word."""
    async with LogixTarget(tag_store()) as target, nothing_left_behind(), linked(target.port) as silent:
        await silent.values("Speed")
        target.faults = CipFaultPlan.always(CipFault.SILENCE)
        target.opening_faults = CipFaultPlan.always(CipFault.SILENCE)
        async with loop_gap() as gap:
            with pytest.raises(NotConnected):
                await silent.read("Speed", timeout=0.1)
            await silent.driver.aclose()
        assert gap.longest < _LIMIT


async def test_a_peer_that_closes_within_a_frame_costs_no_cpu() -> None:
    """The library's own receive would spin for ever; this one ends at once."""
    async with LogixTarget(tag_store()) as target, linked(target.port) as cut:
        await cut.values("Speed")
        target.faults = CipFaultPlan.script(CipInjection(CipFault.TRUNCATE, cut=45))
        began = time.process_time()
        with pytest.raises(NotConnected, match="within an answer"):
            await cut.read("Speed", timeout=5.0)
        await asyncio.sleep(0.1)
        assert time.process_time() - began < 0.08


async def test_a_supervised_link_mends_itself_with_a_new_thread() -> None:
    """After silence the connection comes back; the old thread is gone, and writes were not repeated."""
    store = tag_store()
    async with (
        LogixTarget(store) as target,
        nothing_left_behind(),
        PLCConnection("ethernet-ip", host="127.0.0.1", port=target.port, timeout=0.1, backoff_min=0.05) as plc,
    ):
        speed, count = tag("Speed"), tag("Count", access="rw")
        assert await plc.read(speed) == 1.5
        target.faults = CipFaultPlan.script(CipFault.SILENCE)
        assert not (await plc.read_tags([speed])).ok
        await until(lambda: plc.state is LinkState.CONNECTED)
        assert await plc.read(speed) == 1.5
        await plc.write(count, 8)
        assert store.value("Count") == 8
        assert store.write_count == 1
        threads = [one.name for one in threading.enumerate() if "ethernet-ip" in one.name]
        assert len(threads) == 1
        assert plc.stats.connects == 2


async def test_a_link_that_ends_while_idle_is_noticed() -> None:
    """Nobody asks, the device restarts: the loss is told within a second."""
    async with LogixTarget(tag_store()) as target, linked(target.port) as idle:
        await idle.values("Speed")
        target.drop_clients(reset=False)
        await until(lambda: bool(idle.losses), timeout=1.0)
        assert "closed" in str(idle.losses[0])


class _Gate:
    """What a stuck function waits for: nothing from outside moves it."""

    def __init__(self) -> None:
        self.open = threading.Event()
        self.entered = threading.Event()

    def wait(self, *_: object, **__: object) -> list[object]:
        self.entered.set()
        assert self.open.wait(10.0)
        return []


async def test_threads_that_hang_are_counted_and_no_more_are_made(monkeypatch: pytest.MonkeyPatch) -> None:
    """A name server that hangs takes three threads at most; when one ends, there is a new attempt."""
    gate = _Gate()
    async with LogixTarget(tag_store()) as target, nothing_left_behind():
        with monkeypatch.context() as hanging:
            hanging.setattr(socket, "getaddrinfo", gate.wait)
            async with loop_gap() as gap:
                for made in range(MAX_STUCK):
                    attempt = link(target.port)
                    with pytest.raises(LinkTimeout):
                        await attempt.driver.connect(timeout=0.05, on_lost=attempt.losses.append)
                    await attempt.driver.aclose()
                    assert stuck_threads(f"127.0.0.1:{target.port}") == made + 1
                    assert attempt.driver.counters()["stuck_threads"] == 1
                refused = link(target.port)
                with pytest.raises(LinkError, match="threads hang"):
                    await refused.driver.connect(timeout=0.05, on_lost=refused.losses.append)
                await refused.driver.aclose()
            assert gap.longest < _LIMIT
            gate.open.set()
            await until(lambda: stuck_threads(f"127.0.0.1:{target.port}") == 0)
        async with linked(target.port) as mended:
            assert await mended.values("Speed") == [1.5]


async def test_the_results_of_an_abandoned_thread_are_dropped() -> None:
    """What ends after its deadline ends nothing else, and the link stays given up."""
    gate = _Gate()
    losses: list[Exception] = []
    async with nothing_left_behind():
        thread = WatchedThread("nowhere:1", CipSocket(SystemClock()), SystemClock(), losses.append)
        with pytest.raises(LinkTimeout):
            await thread.run(gate.wait, patience=0.02, limit=1.0)
        with pytest.raises(NotConnected):
            await thread.run(gate.wait, patience=0.02, limit=1.0)
        gate.open.set()
        await thread.end()
        assert len(losses) == 1
        assert thread.timeouts == 1


async def test_requests_wait_in_order_and_not_without_bound() -> None:
    """One at a time, first come first served; what is too much is refused at once, and what is given up is left out."""
    gate = _Gate()
    done: list[int] = []
    async with nothing_left_behind():
        thread = WatchedThread("nowhere:2", CipSocket(SystemClock()), SystemClock(), None)
        first = asyncio.ensure_future(thread.run(gate.wait, patience=5.0, limit=5.0))
        waiting = [
            asyncio.ensure_future(thread.run(done.append, number, patience=5.0, limit=5.0))
            for number in range(MAX_WAITING)
        ]
        await until(gate.entered.is_set)
        with pytest.raises(LinkBusy, match="ask less often"):
            await thread.run(done.append, -1, patience=5.0, limit=5.0)
        waiting[1].cancel()
        await asyncio.wait([waiting[1]])
        waiting.append(asyncio.ensure_future(thread.run(done.append, MAX_WAITING, patience=5.0, limit=5.0)))
        await asyncio.sleep(0)
        gate.open.set()
        await asyncio.wait([first, *waiting])
        assert done == [0, *range(2, MAX_WAITING + 1)]
        await thread.end()


async def test_the_limit_holds_although_every_exchange_is_quick() -> None:
    """A controller that promises more for ever is given up."""
    async with LogixTarget(tag_store()) as target, linked(target.port) as endless:
        target.faults = CipFaultPlan.always(CipInjection(CipFault.PARTIAL, cut=7))
        began = time.monotonic()
        with pytest.raises(NotConnected):
            await endless.read("Large{3000}", timeout=0.01)
        assert time.monotonic() - began < 2.0


async def test_many_links_at_once_do_not_share_a_thread() -> None:
    """Two links, one of them silent: the other is as quick as before."""
    async with (
        LogixTarget(tag_store()) as healthy,
        LogixTarget(tag_store()) as silent,
        nothing_left_behind(),
        linked(silent.port) as hung,
        linked(healthy.port) as quick,
    ):
        silent.faults = CipFaultPlan.always(CipFault.DROP)
        waiting = asyncio.ensure_future(hung.read("Speed", timeout=1.0))
        await asyncio.sleep(0.01)
        began = time.monotonic()
        for _ in range(20):
            assert await quick.values("Speed") == [1.5]
        assert time.monotonic() - began < 0.9
        assert not waiting.done()
        waiting.cancel()
        await asyncio.wait([waiting])


async def test_waiting_for_a_turn_has_a_deadline_too() -> None:
    """What waits longer than its own limit is told so, and never begins; the link goes on."""
    gate = _Gate()
    done: list[int] = []
    async with nothing_left_behind():
        thread = WatchedThread("nowhere:3", CipSocket(SystemClock()), SystemClock(), None)
        first = asyncio.ensure_future(thread.run(gate.wait, patience=5.0, limit=5.0))
        await until(gate.entered.is_set)
        with pytest.raises(LinkBusy, match="busy"):
            await thread.run(done.append, 1, patience=0.02, limit=0.02)
        gate.open.set()
        await first
        await thread.run(done.append, 2, patience=5.0, limit=5.0)
        assert done == [2]
        assert thread.dead is None
        await thread.end()


async def test_a_controller_that_restarts_is_found_again() -> None:
    """Refused while it is away, connected when it is back; reads in between are BAD at once."""
    target = LogixTarget(tag_store())
    async with target, nothing_left_behind():
        url = f"ethernet-ip://127.0.0.1:{target.port}?backoff_min=0.05&backoff_max=0.05"
        async with PLCConnection.from_url(url) as plc:
            assert await plc.read(tag("Speed")) == 1.5
            await target.stop(reset=True)
            await until(lambda: plc.state is not LinkState.CONNECTED)
            began = time.monotonic()
            assert not (await plc.read_tags([tag("Speed")])).ok
            assert time.monotonic() - began < 0.1
            await until(lambda: plc.stats.connect_failures > 0)
            await target.start()
            await plc.wait_connected()
            assert await plc.read(tag("Speed")) == 1.5


async def test_a_name_that_nobody_knows_is_a_link_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """The text has the name; the name server is asked in the thread."""
    threads: list[str] = []

    def unknown(*_: object, **__: object) -> list[object]:
        threads.append(threading.current_thread().name)
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    async with nothing_left_behind():
        attempt = EtherNetIPDriver(EtherNetIPSettings(host="nobody.invalid"), SystemClock())
        with pytest.raises(LinkError, match=r"nobody\.invalid port 44818: Name or service not known"):
            await attempt.connect(timeout=2.0, on_lost=print)
        await attempt.aclose()
    assert threads
    assert all("ethernet-ip" in name for name in threads)
