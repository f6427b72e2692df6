"""Messages from foreign threads: nothing lost, nothing doubled, each thread in its order, whatever the actors do."""

from __future__ import annotations

import asyncio
import threading
from collections import Counter
from typing import Any

import pytest

from bifrost.actors import Actor, ActorRef, ActorSystem, ChildSpec, DeadLettered, Delivery, Mailbox
from bifrost.errors import ActorCrashed

THREADS = 4
MESSAGES = 500


class Sieve(Actor[Any]):
    """Keeps what it gets; every now and then it suspends, or crashes."""

    def __init__(self, seen: list[tuple[int, int]]) -> None:
        self._seen = seen

    async def receive(self, message: Any) -> None:
        number = message[1]
        if number % 97 == 96:
            raise ValueError(f"message {number}")
        self._seen.append(message)
        if number % 10 == 9:
            await asyncio.sleep(0)


def tell_all(ref: ActorRef[Any], thread: int, told: Counter[Delivery]) -> None:
    for number in range(MESSAGES):
        told[ref.tell((thread, number))] += 1


@pytest.mark.real_time
@pytest.mark.parametrize("capacity", [10, 100_000])
async def test_every_message_of_every_thread_is_handled_or_a_dead_letter(capacity: int) -> None:
    """Four threads, an actor that crashes under them, and a mailbox that is too small or is not."""
    seen: list[tuple[int, int]] = []
    letters: list[tuple[int, int]] = []
    told: list[Counter[Delivery]] = [Counter() for _ in range(THREADS)]
    spec = ChildSpec(id="a", start=Sieve, args=(seen,), mailbox=Mailbox(capacity=capacity))
    async with ActorSystem(children=[spec], intensity=10_000) as system:
        system.events.subscribe(
            lambda event: letters.append(event.message) if isinstance(event, DeadLettered) else None  # type: ignore[arg-type]  # all messages are pairs
        )
        ref = system.ref("a")
        threads = [threading.Thread(target=tell_all, args=(ref, n, told[n])) for n in range(THREADS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            await asyncio.to_thread(thread.join, 30)
        with pytest.raises(ActorCrashed):
            await ref.ask((0, 96), timeout=30)  # behind all of them
    assert sum(told, Counter()) == {Delivery.ACCEPTED: THREADS * MESSAGES}
    letters.remove((0, 96))  # the ask at the end
    assert Counter(seen + letters) == Counter((n, m) for n in range(THREADS) for m in range(MESSAGES))
    for thread_number in range(THREADS):
        own = [number for thread, number in seen if thread == thread_number]
        assert own == sorted(own)


@pytest.mark.real_time
async def test_a_system_that_ends_under_the_threads_that_tell_loses_track_of_nobody() -> None:
    """Every tell has a result: accepted ones were handled or are dead letters, the others are DEAD."""
    seen: list[tuple[int, int]] = []
    letters: list[object] = []
    told: list[Counter[Delivery]] = [Counter() for _ in range(THREADS)]
    begin = threading.Barrier(THREADS + 1)

    def work(number: int) -> None:
        begin.wait(10)
        tell_all(ref, number, told[number])

    spec = ChildSpec(id="a", start=Sieve, args=(seen,), mailbox=Mailbox(capacity=100_000))
    async with ActorSystem(children=[spec], intensity=10_000) as system:
        system.events.subscribe(
            lambda event: letters.append(event.message) if isinstance(event, DeadLettered) else None
        )
        ref = system.ref("a")
        threads = [threading.Thread(target=work, args=(n,)) for n in range(THREADS)]
        for thread in threads:
            thread.start()
        begin.wait(10)
        await asyncio.sleep(0.002)
    for thread in threads:
        await asyncio.to_thread(thread.join, 10)
        assert not thread.is_alive()
    await asyncio.sleep(0.05)
    results = sum(told, Counter())
    assert results.total() == THREADS * MESSAGES
    assert len(seen) + len(letters) == THREADS * MESSAGES
    assert len(set(seen) | set(letters)) == THREADS * MESSAGES
    assert results[Delivery.DEAD] <= len(letters)
