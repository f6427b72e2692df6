"""The virtual-time loop: same order as in real time, no waiting, deadlocks named."""

from __future__ import annotations

import asyncio
import time

import pytest

from bifrost.testing import Deadlock, VirtualClock, VirtualLoop


def run_virtual(main: object) -> object:
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(main)  # type: ignore[arg-type]  # the tests hand in coroutines


async def test_unit_tests_run_on_virtual_time() -> None:
    """An hour of sleep takes no time, and the loop's clock says that an hour has passed."""
    begun = time.monotonic()
    loop = asyncio.get_running_loop()
    before = loop.time()
    await asyncio.sleep(3600)
    assert loop.time() - before == pytest.approx(3600)
    assert time.monotonic() - begun < 1


async def test_timers_fire_in_order_of_time() -> None:
    """Sleepers wake in the order of their deadlines, whatever the order of their start."""
    log: list[float] = []

    async def sleeper(delay: float) -> None:
        await asyncio.sleep(delay)
        log.append(delay)

    await asyncio.gather(*(sleeper(delay) for delay in (3.0, 0.1, 2.0, 0.30000001, 0.3)))
    assert log == [0.1, 0.3, 0.30000001, 2.0, 3.0]


def test_a_deadlock_raises_and_names_the_waiting_task() -> None:
    """A wait that nobody can end is an error that names the task, not a hang."""

    async def wait_for_ever() -> None:
        task = asyncio.current_task()
        assert task is not None
        task.set_name("the-stuck-one")
        await asyncio.get_running_loop().create_future()

    with pytest.raises(Deadlock, match="the-stuck-one"):
        run_virtual(wait_for_ever())


async def test_an_executor_job_is_waited_for_in_real_time() -> None:
    """A timer beside a thread's job does not fire before the job is done."""

    def job() -> str:
        time.sleep(0.05)
        return "done"

    async with asyncio.timeout(5):
        assert await asyncio.get_running_loop().run_in_executor(None, job) == "done"


async def test_a_foreign_threads_call_is_waited_for_under_external_work() -> None:
    """While external work is held, virtual time stands still and a thread's call arrives first."""
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualLoop)
    future: asyncio.Future[str] = loop.create_future()
    threading_job = asyncio.to_thread(time.sleep, 0.02)
    with loop.external_work():
        async with asyncio.timeout(1):
            await threading_job
            loop.call_soon_threadsafe(future.set_result, "came")
            assert await future == "came"


async def test_the_virtual_clock_follows_the_loop_and_steps_only_on_its_wall_side() -> None:
    """Both clocks advance with the loop; a step of the wall clock leaves the monotonic one alone."""
    clock = VirtualClock()
    wall, mono = clock.time_ns(), clock.monotonic()
    await asyncio.sleep(1.5)
    assert clock.time_ns() - wall == 1_500_000_000
    clock.step_wall_clock(-10)
    assert clock.monotonic() - mono == pytest.approx(1.5)
    assert clock.time_ns() - wall == -8_500_000_000


async def test_sockets_work_on_the_virtual_loop() -> None:
    """A loopback server and client in one process talk although time is virtual."""

    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(await reader.readexactly(4))
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(echo, "127.0.0.1", 0)
    async with server:
        reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        writer.write(b"ping")
        async with asyncio.timeout(5):
            assert await reader.readexactly(4) == b"ping"
        writer.close()
        await writer.wait_closed()
