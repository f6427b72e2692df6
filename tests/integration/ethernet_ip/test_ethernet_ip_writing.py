"""What is written to a Logix controller arrives once, or is told; what does not fit is never sent."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

import pytest

from bifrost.errors import CIPFault as RefusedFault
from bifrost.errors import ConfigError, DataTypeError, NotConnected, WriteError
from bifrost.plc import DataType
from bifrost.plc.sim.cip import Access, CipFault, CipFaultPlan, CipInjection, Keyswitch, LogixTarget
from tests.integration.ethernet_ip.logix import linked, tag, tag_store
from tests.integration.leftovers import nothing_left_behind

_MOTOR = {"Speed": 12.5, "Running": True, "Fault": False, "Counts": [1, -2, 3], "Name": "pump"}


@pytest.mark.parametrize("mode", ["auto", "lazy", "off"])
async def test_every_sort_of_value_arrives(mode: str) -> None:
    """Numbers, bits, elements, arrays, texts, members; one request for each."""
    writes: list[tuple[str, object, DataType | None, str]] = [
        ("Speed", -2.5, None, "Speed"),
        ("Count", -(2**31), DataType.INT32, "Count"),
        ("Small", 127, DataType.INT8, "Small"),
        ("Long", 2**63 - 1, None, "Long"),
        ("Flag", False, DataType.BOOL, "Flag"),
        ("Arr[9]", 99, DataType.INT32, "Arr[9]"),
        ("Word.0", True, None, ""),
        ("Word.1", False, None, ""),
        ("Flags[40]", True, DataType.BOOL, "Flags[40]"),
        ("Flags[63]", False, DataType.BOOL, "Flags[63]"),
        ("Text", "good bye", None, "Text"),
        ("Text", "", DataType.STRING, "Text"),
        ("Motors[1].Running", True, None, "Motors[1].Running"),
        ("Motors[1].Name", "fan", DataType.STRING, "Motors[1].Name"),
        ("Program:Main.Local", -1, None, "Program:Main.Local"),
    ]
    store = tag_store()
    async with LogixTarget(store) as target, linked(target.port, init_tags=mode) as writing:
        for sent, (address, value, datatype, place) in enumerate(writes, 1):
            await writing.write(address, value, datatype=datatype)
            assert not place or store.value(place) == value
            assert store.write_count == sent
        assert store.value("Word") == 0b1001, "bits beside those written changed"
        await writing.write("Arr[2]", [7, 8, 9], count=3, datatype=DataType.INT32)
        assert store.value("Arr") == [0, 1, 7, 8, 9, 5, 6, 7, 8, 99]
        before = store.value("Flags")
        assert isinstance(before, list)
        await writing.write("Flags[30]", [True] * 4, count=4, datatype=DataType.BOOL)
        assert store.value("Flags") == [*before[:30], *([True] * 4), *before[34:]]


async def test_bits_are_changed_by_the_controller_itself() -> None:
    """Read-modify-write is the controller's own service: what it changes meanwhile is not undone."""
    store = tag_store()
    async with LogixTarget(store) as target, linked(target.port) as writing:
        await writing.values("Word")
        store.put("Word", 0b0101)
        await writing.write("Word.7", True)
        assert store.value("Word") == 0b1000_0101
        assert [record.service for record in store.writes] == [0x4E]


async def test_structures_are_written_as_a_whole() -> None:
    """Every member, arrays and texts included; in arrays of structures too."""
    store = tag_store()
    async with LogixTarget(store) as target, linked(target.port) as writing:
        await writing.write("Motors[2]", _MOTOR)
        assert store.value("Motors[2]") == _MOTOR
        await writing.write("Motors", [_MOTOR] * 2, count=2)
        assert store.value("Motors[1]") == _MOTOR
        await writing.write("Line", {"First": _MOTOR, "Others": [_MOTOR, _MOTOR], "Mode": -1})
        assert store.value("Line.Others[1].Name") == "pump"
        assert await writing.values("Line") == [{"First": _MOTOR, "Others": [_MOTOR, _MOTOR], "Mode": -1}]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ({**_MOTOR, "Speed": "fast"}, "Speed"),
        ({**_MOTOR, "Counts": [1, 2]}, "3 values"),
        ({**_MOTOR, "Counts": [1, 2, 2**31]}, "2147483647"),
        ({**_MOTOR, "Name": "x" * 83}, "82 characters"),
        ({**_MOTOR, "Running": 1}, "Running"),
        ({**_MOTOR, "Colour": 1}, "Colour"),
        ({name: value for name, value in _MOTOR.items() if name != "Fault"}, "Fault"),
        ("pump", "dictionary"),
    ],
)
async def test_a_structure_that_does_not_fit_is_not_sent(value: Any, text: str) -> None:
    """The text names the member."""
    store = tag_store()
    async with LogixTarget(store) as target, linked(target.port) as writing:
        with pytest.raises(DataTypeError, match=text):
            await writing.write("Motors[0]", value)
        assert store.write_count == 0
        assert await writing.values("Count") == [7]


@pytest.mark.parametrize(
    ("address", "value", "declared"),
    [
        ("Count", 2**31, None),
        ("Count", 1.5, None),
        ("Count", float("nan"), None),
        ("Count", True, None),
        ("Small", 128, None),
        ("Speed", 1e39, None),
        ("Speed", "fast", None),
        ("Flag", 1, None),
        ("Text", "x" * 83, None),
        ("Text", "€", None),
        ("Speed", 3, DataType.INT32),
        ("Small.9", True, None),
    ],
)
async def test_what_the_controllers_type_does_not_hold_is_not_sent(
    address: str, value: object, declared: DataType | None
) -> None:
    """A type that only the controller knew is checked all the same, before anything is sent."""
    store = tag_store()
    async with LogixTarget(store) as target, linked(target.port) as writing:
        with pytest.raises(DataTypeError):
            await writing.write(address, value, datatype=declared)
        assert store.write_count == 0
        assert writing.losses == []


async def test_large_arrays_are_written_in_parts_of_whole_values() -> None:
    """Each part once, in order; a refusal in the middle says that a part was written."""
    store = tag_store()
    numbers = [number * 0.25 for number in range(3000)]
    async with LogixTarget(store) as target, linked(target.port) as writing:
        await writing.write("Large{3000}", numbers)
        assert store.value("Large") == numbers
        assert {record.service for record in store.writes} == {0x53}
        assert all(record.offset % 4 == 0 and len(record.data) % 4 == 0 for record in store.writes)
        target.faults = CipFaultPlan.script(None, CipInjection(CipFault.STATUS, code=0x10))
        with pytest.raises(WriteError, match="first part") as raised:
            await writing.write("Large{3000}", [0.0] * 3000)
        assert raised.value.unknown_outcome
        assert writing.losses == []


async def test_a_refusal_is_the_controllers_fault_with_its_numbers() -> None:
    """Read-only, wrong mode, unknown: the link goes on."""
    store = tag_store()
    store.add("Fixed", "DINT", 1, access=Access.READ_ONLY)
    async with LogixTarget(store) as target, linked(target.port) as writing:
        for address, datatype in (("Fixed", DataType.INT32), ("Nope", DataType.INT32), ("Arr[10]", DataType.INT32)):
            with pytest.raises(RefusedFault) as raised:
                await writing.write(address, 3, datatype=datatype)
            assert address.split("[", maxsplit=1)[0] in str(raised.value)
        target.locked = True
        with pytest.raises(RefusedFault) as raised:
            await writing.write("Count", 3)
        assert raised.value.code == 0x10
        target.locked = False
        target.keyswitch = Keyswitch.REMOTE_RUN
        await writing.write("Count", 3)
        assert store.value("Count") == 3
        assert store.write_count == 1


async def test_what_may_not_be_written_is_refused_without_a_link() -> None:
    """Tags are read-only unless they are declared otherwise."""
    async with LogixTarget(tag_store()) as target, linked(target.port) as writing:
        with pytest.raises(ConfigError, match="access='rw'"):
            writing.driver.prepare(tag("Count"), 3)


_SENT = [
    CipInjection(CipFault.DROP),
    CipInjection(CipFault.HANG, cut=30),
    CipInjection(CipFault.TRUNCATE, cut=30),
    CipInjection(CipFault.FIN),
    CipInjection(CipFault.RST),
    CipInjection(CipFault.SILENCE),
    CipInjection(CipFault.GARBAGE),
    CipInjection(CipFault.INVALID_SESSION),
    CipInjection(CipFault.WRONG_SEQUENCE),
    CipInjection(CipFault.CONNECTION_LOST),
    CipInjection(CipFault.DELAY, seconds=0.3),
]


@pytest.mark.parametrize("injection", _SENT, ids=lambda one: f"{one.fault}")
async def test_a_write_without_an_answer_is_unknown_and_sent_once(injection: CipInjection) -> None:
    """`WriteError.unknown_outcome`, on this link and for the device: one request, whatever happened to the answer."""
    store = tag_store()
    async with LogixTarget(store) as target, nothing_left_behind():
        async with linked(target.port) as writing:
            target.faults = CipFaultPlan.script(injection)
            with pytest.raises(WriteError) as raised:
                await writing.write("Count", 8, timeout=0.1)
            assert raised.value.unknown_outcome
            assert "Count" in str(raised.value)
            with pytest.raises(NotConnected):
                await writing.write("Count", 9, timeout=0.1)
        async with linked(target.port, init_tags="off") as later:
            assert (await later.values("Count"))[0] in {7, 8}
        await asyncio.sleep(0.02)
        assert store.write_count <= 1
        assert len(target.faults.history) == 3, "more than the write, and the later link's identity and read"


async def test_a_write_that_waited_for_a_link_that_was_lost_was_not_sent() -> None:
    """Behind a read that hangs: `NotConnected`, and the controller saw nothing."""
    store = tag_store()
    async with LogixTarget(store) as target, linked(target.port) as writing:
        target.faults = CipFaultPlan.script(CipFault.DROP)
        reading = asyncio.ensure_future(writing.read("Speed", timeout=0.1))
        await asyncio.sleep(0.01)
        with pytest.raises(NotConnected, match="nothing was written"):
            await writing.write("Count", 8, timeout=0.1)
        with pytest.raises(NotConnected):
            await reading
        assert store.write_count == 0


@pytest.mark.parametrize("steps", [0, 1, 2, 5, 20])
async def test_a_cancelled_write_is_sent_once_at_most(steps: int) -> None:
    """At whatever moment it is cancelled; the next request gets its own answer."""
    store = tag_store()
    async with LogixTarget(store) as target, linked(target.port) as writing:
        target.faults = CipFaultPlan.script(CipInjection(CipFault.DELAY, seconds=0.05))
        task = asyncio.ensure_future(writing.write("Count", 8))
        for _ in range(steps):
            await asyncio.sleep(0.001)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert await writing.values("Small") == [-3]
        assert store.write_count <= 1


async def test_a_hundred_writes_under_seeded_faults_arrive_once_each_or_not_at_all() -> None:
    """No value is seen twice by the controller, and each that was reported as written was."""
    store = tag_store()
    done: list[int] = []
    async with LogixTarget(store) as target, nothing_left_behind():
        number = 100
        for seed in range(20):
            async with linked(target.port, init_tags="off") as writing:
                target.faults = CipFaultPlan.seeded(seed, rate=0.25)
                with contextlib.suppress(NotConnected):
                    for _ in range(6):
                        number += 1
                        try:
                            await writing.write("Count", number, datatype=DataType.INT32, timeout=0.08)
                        except (WriteError, RefusedFault):
                            continue
                        done.append(number)
                target.faults = None
        seen = [int.from_bytes(record.data, "little", signed=True) for record in store.writes]
        assert len(seen) == len(set(seen)), "a write was sent twice"
        assert set(done) <= set(seen)
        assert len(done) > 20
