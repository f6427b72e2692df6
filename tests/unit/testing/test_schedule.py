"""Schedules on running actors: they find races, they repeat, and they bend no promise."""

from __future__ import annotations

import asyncio
import itertools
import os
import subprocess
import sys
from typing import Any

import pytest

from bifrost.actors import Actor, ActorRef, ChildSpec, Restart
from bifrost.testing import RaceFound, Schedule, SystemBench, VirtualLoop, explore, first_difference, under_schedules


class Account(Actor[Any]):
    """Money that two clerks may take."""

    def __init__(self, balance: int, ledger: list[int]) -> None:
        self.balance = balance
        self.ledger = ledger

    async def receive(self, message: Any) -> object:
        match message:
            case "balance":
                return self.balance
            case ("withdraw", amount):
                self.balance -= amount
                self.ledger.append(self.balance)
            case ("withdraw if there", amount):
                if self.balance >= amount:
                    self.balance -= amount
                    self.ledger.append(self.balance)
        return None


class Clerk(Actor[int]):
    """Looks whether the money is there, then takes it: a race, if another clerk comes between."""

    def __init__(self, account: str, *, atomic: bool) -> None:
        self.account = account
        self.atomic = atomic

    async def receive(self, message: int) -> object:
        account: ActorRef[Any] = self.ctx.system.ref(self.account)
        if self.atomic:
            account.tell(("withdraw if there", message))
        elif await account.ask("balance") >= message:
            account.tell(("withdraw", message))
        return None


class Counter(Actor[int]):
    """Passes a customer on to the next counter, or at last to a clerk."""

    def __init__(self, next_one: str) -> None:
        self.next_one = next_one

    async def receive(self, message: int) -> object:
        self.ctx.system.ref(self.next_one).tell(message)
        return None


_COUNTERS = 5


async def bank(schedule: Schedule, *, atomic: bool) -> list[int]:
    """Two clerks who each take 70 of 100; the second customer comes by so many counters that the first is served."""
    ledger: list[int] = []
    ways = [f"counter {n}" for n in range(_COUNTERS)] + ["bert"]
    children = [
        ChildSpec(id="account", start=Account, args=(100, ledger)),
        *(ChildSpec(id=name, start=Clerk, args=("account",), kwargs={"atomic": atomic}) for name in ("anna", "bert")),
        *(ChildSpec(id=one, start=Counter, args=(then,)) for one, then in itertools.pairwise(ways)),
    ]
    async with SystemBench(children, schedule=schedule) as bench:
        bench.ref("anna").tell(70)
        bench.ref("counter 0").tell(70)
        await asyncio.sleep(1)
    assert min(ledger) >= 0, f"overdrawn: {ledger}"
    return ledger


def test_a_check_then_act_race_is_found_and_replayed() -> None:
    """In the order of arrival all is well; some seed overdraws the account, and overdraws it again when replayed."""

    async def test(schedule: Schedule) -> None:
        await bank(schedule, atomic=False)

    with pytest.raises(RaceFound, match="overdrawn") as raised:
        explore(test)
    race = raised.value
    for _ in range(2):
        with pytest.raises(RaceFound) as again:
            explore(test, seeds=[race.seed])
        assert (again.value.script, str(again.value)) == (race.script, str(race))


@under_schedules(200)
async def test_without_the_race_every_schedule_passes(schedule: Schedule) -> None:
    """Checking and acting in one message is sound in every order."""
    assert await bank(schedule, atomic=True) == [30]


class Relay(Actor[Any]):
    """Keeps what it gets and passes it on along the rest of the way."""

    def __init__(self, trace: list[Any]) -> None:
        self.trace = trace

    async def receive(self, message: Any) -> object:
        sender, number, way = message
        self.trace.append((self.ctx.path, sender, number))
        if number % 5 == 4:
            await asyncio.sleep(0)
        if number == 13 and self.ctx.incarnation == 1:
            raise ValueError(number)
        if way:
            self.ctx.system.ref(way[0]).tell((sender, number, way[1:]))
        return None


async def relays(schedule: Schedule) -> list[Any]:
    """Three senders, each with twenty messages, by several ways."""
    trace: list[Any] = []
    children = [ChildSpec(id=name, start=Relay, args=(trace,)) for name in ("a", "b", "c", "d")]
    async with SystemBench(children, schedule=schedule, intensity=100) as bench:
        for number, (sender, way) in itertools.product(range(20), (("x", "abcd"), ("y", "bd"), ("z", "cad"))):
            bench.ref(way[0]).tell((sender, number, way[1:]))
            if number % 7 == 0:
                await asyncio.sleep(0)
        await asyncio.sleep(1)
    return trace


@under_schedules(100)
async def test_fifo_per_sender_holds_in_every_schedule(schedule: Schedule) -> None:
    """Whatever runs next: along one way, each actor sees the messages of a sender in the order of sending, once."""
    trace = await relays(schedule)
    for path, sender in itertools.product("abcd", "xyz"):
        numbers = [number for where, who, number in trace if (where, who) == (path, sender)]
        assert numbers == sorted(set(numbers)), f"{path} saw {sender}'s as {numbers}"


def test_the_same_seed_gives_the_same_trace() -> None:
    """Message for message; and different seeds give different ones."""
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        traces = {}
        for seed in range(20):
            one, two = Schedule(seed), Schedule(seed)
            traces[seed] = runner.run(relays(one))
            assert runner.run(relays(two)) == traces[seed]
            assert first_difference(one, two) is None
        assert len({tuple(trace) for trace in traces.values()}) > 15


class Asker(Actor[Any]):
    """Asks on to the next, so that asks nest."""

    def __init__(self, next_one: str | None = None) -> None:
        self.next_one = next_one

    async def receive(self, message: Any) -> object:
        if self.next_one is None:
            return [message]
        return [message, *await self.ctx.system.ref(self.next_one).ask(message)]


@under_schedules(50)
async def test_asks_restarts_and_shutdown_work_in_every_schedule(schedule: Schedule) -> None:
    """Nested asks get their answers, a killed actor comes back, and the bench finds nothing left."""
    children = [ChildSpec(id=name, start=Asker, args=(then,)) for name, then in (("a", "b"), ("b", "c"), ("c", None))]
    children.append(ChildSpec(id="temp", start=Asker, restart=Restart.TEMPORARY))
    async with SystemBench(children, schedule=schedule) as bench:
        assert await asyncio.gather(*(bench.ref("a").ask(n) for n in range(5))) == [[n] * 3 for n in range(5)]
        bench.ref("b").kill()
        bench.ref("temp").kill()
        assert await bench.ref("a").ask("again") == ["again"] * 3


_IN_ANOTHER_PROCESS = """
import asyncio
from bifrost.actors import Actor, ChildSpec
from bifrost.testing import Schedule, SystemBench, VirtualLoop

seen = []

class Busy(Actor[int]):
    async def on_start(self):
        for number in range(8):
            self.ctx.spawn_task(self.work(number))

    async def work(self, number):
        try:
            await asyncio.sleep(100)
        finally:
            seen.append((self.ctx.path, number))

    async def receive(self, message):
        seen.append((self.ctx.path, message))
        for name in "abc":
            if message:
                self.ctx.system.ref(name).tell(message - 1)

async def main():
    children = [ChildSpec(id=name, start=Busy) for name in "abc"]
    async with SystemBench(children, schedule=Schedule(5), log=[]) as bench:
        bench.ref("a").tell(4)
        await asyncio.sleep(1)
        bench.ref("b").kill()
        bench.ref("c").tell(3)
        await asyncio.sleep(1)
    print(seen, bench.log.take())

with asyncio.Runner(loop_factory=VirtualLoop) as runner:
    runner.run(main())
"""


def test_a_seed_replays_in_another_process() -> None:
    """Message for message and event for event, whatever addresses objects and hashes strings have there."""
    runs = [
        subprocess.run(
            [sys.executable, "-c", _IN_ANOTHER_PROCESS],
            env={**os.environ, "PYTHONHASHSEED": str(number)},
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
        ).stdout
        for number in range(4)
    ]
    assert len(runs[0]) > 1000
    assert len(set(runs)) == 1
