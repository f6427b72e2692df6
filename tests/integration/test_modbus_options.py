"""What devices need that are not quite as the standard has them: delays, short links, numbers that are not echoed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from itertools import pairwise
from typing import Any

import msgspec
import pytest

from bifrost._native import modbus_frame
from bifrost.core.clock import SystemClock
from bifrost.core.quality import StatusCode
from bifrost.errors import ConfigError, LinkTimeout, ModbusFault, NotConnected
from bifrost.plc import Area, DataType, LinkState, PLCConnection, Tag
from bifrost.plc.modbus import ModbusSettings, ModbusTcpDriver
from bifrost.plc.sim import Fault, FaultPlan, Injection, ModbusTcpServer, RegisterBank
from tests.integration.modbus_setup import OTHER, TAG, connection, good, holding
from tests.integration.scripted_device import scripted_device

pytestmark = pytest.mark.usefixtures("leaves_nothing_behind")


@pytest.fixture
async def server() -> AsyncIterator[ModbusTcpServer]:
    async with ModbusTcpServer(holding(range(100)), identification=IDENTITY) as running:
        yield running


IDENTITY = {0: "Bifrost", 1: "SIM-1", 2: "V1.0", 4: "Simulator", 0x80: "x" * 200, 0x81: "y" * 200}


# Numbers that are not echoed


async def test_answers_without_their_number_are_refused_unless_allowed(server: ModbusTcpServer) -> None:
    """The default waits for the right one; `strict_tid=False` knows an answer by unit, function and length."""
    server.faults = FaultPlan.always(Fault.TRANSACTION_NOT_ECHOED)
    async with connection(server.port, timeout=0.05) as plc:
        with pytest.raises(LinkTimeout):
            await plc.read(TAG)
    async with connection(server.port, strict_tid=False) as plc:
        for at in range(5):
            assert await plc.read(Tag("r", f"HR{at + 1}[3]")) == [at, at + 1, at + 2]
        await plc.write(TAG, 7)
        assert await plc.read(TAG) == 7
        readings = await plc.read_tags([TAG, Tag("none", "HR5000")])
        assert readings["none"].status == StatusCode.BAD_CONFIGURATION_ERROR


async def test_a_late_answer_without_its_number_is_not_taken_for_the_next(server: ModbusTcpServer) -> None:
    """Both are reads of one register: only waiting for the late one tells them apart."""
    late, plain = Injection(Fault.DELAY, seconds=0.12), Injection(Fault.TRANSACTION_NOT_ECHOED)
    server.faults = FaultPlan.script(plain, late, plain, plain)
    async with connection(server.port, strict_tid=False) as plc:
        assert await plc.read(Tag("r", "HR11")) == 10
        with pytest.raises(LinkTimeout):
            await plc.read(Tag("r", "HR21"))
        assert await plc.read(Tag("r", "HR31")) == 30
        assert await plc.read(Tag("r", "HR41")) == 40
        assert plc.stats.protocol["late_answers"] == 1


def test_answers_without_numbers_need_one_request_at_a_time_and_a_unit() -> None:
    """Or nothing would tell whose they are; the text names the option."""
    with pytest.raises(ConfigError, match="strict_tid=false needs max_in_flight=1, got 2"):
        PLCConnection(host="h", strict_tid=False, max_in_flight=2)
    with pytest.raises(ConfigError, match="unit_policy 'any'"):
        PLCConnection(host="h", strict_tid=False, unit_policy="any")
    with pytest.raises(ConfigError, match="inter_request_delay needs max_in_flight=1"):
        PLCConnection(host="h", inter_request_delay=0.1, max_in_flight=2)


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("max_in_flight", 0),
        ("max_in_flight", 17),
        ("inter_request_delay", -0.1),
        ("inter_request_delay", 11),
        ("connect_delay", 61),
        ("busy_retries", 11),
        ("max_write_registers", 124),
        ("max_write_registers", 0),
        ("write_single", "17"),
        ("address_base", 2),
        ("unit_policy", "all"),
    ],
)
def test_options_out_of_range_are_refused_by_name(option: str, value: Any) -> None:
    """Before anything is opened."""
    with pytest.raises(ConfigError, match=option):
        PLCConnection(host="h", **{option: value})


# Delays


async def test_a_device_gets_its_quiet_between_requests() -> None:
    """Also between those of two connections on the same link."""
    times: list[float] = []

    async def note(request: bytes, writer: asyncio.StreamWriter) -> None:
        times.append(asyncio.get_running_loop().time())
        writer.write(good(request))

    options = {"inter_request_delay": 0.03, "timeout": 1.0}
    async with (
        scripted_device(note) as device,
        connection(device.port, **options) as one,
        connection(device.port, **options) as two,
    ):
        await asyncio.gather(*(plc.read(TAG) for plc in (one, two, one, two)))
    gaps = [after - before for before, after in pairwise(times)]
    assert len(gaps) == 3
    assert min(gaps) >= 0.029


async def test_a_device_that_is_deaf_at_first_is_left_alone_for_a_while() -> None:
    """The first request comes `connect_delay` after the link is up."""
    loop = asyncio.get_running_loop()
    came: list[float] = []

    async def note(request: bytes, writer: asyncio.StreamWriter) -> None:
        came.append(loop.time())
        writer.write(good(request))

    async with scripted_device(note) as device:
        began = loop.time()
        async with connection(device.port, connect_delay=0.1) as plc:
            assert plc.state is LinkState.CONNECTED
            await plc.read(TAG)
        assert came[0] - began >= 0.1


async def test_closing_during_the_delay_leaves_no_link_behind() -> None:
    """And a device that hangs up meanwhile is one that could not be connected to."""

    async def answer(request: bytes, writer: asyncio.StreamWriter) -> None:
        writer.write(good(request))

    async with scripted_device(answer) as device:
        plc = connection(device.port, connect_delay=30.0)
        plc.start()
        await asyncio.sleep(0.05)
        assert device.links == 1
        await plc.aclose()
        assert device.requests == []
    bank = RegisterBank()
    async with ModbusTcpServer(bank, max_clients=0) as server, connection(server.port, connect_delay=0.05) as plc:
        assert plc.state is not LinkState.CONNECTED
        with pytest.raises(NotConnected, match="as soon as it was up"):
            await plc.read(TAG)


# Links that are open only while they are used


async def test_with_close_after_poll_the_link_is_open_only_while_it_is_used(server: ModbusTcpServer) -> None:
    """Each read and write has a link of its own; the state and the counters are those of one connection."""
    async with connection(server.port, close_after_poll=True) as plc:
        for turn in range(3):
            assert (await plc.read_tags([TAG, OTHER])).ok
            while server.clients:  # noqa: ASYNC110 - the server hears of the end a little later
                await asyncio.sleep(0.001)
            assert plc.state is LinkState.CONNECTED
            assert server.counters.connections == turn + 1
        await plc.write(TAG, 5)
        assert server.counters.connections == 4
        assert plc.stats.connects == 1
        assert plc.stats.protocol["requests"] == 7
        reads = [plc.read(TAG) for _ in range(5)]
        assert await asyncio.gather(*reads) == [5] * 5
        assert server.counters.connections == 5


async def test_with_close_after_poll_an_outage_is_told_and_mended(server: ModbusTcpServer) -> None:
    """The next read finds out; from then on it is as for any other link."""
    async with connection(server.port, close_after_poll=True) as plc:
        assert await plc.read(TAG) == 0
        await server.stop()
        readings = await plc.read_tags([TAG])
        assert readings["t"].status == StatusCode.BAD_NOT_CONNECTED
        assert plc.state in {LinkState.BACKOFF, LinkState.CONNECTING}
        await server.start()
        await plc.wait_connected(timeout=3.0)
        assert await plc.read(TAG) == 0
        assert plc.stats.losses == 1


async def test_with_close_after_poll_a_silent_unit_stays_known_from_link_to_link() -> None:
    """It would otherwise cost a timeout in each poll."""

    async def all_but_two(request: bytes, writer: asyncio.StreamWriter) -> None:
        if request[6] != 2:
            writer.write(good(request))

    tags = [Tag("a", "1!HR1"), Tag("dead", "2!HR1")]
    options = {"close_after_poll": True, "timeout": 0.03}
    async with scripted_device(all_but_two) as device, connection(device.port, **options) as plc:
        for _ in range(6):
            readings = await plc.read_tags(tags)
            assert readings["a"].value == 42
            assert readings["dead"].status == StatusCode.BAD_TIMEOUT
        assert [request[6] for request in device.requests].count(2) == 3
        assert device.links == 6


# Numbers that begin with 0


async def test_numbers_may_begin_with_zero_and_offsets_always_do(server: ModbusTcpServer) -> None:
    """`address_base` shifts what is numbered, in code and in settings; area and offset stay."""
    async with connection(server.port, address_base=0) as plc:
        tags = [Tag("hr", "HR5"), Tag("plain", 40005), Tag("x", "4x00005"), Tag("long", "holding-register:5")]
        assert set((await plc.read_tags(tags)).values_dict().values()) == {5}
        assert await plc.read(Tag("o", area=Area.HOLDING, offset=5)) == 5
        assert await plc.read(Tag("first", "HR0{base=0}")) == 0
        assert await plc.read(Tag("from_one", "HR5{base=1}")) == 4
        await plc.write(Tag("w", "HR7", access="rw"), 70)
        assert server.bank(1).get(Area.HOLDING, 7) == 70
        with pytest.raises(ConfigError, match="runs past"):
            await plc.read(Tag("last", "HR65536"))
    raw = {"host": "127.0.0.1", "port": server.port, "address_base": 0, "tags": [{"name": "a", "address": "HR0"}]}
    settings = msgspec.convert(raw, ModbusSettings)
    assert list(settings.problems()) == []
    async with PLCConnection.from_settings(settings) as plc:
        assert (await plc.read_tags())["a"].value == 0


# Who it is


async def test_a_device_is_asked_what_it_is_only_if_wanted(server: ModbusTcpServer) -> None:
    """Some do not survive the question."""
    for identify, requests in ((False, 0), (True, 1)):
        server.counters.requests = 0
        settings = ModbusSettings(host="127.0.0.1", port=server.port, identify=identify)
        driver = ModbusTcpDriver(settings, SystemClock())
        info = await driver.connect(timeout=1.0, on_lost=lambda _: None)
        assert info.description == ("Bifrost Simulator V1.0" if identify else "")
        assert server.counters.requests == requests
        await driver.aclose()


async def test_all_objects_are_read_however_many_answers_they_take(server: ModbusTcpServer) -> None:
    """Named ones by name, the maker's own by number."""
    driver = ModbusTcpDriver(ModbusSettings(host="127.0.0.1", port=server.port), SystemClock())
    await driver.connect(timeout=1.0, on_lost=lambda _: None)
    said = await driver.read_device_identification(timeout=1.0)
    assert (said.vendor, said.product_code, said.revision, said.name) == ("Bifrost", "SIM-1", "V1.0", "Simulator")
    assert said.objects[4] == b"Simulator"
    with pytest.raises(ConfigError, match="broadcast"):
        await driver.read_device_identification(0, timeout=1.0)
    await driver.aclose()
    with pytest.raises(NotConnected):
        await driver.read_device_identification(timeout=1.0)


@pytest.mark.parametrize("answer", ["ab01", "2b0e0183ff010003414243", "mute"])
async def test_a_device_that_does_not_say_is_used_all_the_same(answer: str) -> None:
    """It refuses, repeats itself for ever, or is silent to the question."""

    async def strange(request: bytes, writer: asyncio.StreamWriter) -> None:
        if request[7] == 3:
            writer.write(good(request))
        elif answer != "mute":
            writer.write(modbus_frame(int.from_bytes(request[:2], "big"), 1, bytes.fromhex(answer)))

    async with scripted_device(strange) as device:
        async with connection(device.port, identify=True, connect_timeout=0.2) as plc:
            assert await plc.read(TAG) == 42
        assert len(device.requests) <= 70


# Values


async def test_a_value_wider_than_a_request_is_uncertain_and_one_of_no_value_is_bad(server: ModbusTcpServer) -> None:
    """Its parts may be of different age; BCD has digits up to 9."""
    bank = server.bank(1)
    bank.put(Area.HOLDING, 10, 123456789, DataType.UINT32)
    bank.put(Area.HOLDING, 20, 0x12AB)
    async with connection(server.port, max_registers=1) as plc:
        tags = [Tag("wide", "HR11:UINT32"), Tag("word", "HR13"), Tag("bcd", "HR21:BCD16"), Tag("small", "HR6:UINT8")]
        readings = await plc.read_tags(tags)
        assert (readings["wide"].value, readings["wide"].status) == (123456789, StatusCode.UNCERTAIN)
        assert (readings["word"].value, readings["word"].status) == (12, StatusCode.GOOD)
        assert (readings["bcd"].value, readings["bcd"].status) == (None, StatusCode.BAD_DECODING_ERROR)
        assert readings["small"].value == 5
        assert await plc.read(tags[0]) == 123456789


@pytest.mark.parametrize("retries", [0, 1, 3])
async def test_a_busy_device_is_asked_again_as_often_as_allowed(server: ModbusTcpServer, retries: int) -> None:
    """Then its tag is BAD for now."""
    server.faults = FaultPlan.always(Injection(Fault.EXCEPTION, code=6))
    async with connection(server.port, busy_retries=retries) as plc:
        with pytest.raises(ModbusFault):
            await plc.read(TAG)
    assert server.counters.requests == 1 + retries
