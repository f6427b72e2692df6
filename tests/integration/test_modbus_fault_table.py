"""Every way in which a device on Modbus TCP goes wrong, on a simulated one: what is told, and that nothing is left."""

from __future__ import annotations

import asyncio
import math
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator

import pytest

from bifrost.core.quality import StatusCode
from bifrost.errors import ModbusFault, NotConnected
from bifrost.plc import Area, DataType, LinkState, PLCConnection, Tag
from bifrost.plc.sim import Fault, FaultPlan, Injection, ModbusTcpServer, RegisterBank
from bifrost.plc.sim.framing import Framing
from tests.integration.libmodbus import missing_for_libmodbus, serve_libmodbus
from tests.integration.modbus_setup import TAG, connection, holding

pytestmark = pytest.mark.usefixtures("leaves_nothing_behind")


@pytest.fixture
async def server() -> AsyncIterator[ModbusTcpServer]:
    async with ModbusTcpServer(holding([42] * 100)) as running:
        yield running


GOOD = {Fault.SLOW_BYTES, Fault.DUPLICATE, Fault.SPLIT, Fault.COALESCE, Fault.GAP, Fault.VALUE_EDGE}
LATE = {Fault.DROP, Fault.DELAY, Fault.WRONG_TRANSACTION, Fault.TRANSACTION_NOT_ECHOED, Fault.WRONG_UNIT, Fault.SILENCE}
MALFORMED = {Fault.WRONG_FUNCTION, Fault.WRONG_BYTE_COUNT}
REFUSED = {Fault.EXCEPTION, Fault.EXCEPTION_LENGTH}
UNFRAMED = {Fault.BAD_PROTOCOL_ID, Fault.LENGTH_ZERO, Fault.LENGTH_HUGE, Fault.GARBAGE}
ENDING = UNFRAMED | {Fault.FIN, Fault.RST, Fault.TRUNCATE}
PIPELINED = {Fault.REORDER, Fault.JOIN}
ON_TCP = [fault for fault in Fault if fault.applies_to(Framing.TCP)]


def status_of(fault: Fault) -> int:
    """What the tag's status is while the fault lasts."""
    if fault in GOOD | PIPELINED:
        return StatusCode.GOOD
    if fault in LATE:
        return StatusCode.BAD_TIMEOUT
    if fault in MALFORMED:
        return StatusCode.BAD_COMMUNICATION_ERROR
    return StatusCode.BAD_DEVICE_FAILURE if fault in REFUSED else StatusCode.BAD_NOT_CONNECTED


@pytest.mark.parametrize("fault", ON_TCP)
async def test_each_fault_has_its_status_and_is_over_when_it_is_over(server: ModbusTcpServer, fault: Fault) -> None:
    """Never a wrong value; what ends the link is noticed at once, and everything works again afterwards."""
    noise = b"\xff" * 20 if fault is Fault.GARBAGE else b"\x00\x2a"
    seconds = 0.15 if fault is Fault.DELAY else 0.005
    server.faults = FaultPlan.script(Injection(fault, seconds=seconds, noise=noise, cut=9, code=4))
    loop = asyncio.get_running_loop()
    async with connection(server.port, timeout=5.0 if fault in ENDING else 0.1) as plc:
        began = loop.time()
        reading = (await plc.read_tags([TAG]))["t"]
        assert loop.time() - began < 1.0
        assert reading.status == status_of(fault), reading
        assert reading.value == (42 if fault in GOOD | PIPELINED else None)
        while not (readings := await plc.read_tags([TAG])).ok:
            assert readings["t"].value is None
            await plc.wait_connected(timeout=3.0)
        assert readings["t"].value == 42
        assert plc.stats.connects == 1 + (fault in ENDING | {Fault.SILENCE})
        if fault in {Fault.WRONG_UNIT, Fault.WRONG_TRANSACTION}:
            name = "misaddressed_answers" if fault is Fault.WRONG_UNIT else "late_answers"
            assert plc.stats.protocol[name] == 1


def test_no_fault_of_the_simulator_is_forgotten() -> None:
    """A new kind shows here; those of a serial line are tested on one."""
    assert set(ON_TCP) == GOOD | LATE | MALFORMED | REFUSED | ENDING | PIPELINED


async def test_an_exception_with_a_byte_too_many_is_still_an_exception(server: ModbusTcpServer) -> None:
    """Some gateways pad; what it says is clear."""
    server.faults = FaultPlan.script(Injection(Fault.EXCEPTION_LENGTH, code=4))
    async with connection(server.port) as plc:
        with pytest.raises(ModbusFault) as caught:
            await plc.read(TAG)
        assert caught.value.code == 4
        assert plc.stats.protocol["exceptions"] == 1


@pytest.mark.parametrize("seed", range(4))
async def test_under_faults_at_random_no_value_is_ever_wrong(server: ModbusTcpServer, seed: int) -> None:
    """GOOD means the right value, BAD means none; and in the end all is well."""
    # Not refusals: an address that was refused once is remembered, and rightly not asked for again.
    kinds = tuple(fault for fault in ON_TCP if fault not in {Fault.VALUE_EDGE, Fault.SILENCE, *REFUSED})
    tags = [Tag(f"t{at}", f"HR{1 + 10 * at}") for at in range(8)]
    for at in range(8):
        server.bank(1).put(Area.HOLDING, 10 * at, at)
    in_flight = 1 + 3 * (seed % 2)
    async with connection(
        server.port, timeout=0.03, max_gap=0, max_in_flight=in_flight, backoff_max=0.05, probe_interval=0.01
    ) as plc:
        server.faults = FaultPlan.seeded(seed, rate=0.3, faults=kinds, seconds=0.02)
        for _ in range(12):
            readings = await plc.read_tags(tags)
            for at, tag in enumerate(tags):
                reading = readings[tag.name]
                assert reading.value == (at if reading.status == StatusCode.GOOD else None)
            await plc.wait_connected(timeout=3.0)
        server.faults = None
        async with asyncio.timeout(5.0):
            while not (readings := await plc.read_tags(tags)).ok:
                await plc.wait_connected(timeout=3.0)
                await asyncio.sleep(0.005)
        assert list(readings.values_dict().values()) == list(range(8))


# Values at the edge


@pytest.mark.parametrize(
    ("words", "address", "value"),
    [
        ("7fc00000", "HR1:FLOAT32", math.nan),
        ("7f800000", "HR1:FLOAT32", math.inf),
        ("ff800000", "HR1:FLOAT32", -math.inf),
        ("7ff8000000000000", "HR1:FLOAT64", math.nan),
        ("8000000000000000", "HR1:FLOAT64", -0.0),
        ("ffffffffffffffff", "HR1:UINT64", 2**64 - 1),
        ("8000000000000000", "HR1:INT64", -(2**63)),
        ("7e00", "HR1:FLOAT16", math.nan),
        ("41424344", "HR1:STRING(4)", "ABCD"),
        ("41420043", "HR1:STRING(4)", "AB"),
        ("c328", "HR1:STRING(2)", "\u00c3("),
        ("ffff", "HR1:BYTES(2)", b"\xff\xff"),
        ("80", "HR1:INT8", -128),
    ],
)
async def test_values_at_the_edge_of_their_type_are_what_the_bits_say(
    server: ModbusTcpServer, words: str, address: str, value: object
) -> None:
    """No number is invented, none is bent, and text that is no UTF-8 is Latin-1."""
    noise = bytes.fromhex(words).rjust(2, b"\0")
    server.faults = FaultPlan.always(Injection(Fault.VALUE_EDGE, noise=noise))
    async with connection(server.port) as plc:
        got = await plc.read(Tag("t", address, protocol="modbus-tcp"))
        assert repr(got) == repr(value)


# Links that do not come up, or only look as if


async def test_a_device_that_takes_one_link_and_closes_others_is_reached_once_it_is_free() -> None:
    """Meanwhile its tags are BAD, and it is not tried in a tight loop."""
    bank = RegisterBank()
    bank.map(Area.HOLDING, 0, 5)
    async with ModbusTcpServer(bank, max_clients=1) as narrow:
        taken = connection(narrow.port, share_link=False)
        async with taken, connection(narrow.port, share_link=False, backoff_max=0.1) as waiting:
            assert await taken.read(TAG) == 0
            await asyncio.sleep(0.25)
            assert (await waiting.read_tags([TAG]))["t"].status == StatusCode.BAD_NOT_CONNECTED
            assert narrow.counters.turned_away <= 8
            await taken.aclose()
            while not (await waiting.read_tags([TAG])).ok:
                await waiting.wait_connected(timeout=2.0)
                await asyncio.sleep(0.005)


async def test_a_device_that_is_full_and_says_nothing_is_given_up_and_tried_again() -> None:
    """It accepts the link and never answers: only a new one can help, once there is room."""
    bank = RegisterBank()
    bank.map(Area.HOLDING, 0, 5)
    async with ModbusTcpServer(bank, max_clients=1, when_full="silence") as narrow:
        options = {"share_link": False, "timeout": 0.03, "backoff_max": 0.1}
        async with connection(narrow.port, **options) as first, connection(narrow.port, **options) as second:
            assert await first.read(TAG) == 0
            statuses = [(await second.read_tags([TAG]))["t"].status for _ in range(3)]
            assert statuses == [StatusCode.BAD_TIMEOUT, StatusCode.BAD_TIMEOUT, StatusCode.BAD_NOT_CONNECTED]
            await first.aclose()
            while not (await second.read_tags([TAG])).ok:
                await second.wait_connected(timeout=2.0)


async def test_a_port_where_nobody_listens_is_refused_with_its_name() -> None:
    """At once, and the attempts go on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    async with connection(port) as plc:
        assert plc.state in {LinkState.BACKOFF, LinkState.CONNECTING}
        with pytest.raises(NotConnected, match=f"cannot connect to 127.0.0.1 port {port}"):
            await plc.read(TAG)
        await asyncio.sleep(0.2)
        assert plc.stats.connect_failures >= 2


async def test_a_name_that_nobody_knows_is_told_and_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """The name may be known a little later; each attempt asks for it anew."""
    asked = 0

    def unknown(*_: object, **__: object) -> list[object]:
        nonlocal asked
        asked += 1
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    async with PLCConnection(host="no-such-device.invalid", backoff_min=0.05, backoff_max=0.05) as plc:
        with pytest.raises(NotConnected, match=r"no-such-device\.invalid.*not known"):
            await plc.read(TAG)
        await asyncio.sleep(0.2)
        assert asked >= 2


async def test_a_connect_that_hangs_ends_at_its_deadline(monkeypatch: pytest.MonkeyPatch) -> None:
    """A firewall that drops packets answers nothing at all."""
    loop = asyncio.get_running_loop()

    async def hang(*_: object, **__: object) -> None:
        await asyncio.sleep(3600)

    monkeypatch.setattr(loop, "sock_connect", hang)
    began = loop.time()
    async with PLCConnection(host="127.0.0.1", port=9, connect_timeout=0.1) as plc:
        assert loop.time() - began < 0.5
        assert "within 0.1 s" in plc.last_error


async def test_a_device_that_restarts_is_read_again(server: ModbusTcpServer) -> None:
    """Switched off in the middle of polling, and on again; the poll goes on through it."""
    async with connection(server.port, backoff_max=0.1) as plc:
        seen: list[int] = []
        async for snapshot in plc.poll([TAG], interval_ms=10):
            seen.append(snapshot["t"].status)
            if len(seen) == 3:
                await server.stop(reset=True)
            if len(seen) == 8:
                await server.start()
            if (len(seen) > 8 and seen[-1] == StatusCode.GOOD) or len(seen) > 300:
                break
        assert seen[:3] == [StatusCode.GOOD] * 3
        assert StatusCode.BAD_NOT_CONNECTED in seen
        assert seen[-1] == StatusCode.GOOD
        assert plc.stats.connects == 2


@pytest.mark.skipif(sys.platform == "win32", reason="a process is stopped by a signal")
async def test_a_half_open_link_is_given_up_after_a_few_deadlines() -> None:
    """The server's process is stopped: the kernel still takes every byte, and nobody answers."""
    if (missing := missing_for_libmodbus()) is not None:
        if os.environ.get("CI"):
            pytest.fail(f"libmodbus is missing; run: {missing}")
        pytest.skip(f"needs libmodbus; run: {missing}")
    with serve_libmodbus(10) as stopped:
        async with connection(stopped.port, timeout=0.05, backoff_max=0.1) as plc:
            assert await plc.read(TAG) == 0
            stopped.process.send_signal(signal.SIGSTOP)
            try:
                statuses = [(await plc.read_tags([TAG]))["t"].status for _ in range(3)]
                assert statuses == [StatusCode.BAD_TIMEOUT, StatusCode.BAD_TIMEOUT, StatusCode.BAD_NOT_CONNECTED]
                assert "3 requests in vain" in plc.last_error
            finally:
                stopped.process.send_signal(signal.SIGCONT)
            async with asyncio.timeout(5.0):
                while not (await plc.read_tags([TAG])).ok:
                    await plc.wait_connected(timeout=5.0)
            assert plc.stats.losses >= 1


async def test_slow_bytes_that_do_not_make_it_in_time_are_late(server: ModbusTcpServer) -> None:
    """The deadline counts from sending, not from the last byte; the rest does not spoil the next answer."""
    server.faults = FaultPlan.script(Injection(Fault.SLOW_BYTES, seconds=0.02))
    async with connection(server.port) as plc:
        assert (await plc.read_tags([TAG]))["t"].status == StatusCode.BAD_TIMEOUT
        while not (await plc.read_tags([TAG])).ok:
            pass
        assert plc.stats.connects == 1
        assert plc.stats.protocol["late_answers"] >= 1


async def test_a_wide_integer_and_a_datatype_that_does_not_fit_are_told_apart(server: ModbusTcpServer) -> None:
    """One has a value, the other none."""
    server.bank(1).put(Area.HOLDING, 0, 2**64 - 1, DataType.UINT64)
    async with connection(server.port) as plc:
        readings = await plc.read_tags([Tag("wide", "HR1:UINT64"), Tag("bcd", "HR1:BCD32")])
        assert readings["wide"].value == 2**64 - 1
        assert readings["bcd"].status == StatusCode.BAD_DECODING_ERROR
