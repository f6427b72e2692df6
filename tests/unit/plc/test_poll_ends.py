"""How polls, batches and subscriptions end, and what a slow consumer is told; on virtual time."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from typing import Any, cast

from bifrost.core.batch import Batch
from bifrost.core.quality import StatusCode
from bifrost.plc import PLCConnection, Snapshot, Tag
from bifrost.plc.datatypes import DataType
from bifrost.plc.subscription import Subscription
from bifrost.testing import VirtualClock
from tests.unit.plc.memory import Machine, memory


def connection(machine: Machine, clock: VirtualClock, **options: Any) -> PLCConnection:
    return memory(machine, **options)(clock)


async def test_closing_ends_a_slow_poll_at_once(clock: VirtualClock) -> None:
    """Not when its next cycle is due, which may be a day later; what was read before is still given."""
    loop = asyncio.get_running_loop()
    plc = connection(Machine({"a": 1}), clock)
    async with plc:

        async def consume() -> list[Any]:
            return [snapshot["a"].value async for snapshot in plc.poll(interval_ms=3_600_000.0)]

        consumer = asyncio.create_task(consume())
        await asyncio.sleep(1.0)
        before = loop.time()
    assert await consumer == [1]
    assert loop.time() - before < 1.0
    assert len(asyncio.all_tasks()) == 1


async def test_closing_while_polls_read_ends_them_all(clock: VirtualClock) -> None:
    """With the request under way, none is left behind and none raises."""
    machine = Machine({"a": 1}, read_takes=0.5)
    async with connection(machine, clock) as plc:

        async def consume() -> int:
            return len([snapshot async for snapshot in plc.poll(interval_ms=10.0)])

        consumers = [asyncio.create_task(consume()) for _ in range(20)]
        subscriptions = [plc.subscribe(None, lambda _: None, interval_ms=10.0) for _ in range(20)]
        await asyncio.sleep(0.7)
    assert await asyncio.gather(*consumers) == [1] * 20
    assert not any(subscription.active for subscription in subscriptions)
    assert len(asyncio.all_tasks()) == 1


async def test_a_poll_of_a_closed_connection_gives_nothing(clock: VirtualClock) -> None:
    """It ends as one does that was begun before; so do batches."""
    async with connection(Machine({"a": 1}), clock) as plc:
        pass
    assert [snapshot async for snapshot in plc.poll(interval_ms=10.0)] == []
    assert [batch async for batch in plc.batches()] == []


async def test_closing_ends_batches(clock: VirtualClock) -> None:
    """They do not go on as BAD rows for ever."""
    got: list[Batch] = []

    async def consume(plc: PLCConnection) -> None:
        async for batch in plc.batches():
            got.append(batch)  # noqa: PERF401 - kept as they come, also if there is no end

    async with connection(Machine({"a": 1}), clock, interval=60.0) as plc:
        consumer = asyncio.create_task(consume(plc))
        await asyncio.sleep(0.1)
    async with asyncio.timeout(1.0):
        await consumer
    assert [[row[2] for row in batch.rows()] for batch in got] == [[1]]


async def test_a_cancelled_subscription_is_silent(clock: VirtualClock) -> None:
    """Also if the function cancels it itself, while the next snapshot is waiting already."""
    machine = Machine({"a": 0})
    calls: list[int] = []
    subscriptions: list[Subscription] = []

    async def hear(snapshot: Snapshot) -> None:
        calls.append(snapshot.seq)
        await asyncio.sleep(0.035)
        subscriptions[0].cancel()

    async with connection(machine, clock) as plc:
        subscriptions.append(plc.subscribe(["a"], hear, interval_ms=10.0, on_change=False))
        await subscriptions[0].wait_ended()
        await asyncio.sleep(0.1)
        assert calls == [0]


async def test_a_function_that_swallows_its_cancellation_is_not_called_again(clock: VirtualClock) -> None:
    """The subscription ends after the call that would not end."""
    calls: list[int] = []

    async def hear(snapshot: Snapshot) -> None:
        calls.append(snapshot.seq)
        try:
            await asyncio.sleep(10.0)
        except asyncio.CancelledError:
            return

    async with connection(Machine({"a": 0}), clock) as plc:
        subscription = plc.subscribe(["a"], hear, interval_ms=10.0, on_change=False)
        await asyncio.sleep(0.1)
        subscription.cancel()
        async with asyncio.timeout(1.0):
            await subscription.wait_ended()
        assert calls == [0]


async def test_a_function_that_meets_the_cancellation_of_another_task_ends_nothing(clock: VirtualClock) -> None:
    """It is reported like whatever else the function raises."""
    reported: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: reported.append(context))

    async def hear(_: Snapshot) -> None:
        other = asyncio.create_task(asyncio.sleep(10.0))
        other.cancel()
        await other

    async with connection(Machine({"a": 0}), clock) as plc:
        subscription = plc.subscribe(["a"], hear, interval_ms=10.0, on_change=False)
        await asyncio.sleep(0.035)
        assert subscription.active
    assert len(reported) == 4
    assert not subscription.active


async def test_a_subscriber_may_close_the_connection(clock: VirtualClock) -> None:
    """From within its own call."""
    async with connection(Machine({"a": 0}), clock) as plc:
        calls: list[int] = []

        async def hear(snapshot: Snapshot) -> None:
            calls.append(snapshot.seq)
            await plc.aclose()

        subscription = plc.subscribe(["a"], hear, interval_ms=10.0, on_change=False)
        await subscription.wait_ended()
        assert (calls, plc.state) == ([0], "closed")
    assert len(asyncio.all_tasks()) == 1


async def test_a_snapshot_tells_the_news_of_those_that_were_dropped(clock: VirtualClock) -> None:
    """What changed while the consumer was slow is not lost, though the snapshot that brought it is."""
    machine = Machine({"a": 0, "b": 0, "c": 0})
    async with connection(machine, clock) as plc:
        poll: Any = plc.poll(interval_ms=10.0, on_change=True)
        async with aclosing(poll) as snapshots:
            assert (await anext(snapshots)).changed == {"a", "b", "c"}
            machine.values["a"] = 1
            await asyncio.sleep(0.011)
            machine.values["b"] = 1
            await asyncio.sleep(0.05)
            latest = await anext(snapshots)
            assert latest.data == {"a": 1, "b": 1, "c": 0}
            assert latest.dropped == 1
            assert latest.changed == {"a", "b"}


async def test_the_end_of_a_stand_in_is_news(clock: VirtualClock) -> None:
    """Who listens for changes learns that the last value is too old by now."""
    machine = Machine({"a": 1.0})
    plc = connection(machine, clock, backoff_min=3600.0, backoff_max=3600.0)
    tag = Tag("a", "a", DataType.FLOAT64, max_age=1.0, protocol=plc.settings.protocol)
    async with plc:
        heard: list[tuple[Any, int]] = []
        plc.subscribe([tag], lambda snapshot: heard.append((snapshot["a"].value, snapshot["a"].status)))
        subscribed = plc.subscribe(
            [tag], lambda snapshot: heard.append((snapshot["a"].value, snapshot["a"].status)), interval_ms=100.0
        )
        await asyncio.sleep(0.15)
        machine.pull_the_plug()
        await asyncio.sleep(3.0)
        assert subscribed.active
    gone, last = int(StatusCode.BAD_NOT_CONNECTED), int(StatusCode.UNCERTAIN_LAST_USABLE_VALUE)
    assert list(dict.fromkeys(heard)) == [(1.0, 0), (1.0, last), (None, gone)]


async def test_a_poll_that_is_dropped_ends(clock: VirtualClock) -> None:
    """Without `aclosing`, when the generator is collected."""
    import gc

    async with connection(Machine({"a": 1}), clock) as plc:
        await asyncio.sleep(0)
        before = asyncio.all_tasks()
        snapshots = cast(Any, plc.poll(interval_ms=10.0))
        await anext(snapshots)
        del snapshots
        gc.collect()
        await asyncio.sleep(0.05)
        assert asyncio.all_tasks() == before


async def test_a_subscription_that_cannot_begin_is_told(clock: VirtualClock) -> None:
    """Also to whoever keeps it: a connection that was never started brings nothing."""
    reported: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: reported.append(context))
    plc = connection(Machine({"a": 1}), clock)
    subscription = plc.subscribe(None, lambda _: None, interval_ms=10.0)
    await subscription.wait_ended()
    await asyncio.sleep(0)
    assert [str(context["exception"]) for context in reported] == [
        "the connection was not started; use it as 'async with', or call start()"
    ]
    assert "no more calls" in reported[0]["message"]
    assert not subscription.active
