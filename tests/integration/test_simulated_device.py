"""Foreign clients talk to a simulated device: pymodbus (Python) and mbpoll (libmodbus, C)."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import struct

import pytest
from pymodbus.client import AsyncModbusTcpClient

from bifrost.plc.datatypes import DataType
from bifrost.plc.modbus.address import Area
from bifrost.plc.sim import Fault, FaultPlan, Injection, ModbusTcpServer, RegisterBank


def bank() -> RegisterBank:
    made = RegisterBank()
    made.map(Area.COIL, 0, 20)
    made.map(Area.HOLDING, 0, 125)
    made.put(Area.DISCRETE_INPUT, 3, 1)
    made.map(Area.DISCRETE_INPUT, 0, 10)
    made.put(Area.INPUT, 0, 21.5, DataType.FLOAT32)
    made.put(Area.HOLDING, 7, 4711)
    return made


async def test_pymodbus_reads_and_writes_all_four_areas() -> None:
    """An independent client sees the values that were put, and its writes arrive and are counted."""
    device = bank()
    async with ModbusTcpServer(device) as server:
        client = AsyncModbusTcpClient("127.0.0.1", port=server.port, timeout=2, retries=0)
        assert await client.connect()
        try:
            assert (await client.read_holding_registers(7, count=1)).registers == [4711]
            words = (await client.read_input_registers(0, count=2)).registers
            assert struct.unpack(">f", struct.pack(">HH", *words)) == (21.5,)
            assert (await client.read_discrete_inputs(0, count=10)).bits[:10] == [at == 3 for at in range(10)]
            assert not (await client.write_registers(10, [1, 2, 3])).isError()
            assert not (await client.write_register(13, 4)).isError()
            assert (await client.read_holding_registers(10, count=4)).registers == [1, 2, 3, 4]
            assert not (await client.write_coils(1, [True, False, True])).isError()
            assert not (await client.write_coil(19, True)).isError()
            bits = (await client.read_coils(0, count=20)).bits[:20]
            assert [at for at, bit in enumerate(bits) if bit] == [1, 3, 19]
            assert device.write_count == 4
        finally:
            client.close()


async def test_requests_outside_the_device_are_answered_with_the_right_exception() -> None:
    """Unmapped address 2, too many registers 3, unknown function 1, unknown unit 11; the link stays usable."""
    async with ModbusTcpServer({5: bank()}) as server:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        try:
            for unit, pdu, code in (
                (5, "0300c80001", 2),
                (5, "030000007e", 3),
                (5, "41", 1),
                (6, "0300000001", 11),
                (5, "0300070001", None),
            ):
                body = bytes([unit]) + bytes.fromhex(pdu)
                writer.write(b"\x00\x2a\x00\x00" + len(body).to_bytes(2) + body)
                async with asyncio.timeout(2):
                    head = await reader.readexactly(7)
                    answer = await reader.readexactly(int.from_bytes(head[4:6]) - 1)
                assert head[:4] == b"\x00\x2a\x00\x00"
                assert head[6] == unit
                if code is None:
                    assert answer == bytes.fromhex("03021267")
                else:
                    assert answer == bytes([body[1] | 0x80, code])
            assert server.counters.exceptions == 4
        finally:
            writer.close()
            await writer.wait_closed()


async def test_many_requests_in_one_segment_are_all_answered_in_order() -> None:
    """Eight pipelined requests in one write bring eight answers with their transaction ids."""
    async with ModbusTcpServer(bank()) as server:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        try:
            writer.write(b"".join(tid.to_bytes(2) + bytes.fromhex("00000006010300070001") for tid in range(8)))
            async with asyncio.timeout(2):
                answers = [await reader.readexactly(11) for _ in range(8)]
            assert [int.from_bytes(answer[:2]) for answer in answers] == list(range(8))
        finally:
            writer.close()
            await writer.wait_closed()


async def test_bytes_that_are_no_modbus_end_the_connection_alone() -> None:
    """Garbage closes its own connection; the server goes on serving others and leaves nothing open."""
    async with ModbusTcpServer(bank()) as server:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(b"GET / HTTP/1.1\r\n\r\n")
        async with asyncio.timeout(2):
            with pytest.raises((ConnectionResetError, asyncio.IncompleteReadError)):
                await reader.readexactly(1)
        writer.close()
        client = AsyncModbusTcpClient("127.0.0.1", port=server.port, timeout=2, retries=0)
        assert await client.connect()
        assert (await client.read_holding_registers(7, count=1)).registers == [4711]
        client.close()
        assert server.counters.broken == 1
    assert server.clients == 0


async def test_a_limit_of_clients_turns_further_ones_away() -> None:
    """With room for one, the second connection is accepted and closed at once; the first goes on."""
    async with ModbusTcpServer(bank(), max_clients=1) as server:
        first = AsyncModbusTcpClient("127.0.0.1", port=server.port, timeout=2, retries=0)
        assert await first.connect()
        assert (await first.read_holding_registers(7, count=1)).registers == [4711]
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        async with asyncio.timeout(2):
            assert await reader.read() == b""
        writer.close()
        assert (await first.read_holding_registers(7, count=1)).registers == [4711]
        first.close()
        assert server.counters.turned_away == 1


async def test_a_stopped_device_comes_back_on_its_port() -> None:
    """Stopping ends connections and the listener; starting again serves on the same port."""
    server = ModbusTcpServer(bank())
    await server.start()
    port = server.port
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    await server.stop(reset=True)
    async with asyncio.timeout(2):
        with pytest.raises(ConnectionResetError):
            await reader.readexactly(1)
    writer.close()
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection("127.0.0.1", port)
    await server.start()
    assert server.port == port
    _, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.close()
    await server.stop()
    await server.stop()


async def test_one_process_hosts_many_devices_with_several_units_each() -> None:
    """Twenty servers with three units each: every unit answers with its own value, and is written alone."""
    async with contextlib.AsyncExitStack() as stack:
        for number in range(20):
            units = {unit: RegisterBank() for unit in (1, 2, 247)}
            for unit, its_bank in units.items():
                its_bank.put(Area.HOLDING, 0, number * 1000 + unit)
            server = await stack.enter_async_context(ModbusTcpServer(units))
            client = AsyncModbusTcpClient("127.0.0.1", port=server.port, timeout=2, retries=0)
            assert await client.connect()
            stack.callback(client.close)
            for unit in units:
                answer = await client.read_holding_registers(0, count=1, device_id=unit)
                assert answer.registers == [number * 1000 + unit]
            assert not (await client.write_register(0, 9, device_id=2)).isError()
            assert [its_bank.get(Area.HOLDING, 0) == 9 for its_bank in units.values()] == [False, True, False]


async def test_injected_faults_reach_the_wire_as_planned() -> None:
    """Split, late, doubled and dying answers arrive as their plan says; each is counted."""
    plan = FaultPlan.script(
        Fault.SPLIT, Injection(Fault.DELAY, seconds=0.05), Fault.DUPLICATE, None, Injection(Fault.TRUNCATE, cut=5)
    )
    request, answer = bytes.fromhex("000100000006010300070001"), bytes.fromhex("0001000000050103021267")
    async with ModbusTcpServer(bank(), faults=plan) as server:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(5):
            for expected in (answer, answer, answer + answer, answer):
                began = loop.time()
                writer.write(request)
                assert await reader.readexactly(len(expected)) == expected
                if server.counters.requests == 2:
                    assert loop.time() - began >= 0.05
            writer.write(request)
            assert await reader.read() == answer[:5]
        writer.close()
        assert server.counters.injected == 4


async def test_a_client_that_never_reads_does_not_fill_the_memory() -> None:
    """When the answers pile up, the server stops reading requests instead of buffering answers without bound."""
    async with ModbusTcpServer(bank()) as server:
        _, writer = await asyncio.open_connection("127.0.0.1", server.port)
        asked = 100_000  # their answers are 26 MB, more than both kernels' buffers take
        writer.write(bytes.fromhex("00010000000601030000007d") * asked)
        seen = -1
        async with asyncio.timeout(10):
            while seen != server.counters.requests:
                seen = server.counters.requests
                await asyncio.sleep(0.3)
        assert 0 < seen < asked / 2
        writer.transport.abort()


async def test_mbpoll_reads_and_writes() -> None:
    """The C library behind mbpoll reads registers and writes one."""
    program = shutil.which("mbpoll")
    if program is None:
        message = "mbpoll is missing: apt-get install mbpoll"
        if os.environ.get("CI"):
            pytest.fail(message)
        pytest.skip(message)
    device = bank()
    async with ModbusTcpServer({3: device}) as server:

        async def mbpoll(*arguments: str) -> str:
            process = await asyncio.create_subprocess_exec(
                program, "-m", "tcp", "-p", str(server.port), "-a", "3", "-1", *arguments,
                stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
            )  # fmt: skip
            async with asyncio.timeout(10):
                output, _ = await process.communicate()
            assert process.returncode == 0, output.decode()
            return output.decode()

        assert "[8]: \t4711" in await mbpoll("-t", "4", "-r", "8", "-c", "1", "127.0.0.1")
        assert "[1]: \t21.5" in await mbpoll("-t", "3:float", "-B", "-r", "1", "-c", "1", "127.0.0.1")
        await mbpoll("-t", "4", "-r", "21", "127.0.0.1", "99")
        assert device.get(Area.HOLDING, 20) == 99


def _read_of(transaction: int, address: int) -> bytes:
    return struct.pack(">HHHBBHH", transaction, 0, 6, 1, 3, address, 1)


@pytest.mark.parametrize(
    ("fault", "order"), [(Fault.REORDER, [2, 1, 3]), (Fault.JOIN, [1, 2, 3])], ids=["reorder", "join"]
)
async def test_pipelined_requests_meet_answers_out_of_order_or_joined(fault: Fault, order: list[int]) -> None:
    """Three requests in one segment; the first one's answer waits for the second's."""
    plan = FaultPlan.script(Injection(fault, seconds=5.0))
    async with ModbusTcpServer(bank(), faults=plan) as server:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        try:
            writer.write(b"".join(_read_of(transaction, 7) for transaction in (1, 2, 3)))
            frames = [await asyncio.wait_for(reader.readexactly(11), 1) for _ in range(3)]
            assert [int.from_bytes(frame[:2]) for frame in frames] == order
            assert {frame[9:] for frame in frames} == {(4711).to_bytes(2)}
        finally:
            writer.close()


@pytest.mark.parametrize("fault", [Fault.REORDER, Fault.JOIN])
async def test_an_answer_that_waits_for_a_next_one_in_vain_leaves_in_the_end(fault: Fault) -> None:
    """A client that sends one request at a time is only late; one that leaves is forgotten."""
    plan = FaultPlan.script(*[Injection(fault, seconds=0.05)] * 3)
    async with ModbusTcpServer(bank(), faults=plan) as server:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        for transaction in (1, 2):
            writer.write(_read_of(transaction, 7))
            frame = await asyncio.wait_for(reader.readexactly(11), 1)
            assert int.from_bytes(frame[:2]) == transaction
        writer.write(_read_of(3, 7))
        await writer.drain()
        writer.close()
        await writer.wait_closed()


async def test_a_device_that_is_full_may_accept_and_never_answer() -> None:
    """Counted as turned away; it answers again once there is room for a new connection."""
    async with ModbusTcpServer(bank(), max_clients=1, when_full="silence") as server:
        first = await asyncio.open_connection("127.0.0.1", server.port)
        first[1].write(_read_of(1, 7))
        await asyncio.wait_for(first[0].readexactly(11), 1)
        second = await asyncio.open_connection("127.0.0.1", server.port)
        second[1].write(_read_of(2, 7))
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(second[0].read(1), 0.1)
        assert (server.counters.turned_away, server.counters.requests) == (1, 1)
        for _, writer in (first, second):
            writer.close()
            await writer.wait_closed()
        while server.clients:  # noqa: ASYNC110 (the server hears of it in its own time)
            await asyncio.sleep(0.005)
        third = await asyncio.open_connection("127.0.0.1", server.port)
        third[1].write(_read_of(3, 7))
        assert len(await asyncio.wait_for(third[0].readexactly(11), 1)) == 11
        third[1].close()


@pytest.mark.parametrize("broadcast", [None, True])
async def test_unit_0_in_tcp_is_the_device_itself_unless_said_otherwise(broadcast: bool | None) -> None:
    """V1.0b section 4.4.1.2: most servers answer it; as a broadcast it acts and nobody answers."""
    device = bank()
    async with ModbusTcpServer(device, broadcast=broadcast) as server:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        try:
            writer.write(struct.pack(">HHHBBHH", 1, 0, 6, 0, 6, 9, 77) + _read_of(2, 9))
            frame = await asyncio.wait_for(reader.readexactly(12 if broadcast is None else 11), 1)
            assert int.from_bytes(frame[:2]) == (1 if broadcast is None else 2)
            assert device.get(Area.HOLDING, 9) == 77
        finally:
            writer.close()
