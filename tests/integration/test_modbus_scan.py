"""A scan finds the units that are there, slowly, and changes nothing."""

from __future__ import annotations

import asyncio
import os

import pytest

from bifrost._native import modbus_frame
from bifrost.errors import ConfigError, LinkError, NotConnected
from bifrost.plc import Area, PLCConnection, Tag
from bifrost.plc.discovery import discover
from bifrost.plc.modbus.scan import scan_units
from bifrost.plc.sim import Fault, FaultPlan, Injection, ModbusTcpServer, RegisterBank
from tests.contract.modbus_devices import unused_port
from tests.integration.libmodbus import missing_for_libmodbus, serve_libmodbus
from tests.integration.modbus_setup import good
from tests.integration.scripted_device import scripted_device

IDENTITY = {0: "Bifrost", 1: "SIM-1", 2: "V1.0"}


pytestmark = pytest.mark.usefixtures("leaves_nothing_behind")


def banks(*units: int) -> dict[int, RegisterBank]:
    made = {unit: RegisterBank() for unit in units}
    for bank in made.values():
        bank.map(Area.HOLDING, 0, 1)
    return made


def known(request: bytes) -> bytes:
    """Answer a read, and refuse the question what it is."""
    if request[7] == 43:
        return modbus_frame(int.from_bytes(request[:2], "big"), request[6], b"\xab\x01")
    return good(request)


async def test_exactly_the_units_that_are_there_are_found_with_their_names() -> None:
    """A gateway answers for the others with exception 11; one without registers answers, and so is there."""
    units = {**banks(1, 7), 9: RegisterBank()}
    async with ModbusTcpServer(units, identification=IDENTITY) as server:
        found = [device async for device in scan_units(f"127.0.0.1:{server.port}", units=range(1, 20), rate=1000)]
        assert [device.unit_id for device in found] == [1, 7, 9]
        assert {(device.protocol, device.vendor, device.name, device.description) for device in found} == {
            ("modbus-tcp", "Bifrost", "SIM-1", "V1.0")
        }
        assert {device.endpoint for device in found} == {f"127.0.0.1:{server.port}"}
        assert server.counters.connections == 1
        assert all(unit.write_count == 0 for unit in units.values())
        async with PLCConnection.from_url(found[1].url) as plc:
            assert await plc.read(Tag("t", "HR1")) == 0
            assert plc.settings.unit_id == 7  # type: ignore[attr-defined]  # of Modbus


@pytest.mark.parametrize("code", [1, 2, 3, 4, 5, 6, 8, 10, 11])
async def test_only_what_a_gateway_says_for_the_absent_means_absent(code: int) -> None:
    """Any other exception is the word of a device."""
    async with ModbusTcpServer(banks(1), faults=FaultPlan.always(Injection(Fault.EXCEPTION, code=code))) as server:
        found = [device async for device in scan_units("127.0.0.1", port=server.port, units=[1], rate=1000)]
        assert len(found) == (code not in {10, 11})


async def test_the_silent_are_absent_and_their_late_answers_are_nobody_elses() -> None:
    """Unit 3 answers after its time, when unit 4 is being asked."""

    async def three_is_slow(request: bytes, writer: asyncio.StreamWriter) -> None:
        if request[6] == 3:
            asyncio.get_running_loop().call_later(0.07, writer.write, known(request))
        elif request[6] != 4:
            writer.write(known(request))

    async with scripted_device(three_is_slow) as device:
        found = scan_units("127.0.0.1", port=device.port, units=range(1, 6), timeout=0.05, rate=1000)
        assert [unit.unit_id async for unit in found] == [1, 2, 5]
        assert {request[7] for request in device.requests} == {3, 43}


async def test_a_device_that_hangs_up_on_unknown_units_is_scanned_to_the_end() -> None:
    """Each time a new link; that unit is absent."""

    async def hang_up(request: bytes, writer: asyncio.StreamWriter) -> None:
        if request[6] % 2:
            writer.write(known(request))
        else:
            writer.close()

    async with scripted_device(hang_up) as device:
        found = scan_units("127.0.0.1", port=device.port, units=range(1, 8), timeout=0.05, rate=1000)
        assert [unit.unit_id async for unit in found] == [1, 3, 5, 7]
        assert device.links == 4


async def test_no_more_requests_are_sent_than_the_rate_allows() -> None:
    """One after the other, with even gaps."""
    times: list[float] = []

    async def note(request: bytes, writer: asyncio.StreamWriter) -> None:
        times.append(asyncio.get_running_loop().time())
        refusal = bytes([request[7] | 0x80, 11])
        writer.write(modbus_frame(int.from_bytes(request[:2], "big"), request[6], refusal))

    async with scripted_device(note) as device:
        assert [unit async for unit in scan_units("127.0.0.1", port=device.port, units=range(1, 11), rate=50)] == []
    assert len(times) == 10
    assert times[-1] - times[0] >= 9 / 50 - 0.01


async def test_leaving_a_scan_ends_its_link() -> None:
    """Also by a cancellation in the middle of a wait."""
    async with ModbusTcpServer(banks(*range(1, 100))) as server:
        scan = scan_units("127.0.0.1", port=server.port, rate=1000)
        assert (await anext(scan)).unit_id == 1
        await scan.aclose()  # type: ignore[attr-defined]  # an async generator
        server.faults = FaultPlan.always(Fault.DROP)

        async def scan_on() -> None:
            async for _ in scan_units("127.0.0.1", port=server.port, timeout=30.0):
                pass

        scanning = asyncio.ensure_future(scan_on())
        await asyncio.sleep(0.05)
        scanning.cancel()
        await asyncio.wait([scanning])
        async with asyncio.timeout(1.0):
            while server.clients:  # noqa: ASYNC110 - the server hears of the end a little later
                await asyncio.sleep(0.005)


async def test_a_host_that_is_not_there_is_a_link_error() -> None:
    """At once, not after 247 timeouts; and also if it goes away in the middle."""
    with pytest.raises(NotConnected, match="cannot connect"):
        _ = [unit async for unit in scan_units("127.0.0.1", port=unused_port())]
    server = ModbusTcpServer(banks(1, 2))
    await server.start()
    scan = scan_units("127.0.0.1", port=server.port, rate=1000)
    assert (await anext(scan)).unit_id == 1
    await server.stop()
    with pytest.raises(LinkError):
        await anext(scan)


@pytest.mark.parametrize(
    ("target", "options", "hint"),
    [
        ("", {}, "host"),
        ("h:0", {}, "1 to 65535"),
        ("h:x", {}, "host"),
        ("h", {"port": 99_999}, "expected a port of 1 to 65535, got 99999"),
        ("::1", {"port": 0}, "expected a port of 1 to 65535, got 0"),
        ("h", {"units": [0]}, "broadcast"),
        ("h", {"units": [256]}, "1 to 255"),
        ("h", {"rate": 0}, "rate"),
        ("h", {"timeout": 0}, "timeout"),
    ],
)
async def test_wrong_arguments_are_refused_before_anything_is_sent(
    target: str, options: dict[str, object], hint: str
) -> None:
    """By name."""
    with pytest.raises(ConfigError, match=hint):
        _ = [unit async for unit in scan_units(target, **options)]  # type: ignore[arg-type]  # wrong on purpose


async def test_the_search_by_protocol_finds_the_same() -> None:
    """`discover` of the plc package is the door for all protocols."""
    async with ModbusTcpServer(banks(2)) as server:
        search = discover("modbus-tcp", f"127.0.0.1:{server.port}", timeout=0.2, units=[1, 2, 3], rate=1000.0)
        assert [device.unit_id async for device in search] == [2]


async def test_a_server_of_libmodbus_is_found_at_each_unit_it_answers_for() -> None:
    """It answers for all; it rests for half a second over function 43, which costs it no more than its name."""
    if (missing := missing_for_libmodbus()) is not None:
        if os.environ.get("CI"):
            pytest.fail(f"libmodbus is missing; run: {missing}")
        pytest.skip(f"needs libmodbus; run: {missing}")
    with serve_libmodbus(10) as server:
        scan = scan_units("127.0.0.1", port=server.port, units=[1, 2], rate=1000, timeout=0.1)
        assert [(device.unit_id, device.name) async for device in scan] == [(1, ""), (2, "")]
        assert server.writes_taken() == 0
        async with PLCConnection(
            host="127.0.0.1", port=server.port, identify=True, connect_timeout=0.1, timeout=1.0
        ) as plc:
            assert await plc.read(Tag("t", "HR6")) == 5
