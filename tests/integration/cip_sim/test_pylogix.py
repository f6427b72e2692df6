"""pylogix, a second client that knows nothing of bifrost, uploads, reads and writes the simulated controller."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pylogix  # type: ignore[import-untyped]  # it has no annotations
import pytest

from bifrost.plc.sim.cip import LogixTarget, OpeningRules
from tests.integration.cip_sim.plant import MANY, micro800_store, plant_store

RULES = pytest.mark.parametrize("rules", [OpeningRules(), OpeningRules(large=False)], ids=["large", "standard"])


async def with_client(target: LogixTarget, use: Callable[[Any], None], **options: Any) -> None:
    """Let a blocking client work in a thread, 20 s at most, and close it whatever happens."""

    def work() -> None:
        # Each client makes a listening socket that it never closes.
        with pylogix.PLC("127.0.0.1", port=target.port, timeout=2.0, **options) as client:
            client.conn.msg_socket.close()
            use(client)

    async with asyncio.timeout(20):
        await asyncio.to_thread(work)


@RULES
async def test_the_whole_tag_list_and_the_structures_are_uploaded(rules: OpeningRules) -> None:
    """Names with programs, types, and the members of each structure with their types."""

    def use(client: Any) -> None:
        listed = client.GetTagList()
        assert listed.Status == "Success"
        names = {one.TagName: one for one in listed.Value}
        assert len(names) == 22 + MANY + 2
        assert {"Program:Main.Level", "Program:Main.Inner", "Program:Other.Level", "Program:Main"} < set(names)
        assert (names["Motors"].DataType, names["Motors"].Array, names["Motors"].Size) == ("Motor", 1, 40)
        assert (names["Cube"].DataType, names["Cube"].Array) == ("REAL", 3)
        assert set(client.UDTByName) == {"ASCIISTRING82", "STR20", "AxisUDT", "Motor", "Wide"}
        fields = {one.TagName: (one.DataType, one.Internal) for one in client.UDTByName["Motor"].Fields}
        assert fields["Axis"] == ("AxisUDT", False)
        assert fields["Label"] == ("STR20", False)
        assert fields["Flags"] == ("DWORD", False)
        assert fields["ZZZZZZZZZZMotor0"] == ("SINT", True)
        assert len(client.UDTByName["Wide"].Fields) == 200
        assert client.GetProgramsList().Value == ["Program:Main", "Program:Other"]
        assert [one.TagName for one in client.GetProgramTagList("Program:Other").Value] == ["Program:Other.Level"]

    async with LogixTarget(plant_store(), rules=rules) as target:
        await with_client(target, use)


@RULES
async def test_every_kind_of_tag_is_read(rules: OpeningRules) -> None:
    """Atomic, bits, strings, arrays, members, programs; large arrays in fragments; many at once."""

    def use(client: Any) -> None:
        for name, value in {
            "Speed": 1.5,
            "On": True,
            "Big": -(2**40),
            "Exact": 0.1,
            "Count.1": True,
            "Arr[3]": 3,
            "Grid[1,2]": 6,
            "Bits[3]": True,
            "Bits[40]": False,
            "Text": "hello",
            "Texts[1]": "b",
            "Motor1.Running": True,
            "Motor1.Name": "pump",
            "Motors[39].Speed": 39.0,
            "Program:Main.Level": 7.0,
        }.items():
            answer = client.Read(name)
            assert (answer.Value, answer.Status) == (value, "Success"), name
        assert client.Read("Arr", 10).Value == list(range(10))
        assert client.Read("Huge", 5000).Value == list(range(5000))
        assert client.Read("Bits", 64).Value == [at % 3 == 0 for at in range(64)]
        many = client.Read([f"Many_{at:04d}" for at in range(MANY)] + ["Nope"])
        assert [one.Value for one in many] == [*range(MANY), None]
        assert many[-1].Status == "Path segment error"

    async with LogixTarget(plant_store(), rules=rules) as target:
        await with_client(target, use)


@RULES
async def test_every_kind_of_tag_is_written(rules: OpeningRules) -> None:
    """What was written is what the store holds."""
    store = plant_store()

    def use(client: Any) -> None:
        for name, value in (
            ("Speed", 9.25),
            ("Count", 78),
            ("On", False),
            ("Arr[5]", [1, 2]),
            ("Text", "pylogix"),
            ("Tiny.3", False),
            ("Bits[5]", True),
            ("Motor1.Axis.Position", 4.5),
            ("Program:Main.Level", 1.25),
            ("Huge", list(range(5000, 0, -1))),
        ):
            assert client.Write(name, value).Status == "Success", name
        assert client.Write("Fixed", 6).Status == "Privilege violation"
        answers = client.Write([("Port", 1), ("Big", 2), ("Many_0001", 5), ("Fixed", 7)])
        assert [one.Status for one in answers] == ["Success"] * 3 + ["Privilege violation"]

    async with LogixTarget(store, rules=rules) as target:
        await with_client(target, use)
    for name, value in {
        "Speed": 9.25,
        "Count": 78,
        "On": False,
        "Arr": [0, 1, 2, 3, 4, 1, 2, 7, 8, 9],
        "Text": "pylogix",
        "Tiny": -16,
        "Bits[5]": True,
        "Motor1.Axis.Position": 4.5,
        "Program:Main.Level": 1.25,
        "Huge": list(range(5000, 0, -1)),
        "Port": 1,
        "Big": 2,
        "Many_0001": 5,
        "Fixed": 5,
    }.items():
        assert store.value(name) == value, name


async def test_the_device_and_its_clock_are_told() -> None:
    """Identity with and without a slot, wall clock read and set."""

    def use(client: Any) -> None:
        written = client.SetPLCTime()
        assert written.Status == "Success"
        assert 0 <= client.GetPLCTime(raw=True).Value - written.Value < 20_000_000
        for answer in (client.GetModuleProperties(0), client.GetDeviceProperties()):
            assert (answer.Value.ProductName, answer.Value.Revision) == ("1756-L83E/B", "33.11")

    async with LogixTarget(plant_store()) as target:
        await with_client(target, use)


async def test_a_micro800_is_served() -> None:
    """Without a route, without multiple services, with short strings."""
    store = micro800_store()

    def use(client: Any) -> None:
        listed = {one.TagName: one.DataType for one in client.GetTagList().Value}
        assert (listed["Text"], listed["Bits"], listed["Arr"]) == ("STRING", "BOOL", "DINT")
        assert client.Read("Arr", 10).Value == list(range(10))
        assert [one.Value for one in client.Read(["Speed", "On", "Text", "Bits[2]"])] == [1.5, True, "hello", True]
        for name, value in (("Speed", 9.25), ("On", False), ("Arr[5]", [1, 2]), ("Text", "pylogix"), ("Bits[5]", True)):
            assert client.Write(name, value).Status == "Success", name

    async with LogixTarget(store) as target:
        await with_client(target, use, Micro800=True)
    assert [store.value(name) for name in ("Speed", "On", "Text", "Bits[5]")] == [9.25, False, "pylogix", True]
    assert store.value("Arr") == [0, 1, 2, 3, 4, 1, 2, 7, 8, 9]
