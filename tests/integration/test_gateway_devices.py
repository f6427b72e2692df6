"""A gateway inside somebody's program: devices come, go and fail, and the others do not notice."""

from __future__ import annotations

import ast
import asyncio
import logging
import os
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from bifrost.bridge.connectors.historian import HistorianSettings
from bifrost.core.batch import Batch
from bifrost.core.quality import StatusCode
from bifrost.edge.anomaly import Anomaly
from bifrost.edge.settings import DetectSettings, PipelineSettings
from bifrost.errors import ActorError, ChildNotFound, ConfigError, SupervisorGaveUp
from bifrost.gateway import Gateway, GatewaySection, GatewaySettings, UplinkSettings
from bifrost.plc.drivers import ProtocolSpec, protocol_named, register_protocol
from bifrost.plc.modbus.settings import ModbusSettings
from bifrost.plc.settings import DeviceSettings, TagSettings
from tests.integration.gateway_process import ROOT, history, plant_server, short_folder

TAG = TagSettings(name="temperature", address="HR1:FLOAT32")


@pytest.fixture
def folder() -> Iterator[Path]:
    yield from short_folder()


def device(port: int, **options: Any) -> ModbusSettings:
    return ModbusSettings(host="127.0.0.1", port=port, interval_ms=20, tags=[TAG], **options)


def gateway_settings(folder: Path, devices: dict[str, DeviceSettings], **pipeline: Any) -> GatewaySettings:
    return GatewaySettings(
        gateway=GatewaySection(name="plant", data_dir=str(folder / "data")),
        devices=devices,
        pipelines={"all": PipelineSettings(**{"sources": ("*",), "sinks": ("collect",), **pipeline})},
    )


class Collected:
    """A sink of the application's own."""

    def __init__(self) -> None:
        self.rows: list[tuple[str, int]] = []

    async def write(self, batch: Batch) -> None:
        self.rows += [(row[0], row[3]) for row in batch.rows()]

    def of(self, tag: str) -> list[int]:
        return [status for name, status in self.rows if name == tag]


async def until(condition: Callable[[], bool] | Callable[[], Awaitable[bool]], *, timeout: float = 10.0) -> None:
    async with asyncio.timeout(timeout):
        while True:
            met = condition()
            if await met if isinstance(met, Awaitable) else met:
                return
            await asyncio.sleep(0.01)


@asynccontextmanager
async def silent_device() -> AsyncIterator[int]:
    """Accepts connections and never answers."""
    writers = []

    def take(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers.append(writer)

    server = await asyncio.start_server(take, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for writer in writers:
            writer.close()
        await asyncio.sleep(0)


async def test_bad_devices_do_not_disturb_a_good_one(folder: Path) -> None:
    """Beside an absent and a silent device the good one keeps its rate; the bad ones' tags are BAD with the reason."""
    collected = Collected()
    async with plant_server() as server, silent_device() as silent_port:
        devices: dict[str, DeviceSettings] = {
            "absent": device(1),
            "press": device(server.port),
            "silent": device(silent_port, timeout=0.2),
        }
        async with Gateway(gateway_settings(folder, devices), sinks={"collect": collected}) as gateway:
            await until(lambda: bool(collected.of("silent/temperature")))
            before = len(collected.of("press/temperature"))
            await asyncio.sleep(1.0)
            good = collected.of("press/temperature")
            infos = {info.name: info for info in await gateway.devices()}
    assert len(good) - before >= 40  # of 50 polls in a second; the machine may be busy
    assert set(good) == {StatusCode.GOOD}
    assert collected.of("absent/temperature")[0] == StatusCode.BAD_NOT_CONNECTED
    assert all(status >= StatusCode.BAD for status in collected.of("silent/temperature"))
    assert (infos["press"].state, infos["press"].good_tags) == ("connected", 1)
    assert (infos["absent"].state, infos["absent"].bad_tags) == ("backoff", 1)
    assert "cannot connect to 127.0.0.1" in infos["absent"].error
    assert infos["silent"].bad_tags == 1


async def test_a_plug_in_that_breaks_does_not_keep_the_others_from_starting(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A protocol whose driver cannot be made is logged; the other device delivers."""

    def explode(_settings: object, _clock: object) -> Any:
        raise RuntimeError("broken plug-in")

    modbus = protocol_named("modbus-tcp")
    broken = ProtocolSpec(
        name="broken",
        default_port=1,
        settings=modbus.settings,
        parse_address=modbus.parse_address,
        create=explode,
    )
    register_protocol("broken", broken, replace=True)
    collected = Collected()
    async with plant_server() as server:
        devices: dict[str, DeviceSettings] = {
            "bad": device(server.port, protocol="broken"),
            "press": device(server.port),
        }
        async with Gateway(gateway_settings(folder, devices), sinks={"collect": collected}) as gateway:
            await until(lambda: len(collected.of("press/temperature")) > 3)
            assert [info.name for info in await gateway.devices()] == ["press"]
    assert "device bad did not start" in caplog.text


async def test_a_hot_device_feeds_the_pipelines_that_want_it(folder: Path) -> None:
    """A device added from Python reaches a ``*`` pipeline; a removed one says goodbye and its name is free again."""
    collected = Collected()
    async with plant_server() as server:
        settings = gateway_settings(folder, {})
        async with Gateway(settings, sinks={"collect": collected}) as gateway:
            table = {"host": "127.0.0.1", "port": server.port, "interval_ms": 20, "tags": [{"name": "n", "address": 3}]}
            table["tags"] = [{"name": "n", "address": "HR3"}]
            info = await gateway.add_device("oven", table)
            assert (info.declared_in, info.tags) == ("run time", 1)
            await until(lambda: len(collected.of("oven/n")) > 2)
            status = await gateway.status()
            assert status.pipelines[0].devices == ("oven",)
            await gateway.remove_device("oven")
            await until(lambda: collected.of("oven/n")[-1] == StatusCode.BAD_OUT_OF_SERVICE)
            with pytest.raises(ChildNotFound, match="devices: none"):
                await gateway.remove_device("oven")
            await gateway.add_device("oven", device(server.port))
            await until(lambda: bool(collected.of("oven/temperature")))
            with pytest.raises(ConfigError, match="already"):
                await gateway.add_device("oven", device(server.port))


@pytest.mark.parametrize(
    ("name", "table", "mistakes"),
    [
        ("a/b", {"host": "h"}, 1),
        ("oven", {"host": "", "port": 0}, 2),
        ("oven", {"protocol": "telepathy"}, 1),
        ("oven", device(0), 1),
    ],
)
async def test_a_wrong_device_is_refused_before_anything_starts(
    folder: Path, name: str, table: Any, mistakes: int
) -> None:
    """All mistakes at once; the tree has no new child."""
    async with Gateway(gateway_settings(folder, {}), sinks={"collect": Collected()}) as gateway:
        with pytest.raises(ConfigError) as caught:
            await gateway.add_device(name, table)
        assert len(caught.value.mistakes) == mistakes
        devices = gateway.tree().find("devices")
        assert devices is not None
        assert devices.children == ()


async def test_a_device_whose_options_contradict_anothers_waits_until_that_one_is_gone(folder: Path) -> None:
    """One link cannot be both: the second device says which option it is, and connects after the first was removed."""
    collected = Collected()
    async with plant_server() as server:
        devices: dict[str, DeviceSettings] = {
            "first": device(server.port),
            "second": device(server.port, max_in_flight=4, backoff_max=0.2),
        }
        async with Gateway(gateway_settings(folder, devices), sinks={"collect": collected}) as gateway:
            await until(lambda: bool(collected.of("first/temperature")) and bool(collected.of("second/temperature")))
            infos = {info.name: info for info in await gateway.devices()}
            assert (infos["first"].state, infos["first"].error) == ("connected", "")
            assert infos["second"].bad_tags == 1
            assert "max_in_flight" in infos["second"].error
            assert set(collected.of("second/temperature")) == {StatusCode.BAD_NOT_CONNECTED}
            await gateway.remove_device("first")
            await until(lambda: collected.of("second/temperature")[-1] == StatusCode.GOOD)


_IMPORTERS = """
import asyncio, sys, tempfile, threading

from bifrost.gateway import Gateway, GatewaySection, GatewaySettings

found = {}

class Witness:
    def find_spec(self, name, path=None, target=None):
        if name in {"snap7", "pycomm3", "bifrost.plc.s7", "bifrost.plc.ethernet_ip"}:
            found.setdefault(name, threading.current_thread() is threading.main_thread())
        return None

async def main():
    with tempfile.TemporaryDirectory() as folder:
        async with Gateway(GatewaySettings(gateway=GatewaySection(data_dir=folder))) as gateway:
            sys.meta_path.insert(0, Witness())
            for protocol, address in {"s7": "M0.0", "ethernet-ip": "Speed"}.items():
                tags = [{"name": "a", "address": address}]
                table = {"protocol": protocol, "host": "127.0.0.1", "port": 1, "tags": tags}
                await gateway.add_device(protocol, table)
            while "pycomm3" not in found:
                await asyncio.sleep(0.01)

asyncio.run(main())
print(found)
"""


async def test_a_new_protocol_is_imported_beside_the_loop() -> None:
    """The first device of a protocol brings its library; the loop, and with it the other devices, does not wait."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", _IMPORTERS, stdout=asyncio.subprocess.PIPE, env={**os.environ, "PYTHONPATH": str(ROOT)}
    )
    async with asyncio.timeout(20):
        out, _ = await process.communicate()
    found = ast.literal_eval(out.decode())
    assert found == {"bifrost.plc.s7": False, "snap7": False, "bifrost.plc.ethernet_ip": False, "pycomm3": False}


async def test_an_addition_that_is_cancelled_leaves_no_stray_device(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Cancelled at any moment, the device is there and known, or neither; and its name can be used again."""

    async def at_once(function: Callable[..., object], *args: object) -> object:
        return function(*args)

    # The settings are checked in a thread, and most moments would fall there.
    monkeypatch.setattr(asyncio, "to_thread", at_once)
    async with Gateway(gateway_settings(folder, {}), sinks={"collect": Collected()}) as gateway:
        for moment in range(40):
            adding = asyncio.create_task(gateway.add_device("oven", device(1)))
            for _ in range(moment):
                await asyncio.sleep(0)
            adding.cancel()
            await asyncio.gather(adding, return_exceptions=True)
            devices = gateway.tree().find("devices")
            assert devices is not None
            assert [child.id for child in devices.children] == [info.name for info in await gateway.devices()]
            if devices.children:
                await gateway.remove_device("oven")


async def test_devices_and_pipelines_come_back_with_their_supervisors(folder: Path) -> None:
    """After a restart of the supervisors of devices and of pipelines, values flow again."""
    collected = Collected()
    async with plant_server() as server:
        settings = gateway_settings(folder, {"press": device(server.port)})
        async with Gateway(settings, sinks={"collect": collected}) as gateway:
            for supervisor in ("devices", "pipelines"):
                await until(lambda: len(collected.rows) > 3)
                await gateway.system.root.terminate_child(supervisor)
                collected.rows.clear()
                await gateway.system.root.restart_child(supervisor)
            await until(lambda: len(collected.rows) > 3)
            assert [info.state for info in await gateway.devices()] == ["connected"]


async def test_anomalies_reach_the_applications_own_function(folder: Path) -> None:
    """A pipeline with a detector calls a plain function of the application."""
    found: list[Anomaly] = []
    async with plant_server(value=90.0) as server:
        settings = gateway_settings(
            folder,
            {"press": device(server.port)},
            detect=DetectSettings(detector="limits", high=80.0),
            sinks=("wal",),
            anomaly_sinks=("alert", "wal", "log"),
        )
        async with Gateway(settings, sinks={"alert": found.extend}) as gateway:
            await until(lambda: bool(found))
            statistics = (await gateway.status()).wal
    assert found[0].tag == "press/temperature"
    assert statistics is not None
    assert statistics.appended_rows > 0


async def test_without_pipelines_every_value_goes_to_the_buffer(folder: Path) -> None:
    """Devices and an uplink are enough; the orderly stop leaves nothing behind."""
    async with plant_server() as server:
        settings = GatewaySettings(
            gateway=GatewaySection(data_dir=str(folder / "data")),
            devices={"press": device(server.port)},
            uplinks={"local": UplinkSettings(kind="historian", connector=HistorianSettings(path="h.sqlite"))},
        )
        async with Gateway(settings) as gateway:

            async def delivered() -> bool:
                statistics = (await gateway.status()).uplinks[0].statistics
                return statistics is not None and statistics.delivered_rows > 3

            await until(delivered)
            published = (await gateway.devices())[0].details
            assert published is not None
    assert len(history(folder / "data" / "h.sqlite")) >= published.rows_published


async def test_the_process_of_the_application_is_left_alone(folder: Path) -> None:
    """No signal handler, no logging handler, no loop setting is touched, while it runs and after it."""
    loop = asyncio.get_running_loop()

    def traits() -> list[object]:
        handlers = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
        loggers = [logging.getLogger(name) for name in (None, "bifrost", "bifrost.actors", "bifrost.gateway")]
        return [*handlers, *[list(each.handlers) for each in loggers], loop.get_exception_handler()]

    before = traits()
    async with Gateway(gateway_settings(folder, {}), sinks={"collect": Collected()}):
        assert traits() == before
    assert traits() == before


async def test_cancelling_the_application_stops_the_gateway_in_order(folder: Path) -> None:
    """The task is cancelled, the tree has stopped, and what was polled before is in the buffer's destination."""
    entered = asyncio.Event()
    held: list[Gateway] = []

    async def application() -> None:
        async with Gateway(gateway_settings(folder, {}), sinks={"collect": Collected()}) as gateway:
            held.append(gateway)
            entered.set()
            await gateway.wait()

    task = asyncio.create_task(application())
    await entered.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert all(actor.state.value == "stopped" for actor in held[0].tree().walk())
    with pytest.raises(ActorError, match="does not run"):
        await held[0].status()


async def test_a_gateway_that_cannot_have_its_buffer_gives_up(folder: Path) -> None:
    """A second gateway on the same data directory does not start, and the first does not notice."""
    settings = gateway_settings(folder, {})
    async with Gateway(settings, sinks={"collect": Collected()}) as first:
        with pytest.raises((SupervisorGaveUp, ActorError)):
            async with Gateway(settings, sinks={"collect": Collected()}):
                pytest.fail("two gateways share one buffer")
        assert (await first.status()).wal is not None


async def test_wrong_kept_devices_are_told_before_anything_starts(folder: Path) -> None:
    """What is wrong in the store of kept devices is a ConfigError like any other."""
    (folder / "data").mkdir()
    (folder / "data" / "devices.json").write_text('{"oven": {"hots": 1}, "press": {"host": "h"}}')
    settings = gateway_settings(folder, {"press": device(1)})
    with pytest.raises(ConfigError) as caught:
        async with Gateway(settings, sinks={"collect": Collected()}):
            pytest.fail("started with wrong settings")
    assert len(caught.value.mistakes) == 2
    assert not (folder / "data" / "bifrost-wal.sqlite").exists()


def test_settings_built_in_code_are_checked(folder: Path) -> None:
    """Problems and unknown names are told by the constructor, all at once."""
    settings = gateway_settings(folder, {"press": device(70000)}, sources=("pres",), sinks=("nowhere",))
    with pytest.raises(ConfigError) as caught:
        Gateway(settings)
    assert len(caught.value.mistakes) == 3


async def test_an_uplink_that_is_gone_from_the_settings_is_told(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Its place in the buffer keeps every record from being deleted: whoever renamed an uplink has to know."""
    uplinks = {"cloud": UplinkSettings(kind="historian", connector=HistorianSettings())}
    settings = GatewaySettings(gateway=GatewaySection(data_dir=str(folder / "data")), uplinks=uplinks)
    async with Gateway(settings) as gateway:
        await until(lambda: registered(gateway, "cloud"))
    assert "cloud" not in caplog.text
    settings = GatewaySettings(gateway=settings.gateway)
    with caplog.at_level(logging.WARNING):
        async with Gateway(settings) as gateway:
            assert "forget_destination('cloud')" in caplog.text
            await gateway.wal.forget_destination("cloud")
    caplog.clear()
    async with Gateway(settings):
        assert "cloud" not in caplog.text


@pytest.mark.parametrize("name", ["taken", "nul\0inside"])
async def test_a_data_directory_that_cannot_be_is_a_mistake_in_the_settings(folder: Path, name: str) -> None:
    """A file in its place, or a name that no system takes: told as such, and nothing was started."""
    await asyncio.to_thread((folder / "taken").write_text, "", encoding="utf-8")
    with pytest.raises(ConfigError, match="cannot make the data directory"):
        async with Gateway(GatewaySettings(gateway=GatewaySection(data_dir=str(folder / name)))):
            pass


async def registered(gateway: Gateway, name: str) -> bool:
    return name in (await gateway.wal.statistics()).cursors


async def test_a_kept_device_whose_name_is_none_is_told(folder: Path) -> None:
    """A hand-written entry is checked like any other."""
    data = folder / "data"
    await asyncio.to_thread(data.mkdir)
    kept = '{"a/b": {"host": "h", "tags": []}}'
    await asyncio.to_thread((data / "devices.json").write_text, kept, encoding="utf-8")
    with pytest.raises(ConfigError, match="is no name"):
        async with Gateway(GatewaySettings(gateway=GatewaySection(data_dir=str(data)))):
            pass
