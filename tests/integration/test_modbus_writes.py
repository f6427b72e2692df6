"""A write is never sent twice: the device counts what it received, whatever goes wrong on the way."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from bifrost._native import modbus_frame
from bifrost.core.quality import StatusCode
from bifrost.errors import BifrostError, ConfigError, ModbusFault, NotConnected, WriteError
from bifrost.plc import Area, DataType, PLCConnection, Tag
from bifrost.plc.sim import Fault, FaultPlan, Injection, ModbusTcpServer, RegisterBank
from bifrost.plc.sim.framing import Framing
from tests.integration.modbus_setup import OTHER, TAG, connection
from tests.integration.scripted_device import scripted_device

TCP_FAULTS = [fault for fault in Fault if fault.applies_to(Framing.TCP)]


pytestmark = pytest.mark.usefixtures("leaves_nothing_behind")


@pytest.fixture
async def server() -> AsyncIterator[ModbusTcpServer]:
    bank = RegisterBank()
    bank.map(Area.HOLDING, 0, 200)
    bank.map(Area.COIL, 0, 200)
    async with ModbusTcpServer(bank) as running:
        yield running


async def outcome(plc: PLCConnection, tag: Tag = TAG, value: object = 7) -> BifrostError | None:
    try:
        await plc.write(tag, value)
    except BifrostError as error:
        return error
    return None


@pytest.mark.parametrize("in_flight", [1, 4])
@pytest.mark.parametrize("fault", TCP_FAULTS)
async def test_whatever_happens_to_the_answer_the_device_gets_one_write(
    server: ModbusTcpServer, fault: Fault, in_flight: int
) -> None:
    """And is asked for none later, when the link is back; what is not known is said to be unknown."""
    server.faults = FaultPlan.script(Injection(fault, seconds=0.07 if fault is Fault.DELAY else 0.001, cut=3))
    async with connection(server.port, max_in_flight=in_flight, timeout=0.05) as plc:
        error = await outcome(plc)
        await asyncio.sleep(0.05)
        reads = 1
        while not (await plc.read_tags([OTHER])).ok:
            reads += plc.stats.connects == 1  # one that is silent is given up after a while
            await plc.wait_connected(timeout=2.0)
    assert server.counters.requests <= 1 + reads
    taken = server.bank(1).write_count
    if error is None:
        assert taken == 1
    elif isinstance(error, ModbusFault):
        assert taken == 0
    else:
        assert isinstance(error, WriteError)
        assert error.unknown_outcome
        assert taken <= 1


@pytest.mark.parametrize("code", [5, 6])
async def test_a_write_to_a_busy_device_is_not_repeated(server: ModbusTcpServer, code: int) -> None:
    """Reads are; of a write only the caller knows whether it may be."""
    server.faults = FaultPlan.script(Injection(Fault.EXCEPTION, code=code))
    async with connection(server.port, busy_retries=10) as plc:
        error = await outcome(plc)
        assert isinstance(error, ModbusFault)
        assert error.code == code
        await asyncio.sleep(0.2)
    assert (server.counters.requests, server.bank(1).write_count) == (1, 0)


@pytest.mark.parametrize("in_flight", [1, 2])
async def test_a_write_that_is_cancelled_before_it_is_sent_is_never_sent(
    server: ModbusTcpServer, in_flight: int
) -> None:
    """In the queue, or before its task ran at all."""
    slow = Injection(Fault.DELAY, seconds=0.1)
    server.faults = FaultPlan.script(*[slow] * in_flight)
    async with connection(server.port, max_in_flight=in_flight, timeout=2.0) as plc:
        readings = [asyncio.ensure_future(plc.read(OTHER)) for _ in range(in_flight)]
        await asyncio.sleep(0.02)
        queued = asyncio.ensure_future(plc.write(TAG, 1))
        await asyncio.sleep(0.02)
        never_ran = asyncio.ensure_future(plc.write(TAG, 2))
        for task in (queued, never_ran):
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
        assert await asyncio.gather(*readings) == [0] * in_flight
        assert await plc.read(TAG) == 0
    assert server.bank(1).write_count == 0


@pytest.mark.parametrize("in_flight", [1, 4])
async def test_a_write_that_is_cancelled_after_it_was_sent_was_sent_once(
    server: ModbusTcpServer, in_flight: int
) -> None:
    """The link goes on, and the next answer is the next one's."""
    server.faults = FaultPlan.script(Injection(Fault.DELAY, seconds=0.05))
    async with connection(server.port, max_in_flight=in_flight, timeout=1.0) as plc:
        writing = asyncio.ensure_future(plc.write(TAG, 3))
        await asyncio.sleep(0.02)
        writing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await writing
        assert await plc.read(TAG) == 3
        assert plc.stats.connects == 1
    assert server.bank(1).write_count == 1


async def test_a_write_without_a_link_is_refused_and_not_kept_for_later(server: ModbusTcpServer) -> None:
    """A setpoint of a minute ago must not reach a machine that has just come back."""
    async with connection(server.port) as plc:
        await server.stop(reset=True)
        while plc.state == "connected":  # noqa: ASYNC110 - what is waited for is another state
            await asyncio.sleep(0.005)
        assert isinstance(await outcome(plc), NotConnected)
        await server.start()
        await plc.wait_connected(timeout=3.0)
        assert await plc.read(TAG) == 0
    assert server.bank(1).write_count == 0


async def test_writes_of_many_tasks_arrive_once_each_and_in_order_of_each_task(server: ModbusTcpServer) -> None:
    """Whatever their mixture."""
    async with connection(server.port, max_in_flight=8, timeout=2.0) as plc:

        async def count_up(number: int) -> None:
            for value in range(10):
                await plc.write(Tag(f"t{number}", f"HR{number}", access="rw"), value)

        await asyncio.gather(*(count_up(number) for number in range(1, 6)))
    bank = server.bank(1)
    assert bank.write_count == 50
    for address in range(5):
        assert [write.values for write in bank.writes if write.address == address] == [(value,) for value in range(10)]


# Bits of registers


async def test_a_bit_is_written_by_a_mask_and_leaves_the_others_alone(server: ModbusTcpServer) -> None:
    """Function 22; one request, nothing is read."""
    bank = server.bank(1)
    bank.put(Area.HOLDING, 4, 0b1010_0000_0000_0101)
    async with connection(server.port) as plc:
        await plc.write(Tag("bit", "HR5.1", access="rw"), True)
        assert bank.get(Area.HOLDING, 4) == 0b1010_0000_0000_0111
        await plc.write(Tag("bit", "HR5.15", access="rw"), False)
        assert bank.get(Area.HOLDING, 4) == 0b0010_0000_0000_0111
    assert server.counters.requests == 2


class WithoutMasks:
    """A device that knows functions 3, 6 and 16 only; each answer takes a moment."""

    def __init__(self) -> None:
        self.register = 0
        self.functions: list[int] = []

    async def answer(self, request: bytes, writer: asyncio.StreamWriter) -> None:
        function = request[7]
        self.functions.append(function)
        await asyncio.sleep(0.002)
        if function == 3:
            pdu = b"\x03\x02" + self.register.to_bytes(2, "big")
        elif function in {6, 16}:
            self.register = int.from_bytes(request[-2:], "big")
            pdu = request[7:12]
        else:
            pdu = bytes([function | 0x80, 1])
        writer.write(modbus_frame(int.from_bytes(request[:2], "big"), request[6], pdu))


def bit(number: int) -> Tag:
    return Tag(f"b{number}", f"HR1.{number}", access="rw")


async def test_a_device_without_masks_refuses_a_bit_unless_it_may_be_read_and_written_back() -> None:
    """The text says how; the device is asked for function 22 once, not again and again."""
    device = WithoutMasks()
    async with scripted_device(device.answer) as served, connection(served.port) as plc:
        for _ in range(3):
            error = await outcome(plc, bit(3), True)
            assert isinstance(error, ModbusFault)
            assert "allow_rmw=True" in str(error)
    assert device.functions == [22]
    assert device.register == 0


@pytest.mark.parametrize(("single", "function"), [("auto", 6), ("16", 16)])
async def test_with_leave_a_bit_is_read_changed_and_written_back(single: str, function: int) -> None:
    """With the function that the device takes for one register."""
    device = WithoutMasks()
    device.register = 0x8001
    async with (
        scripted_device(device.answer) as served,
        connection(served.port, allow_rmw=True, write_single=single) as plc,
    ):
        await plc.write(bit(4), True)
        await plc.write(bit(0), False)
    assert device.register == 0x8010
    assert device.functions == [22, 3, function, 3, function]


async def test_bits_written_at_the_same_time_do_not_undo_each_other() -> None:
    """Nothing of ours comes between reading and writing back, not even from another connection on the same link."""
    device = WithoutMasks()
    async with (
        scripted_device(device.answer) as served,
        connection(served.port, allow_rmw=True, timeout=5.0) as one,
        connection(served.port, allow_rmw=True, timeout=5.0) as two,
    ):
        await asyncio.gather(*((one, two)[number % 2].write(bit(number), True) for number in range(16)))
        assert served.links == 1
    assert device.register == 0xFFFF


async def test_a_bit_is_not_written_if_its_register_cannot_be_read() -> None:
    """Nothing was sent that changes anything, and the error says so."""
    device = WithoutMasks()

    async def mute_reads(request: bytes, writer: asyncio.StreamWriter) -> None:
        if request[7] != 3:
            await device.answer(request, writer)

    async with scripted_device(mute_reads) as served, connection(served.port, allow_rmw=True) as plc:
        error = await outcome(plc, bit(1), True)
        assert isinstance(error, WriteError)
        assert not error.unknown_outcome
    assert device.functions == [22]


# Several values, and all units


async def test_the_functions_of_single_writes_can_be_chosen() -> None:
    """Some devices know only 16, some only 6; coils follow."""
    seen: list[int] = []

    async def echo(request: bytes, writer: asyncio.StreamWriter) -> None:
        seen.append(request[7])
        writer.write(modbus_frame(int.from_bytes(request[:2], "big"), 1, request[7:12]))

    coil, wide = Tag("c", "C1", access="rw"), Tag("w", "HR1", DataType.INT32, access="rw")
    async with scripted_device(echo) as device:
        for single, functions in (("auto", [6, 5]), ("16", [16, 15]), ("6", [6, 5])):
            seen.clear()
            async with connection(device.port, write_single=single) as plc:
                await plc.write(TAG, 1)
                await plc.write(coil, True)
                assert seen == functions
                if single == "6":
                    assert isinstance(await outcome(plc, wide), ConfigError)
                    assert len(seen) == 2


async def test_neighbours_are_joined_only_if_asked(server: ModbusTcpServer) -> None:
    """And end up as the same values."""
    values: dict[Tag | str, object] = {
        Tag("a", "HR1", access="rw"): 1,
        Tag("b", "HR2", DataType.FLOAT32, access="rw"): 1.5,
        Tag("c", "HR4", access="rw"): 3,
        Tag("d", "HR9", access="rw"): 4,
    }
    async with connection(server.port) as plc:
        assert (await plc.write_tags(values)).ok
        assert server.counters.requests == 4
        assert (await plc.write_tags(values, merge=True)).ok
        assert server.counters.requests == 6
        assert [write.values for write in list(server.bank(1).writes)[-2:]] == [(1, 0x3FC0, 0, 3), (4,)]
        with pytest.raises(ConfigError, match="2 requests"):
            await plc.write_tags(values, atomic=True, merge=True)


async def test_a_broadcast_is_sent_without_waiting_and_cannot_be_read() -> None:
    """Unit 0 is for all; who reads it would wait for nobody."""
    banks = {unit: RegisterBank() for unit in (1, 2)}
    for bank in banks.values():
        bank.map(Area.HOLDING, 0, 10)
    async with ModbusTcpServer(banks, broadcast=True) as server, connection(server.port, timeout=30.0) as plc:
        to_all = Tag("all", "0!HR3", access="rw")
        async with asyncio.timeout(1.0):
            await plc.write(to_all, 17)
            assert await plc.read(Tag("one", "1!HR3")) == 17
            assert await plc.read(Tag("two", "2!HR3")) == 17
            before = server.counters.requests
            readings = await plc.read_tags([to_all])
            assert readings["all"].status == StatusCode.BAD_NOT_READABLE
            with pytest.raises(ConfigError, match="broadcast"):
                await plc.read(to_all)
        assert server.counters.requests == before
        assert server.counters.broadcasts == 1


@pytest.mark.parametrize(
    ("tag", "value"),
    [
        (Tag("scaled", "HR1:INT16", scale=0.1, access="rw"), 21.57),
        (Tag("coarse", "HR1:INT16", scale=10, offset_value=3, access="rw"), 21),
        (Tag("array", "HR1[3]:INT16", scale=0.1, access="rw"), [1.01, 2, 3.3]),
        (Tag("held", "HR1:INT16", clamp=(0, 10), access="rw"), 10),
        (Tag("half", "HR1:FLOAT16", access="rw"), 0.1),
        (Tag("single", "HR1:FLOAT32", access="rw"), 0.1),
        (Tag("nan", "HR1:FLOAT32", scale=2.0, access="rw"), float("nan")),
        (Tag("text", "HR1:STRING(8)", access="rw"), "oven"),
    ],
)
async def test_a_verified_write_allows_for_what_scale_and_type_round(
    server: ModbusTcpServer, tag: Tag, value: object
) -> None:
    """A number that the device cannot have to the last digit is not called lost."""
    async with connection(server.port) as plc:
        assert (await plc.write_tags({tag: value}, verify=True)).failed == {}


@pytest.mark.parametrize("options", [{}, {"merge": True}, {"atomic": True}, {"verify": True}])
async def test_nothing_to_write_is_written(server: ModbusTcpServer, options: dict[str, bool]) -> None:
    """An empty table is no mistake; what is no table is one."""
    async with connection(server.port) as plc:
        results = await plc.write_tags({}, **options)
        assert (results.ok, len(results)) == (True, 0)
        with pytest.raises(ConfigError, match="expected values by tag"):
            await plc.write_tags([("t", 1)], **options)  # type: ignore[call-overload]  # wrong on purpose
    assert server.counters.requests == 0
