"""The simulated controller on a real port: sessions, connections and routes, byte for byte."""

from __future__ import annotations

import asyncio
import dataclasses
import struct
import sys
from collections.abc import AsyncIterator

import pytest

from bifrost.errors import ConfigError
from bifrost.plc.sim.cip import LOGIX, LogixTarget, OpeningRules, TagStore
from bifrost.plc.sim.cip.encapsulation import Frame, Item, decode_items, encode_items
from tests.integration.cip_sim.raw_client import opening, raw_client, symbol
from tests.integration.waiting import until

READ_A = b"\x4c" + bytes([len(symbol("A")) // 2]) + symbol("A") + b"\x01\0"
WRITE_A = b"\x4d" + READ_A[1:-2] + bytes.fromhex("c40001002a000000")
A_IS_7 = bytes.fromhex("cc000000c40007000000")


def store() -> TagStore:
    made = TagStore()
    made.add("A", "DINT", 7)
    made.add("Arr", "DINT[300]", list(range(300)))
    return made


@pytest.fixture
async def target() -> AsyncIterator[LogixTarget]:
    async with LogixTarget(store(), udp=True) as made:
        yield made


async def test_a_session_opens_once_and_ends_the_tcp_connection(target: LogixTarget) -> None:
    """RegisterSession gives a handle, a second one is refused, UnRegisterSession has no answer but an end."""
    async with raw_client(target.port) as client:
        answer = await client.register()
        assert (answer.status, answer.context, answer.data) == (0, b"register", b"\x01\0\0\0")
        assert answer.session
        assert (await client.ask(Frame(0x65, data=b"\x01\0\0\0"))).status == 0x01
        client.writer.write(Frame(0x66, client.session ^ 1).encode())
        assert await client.silent()
        client.writer.write(Frame(0x66, client.session).encode())
        assert await client.ended()
    await until(lambda: target.clients == 0)


async def test_two_sessions_have_two_handles(target: LogixTarget) -> None:
    """Neither may use the other's."""
    async with raw_client(target.port) as one, raw_client(target.port) as other:
        await one.register()
        await other.register()
        assert one.session != other.session
        one.session = other.session
        assert (await one.ask(one.unconnected_frame(READ_A))).status == 0x64


@pytest.mark.parametrize(
    ("frame", "status"),
    [
        (Frame(0x65, data=b"\x01\0"), 0x65),
        (Frame(0x65, data=b"\x01\0\0\0\0"), 0x65),
        (Frame(0x65, data=b"\x02\0\0\0"), 0x69),
        (Frame(0x65, data=b"\x01\0\x01\0"), 0x69),
        (Frame(0x77), 0x01),
        (Frame(0x6F, data=encode_items([Item(0), Item(0xB2, READ_A)])), 0x64),
        (Frame(0x6F, 99, data=encode_items([Item(0), Item(0xB2, READ_A)])), 0x64),
        (Frame(0x70, 99), 0x64),
    ],
)
async def test_what_the_encapsulation_refuses(target: LogixTarget, frame: Frame, status: int) -> None:
    """Wrong lengths, versions, commands and sessions have their statuses; the stream goes on."""
    async with raw_client(target.port) as client:
        answer = await client.ask(frame)
        assert (answer.command, answer.status) == (frame.command, status)
        assert (await client.register()).status == 0


@pytest.mark.parametrize(
    "data",
    [
        b"",
        bytes(8),
        bytes(7),
        b"\x01" + bytes(7),
        encode_items([Item(0), Item(0xB2, READ_A)])[:-1],
        encode_items([Item(0), Item(0xB2, READ_A)]) + b"\0",
        encode_items([Item(0xB2, READ_A)]),
        encode_items([Item(0xA1, bytes(4)), Item(0xB1, READ_A)]),
    ],
)
async def test_items_that_make_no_sense_have_their_status(target: LogixTarget, data: bytes) -> None:
    """0x03, and the stream goes on."""
    async with raw_client(target.port) as client:
        await client.register()
        assert (await client.ask(Frame(0x6F, client.session, data=data))).status == 0x03
        assert await client.unconnected(READ_A) == A_IS_7


async def test_what_is_to_be_discarded_is_discarded(target: LogixTarget) -> None:
    """NOP, a status or options in a request: no answer, and the next request has its own."""
    async with raw_client(target.port) as client:
        await client.register()
        for frame in (Frame(0, data=b"abc"), Frame(0x63, status=1), Frame(0x63, options=1)):
            client.writer.write(frame.encode())
        assert await client.unconnected(READ_A) == A_IS_7


async def test_a_stream_that_is_lost_ends(target: LogixTarget) -> None:
    """A length that no frame can have: the target counts it and resets the connection."""
    async with raw_client(target.port) as client:
        client.writer.write(b"\x6f\x00\xff\xff" + bytes(20))
        with pytest.raises(ConnectionResetError):
            await client.ended()
    assert target.counters.broken == 1


async def test_requests_come_whole_in_pieces_and_in_crowds(target: LogixTarget) -> None:
    """A request byte by byte; twenty in one segment: each has its answer, in order."""
    async with raw_client(target.port) as client:
        await client.register()
        for byte in client.unconnected_frame(READ_A).encode():
            client.writer.write(bytes([byte]))
            await asyncio.sleep(0)
        assert decode_items((await client.frame()).data)[1].data == A_IS_7
        client.writer.write(b"".join(Frame(0x63, context=at.to_bytes(8, "big")).encode() for at in range(20)))
        assert [(await client.frame()).context for _ in range(20)] == [at.to_bytes(8, "big") for at in range(20)]


async def test_a_connection_carries_requests_and_closes(target: LogixTarget) -> None:
    """Forward Open, connected reads, Forward Close; then nobody answers on it."""
    async with raw_client(target.port, size=500) as client:
        assert await client.connected(READ_A) == A_IS_7
        assert (await client.open())[2:6].hex() == "01010001"
        assert (await client.close_connection())[:4].hex() == "ce000000"
        assert (await client.close_connection())[2:6].hex() == "01010701"
        client.writer.write(client.connected_frame(READ_A).encode())
        assert await client.silent()
        assert await client.unconnected(READ_A) == A_IS_7
    assert len(target.manager) == 0


async def test_a_repeated_sequence_count_is_answered_and_not_acted_on(target: LogixTarget) -> None:
    """The write that comes twice takes effect once."""
    async with raw_client(target.port, size=500) as client:
        assert (await client.connected(WRITE_A)).hex() == "cd000000"
        assert (await client.connected(WRITE_A, again=True)).hex() == "cd000000"
        assert (target.tags.write_count, target.services[0x4D], target.counters.repeated) == (1, 1, 1)
        assert (await client.connected(WRITE_A)).hex() == "cd000000"
        assert (target.tags.write_count, target.services[0x4D], target.counters.repeated) == (2, 2, 1)


async def test_the_size_of_a_connection_bounds_its_answers(target: LogixTarget) -> None:
    """100 bytes of connection leave 92 for elements; 4002 leave room for all."""
    async with raw_client(target.port, size=100) as client:
        answer = await client.read("Arr", 300)
        assert (answer[2], len(answer) - 6) == (0x06, 92)
        assert (await client.open(4002, large=True, serial=2))[2] == 0
        answer = await client.read("Arr", 300)
        assert (answer[2], len(answer) - 6) == (0x00, 1200)


@pytest.mark.parametrize(
    ("rules", "wire", "expected"),
    [
        (OpeningRules(large=False), opening(4000, large=True), "db000800"),
        (OpeningRules(large=False), opening(500), "d4000000"),
        (OpeningRules(forward_open=False), opening(500), "d4000800"),
        (OpeningRules(max_size=500), opening(4000, large=True), "db0001010901"),
        (OpeningRules(max_connections=0), opening(500), "d40001011301"),
        (OpeningRules(), opening(500, route=b"\x01\x03\x20\x02\x24\x01"), "d40001010402"),
        (OpeningRules(slot=3), opening(500, route=b"\x01\x03\x20\x02\x24\x01"), "d4000000"),
        (OpeningRules(slot=None), opening(500, route=b"\x01\x09\x20\x02\x24\x01"), "d4000000"),
        (OpeningRules(), opening(500, route=b"\x02\x00\x20\x02\x24\x01"), "d40001011103"),
        (OpeningRules(), opening(500, route=b"\x01\x00\x20\x04\x24\x01"), "d40001011503"),
        (OpeningRules(), opening(500, transport=0x01), "d40001010301"),
        (OpeningRules(), opening(500)[:20], "d4001300"),
        (OpeningRules(), opening(500)[:-1], "d40001011503"),
    ],
)
async def test_openings_are_granted_by_the_rules(rules: OpeningRules, wire: bytes, expected: str) -> None:
    """Each refusal with its extended status."""
    async with LogixTarget(store(), rules=rules) as target, raw_client(target.port) as client:
        await client.register()
        answer = await client.unconnected(wire)
        assert answer[: len(expected) // 2].hex() == expected
        assert len(target.manager) == (answer[2] == 0)


async def test_connections_end_with_their_link_and_when_forgotten(target: LogixTarget) -> None:
    """Another client may then open the same one; a foreign connection id is nobody's."""
    async with raw_client(target.port, size=500) as client, raw_client(target.port) as other:
        await other.register()
        assert (await other.open())[2:6].hex() == "01010001"
        other.connection = client.connection
        other.writer.write(other.connected_frame(READ_A).encode())
        assert await other.silent()
        target.forget_connections()
        client.writer.write(client.connected_frame(READ_A).encode())
        assert await client.silent()
        assert (await client.open())[2] == 0
    await until(lambda: len(target.manager) == 0)


async def test_an_idle_connection_is_closed_without_a_word() -> None:
    """Used in time it lives, unused it is gone."""
    rules = OpeningRules(idle_timeout=0.1)
    async with LogixTarget(store(), rules=rules) as target, raw_client(target.port, size=500) as client:
        for _ in range(3):
            await asyncio.sleep(0.05)
            assert await client.connected(READ_A) == A_IS_7
        await asyncio.sleep(0.15)
        client.writer.write(client.connected_frame(READ_A).encode())
        assert await client.silent()


@pytest.mark.parametrize(
    ("route", "answer"), [(b"\x01\x00", A_IS_7.hex()), (b"", A_IS_7.hex()), (b"\x01\x05", "d20001010402")]
)
async def test_a_request_is_passed_on_to_the_slot(target: LogixTarget, route: bytes, answer: str) -> None:
    """Unconnected Send: to our slot, to none, to a slot where nothing is."""
    async with raw_client(target.port) as client:
        await client.register()
        wrapped = b"\x0a\x05" + struct.pack("<H", len(READ_A)) + READ_A + bytes([len(route) // 2, 0]) + route
        assert (await client.unconnected(b"\x52\x02\x20\x06\x24\x01" + wrapped)).hex() == answer
        assert (await client.unconnected(b"\x52\x02\x20\x06\x24\x01" + wrapped[:8])).hex() == "d2001300"


async def test_discovery_answers_by_tcp_and_udp(target: LogixTarget) -> None:
    """ListIdentity, ListServices, ListInterfaces without a session; by UDP nonsense is ignored."""
    loop, answers = asyncio.get_running_loop(), asyncio.Queue[bytes]()

    class Listener(asyncio.DatagramProtocol):
        def datagram_received(self, data: bytes, addr: object) -> None:
            answers.put_nowait(data)

    transport, _ = await loop.create_datagram_endpoint(Listener, remote_addr=("127.0.0.1", target.port))
    try:
        for nonsense in (b"", b"x" * 30, Frame(0x65, data=b"\x01\0\0\0").encode()):
            transport.sendto(nonsense)
        async with raw_client(target.port) as client:
            for command in (0x63, 0x04, 0x64):
                by_tcp = await client.ask(Frame(command, context=b"discover"))
                transport.sendto(Frame(command, context=b"discover").encode())
                async with asyncio.timeout(2):
                    assert Frame.decode(await answers.get()) == by_tcp
                assert by_tcp.context == b"discover"
                if command == 0x63:
                    assert by_tcp.data[:4] == b"\x01\0\x0c\0"
                    assert by_tcp.data[8:16] == b"\0\x02" + target.port.to_bytes(2) + b"\x7f\0\0\x01"
                    assert b"1756-L83E/B" in by_tcp.data
    finally:
        transport.close()
    assert answers.empty()


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has all of 127.0.0.0/8, and broadcasts there")
async def test_a_target_on_all_addresses_names_the_one_that_was_asked() -> None:
    """Two loopback addresses, by TCP and by a UDP broadcast on loopback."""
    loop, answers = asyncio.get_running_loop(), asyncio.Queue[bytes]()

    class Listener(asyncio.DatagramProtocol):
        def datagram_received(self, data: bytes, addr: object) -> None:
            answers.put_nowait(data)

    request = Frame(0x63).encode()
    async with LogixTarget(store(), host="0.0.0.0", udp=True) as target:
        for host in ("127.0.0.1", "127.0.0.2"):
            reader, writer = await asyncio.open_connection(host, target.port)
            writer.write(request)
            async with asyncio.timeout(2):
                by_tcp = await reader.readexactly(60)
            writer.close()
            await writer.wait_closed()
            assert by_tcp[36:40] == bytes(map(int, host.split(".")))
        transport, _ = await loop.create_datagram_endpoint(Listener, local_addr=("127.0.0.1", 0), allow_broadcast=True)
        try:
            transport.sendto(request, ("127.255.255.255", target.port))
            async with asyncio.timeout(2):
                assert (await answers.get())[36:40] == b"\x7f\0\0\x01"
        finally:
            transport.close()


async def test_a_target_restarts_on_its_port() -> None:
    """Stopped, it refuses connections and frees its ports; started again it serves the same tags."""
    target = LogixTarget(store(), udp=True)
    await target.start()
    await target.start()
    port = target.port
    async with raw_client(port, size=500) as client:
        await target.stop(reset=True)
        await target.stop()
        with pytest.raises(ConnectionResetError):
            await client.ended()
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection("127.0.0.1", port)
    async with target, raw_client(target.port, size=500) as client:
        assert target.port == port
        assert await client.connected(READ_A) == A_IS_7
        target.drop_clients(reset=False)
        assert await client.ended()
    assert len(target.manager) == 0


@pytest.mark.parametrize("turn_away", ["close", "silence"])
async def test_more_clients_than_allowed_are_turned_away(turn_away: str) -> None:
    """Closed at once, or accepted and never answered; those that were there go on."""
    async with (
        LogixTarget(store(), max_clients=1, turn_away=turn_away) as target,
        raw_client(target.port, size=500) as first,
        raw_client(target.port) as second,
    ):
        if turn_away == "close":
            assert await second.ended()
        else:
            second.writer.write(Frame(0x63).encode())
            assert await second.silent()
        assert await first.connected(READ_A) == A_IS_7
        assert target.counters.turned_away == 1


async def test_a_client_that_never_reads_is_not_served_without_end(target: LogixTarget) -> None:
    """The target takes no more requests once its answers pile up."""
    async with raw_client(target.port) as client:
        client.writer.transport.pause_reading()  # type: ignore[attr-defined]  # a two-way transport
        frame = Frame(0x63).encode() * 1000
        for _ in range(200):
            client.writer.write(frame)
            await asyncio.sleep(0)
        served = -1
        while served != target.counters.requests:
            served = target.counters.requests
            await asyncio.sleep(0.1)
        assert 0 < served < 200_000


def test_options_that_make_no_sense_are_refused() -> None:
    """The text says what was expected."""
    with pytest.raises(ConfigError, match="IPv4"):
        LogixTarget(store(), host="localhost")
    with pytest.raises(ConfigError, match="turn_away"):
        LogixTarget(store(), turn_away="laugh")
    for wrong in ({"product_name": ""}, {"serial": -1}, {"vendor": 65536}, {"revision": (300, 1)}):
        with pytest.raises(ConfigError, match="expected"):
            dataclasses.replace(LOGIX, **wrong)


async def test_nothing_is_left_behind() -> None:
    """After a stop with open clients no task and no connection is left."""
    before = asyncio.all_tasks()
    async with LogixTarget(store(), udp=True) as target:
        clients = [await asyncio.open_connection("127.0.0.1", target.port) for _ in range(5)]
        await until(lambda: target.clients == 5)
    assert target.clients == 0
    # Both ports are free at once.
    async with target:
        assert target.clients == 0
    for _, writer in clients:
        writer.close()
        await writer.wait_closed()
    assert asyncio.all_tasks() == before
