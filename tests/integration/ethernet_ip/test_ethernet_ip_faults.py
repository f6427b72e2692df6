"""What a Logix controller, or the network before it, can do wrong: each fault has a bounded, named outcome."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

import pytest

from bifrost.core.quality import StatusCode
from bifrost.errors import CIPFault as RefusedFault
from bifrost.errors import LinkError, NotConnected
from bifrost.plc.sim.cip import CipFault, CipFaultPlan, CipInjection, LogixTarget, OpeningRules
from tests.integration.ethernet_ip.logix import link, linked, status, tag, tag_store
from tests.integration.leftovers import nothing_left_behind
from tests.integration.waiting import until

_FATAL = [
    CipInjection(CipFault.DROP),
    CipInjection(CipFault.HANG, cut=0),
    CipInjection(CipFault.HANG, cut=10),
    CipInjection(CipFault.HANG, cut=40),
    CipInjection(CipFault.TRUNCATE, cut=1),
    CipInjection(CipFault.TRUNCATE, cut=24),
    CipInjection(CipFault.TRUNCATE, cut=50),
    CipInjection(CipFault.FIN),
    CipInjection(CipFault.RST),
    CipInjection(CipFault.SILENCE),
    CipInjection(CipFault.GARBAGE),
    CipInjection(CipFault.GARBAGE, noise=b"\x70\x00\xff\xff" + bytes(40)),
    CipInjection(CipFault.WRONG_LENGTH),
    CipInjection(CipFault.WRONG_SESSION),
    CipInjection(CipFault.INVALID_SESSION),
    CipInjection(CipFault.WRONG_SEQUENCE),
    CipInjection(CipFault.STALE),
    CipInjection(CipFault.CONNECTION_LOST),
    CipInjection(CipFault.DELAY, seconds=1.0),
    CipInjection(CipFault.SLOW_BYTES, seconds=0.02),
]
_HARMLESS = [
    CipInjection(CipFault.DELAY, seconds=0.05),
    CipInjection(CipFault.SPLIT),
    CipInjection(CipFault.SLOW_BYTES, seconds=0.001),
    CipInjection(CipFault.COALESCE),
    CipInjection(CipFault.DUPLICATE),
    CipInjection(CipFault.WRONG_CONTEXT),
    CipInjection(CipFault.PARTIAL, cut=40),
]


@pytest.fixture(autouse=True)
async def _clean() -> AsyncIterator[None]:
    async with nothing_left_behind():
        yield


@pytest.mark.parametrize("injection", _FATAL, ids=lambda one: f"{one.fault}-{one.cut}-{len(one.noise)}")
async def test_a_broken_answer_ends_the_link_in_time_and_gives_no_value(injection: CipInjection) -> None:
    """The read is `NotConnected` by its deadline, the loss is told once, and the next link reads right values."""
    async with LogixTarget(tag_store()) as target, nothing_left_behind():
        async with linked(target.port) as broken:
            assert await broken.values("Count") == [7]
            target.faults = CipFaultPlan.script(injection)
            loop = asyncio.get_running_loop()
            began = loop.time()
            with pytest.raises(NotConnected):
                await broken.read("Speed", "Arr{10}", timeout=0.1)
            assert loop.time() - began < 1.0
            with pytest.raises(NotConnected):
                await broken.read("Count")
        assert len(broken.losses) == 1
        assert target.faults is not None
        assert len(target.faults.history) == 1, "it was asked again on the same link"
        async with linked(target.port) as mended:
            assert await mended.values("Speed", "Count") == [1.5, 7]
        await until(lambda: not target.clients)


@pytest.mark.parametrize("injection", _HARMLESS, ids=lambda one: f"{one.fault}")
async def test_what_can_be_told_apart_costs_no_link(injection: CipInjection) -> None:
    """Late, in pieces, twice, in parts: each read brings its own values, and the link goes on."""
    async with LogixTarget(tag_store()) as target, nothing_left_behind(), linked(target.port) as slow:
        target.faults = CipFaultPlan.script(*([injection] * 6))
        assert await slow.values("Speed", "Count") == [1.5, 7]
        assert await slow.values("Arr{10}") == list(range(10))
        assert await slow.values("Text") == ["hello"]
        target.faults = None
        assert await slow.values("Word", "Long") == [0b1010, -(2**40)]
        assert slow.losses == []


async def test_answers_that_belong_to_nobody_are_counted() -> None:
    """A second copy of an answer is dropped, not taken for the next one."""
    async with LogixTarget(tag_store()) as target, linked(target.port) as twice:
        target.faults = CipFaultPlan.script(CipFault.DUPLICATE, CipFault.DUPLICATE)
        assert await twice.values("Speed") == [1.5]
        assert await twice.values("Count") == [7]
        assert await twice.values("Small") == [-3]
        assert twice.driver.counters()["late_answers"] == 2


@pytest.mark.parametrize(
    ("code", "extended", "expected"),
    [
        (0x04, 0, StatusCode.BAD_NODE_ID_UNKNOWN),
        (0x05, 0, StatusCode.BAD_NODE_ID_UNKNOWN),
        (0x08, None, StatusCode.BAD_NOT_SUPPORTED),
        (0x0A, None, StatusCode.BAD_NOT_SUPPORTED),
        (0x0C, 0x8010, StatusCode.BAD_OUT_OF_SERVICE),
        (0x0F, None, StatusCode.BAD_USER_ACCESS_DENIED),
        (0x10, 0x2101, StatusCode.BAD_OUT_OF_SERVICE),
        (0x13, None, StatusCode.BAD_CONFIGURATION_ERROR),
        (0x15, None, StatusCode.BAD_CONFIGURATION_ERROR),
        (0xFF, 0x2105, StatusCode.BAD_NODE_ID_UNKNOWN),
        (0xFF, 0x2107, StatusCode.BAD_TYPE_MISMATCH),
        (0xFF, 0x2112, StatusCode.BAD_DEVICE_FAILURE),
    ],
)
async def test_a_refused_tag_fails_alone_with_its_status(code: int, extended: int | None, expected: StatusCode) -> None:
    """The controller's numbers are in the error, its meaning in the status; the tags beside it are read."""
    async with LogixTarget(tag_store()) as target, linked(target.port) as some:
        fault = CipInjection(CipFault.EMBEDDED, code=code, extended=extended, index=1)
        target.faults = CipFaultPlan.script(fault, None)
        readings = await some.read("Speed", "Count", "Small")
        assert [status(readings, slot) for slot in range(3)] == [StatusCode.GOOD, expected, StatusCode.GOOD]
        assert readings.values == [1.5, None, -3]
        error = readings.errors[1]
        assert isinstance(error, RefusedFault)
        assert (error.code, error.extended) == (code, extended)
        assert f"0x{code:02x}" in str(error)
        assert "Count" in str(error)
        assert await some.values("Count") == [7]


async def test_a_controller_that_takes_one_request_at_a_time_is_asked_that_way() -> None:
    """Status 0x08 for several in one: each is asked alone, now and from then on."""
    async with LogixTarget(tag_store()) as target, linked(target.port) as single:
        target.faults = CipFaultPlan.script(CipInjection(CipFault.STATUS, code=0x08))
        assert await single.values("Speed", "Count", "Small") == [1.5, 7, -3]
        before = target.counters.requests
        assert await single.values("Speed", "Count", "Small") == [1.5, 7, -3]
        assert target.counters.requests - before == 3


async def test_a_refusal_of_all_is_traced_to_single_tags() -> None:
    """If a whole packet is refused, its parts are asked for; only what is refused again is BAD."""
    async with LogixTarget(tag_store()) as target, linked(target.port) as some:
        refusal = CipInjection(CipFault.STATUS, code=0x02)
        target.faults = CipFaultPlan.script(refusal, None, refusal)
        readings = await some.read("Speed", "Count", "Small")
        assert readings.values[0] == 1.5
        assert sum(value is None for value in readings.values) <= 2
        assert await some.values("Speed", "Count", "Small") == [1.5, 7, -3]


@pytest.mark.parametrize("at", range(3), ids=["register", "identity", "open"])
@pytest.mark.parametrize(
    "injection",
    [one for one in _FATAL if one.fault not in {CipFault.CONNECTION_LOST, CipFault.DELAY, CipFault.SILENCE}][::2],
    ids=lambda one: f"{one.fault}",
)
async def test_a_fault_while_the_link_comes_up_is_a_link_error(injection: CipInjection, at: int) -> None:
    """No request of the opening can hang it, and nothing is left of the attempt."""
    async with LogixTarget(tag_store()) as target, nothing_left_behind():
        target.opening_faults = CipFaultPlan.script(*([None] * at), injection)
        attempt = link(target.port)
        loop = asyncio.get_running_loop()
        began = loop.time()
        try:
            await attempt.driver.connect(timeout=0.1, on_lost=attempt.losses.append)
        except LinkError:
            assert attempt.losses == []
        else:
            assert await attempt.values("Count") == [7]  # what a fault may do to this request does no harm
        assert loop.time() - began < 1.5
        await attempt.driver.aclose()
        await until(lambda: not target.clients)
        target.opening_faults = None
        async with linked(target.port) as mended:
            assert await mended.values("Count") == [7]


@pytest.mark.parametrize("injection", _FATAL[::3], ids=lambda one: f"{one.fault}")
async def test_a_fault_while_the_controller_is_asked_who_it_is_is_a_link_error(injection: CipInjection) -> None:
    """The last request before the connection is opened: in time, and nothing is left."""
    async with LogixTarget(tag_store()) as target, nothing_left_behind():
        target.faults = CipFaultPlan.script(injection)
        attempt = link(target.port, init_tags="off")
        with contextlib.suppress(LinkError):
            await attempt.driver.connect(timeout=0.1, on_lost=attempt.losses.append)
            assert await attempt.values("Count") == [7]
        await attempt.driver.aclose()
        await until(lambda: not target.clients)
        assert attempt.losses == []


async def test_a_controller_that_does_not_say_who_it_is_can_be_read() -> None:
    """A refused identity is no reason to go without its values."""
    async with LogixTarget(tag_store()) as target:
        target.faults = CipFaultPlan.script(CipInjection(CipFault.STATUS, code=0x08))
        async with linked(target.port) as quiet:
            assert await quiet.values("Count", "Motors[0].Running") == [7, False]


async def test_an_answer_to_somebody_else_opens_no_link() -> None:
    """What opens a connection is told apart by its sender context; the right answer may come after a foreign one."""
    async with LogixTarget(tag_store()) as target, nothing_left_behind():
        target.opening_faults = CipFaultPlan.script(None, None, CipFault.WRONG_CONTEXT)
        attempt = link(target.port)
        with pytest.raises(LinkError):
            await attempt.driver.connect(timeout=0.1, on_lost=attempt.losses.append)
        assert attempt.driver.counters()["late_answers"] == 1
        await attempt.driver.aclose()
        target.opening_faults = CipFaultPlan.script(None, None, CipFault.COALESCE)
        async with linked(target.port) as opened:
            assert opened.driver.counters()["late_answers"] == 1
            assert await opened.values("Count") == [7]


@pytest.mark.parametrize(
    ("rules", "text"),
    [
        (OpeningRules(forward_open=False), "0x08"),
        (OpeningRules(max_connections=0), "no connection left"),
        (OpeningRules(slot=3), "slot"),
    ],
    ids=["none", "too-many", "slot"],
)
async def test_a_refused_connection_says_why(rules: OpeningRules, text: str) -> None:
    """`LinkError` with the controller's reason, and nothing is left."""
    async with LogixTarget(tag_store(), rules=rules) as target, nothing_left_behind():
        attempt = link(target.port)
        with pytest.raises(LinkError, match=text):
            await attempt.driver.connect(timeout=1.0, on_lost=attempt.losses.append)
        await attempt.driver.aclose()


@pytest.mark.parametrize("rules", [OpeningRules(large=False), OpeningRules(max_size=500)], ids=["unknown", "too-large"])
async def test_small_packets_do_where_large_ones_are_refused(rules: OpeningRules) -> None:
    """4000 bytes, else 500; large arrays come in parts either way."""
    async with LogixTarget(tag_store(), rules=rules) as target, linked(target.port) as small:
        assert await small.values("Large{3000}") == [number / 2 for number in range(3000)]
        names = ["Speed", "Count", "Small", "Word", "Long", "Flag", "Text"] * 10
        assert await small.values(*names) == [1.5, 7, -3, 10, -(2**40), True, "hello"] * 10


async def test_a_connection_limit_that_answers_with_silence_is_a_link_error() -> None:
    """Accepted, never answered: the deadline of the connection attempt holds."""
    async with LogixTarget(tag_store(), max_clients=0, turn_away="silence") as target, nothing_left_behind():
        attempt = link(target.port)
        with pytest.raises(LinkError):
            await attempt.driver.connect(timeout=0.2, on_lost=attempt.losses.append)
        await attempt.driver.aclose()


async def test_seeded_faults_never_give_a_wrong_value() -> None:
    """A long run of every fault: each value is right or None, and every link ends with nothing left."""
    expected = {"Speed": 1.5, "Count": 7, "Small": -3, "Word": 10, "Text": "hello", "Arr[4]": 4}
    async with LogixTarget(tag_store()) as target, nothing_left_behind():
        read = 0
        for seed in range(12):
            async with linked(target.port, init_tags="off") as troubled:
                target.faults = CipFaultPlan.seeded(seed, rate=0.3)
                try:
                    for _ in range(20):
                        for names in (list(expected), list(expected)[::-1], ["Arr[4]"]):
                            readings = await troubled.read(*names, timeout=0.1)
                            for name, value in zip(names, readings.values, strict=True):
                                assert value is None or value == expected[name], f"{name} was read as {value!r}"
                                read += value is not None
                except NotConnected:
                    pass
                target.faults = None
        assert read > 20


async def test_a_cancelled_read_leaves_the_next_its_own_values() -> None:
    """The thread finishes what it began, its result is dropped, and nothing is out of step."""
    async with LogixTarget(tag_store()) as target, linked(target.port) as shared:
        target.faults = CipFaultPlan.script(CipInjection(CipFault.DELAY, seconds=0.1))
        given_up = asyncio.ensure_future(shared.read("Speed", "Arr{10}"))
        waiting = asyncio.ensure_future(shared.read("Word"))
        await asyncio.sleep(0.02)
        given_up.cancel()
        waiting.cancel()
        await asyncio.wait([given_up, waiting])
        assert given_up.cancelled()
        assert waiting.cancelled()
        assert await shared.values("Count") == [7]
        assert await shared.values("Small", "Text") == [-3, "hello"]
        assert shared.losses == []
        assert shared.driver.counters()["timeouts"] == 0


async def test_a_loaded_program_is_followed() -> None:
    """Ids change: names do not, so no other tag is read; a tag that is gone is BAD, and the list is asked for again."""
    store = tag_store()
    async with LogixTarget(store) as target, linked(target.port) as followed:
        assert await followed.values("Speed", "Count") == [1.5, 7]
        store.remove("Speed")
        store.download()
        readings = await followed.read("Speed", "Count")
        assert readings.values == [None, 7]
        assert status(readings) is StatusCode.BAD_NODE_ID_UNKNOWN
        store.add("Speed", "DINT", 99)
        declared = await followed.read(tag("Speed", "REAL"), "Count")
        assert declared.values == [None, 7]
        assert status(declared) is StatusCode.BAD_TYPE_MISMATCH
        assert "FLOAT32" in str(declared.errors[0])
        assert "DINT" in str(declared.errors[0])
        assert await followed.values("Speed") == [99]


async def test_a_list_that_no_longer_fits_is_asked_for_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """A structure with another layout is BAD, never misread, until the list is there again; arrays of bits likewise."""
    monkeypatch.setattr("bifrost.plc.ethernet_ip.driver._REFRESH", 0.0)
    store = tag_store()
    store.define("Pair", {"A": "DINT", "B": "REAL"})
    store.define("Swapped", {"A": "REAL", "B": "DINT"})  # as large, but something else
    store.add("Thing", "Pair", {"A": 1, "B": 2.5})
    async with LogixTarget(store) as target, linked(target.port) as followed:
        assert await followed.values("Thing", "Flags[40]") == [{"A": 1, "B": 2.5}, False]
        store.remove("Thing")
        store.remove("Flags")
        store.add("Thing", "Swapped", {"A": 3.5, "B": 2})
        store.add("Flags", "DINT[50]", list(range(50)))
        store.download()

        async def mended() -> bool:
            readings = await followed.read("Thing", "Flags[40]")
            assert readings.values[0] in (None, {"A": 3.5, "B": 2})
            assert readings.values[1] in (None, 40)
            return not readings.errors

        assert not await mended()
        await until(mended, timeout=2.0)
        assert followed.driver.counters()["tag_uploads"] >= 2
        assert followed.losses == []


async def test_only_a_tag_that_was_there_makes_the_list_old(monkeypatch: pytest.MonkeyPatch) -> None:
    """A name that never was costs no upload, however often it is asked for."""
    monkeypatch.setattr("bifrost.plc.ethernet_ip.driver._REFRESH", 0.0)
    store = tag_store()
    async with LogixTarget(store) as target, linked(target.port) as followed:
        await followed.values("Speed")
        for _ in range(3):
            assert (await followed.read("Never", "Count")).values == [None, 7]
        assert followed.driver.counters()["tag_uploads"] == 1
        store.remove("Speed")
        await followed.read("Speed", "Count")
        await until(lambda: followed.driver.counters()["tag_uploads"] == 2)


async def test_too_many_readers_are_told_so(monkeypatch: pytest.MonkeyPatch) -> None:
    """The queue of a link is bounded: what is too much is BAD at once, and a write says that nothing was sent."""
    monkeypatch.setattr("bifrost.plc.ethernet_ip.watched_thread.MAX_WAITING", 2)
    async with LogixTarget(tag_store()) as target, linked(target.port) as crowded:
        target.faults = CipFaultPlan.script(CipInjection(CipFault.DELAY, seconds=0.1))
        first = [asyncio.ensure_future(crowded.read("Speed")) for _ in range(3)]
        await asyncio.sleep(0.02)
        readings = await crowded.read("Speed", "Count")
        assert readings.values == [None, None]
        assert status(readings) is StatusCode.BAD_COMMUNICATION_ERROR
        with pytest.raises(NotConnected, match="ask less often"):
            await crowded.write("Count", 3)
        assert [(await one).values for one in first] == [[1.5]] * 3
        assert crowded.losses == []
