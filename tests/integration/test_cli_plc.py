"""The commands that talk to devices, each as a process of its own, against a simulated device in another."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from bifrost.plc.datatypes import DataType
from bifrost.plc.modbus.address import Area
from bifrost.plc.sim import Fault, FaultPlan, ModbusTcpServer, RegisterBank
from tests.integration.gateway_process import bifrost
from tests.integration.sim_process import Simulated, simulated
from tests.integration.waiting import until


@pytest.fixture
def bank() -> RegisterBank:
    made = RegisterBank()
    made.map(Area.COIL, 0, 8)
    made.put(Area.HOLDING, 0, 21.5, DataType.FLOAT32)
    made.put(Area.HOLDING, 2, 7)
    made.put(Area.HOLDING, 10, float("nan"), DataType.FLOAT32)
    made.put(Area.HOLDING, 20, "OVEN 1", DataType.STRING, length=8)
    return made


@pytest_asyncio.fixture
async def device(bank: RegisterBank) -> AsyncIterator[ModbusTcpServer]:
    async with ModbusTcpServer(bank) as server:
        yield server


def url_of(server: ModbusTcpServer) -> str:
    return f"modbus-tcp://127.0.0.1:{server.port}"


def lines(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


async def test_read_tells_each_value_with_its_quality(device: ModbusTcpServer) -> None:
    """As a table for people, as one object a line for programs; a value that is BAD makes exit code 3."""
    url = url_of(device)
    table = await bifrost("read", url, "HR1:FLOAT32", "seven=HR3", "HR21:STRING(8)")
    assert (table.code, table.err) == (0, "")
    assert [line.split() for line in table.out.splitlines()] == [
        ["TAG", "VALUE", "STATUS", "ERROR"],
        ["HR1:FLOAT32", "21.5", "GOOD"],
        ["seven", "7", "GOOD"],
        ["HR21:STRING(8)", "OVEN", "1", "GOOD"],
    ]
    done = await bifrost("read", url, "HR3", "HR99", "HR11:REAL", "--json")
    good, bad, not_finite = lines(done.out)
    assert done.code == 3
    assert (good["tag"], good["value"], good["quality"]) == ("HR3", 7, "GOOD")
    assert (bad["value"], bad["quality"]) == (None, "BAD")
    assert "illegal data address" in bad["error"]
    assert not_finite["value"] == "NaN"


async def test_what_a_modbus_device_cannot_do_is_told(device: ModbusTcpServer) -> None:
    """Say what it has, take a value beyond a register, be searched for units that are not named; nothing is sent."""
    for arguments, hint in (
        (["browse", url_of(device)], "cannot be asked what it has"),
        (["write", url_of(device), "HR3=1", "HR3:UINT16=70000"], "70000"),
        (["scan", "modbus-tcp", "127.0.0.1"], "--units 1-32"),
    ):
        done = await bifrost(*arguments)
        assert (done.code, done.out) == (2, "")
        assert hint in done.err
    assert device.counters.requests == 0


async def test_a_device_that_is_not_there_has_its_own_exit_code() -> None:
    """4, at once, with the reason."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound and not listening: whoever connects is refused
        url = f"modbus-tcp://127.0.0.1:{taken.getsockname()[1]}"
        read, wrote, polled = await asyncio.gather(
            bifrost("read", url, "HR1"),
            bifrost("write", url, "HR1=1"),
            bifrost("poll", url, "HR1", "--count", "2", "--interval-ms", "10", "--json"),
        )
    for done in (read, wrote, polled):
        assert done.code == 4, done
        assert "cannot connect" in done.err
        assert len(done.err.splitlines()) == 1
    assert [line["values"]["HR1"]["status_name"] for line in lines(polled.out)] == ["BAD_NOT_CONNECTED"] * 2


async def test_a_device_that_is_silent_costs_no_more_than_the_timeout(device: ModbusTcpServer) -> None:
    """Each value is BAD_TIMEOUT; a write that met it says that the device may have acted, and is not sent again."""
    device.faults = FaultPlan.always(Fault.DROP)
    url = url_of(device)
    read = await bifrost("read", url, "HR3", "--timeout", "0.2", "--json")
    assert (read.code, lines(read.out)[0]["status_name"]) == (3, "BAD_TIMEOUT")
    before = device.counters.requests
    wrote = await bifrost("write", url, "HR3=8", "--timeout", "0.2", "--json")
    (outcome,) = lines(wrote.out)
    assert (wrote.code, outcome["written"], outcome["unknown_outcome"]) == (5, False, True)
    assert device.counters.requests == before + 1


async def test_write_writes_what_it_is_told_and_asks_nothing(device: ModbusTcpServer, bank: RegisterBank) -> None:
    """In the given order, typed by each address; what the device refuses is told and makes exit code 3."""
    done = await bifrost("write", url_of(device), "HR1:FLOAT32=-3.25", "HR3=0x10", "C1=on", "--verify", "--json")
    assert (done.code, done.err) == (0, "")
    assert [(line["written"], line["verified"]) for line in lines(done.out)] == [(True, True)] * 3
    assert bank.get(Area.HOLDING, 0, DataType.FLOAT32) == -3.25
    assert (bank.get(Area.HOLDING, 2), bank.get(Area.COIL, 0)) == (16, 1)
    assert [record.area for record in bank.writes] == [Area.HOLDING, Area.HOLDING, Area.COIL]
    refused = await bifrost("write", url_of(device), "HR99=1", "HR3=9")
    assert refused.code == 3
    assert [line.split()[:3] for line in refused.out.splitlines()[1:]] == [
        ["HR99", "1", "the"],
        ["HR3", "9", "written"],
    ]
    assert bank.get(Area.HOLDING, 2) == 9


async def test_tags_of_a_file_are_read_scaled_and_by_name(device: ModbusTcpServer, tmp_path: Path) -> None:
    """A list from a spreadsheet serves as it is."""
    path = tmp_path / "tags.csv"
    path.write_bytes("\ufeffTag Name;Address;Data Type;Scale\r\nseven;40003;WORD;0.5\r\noven;40001;REAL;\r\n".encode())
    done = await bifrost("read", url_of(device), "--tags", path, "--json")
    assert [(line["tag"], line["value"], line["raw"]) for line in lines(done.out)] == [
        ("seven", 3.5, 7),
        ("oven", 21.5, None),
    ]
    one = await bifrost("read", url_of(device), "oven", "--tags", path)
    assert [line.split()[0] for line in one.out.splitlines()] == ["TAG", "oven"]


async def test_poll_shows_each_poll_or_only_news(device: ModbusTcpServer, bank: RegisterBank) -> None:
    """Numbered, at its rate; with --on-change only what changed."""
    url = url_of(device)
    done = await bifrost("poll", url, "HR3", "HR1:FLOAT32", "--count", "3", "--interval-ms", "20")
    assert done.code == 0
    assert [line.split()[1:] for line in done.out.splitlines()] == [["HR3=7", "HR1:FLOAT32=21.5"]] * 3
    reads = 0

    def change(_area: Area, _address: int, _quantity: int) -> None:
        nonlocal reads
        reads += 1
        bank.put(Area.HOLDING, 2, reads // 3)

    bank.on_read = change
    news = await bifrost("poll", url, "HR3", "HR1:FLOAT32", "--count", "3", "--interval-ms", "10", "--on-change")
    assert [line.split()[1:] for line in news.out.splitlines()] == [["HR3=0", "HR1:FLOAT32=21.5"], ["HR3=1"], ["HR3=2"]]


async def test_ctrl_c_ends_a_poll_without_a_word(device: ModbusTcpServer) -> None:
    """Exit code 130, as of every interrupted command; the link is closed."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "bifrost", "poll", url_of(device), "HR3", "--interval-ms", "10", "--json",
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    assert process.stdout is not None
    try:
        async with asyncio.timeout(20):
            assert json.loads(await process.stdout.readline())["seq"] == 0
            process.send_signal(signal.SIGINT)
            _, err = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()
    assert (process.returncode, err) == (130, b"")
    await until(lambda: device.clients == 0)


@pytest.mark.skipif(sys.platform == "win32", reason="a pseudo-terminal is needed")
async def test_on_a_terminal_a_poll_is_a_live_table(device: ModbusTcpServer) -> None:
    """Tags, values, status, errors; the state of the link above, the rhythm below."""
    import pty

    ours, theirs = pty.openpty()
    try:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "bifrost", "poll", url_of(device), "seven=HR3", "bad=HR99",
            "--count", "3", "--interval-ms", "20",
            stdin=asyncio.subprocess.DEVNULL, stdout=theirs, stderr=theirs,
            env={**os.environ, "TERM": "xterm-256color", "COLUMNS": "100", "LINES": "30"},
        )  # fmt: skip
    finally:
        os.close(theirs)
    try:
        async with asyncio.timeout(20):
            text = (await asyncio.to_thread(_all_of, ours)).decode()
            code = await process.wait()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
        os.close(ours)
    assert code == 3
    for part in ("tag", "seven", "7", "GOOD", "BAD_CONFIGURATION_ERROR", "connected", "poll 3", "0 overruns"):
        assert part in text
    assert "\x1b[?25h" in text  # the cursor is shown again


def _all_of(descriptor: int) -> bytes:
    """Read until the other end of a terminal is closed; Linux tells that as an error."""
    got = b""
    while True:
        try:
            piece = os.read(descriptor, 65536)
        except OSError:
            return got
        if not piece:
            return got
        got += piece


async def served() -> AsyncIterator[Simulated]:
    async with simulated("modbus", "--units", "1,3") as device:
        yield device


simulated_modbus = pytest_asyncio.fixture(served)


async def test_everything_that_the_simulated_device_offers_can_be_read(simulated_modbus: Simulated) -> None:
    """Each of its units by its own URL, all addresses that it names; the recorded temperature is what was recorded."""
    for url in simulated_modbus.urls:
        done = await bifrost("read", url, *simulated_modbus.addresses, "--json")
        assert done.code == 0, done
        by_tag = {line["tag"]: line["value"] for line in lines(done.out)}
        assert 70 < by_tag["HR1:FLOAT32"] < 80
        assert by_tag["HR31[10]:INT16"] == [10, 20, 30, 40, 50, 60, 70, 80, 90, 100]
    assert simulated_modbus.urls[1].endswith("?unit=3")
    other = await bifrost("read", simulated_modbus.urls[0].replace("unit=1", "unit=2"), "HR1")
    assert other.code == 3


async def test_ctrl_c_ends_a_simulated_device_in_order(simulated_modbus: Simulated) -> None:
    """Exit code 0."""
    simulated_modbus.process.send_signal(signal.SIGINT)
    async with asyncio.timeout(10):
        assert await simulated_modbus.process.wait() == 0


async def test_a_simulated_device_can_break_its_answers() -> None:
    """The same seed, the same faults; the reader outlives them."""
    async with simulated("modbus", "--faults", "7:0.5") as device:
        url = device.urls[0]
        done = await bifrost("poll", url, "HR23", "--count", "30", "--interval-ms", "20", "--timeout", "0.1", "--json")
    qualities = [line["values"]["HR23"]["quality"] for line in lines(done.out)]
    assert (done.code, len(qualities)) == (3, 30)
    assert {"GOOD", "BAD"} == set(qualities)


async def test_a_port_that_is_taken_is_told() -> None:
    """One line, exit code 1, and what to do."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        done = await bifrost("sim", "modbus", "--port", str(taken.getsockname()[1]), "--seconds", "5")
    assert (done.code, done.out) == (1, "")
    assert "choose another with --port" in done.err


@pytest.mark.parametrize("kind", ["modbus", "s7"])
async def test_a_simulated_device_on_ipv6_is_read_by_its_url(kind: str) -> None:
    """The address stands in brackets, as the URL is told and as it is taken."""
    if not _has_ipv6():
        pytest.skip("this machine has no IPv6 loopback")
    async with simulated(kind, "--host", "::1") as served:
        done = await bifrost("read", served.urls[0], served.addresses[0])
    assert "//[::1]:" in served.urls[0]
    assert done.code == 0, done


def _has_ipv6() -> bool:
    try:
        with socket.socket(socket.AF_INET6) as trial:
            trial.bind(("::1", 0))
    except OSError:
        return False
    return True


async def test_a_rate_that_no_line_has_is_refused() -> None:
    """Before a pseudo-terminal is made for it."""
    for rate in ("0", "-5", "x", "5000000"):
        done = await bifrost("sim", "modbus", "--pty", "--baudrate", rate, "--seconds", "0.1")
        assert (done.code, "--baudrate" in done.err) == (2, True)


@pytest.mark.skipif(sys.platform == "win32", reason="a pseudo-terminal is needed")
async def test_a_simulated_serial_line_is_read_by_its_url() -> None:
    """Two units on one bus; a third one is silent, and what is read of it is BAD."""
    async with simulated("modbus", "--pty", "--units", "1,2") as device:
        addresses = ["HR1:FLOAT32", "HR23", "HR23{unit=2}", "HR23{unit=9}"]
        done = await bifrost("read", device.urls[0], *addresses, "--json", "--timeout", "0.3")
        wrote = await bifrost("write", device.urls[1], "HR23=5", "--verify")
    assert done.code == 3, done
    assert [line["quality"] for line in lines(done.out)] == ["GOOD", "GOOD", "GOOD", "BAD"]
    assert wrote.code == 0, wrote


async def test_rtu_over_tcp_is_read_by_its_url() -> None:
    """The same registers behind another framing."""
    async with simulated("modbus", "--rtu") as device:
        done = await bifrost("read", device.urls[0], *device.addresses)
    assert device.urls[0].startswith("modbus-rtu-over-tcp://")
    assert done.code == 0, done


async def test_a_simulated_logix_controller_is_searched_browsed_read_and_written(tmp_path: Path) -> None:
    """What browsing writes as a list is what --tags reads."""
    async with simulated("cip") as device:
        url = device.urls[0]
        found, browsed, listed = await asyncio.gather(
            bifrost("scan", "ethernet-ip", url.partition("://")[2], "--timeout", "0.3", "--json"),
            bifrost("browse", url, "--json", "--filter", "program:*"),
            bifrost("browse", url, "--csv"),
        )
        (tmp_path / "tags.csv").write_text(listed.out)
        read, offered, nothing = await asyncio.gather(
            bifrost("read", url, "--tags", tmp_path / "tags.csv", "--json"),
            bifrost("read", url, *device.addresses),
            bifrost("read", url, "NoSuchTag", "--json"),
        )
        wrote = await bifrost("write", url, 'Axis={"Position": 2.5, "Homed": false, "Counts": [4, 5, 6]}', "--verify")
    assert [line["url"] for line in lines(found.out)] == [url]
    assert [(line["name"], line["datatype"]) for line in lines(browsed.out)] == [("Program:Main.Pressure", "FLOAT32")]
    values = {line["tag"]: line["value"] for line in lines(read.out)}
    assert (read.code, offered.code, wrote.code) == (0, 0, 0), (read, offered, wrote)
    assert values["Axis"] == {"Position": 1.5, "Homed": True, "Counts": [1, 2, 3]}
    assert values["Recipe"] == [10, 20, 30, 40, 50, 60, 70, 80, 90, 100]
    assert (nothing.code, lines(nothing.out)[0]["status_name"]) == (3, "BAD_NODE_ID_UNKNOWN")


async def test_a_simulated_s7_is_searched_read_and_written() -> None:
    """Everything that it offers; an address beyond its data block is BAD alone."""
    async with simulated("s7") as device:
        url = device.urls[0]
        found, read = await asyncio.gather(
            bifrost("scan", "s7", url.partition("://")[2].partition("?")[0], "--json"),
            bifrost("read", url, *device.addresses, "DB1.DBW100:INT", "--json"),
        )
        wrote = await bifrost("write", url, "DB2.DBD0:REAL=12.5", "DB2.DBB6:STRING(16)=COLD", "--verify")
        again = await bifrost("read", url, "DB2.DBD0:REAL", "DB2.DBB6:STRING(16)", "--json")
    assert (found.code, len(lines(found.out))) == (0, 1), found
    assert (read.code, wrote.code, again.code) == (3, 0, 0), (read, wrote, again)
    assert [line["quality"] for line in lines(read.out)] == ["GOOD"] * len(device.addresses) + ["BAD"]
    assert [line["value"] for line in lines(again.out)] == [12.5, "COLD"]


async def test_units_are_searched_only_where_they_are_named(simulated_modbus: Simulated) -> None:
    """Those that answer are told with their URL; nobody answering is exit code 4."""
    target = simulated_modbus.urls[0].partition("://")[2].partition("?")[0]
    found = await bifrost("scan", "modbus-tcp", target, "--units", "1-4", "--rate", "100", "--json")
    assert [line["unit_id"] for line in lines(found.out)] == [1, 3]
    assert [line["url"] for line in lines(found.out)] == simulated_modbus.urls
    none = await bifrost("scan", "modbus-tcp", target, "--units", "5,6", "--rate", "100")
    assert (none.code, none.out) == (4, "")
    assert "no modbus-tcp device answered" in none.err


async def test_whoever_has_read_enough_may_close_the_pipe(device: ModbusTcpServer) -> None:
    """As `| head -1` does: the poll ends, without a traceback."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "bifrost", "poll", url_of(device), "HR3", "--interval-ms", "5",
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    assert process.stdout is not None
    assert process.stderr is not None
    try:
        async with asyncio.timeout(20):
            assert b"HR3=7" in await process.stdout.readline()
            process.stdout._transport.close()  # type: ignore[attr-defined]  # a reader has no other way to go
            err = await process.stderr.read()
            assert (await process.wait(), err) == (1, b"")
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def test_a_poll_outlives_an_outage_and_tells_it_once(bank: RegisterBank) -> None:
    """On stderr the reason and the return of the link, on stdout a line for each poll."""
    server = ModbusTcpServer(bank)
    await server.start()
    await server.stop()  # it keeps its port
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "bifrost", "poll", url_of(server), "HR3", "--interval-ms", "20",
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    assert process.stdout is not None
    try:
        async with asyncio.timeout(20):
            assert b"HR3=BAD_NOT_CONNECTED" in await process.stdout.readline()
            async with server:
                while b"HR3=7" not in await process.stdout.readline():
                    pass
                process.send_signal(signal.SIGINT)
                _, err = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()
    told = err.decode().splitlines()
    assert ["cannot connect" in told[0], told[1:]] == [True, [f"bifrost: {url_of(server)}: connected"]]


async def test_a_value_that_does_not_fit_is_told_before_anything_is_opened(device: ModbusTcpServer) -> None:
    """With exit code 2 and at once: neither the wait for a device nor a connection to it."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        gone = f"modbus-tcp://127.0.0.1:{taken.getsockname()[1]}"
        wide, apart, flag = await asyncio.gather(
            bifrost("write", gone, "HR1=1", "HR3=70000"),
            bifrost("write", gone, "HR1=1", "HR9=2", "--atomic"),
            bifrost("write", url_of(device), "HR1:FLOAT32=1e39", "--verify"),
        )
    assert [(done.code, len(done.err.splitlines())) for done in (wide, apart, flag)] == [(2, 1)] * 3
    assert "HR3" in wide.err
    assert "70000" in wide.err
    assert "2 values need 2 requests" in apart.err
    assert device.counters.connections == 0


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full, which Linux has")
@pytest.mark.parametrize(
    ("where", "code", "told"),
    [(">/dev/full", 1, "No space left"), (">&-", 0, ""), ("2>&- >&-", 0, "")],
)
async def test_an_output_that_takes_nothing_is_told_without_a_traceback(
    device: ModbusTcpServer, where: str, code: int, told: str
) -> None:
    """A full disk is a failure; a stream that the caller closed is what the caller wanted."""
    command = f'exec "{sys.executable}" -m bifrost read {url_of(device)} HR3 {where}'
    process = await asyncio.create_subprocess_exec(
        "/bin/sh", "-c", command, stderr=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
    )
    async with asyncio.timeout(20):
        _, err = await process.communicate()
    assert "Traceback" not in err.decode()
    assert told in err.decode()
    assert process.returncode == code
