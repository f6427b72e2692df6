"""Against modbus-serial, written for Node: its client for our simulator, its server for our client."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from bifrost.core.quality import StatusCode
from bifrost.errors import ModbusFault
from bifrost.plc import Area, PLCConnection, Tag
from bifrost.plc.sim import ModbusRtuServer, ModbusTcpServer, RegisterBank, open_pty_pair
from tests.contract.modbus_devices import unused_port
from tests.integration.node_packages import need_node, node_environment, node_process
from tests.integration.simulated_units import IDENTITY, simulated_unit

_HERE = Path(__file__).parent


@asynccontextmanager
async def _in_tcp(bank: RegisterBank) -> AsyncIterator[list[str]]:
    async with ModbusTcpServer(bank, identification=IDENTITY) as server:
        yield ["tcp", "127.0.0.1", str(server.port)]


@asynccontextmanager
async def _rtu_in_tcp(bank: RegisterBank) -> AsyncIterator[list[str]]:
    async with ModbusTcpServer(bank, framing="rtu", identification=IDENTITY) as server:
        yield ["rtu-tcp", "127.0.0.1", str(server.port)]


@asynccontextmanager
async def _on_a_line(bank: RegisterBank) -> AsyncIterator[list[str]]:
    with open_pty_pair() as line:
        async with ModbusRtuServer(bank, line.descriptor, identification=IDENTITY):
            yield ["rtu", line.path]


@pytest.mark.parametrize("served", [_in_tcp, _rtu_in_tcp, _on_a_line], ids=["tcp", "rtu-tcp", "rtu"])
async def test_its_client_reads_and_writes_our_simulator(served: object) -> None:
    """The functions that it knows, in all three ways to carry them."""
    folder = need_node("modbus-serial")
    bank = simulated_unit()
    async with served(bank) as where:  # type: ignore[operator]  # one of the three above
        process = await asyncio.create_subprocess_exec(
            "node",
            str(_HERE / "modbus_serial_client.js"),
            *where,
            env=node_environment(folder),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        try:
            out, err = await asyncio.wait_for(process.communicate(), 20)
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
    assert process.returncode == 0, err.decode()
    seen = json.loads(out)
    assert seen["holding"] == list(range(125))
    assert seen["input"] == [1005, 1006]
    assert seen["coils"] == [True, False, False, True]
    assert seen["discrete"] == [False, True]
    assert seen["written"] == [77 & 0xF0 | 0x05 if where[0] == "tcp" else 77, 1, 2, 3]
    assert seen["refused"] == 2
    assert seen.get("identity", {}) == ({} if where[0] == "rtu-tcp" else {"0": "bifrost", "1": "simulator", "2": "1.0"})
    assert bank.read(Area.COIL, 8, 3) == [1, 0, 1]
    assert bank.get(Area.COIL, 1) == 1


async def test_our_client_reads_and_writes_its_server() -> None:
    """Areas, arrays, holes, writes; its exceptions are the status of their tags alone."""
    folder = need_node("modbus-serial")
    port = unused_port()
    with node_process(folder, _HERE / "modbus_serial_server.js", str(port)) as process:
        assert process.stdout is not None
        assert await asyncio.to_thread(process.stdout.readline) == "ready\n"
        async with PLCConnection(host="127.0.0.1", port=port) as plc:
            tags = [Tag("words", "HR11[100]"), Tag("input", "IR6"), Tag("coils", "C1[4]"), Tag("di", "DI2")]
            readings = await plc.read_tags([*tags, Tag("edge", "HR200"), Tag("beyond", "HR201")])
            assert readings["words"].value == list(range(10, 110))
            assert readings["input"].value == 1005
            assert readings["coils"].value == [True, False, False, True]
            assert readings["di"].value is True
            assert readings["edge"].value == 199
            assert readings["beyond"].status == StatusCode.BAD_CONFIGURATION_ERROR
            words, coils = Tag("ws", "HR21:FLOAT32[2]", access="rw"), Tag("cs", "C10[9]", access="rw")
            await plc.write(words, [1.5, -0.25])
            await plc.write(coils, [True] * 9)
            await plc.write(Tag("w", "HR31", access="rw"), 4711)
            assert await plc.read(words) == [1.5, -0.25]
            assert await plc.read(coils) == [True] * 9
            assert await plc.read(Tag("w", "HR31")) == 4711
            with pytest.raises(ModbusFault):
                await plc.write(Tag("out", "HR300", access="rw"), 1)
            assert plc.stats.connects == 1
