"""A gateway as a process: started, asked, changed and stopped by the `bifrost` command."""

from __future__ import annotations

import asyncio
import json
import signal
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from bifrost.core.quality import StatusCode
from tests.integration.gateway_process import bifrost, history, plant_server, run_gateway, short_folder

TEN_MISTAKES = """\
[gatway]
name = "x"

[wal]
durability = "sometimes"

[devices.press]
hots = "127.0.0.1"
port = "502"
interval_ms = 0
tags = [
  { name = "a", address = "HR1" },
  { name = "a", address = "HR2" },
  { name = "b", address = "QX7" },
]

[pipelines.all]
sources = ["pres"]
sinks = ["wall"]

[uplinks.cloud]
kind = "mqtt"
url = "ftp://broker"
"""


@pytest.fixture
def folder() -> Iterator[Path]:
    yield from short_folder()


def names_in(folder: Path) -> list[str]:
    return [each.name for each in folder.iterdir()]


def settings_file(folder: Path, port: int) -> Path:
    path = folder / "gateway.toml"
    path.write_text(f"""\
[gateway]
name = "plant"
data_dir = "data"
[devices.press]
host = "127.0.0.1"
port = {port}
interval_ms = 20
tags = [{{ name = "temperature", address = "HR1:FLOAT32" }}]
[pipelines.all]
sources = ["*"]
sinks = ["wal"]
[uplinks.local]
kind = "historian"
path = "history.sqlite"
""")
    return path


async def test_check_tells_ten_mistakes_at_once(tmp_path: Path) -> None:
    """Ten mistakes in one file give ten lines with the right line numbers, on stderr, and exit code 2."""
    path = tmp_path / "wrong.toml"
    path.write_text(TEN_MISTAKES)
    done = await bifrost("check", path)
    assert (done.code, done.out) == (2, "")
    assert "10 mistakes" in done.err
    assert "Traceback" not in done.err
    told = [line.strip().removeprefix(f"{path}:").split(": ")[:2] for line in done.err.splitlines()[1:]]
    assert told == [
        ["1", "gatway"],
        ["5", "wal.durability"],
        ["8", "devices.press.hots"],
        ["9", "devices.press.port"],
        ["10", "devices.press.interval_ms"],
        ["13", "devices.press.tags[1].name"],
        ["14", "devices.press.tags[2]"],
        ["18", "pipelines.all.sources[0]"],
        ["19", "pipelines.all.sinks[0]"],
        ["23", "uplinks.cloud.url"],
    ]


async def test_check_writes_mistakes_as_json(tmp_path: Path) -> None:
    """A program reads the same mistakes from stdout."""
    path = tmp_path / "wrong.toml"
    path.write_text(TEN_MISTAKES)
    done = await bifrost("check", "--json", path)
    assert done.code == 2
    answer = json.loads(done.out)
    assert answer["ok"] is False
    assert len(answer["mistakes"]) == 10


async def test_run_refuses_wrong_settings_and_starts_nothing(tmp_path: Path) -> None:
    """Exit code 2, every mistake, and not even the data directory is made."""
    path = tmp_path / "wrong.toml"
    path.write_text(TEN_MISTAKES)
    done = await bifrost("run", path)
    assert done.code == 2
    assert "10 mistakes" in done.err
    assert names_in(tmp_path) == ["wrong.toml"]


async def test_a_device_comes_and_goes_while_the_gateway_runs(folder: Path) -> None:
    """Added by the command line it delivers values; removed, its last row says out of service; others go on."""
    async with plant_server() as server:
        settings = settings_file(folder, server.port)
        oven = folder / "oven.toml"
        oven.write_text('host = "127.0.0.1"\ninterval_ms = 20\ntags = [{ name = "count", address = "HR3" }]\n')
        async with run_gateway(settings) as gateway:
            where = ("--gateway", settings)
            added = await bifrost("device", "add", "oven", oven, "--set", f"port={server.port}", *where)
            assert (added.code, added.out) == (0, "device oven added with 1 tag\n")
            again = await bifrost("device", "add", "oven", oven, *where)
            assert again.code == 2
            assert "there is a device oven already" in again.err
            listed = await bifrost("device", "list", "--json", *where)
            devices = {device["name"]: device for device in json.loads(listed.out)}
            assert devices["press"]["declared_in"] == "settings"
            assert devices["oven"]["declared_in"] == "run time"
            assert devices["oven"]["state"] == "connected"
            tree = await bifrost("tree", *where)
            assert "├── oven  running" in tree.out or "└── oven  running" in tree.out
            removed = await bifrost("device", "remove", "oven", *where)
            assert (removed.code, removed.out) == (0, "device oven removed\n")
            gone = await bifrost("device", "remove", "oven", *where)
            assert (gone.code, "there is no device oven" in gone.err) == (1, True)
            assert await gateway.stop() == 0
    rows = history(folder / "data" / "history.sqlite")
    oven_rows = [status for tag, _, status in rows if tag == "oven/count"]
    assert len(oven_rows) > 2
    assert oven_rows[-1] == StatusCode.BAD_OUT_OF_SERVICE
    assert set(oven_rows[:-1]) == {StatusCode.GOOD}
    assert {status for tag, _, status in rows if tag == "press/temperature"} == {StatusCode.GOOD}


async def test_a_wrong_device_is_refused_with_all_mistakes(folder: Path) -> None:
    """Every mistake of a hot-added device comes back; the gateway is as before."""
    async with plant_server() as server:
        settings = settings_file(folder, server.port)
        async with run_gateway(settings):
            words = ["hots=127.0.0.1", "port=0", 'tags=[{name="a",address="ZZ"}]']
            overrides = [part for word in words for part in ("--set", word)]
            done = await bifrost("device", "add", "oven", *overrides, "--gateway", settings)
            assert done.code == 2
            assert "3 mistakes" in done.err
            assert "oven.hots: unknown key; did you mean host" in done.err
            listed = await bifrost("device", "list", "--json", "--gateway", settings)
            assert [device["name"] for device in json.loads(listed.out)] == ["press"]


async def test_a_kept_device_is_there_after_a_restart_until_it_is_removed(folder: Path) -> None:
    """`--keep` survives a kill of the gateway; removing it is for good."""
    async with plant_server() as server:
        settings = settings_file(folder, server.port)
        words = ("--set", "host=127.0.0.1", "--set", f"port={server.port}", "--set", 'tags=[{name="n",address="HR3"}]')
        async with run_gateway(settings) as gateway:
            assert (await bifrost("device", "add", "oven", *words, "--keep", "--gateway", settings)).code == 0
            assert (await bifrost("device", "add", "mixer", *words, "--gateway", settings)).code == 0
            await gateway.kill()
        async with run_gateway(settings) as gateway:
            assert "gateway plant runs with 2 devices" in gateway.log()
            listed = await bifrost("device", "list", "--json", "--gateway", folder / "data")
            assert [(each["name"], each["declared_in"]) for each in json.loads(listed.out)] == [
                ("press", "settings"),
                ("oven", "kept"),
            ]
            assert (await bifrost("device", "remove", "oven", "--gateway", settings)).code == 0
        async with run_gateway(settings):
            listed = await bifrost("device", "list", "--json", "--socket", folder / "data" / "control.sock")
            assert [each["name"] for each in json.loads(listed.out)] == ["press"]


async def test_a_stop_by_signal_delivers_everything(folder: Path) -> None:
    """SIGTERM ends with exit code 0, an empty buffer and no socket left."""
    async with plant_server() as server:
        settings = settings_file(folder, server.port)
        async with run_gateway(settings) as gateway:
            status = await bifrost("status", "--json", "--gateway", settings)
            assert json.loads(status.out)["name"] == "plant"
            assert json.loads(status.out)["devices"][0]["details"]["values"] == []
            people = await bifrost("status", "--values", "--gateway", settings)
            assert "UPLINK" in people.out
            assert "press/temperature  21.5" in people.out
            assert await gateway.stop() == 0
        published = history(folder / "data" / "history.sqlite")
        assert published
        assert not (folder / "data" / "control.sock").exists()
        refused = await bifrost("tree", "--gateway", settings)
        assert refused.code == 1
        assert "no gateway runs" in refused.err


async def test_ctrl_c_stops_in_order_too(folder: Path) -> None:
    """SIGINT is no traceback but an orderly stop."""
    async with plant_server() as server, run_gateway(settings_file(folder, server.port)) as gateway:
        gateway.process.send_signal(signal.SIGINT)
        async with asyncio.timeout(10):
            assert await gateway.process.wait() == 0
        assert "Traceback" not in gateway.log()


async def test_a_second_signal_ends_a_stop_that_takes_long(folder: Path) -> None:
    """While an uplink that is down uses up its grace, a second SIGTERM ends the process; nothing stored is lost."""
    history_file = folder / "data" / "history.sqlite"
    history_file.parent.mkdir()
    async with plant_server() as server:
        settings = settings_file(folder, server.port)
        with closing(sqlite3.connect(history_file, isolation_level=None)) as holder:
            holder.execute("PRAGMA journal_mode=WAL")
            holder.execute("BEGIN IMMEDIATE")
            async with run_gateway(settings) as gateway:
                await asyncio.sleep(0.3)
                gateway.process.send_signal(signal.SIGTERM)
                await asyncio.sleep(0.5)
                assert gateway.process.returncode is None
                assert "once more ends at once" in gateway.log()
                gateway.process.send_signal(signal.SIGTERM)
                async with asyncio.timeout(3):
                    assert await gateway.process.wait() == -signal.SIGTERM
            holder.execute("ROLLBACK")
        async with run_gateway(settings) as gateway:
            assert await gateway.stop() == 0
        assert len(history(history_file)) > 5


async def test_a_second_gateway_on_the_same_data_is_refused(folder: Path) -> None:
    """The second process says why and ends with exit code 1; the first goes on."""
    async with plant_server() as server:
        settings = settings_file(folder, server.port)
        async with run_gateway(settings):
            for _ in range(5):  # the process must not end before the buffer's own thread, which is a matter of timing
                second = await bifrost("run", settings)
                assert second.code == 1, second.err
                assert second.err.splitlines()[-1].startswith("bifrost: ")
                assert "is in use by another process" in second.err
            assert (await bifrost("tree", "--gateway", settings)).code == 0
