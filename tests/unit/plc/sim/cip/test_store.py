"""The memory of a simulated controller: tags by name, signals, renumbering."""

from __future__ import annotations

import asyncio
import math

import pytest

from bifrost.errors import AddressError, ConfigError, DataTypeError
from bifrost.plc.sim import Constant, Counter, Replay
from bifrost.plc.sim.cip import LOGIX, TagStore
from bifrost.plc.sim.cip.router import MessageRouter
from bifrost.testing import VirtualClock


def test_values_are_put_and_looked_at_by_name() -> None:
    """Tags, elements, members, bits of structures, whole arrays, strings, nested structures."""
    store = TagStore()
    store.define("Inner", {"X": "REAL", "Ok": "BOOL"})
    store.define_string("Name20", 20)
    store.define("Outer", {"In": "Inner", "Ins": "Inner[2]", "Name": "Name20", "Flags": "BOOL[32]"})
    store.add("O", "Outer[2]")
    store.add("Grid", "INT[2,3]", [[1, 2, 3], [4, 5, 6]])
    store.add("Bits", "BOOL[64]")
    store.add("L", "REAL", 1.5, program="Main")
    for name, value in (
        ("O[1].In.X", 2.5),
        ("O[1].Ins[1].Ok", True),
        ("O[1].Name", "pump"),
        ("O[0].Ins[0]", {"X": 0.5, "Ok": True}),
        ("O[0].Flags", [at == 3 for at in range(32)]),
        ("O[0].Flags[31]", True),
        ("Bits[33]", True),
        ("Grid[1,2]", 60),
        ("program:main.l", 2.0),
    ):
        store.put(name, value)
        assert store.value(name) == value
    assert store.value("Bits") == [at == 33 for at in range(64)]
    assert store.value("O[0].Flags") == [at in (3, 31) for at in range(32)]
    assert store.value("Grid") == [1, 2, 3, 4, 5, 60]
    store.put("O[1].Ins[1].Ok", value=False)
    assert store.value("O[1].Ins[1]") == {"X": 0.0, "Ok": False}
    assert store.write_count == 0


@pytest.mark.parametrize("name", ["Nope", "A.B", "A[1]", "S[3]", "S.X", "Program:P.A", "S[0][1]", "Program:Q", "F[32]"])
def test_a_name_that_leads_nowhere_is_an_address_error(name: str) -> None:
    """The text repeats the name."""
    store = TagStore()
    store.define("Pair", {"X": "DINT"})
    store.add("A", "DINT")
    store.add("S", "Pair[3]")
    store.add("B", "DINT", program="Q")
    store.add("F", "BOOL[32]")
    with pytest.raises(AddressError):
        store.value(name)


def test_tags_have_names_and_are_there_once() -> None:
    """Case does not tell them apart; programs do."""
    store = TagStore()
    store.add("A", "DINT")
    store.add("A", "DINT", program="Main")
    for name, program in (("a", None), ("A", "main"), ("1x", None), ("x" * 41, None), ("Motör", None)):
        with pytest.raises(ConfigError):
            store.add(name, "DINT", program=program)
    with pytest.raises(ConfigError, match="program's name"):
        store.add("B", "DINT", program="Hälle")
    with pytest.raises(DataTypeError, match="no type 'Nope'"):
        store.add("B", "Nope")
    with pytest.raises(DataTypeError, match="multiple of 32"):
        store.add("B", "BOOL[10]")
    with pytest.raises(ConfigError, match="Micro800"):
        TagStore(micro800=True).add("B", "DINT", program="Main")


def test_marks_are_listed_and_cannot_be_read() -> None:
    """Each with the symbol type of its kind and the system bit."""
    store = TagStore()
    store.mark("Task:MainTask")
    store.mark("Routine:Main", program="Main")
    assert [one.wire_type for one in store.symbols("") or []] == [0x1070, 0x1068]
    assert [one.wire_type for one in store.symbols("Main") or []] == [0x106D]
    with pytest.raises(AddressError, match="no such tag"):
        store.value("Task:MainTask")
    for wrong in ("Task:MainTask", "Speed"):
        with pytest.raises(ConfigError):
            store.mark(wrong)


async def test_a_bound_signal_is_read_as_it_stands_at_that_moment(clock: VirtualClock) -> None:
    """Recorded values replay from the first read on; whole numbers are rounded; members can be bound."""
    store = TagStore(clock=clock)
    store.define("Pump", {"Flow": "REAL", "Starts": "DINT"})
    store.add("P", "Pump")
    store.bind("P.Flow", Replay([1.5, 2.5, 3.5], period=10.0))
    store.bind("P.Starts", Counter(period=7.0))
    served = MessageRouter(store, LOGIX, name="x", clock=clock)
    flow = bytes.fromhex("4c05910150009104466c6f770100")
    assert served.handle(flow, 100).hex() == "cc000000ca000000c03f"
    clock_now = clock.monotonic()
    await asyncio.sleep(11.0)
    assert clock.monotonic() == clock_now + 11.0
    assert served.handle(flow, 100).hex() == "cc000000ca0000002040"
    assert store.value("P") == {"Flow": 2.5, "Starts": 1}


@pytest.mark.parametrize(
    ("declaration", "measured", "stored"),
    [
        ("SINT", 500.0, 127),
        ("SINT", -math.inf, -128),
        ("UINT", -3.0, 0),
        ("ULINT", 1e300, 2**64 - 1),
        ("DINT", 2.6, 3),
        ("DINT", math.nan, 5),
        ("BOOL", 2.0, True),
        ("REAL", 1e300, math.inf),
        ("REAL", -1e300, -math.inf),
        ("LREAL", 1e300, 1e300),
    ],
)
def test_a_signal_beyond_its_tag_stands_at_the_limit(declaration: str, measured: float, stored: object) -> None:
    """Integers stop at their limits, floats at infinity; what is no number leaves an integer as it was."""
    store = TagStore()
    store.add("T", declaration, {"DINT": 5}.get(declaration))
    store.bind("T", Constant(measured))
    assert store.value("T") == stored


@pytest.mark.parametrize(("declaration", "name"), [("STRING", "T"), ("DINT[3]", "T"), ("Pair", "T")])
def test_only_numbers_can_be_bound(declaration: str, name: str) -> None:
    """Strings, whole arrays and structures have no single value."""
    store = TagStore()
    store.define("Pair", {"A": "DINT"})
    store.add("T", declaration)
    with pytest.raises(DataTypeError, match="expected a number"):
        store.bind(name, Counter(1.0))


def test_a_download_gives_instance_ids_to_other_tags() -> None:
    """What a client kept now leads elsewhere: names stay right, numbers do not."""
    store = TagStore()
    for name in ("A", "B", "C"):
        store.add(name, "DINT", ord(name))
    served = MessageRouter(store, LOGIX, name="x")
    by_number = bytes.fromhex("4c02206b24020100")
    assert served.handle(by_number, 100)[6:] == ord("B").to_bytes(4, "little")
    store.remove("A")
    assert served.handle(by_number, 100)[6:] == ord("B").to_bytes(4, "little")
    store.download()
    assert served.handle(by_number, 100)[6:] == ord("C").to_bytes(4, "little")
    assert served.handle(bytes.fromhex("4c02206b24030100"), 100)[2] == 0x05
    assert store.value("B") == ord("B")


def test_only_the_latest_writes_are_kept_and_all_are_counted() -> None:
    """1,000 records, however many came."""
    store = TagStore()
    store.add("A", "DINT")
    served = MessageRouter(store, LOGIX, name="x")
    for at in range(1005):
        served.handle(bytes.fromhex("4d0291014100c4000100") + at.to_bytes(4, "little"), 100)
    assert store.write_count == 1005
    assert [int.from_bytes(one.data, "little") for one in store.writes] == list(range(5, 1005))
