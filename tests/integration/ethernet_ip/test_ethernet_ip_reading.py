"""What can be read from a Logix controller, in every address form, and what becomes of what does not fit."""

from __future__ import annotations

import asyncio
import math
import subprocess
import sys

import pytest

from bifrost.core.quality import StatusCode
from bifrost.errors import DeviceFault, LinkError
from bifrost.plc import DataType, PLCConnection
from bifrost.plc.sim.cip import Access, CipFault, CipFaultPlan, CipInjection, LogixTarget, OpeningRules, TagStore
from tests.integration.ethernet_ip.cpppo_server import need_cpppo, serve_cpppo
from tests.integration.ethernet_ip.logix import linked, status, tag, tag_store

_MOTOR = {"Speed": 0.0, "Running": False, "Fault": False, "Counts": [0, 0, 0], "Name": ""}


@pytest.mark.parametrize("mode", ["auto", "lazy", "off"])
async def test_every_address_form_reads_its_value(mode: str) -> None:
    """Tags, elements, members, bits, programs, texts, arrays; with and without the list of tags."""
    forms: list[tuple[str, DataType | None, int, list[object]]] = [
        ("Speed", None, 1, [1.5]),
        ("speed", None, 1, [1.5]),
        ("Speed:REAL", None, 1, [1.5]),
        ("%Arr[3]:DINT:2", None, 1, [3, 4]),
        ("Arr{3}", None, 1, [0, 1, 2]),
        ("Arr[7]", None, 3, [7, 8, 9]),
        ("Grid[1,2]", None, 1, [6]),
        ("Grid[2,0]{4}", DataType.INT16, 1, [8, 9, 10, 11]),
        ("Word.1", None, 1, [True]),
        ("Word.2", None, 1, [False]),
        ("Arr[5].2", None, 1, [True]),
        ("Flags[3]", DataType.BOOL, 1, [True]),
        ("Flags[31]", DataType.BOOL, 4, [False, False, True, False]),
        ("Flags[66]", DataType.BOOL, 1, [True]),
        ("Flag", None, 1, [True]),
        ("Long", None, 1, [-(2**40)]),
        ("Program:Main.Local", None, 1, [42]),
        ("Motors[2].Counts[1]", None, 2, [0, 0]),
        ("Line.First.Running", None, 1, [False]),
        ("Text", None, 1, ["hello"]),
        ("Large[2990]", None, 10, [number / 2 for number in range(2990, 3000)]),
    ]
    async with LogixTarget(tag_store()) as target, linked(target.port, init_tags=mode) as reading:
        tags = [tag(address, datatype, count=count) for address, datatype, count, _ in forms]
        expected = [value for *_, values in forms for value in values]
        got = await reading.values(*tags)
        assert got == expected
        assert [type(value) for value in got] == [type(value) for value in expected]
        for one, (*_, values) in zip(tags, forms, strict=True):
            assert await reading.values(one) == values  # alone, not in a packet with others


@pytest.mark.parametrize("mode", ["auto", "lazy"])
async def test_structures_are_dictionaries(mode: str) -> None:
    """Whole, nested, in arrays; members in the order of their definition, hidden ones left out."""
    store = tag_store()
    store.put("Motors[1].Speed", 2.5)
    store.put("Motors[1].Name", "pump")
    store.put("Line.Others[1].Running", True)
    async with LogixTarget(store) as target, linked(target.port, init_tags=mode) as reading:
        first, second, line = await reading.values(tag("Motors[0]", count=2), tag("Line", DataType.STRUCT))
        assert first == _MOTOR
        assert list(first) == list(_MOTOR)
        assert second == {**_MOTOR, "Speed": 2.5, "Name": "pump"}
        assert line == {"First": _MOTOR, "Others": [_MOTOR, {**_MOTOR, "Running": True}], "Mode": 0}
        assert reading.driver.counters()["tag_uploads"] == 1


async def test_lazy_asks_for_the_list_when_it_is_needed() -> None:
    """Not for numbers, once for a structure."""
    async with LogixTarget(tag_store()) as target, linked(target.port, init_tags="lazy") as reading:
        await reading.values("Speed", "Arr{3}")
        assert reading.driver.counters()["tag_uploads"] == 0
        await reading.values("Motors[0]")
        await reading.values("Motors[1]")
        assert reading.driver.counters()["tag_uploads"] == 1


async def test_without_the_list_a_structure_is_bad_and_its_members_are_not() -> None:
    """`init_tags='off'`: the text says what to do."""
    async with LogixTarget(tag_store()) as target, linked(target.port, init_tags="off") as reading:
        readings = await reading.read("Motors[0]", "Motors[0].Speed", "Text")
        assert readings.values == [None, 0.0, "hello"]
        assert "init_tags" in str(readings.errors[0])
        assert reading.driver.counters()["tag_uploads"] == 0


@pytest.mark.parametrize(
    ("address", "declared", "has"),
    [
        ("Speed", DataType.INT32, "REAL"),
        ("Count", DataType.FLOAT32, "DINT"),
        ("Count", DataType.UINT32, "DINT"),
        ("Text", DataType.INT32, "STRING"),
        ("Motors[0]", DataType.STRING, "Motor"),
        ("Speed", DataType.STRUCT, "REAL"),
        ("Speed.3", None, "REAL"),
        ("Small.9", None, "SINT"),
    ],
)
async def test_a_type_that_is_not_the_controllers_is_told_for_that_tag(
    address: str, declared: DataType | None, has: str
) -> None:
    """BAD_TYPE_MISMATCH with both names, alone among good ones; nothing is converted."""
    async with LogixTarget(tag_store()) as target, linked(target.port) as reading:
        readings = await reading.read("Long", tag(address, declared))
        assert readings.values == [-(2**40), None]
        assert status(readings, 1) is StatusCode.BAD_TYPE_MISMATCH
        assert has in str(readings.errors[1])
        assert address.partition(".")[0] in str(readings.errors[1])
        if declared is not None:
            assert declared.value in str(readings.errors[1])


async def test_what_the_controller_does_not_have_is_unknown() -> None:
    """No such tag, no such member, beyond the end: each is BAD alone."""
    async with LogixTarget(tag_store()) as target, linked(target.port) as reading:
        readings = await reading.read("Speed", "Nope", "Motors[0].Nope", "Arr[10]", "Arr{11}", "Program:No.Tag")
        assert readings.values[0] == 1.5
        assert set(readings.values[1:]) == {None}
        for slot in (1, 2, 3, 4, 15):
            assert status(readings, slot) is StatusCode.BAD_NODE_ID_UNKNOWN, readings.errors[slot]


async def test_what_may_not_be_read_is_denied() -> None:
    """External access None is a status of that tag."""
    store = tag_store()
    store.add("Secret", "DINT", 1, access=Access.NONE)
    async with LogixTarget(store) as target, linked(target.port) as reading:
        readings = await reading.read("Secret", "Speed")
        assert readings.values == [None, 1.5]
        assert "Secret" not in [one.name for one in await reading.driver.browse(timeout=1.0)]


async def test_edges_of_values_are_exact() -> None:
    """Infinity and NaN are what the controller holds; the largest integers keep every bit; texts may have any byte."""
    store = TagStore()
    store.add("Nan", "REAL", math.nan)
    store.add("Inf", "LREAL", -math.inf)
    store.add("Most", "ULINT", 2**64 - 1)
    store.add("Least", "LINT", -(2**63))
    store.add("Text", "STRING", "\x00\x7f\xff")
    store.add("Empty", "STRING", "")
    async with LogixTarget(store) as target, linked(target.port) as reading:
        nan, *others = await reading.values("Nan", "Inf", "Most", "Least", "Text", "Empty")
        assert math.isnan(nan)
        assert others == [-math.inf, 2**64 - 1, -(2**63), "\x00\x7f\xff", ""]
        plan = reading.driver.plan([tag("Most"), tag("Least", DataType.INT64), tag("Most", DataType.UINT64)])
        assert plan.wide == (0, 2)


async def test_a_thousand_tags_come_in_few_requests() -> None:
    """Packets of 4000 bytes are filled; what is asked twice is sent once."""
    store = TagStore()
    for number in range(1000):
        store.add(f"Tag_{number:04}", "DINT", number)
    async with LogixTarget(store) as target, linked(target.port) as reading:
        names = [f"Tag_{number:04}" for number in range(1000)]
        before = target.counters.requests
        assert await reading.values(*names) == list(range(1000))
        assert target.counters.requests - before <= 10
        before = target.counters.requests
        assert await reading.values("Tag_0001", "Tag_0001", "Tag_0001.0", "Tag_0001.1") == [1, 1, True, False]
        assert target.counters.requests - before == 1


async def test_partial_transfers_are_put_together() -> None:
    """Status 0x06 in a packet of its own, or among others."""
    async with (
        LogixTarget(tag_store(), rules=OpeningRules(max_size=500)) as target,
        linked(target.port, large_packets=False) as reading,
    ):
        target.faults = CipFaultPlan.always(CipInjection(CipFault.PARTIAL, cut=30))
        assert await reading.values("Arr{10}", "Speed") == [*range(10), 1.5]
        assert await reading.values("Motors[0]", "Text") == [_MOTOR, "hello"]


async def test_a_micro800_is_recognised_and_asked_one_at_a_time() -> None:
    """No rack, no several requests in one, texts of its own kind."""
    store = TagStore(micro800=True)
    store.add("Speed", "REAL", 1.5)
    store.add("Words", "INT[3]", [1, 2, 3])
    store.add("Name", "STRING", "pump")
    store.add("Flags", "BOOL[4]", [True, False, True, False])
    async with LogixTarget(store) as target, linked(target.port) as reading:
        assert await reading.values("Speed", "Words{3}", "Name", "Flags[2]") == [1.5, 1, 2, 3, "pump", True]
        await reading.write("Name", "fan")
        await reading.write("Flags[1]", True)
        await reading.write("Speed", 2.5, datatype=DataType.FLOAT32)
        assert await reading.values("Speed", "Name", "Flags[1]") == [2.5, "fan", True]


async def test_browsing_names_everything() -> None:
    """Controller and program tags, members of structures, with types that can be declared."""
    store = tag_store()
    store.add("Limit", "REAL", 1.0, access=Access.READ_ONLY)
    async with LogixTarget(store) as target, linked(target.port) as browsing:
        found = {one.name: one for one in await browsing.driver.browse(timeout=1.0)}
    assert found["Arr"].count == 10
    assert found["Arr"].datatype is DataType.INT32
    assert found["Flags"].datatype is DataType.BOOL
    assert found["Flags"].count == 96
    assert found["Motors"].datatype is DataType.STRUCT
    assert found["Motors"].type_name == "Motor"
    assert found["Motors[0].Counts"].count == 3
    assert found["Line.First.Name"].datatype is DataType.STRING
    assert found["Program:Main.Local"].datatype is DataType.INT32
    assert found["Limit"].access == "r"
    assert found["Speed"].access == "rw"
    assert found["Grid"].address == "Grid[0,0]"


async def test_program_tags_can_be_left_out() -> None:
    """`program_tags=False` makes the list shorter; they can be read all the same."""
    async with LogixTarget(tag_store()) as target, linked(target.port, program_tags=False) as browsing:
        assert not [one for one in await browsing.driver.browse(timeout=1.0) if one.name.startswith("Program:")]
        assert await browsing.values("Program:Main.Local") == [42]


async def test_a_list_that_cannot_be_had_does_not_keep_the_link_down() -> None:
    """The controller refuses the list: numbers are read with the types that come, and browsing says why it cannot."""
    async with LogixTarget(tag_store()) as target:
        target.faults = CipFaultPlan.script(*([CipInjection(CipFault.STATUS, code=0x08)] * 2))
        async with linked(target.port) as reading:
            target.faults = None
            assert reading.driver.counters()["tag_uploads"] == 0
            assert await reading.values("Speed", tag("Count", DataType.INT32), "Text") == [1.5, 7, "hello"]
            target.faults = CipFaultPlan.always(CipInjection(CipFault.STATUS, code=0x08))
            with pytest.raises(DeviceFault, match="no list"):
                await reading.driver.browse(timeout=1.0)


async def test_a_list_that_never_ends_has_a_deadline() -> None:
    """The upload has its own time; after it the link is given up."""
    async with LogixTarget(tag_store()) as target:
        target.faults = CipFaultPlan.script(CipFault.DROP)
        with pytest.raises(LinkError, match="did not answer within"):
            async with linked(target.port, timeout=0.1):
                pass


async def test_a_connection_is_made_from_a_url() -> None:
    """The path of a URL is the way to the controller."""
    async with LogixTarget(tag_store()) as target:
        url = f"ethernet-ip://127.0.0.1:{target.port}/bp/0?timeout=1&init_tags=lazy"
        async with PLCConnection.from_url(url) as plc:
            assert await plc.read(tag("Speed")) == 1.5
            assert [one.name for one in await plc.browse()][:2] == ["Speed", "Count"]
        async with PLCConnection.from_url(f"ethernet-ip://127.0.0.1:{target.port}/5") as wrong:
            reading = (await wrong.read_tags([tag("Speed")]))["Speed"]
            assert reading.value is None
            assert "slot" in wrong.last_error


async def test_a_connection_polls_arrays_and_structures() -> None:
    """Batches and snapshots above the driver take what it brings."""
    async with (
        LogixTarget(tag_store()) as target,
        PLCConnection("ethernet-ip", host="127.0.0.1", port=target.port) as plc,
    ):
        async for snapshot in plc.poll([tag("Speed"), tag("Arr{3}"), tag("Motors[0]")], interval_ms=10):
            assert snapshot["Speed"].value == 1.5
            assert snapshot["Arr{3}"].value == [0, 1, 2]
            assert snapshot["Motors[0]"].value == _MOTOR
            break


async def test_two_drivers_on_one_controller_do_not_disturb_each_other() -> None:
    """The library keeps no state between them."""
    async with LogixTarget(tag_store()) as target, linked(target.port) as one, linked(target.port) as other:
        async with asyncio.TaskGroup() as group:
            for reading in (one, other) * 10:
                group.create_task(reading.values("Speed", "Arr{10}"))
        await one.driver.aclose()
        assert await other.values("Count") == [7]


def test_the_library_is_first_imported_in_the_thread_and_named_if_it_is_missing() -> None:
    """`import bifrost.plc` and making a connection import none of it; connecting without it names the extra."""
    program = """
import asyncio, sys
import bifrost.plc
from bifrost.plc.drivers.registry import protocol_named
protocol_named("ethernet-ip")
bifrost.plc.PLCConnection("ethernet-ip", host="127.0.0.1", port=1)
assert not [name for name in sys.modules if name.startswith("pycomm3")]
sys.modules["pycomm3"] = None
from bifrost.core.clock import SystemClock
from bifrost.errors import MissingExtra
from bifrost.plc.ethernet_ip import EtherNetIPSettings
from bifrost.plc.ethernet_ip.driver import EtherNetIPDriver
async def main():
    driver = EtherNetIPDriver(EtherNetIPSettings(host="127.0.0.1", port=1), SystemClock())
    try:
        await driver.connect(timeout=5.0, on_lost=print)
    except MissingExtra as error:
        print(error)
    await driver.aclose()
asyncio.run(main())
"""
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=30, check=True)
    assert "bifrost-edge[ethernet-ip]" in ran.stdout


def test_cpppo_reads_back_what_bifrost_writes() -> None:
    """Numbers, arrays and texts, to and from a program that shares no line with us."""
    need_cpppo()

    async def exchange(port: int) -> None:
        async with linked(port) as other:
            await other.write("Arr{3}", [1.5, -2.5, 1e30], datatype=DataType.FLOAT32)
            await other.write("Wide", -(2**62), datatype=DataType.INT64)
            await other.write("Text[1]", "ångström")
            assert await other.values("Arr{5}") == pytest.approx([1.5, -2.5, 1e30, 0.0, 4.0])
            assert await other.values("Wide", "Text[1]") == [-(2**62), "ångström"]
            readings = await other.read("Wide", "Nope", tag("Wide", DataType.INT32))
            assert readings.values == [-(2**62), None, None]
            assert status(readings, 1) is StatusCode.BAD_NODE_ID_UNKNOWN
            assert status(readings, 2) is StatusCode.BAD_TYPE_MISMATCH

    with serve_cpppo(["Arr=REAL[5]", "Wide=LINT", "Text=SSTRING[2]"], ["Arr[4]=(REAL)4.0"]) as server:
        asyncio.run(exchange(server.port))
        assert server.writes_taken() == 4
