"""Each fault of the simulated controller as a client sees it on the wire, and what it leaves behind: nothing."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator
from typing import Any

import psutil
import pytest

from bifrost.plc.sim.cip import CipFault, CipFaultPlan, CipInjection, LogixTarget, TagStore
from bifrost.plc.sim.cip.encapsulation import Frame, decode_items
from tests.integration.cip_sim.raw_client import opening, raw_client, symbol
from tests.integration.waiting import until

READ_A = b"\x4c" + bytes([len(symbol("A")) // 2]) + symbol("A") + b"\x01\0"
WRITE_A = b"\x4d" + READ_A[1:-2] + bytes.fromhex("c40001002a000000")
A_IS_7 = bytes.fromhex("cc000000c40007000000")


@pytest.fixture
async def target() -> AsyncIterator[LogixTarget]:
    def held() -> tuple[int, int, int]:
        process: Any = psutil.Process()
        files = process.num_fds() if hasattr(process, "num_fds") else process.num_handles()
        return files, threading.active_count(), len(asyncio.all_tasks())

    before = held()
    store = TagStore()
    store.add("A", "DINT", 7)
    store.add("Arr", "DINT[20]", list(range(20)))
    async with LogixTarget(store) as made:
        yield made
    assert held() == before


def script(*entries: CipInjection | CipFault | None) -> CipFaultPlan:
    return CipFaultPlan.script(*entries)


def answer_in(frame: Frame) -> bytes:
    return decode_items(frame.data)[1].data[2:]


async def test_dropped_the_request_is_acted_on_and_not_answered(target: LogixTarget) -> None:
    """The next request has its answer; the write has taken effect."""
    async with raw_client(target.port, size=500) as client:
        target.faults = script(CipFault.DROP)
        client.writer.write(client.connected_frame(WRITE_A).encode())
        assert await client.silent()
        assert target.tags.value("A") == 42
        assert (await client.connected(READ_A))[6:] == b"\x2a\0\0\0"
        assert target.counters.injected == 1


async def test_delayed_the_answer_is_late_and_holds_back_the_next(target: LogixTarget) -> None:
    """Both come, whole and in order."""
    async with raw_client(target.port, size=500) as client:
        target.faults = script(CipInjection(CipFault.DELAY, seconds=0.1))
        began = asyncio.get_running_loop().time()
        client.writer.write(client.connected_frame(READ_A).encode() + client.connected_frame(WRITE_A).encode())
        assert answer_in(await client.frame()) == A_IS_7
        assert asyncio.get_running_loop().time() - began >= 0.09
        assert answer_in(await client.frame()).hex() == "cd000000"


async def test_hung_in_the_middle_of_a_frame_the_link_stays_open(target: LogixTarget) -> None:
    """The beginning comes, the rest never, and no later request is answered or acted on."""
    async with raw_client(target.port, size=500) as client:
        target.faults = script(CipInjection(CipFault.HANG, cut=30))
        client.writer.write(client.connected_frame(READ_A).encode())
        assert (await client.exactly(30))[:2] == b"\x70\0"
        client.writer.write(client.connected_frame(WRITE_A).encode())
        assert await client.silent()
        assert target.tags.write_count == 0
        assert target.clients == 1


async def test_truncated_the_frame_ends_with_the_link(target: LogixTarget) -> None:
    """So many bytes, then FIN: where some clients receive nothing for ever."""
    async with raw_client(target.port, size=500) as client:
        target.faults = script(CipInjection(CipFault.TRUNCATE, cut=40))
        client.writer.write(client.connected_frame(READ_A).encode())
        await client.exactly(40)
        assert await client.ended()
    await until(lambda: target.clients == 0)


@pytest.mark.parametrize("fault", [CipFault.FIN, CipFault.RST])
async def test_the_link_ends_instead_of_the_answer(target: LogixTarget, fault: CipFault) -> None:
    """In order or by a reset; the request was acted on, and a new link works."""
    async with raw_client(target.port, size=500) as client:
        target.faults = script(fault)
        client.writer.write(client.connected_frame(WRITE_A).encode())
        if fault is CipFault.FIN:
            assert await client.ended()
        else:
            with pytest.raises(ConnectionResetError):
                await client.ended()
    async with raw_client(target.port, size=500) as client:
        assert (await client.connected(READ_A))[6:] == b"\x2a\0\0\0"


async def test_silent_a_link_stays_silent_and_another_is_served(target: LogixTarget) -> None:
    """The half-open peer."""
    async with raw_client(target.port, size=500) as client:
        target.faults = script(CipFault.SILENCE)
        for _ in range(3):
            client.writer.write(client.connected_frame(READ_A).encode())
        assert await client.silent()
        async with raw_client(target.port) as other:
            await other.register()
            assert await other.unconnected(READ_A) == A_IS_7


@pytest.mark.parametrize("injection", [CipInjection(CipFault.SPLIT), CipInjection(CipFault.SLOW_BYTES, seconds=0.001)])
async def test_in_single_bytes_the_answer_is_whole(target: LogixTarget, injection: CipInjection) -> None:
    """Without and with time in between."""
    async with raw_client(target.port, size=500) as client:
        target.faults = CipFaultPlan.always(injection)
        for _ in range(2):
            assert await client.connected(READ_A) == A_IS_7


async def test_two_frames_come_in_one_segment(target: LogixTarget) -> None:
    """A foreign context first, then ours; or ours twice."""
    async with raw_client(target.port, size=500) as client:
        target.faults = script(CipFault.COALESCE, CipFault.DUPLICATE)
        foreign = await client.ask(client.connected_frame(READ_A))
        assert foreign.context != b"connectd"
        assert (await client.frame()).context == b"connectd"
        assert await client.connected(READ_A) == A_IS_7
        assert answer_in(await client.frame()) == A_IS_7


async def test_garbage_and_wrong_lengths_lose_the_framing(target: LogixTarget) -> None:
    """The very noise; a header that announces 4 bytes less, after which they stand alone."""
    async with raw_client(target.port, size=500) as client:
        target.faults = script(CipInjection(CipFault.GARBAGE, noise=b"\xde\xad"), CipFault.WRONG_LENGTH)
        client.writer.write(client.connected_frame(READ_A).encode())
        assert await client.exactly(2) == b"\xde\xad"
        short = await client.ask(client.connected_frame(READ_A))
        assert len(short.data) == 28
        assert await client.exactly(4) == A_IS_7[-4:]
        assert await client.connected(READ_A) == A_IS_7


async def test_headers_that_belong_to_others(target: LogixTarget) -> None:
    """Another session, another context, another sequence count, in otherwise right answers."""
    async with raw_client(target.port, size=500) as client:
        target.faults = script(CipFault.WRONG_SESSION, CipFault.WRONG_CONTEXT, CipFault.WRONG_SEQUENCE)
        assert (await client.ask(client.connected_frame(READ_A))).session != client.session
        assert (await client.ask(client.connected_frame(READ_A))).context != b"connectd"
        wrong = await client.ask(client.connected_frame(READ_A))
        assert decode_items(wrong.data)[1].data[:2] != client.sequence.to_bytes(2, "little")
        assert answer_in(wrong) == A_IS_7
        assert await client.connected(READ_A) == A_IS_7


async def test_a_stale_answer_is_the_one_before(target: LogixTarget) -> None:
    """With its old sequence count; the request itself was acted on."""
    async with raw_client(target.port, size=500) as client:
        before = await client.ask(client.connected_frame(READ_A))
        target.faults = script(CipFault.STALE)
        assert await client.ask(client.connected_frame(WRITE_A)) == before
        assert target.tags.write_count == 1


async def test_an_invalid_session_refuses_without_acting(target: LogixTarget) -> None:
    """Encapsulation status 0x64 and nothing else."""
    async with raw_client(target.port, size=500) as client:
        target.faults = script(CipFault.INVALID_SESSION)
        answer = await client.ask(client.connected_frame(WRITE_A))
        assert (answer.status, answer.data, answer.context) == (0x64, b"", b"connectd")
        assert target.tags.write_count == 0


async def test_lost_the_cip_connection_is_gone_and_tcp_stays(target: LogixTarget) -> None:
    """No answer on it from now on, no act; a new Forward Open mends it."""
    async with raw_client(target.port, size=500) as client:
        target.faults = script(CipFault.CONNECTION_LOST)
        client.writer.write(client.connected_frame(WRITE_A).encode())
        assert await client.silent()
        assert target.tags.write_count == 0
        assert (await client.open())[2] == 0
        assert await client.connected(READ_A) == A_IS_7


@pytest.mark.parametrize(("code", "extended"), [(0x04, 0), (0x05, 0), (0x0A, None), (0x10, 0x2101), (0xFF, 0x2107)])
async def test_a_status_is_injected_for_the_nth_service(target: LogixTarget, code: int, extended: int | None) -> None:
    """The second of three requests fails with it and is not acted on."""
    async with raw_client(target.port, size=500) as client:
        target.faults = script(None, CipInjection(CipFault.STATUS, code=code, extended=extended))
        statuses = [(await client.connected(WRITE_A))[2:] for _ in range(3)]
        more = b"\0" if extended is None else b"\x01" + extended.to_bytes(2, "little")
        assert statuses == [b"\0\0", bytes([code]) + more, b"\0\0"]
        assert (target.tags.write_count, target.services[0x4D]) == (2, 3)


async def test_one_of_a_multiple_service_fails(target: LogixTarget) -> None:
    """Outer status 0x1E, the others answered."""
    wire = b"\x0a\x02\x20\x02\x24\x01" + b"\x03\0" + b"\x08\0\x10\0\x18\0" + READ_A * 3
    assert len(READ_A) == 8
    async with raw_client(target.port, size=500) as client:
        target.faults = script(CipInjection(CipFault.EMBEDDED, code=0x10, index=1))
        answer = await client.connected(wire)
        assert answer.hex() == "8a001e000300080012001600" + A_IS_7.hex() + "cc001000" + A_IS_7.hex()
        assert (await client.connected(wire))[2] == 0


async def test_a_partial_answer_says_so_and_can_be_continued(target: LogixTarget) -> None:
    """Status 0x06 with less data than would fit."""
    async with raw_client(target.port, size=500) as client:
        target.faults = script(CipInjection(CipFault.PARTIAL, cut=22))
        answer = await client.read("Arr", 20)
        assert (answer[2], len(answer)) == (0x06, 4 + 22)


@pytest.mark.parametrize(("code", "extended"), [(0x01, 0x0113), (0x08, None)])
async def test_forward_open_is_refused(target: LogixTarget, code: int, extended: int | None) -> None:
    """With the status and extended status of the injection; the next one is granted."""
    async with raw_client(target.port) as client:
        await client.register()
        target.opening_faults = script(CipInjection(CipFault.STATUS, code=code, extended=extended))
        more = b"\0" if extended is None else b"\x01" + extended.to_bytes(2, "little")
        assert await client.open() == b"\xd4\0" + bytes([code]) + more
        assert len(target.manager) == 0
        assert (await client.open())[2] == 0


async def test_opening_has_faults_of_its_own(target: LogixTarget) -> None:
    """An unanswered RegisterSession, an unanswered Forward Open; reads are not counted among them."""
    async with raw_client(target.port) as client:
        target.opening_faults = script(CipFault.DROP, None, CipFault.SILENCE)
        client.writer.write(Frame(0x65, data=b"\x01\0\0\0").encode())
        assert await client.silent()
    async with raw_client(target.port) as client:
        await client.register()
        assert await client.unconnected(READ_A) == A_IS_7
        client.writer.write(client.unconnected_frame(opening(500)).encode())
        assert await client.silent()
        assert target.opening_faults.history[2] == CipInjection(CipFault.SILENCE)


async def test_any_seed_leaves_a_target_that_serves_the_next_client(target: LogixTarget) -> None:
    """A client that is met with random faults gives up; the next one, without, is served."""
    for seed in range(20):
        target.faults = CipFaultPlan.seeded(seed, rate=0.7, seconds=0.002)
        async with raw_client(target.port, size=500) as client:
            for _ in range(10):
                client.writer.write(client.connected_frame(READ_A).encode())
            await client.silent(0.002)
        target.faults = None
    async with raw_client(target.port, size=500) as client:
        assert await client.connected(READ_A) == A_IS_7
