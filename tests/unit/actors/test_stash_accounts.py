"""Whatever an actor does with its stash, each message comes to exactly one end."""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import dataclass
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from bifrost.actors import Actor, ActorSystem, ChildSpec, Lane, Mailbox, OnRestart
from bifrost.errors import ActorError
from bifrost.testing import VirtualLoop


@dataclass(frozen=True, slots=True)
class Order:
    """What the handler does with a message the first time it sees it; the second time it only notes it."""

    number: int
    deeds: tuple[str, ...]


class Clerk(Actor[Order]):
    """Does what its orders say."""

    def __init__(self, done: list[int], met: set[int]) -> None:
        self.done = done
        self.met = met

    async def receive(self, message: Order) -> int:
        return await self.work(message, "first")

    async def second(self, message: Order) -> int:
        return await self.work(message, "second")

    async def work(self, message: Order, hand: str) -> int:
        stashed = False
        again = message.number in self.met
        self.met.add(message.number)
        for deed in () if again else message.deeds:
            if deed == "sleep":
                await asyncio.sleep(1)
            elif deed == "stash" and not stashed:
                self.ctx.stash()
                stashed = True
            elif deed == "unstash":
                self.ctx.unstash_all()
            elif deed == "become":
                self.ctx.become(self.second) if hand == "first" else self.ctx.unbecome()
            elif deed == "crash":
                raise ValueError(message.number)
            elif deed == "stop":
                self.ctx.stop()
        if not stashed:
            self.done.append(message.number)
        return -1 if stashed else message.number


DEEDS = st.lists(st.sampled_from(["sleep", "stash", "stash", "unstash", "become", "crash", "stop"]), max_size=4).map(
    tuple
)
WAYS = st.sampled_from(["tell", "tell high", "send", "ask", "ask high", "ask short", "pause", "kill", "drain"])


@settings(max_examples=200, deadline=None)
@given(script=st.lists(st.tuples(WAYS, DEEDS), max_size=25), drops=st.booleans(), capacity=st.sampled_from([2, 100]))
def test_every_message_is_done_once_or_a_dead_letter_and_every_ask_ends(
    script: list[tuple[str, tuple[str, ...]]], *, drops: bool, capacity: int
) -> None:
    """No message is lost, none is done twice, and an ask that was answered was done."""
    done: list[int] = []
    letters: list[int] = []
    told: set[int] = set()
    asked: dict[int, asyncio.Task[Any]] = {}

    async def main() -> None:
        mailbox = Mailbox(capacity=capacity, on_restart=OnRestart.DROP if drops else OnRestart.KEEP)
        spec = ChildSpec(id="a", start=Clerk, args=(done, set()), mailbox=mailbox)
        async with ActorSystem(children=[spec], intensity=1000) as system:
            system.events.subscribe(
                lambda event: letters.append(event.message.number) if hasattr(event, "message") else None
            )
            ref = system.ref("a")
            for number, (way, deeds) in enumerate(script):
                order = Order(number, deeds)
                lane = Lane.HIGH if way.endswith("high") else Lane.NORMAL
                if way.startswith("tell"):
                    told.add(number)
                    ref.tell(order, lane=lane)
                elif way == "send":
                    try:
                        await ref.send(order, timeout=3)
                        told.add(number)
                    except ActorError:
                        assert number not in done
                elif way.startswith("ask"):
                    ask = ref.ask(order, timeout=2 if way == "ask short" else 50, lane=lane)
                    asked[number] = asyncio.ensure_future(ask)
                    await asyncio.sleep(0)
                elif way == "pause":
                    await asyncio.sleep(2)
                else:
                    ref.kill() if way == "kill" else ref.drain()
            await asyncio.sleep(60)
        await asyncio.wait(asked.values()) if asked else None
        assert len(asyncio.all_tasks()) == 1

    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        runner.run(main())

    ends = Counter(done) + Counter(letters)
    assert max(ends.values(), default=1) == 1, ends
    assert told <= set(ends), told - set(ends)
    for number, ask in asked.items():
        assert ask.done()
        if ask.exception() is None:
            assert ask.result() == number
            assert number in done
