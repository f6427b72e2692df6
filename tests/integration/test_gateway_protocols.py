"""All protocols in one gateway process: values of each device, outages that stay where they are, nothing left."""

from __future__ import annotations

import asyncio
import functools
import sqlite3
import sys
import tomllib
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import psutil
import pytest

from bifrost.core.quality import StatusCode
from bifrost.gateway.control import ask_gateway
from bifrost.plc.sim.cip import CipFault, CipFaultPlan
from tests.integration.gateway_plant import DEVICES, EXPECTED, INTERVAL, Plant, logix_target, plant
from tests.integration.gateway_process import GatewayProcess, bifrost, run_gateway, short_folder
from tests.integration.waiting import until

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="no pseudo-terminals here")

WATCHED = ("-X", "dev", "-W", "error", "-m", "bifrost")
"""Every warning of the gateway's own process is an error: coroutines nobody awaits, sockets nobody closes."""


@pytest.fixture
def folder() -> Iterator[Path]:
    yield from short_folder()


class Asked:
    """What a running gateway says of itself over its control socket."""

    def __init__(self, folder: Path) -> None:
        self._data = folder / "data"

    async def call(self, method: str, params: dict[str, Any] | None = None) -> Any:
        return await asyncio.to_thread(ask_gateway, self._data, method, params, timeout=10)

    async def devices(self) -> dict[str, Any]:
        found = await self.call("status", {"values": True})
        return {device["name"]: device for device in found["devices"]}

    async def good(self, *names: str) -> bool:
        devices = await self.devices()
        return all(
            devices[name]["state"] == "connected" and devices[name]["bad_tags"] == 0 and devices[name]["details"]
            for name in names
        )


def newest(folder: Path) -> dict[str, tuple[object, int]]:
    """The newest value and status of each tag in the historian."""
    path = folder / "data" / "history.sqlite"
    if not path.exists():
        return {}
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as database:
        try:
            rows = database.execute("SELECT tag, value, status FROM history ORDER BY seq, row").fetchall()
        except sqlite3.OperationalError:  # its tables are being made
            return {}
    return {tag: (value, status) for tag, value, status in rows}


def statuses(folder: Path, device: str) -> list[int]:
    """Every status that the historian has for a device, in order."""
    with closing(sqlite3.connect(folder / "data" / "history.sqlite")) as database:
        query = "SELECT status FROM history WHERE tag LIKE ? ORDER BY seq, row"
        return [row[0] for row in database.execute(query, [f"{device}/%"])]


def lines_about(gateway: GatewayProcess, device: str) -> list[str]:
    return [line for line in gateway.log().splitlines() if f"devices/{device}:" in line]


async def polls_each_second(asked: Asked, names: list[str], seconds: float) -> dict[str, float]:
    loop = asyncio.get_running_loop()
    before, began = await asked.devices(), loop.time()
    await asyncio.sleep(seconds)
    after, took = await asked.devices(), loop.time() - began
    return {name: (after[name]["details"]["polls"] - before[name]["details"]["polls"]) / took for name in names}


async def test_an_outage_of_one_protocol_stays_its_own(folder: Path) -> None:
    """Values of five protocols arrive; each device breaks in turn, alone, with one line in the log, and comes back."""
    async with plant() as works:
        settings = works.write_settings(folder)
        async with run_gateway(settings, python=WATCHED) as gateway:
            asked = Asked(folder)
            await until(lambda: asked.good(*DEVICES))
            await until(lambda: newest(folder).keys() >= EXPECTED.keys())
            assert newest(folder) == {tag: (value, StatusCode.GOOD) for tag, value in EXPECTED.items()}
            for name in DEVICES:
                await breaks_alone(works, asked, name)
            listed = await bifrost("device", "list", "--gateway", settings)
            assert listed.out.count("connected") == len(DEVICES)
            await until(lambda: newest(folder) == {tag: (value, StatusCode.GOOD) for tag, value in EXPECTED.items()})
            for name in DEVICES:
                assert_one_outage(gateway, folder, name)
            for name in DEVICES:
                await works.break_down(name)
            await asyncio.sleep(0.2)  # let them run into it
            assert await gateway.stop(timeout=5) == 0
        assert_no_complaint(gateway)


async def breaks_alone(works: Plant, asked: Asked, name: str) -> None:
    others = [other for other in DEVICES if other != name]

    async def all_bad() -> bool:
        device = (await asked.devices())[name]
        good_tags: int = device["good_tags"]
        return good_tags == 0

    await works.break_down(name)
    await until(all_bad)
    rates = await polls_each_second(asked, others, 0.5)
    devices = await asked.devices()
    assert devices[name]["error"], devices[name]
    for other in others:
        assert (devices[other]["state"], devices[other]["bad_tags"]) == ("connected", 0), (name, devices[other])
        assert devices[other]["details"]["connects"] >= 1
        assert rates[other] >= 0.6 / INTERVAL, (name, rates)  # 20 in a second; the machine may be busy
    for value in devices[name]["details"]["values"]:
        assert value["value"] is None
        assert value["status"] >= StatusCode.BAD
    await works.mend(name)
    await until(lambda: asked.good(name))


def assert_one_outage(gateway: GatewayProcess, folder: Path, name: str) -> None:
    told = lines_about(gateway, name)
    assert len([line for line in told if "not connected" in line]) <= 1, told
    assert len(told) <= 3, told  # connected, not connected, connected
    seen = statuses(folder, name)
    assert max(seen) >= StatusCode.BAD
    assert seen[-1] == StatusCode.GOOD


def assert_no_complaint(gateway: GatewayProcess) -> None:
    # A slow step is no complaint where the machine is busy; everything else in the log is bifrost's own news.
    lines = [line for line in gateway.log().splitlines() if "asyncio: Executing <" not in line]
    assert [line for line in lines if " INFO bifrost" not in line and " WARNING bifrost" not in line] == []


async def test_only_changes_beyond_the_deadband_are_stored(folder: Path) -> None:
    """A tag that is published on change has as many rows as it left its deadband; its neighbours have one."""
    async with plant() as works:
        async with run_gateway(works.write_settings(folder), python=WATCHED):
            asked = Asked(folder)
            await until(lambda: newest(folder).get("cpu/pressure") == (4.75, StatusCode.GOOD))
            for value in (4.8, 5.5, 5.75, 7.0):
                works.cpu.put("DB1.DBD4:REAL", value)
                await asyncio.sleep(3 * INTERVAL)
            await until(lambda: newest(folder)["cpu/pressure"] == (7.0, StatusCode.GOOD))
            assert (await asked.devices())["cpu"]["details"]["rows_published"] == 5
        with closing(sqlite3.connect(folder / "data" / "history.sqlite")) as database:
            rows = database.execute(
                "SELECT tag, value FROM history WHERE tag LIKE 'cpu/%' ORDER BY seq, row"
            ).fetchall()
    assert [value for tag, value in rows if tag == "cpu/pressure"] == [4.75, 5.5, 7.0]
    assert len(rows) == 5


async def test_a_controller_that_is_removed_leaves_no_thread_and_no_descriptor(folder: Path) -> None:
    """A second EtherNet/IP device comes and goes through the control socket, answering, hanging and absent."""
    async with plant() as works:
        second = logix_target()
        await second.start()
        try:
            async with run_gateway(works.write_settings(folder), python=WATCHED) as gateway:
                await comes_and_goes(Asked(folder), gateway, second)
                assert await gateway.stop() == 0
            assert_no_complaint(gateway)
        finally:
            await second.stop()
    last = newest(folder)
    assert last["oven/speed"] == (None, StatusCode.BAD_OUT_OF_SERVICE)


async def comes_and_goes(asked: Asked, gateway: GatewayProcess, second: Any) -> None:
    await until(lambda: asked.good(*DEVICES))
    table = {
        "protocol": "ethernet-ip",
        "host": "127.0.0.1",
        "port": second.port,
        "interval_ms": 50,
        "timeout": 0.3,
        "tags": [{"name": "speed", "address": "Speed:REAL"}, {"name": "motor", "address": "Motor"}],
    }
    await asked.call("devices.add", {"name": "oven", "settings": table})
    await until(lambda: asked.good("oven"))
    await asked.call("devices.remove", {"name": "oven"})
    await asyncio.sleep(0.3)
    process = psutil.Process(gateway.process.pid)
    # Measured after a first one, so that what is made once for all is there.
    threads, descriptors = process.num_threads(), process.num_fds()
    for trouble in ("none", "hanging", "absent"):
        await asked.call("devices.add", {"name": "oven", "settings": table})
        if trouble == "absent":
            await until(lambda: is_backing_off(asked))
        else:
            await until(lambda: asked.good("oven"))
            assert process.num_threads() == threads + 1
        if trouble == "hanging":
            second.faults = CipFaultPlan.always(CipFault.HANG)
            await asyncio.sleep(0.2)
        await asked.call("devices.remove", {"name": "oven"})
        await until(functools.partial(has_no_more_than, process, threads, descriptors), timeout=3)
        if trouble == "hanging":
            second.faults = None
            await second.stop()
    assert set(await asked.devices()) == set(DEVICES)
    assert second.clients == 0


async def is_backing_off(asked: Asked) -> bool:
    state: str = (await asked.devices())["oven"]["state"]
    return state == "backoff"


WITHOUT_EXTRAS = """
import pathlib, sys, threading, time
libraries = "pycomm3", "snap7", "serial"
for name in (*libraries, "pymodbus"):
    sys.modules[name] = None
def install():
    while not pathlib.Path(sys.argv[-1]).with_name("installed").exists():
        time.sleep(0.02)
    for name in libraries:
        del sys.modules[name]
threading.Thread(target=install, daemon=True).start()
from bifrost.cli.main import main
raise SystemExit(main())
"""
"""Runs as if nothing optional were installed, until there is a file `installed` beside the settings."""

EXTRAS = {"logix": "ethernet-ip", "cpu": "s7", "bus": "serial", "secure": "pymodbus"}
"""Devices of `plant` that need an extra, and one that needs another engine."""


async def test_a_missing_extra_is_told_once_and_the_others_run(folder: Path) -> None:
    """The device's error says what to install, its values are BAD, the log says it once; installed, it connects."""
    async with plant() as works:
        settings = works.write_settings(folder)
        secure = '[devices.secure]\nhost = "127.0.0.1"\nengine = "pymodbus"\ntransport = "tls"\nbackoff_max = 0.2\n'
        tags = 'tags = [{ name = "a", address = "HR1" }]\n'
        settings.write_text(settings.read_text() + secure + tags)
        async with run_gateway(settings, python=("-X", "dev", "-W", "error", "-c", WITHOUT_EXTRAS)) as gateway:
            asked = Asked(folder)
            await until(lambda: asked.good("press", "meter"))
            before = await asked.devices()
            await asyncio.sleep(1.0)
            devices = await asked.devices()
            for name, extra in EXTRAS.items():
                told = f"pip install 'bifrost-edge[{extra}]'"
                assert (devices[name]["state"], devices[name]["good_tags"]) in {("backoff", 0), ("connecting", 0)}
                assert told in devices[name]["error"]
                assert len([line for line in lines_about(gateway, name) if told in line]) == 1
                assert len(lines_about(gateway, name)) == 1
                assert statuses(folder, name)[-1] == StatusCode.BAD_NOT_CONNECTED
            assert (await asked.good("press", "meter"), set(devices)) == (True, {*DEVICES, "secure"})
            polls = devices["press"]["details"]["polls"] - before["press"]["details"]["polls"]
            assert polls >= 0.6 / INTERVAL
            table = {"protocol": "s7", "host": "127.0.0.1", "tags": [{"name": "a", "address": "M0.0"}]}
            added = await asked.call("devices.add", {"name": "oven", "settings": table})
            assert added["tags"] == 1
            await until(lambda: names_extra(asked, "oven", "s7"))
            (folder / "installed").touch()
            await until(lambda: asked.good(*DEVICES))
            assert await gateway.stop() == 0
        assert_no_complaint(gateway)


async def names_extra(asked: Asked, name: str, extra: str) -> bool:
    return f"bifrost-edge[{extra}]" in (await asked.devices())[name]["error"]


WRONG_ADDRESSES = """\
[devices.cpu]
protocol = "s7"
host = "127.0.0.1"
tags = [
  { name = "a", address = "DB1.DBX2.9" },
  { name = "b", address = "40001" },
  { name = "c" },
]

[devices.logix]
protocol = "ethernet-ip"
host = "127.0.0.1"
tags = [
  { name = "a", address = "Speed[" },
  { name = "b", address = "DB1.DBD4" },
  { name = "c", address = "40001" },
]

[devices.bus]
protocol = "modbus-rtu"
serial_port = "/dev/ttyUSB0"
unit_id = 250
tags = [
  { name = "a", address = "HR0" },
  { name = "b", address = "DB1.DBD4" },
  { name = "c", address = "Speed" },
]
"""


async def test_check_tells_line_and_right_form_of_wrong_addresses(tmp_path: Path) -> None:
    """Each protocol shows its own forms, and says whose address it was given."""
    path = tmp_path / "wrong.toml"
    path.write_text(WRONG_ADDRESSES)
    done = await bifrost("check", path)
    assert (done.code, done.out) == (2, "")
    told = [line.strip().removeprefix(f"{path}:").split(": ", 2) for line in done.err.splitlines()[1:]]
    expected = [
        ("5", "devices.cpu.tags[0]", "bits 0 to 7"),
        ("6", "devices.cpu.tags[1]", "'DB1.DBD4:REAL'"),
        ("7", "devices.cpu.tags[2]", "'DB1.DBD4:REAL'"),
        ("14", "devices.logix.tags[0]", "'Program:Main.Tag[3].Member'"),
        ("15", "devices.logix.tags[1]", "an address of an S7"),
        ("16", "devices.logix.tags[2]", "an address of a Modbus device"),
        ("22", "devices.bus.unit_id", "from 1 to 247"),
        ("24", "devices.bus.tags[0]", "the first is 'HR1'"),
        ("25", "devices.bus.tags[1]", "an address of an S7"),
        ("26", "devices.bus.tags[2]", "'HR1'"),
    ]
    assert [(line, place) for line, place, _ in told] == [(line, place) for line, place, _ in expected]
    for (*_, text), (*_, form) in zip(told, expected, strict=True):
        assert form in text


async def test_a_second_device_at_the_same_place_comes_and_goes_unnoticed(folder: Path) -> None:
    """For every protocol: shared links and lines stay with who was there first; what was opened for it is closed."""
    async with plant() as works:
        settings = works.write_settings(folder)
        tables = tomllib.loads(settings.read_text())["devices"]
        async with run_gateway(settings, python=WATCHED) as gateway:
            asked = Asked(folder)
            await until(lambda: asked.good(*DEVICES))
            await comes_and_goes_beside(asked, gateway, folder, tables)
            assert {device["details"]["connects"] for device in (await asked.devices()).values()} == {1}
            assert await gateway.stop(timeout=5) == 0
        assert_no_complaint(gateway)
    for tag in ("speed", "temperature"):
        assert newest(folder)[f"guest/{tag}"] == (None, StatusCode.BAD_OUT_OF_SERVICE)


async def comes_and_goes_beside(asked: Asked, gateway: GatewayProcess, folder: Path, tables: dict[str, Any]) -> None:
    process = psutil.Process(gateway.process.pid)
    for name in DEVICES:
        table = {**tables[name]}
        if "tag_file" in table:
            table["tag_file"] = str(folder / table["tag_file"])
        for again in (False, True):  # the first time brings what stays: threads that wait for work
            threads, descriptors = process.num_threads(), process.num_fds()
            await asked.call("devices.add", {"name": "guest", "settings": table})
            await until(lambda: asked.good("guest"))
            await asked.call("devices.remove", {"name": "guest"})
            if again:
                await until(functools.partial(has_no_more_than, process, threads, descriptors), timeout=3)
        assert await asked.good(*DEVICES)


def has_no_more_than(process: psutil.Process, threads: int, descriptors: int) -> bool:
    return process.num_threads() <= threads and process.num_fds() <= descriptors
