"""Round trip of one Modbus TCP register, beside its peers, against a server in C that is none of them (libmodbus).

Run: ``python -m benchmarks.modbus``. Rounds of all peers are interleaved, so that a busy machine hurts all alike; trust
the ratios. `floor` is a blocking socket in C-speed Python: no event loop can be faster. `protocol` is an
`asyncio.Protocol` that sends a prebuilt request and compares the answer's bytes: what any asyncio client pays.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import socket
import statistics
import sys
import time
from collections.abc import Awaitable, Callable

from pymodbus.client import AsyncModbusTcpClient

from benchmarks._report import heading
from bifrost.plc import PLCConnection, ProtocolType, Tag
from tests.integration.libmodbus import missing_for_libmodbus, serve_libmodbus

REQUEST = bytes.fromhex("000100000006010300070001")
ANSWER = bytes.fromhex("00010000000501030200 07")

Times = list[float]


class BareProtocol(asyncio.Protocol):
    """Does nothing that a client could leave out: one future, one write, one comparison."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self.waiter: asyncio.Future[bool] = loop.create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        """Compare, and wake the reader."""
        self.waiter.set_result(data == ANSWER)

    async def read(self) -> bool:
        """Send the request and wait."""
        self.waiter = self.loop.create_future()
        self.transport.write(REQUEST)
        return await self.waiter


async def timed(read: Callable[[], Awaitable[object]], expected: object, times: Times, rounds: int) -> None:
    """Time one round of an asyncio client."""
    clock = time.perf_counter
    for _ in range(rounds):
        begin = clock()
        got = await read()
        times.append(clock() - begin)
        assert got == expected, got


def timed_floor(sock: socket.socket, times: Times, rounds: int) -> None:
    """Time one round of a blocking socket."""
    clock = time.perf_counter
    for _ in range(rounds):
        begin = clock()
        sock.sendall(REQUEST)
        got = sock.recv(260)
        times.append(clock() - begin)
        assert got == ANSWER


async def measure(port: int, *, rounds: int, per_round: int) -> dict[str, Times]:
    """Time all peers, round by round."""
    loop = asyncio.get_running_loop()
    times: dict[str, Times] = {"floor": [], "protocol": [], "bifrost": [], "pymodbus": []}
    tag = Tag("speed", 40008)
    transport, bare = await loop.create_connection(lambda: BareProtocol(loop), "127.0.0.1", port)
    client = AsyncModbusTcpClient("127.0.0.1", port=port)
    assert await client.connect()

    async def pymodbus_read() -> object:
        return (await client.read_holding_registers(7, count=1, device_id=1)).registers[0]

    with socket.create_connection(("127.0.0.1", port)) as sock:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        async with PLCConnection(ProtocolType.MODBUS_TCP, host="127.0.0.1", port=port) as plc:
            for index in range(rounds + 1):
                if index == 1:
                    for collected in times.values():
                        collected.clear()  # the first round warms up
                timed_floor(sock, times["floor"], per_round)
                await timed(bare.read, True, times["protocol"], per_round)
                await timed(lambda: plc.read(tag), 7, times["bifrost"], per_round)
                await timed(pymodbus_read, 7, times["pymodbus"], per_round)
    client.close()
    transport.close()
    return times


async def measure_blocks(port: int, *, rounds: int) -> Times:
    """Read 125 registers as 125 tags into one batch: one request, decoded in Rust."""
    tags = tuple(Tag(f"r{index}", 40001 + index) for index in range(125))
    times: Times = []
    async with PLCConnection(ProtocolType.MODBUS_TCP, host="127.0.0.1", port=port) as plc:
        for _ in range(rounds):
            begin = time.perf_counter()
            batch = await plc.read_batch(tags)
            times.append(time.perf_counter() - begin)
            assert len(batch) == 125
    return times


def percentile(times: Times, share: float) -> float:
    """Tell a percentile in microseconds."""
    return sorted(times)[int(len(times) * share)] * 1e6


def main() -> int:
    """Measure and print; 0 if the aims are reached."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--per-round", type=int, default=500)
    options = parser.parse_args()
    if (missing := missing_for_libmodbus()) is not None:
        print(f"libmodbus is missing; run: {missing}", file=sys.stderr)
        return 2
    gc.freeze()
    with serve_libmodbus() as server:
        times = asyncio.run(measure(server.port, rounds=options.rounds, per_round=options.per_round))
        blocks = asyncio.run(measure_blocks(server.port, rounds=2000))
    print(heading("round trip of one holding register, libmodbus server in C"))
    print(f"{options.rounds} interleaved rounds of {options.per_round}")
    base = percentile(times["protocol"], 0.5)
    print(f"{'':10} {'p50 us':>8} {'p99 us':>8} {'p50 / protocol':>15}")
    for name, collected in times.items():
        p50, p99 = percentile(collected, 0.5), percentile(collected, 0.99)
        print(f"{name:10} {p50:8.1f} {p99:8.1f} {p50 / base:15.2f}")
    print(
        f"125 tags into one batch: p50 {percentile(blocks, 0.5):.1f} us, p99 {percentile(blocks, 0.99):.1f} us, ",
        end="",
    )
    print(f"mean {statistics.fmean(blocks) / 125 * 1e6:.2f} us per tag")
    ratio = percentile(times["bifrost"], 0.5) / base
    below = percentile(times["bifrost"], 0.5) < percentile(times["pymodbus"], 0.5)
    print(f"p50 <= 1.5 x protocol: {'yes' if ratio <= 1.5 else 'no'}; below pymodbus: {'yes' if below else 'no'}")
    return 0 if ratio <= 1.5 and below else 1


if __name__ == "__main__":
    sys.exit(main())
