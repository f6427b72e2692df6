"""A bus that misbehaves: tags turn BAD with the reason or are read all the same, and no write is sent twice."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import math
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from bifrost.core.quality import StatusCode
from bifrost.errors import ConfigError, LinkTimeout, ModbusFault, NotConnected, WriteError
from bifrost.plc import LinkState, PLCConnection, Tag
from bifrost.plc.sim import Fault, FaultPlan, Framing, Injection, ModbusRtuServer, ModbusTcpServer, open_pty_pair
from bifrost.plc.sim.device import ModbusDevice
from tests.integration.leftovers import nothing_left_behind
from tests.integration.simulated_units import simulated_unit
from tests.integration.waiting import until

FIRST, SECOND = Tag("first", "HR11", access="rw"), Tag("second", "HR12", access="rw")
LINKS = ["serial", "tcp"]


@asynccontextmanager
async def bus(link: str, *units: int, **options: Any) -> AsyncIterator[tuple[ModbusDevice, PLCConnection]]:
    """Units with 130 registers that hold their own address, and a connection to them."""
    banks = {unit: simulated_unit() for unit in units or (1,)}
    options = {"timeout": 0.15, "backoff_min": 0.05, **options}
    async with nothing_left_behind(), AsyncExitStack() as stack:
        server: ModbusDevice
        if link == "serial":
            line = stack.enter_context(open_pty_pair())
            server = await stack.enter_async_context(ModbusRtuServer(banks, line.descriptor))
            where = {"protocol": "modbus-rtu", "serial_port": line.path, "baudrate": 115_200}
        else:
            server = await stack.enter_async_context(tcp := ModbusTcpServer(banks, framing="rtu"))
            where = {"protocol": "modbus-rtu-over-tcp", "host": "127.0.0.1", "port": tcp.port}
        plc = await stack.enter_async_context(PLCConnection(**{**where, **options}))
        yield server, plc


@pytest.mark.parametrize("link", LINKS)
async def test_a_lost_answer_is_a_timeout_and_the_next_read_is_good(link: str) -> None:
    """The link stays."""
    async with bus(link) as (server, plc):
        server.faults = FaultPlan.script(Fault.DROP)
        readings = await plc.read_tags([FIRST])
        assert readings["first"].status == StatusCode.BAD_TIMEOUT
        assert readings["first"].value is None
        assert await plc.read(FIRST) == 10
        assert plc.stats.connects == 1


@pytest.mark.parametrize("link", LINKS)
async def test_a_late_answer_is_never_taken_for_the_next_ones(link: str) -> None:
    """Both answers have the same unit, function and length: only waiting tells them apart."""
    async with bus(link) as (server, plc):
        server.faults = FaultPlan.script(Injection(Fault.DELAY, seconds=0.22))
        with pytest.raises(LinkTimeout, match="unit 1 did not answer"):
            await plc.read(FIRST)
        assert await plc.read(SECOND) == 11
        assert plc.stats.protocol["late_answers"] == 1
        assert server.counters.requests == 2


async def test_other_units_are_asked_while_one_owes_an_answer() -> None:
    """Their answers cannot be mistaken for its."""
    loop = asyncio.get_running_loop()
    async with bus("serial", 1, 2, timeout=0.4) as (server, plc):
        server.faults = FaultPlan.script(Fault.DROP)
        with pytest.raises(LinkTimeout):
            await plc.read(FIRST)
        begin = loop.time()
        assert await plc.read(Tag("other", "2!HR11")) == 10
        assert loop.time() - begin < 0.2
        assert await plc.read(SECOND) == 11
        assert loop.time() - begin > 0.3


@pytest.mark.parametrize("link", LINKS)
async def test_an_answer_of_another_unit_is_dropped(link: str) -> None:
    """Alone it is no answer; before the right one it does no harm."""
    async with bus(link) as (server, plc):
        server.faults = FaultPlan.script(Fault.WRONG_UNIT, Fault.COALESCE)
        readings = await plc.read_tags([FIRST])
        assert readings["first"].status == StatusCode.BAD_TIMEOUT
        assert await plc.read(FIRST) == 10
        assert plc.stats.protocol["misaddressed_answers"] == 2


@pytest.mark.parametrize("fault", [Fault.WRONG_FUNCTION, Fault.WRONG_BYTE_COUNT])
@pytest.mark.parametrize("link", LINKS)
async def test_an_answer_that_does_not_fit_is_bad(link: str, fault: Fault) -> None:
    """A good CRC is no proof that it is the right answer."""
    async with bus(link) as (server, plc):
        server.faults = FaultPlan.script(fault)
        readings = await plc.read_tags([Tag("words", "HR11[4]")])
        assert readings["words"].status == StatusCode.BAD_COMMUNICATION_ERROR
        assert readings["words"].value is None
        assert await plc.read(FIRST) == 10
        assert plc.stats.connects == 1


@pytest.mark.parametrize(
    ("code", "status"),
    [
        (1, StatusCode.BAD_NOT_SUPPORTED),
        (2, StatusCode.BAD_CONFIGURATION_ERROR),
        (3, StatusCode.BAD_CONFIGURATION_ERROR),
        (4, StatusCode.BAD_DEVICE_FAILURE),
        (7, StatusCode.BAD_DEVICE_FAILURE),
        (8, StatusCode.BAD_DEVICE_FAILURE),
        (10, StatusCode.BAD_NO_COMMUNICATION),
        (11, StatusCode.BAD_NO_COMMUNICATION),
    ],
)
async def test_an_exception_is_the_status_of_its_tags(code: int, status: StatusCode) -> None:
    """As in Modbus TCP; the link and other tags go on."""
    async with bus("serial") as (server, plc):
        server.faults = FaultPlan.script(Injection(Fault.EXCEPTION, code=code))
        readings = await plc.read_tags([FIRST, Tag("input", "IR1")])
        assert readings["first"].status == status
        assert readings["input"].value == 1000
        server.faults = FaultPlan.script(Injection(Fault.EXCEPTION, code=code))
        with pytest.raises(ModbusFault) as caught:
            await plc.write(FIRST, 1)
        assert caught.value.code == code


@pytest.mark.parametrize("link", LINKS)
async def test_an_exception_with_a_byte_too_many_leaves_the_link_usable(link: str) -> None:
    """Its CRC stands in the wrong place; the read is asked once more."""
    async with bus(link) as (server, plc):
        server.faults = FaultPlan.script(Injection(Fault.EXCEPTION_LENGTH, code=2))
        assert (await plc.read_tags([FIRST]))["first"].status in {StatusCode.GOOD, StatusCode.BAD_CONFIGURATION_ERROR}
        assert await plc.read(SECOND) == 11
        assert plc.stats.connects == 1


@pytest.mark.parametrize("link", LINKS)
async def test_a_read_with_a_wrong_crc_is_asked_once_more(link: str) -> None:
    """Long before the deadline; the second time it is BAD."""
    loop = asyncio.get_running_loop()
    async with bus(link, timeout=2.0) as (server, plc):
        server.faults = FaultPlan.script(Fault.CRC_ERROR)
        begin = loop.time()
        assert await plc.read(FIRST) == 10
        assert loop.time() - begin < 0.5
        assert plc.stats.protocol["crc_errors"] == plc.stats.protocol["reads_sent_again"] == 1
        server.faults = FaultPlan.script(Fault.CRC_ERROR, Fault.CRC_ERROR)
        readings = await plc.read_tags([FIRST])
        assert readings["first"].status == StatusCode.BAD_COMMUNICATION_ERROR
        assert "wrong CRC" in (readings["first"].error or "")
        assert server.counters.requests == 4
        assert await plc.read(SECOND) == 11


@pytest.mark.parametrize("fault", [Fault.CRC_ERROR, Fault.DROP, Fault.GARBAGE, Fault.WRONG_UNIT])
@pytest.mark.parametrize("link", LINKS)
async def test_a_write_without_a_good_answer_is_sent_once(link: str, fault: Fault) -> None:
    """The device may have acted: that is said, and nothing is sent again."""
    async with bus(link) as (server, plc):
        server.faults = FaultPlan.script(fault)
        with pytest.raises(WriteError, match="may have acted") as caught:
            await plc.write(FIRST, 5)
        assert caught.value.unknown_outcome
        await asyncio.sleep(0.1)
        assert server.counters.requests == 1
        assert await plc.read(FIRST) == 5


@pytest.mark.parametrize("fault", [Fault.NOISE_BEFORE, Fault.NOISE_AFTER, Fault.DUPLICATE, Fault.SPLIT, Fault.ECHO])
@pytest.mark.parametrize("link", LINKS)
async def test_noise_around_an_answer_does_no_harm(link: str, fault: Fault) -> None:
    """The frame is found behind it, and nothing of it reaches the next request."""
    async with bus(link) as (server, plc):
        noise = bytes.fromhex("01 03 00 ff 55 10 01 03 fa")
        server.faults = FaultPlan.script(*[Injection(fault, noise=noise)] * 5)
        for tag, value in ((FIRST, 10), (SECOND, 11)) * 5:
            assert await plc.read(tag) == value
        assert plc.stats.connects == 1


@pytest.mark.parametrize("link", LINKS)
async def test_an_adapter_that_echoes_is_served_by_an_option(link: str) -> None:
    """Also for single writes, whose answer looks like their request."""
    async with bus(link, local_echo=True) as (server, plc):
        server.faults = FaultPlan.always(Fault.ECHO)
        assert await plc.read(FIRST) == 10
        await plc.write(FIRST, 77)
        assert await plc.read(FIRST) == 77
        assert plc.stats.protocol["echoes"] == 3
        server.faults = FaultPlan.script(Injection(Fault.EXCEPTION, code=4))  # no echo this time: it goes on
        with pytest.raises(ModbusFault):
            await plc.write(FIRST, 78)


async def test_only_the_echo_of_a_write_is_not_its_answer() -> None:
    """With the option, a device that is gone is not taken for one that has acted."""
    async with bus("serial", local_echo=True) as (server, plc):
        server.faults = FaultPlan.script(Fault.ECHO_ONLY)
        with pytest.raises(WriteError) as caught:
            await plc.write(FIRST, 1)
        assert caught.value.unknown_outcome


@pytest.mark.parametrize(
    "fault", [Injection(Fault.GAP, seconds=0.06, cut=4), Injection(Fault.SLOW_BYTES, seconds=0.01)]
)
@pytest.mark.parametrize("link", LINKS)
async def test_pauses_within_a_frame_are_borne(link: str, fault: Injection) -> None:
    """USB adapters make them; the deadline counts from sending, and nothing else."""
    async with bus(link, timeout=1.0) as (server, plc):
        server.faults = FaultPlan.script(fault)
        assert await plc.read(FIRST) == 10
        assert plc.stats.protocol["crc_errors"] == 0


@pytest.mark.parametrize("link", LINKS)
async def test_garbage_costs_one_read_and_not_the_link(link: str) -> None:
    """On a bus noise is nothing unusual."""
    async with bus(link) as (server, plc):
        server.faults = FaultPlan.script(Injection(Fault.GARBAGE, noise=b"\x01\x03\x08hello\xff\x00noise"))
        await plc.read_tags([FIRST])
        assert await plc.read(SECOND) == 11
        assert plc.stats.connects == 1
        assert plc.stats.protocol["noise_bytes"] > 0


async def test_half_an_answer_on_a_line_is_a_timeout() -> None:
    """Its rest never comes; the next answer is not glued to it."""
    async with bus("serial") as (server, plc):
        server.faults = FaultPlan.script(Injection(Fault.TRUNCATE, cut=4))
        readings = await plc.read_tags([FIRST])
        assert readings["first"].status == StatusCode.BAD_TIMEOUT
        assert await plc.read(SECOND) == 11


@pytest.mark.parametrize("fault", [Fault.FIN, Fault.RST, Fault.TRUNCATE])
async def test_a_connection_that_ends_fails_the_read_at_once(fault: Fault) -> None:
    """Not after the timeout, and the next link works."""
    loop = asyncio.get_running_loop()
    async with bus("tcp", timeout=5.0) as (server, plc):
        server.faults = FaultPlan.script(fault)
        begin = loop.time()
        with pytest.raises(NotConnected):
            await plc.read(FIRST)
        assert loop.time() - begin < 1.0
        await plc.wait_connected(timeout=2.0)
        assert await plc.read(SECOND) == 11


@pytest.mark.parametrize("link", LINKS)
async def test_a_device_that_is_silent_for_good_gets_a_new_link(link: str) -> None:
    """After three requests in vain; a half-open connection is not waited for any longer."""
    async with bus(link, timeout=0.05) as (server, plc):
        server.faults = FaultPlan.script(Fault.SILENCE)
        for _ in range(3):
            await plc.read_tags([FIRST])
        await until(lambda: plc.stats.connects == 2 and plc.state is LinkState.CONNECTED)
        if link == "tcp":  # a serial line has only one session, and it stays silent
            assert await plc.read(FIRST) == 10


async def test_a_dead_unit_does_not_starve_the_others() -> None:
    """After three timeouts it is asked only now and then."""
    async with bus("serial", 1, 2, timeout=0.05, probe_interval=30.0) as (_, plc):
        tags = [Tag("alive", "1!HR11"), Tag("dead", "9!HR11"), Tag("alive too", "2!HR12")]
        for _ in range(5):
            readings = await plc.read_tags(tags)
            assert readings["alive"].value == 10
            assert readings["alive too"].value == 11
            assert readings["dead"].status == StatusCode.BAD_TIMEOUT
        assert plc.stats.protocol["timeouts"] == 3
        assert plc.stats.connects == 1


async def test_a_port_that_vanishes_fails_the_read_at_once_and_is_taken_again(tmp_path: Path) -> None:
    """The adapter is unplugged, and plugged in later."""
    loop = asyncio.get_running_loop()
    port = tmp_path / "ttyUSB0"
    async with nothing_left_behind():
        line = open_pty_pair()
        port.symlink_to(line.path)
        async with PLCConnection(protocol="modbus-rtu", serial_port=str(port), timeout=5.0, backoff_min=0.05) as plc:
            async with ModbusRtuServer(simulated_unit(), line.descriptor) as server:
                assert await plc.read(FIRST) == 10
                server.faults = FaultPlan.always(Fault.DROP)
                reading = asyncio.create_task(plc.read_tags([FIRST]))
                await asyncio.sleep(0.03)
                begin = loop.time()
            line.unplug()
            port.unlink()
            assert (await reading)["first"].status == StatusCode.BAD_NOT_CONNECTED
            assert loop.time() - begin < 1.0
            readings = await plc.read_tags([FIRST])
            assert readings["first"].status == StatusCode.BAD_NOT_CONNECTED
            with open_pty_pair() as line:
                port.symlink_to(line.path)
                async with ModbusRtuServer(simulated_unit(), line.descriptor):
                    await plc.wait_connected(timeout=5.0)
                    assert await plc.read(SECOND) == 11


async def test_connections_to_one_port_share_it_and_others_are_kept_out() -> None:
    """One line, one lock: requests take turns, whoever asks, and another way of opening the port is refused."""
    async with bus("serial", 1, 2) as (server, plc):
        assert isinstance(server, ModbusRtuServer)
        where = str(plc.settings.serial_port)  # type: ignore[attr-defined]  # the settings of modbus-rtu
        options: dict[str, Any] = {"protocol": "modbus-rtu", "serial_port": where, "baudrate": 115_200, "unit_id": 2}
        async with PLCConnection(**options) as other:
            both = [connection.read(tag) for tag in (FIRST, SECOND) for connection in (plc, other) for _ in range(10)]
            assert await asyncio.gather(*both) == [10] * 20 + [11] * 20
            assert server.counters.connections == 1
        assert await plc.read(FIRST) == 10
        with pytest.raises(ConfigError, match="baudrate"):
            async with PLCConnection(**{**options, "baudrate": 9600}) as wrong:
                await wrong.read(FIRST)
        async with PLCConnection(**options, share_link=False, backoff_min=5.0) as alone:
            with pytest.raises(NotConnected, match="in use"):
                await alone.read(FIRST)


async def test_a_device_that_accepts_and_never_answers_is_told_as_silent() -> None:
    """What some do that serve as many connections as they can."""
    server = ModbusTcpServer(simulated_unit(), framing="rtu", max_clients=1, when_full="silence")
    async with nothing_left_behind(), server:
        options: dict[str, Any] = {"protocol": "modbus-rtu-over-tcp", "host": "127.0.0.1", "port": server.port}
        options |= {"timeout": 0.1, "share_link": False}
        async with PLCConnection(**options) as first, PLCConnection(**options) as more:
            assert await first.read(FIRST) == 10
            readings = await more.read_tags([FIRST])
            assert readings["first"].status == StatusCode.BAD_TIMEOUT
            assert await first.read(SECOND) == 11
            assert server.counters.turned_away == 1


@pytest.mark.parametrize(
    ("edge", "datatype", "expected"),
    [
        ("7fc00000", "FLOAT32", math.nan),
        ("7f800000", "FLOAT32", math.inf),
        ("ff800000", "FLOAT32", -math.inf),
        ("7ff8000000000000", "FLOAT64", math.nan),
        ("ffffffffffffffff", "UINT64", 2**64 - 1),
        ("8000000000000000", "INT64", -(2**63)),
        ("41424344", "STRING(8)", "ABCDABCD"),
    ],
)
async def test_values_at_the_edges_come_as_they_are(edge: str, datatype: str, expected: object) -> None:
    """NaN is a value of the device's; no edge is an error or a zero."""
    async with bus("serial") as (server, plc):
        server.faults = FaultPlan.script(Injection(Fault.VALUE_EDGE, noise=bytes.fromhex(edge)))
        value = await plc.read(Tag("edge", f"HR1:{datatype}"))
        assert value == expected or (value != value and expected != expected)  # noqa: PLR0124 (NaN)


@pytest.mark.parametrize("link", LINKS)
@pytest.mark.parametrize("seed", [1, 2])
async def test_whatever_happens_no_value_is_wrong_and_no_write_is_doubled(link: str, seed: int) -> None:
    """A seeded storm of all faults that this link can have: a value is right or BAD, and in the end all is well."""
    framing = Framing.RTU if link == "serial" else Framing.RTU_OVER_TCP
    kinds = [fault for fault in Fault if fault not in {Fault.SILENCE, Fault.VALUE_EDGE}]
    async with bus(link, timeout=0.06, probe_interval=0.05, backoff_max=0.1) as (server, plc):
        server.faults = plan = FaultPlan.seeded(seed, rate=0.4, faults=kinds, framing=framing, seconds=0.02)
        good = 0
        for turn in range(20):
            await until(lambda: plc.state in {LinkState.CONNECTED, LinkState.DEGRADED})
            readings = await plc.read_tags([SECOND, Tag("input", "IR5")])
            for name, right in (("second", 11), ("input", 1004)):
                assert readings[name].value in {None, right}
                good += readings[name].value == right
            with contextlib.suppress(WriteError, ModbusFault, NotConnected):
                await plc.write(FIRST, turn)
        assert good
        writes = server.bank(1).write_count
        assert 0 < writes <= 20
        assert sum(injection is not None for injection in plan.history) > 10
        server.faults = None
        await until(lambda: plc.state in {LinkState.CONNECTED, LinkState.DEGRADED})
        await until(functools.partial(_reads, plc, SECOND, 11))
        assert server.bank(1).write_count == writes


async def _reads(plc: PLCConnection, tag: Tag, expected: object) -> bool:
    return (await plc.read_tags([tag]))[tag.name].value == expected
