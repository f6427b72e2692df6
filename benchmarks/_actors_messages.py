"""What a message costs: tell, send and ask, beside asyncio's own means and other actor libraries.

In: the setting and the running OTP. Out: rows. Every mailbox of ours is bounded at the default 1,024, every ask has
the default deadline of 5 s, every actor is supervised. Every message is counted; a round that lost one fails.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine
from typing import Any

from benchmarks import _actors_peers as peers
from benchmarks._actors_otp import Otp
from benchmarks._actors_table import Bar, Round, Row, Setting, compete
from bifrost.actors import Actor, ActorRef, ActorSystem, ChildSpec, Delivery

__all__ = ["ask_rows", "suspending_ask_rows", "tell_rows"]

_CAPACITY = 1024
_LONG = 120.0  # seconds that a round may take at most


class Tally:
    """What a receiver has seen, readable after the round."""

    __slots__ = ("done", "seen", "target")

    def __init__(self, target: int) -> None:
        self.seen = 0
        self.target = target
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def finish(self) -> float:
        """Wait for the last message and tell when it came; then make sure that none came twice."""
        async with asyncio.timeout(_LONG):
            await self.done
        ended = time.perf_counter()
        await asyncio.sleep(0.002)
        assert self.seen == self.target, f"{self.seen} messages handled, {self.target} sent"
        return ended


class Counter(Actor[int]):
    """Counts."""

    def __init__(self, tally: Tally) -> None:
        self.tally = tally

    async def receive(self, message: int) -> None:
        """Count one."""
        tally = self.tally
        tally.seen += 1
        if tally.seen == tally.target:
            tally.done.set_result(None)


Flood = Callable[[ActorRef[Any], int], Coroutine[Any, Any, None]]


async def flood_by_tell(ref: ActorRef[Any], count: int) -> None:
    """Tell; when the mailbox refuses, let the loop run and tell the same message again."""
    accepted = Delivery.ACCEPTED
    for number in range(count):
        while ref.tell(number) is not accepted:  # noqa: ASYNC110 - letting the loop run is the pattern measured
            await asyncio.sleep(0)


async def flood_by_send(ref: ActorRef[Any], count: int) -> None:
    """Send, which waits for room: the counterpart of `await queue.put(...)`."""
    for number in range(count):
        await ref.send(number)


class Flooder(Actor[int]):
    """Sends so many messages to another actor when told to."""

    def __init__(self, flood: Flood, receiver: ActorRef[Any]) -> None:
        self.flood = flood
        self.receiver = receiver

    async def receive(self, message: int) -> None:
        """Send them."""
        await self.flood(self.receiver, message)


def flood_round(flood: Flood, count: int, *, from_actor: bool) -> Round:
    """Messages per second from one task or actor to one actor, until the last was handled."""

    async def run() -> float:
        tally = Tally(count)
        async with ActorSystem("bench", [ChildSpec(id="counter", start=Counter, args=(tally,))]) as system:
            receiver = system.ref("counter")
            if from_actor:
                sender = await system.start_child(ChildSpec(id="sender", start=Flooder, args=(flood, receiver)))
                begun = time.perf_counter()
                sender.tell(count)
            else:
                begun = time.perf_counter()
                await flood(receiver, count)
            return count / (await tally.finish() - begun)

    return lambda: asyncio.run(run())


def queue_round(count: int) -> Round:
    """The ordinary `asyncio.Queue` loop: `await put` on one side, `await get` on the other."""

    async def consume(queue: asyncio.Queue[int], tally: Tally) -> None:
        while True:
            await queue.get()
            tally.seen += 1
            if tally.seen == tally.target:
                tally.done.set_result(None)

    async def run() -> float:
        queue: asyncio.Queue[int] = asyncio.Queue(_CAPACITY)
        tally = Tally(count)
        task = asyncio.create_task(consume(queue, tally))
        begun = time.perf_counter()
        for number in range(count):
            await queue.put(number)
        ended = await tally.finish()
        task.cancel()
        return count / (ended - begun)

    return lambda: asyncio.run(run())


def queue_nowait_round(count: int) -> Round:
    """`put_nowait` until it is full and `get_nowait` until it is empty: the fastest way to use an `asyncio.Queue`."""

    async def consume(queue: asyncio.Queue[int], tally: Tally) -> None:
        while True:
            await queue.get()
            tally.seen += 1
            while not queue.empty():
                queue.get_nowait()
                tally.seen += 1
            if tally.seen == tally.target:
                tally.done.set_result(None)

    async def run() -> float:
        queue: asyncio.Queue[int] = asyncio.Queue(_CAPACITY)
        tally = Tally(count)
        task = asyncio.create_task(consume(queue, tally))
        begun = time.perf_counter()
        for number in range(count):
            while queue.full():  # noqa: ASYNC110 - the same pattern as with tell
                await asyncio.sleep(0)
            queue.put_nowait(number)
        ended = await tally.finish()
        task.cancel()
        return count / (ended - begun)

    return lambda: asyncio.run(run())


def tell_rows(setting: Setting, otp: Otp) -> list[Row]:
    """One sender, one receiver that counts."""
    count = setting.ops(100_000)
    bare, cast = "OTP, bare `!`", "OTP, gen_server:cast"
    plain, nowait = "asyncio.Queue put/get", "asyncio.Queue nowait"
    rivals: dict[str, Round] = {
        cast: otp.rate("cast", setting.ops(1_000_000)),
        bare: otp.rate("tell", setting.ops(1_000_000)),
        plain: queue_round(count),
        nowait: queue_nowait_round(count),
    }
    bars = {bare: Bar(0.3), cast: Bar(0.3), plain: Bar(1.5)}
    others: dict[str, Round] = {
        "pykka": lambda: peers.pykka_tell(setting.ops(20_000)),
        "thespian": lambda: peers.thespian_tell(setting.ops(20_000)),
        "xoscar": lambda: peers.xoscar_tell(setting.ops(10_000)),
    }
    return [
        *compete(
            "tell, from a task",
            "/s",
            flood_round(flood_by_tell, count, from_actor=False),
            rivals | others,
            setting,
            bars=bars,
        ),
        *compete(
            "tell, from an actor", "/s", flood_round(flood_by_tell, count, from_actor=True), rivals, setting, bars=bars
        ),
        *compete(
            "send, from a task", "/s", flood_round(flood_by_send, count, from_actor=False), rivals, setting, bars=bars
        ),
    ]


# Ask


class Echo(Actor[object]):
    """Answers without suspending."""

    async def receive(self, message: object) -> object:
        """Answer with the message."""
        return message


class Sleeper(Actor[object]):
    """Suspends once, for one turn of the loop."""

    async def receive(self, message: object) -> object:
        """Answer in the next turn."""
        await asyncio.sleep(0)
        return message


class Waiter(Actor[object]):
    """Waits for a future that the loop resolves in its next turn, as an I/O callback would."""

    async def receive(self, message: object) -> object:
        """Answer when the future is done."""
        return await next_turn(message)


def next_turn(value: object) -> asyncio.Future[object]:
    """A future that a callback of the loop's next turn resolves."""
    loop = asyncio.get_running_loop()
    future: asyncio.Future[object] = loop.create_future()
    loop.call_soon(future.set_result, value)
    return future


async def ask_often(ref: ActorRef[Any], count: int) -> None:
    """Ask one after the other and compare every answer."""
    for number in range(count):
        answer = await ref.ask(number)
        if answer != number:
            raise AssertionError(f"asked {number}, was answered {answer!r}")


class Asker(Actor[int]):
    """Asks another actor when told how often, and says how long it took."""

    def __init__(self, receiver: ActorRef[Any]) -> None:
        self.receiver = receiver

    async def receive(self, message: int) -> float:
        """Ask so often; seconds."""
        begun = time.perf_counter()
        await ask_often(self.receiver, message)
        return time.perf_counter() - begun


def ask_round(answering: type[Actor[Any]], count: int, *, from_actor: bool = False) -> Round:
    """Round trips per second of one asker."""

    async def run() -> float:
        async with ActorSystem("bench", [ChildSpec(id="answering", start=answering)]) as system:
            receiver = system.ref("answering")
            if from_actor:
                asker = await system.start_child(ChildSpec(id="asker", start=Asker, args=(receiver,)))
                return count / float(await asker.ask(count, timeout=_LONG))
            begun = time.perf_counter()
            await ask_often(receiver, count)
            return count / (time.perf_counter() - begun)

    return lambda: asyncio.run(run())


def future_round(wait: Callable[[object], Any] | None, count: int) -> Round:
    """The floor under an ask: two tasks that live on, and nothing but futures between them.

    The answering task offers a future and waits for it; the asking task puts request and reply future in and waits for
    the reply. The answering task has offered its next future before it answers, so that no request can miss it. It
    suspends in the same way as the actor's handler does (`wait`), or not at all. There is no mailbox, no deadline, no
    supervision, no check of who is asking, and only one asker at a time: nothing in asyncio goes there and back with
    less.
    """

    async def run() -> float:
        loop = asyncio.get_running_loop()
        inbox: asyncio.Future[tuple[object, asyncio.Future[object]]] = loop.create_future()

        async def answer() -> None:
            nonlocal inbox
            while True:
                request, reply = await inbox
                inbox = loop.create_future()
                if wait is not None:
                    await wait(request)
                reply.set_result(request)

        task = asyncio.create_task(answer())
        await asyncio.sleep(0)
        begun = time.perf_counter()
        for number in range(count):
            reply: asyncio.Future[object] = loop.create_future()
            inbox.set_result((number, reply))
            answered = await reply
            if answered != number:
                raise AssertionError(f"asked {number}, was answered {answered!r}")
        elapsed = time.perf_counter() - begun
        task.cancel()
        return count / elapsed

    return lambda: asyncio.run(run())


def ask_rows(setting: Setting, otp: Otp) -> list[Row]:
    """A handler that answers at once."""
    count = setting.ops(30_000)
    call, own, bare = "OTP, gen_server:call", "OTP, monitor and deadline", "OTP, bare ping-pong"
    rivals: dict[str, Round] = {
        call: otp.rate("call", setting.ops(200_000)),
        own: otp.rate("monitored", setting.ops(200_000)),
        bare: otp.rate("pingpong", setting.ops(200_000)),
        "bare futures": future_round(None, count),
    }
    others: dict[str, Round] = {
        "pykka": lambda: peers.pykka_ask(setting.ops(3_000)),
        "thespian": lambda: peers.thespian_ask(setting.ops(10_000)),
        "xoscar": lambda: peers.xoscar_ask(setting.ops(5_000)),
    }
    bars = dict.fromkeys((call, own, bare), Bar(1.0))
    return [
        *compete("ask, from a task", "/s", ask_round(Echo, count), rivals | others, setting, bars=bars),
        *compete("ask, from an actor", "/s", ask_round(Echo, count, from_actor=True), rivals, setting, bars=bars),
    ]


def suspending_ask_rows(setting: Setting, otp: Otp) -> list[Row]:
    """A handler that suspends once before it answers."""
    del otp
    count = setting.ops(15_000)
    bars = {"bare futures": Bar(0.8)}
    rows = []
    for what, actor, wait in (
        ("ask, handler sleeps 0", Sleeper, lambda _: asyncio.sleep(0)),
        ("ask, handler waits for a future", Waiter, next_turn),
    ):
        floor = {"bare futures": future_round(wait, count)}
        rows += compete(what, "/s", ask_round(actor, count), floor, setting, bars=bars)
        rows += compete(
            f"{what}, from an actor", "/s", ask_round(actor, count, from_actor=True), floor, setting, bars=bars
        )
    return rows
