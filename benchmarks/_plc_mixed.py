"""A thousand mixed tags in one `read_tags`: how many a second beside pymodbus, and what of the time is bifrost's own.

In: a length. Out: rows of the table. Both clients send exactly the same requests to the same server; bifrost's own
requests are recorded and given to the others. Its own share is measured in two ways that do not trust each other: the
time of a read less that of the same requests through a client that decodes nothing, and a read over a link in memory
whose device answers at once.
"""

from __future__ import annotations

import asyncio
import statistics
import struct
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, cast

from pymodbus.client import AsyncModbusTcpClient

from benchmarks._plc_bare import BareClient
from benchmarks._plc_memory_link import MemoryLoop
from benchmarks._plc_mixed_tags import COUNT, Field, mixed_fields, seed
from benchmarks._plc_pymodbus import PymodbusReader, Span
from benchmarks._plc_server import modbus_peer
from benchmarks._plc_table import Bar, Length, Row, at, over_rounds, ratio_row
from bifrost.plc import PLCConnection, Tag

__all__ = ["mixed_rows"]

_HEADER = 7
_PER_ROUND = 15
_IN_FLIGHT = 16
"""Requests on their way at the same time, where the user allows it: libmodbus answers them one after the other."""

Times = dict[str, list[float]]


@dataclass(frozen=True, slots=True)
class _Device:
    """What is known of the server: the requests of one read, and the answers it gave."""

    port: int
    fields: Sequence[Field]
    requests: Sequence[bytes]
    answers: dict[bytes, bytes]

    @property
    def tags(self) -> tuple[Tag, ...]:
        return tuple(field.tag for field in self.fields)

    @property
    def spans(self) -> list[Span]:
        return [cast(Span, struct.unpack(">BHH", request[_HEADER:])) for request in self.requests]


def mixed_rows(length: Length) -> list[Row]:
    """Tags a second beside pymodbus, and the own share."""
    rounds = length.rounds(40, 6)
    with modbus_peer() as peer:
        device = asyncio.run(_acquaint(peer.port))
        times = asyncio.run(_compete(device, rounds))
    with asyncio.Runner(loop_factory=partial(MemoryLoop, device.answers)) as runner:
        own = runner.run(_read_from_memory(device, rounds))
    return [*_speed_rows(times, peer.made_of), *_share_rows(times, own)]


def _speed_rows(times: Times, server: str) -> list[Row]:
    rates = {name: [COUNT / one for one in figures] for name, figures in times.items()}
    theirs = rates["pymodbus"]
    figures = ", ".join(f"{name} {statistics.median(values) / 1e3:,.0f} k" for name, values in rates.items())
    what = f"`read_tags` of {COUNT:,} mixed tags: tags/s / pymodbus"
    wire = [one / bare for one, bare in zip(times["pymodbus"], times["bare"], strict=True)]
    return [
        ratio_row(
            f"{what}, max_in_flight={_IN_FLIGHT}",
            rates["bifrost, pipelined"],
            theirs,
            Bar(8, ">=", "x"),
            f"tags/s: {figures}; {server}",
        ),
        ratio_row(
            f"{what}, one request in flight",
            rates["bifrost"],
            theirs,
            None,
            f"no client can be above {statistics.median(wire):.1f} x: that is the bare wire",
        ),
        ratio_row(
            f"{what}, max_in_flight={_IN_FLIGHT}, every value taken as a dict", rates["bifrost, taken"], theirs, None
        ),
    ]


def _share_rows(times: Times, own: Sequence[float]) -> list[Row]:
    bar = Bar(400, "<", "us")
    what = f"own share of `read_tags` of {COUNT:,} mixed tags"
    rows = []
    for name, mine, wire in (
        ("one request in flight", "bifrost", "bare"),
        (f"max_in_flight={_IN_FLIGHT}", "bifrost, pipelined", "bare, pipelined"),
    ):
        less = [(a - b) * 1e6 for a, b in zip(times[mine], times[wire], strict=True)]
        note = f"{over_rounds(less, 'us')}; read {_us(times[mine])}, wire {_us(times[wire])}"
        rows.append(Row(f"{what}: read less wire, {name}", statistics.median(less), "us", bar, note))
    inside = [one * 1e6 for one in own]
    rows.append(Row(f"{what}: a device in memory", statistics.median(inside), "us", bar, over_rounds(inside, "us")))
    return rows


async def _acquaint(port: int) -> _Device:
    """Fill the server, and see what bifrost asks and what it is answered."""
    fields = mixed_fields()
    await seed(port, fields)
    requests: list[bytes] = []
    relay = await asyncio.start_server(partial(_note_requests, port, requests), "127.0.0.1", 0)
    async with relay, _connection(relay.sockets[0].getsockname()[1]) as plc:
        readings = await plc.read_tags([field.tag for field in fields])
    for field in fields:
        expected = field.value if field.scale is None else field.value * field.scale  # type: ignore[operator]  # only numbers are scaled
        assert readings[field.tag.name].value == expected, (field, readings[field.tag.name])
    bare = await BareClient.connect(port)
    answers = [await bare.exchange(request) for request in requests]
    bare.close()
    pairs = zip(requests, answers, strict=True)
    return _Device(port, fields, requests, {request[_HEADER:]: answer[2:] for request, answer in pairs})


async def _note_requests(
    port: int, requests: list[bytes], reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> None:
    device = await BareClient.connect(port)
    try:
        while header := await reader.read(_HEADER - 1):
            requests.append(header + await reader.readexactly(int.from_bytes(header[4:6], "big")))
            writer.write(await device.exchange(requests[-1]))
    finally:
        device.close()
        writer.close()


async def _compete(device: _Device, rounds: int) -> Times:
    """Let all of them read, round by round."""
    tags, requests = device.tags, device.requests
    pymodbus = AsyncModbusTcpClient("127.0.0.1", port=device.port)
    assert await pymodbus.connect()
    bare = await BareClient.connect(device.port)
    reader = PymodbusReader(pymodbus, device.fields, device.spans)
    async with (
        _connection(device.port) as plc,
        _connection(device.port, max_in_flight=_IN_FLIGHT, share_link=False) as pipelined,
    ):
        assert await reader.read() == (await plc.read_tags(tags)).values_dict()
        assert await reader.read() == (await pipelined.read_tags(tags)).values_dict()
        rivals: dict[str, Callable[[], Awaitable[object]]] = {
            "bare": lambda: bare.read_all(requests),
            "bare, pipelined": lambda: bare.read_together(requests),
            "bifrost": lambda: plc.read_tags(tags),
            "bifrost, pipelined": lambda: pipelined.read_tags(tags),
            "bifrost, taken": partial(_take_all, pipelined, tags),
            "pymodbus, no conversion": reader.fetch,
            "pymodbus": reader.read,
        }
        times: Times = {name: [] for name in rivals}
        for index in range(rounds + 1):
            for name, read in rivals.items():
                one = await _median_of(read)
                if index:  # the first round warms up
                    times[name].append(one)
        assert (await pipelined.read_tags(tags)).ok
    pymodbus.close()
    bare.close()
    return times


async def _take_all(plc: PLCConnection, tags: Sequence[Tag]) -> object:
    return (await plc.read_tags(tags)).values_dict()


async def _read_from_memory(device: _Device, rounds: int) -> list[float]:
    tags = device.tags
    async with _connection(device.port) as plc:
        assert (await plc.read_tags(tags)).ok
        return [await _median_of(lambda: plc.read_tags(tags), times=50) for _ in range(rounds + 1)][1:]


async def _median_of(read: Callable[[], Awaitable[object]], times: int = _PER_ROUND) -> float:
    clock = time.perf_counter
    taken: list[float] = []
    for _ in range(times):
        begin = clock()
        await read()
        taken.append(clock() - begin)
    return at(taken, 0.5)


def _connection(port: int, **options: Any) -> PLCConnection:
    return PLCConnection("modbus-tcp", host="127.0.0.1", port=port, **options)


def _us(times: Sequence[float]) -> str:
    return f"{statistics.median(times) * 1e6:,.0f} us"
