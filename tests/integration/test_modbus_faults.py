"""A device that misbehaves on the wire: its tags turn BAD with the reason, and no write is sent twice."""

from __future__ import annotations

import asyncio
import random
import socket
import struct
from typing import Any

import psutil
import pytest

from bifrost._native import modbus_frame
from bifrost.core.quality import StatusCode
from bifrost.errors import LinkTimeout, ModbusFault, NotConnected, ProtocolError, WriteError
from bifrost.plc import DataType, LinkState, PLCConnection, StateChange, Tag
from tests.integration.modbus_setup import TAG, good
from tests.integration.scripted_device import scripted_device

pytestmark = pytest.mark.usefixtures("leaves_nothing_behind")


def connection(port: int, **options: Any) -> PLCConnection:
    return PLCConnection(host="127.0.0.1", port=port, **{"timeout": 0.15, "backoff_min": 0.05, **options})


async def test_an_answer_split_at_every_byte_is_read() -> None:
    """TCP cuts where it likes."""

    async def dribble(request: bytes, writer: asyncio.StreamWriter) -> None:
        for byte in good(request):
            writer.write(bytes([byte]))
            await asyncio.sleep(0.001)

    async with scripted_device(dribble) as device, connection(device.port, timeout=1.0) as plc:
        assert await plc.read(TAG) == 42


async def test_a_late_answer_is_dropped_and_never_taken_for_the_next() -> None:
    """The first answer comes after its deadline, with the second question already asked."""

    async def late(request: bytes, writer: asyncio.StreamWriter) -> None:
        first = len(device.requests) == 1
        if first:
            held.append(good(request, 1))
        else:
            writer.write(held.pop() + good(request, 2))

    held: list[bytes] = []
    async with scripted_device(late) as device, connection(device.port) as plc:
        with pytest.raises(LinkTimeout, match="unit 1 did not answer"):
            await plc.read(TAG)
        assert await plc.read(TAG) == 2
        assert plc.stats.protocol["late_answers"] == 1
        assert plc.stats.connects == 1


async def test_answers_with_another_transaction_or_unit_or_twice_are_dropped() -> None:
    """Only the answer that was asked for counts."""

    async def confused(request: bytes, writer: asyncio.StreamWriter) -> None:
        right = good(request)
        wrong_transaction = struct.pack(">H", int.from_bytes(right[:2], "big") ^ 0x5555) + right[2:]
        wrong_unit = right[:6] + b"\x09" + right[7:]
        writer.write(wrong_transaction + wrong_unit + right + right)

    async with scripted_device(confused) as device, connection(device.port) as plc:
        assert await plc.read(TAG) == 42
        assert await plc.read(TAG) == 42
        assert plc.stats.protocol["misaddressed_answers"] == 2
        assert plc.stats.protocol["late_answers"] >= 3


@pytest.mark.parametrize(
    "pdu", ["0402002a", "030400010002", "03020001ff", "0300", "03"], ids=["function", "count", "long", "none", "short"]
)
async def test_an_answer_that_does_not_fit_is_bad_and_the_link_goes_on(pdu: str) -> None:
    """What others take for good data."""

    async def wrong_once(request: bytes, writer: asyncio.StreamWriter) -> None:
        first = len(device.requests) == 1
        writer.write(
            modbus_frame(int.from_bytes(request[:2], "big"), 1, bytes.fromhex(pdu)) if first else good(request)
        )

    async with scripted_device(wrong_once) as device, connection(device.port) as plc:
        readings = await plc.read_tags([TAG])
        assert readings["t"].status == StatusCode.BAD_COMMUNICATION_ERROR
        assert readings["t"].value is None
        assert "expected" in (readings["t"].error or "")
        assert await plc.read(TAG) == 42
        assert plc.stats.connects == 1


async def test_garbage_closes_the_link_at_once_and_a_new_one_works() -> None:
    """The stream cannot be cut any more; waiting would only lose time."""

    async def garbage_once(request: bytes, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n" if len(device.requests) == 1 else good(request))

    loop = asyncio.get_running_loop()
    async with scripted_device(garbage_once) as device, connection(device.port, timeout=5.0) as plc:
        begin = loop.time()
        readings = await plc.read_tags([TAG])
        assert loop.time() - begin < 1.0
        assert readings["t"].status == StatusCode.BAD_NOT_CONNECTED
        assert "protocol id" in (readings["t"].error or "")
        await plc.wait_connected(timeout=2.0)
        assert await plc.read(TAG) == 42
        assert plc.stats.losses == 1


@pytest.mark.parametrize("reset", [False, True], ids=["fin", "rst"])
async def test_a_link_that_ends_mid_frame_fails_the_read_at_once(reset: bool) -> None:
    """Not after the timeout."""

    async def die(request: bytes, writer: asyncio.StreamWriter) -> None:
        writer.write(good(request)[:8])
        if reset:
            sock = writer.get_extra_info("socket")
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        writer.close()

    loop = asyncio.get_running_loop()
    async with scripted_device(die) as device, connection(device.port, timeout=5.0) as plc:
        begin = loop.time()
        with pytest.raises(NotConnected):
            await plc.read(TAG)
        assert loop.time() - begin < 1.0


async def test_a_write_without_an_answer_is_sent_once_and_its_outcome_is_unknown() -> None:
    """The device may have acted: only a person or a program that knows it may decide to try again."""

    async def silent(request: bytes, writer: asyncio.StreamWriter) -> None:
        if request[7] == 3:
            writer.write(good(request))

    async with scripted_device(silent) as device, connection(device.port) as plc:
        with pytest.raises(WriteError, match="may have acted") as caught:
            await plc.write(TAG, 5)
        assert caught.value.unknown_outcome
        assert await plc.read(TAG) == 42
        await asyncio.sleep(0.3)
        assert [request[7] for request in device.requests].count(6) == 1


async def test_a_write_whose_link_breaks_is_not_sent_again_on_the_next_link() -> None:
    """Also when the connection comes back at once."""

    async def hang_up(request: bytes, writer: asyncio.StreamWriter) -> None:
        if request[7] == 6:
            writer.transport.abort()
        else:
            writer.write(good(request))

    async with scripted_device(hang_up) as device, connection(device.port) as plc:
        with pytest.raises(WriteError) as caught:
            await plc.write(TAG, 5)
        assert caught.value.unknown_outcome
        await asyncio.sleep(0.1)
        await plc.wait_connected(timeout=2.0)
        assert await plc.read(TAG) == 42
        assert [request[7] for request in device.requests].count(6) == 1


async def test_a_cancelled_read_leaves_the_link_usable() -> None:
    """Its answer is dropped; the next question gets its own."""

    async def slow_first(request: bytes, writer: asyncio.StreamWriter) -> None:
        if len(device.requests) == 1:
            await asyncio.sleep(0.1)
            writer.write(good(request, 1))
        else:
            writer.write(good(request, 2))

    async with scripted_device(slow_first) as device, connection(device.port, timeout=2.0) as plc:
        reading = asyncio.create_task(plc.read(TAG))
        waiting = asyncio.create_task(plc.read(TAG))
        await asyncio.sleep(0.03)
        reading.cancel()
        with pytest.raises(asyncio.CancelledError):
            await reading
        assert await waiting == 2
        waiting = asyncio.create_task(plc.read(TAG))
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        assert await plc.read(TAG) == 2
        assert plc.stats.connects == 1


async def test_a_device_that_accepts_and_says_nothing_is_given_up_and_tried_again() -> None:
    """Three silent requests: the link is half-open, only a new one can help."""

    async def mute(request: bytes, writer: asyncio.StreamWriter) -> None:
        if device.links > 1:
            writer.write(good(request))

    async with scripted_device(mute) as device, connection(device.port, timeout=0.05) as plc:
        statuses = [(await plc.read_tags([TAG]))["t"].status for _ in range(3)]
        assert statuses == [StatusCode.BAD_TIMEOUT, StatusCode.BAD_TIMEOUT, StatusCode.BAD_NOT_CONNECTED]
        await plc.wait_connected(timeout=2.0)
        assert await plc.read(TAG) == 42


async def test_a_silent_unit_does_not_starve_the_others() -> None:
    """It is asked three times, then only probed; the connection says DEGRADED."""

    async def only_unit_one(request: bytes, writer: asyncio.StreamWriter) -> None:
        if request[6] == 1:
            writer.write(good(request))

    tags = [Tag("alive", "1!HR1"), Tag("dead", "2!HR1"), Tag("dead_too", "2!HR900")]
    async with scripted_device(only_unit_one) as device, connection(device.port, timeout=0.05) as plc:
        for _ in range(8):
            readings = await plc.read_tags(tags)
            assert readings["alive"].value == 42
            assert readings["dead"].status == StatusCode.BAD_TIMEOUT
        assert plc.state is LinkState.DEGRADED
        assert [request[6] for request in device.requests].count(2) == 3
        assert plc.stats.connects == 1


@pytest.mark.parametrize("dead", [1, 2])
async def test_a_silent_unit_with_many_blocks_does_not_cost_the_others_their_link(dead: int) -> None:
    """However many requests it takes, before or after the others': the link lives, and so do the others' values."""

    async def all_but_one(request: bytes, writer: asyncio.StreamWriter) -> None:
        if request[6] != dead:
            writer.write(good(request))

    tags = [Tag("alive", f"{3 - dead}!HR1"), *(Tag(f"dead{at}", f"{dead}!HR{at}") for at in range(1, 1000, 200))]
    async with scripted_device(all_but_one) as device, connection(device.port, timeout=0.05) as plc:
        for _ in range(4):
            readings = await plc.read_tags(tags)
            assert readings["alive"].value == 42
            assert readings["dead1"].status == StatusCode.BAD_TIMEOUT
        assert [request[6] for request in device.requests].count(dead) == 3
        assert plc.stats.connects == 1


async def test_a_busy_device_is_asked_again_a_little_later() -> None:
    """Exception 6 is about now, not about the address."""

    async def busy_once(request: bytes, writer: asyncio.StreamWriter) -> None:
        busy = modbus_frame(int.from_bytes(request[:2], "big"), 1, b"\x83\x06")
        writer.write(busy if len(device.requests) == 1 else good(request))

    async with scripted_device(busy_once) as device, connection(device.port) as plc:
        assert await plc.read(TAG) == 42
        assert plc.stats.protocol["exceptions"] == 1


@pytest.mark.parametrize(
    ("code", "status"),
    [
        (1, StatusCode.BAD_NOT_SUPPORTED),
        (2, StatusCode.BAD_CONFIGURATION_ERROR),
        (3, StatusCode.BAD_CONFIGURATION_ERROR),
        (4, StatusCode.BAD_DEVICE_FAILURE),
        (5, StatusCode.BAD_OUT_OF_SERVICE),
        (6, StatusCode.BAD_OUT_OF_SERVICE),
        (8, StatusCode.BAD_DEVICE_FAILURE),
        (10, StatusCode.BAD_NO_COMMUNICATION),
        (11, StatusCode.BAD_NO_COMMUNICATION),
    ],
)
async def test_each_exception_has_its_status(code: int, status: StatusCode) -> None:
    """V1.1b3 section 7 in OPC UA's words; a single read raises it."""

    async def refuse(request: bytes, writer: asyncio.StreamWriter) -> None:
        writer.write(modbus_frame(int.from_bytes(request[:2], "big"), 1, bytes([request[7] | 0x80, code])))

    async with scripted_device(refuse) as device, connection(device.port) as plc:
        readings = await plc.read_tags([TAG])
        assert (readings["t"].value, readings["t"].status) == (None, status)
        with pytest.raises(ModbusFault) as caught:
            await plc.read(TAG)
        assert caught.value.code == code


async def test_a_device_that_reads_only_alone_what_lies_apart_is_learned() -> None:
    """A gap that it refuses is not read across again, and a size that it refuses is not asked again."""

    async def at_most_four(request: bytes, writer: asyncio.StreamWriter) -> None:
        first, quantity = struct.unpack(">HH", request[8:12])
        crosses = first <= 20 < first + quantity
        refused = quantity > 4 or crosses
        pdu = b"\x83\x02" if refused else b""
        writer.write(modbus_frame(int.from_bytes(request[:2], "big"), 1, pdu) if refused else good(request))

    tags = [Tag(f"r{index}", area="holding-register", offset=index) for index in (*range(8), 18, 19, 21, 22)]
    async with scripted_device(at_most_four) as device, connection(device.port) as plc:
        assert (await plc.read_tags(tags)).ok
        asked = len(device.requests)
        assert (await plc.read_tags(tags)).ok
        assert len(device.requests) - asked == 4


@pytest.mark.parametrize("seed", range(12))
async def test_whatever_a_device_refuses_the_rest_is_read_and_remembered(seed: int) -> None:
    """A tag is GOOD exactly if the device answers it alone; after a few reads nothing is asked for in vain."""
    chance = random.Random(seed)
    holes = set(chance.sample(range(120), chance.randrange(1, 40)))
    at_most = chance.choice([5, 20, 125])
    refusals = 0

    async def patchy(request: bytes, writer: asyncio.StreamWriter) -> None:
        nonlocal refusals
        first, quantity = struct.unpack(">HH", request[8:12])
        if quantity > at_most or holes.intersection(range(first, first + quantity)):
            refusals += 1
            writer.write(modbus_frame(int.from_bytes(request[:2], "big"), 1, b"\x83\x02"))
        else:
            words = b"".join((first + index).to_bytes(2, "big") for index in range(quantity))
            writer.write(modbus_frame(int.from_bytes(request[:2], "big"), 1, bytes([3, len(words)]) + words))

    tags = []
    for index in range(40):
        offset, words = chance.randrange(118), chance.choice([1, 1, 2])
        datatype = DataType.UINT16 if words == 1 else DataType.UINT32
        tags.append(Tag(f"t{index}", None, datatype, area="holding-register", offset=offset))
    async with scripted_device(patchy) as device, connection(device.port, timeout=2.0) as plc:
        for _ in range(8):
            refusals = 0
            readings = await plc.read_tags(tags)
            for tag in tags:
                offset = tag.resolved.offset
                wide = tag.datatype is DataType.UINT32
                if holes.intersection({offset, offset + wide}):
                    assert readings[tag.name].status == StatusCode.BAD_CONFIGURATION_ERROR
                else:
                    expected = offset << 16 | offset + 1 if wide else offset
                    assert readings[tag.name].value == expected, tag
            if refusals == 0:
                break
        assert refusals == 0
        assert plc.stats.connects == 1


async def test_an_absent_device_gives_bad_values_and_is_connected_once_it_is_there() -> None:
    """Reads answer at once in the meantime; polling never raises."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]

    async def answer(request: bytes, writer: asyncio.StreamWriter) -> None:
        writer.write(good(request))

    changes: list[StateChange] = []
    plc = connection(port, interval_ms=20)
    plc.on_state_change(changes.append)
    async with plc:
        assert plc.state in {LinkState.BACKOFF, LinkState.CONNECTING}
        with pytest.raises(NotConnected, match="cannot connect"):
            await plc.read(TAG)
        with pytest.raises(NotConnected):
            await plc.write(TAG, 1)
        batch = await plc.read_batch([TAG])
        assert batch.rows()[0][2:4] == (None, StatusCode.BAD_NOT_CONNECTED)
        async with scripted_device(answer, port=port):
            seen = []
            async for readings in plc.poll([TAG], interval_ms=20):
                seen.append(readings["t"].value)
                if seen[-1] == 42 or len(seen) > 200:
                    break
            assert seen[0] is None
            assert seen[-1] == 42
        await asyncio.sleep(0.02)
        assert (await plc.read_tags([TAG]))["t"].status == StatusCode.BAD_NOT_CONNECTED
    states = [change.new for change in changes]
    assert states[-1] is LinkState.CLOSED
    assert states[:2] == [LinkState.CONNECTING, LinkState.BACKOFF]
    assert LinkState.CONNECTED in states


async def test_closing_is_quick_idempotent_and_fails_what_is_on_its_way() -> None:
    """Also in the middle of a request that will never be answered."""

    async def mute(request: bytes, writer: asyncio.StreamWriter) -> None:
        pass

    loop = asyncio.get_running_loop()
    async with scripted_device(mute) as device:
        plc = connection(device.port, timeout=30.0)
        async with plc:
            reading = asyncio.create_task(plc.read(TAG))
            await asyncio.sleep(0.02)
            begin = loop.time()
            await plc.aclose()
            await plc.close()
            assert loop.time() - begin < 1.5
            with pytest.raises(NotConnected):
                await reading
        with pytest.raises(NotConnected, match="closed"):
            plc.start()
        assert not [task for task in asyncio.all_tasks() if task.get_name() == "bifrost-plc-link"]


async def test_connections_that_come_and_go_leave_nothing_behind() -> None:
    """No socket, no task, whatever they were doing."""

    async def answer(request: bytes, writer: asyncio.StreamWriter) -> None:
        if len(device.requests) % 3:
            writer.write(good(request))

    process: Any = psutil.Process()
    handles = process.num_fds if hasattr(process, "num_fds") else process.num_handles
    async with scripted_device(answer) as device:
        for turn in range(60):
            async with connection(device.port, timeout=30.0) as plc:
                reading = asyncio.create_task(plc.read_tags([TAG]))
                await asyncio.sleep(0.001 * (turn % 3))
            await asyncio.wait_for(reading, 2.0)
            if turn == 9:
                before = handles()
                tasks = len(asyncio.all_tasks())
        await asyncio.sleep(0.05)
        assert handles() <= before + 1
        assert len(asyncio.all_tasks()) <= tasks + 1


async def test_the_devices_own_clock_dates_the_other_tags() -> None:
    """The arrival stands beside it."""
    seconds = 1_700_000_000

    async def clocked(request: bytes, writer: asyncio.StreamWriter) -> None:
        quantity = struct.unpack(">H", request[10:12])[0]
        words = struct.pack(">I", seconds) + b"\x00\x07" * (quantity - 2)
        writer.write(modbus_frame(int.from_bytes(request[:2], "big"), 1, bytes([3, 2 * quantity]) + words))

    tags = [Tag("clock", "HR1:UINT32"), Tag("value", "HR3")]
    async with scripted_device(clocked) as device:
        plc = PLCConnection(host="127.0.0.1", port=device.port, tags=tags, source_time="clock", name="press")
        async with plc:
            rows = (await plc.read_batch(sequence=3)).rows()
            assert [(row[0], row[1], row[2]) for row in rows] == [
                ("press/clock", seconds * 10**9, seconds),
                ("press/value", seconds * 10**9, 7),
            ]
            arrivals = {row[4] for row in rows}
            assert len(arrivals) == 1
            assert all(arrival is not None and arrival > seconds * 10**9 for arrival in arrivals)
            assert (await plc.read_tags())["value"].source_ts_ns == seconds * 10**9


async def test_an_integer_beyond_63_bits_is_bad_in_a_batch_and_whole_in_a_reading() -> None:
    """A batch holds integers with a sign; the value is not bent to fit."""

    async def full(request: bytes, writer: asyncio.StreamWriter) -> None:
        writer.write(good(request, 0xFFFF))

    async with scripted_device(full) as device, connection(device.port) as plc:
        tag = Tag("t", "HR1:UINT64")
        assert await plc.read(tag) == 2**64 - 1
        assert (await plc.read_batch([tag])).rows()[0][2:4] == (None, StatusCode.BAD_OUT_OF_RANGE)


async def test_a_malformed_answer_to_a_single_read_raises() -> None:
    """Where many tags are read it is a status; here it is the whole answer."""

    async def wrong(request: bytes, writer: asyncio.StreamWriter) -> None:
        writer.write(modbus_frame(int.from_bytes(request[:2], "big"), 1, b"\x04\x02\x00\x01"))

    async with scripted_device(wrong) as device, connection(device.port) as plc:
        with pytest.raises(ProtocolError, match="function 4"):
            await plc.read(TAG)
