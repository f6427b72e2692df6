"""Against libmodbus, a server in C that shares no line with bifrost."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator

import pytest

from bifrost.core.ports import Source
from bifrost.core.quality import StatusCode
from bifrost.errors import ModbusFault
from bifrost.plc import LinkState, PLCConnection, ProtocolType, Tag
from tests.integration.libmodbus import LibmodbusServer, missing_for_libmodbus, serve_libmodbus

COUNT = 5000


@pytest.fixture(scope="module")
def server() -> Iterator[LibmodbusServer]:
    if (missing := missing_for_libmodbus()) is not None:
        if os.environ.get("CI"):
            pytest.fail(f"libmodbus is missing; run: {missing}")
        pytest.skip(f"needs libmodbus; run: {missing}")
    with serve_libmodbus(COUNT) as running:
        yield running


def connection(server: LibmodbusServer, *tags: Tag, name: str | None = None) -> PLCConnection:
    return PLCConnection(ProtocolType.MODBUS_TCP, host="127.0.0.1", port=server.port, tags=tags, name=name)


async def test_all_four_areas_are_read(server: LibmodbusServer) -> None:
    """Each with its own function, in one read."""
    tags = [Tag("hr", "HR11"), Tag("ir", "IR11"), Tag("coils", "C1[7]"), Tag("inputs", "DI1[4]")]
    async with connection(server) as plc:
        assert plc.state is LinkState.CONNECTED
        readings = await plc.read_tags(tags)
        assert readings.ok
        assert readings.values_dict() == {
            "hr": 10,
            "ir": 1010,
            "coils": [True, False, False, True, False, False, True],
            "inputs": [True, False, True, False],
        }
        assert plc.stats.protocol["requests"] == 4


async def test_a_big_block_takes_as_few_requests_as_the_standard_allows(server: LibmodbusServer) -> None:
    """2000 registers are 16 requests of at most 125."""
    async with connection(server, *(Tag(f"r{index}", 400001 + index) for index in range(2000))) as plc:
        batch = await plc.read_batch(sequence=7)
        assert [row[2] for row in batch.rows()] == list(range(2000))
        assert batch.sequence == 7
        assert plc.stats.protocol["requests"] == 16


async def test_what_is_written_is_read_back(server: LibmodbusServer) -> None:
    """Single and multiple coils and registers, numbers in every order, text."""
    values: dict[Tag | str, object] = {
        Tag("coil", "C101", access="rw"): True,
        Tag("coils", "C111[11]", access="rw"): [True, False] * 5 + [True],
        Tag("word", "HR2001", access="rw"): 65535,
        Tag("words", "HR2011[3]", access="rw"): [1, 2, 3],
        Tag("abcd", "HR2021:INT32", access="rw"): -123456,
        Tag("cdab", "HR2023:FLOAT32{order=CDAB}", access="rw"): 1.5,
        Tag("badc", "HR2025:UINT64{order=BADC}", access="rw"): 2**64 - 1,
        Tag("dcba", "HR2029:FLOAT64{order=DCBA}", access="rw"): -0.1,
        Tag("text", "HR2040:STRING(9)", access="rw"): "Größe",
        Tag("scaled", "HR2050:INT16", access="rw", scale=0.5, offset_value=10.0): -90.5,
    }
    async with connection(server) as plc:
        before = server.writes_taken()
        outcomes = await plc.write_tags(values)
        assert set(outcomes.values()) == {None}
        assert server.writes_taken() - before == len(values)
        readings = await plc.read_tags(list(values))
        assert readings.values_dict() == {tag.name: value for tag, value in values.items() if isinstance(tag, Tag)}


async def test_a_bit_of_a_register_is_read(server: LibmodbusServer) -> None:
    """Bit 0 is the lowest."""
    async with connection(server) as plc:
        readings = await plc.read_tags([Tag(f"b{bit}", f"HR6.{bit}") for bit in range(16)])
        assert list(readings.values_dict().values()) == [True, False, True] + [False] * 13


async def test_a_tag_that_the_device_does_not_have_fails_alone(server: LibmodbusServer) -> None:
    """The others of its block are read, and the next read knows better."""
    good = [Tag(f"r{index}", 400001 + COUNT - 5 + index) for index in range(5)]
    bad = [Tag("beyond", 400001 + COUNT), Tag("astride", f"HR{COUNT}:FLOAT32")]
    async with connection(server) as plc:
        for _ in range(2):
            readings = await plc.read_tags([*good, *bad])
            assert [readings[tag.name].value for tag in good] == list(range(COUNT - 5, COUNT))
            for tag in bad:
                assert readings[tag.name].value is None
                assert readings[tag.name].status == StatusCode.BAD_CONFIGURATION_ERROR
                assert "illegal data address (0x02)" in (readings[tag.name].error or "")
        learned = plc.stats.protocol["requests"]
        await plc.read_tags([*good, *bad])
        assert plc.stats.protocol["requests"] == learned + 1
        with pytest.raises(ModbusFault) as caught:
            await plc.read(bad[0])
        assert caught.value.code == 2
        with pytest.raises(ModbusFault):
            await plc.write(Tag("beyond", 400001 + COUNT, access="rw"), 1)


async def test_many_readers_share_one_link(server: LibmodbusServer) -> None:
    """Requests take turns; each reader gets its own answer."""
    async with connection(server) as plc:
        tags = [Tag(f"r{index}", 400001 + 37 * index) for index in range(100)]
        values = await asyncio.gather(*(plc.read(tag) for tag in tags))
        assert values == [37 * index for index in range(100)]
        assert plc.stats.connects == 1


async def test_polling_keeps_its_rate_and_labels_its_batches(server: LibmodbusServer) -> None:
    """Twenty polls at 10 ms take 190 ms."""
    loop = asyncio.get_running_loop()
    async with connection(server, Tag("a", "HR1[2]"), Tag("b", "HR9"), name="press") as plc:
        begin, times = loop.time(), []
        async for readings in plc.poll(["a", "b"], interval_ms=10):
            times.append(loop.time())
            assert readings.values_dict() == {"a": [0, 1], "b": 8}
            if len(times) == 20:
                break
        assert 0.17 <= times[-1] - begin <= 0.6
        assert isinstance(plc, Source)
        async for batch in plc.batches(max_rows=2):
            assert batch.origin == "press"
            assert batch.tags() == ["press/a[0]", "press/a[1]"]
            break


async def test_several_requests_on_the_wire_are_answered(server: LibmodbusServer) -> None:
    """Libmodbus answers all that lie in one segment."""
    tags = [Tag(f"r{index}", 400001 + 37 * index) for index in range(100)]
    async with PLCConnection(host="127.0.0.1", port=server.port, max_in_flight=16, max_gap=0) as plc:
        for _ in range(3):
            assert list((await plc.read_tags(tags)).values_dict().values()) == [37 * index for index in range(100)]
        assert plc.stats.protocol["requests"] == 300
        assert plc.stats.protocol["timeouts"] == 0


async def test_a_bit_of_a_register_is_written_by_a_mask(server: LibmodbusServer) -> None:
    """Libmodbus knows function 22; the other bits stay."""
    async with connection(server) as plc:
        before = server.writes_taken()
        await plc.write(Tag("word", "HR3001", access="rw"), 0x8421)
        await plc.write(Tag("bit", "HR3001.1", access="rw"), True)
        await plc.write(Tag("bit", "HR3001.15", access="rw"), False)
        assert await plc.read(Tag("word", "HR3001")) == 0x0423
        assert server.writes_taken() - before == 3


async def test_neighbours_are_written_with_one_request_if_asked(server: LibmodbusServer) -> None:
    """The server counts one write, and has all the values."""
    values: dict[Tag | str, object] = {
        Tag("a", "HR3011", access="rw"): 1,
        Tag("b", "HR3012:FLOAT32", access="rw"): -2.5,
        Tag("c", "HR3014:STRING(4)", access="rw"): "abcd",
    }
    async with connection(server) as plc:
        before = server.writes_taken()
        assert (await plc.write_tags(values, merge=True, verify=True)).ok
        assert server.writes_taken() - before == 1
