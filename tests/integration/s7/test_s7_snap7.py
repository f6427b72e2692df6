"""The S7 driver against snap7's own server, without our front: who it is, what it has, every area."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager

import pytest
from snap7.server import Server
from snap7.type import SrvArea

from bifrost.core.clock import SystemClock
from bifrost.errors import AddressError, ConfigError, NotConnected, S7Fault
from bifrost.plc import DataType, PLCConnection, Tag
from bifrost.plc.discovery import FoundDevice, discover
from bifrost.plc.s7 import S7Driver, S7Settings
from bifrost.plc.sim import Constant, Counter, Fault, FaultPlan
from bifrost.plc.sim.s7 import S7Target
from tests.integration.leftovers import nothing_left_behind
from tests.integration.waiting import until

_AREAS = {
    SrvArea.DB: 1,
    SrvArea.MK: 0,
    SrvArea.PE: 0,
    SrvArea.PA: 0,
    SrvArea.TM: 0,
    SrvArea.CT: 0,
}


@contextmanager
def _snap7_server() -> Iterator[int]:
    server = Server(log=False)
    for area, number in _AREAS.items():
        server.register_area(area, number, bytearray(64))
    server.host = "127.0.0.1"
    server.start(0)
    assert server.server_socket is not None
    try:
        yield server.server_socket.getsockname()[1]
    finally:
        server.stop()


@pytest.fixture
def port() -> Iterator[int]:
    with _snap7_server() as port:
        yield port


@pytest.fixture
async def plc(port: int) -> AsyncIterator[PLCConnection]:
    async with nothing_left_behind(), PLCConnection.from_url(f"s7://127.0.0.1:{port}?rack=0&slot=1") as plc:
        yield plc


@pytest.mark.parametrize(
    ("address", "value"),
    [
        ("DB1.DBB0", 200),
        ("DB1:2:INT", -5),
        ("DB1.DBD4:REAL", 20.5),
        ("DB1:8:LREAL", 1e300),
        ("DB1:16:DTL", "2024-05-06T07:08:09.010011012"),
        ("DB1:28:DT", "2024-05-06T07:08:09.010"),
        ("DB1:36:TIME", -1),
        ("DB1:40:WCHAR(3)", "λΩ!"),
        ("DB1:46:BYTES(4)", b"\0\1\2\3"),
        ("DB1:50:INT[4]", [1, -2, 3, -4]),
        ("MW20", 4711),
        ("IW22:BCD16", 1234),
        ("QB4", 7),
        ("T5", 12_300),
        ("C3", 321),
        ("C4[2]", [1, 2]),
    ],
)
async def test_each_area_and_type_is_read_as_it_was_written(plc: PLCConnection, address: str, value: object) -> None:
    """Through the whole connection."""
    tag = Tag("x", address, access="rw")
    await plc.write(tag, value)
    assert await plc.read(tag) == value


async def test_a_cpu_says_who_it_is(port: int) -> None:
    """Type and order number come from the system status lists."""
    driver = S7Driver(S7Settings(protocol="s7", host="127.0.0.1", port=port), SystemClock())
    info = await driver.connect(timeout=2.0, on_lost=lambda _: None)
    await driver.aclose()
    assert info.endpoint == f"127.0.0.1:{port}"
    assert info.description == "CPU 315-2 PN/DP, 6ES7 315-2EH14-0AB0 V3.3.0; PDU of 480 bytes"


async def test_browsing_lists_the_data_blocks(plc: PLCConnection) -> None:
    """Each with an address that reads it."""
    (found,) = await plc.browse()
    assert (found.name, found.address, found.datatype, found.count) == ("DB1", "DB1.DBB0:BYTE[64]", DataType.UINT8, 64)
    assert await plc.read(Tag("all", found.address)) == [0] * 64


async def test_a_write_to_a_block_that_does_not_exist_is_refused(plc: PLCConnection) -> None:
    """snap7's server refuses the job as a whole; the connection goes on."""
    with pytest.raises(S7Fault, match="no such block"):
        await plc.write(Tag("x", "DB9.DBW0", access="rw"), 1)
    assert await plc.read(Tag("x", "DB1.DBW0")) == 0


async def _found(target: str, **options: object) -> list[FoundDevice]:
    return [device async for device in discover("s7", target, timeout=1.0, **{"rate": 1000.0, **options})]


async def test_a_search_finds_the_cpu_and_nothing_else() -> None:
    """With the address that connects to it; the rest is silent, refused, or no CPU."""
    async with nothing_left_behind(), S7Target({1: 8}) as target:
        found = await _found("127.0.0.0/30", port=target.port)
        assert target.write_count == 0
        (device,) = [one for one in found if one.endpoint.startswith("127.0.0.1:")]
        assert device.url == f"s7://127.0.0.1:{target.port}?rack=0&slot=1"
        assert device.name == "CPU 315-2 PN/DP, 6ES7 315-2EH14-0AB0 V3.3.0"
        async with PLCConnection.from_url(device.url) as plc:
            assert await plc.read(Tag("x", "DB1.DBW0")) == 0
        target.refuse_connections = True
        assert await _found(f"127.0.0.1:{target.port}") == []


async def test_a_search_can_be_left_and_does_not_wait_for_the_silent() -> None:
    """No task and no descriptor stays; who does not answer in time is not there."""
    async with nothing_left_behind(), S7Target({1: 8}) as target:
        search = discover("s7", "127.0.0.0/28", timeout=1.0, port=target.port, rate=1000.0)
        async for device in search:
            assert device.protocol == "s7"
            break
        await search.aclose()  # type: ignore[attr-defined]  # it is an async generator
    async with S7Target({1: 8}, max_clients=0, when_full="silence") as silent:
        assert [one async for one in discover("s7", f"127.0.0.1:{silent.port}", timeout=0.1)] == []
        assert silent.counters.connections == 1


@pytest.mark.parametrize(
    ("target", "options", "error"),
    [
        ("", {}, AddressError),
        ("192.0.2.0/99", {}, AddressError),
        ("10.0.0.0/8", {}, ConfigError),
        ("192.0.2.1", {"rate": 0.0}, ConfigError),
        ("192.0.2.1", {"slot": 99}, ConfigError),
        ("192.0.2.1", {"colour": 1}, ConfigError),
    ],
)
async def test_a_search_that_makes_no_sense_sends_nothing(
    target: str, options: dict[str, object], error: type[ConfigError]
) -> None:
    """It is refused before the first connection."""
    with pytest.raises(error):
        await _found(target, **options)


async def test_signals_drive_what_is_read() -> None:
    """Each read sees them as they stand at that moment."""
    async with S7Target({1: 16}) as target:
        target.bind("DB1.DBD0:REAL", Constant(1.5))
        target.bind("DB1.DBW4", Counter(period=3600.0))
        async with PLCConnection("s7", host="127.0.0.1", port=target.port) as plc:
            values = await plc.read_tags([Tag("level", "DB1.DBD0:REAL"), Tag("count", "DB1.DBW4")])
    assert values.values_dict() == {"level": 1.5, "count": 0}


async def test_neighbouring_writes_are_one_job() -> None:
    """If it is asked for; in order, and each value once."""
    tags = [Tag(f"t{at}", f"DB1.DBW{2 * at}", access="rw") for at in range(10)]
    async with S7Target({1: 64}) as target, PLCConnection("s7", host="127.0.0.1", port=target.port) as plc:
        results = await plc.write_tags({tag: at for at, tag in enumerate(tags)}, merge=True)
        assert results.ok
        assert target.counters.jobs == 1
        assert target.get("DB1:0:UINT[10]") == list(range(10))


async def test_a_thousand_tags_are_a_few_jobs() -> None:
    """Contiguous ones share items, scattered ones share jobs."""
    tags = [Tag(f"t{at}", f"DB1.DBD{at * 4}:REAL") for at in range(1000)]
    far = [Tag(f"f{at}", f"DB2.DBW{at * 200}") for at in range(100)]
    async with S7Target({1: 4000, 2: 20_000}) as target, PLCConnection("s7", host="127.0.0.1", port=target.port) as plc:
        assert (await plc.read_tags(tags)).ok
        assert target.counters.jobs == 9
        assert (await plc.read_tags(far)).ok
        assert target.counters.jobs == 9 + 5


async def test_a_device_that_does_not_say_who_it_is_is_connected_to_all_the_same() -> None:
    """The second connection of the attempt is made without asking."""
    async with S7Target({1: 8}) as target:
        relayed = S7Driver(S7Settings(protocol="s7", host="127.0.0.1", port=target.port), SystemClock())
        target.mute_userdata = True
        info = await relayed.connect(timeout=0.6, on_lost=lambda _: None)
        assert info.description == "PDU of 480 bytes"
        assert target.counters.connections == 2
        plan = relayed.plan([Tag("x", "DB1.DBW0", protocol="s7")])
        assert (await relayed.read(plan, timeout=0.5)).values == [0]
        await relayed.aclose()


async def test_waiting_jobs_fail_at_once_when_the_link_goes() -> None:
    """Nobody waits for the timeout of the one in front."""
    async with S7Target({1: 8}) as target:
        driver = S7Driver(S7Settings(protocol="s7", host="127.0.0.1", port=target.port), SystemClock())
        await driver.connect(timeout=1.0, on_lost=lambda _: None)
        target.faults = FaultPlan.always(Fault.SILENCE)
        plan = driver.plan([Tag("x", "DB1.DBW0", protocol="s7")])
        reads = [asyncio.create_task(driver.read(plan, timeout=5.0)) for _ in range(5)]
        await until(lambda: target.counters.jobs == 1)
        target.drop_clients()
        async with asyncio.timeout(0.5):
            outcomes = await asyncio.gather(*reads, return_exceptions=True)
        assert all(isinstance(outcome, NotConnected) for outcome in outcomes)
        await driver.aclose()
