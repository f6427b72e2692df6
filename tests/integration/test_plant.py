"""The demo plant's devices as processes of their own, read by a foreign client."""

from __future__ import annotations

import asyncio
import signal
import socket
import struct
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import msgspec
import psutil
import pytest
from pymodbus.client import AsyncModbusTcpClient

from bifrost.actors import Actor, ActorSystem, ChildSpec
from bifrost.core.batch import Batch
from bifrost.demo.plant import PLANT, main
from bifrost.demo.recording import load_recording
from bifrost.plc import TagSettings
from bifrost.plc.actor import device_spec
from bifrost.plc.device import GetStatus
from bifrost.plc.modbus.settings import ModbusSettings


class Ready(msgspec.Struct):
    port: int
    device: str
    pid: int


@asynccontextmanager
async def plant(*arguments: str) -> AsyncIterator[tuple[asyncio.subprocess.Process, Ready]]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "bifrost.demo.plant", *arguments,
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    assert process.stdout is not None
    try:
        async with asyncio.timeout(15):
            ready = msgspec.json.decode(await process.stdout.readline(), type=Ready)
        yield process, ready
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


@asynccontextmanager
async def connected(port: int) -> AsyncIterator[AsyncModbusTcpClient]:
    client = AsyncModbusTcpClient("127.0.0.1", port=port, timeout=2, retries=0)
    assert await client.connect()
    try:
        yield client
    finally:
        client.close()


async def test_the_press_replays_every_sample_of_the_recording() -> None:
    """Read as fast as a client can, each index from the first on comes once, in order, with its own time and value."""
    recording = load_recording()
    async with plant("--device", "press", "--seconds", "2") as (_, ready), connected(ready.port) as client:
        seen: list[int] = []
        while len(seen) < 1500:
            words = (await client.read_holding_registers(0, count=8)).registers
            recorded_at, temperature, index, _ = struct.unpack(">IfII", struct.pack(">8H", *words))
            sample = recording[index]
            assert recorded_at == sample.recorded_at
            assert temperature == struct.unpack(">f", struct.pack(">f", sample.temperature))[0]
            if not seen or seen[-1] != index:
                seen.append(index)
        assert seen == list(range(1500))


class Collector(Actor[Batch]):
    """Keeps every batch and tells when the last one wanted has come."""

    def __init__(self, got: list[Batch], wanted: int, complete: asyncio.Event) -> None:
        self.got = got
        self.wanted = wanted
        self.complete = complete

    async def receive(self, message: Batch) -> None:
        self.got.append(message)
        if len(self.got) == self.wanted:
            self.complete.set()


async def test_a_device_actor_collects_each_sample_once_with_the_recordings_own_time() -> None:
    """At 750 samples a second: no sample missing, none twice, dated by the machine's clock, seen now."""
    recording = load_recording()
    got: list[Batch] = []
    complete = asyncio.Event()
    sink = ChildSpec(id="sink", start=Collector, args=(got, 1000, complete))
    async with plant("--device", "press", "--seconds", "30") as (_, ready), ActorSystem("gateway", [sink]) as system:
        settings = ModbusSettings(
            host="127.0.0.1", port=ready.port, interval_ms=1.0,
            source_time="recorded_at", record_counter="sample_index",
            tags=[TagSettings(name=tag.name, address=tag.address, datatype=tag.datatype) for tag in PLANT["press"][:4]],
        )  # fmt: skip
        outputs = [system.ref("sink")]
        began_ns = time.time_ns()
        await system.start_child(device_spec(settings, name="press", outputs=outputs, publish_timeout=30.0))
        async with asyncio.timeout(20):
            await complete.wait()
        status = await system.ref("press").ask(GetStatus())
    assert status.missed_records == status.rows_dropped == status.bad_tags == 0
    assert [batch.sequence - got[0].sequence for batch in got] == list(range(len(got)))
    for index, batch in enumerate(got):
        sample = recording[index]
        rows = {label: (value, status) for label, _, value, status, _ in batch.rows()}
        assert rows["press/sample_index"] == (index, 0)
        assert rows["press/recorded_at"] == (sample.recorded_at, 0)
        assert rows["press/temperature"] == (struct.unpack(">f", struct.pack(">f", sample.temperature))[0], 0)
        for _, source_ns, _, _, received_ns in batch.rows():
            assert source_ns == sample.recorded_at * 10**9
            assert received_ns is not None
            assert received_ns > began_ns


@pytest.mark.parametrize("device", [name for name in PLANT if name != "press"])
async def test_the_other_devices_serve_invented_signals_that_say_so(device: str) -> None:
    """Every tag is named synthetic and has a finite value at its address; all of them come with one request."""
    assert all(tag.name.startswith("synthetic_") for tag in PLANT[device])
    async with plant("--device", device) as (_, ready), connected(ready.port) as client:
        assert ready.device == device
        answer = await client.read_holding_registers(0, count=2 * len(PLANT[device]))
        values = struct.unpack(f">{len(PLANT[device])}f", struct.pack(f">{len(answer.registers)}H", *answer.registers))
        assert all(0.0 <= value < 1000.0 for value in values)
        assert any(values)


async def test_a_device_ends_when_its_parent_does() -> None:
    """Its standard input closes: it ends by itself, with code 0 and nothing on standard error."""
    async with plant("--device", "pump") as (process, _):
        assert process.stdin is not None
        process.stdin.close()
        async with asyncio.timeout(5):
            _, errors = await process.communicate()
        assert process.returncode == 0
        assert errors == b""


async def test_no_device_outlives_a_killed_parent() -> None:
    """The parent dies without a word; the device is gone soon after."""
    launcher = (
        "import subprocess, sys, time\n"
        "child = subprocess.Popen([sys.executable, '-m', 'bifrost.demo.plant', '--device', 'oven'],"
        " stdin=subprocess.PIPE, stdout=subprocess.PIPE)\n"
        "sys.stdout.write(child.stdout.readline().decode()); sys.stdout.flush(); time.sleep(60)\n"
    )
    parent = await asyncio.create_subprocess_exec(sys.executable, "-c", launcher, stdout=asyncio.subprocess.PIPE)
    assert parent.stdout is not None
    async with asyncio.timeout(15):
        device = psutil.Process(msgspec.json.decode(await parent.stdout.readline(), type=Ready).pid)
    parent.kill()
    await parent.wait()
    await asyncio.to_thread(device.wait, 5)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGTERM to catch: terminate() is a kill there")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_device_ends_cleanly_on_a_signal(number: signal.Signals) -> None:
    """With a client connected, it ends with code 0 and nothing on standard error; its port is free again."""
    async with plant("--device", "mixer") as (process, ready):
        _, writer = await asyncio.open_connection("127.0.0.1", ready.port)
        process.send_signal(number)
        async with asyncio.timeout(5):
            _, errors = await process.communicate()
        writer.close()
        assert process.returncode == 0
        assert errors == b""
    async with plant("--device", "mixer", "--port", str(ready.port)) as (_, again):
        assert again.port == ready.port


def test_an_unusable_port_or_duration_is_one_line_and_code_2(capsys: pytest.CaptureFixture[str]) -> None:
    """The port that is taken, the port that is none, the replay that takes no time: a sentence, no traceback."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        for arguments in (
            ["--device", "pump", "--port", str(taken.getsockname()[1])],
            ["--device", "pump", "--port", "70000"],
            ["--device", "press", "--seconds", "0"],
        ):
            assert main(arguments) == 2
            [line] = capsys.readouterr().err.splitlines()
            assert line.startswith("python -m bifrost.demo.plant: ")
    with pytest.raises(SystemExit) as caught:
        main(["--device", "toaster"])
    assert caught.value.code == 2
