"""``engine="pymodbus"``: ASCII, TLS and UDP against pymodbus's servers, with our checks and our deadlines."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from pymodbus.framer import FramerType

from bifrost.core.quality import StatusCode
from bifrost.errors import ConfigError, LinkTimeout, NotConnected, WriteError
from bifrost.plc import Area, LinkState, PLCConnection, Tag
from bifrost.plc.sim import Fault, FaultPlan, Injection, ModbusTcpServer, RegisterBank
from tests.integration.certificates import make_certificates
from tests.integration.leftovers import nothing_left_behind
from tests.integration.null_modem import null_modem
from tests.integration.pymodbus_servers import serve_serial, serve_tcp, serve_tls, serve_udp

TAG = Tag("t", "HR1", access="rw")


def network(port: int, **options: Any) -> PLCConnection:
    return PLCConnection(host="127.0.0.1", port=port, engine="pymodbus", **{"timeout": 1.0, **options})


async def _use(plc: PLCConnection) -> None:
    readings = await plc.read_tags([Tag("one", "1!HR1[3]"), Tag("two", "2!IR5"), Tag("c", "C1[9]"), Tag("f", "HR200")])
    assert readings["one"].value == [7, 7, 7]
    assert readings["two"].value == 7
    assert readings["c"].value == [True] * 9
    assert readings["f"].status == StatusCode.BAD_CONFIGURATION_ERROR
    words = Tag("ws", "2!HR20:INT32[4]", access="rw")
    await plc.write(TAG, 1234)
    await plc.write(words, [-1, 2, -3, 4])
    assert await plc.read(TAG) == 1234
    assert await plc.read(words) == [-1, 2, -3, 4]
    assert plc.stats.connects == 1


async def test_modbus_tcp_by_pymodbus() -> None:
    """The same answers as by our own engine."""
    async with nothing_left_behind(), serve_tcp(1, 2) as port, network(port) as plc:
        await _use(plc)


@pytest.mark.parametrize("framer", ["ascii", "rtu"])
async def test_other_framings_in_tcp(framer: str) -> None:
    """ASCII and RTU frames in a TCP stream."""
    async with (
        nothing_left_behind(),
        serve_tcp(1, 2, framer=FramerType(framer)) as port,
        network(port, framer=framer) as plc,
    ):
        await _use(plc)


@pytest.mark.parametrize("framer", ["socket", "ascii"])
async def test_modbus_in_udp(framer: str) -> None:
    """One datagram for each request and answer."""
    async with (
        nothing_left_behind(),
        serve_udp(1, 2, framer=FramerType(framer)) as port,
        network(port, transport="udp", framer=framer) as plc,
    ):
        await _use(plc)


async def test_modbus_ascii_on_a_serial_line() -> None:
    """What RTU's elder brother speaks."""
    async with nothing_left_behind():
        with null_modem() as (ours, theirs):
            async with (
                serve_serial(theirs, 1, 2, framer=FramerType.ASCII),
                PLCConnection(
                    protocol="modbus-rtu", serial_port=ours, baudrate=115_200, framer="ascii", engine="pymodbus"
                ) as plc,
            ):
                await _use(plc)


async def test_a_tls_device_must_prove_who_it_is(tmp_path: Path) -> None:
    """Trusted if its authority is given; refused with the reason if not; taken unseen only if asked for in words."""
    ours = make_certificates(tmp_path)
    async with nothing_left_behind(), serve_tls(1, 2, sslctx=ours.server_context()) as port:
        async with network(port, transport="tls", ca_file=str(ours.authority)) as plc:
            await _use(plc)
        async with network(port, transport="tls", backoff_min=10.0) as plc:
            with pytest.raises(NotConnected, match="certificate verify failed"):
                await plc.read(TAG)
        async with network(port, transport="tls", verify="none") as plc:
            assert await plc.read(TAG) == 1234
        await asyncio.sleep(0.05)  # the device notices that the last clients left


async def test_a_tls_device_that_asks_is_shown_our_certificate(tmp_path: Path) -> None:
    """Mutual authentication; without a certificate there is no link."""
    ours = make_certificates(tmp_path)
    shown = {"cert_file": str(ours.device), "key_file": str(ours.device_key)}
    async with nothing_left_behind(), serve_tls(1, 2, sslctx=ours.server_context(asks=True)) as port:
        async with network(port, transport="tls", ca_file=str(ours.authority), **shown) as plc:
            await _use(plc)
        await asyncio.sleep(0.05)


async def test_files_that_are_no_certificates_are_named(tmp_path: Path) -> None:
    """Before anything is sent."""
    (tmp_path / "no.pem").write_text("nothing")
    for option in ("ca_file", "cert_file"):
        with pytest.raises(ConfigError, match=option):
            async with network(1, transport="tls", **{option: str(tmp_path / "no.pem")}):
                pass


def simulated() -> RegisterBank:
    bank = RegisterBank()
    for at in range(10):
        bank.put(Area.HOLDING, at, 42 + at)
    return bank


async def test_a_late_answer_is_dropped_and_no_request_is_sent_twice() -> None:
    """By itself pymodbus would have sent it four times."""
    bank = simulated()
    async with nothing_left_behind(), ModbusTcpServer(bank) as server, network(server.port, timeout=0.15) as plc:
        server.faults = FaultPlan.script(Injection(Fault.DELAY, seconds=0.25), None)
        with pytest.raises(LinkTimeout):
            await plc.read(TAG)
        assert await plc.read(Tag("second", "HR2")) == 43
        assert server.counters.requests == 2
        server.faults = FaultPlan.script(Fault.DROP)
        with pytest.raises(WriteError) as caught:
            await plc.write(TAG, 5)
        assert caught.value.unknown_outcome
        await asyncio.sleep(0.2)
        assert bank.write_count == 1


async def test_an_answer_that_does_not_fit_is_bad() -> None:
    """Another function, another byte count: pymodbus alone takes both for good data."""
    async with ModbusTcpServer(simulated()) as server, network(server.port) as plc:
        for fault in (Fault.WRONG_FUNCTION, Fault.WRONG_BYTE_COUNT):
            server.faults = FaultPlan.script(fault)
            readings = await plc.read_tags([TAG])
            assert readings["t"].status == StatusCode.BAD_COMMUNICATION_ERROR
            assert readings["t"].value is None
            assert await plc.read(TAG) == 42
        assert plc.stats.connects == 1


@pytest.mark.parametrize("fault", [Fault.FIN, Fault.RST])
async def test_a_link_that_ends_fails_the_request_at_once(fault: Fault) -> None:
    """Not after the timeout; the next link works, and pymodbus never connects by itself."""
    loop = asyncio.get_running_loop()
    async with (
        nothing_left_behind(),
        ModbusTcpServer(simulated()) as server,
        network(server.port, timeout=5.0, backoff_min=0.05) as plc,
    ):
        server.faults = FaultPlan.script(fault)
        begin = loop.time()
        with pytest.raises(NotConnected):
            await plc.read(TAG)
        assert loop.time() - begin < 1.0
        await plc.wait_connected(timeout=2.0)
        assert await plc.read(TAG) == 42
        assert server.counters.connections == 2


async def test_a_cancelled_read_leaves_the_link_usable() -> None:
    """Its answer is not taken for the next one's."""
    async with nothing_left_behind(), ModbusTcpServer(simulated()) as server, network(server.port) as plc:
        server.faults = FaultPlan.script(Injection(Fault.DELAY, seconds=0.1))
        reading = asyncio.create_task(plc.read(TAG))
        await asyncio.sleep(0.03)
        reading.cancel()
        with pytest.raises(asyncio.CancelledError):
            await reading
        assert await plc.read(Tag("second", "HR2")) == 43
        assert plc.state is LinkState.CONNECTED


async def test_users_of_one_link_come_and_go() -> None:
    """Whoever leaves takes only his own request along; broadcasts go out by the same link."""
    bank = simulated()
    async with nothing_left_behind(), ModbusTcpServer(bank, broadcast=True) as server, network(server.port) as plc:
        async with network(server.port, connect_delay=0.0) as other:
            assert await plc.read(TAG) == await other.read(TAG) == 42
            server.faults = FaultPlan.script(Injection(Fault.DELAY, seconds=0.15))
            his, ours = asyncio.create_task(other.read(TAG)), asyncio.create_task(plc.read(Tag("second", "HR2")))
            await asyncio.sleep(0.03)
        with pytest.raises(NotConnected):
            await his
        assert await ours == 43
        await plc.write(Tag("all", "0!HR3", access="rw"), 4711)
        assert await plc.read(Tag("third", "HR3")) == 4711
        assert (server.counters.connections, server.counters.broadcasts) == (1, 1)


async def test_a_device_that_is_deaf_at_first_is_given_time() -> None:
    """The first request leaves after `connect_delay`."""
    loop = asyncio.get_running_loop()
    async with nothing_left_behind(), ModbusTcpServer(simulated()) as server:
        begin = loop.time()
        async with network(server.port, connect_delay=0.15) as plc:
            assert await plc.read(TAG) == 42
        assert loop.time() - begin >= 0.15


async def test_a_udp_device_that_is_not_there_is_no_hang() -> None:
    """The system says that nobody listens; the tags are BAD at once, not after the timeout."""
    loop = asyncio.get_running_loop()
    async with nothing_left_behind():
        async with serve_udp() as port:
            pass
        async with network(port, transport="udp", timeout=5.0) as plc:
            begin = loop.time()
            readings = await plc.read_tags([TAG])
            assert readings["t"].status == StatusCode.BAD_NOT_CONNECTED
            assert loop.time() - begin < 1.0


def test_options_that_contradict_each_other_are_told() -> None:
    """Each with what to write instead."""
    for options, expected in (
        ({"transport": "tls"}, "transport tls needs engine = 'pymodbus'"),
        ({"framer": "rtu"}, "modbus-rtu-over-tcp"),
        ({"framer": "ascii"}, "needs engine = 'pymodbus'"),
        ({"engine": "pymodbus", "max_in_flight": 4}, "one request at a time"),
        ({"engine": "pymodbus", "strict_tid": False}, "needs engine = 'bifrost'"),
        ({"engine": "pymodbus", "transport": "tls", "framer": "rtu"}, "only framer socket"),
        ({"verify": "none"}, "verify is for transport = 'tls'"),
        ({"engine": "pymodbus", "transport": "tls", "key_file": "k"}, "give cert_file"),
    ):
        with pytest.raises(ConfigError, match=expected):
            PLCConnection(host="h", **options)
