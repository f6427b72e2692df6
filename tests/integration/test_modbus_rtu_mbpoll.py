"""Debian's mbpoll, made of libmodbus, against our simulator: on a serial line and in TCP."""

from __future__ import annotations

import asyncio
import os
import re
import shutil

import pytest

from bifrost.plc import Area, DataType
from bifrost.plc.sim import ModbusRtuServer, ModbusTcpServer, RegisterBank, open_pty_pair
from tests.integration.simulated_units import simulated_unit

_VALUE = re.compile(r"^\[(\d+)\]:\s+(\S+)", re.MULTILINE)


@pytest.fixture(autouse=True)
def _needs_mbpoll() -> None:
    if shutil.which("mbpoll") is None:
        if os.environ.get("CI"):
            pytest.fail("mbpoll is missing; run: apt-get install mbpoll")
        pytest.skip("needs mbpoll; run: apt-get install mbpoll")


async def _mbpoll(*arguments: str) -> str:
    process = await asyncio.create_subprocess_exec(
        "mbpoll", "-1", *arguments, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    try:
        out, _ = await asyncio.wait_for(process.communicate(), 10)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    return out.decode()


async def _use(bank: RegisterBank, options: list[str], where: str) -> None:
    read = await _mbpoll(*options, "-r", "1", "-c", "100", "-t", "4", where)
    assert [int(value) for _, value in _VALUE.findall(read)] == list(range(100))
    read = await _mbpoll(*options, "-r", "6", "-c", "2", "-t", "3", where)
    assert [value for _, value in _VALUE.findall(read)] == ["1005", "1006"]
    for table, expected in (("0", ["1", "0", "0", "1"]), ("1", ["1", "0", "1", "0"])):
        read = await _mbpoll(*options, "-r", "1", "-c", "4", "-t", table, where)
        assert [value for _, value in _VALUE.findall(read)] == expected
    assert "Written 1" in await _mbpoll(*options, "-r", "31", "-t", "4", where, "4711")
    assert "Written 3" in await _mbpoll(*options, "-r", "41", "-t", "4", where, "1", "2", "3")
    assert "Written 2" in await _mbpoll(*options, "-r", "3", "-t", "0", where, "1", "1")
    bank.put(Area.HOLDING, 60, 1.5, DataType.FLOAT32)
    read = await _mbpoll(*options, "-r", "61", "-t", "4:float", "-B", where)
    assert _VALUE.findall(read) == [("61", "1.5")]
    assert bank.get(Area.HOLDING, 30) == 4711
    assert bank.read(Area.HOLDING, 40, 3) == [1, 2, 3]
    assert bank.read(Area.COIL, 2, 2) == [1, 1]
    assert "Illegal data address" in await _mbpoll(*options, "-r", "500", "-t", "4", where)


async def test_it_reads_and_writes_our_simulator_on_a_serial_line() -> None:
    """RTU, with the parity that the standard asks for and a pseudo-terminal ignores."""
    bank = simulated_unit()
    with open_pty_pair() as line:
        async with ModbusRtuServer({5: bank}, line.descriptor):
            await _use(bank, ["-m", "rtu", "-a", "5", "-b", "115200", "-P", "none"], line.path)


async def test_it_reads_and_writes_our_simulator_in_tcp() -> None:
    """Modbus TCP."""
    bank = simulated_unit()
    async with ModbusTcpServer({5: bank}) as server:
        await _use(bank, ["-m", "tcp", "-a", "5", "-p", str(server.port)], "127.0.0.1")
