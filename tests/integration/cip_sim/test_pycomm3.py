"""pycomm3, which knows nothing of bifrost, uploads, reads and writes the simulated controller."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Callable
from typing import Any

import pytest
from pycomm3 import CIPDriver, CommError, LogixDriver
from pycomm3.packets.ethernetip import ListIdentityRequestPacket

from bifrost.plc.sim.cip import CipFault, CipFaultPlan, CipInjection, Keyswitch, LogixTarget, OpeningRules, TagStore
from tests.integration.cip_sim.plant import MANY, micro800_store, plant_store

AXIS = {"Position": 0.0, "Homed": False, "Fault": False, "Counts": [0, 0, 0]}


async def with_driver(target: LogixTarget, use: Callable[[Any], None], **options: Any) -> None:
    """Let a blocking driver work in a thread, 20 s at most, and close it whatever happens."""

    def work() -> None:
        driver: Any = LogixDriver(f"127.0.0.1:{target.port}", **options)
        driver.socket_timeout = 2.0
        try:
            assert driver.open()
            use(driver)
        finally:
            driver.close()

    async with asyncio.timeout(20):
        await asyncio.to_thread(work)


@pytest.mark.parametrize("rules", [OpeningRules(), OpeningRules(large=False)], ids=["large", "standard"])
async def test_the_whole_tag_list_is_uploaded(rules: OpeningRules) -> None:
    """Names, types, dimensions, access, programs and templates, over connections of 4,000 and of 500 bytes."""

    def use(driver: Any) -> None:
        assert driver.connection_size == (4000 if rules.large else 500)
        tags = driver.tags
        assert len(tags) == 22 + MANY
        assert {"Program:Main.Level", "Program:Main.Inner", "Program:Other.Level"} < set(tags)
        assert set(driver.info["programs"]) == {"Main", "Other"}
        assert driver.info["name"] == "Simulated"
        assert driver.info["keyswitch"] == "REMOTE RUN"
        assert driver.info["product_name"] == "1756-L83E/B"
        expected = {
            "Speed": ("REAL", 0, [0, 0, 0]),
            "Grid": ("INT", 2, [2, 3, 0]),
            "Cube": ("REAL", 3, [2, 2, 2]),
            "Bits": ("DWORD", 1, [2, 0, 0]),
            "Text": ("STRING", 0, [0, 0, 0]),
            "Short": ("STR20", 0, [0, 0, 0]),
            "Motors": ("Motor", 1, [40, 0, 0]),
        }
        for name, (kind, dim, dimensions) in expected.items():
            tag = tags[name]
            assert (tag["data_type_name"], tag["dim"], tag["dimensions"]) == (kind, dim, dimensions)
        assert tags["Fixed"]["external_access"] == "Read Only"
        assert tags["Speed"]["external_access"] == "Read/Write"
        motor = tags["Motor1"]["data_type"]
        assert motor["attributes"][:6] == ["Running", "Ready", "Speed", "Name", "Label", "Axis"]
        assert motor["internal_tags"]["Axes"]["array"] == 2
        assert motor["internal_tags"]["Axis"]["data_type"]["name"] == "AxisUDT"
        assert len(tags["Wide1"]["data_type"]["attributes"]) == 200
        assert tags["Short"]["data_type"]["string"] == 20

    async with LogixTarget(plant_store(), rules=rules) as target:
        await with_driver(target, use)
        assert len(target.manager) == 0


@pytest.mark.parametrize("rules", [OpeningRules(), OpeningRules(large=False)], ids=["large", "standard"])
async def test_every_kind_of_tag_is_read(rules: OpeningRules) -> None:
    """Atomic, bits, strings, arrays of one to three dimensions, structures, programs, one by one and fragmented."""
    store = plant_store()

    def use(driver: Any) -> None:
        for name, value in {
            "Speed": 1.5,
            "On": True,
            "Tiny": -8,
            "Port": 44818,
            "Big": -(2**40),
            "Exact": 0.1,
            "Count.1": True,
            "Count.0": False,
            "Arr[3]": 3,
            "Arr{10}": list(range(10)),
            "Arr[7]{3}": [7, 8, 9],
            "Huge{5000}": list(range(5000)),
            "Huge[4999]": 4999,
            "Grid[1,2]": 6,
            "Grid{6}": [1, 2, 3, 4, 5, 6],
            "Cube[1,0,1]": 6.0,
            "Bits[3]": True,
            "Bits[40]": False,
            "Bits{64}": [at % 3 == 0 for at in range(64)],
            "Text": "hello",
            "Short": "abc",
            "Texts{3}": ["a", "b", "c"],
            "Texts[2]": "c",
            "Motor1.Running": True,
            "Motor1.Speed": 2.5,
            "Motor1.Name": "pump",
            "Motor1.Wide": 2**40,
            "Motor1.Axis": AXIS | {"Homed": True},
            "Motor1.Axes[1].Counts{3}": [0, 0, 0],
            "Motors[39].Name": "m39",
            "Program:Main.Level": 7.0,
            "Program:Other.Level": 8.0,
            "Program:Main.Inner": AXIS | {"Position": 3.0},
        }.items():
            tag = driver.read(name)
            assert tag.error is None, (name, tag.error)
            assert tag.value == value, name
        assert driver.read("Motor1").value == store.value("Motor1")
        assert driver.read("Motors{40}").value == store.value("Motors")
        assert driver.read("Wide1").value == store.value("Wide1")

    async with LogixTarget(store, rules=rules) as target:
        await with_driver(target, use)


async def test_many_tags_are_read_at_once() -> None:
    """250 tags, some larger than a packet, in far fewer requests; a missing one does not hurt the others."""
    store = plant_store()
    async with LogixTarget(store) as target:

        def use(driver: Any) -> None:
            names = [f"Many_{at:04d}" for at in range(MANY)]
            before = target.counters.requests
            tags = driver.read(*names, "Motors{40}", "Huge{5000}", "Arr[20]", "Text")
            assert [one.value for one in tags[:MANY]] == list(range(MANY))
            assert [bool(one) for one in tags[MANY:]] == [True, True, False, True]
            assert target.counters.requests - before < 20

        await with_driver(target, use)


@pytest.mark.parametrize("rules", [OpeningRules(), OpeningRules(large=False)], ids=["large", "standard"])
async def test_every_kind_of_tag_is_written(rules: OpeningRules) -> None:
    """What was written is what the store holds; each single write is received once."""
    store = plant_store()
    async with LogixTarget(store, rules=rules) as target:

        def use(driver: Any) -> None:
            for name, value, stored in (
                ("Speed", 9.5, "Speed"),
                ("On", False, "On"),
                ("Big", 2**50, "Big"),
                ("Arr[5]", 55, "Arr[5]"),
                ("Grid[1,1]", -7, "Grid[1,1]"),
                ("Text", "world", "Text"),
                ("Short", "xyz", "Short"),
                ("Motor1.Ready", True, "Motor1.Ready"),
                ("Motor1.Axis.Position", 4.5, "Motor1.Axis.Position"),
                ("Motors[1].Name", "bob", "Motors[1].Name"),
                ("Program:Main.Level", 1.25, "Program:Main.Level"),
            ):
                before = store.write_count
                tag = driver.write(name, value)
                assert tag.error is None, (name, tag.error)
                assert store.value(stored) == value, name
                assert store.write_count == before + 1, name
            assert driver.write("Arr{3}", [7, 8, 9])
            assert driver.write("Count.3", True)
            assert driver.write("Bits[33]", True)
            assert driver.write("Bits{32}", [at % 2 == 0 for at in range(32)])
            assert driver.write("Huge{5000}", [5] * 5000)
            motor = driver.read("Motor1").value | {"Speed": 99.0, "Name": "zed", "Last": True}
            assert driver.write("Motor1", motor)
            assert store.value("Motor1") == motor
            assert all(driver.write(("Tiny", 1), ("Port", 2), ("Exact", 0.25), ("Program:Main.Inner.Homed", True)))

        await with_driver(target, use)
    assert store.value("Arr") == [7, 8, 9, 3, 4, 55, 6, 7, 8, 9]
    assert store.value("Count") == 0b101010
    assert store.value("Bits") == [at % 2 == 0 for at in range(32)] + [at % 3 == 0 or at == 33 for at in range(32, 64)]
    assert store.value("Huge") == [5] * 5000
    assert [store.value(name) for name in ("Tiny", "Port", "Exact", "Program:Main.Inner.Homed")] == [1, 2, 0.25, True]


async def test_refusals_are_errors_of_their_tag() -> None:
    """Read-only, beyond the end, locked, another type: text for the tag, the connection goes on."""
    store = plant_store()
    async with LogixTarget(store) as target:

        def use(driver: Any) -> None:
            assert driver.write("Fixed", 6).error == "Permission denied"
            assert "beyond end" in driver.read("Arr[9]{2}").error
            target.locked = True
            assert driver.write("Speed", 1.0).error.startswith("Device state conflict")
            target.locked = False
            results = driver.write(("Speed", 3.0), ("Fixed", 7), ("Count", 8))
            assert [bool(one) for one in results] == [True, False, True]
            assert driver.read("Speed").value == 3.0

        await with_driver(target, use)
    assert store.value("Fixed") == 5


async def test_the_clock_the_mode_and_the_modules_are_told() -> None:
    """Wall clock read and set, keyswitch, identity by slot; a slot without a module is an error."""
    async with LogixTarget(plant_store()) as target:
        target.keyswitch = Keyswitch.PROGRAM

        def use(driver: Any) -> None:
            assert driver.info["keyswitch"] == "PROG"
            assert driver.set_plc_time(1_000_000_000_000_000).error is None
            assert 0 <= driver.get_plc_time().value["microseconds"] - 1_000_000_000_000_000 < 20_000_000
            assert driver.get_module_info(0)["serial"] == "b1f00001"
            with pytest.raises(Exception, match="error getting module info"):
                driver.get_module_info(7)

        await with_driver(target, use)


async def test_what_else_a_controller_lists_is_told_apart() -> None:
    """Tasks, routines, connections and modules stand in the list; only tags and modules' tags are tags."""
    store = plant_store()
    store.mark("Task:MainTask")
    store.mark("Map:Local")
    store.mark("Cxn:Standard")
    store.mark("Routine:MainRoutine", program="Main")
    store.define("DI16", {"Fault": "DINT", "Data": "DINT"})
    store.add("Local:1:I", "DI16", {"Data": 0xFF})
    store.add("__hidden", "DINT")
    async with LogixTarget(store) as target:

        def use(driver: Any) -> None:
            assert len(driver.tags) == 22 + MANY + 1
            assert set(driver.info["tasks"]) == {"MainTask"}
            assert driver.info["modules"] == {"Local": {"slots": {1: {"types": ["I"]}}}}
            assert driver.read("Local:1:I").value == {"Fault": 0, "Data": 0xFF}
            assert driver.read("Local:1:I.Data.3").value is True

        await with_driver(target, use)


async def test_a_download_makes_kept_numbers_wrong_until_a_new_upload() -> None:
    """The driver with the old list reads another tag, or none; uploaded again it is right."""
    store = TagStore()
    for at, name in enumerate(("First", "Second", "Third")):
        store.add(name, "DINT", at)
    async with LogixTarget(store) as target:

        def use(driver: Any) -> None:
            assert driver.read("Second").value == 1
            store.remove("First")
            store.download()
            assert driver.read("Second").value == 2
            assert not driver.read("Third")
            driver.get_tag_list()
            assert driver.read("Second").value == 1

        await with_driver(target, use)


async def test_old_firmware_takes_names_instead_of_numbers() -> None:
    """Below revision 21 the client sends symbols only."""
    identity = LogixTarget(TagStore()).router.identity
    async with LogixTarget(plant_store(), identity=dataclasses.replace(identity, revision=(17, 1))) as target:

        def use(driver: Any) -> None:
            assert driver.read("Motors[3].Name").value == "m3"
            assert driver.write("Arr[2]", 9)

        await with_driver(target, use)
    assert target.tags.value("Arr[2]") == 9


async def test_a_micro800_is_recognised_and_served() -> None:
    """No multiple services, no instance ids, short strings, BOOL arrays of bytes."""
    store = micro800_store()
    async with LogixTarget(store) as target:

        def use(driver: Any) -> None:
            assert driver._micro800
            assert driver.connection_size == 500
            assert set(driver.tags) == {"Speed", "On", "Arr", "Text", "Texts", "Bits"}
            tags = driver.read("Speed", "On", "Arr{10}", "Text", "Bits{10}", "Texts[2]")
            values = [one.value for one in tags]
            assert values == [1.5, True, list(range(10)), "hello", [at % 2 == 0 for at in range(10)], "ccc"]
            assert all(
                driver.write(("Speed", 2.5), ("On", False), ("Arr[4]", 44), ("Text", "world"), ("Bits[1]", True))
            )

        await with_driver(target, use)
    assert [store.value(name) for name in ("Speed", "On", "Arr[4]", "Text")] == [2.5, False, 44, "world"]
    assert store.value("Bits[1]") is True


async def test_the_identity_is_listed_by_tcp_and_udp() -> None:
    """As `list_identity` and as the packets of `discover` see it."""
    async with LogixTarget(plant_store(), udp=True) as target:
        loop, answer = asyncio.get_running_loop(), asyncio.Queue[bytes]()

        class Listener(asyncio.DatagramProtocol):
            def datagram_received(self, data: bytes, addr: object) -> None:
                answer.put_nowait(data)

        async with asyncio.timeout(10):
            by_tcp: Any = await asyncio.to_thread(CIPDriver.list_identity, f"127.0.0.1:{target.port}")
            transport, _ = await loop.create_datagram_endpoint(Listener, remote_addr=("127.0.0.1", target.port))
            packet: Any = ListIdentityRequestPacket
            request = packet()
            try:
                transport.sendto(request.build_request(None, 0, bytes(8), 0))
                by_udp = request.response_class(request, await answer.get()).identity
            finally:
                transport.close()
        assert by_tcp == by_udp
        assert (by_tcp["product_name"], by_tcp["ip_address"]) == ("1756-L83E/B", "127.0.0.1")


async def test_partial_transfers_are_joined_by_the_client() -> None:
    """Parts of 1,000 bytes: tag list, templates and a large array still come whole."""
    async with LogixTarget(plant_store()) as target:
        target.faults = CipFaultPlan(
            None if at < 3 else CipInjection(CipFault.PARTIAL, cut=1000) for at in range(100_000)
        )

        def use(driver: Any) -> None:
            assert len(driver.tags) == 22 + MANY
            assert len(driver.tags["Wide1"]["data_type"]["attributes"]) == 200
            assert driver.read("Huge{5000}").value == list(range(5000))

        await with_driver(target, use)


async def test_a_link_that_ends_between_frames_is_an_error_at_once() -> None:
    """FIN instead of the answer: the client raises instead of waiting."""
    met: list[bool] = []
    async with LogixTarget(plant_store()) as target:

        def use(driver: Any) -> None:
            target.faults = CipFaultPlan.script(CipFault.FIN)
            with pytest.raises(CommError):
                driver.read("Speed")
            met.append(True)

        # Closing such a driver raises too: its Forward Close finds nobody.
        with pytest.raises(CommError):
            await with_driver(target, use)
    assert met == [True]
