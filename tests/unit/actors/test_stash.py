"""Putting messages aside, and becoming somebody else for a while."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from bifrost.actors import Actor, ActorSystem, ChildSpec, Lane, Mailbox, OnRestart
from bifrost.errors import ActorCrashed, ActorError, ActorRestarted, ActorStopped, AskTimeout, MailboxFull


class Door(Actor[Any]):
    """While shut it stashes everything but "open"; open, it notes what passes until "shut"."""

    def __init__(self, passed: list[Any]) -> None:
        self.passed = passed

    async def receive(self, message: Any) -> Any:
        if message == "open":
            self.ctx.become(self.opened)
            return self.ctx.unstash_all()
        if message == "crash":
            raise ValueError(message)
        if isinstance(message, tuple) and message[0] == "slow":
            await asyncio.sleep(message[1])
        self.ctx.stash()
        if isinstance(message, tuple) and message[0] == "late":
            await asyncio.sleep(message[1])
        if message == "stash and crash":
            raise ValueError(message)
        return "not the answer"

    async def opened(self, message: Any) -> Any:
        if message == "shut":
            self.ctx.unbecome()
            return None
        if message == "crash":
            raise ValueError(message)
        self.passed.append(message)
        return ("passed", message)


def door(passed: list[Any], **options: Any) -> ChildSpec:
    return ChildSpec(id="a", start=Door, args=(passed,), **options)


async def test_what_is_stashed_is_handled_later_in_its_order() -> None:
    """Told and sent messages wait in the stash and come before what was queued after them."""
    passed: list[Any] = []
    async with ActorSystem(children=[door(passed)]) as system:
        ref = system.ref("a")
        for n in range(3):
            ref.tell(n)
        await ref.send(3)
        await asyncio.sleep(1)
        assert passed == []
        ref.tell("open")
        ref.tell(4)
        await asyncio.sleep(1)
        assert passed == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("first", ["on the asker's stack", "queued", "after a wait", "before a wait"])
async def test_a_stashed_ask_is_answered_when_its_message_is_handled(first: str) -> None:
    """However the handler was run, what it returned after `stash` answers nobody."""
    passed: list[Any] = []
    message: Any = {"after a wait": ("slow", 1), "before a wait": ("late", 1)}.get(first, "x")
    async with ActorSystem(children=[door(passed)]) as system:
        ref = system.ref("a")
        if first == "queued":
            ref.tell("busy")
        asked = asyncio.ensure_future(ref.ask(message, timeout=50))
        await asyncio.sleep(10)
        assert not asked.done()
        assert await ref.ask("open") == (2 if first == "queued" else 1)
        assert await asked == ("passed", message)
        assert await ref.ask("y") == ("passed", "y")


async def test_a_handler_that_stashed_leaves_no_trace_on_the_next_message() -> None:
    """The same object told, stashed and then asked gives each its own answer."""
    passed: list[Any] = []
    async with ActorSystem(children=[door(passed)]) as system:
        ref = system.ref("a")
        ref.tell("x")
        await asyncio.sleep(1)
        asked = asyncio.ensure_future(ref.ask("x"))
        await asyncio.sleep(1)
        assert not asked.done()
        assert await ref.ask("open") == 2
        assert await asked == ("passed", "x")
        assert passed == ["x", "x"]


async def test_a_stashed_ask_keeps_its_deadline_and_is_then_not_handled() -> None:
    """The asker gets `AskTimeout` in time; its message is passed over afterwards."""
    passed: list[Any] = []
    async with ActorSystem(children=[door(passed)]) as system:
        ref = system.ref("a")
        with pytest.raises(AskTimeout):
            await ref.ask("x", timeout=2)
        ref.tell("y")
        await asyncio.sleep(1)
        assert await ref.ask("open") == 1
        await asyncio.sleep(1)
        assert passed == ["y"]


async def test_lanes_are_kept_in_the_stash() -> None:
    """What came in the HIGH lane is handled first again."""
    passed: list[Any] = []
    async with ActorSystem(children=[door(passed)]) as system:
        ref = system.ref("a")
        ref.tell("normal")
        await asyncio.sleep(1)
        ref.tell("high", lane=Lane.HIGH)
        await asyncio.sleep(1)
        ref.tell("open")
        await asyncio.sleep(1)
        assert passed == ["high", "normal"]


async def test_the_stash_is_bounded_by_the_mailbox() -> None:
    """One message more than the mailbox holds is `MailboxFull` in the handler, here a crash."""
    passed: list[Any] = []
    async with ActorSystem(children=[door(passed, mailbox=Mailbox(capacity=2))]) as system:
        ref = system.ref("a")
        for n in range(2):
            await ref.send(n)
            await asyncio.sleep(1)
        with pytest.raises(ActorCrashed) as caught:
            await ref.ask(2)
        assert isinstance(caught.value.cause, MailboxFull)
        await ref.wait_running()
        await ref.ask("open")
        await asyncio.sleep(1)
        assert passed == [0, 1]


async def test_a_stash_goes_before_a_kept_mailbox_at_a_restart() -> None:
    """After a crash the stash is handled first, then what was queued; asks are still answered."""
    passed: list[Any] = []
    async with ActorSystem(children=[door(passed)]) as system:
        ref = system.ref("a")
        ref.tell(1)
        asked = asyncio.ensure_future(ref.ask(2))
        await asyncio.sleep(1)
        ref.tell("crash")
        ref.tell(3)
        ref.tell("open")
        ref.tell(4)
        assert await asked == ("passed", 2)
        await asyncio.sleep(1)
        assert passed == [1, 2, 3, 4]
        assert ref.incarnation == 2


async def test_a_stash_is_dropped_with_a_mailbox_that_drops() -> None:
    """Stashed asks get `ActorRestarted`, stashed tells become dead letters."""
    passed: list[Any] = []
    async with ActorSystem(children=[door(passed, mailbox=Mailbox(on_restart=OnRestart.DROP))]) as system:
        ref = system.ref("a")
        ref.tell(1)
        asked = asyncio.ensure_future(ref.ask(2))
        await asyncio.sleep(1)
        ref.tell("crash")
        with pytest.raises(ActorRestarted):
            await asked
        assert system.dead_letters.counts == {"crashed": 1, "restarting_drop": 2}


async def test_a_stash_of_an_actor_that_stops_becomes_dead_letters() -> None:
    """Stashed asks fail at once with `ActorStopped`."""
    passed: list[Any] = []
    async with ActorSystem(children=[door(passed)]) as system:
        ref = system.ref("a")
        ref.tell(1)
        asked = asyncio.ensure_future(ref.ask(2))
        await asyncio.sleep(1)
        await system.root.terminate_child("a")
        with pytest.raises(ActorStopped):
            await asked
        assert [letter.message for letter in system.dead_letters.recent] == [1, 2]


@pytest.mark.parametrize("how", ["told", "told high", "asked", "asked in the queue"])
async def test_a_message_in_hand_is_not_tried_again_although_it_was_stashed(how: str) -> None:
    """A handler that stashes and then crashes has had its try: the message is a dead letter, its asker hears of it."""
    passed: list[Any] = []
    async with ActorSystem(children=[door(passed)]) as system:
        ref = system.ref("a")
        if how.startswith("told"):
            ref.tell("stash and crash", lane=Lane.HIGH if how.endswith("high") else Lane.NORMAL)
        else:
            if how.endswith("queue"):
                ref.tell("x")
            with pytest.raises(ActorCrashed):
                await ref.ask("stash and crash")
        await asyncio.sleep(1)
        await ref.ask("open")
        await asyncio.sleep(1)
        assert passed == (["x"] if how.endswith("queue") else [])
        assert system.dead_letters.counts == {"crashed": 1}
        assert ref.incarnation == 2


async def test_only_the_message_in_hand_can_be_stashed_and_only_once() -> None:
    """In `on_start`, in a task beside the handler and a second time, `stash` is an error."""
    errors: list[str] = []

    def attempt(actor: Actor[Any]) -> None:
        try:
            actor.ctx.stash()
        except ActorError as error:
            errors.append(str(error))

    class Eager(Actor[Any]):
        async def on_start(self) -> None:
            attempt(self)

        async def receive(self, message: Any) -> Any:
            async def beside() -> None:
                attempt(self)

            await self.ctx.spawn_task(beside())
            self.ctx.stash()
            attempt(self)

    async with ActorSystem(children=[ChildSpec(id="a", start=Eager)]) as system:
        system.ref("a").tell("x")
        await asyncio.sleep(1)
    assert ["already" in error for error in errors] == [False, False, True]


async def test_become_changes_the_handler_from_the_next_message_on() -> None:
    """Within one burst of messages, in both directions, and for asks; the message in hand is not affected."""
    passed: list[Any] = []
    async with ActorSystem(children=[door(passed)]) as system:
        ref = system.ref("a")
        for message in ["open", 1, 2, "shut", 3, "open", 4]:
            ref.tell(message)
        await asyncio.sleep(1)
        assert passed == [1, 2, 3, 4]
        assert await ref.ask(5) == ("passed", 5)
        await ref.ask("shut")
        asked = asyncio.ensure_future(ref.ask(6))
        await asyncio.sleep(1)
        assert not asked.done()
        await ref.ask("open")
        assert await asked == ("passed", 6)


async def test_become_from_a_task_beside_the_handler_holds_for_the_next_message() -> None:
    """A task of the actor may switch it while a burst is on its way."""
    got: list[str] = []

    class Switching(Actor[Any]):
        async def receive(self, message: Any) -> Any:
            if message == "go":
                self.ctx.spawn_task(self.switch())
                await asyncio.sleep(2)
            got.append(f"first {message}")

        async def switch(self) -> None:
            await asyncio.sleep(1)
            self.ctx.become(self.second)

        async def second(self, message: Any) -> Any:
            got.append(f"second {message}")

    async with ActorSystem(children=[ChildSpec(id="a", start=Switching)]) as system:
        system.ref("a").tell("go")
        system.ref("a").tell("x")
        await asyncio.sleep(5)
    assert got == ["first go", "second x"]


async def test_a_restart_undoes_become() -> None:
    """The new incarnation begins with its own `receive`."""
    passed: list[Any] = []
    async with ActorSystem(children=[door(passed)]) as system:
        ref = system.ref("a")
        ref.tell("open")
        ref.tell("crash")
        ref.tell("x")
        await asyncio.sleep(1)
        assert ref.incarnation == 2
        assert passed == []
        await ref.ask("open")
        await asyncio.sleep(1)
        assert passed == ["x"]


async def test_become_takes_a_function_that_is_no_coroutine_function() -> None:
    """Anything that returns an awaitable will do, and what it raises is a crash."""

    class Odd(Actor[Any]):
        async def receive(self, message: Any) -> Any:
            self.ctx.become(self.other)
            return message

        def other(self, message: Any) -> Any:
            if message == "crash":
                raise ValueError(message)
            return asyncio.sleep(1, ("slept", message))

    async with ActorSystem(children=[ChildSpec(id="a", start=Odd)]) as system:
        ref = system.ref("a")
        assert await ref.ask(1) == 1
        assert await ref.ask(2) == ("slept", 2)
        with pytest.raises(ActorCrashed):
            await ref.ask("crash")


@pytest.mark.parametrize("asked", [False, True])
async def test_unstashing_in_the_handler_that_stashed_handles_it_again_later(*, asked: bool) -> None:
    """It comes back as the next message, and its answer is that of the second time."""
    tries: list[int] = []

    class Again(Actor[Any]):
        async def receive(self, message: Callable[[], Any]) -> Any:
            tries.append(1)
            if len(tries) == 1:
                self.ctx.stash()
                self.ctx.unstash_all()
                return "first"
            return "second"

    async with ActorSystem(children=[ChildSpec(id="a", start=Again)]) as system:
        if asked:
            assert await system.ref("a").ask("x") == "second"
        else:
            system.ref("a").tell("x")
        await asyncio.sleep(1)
        assert len(tries) == 2


async def test_stashing_does_not_move_the_bound_of_the_mailbox() -> None:
    """After messages in both lanes went through the stash the mailbox holds as many as before."""
    passed: list[Any] = []
    async with ActorSystem(children=[door(passed, mailbox=Mailbox(capacity=3))]) as system:
        ref = system.ref("a")
        for _ in range(3):
            for lane in (Lane.NORMAL, Lane.HIGH):
                ref.tell("x", lane=lane)
                await asyncio.sleep(1)
            await ref.ask("open")
            await ref.ask("shut")
        assert len(passed) == 6
        ref.tell(("slow", 5))
        await asyncio.sleep(1)
        results = [ref.tell("y") for _ in range(5)]
        assert [result.value for result in results] == ["accepted"] * 3 + ["dropped"] * 2


async def test_a_stash_works_under_the_eye_of_a_tap() -> None:
    """With a tap every message travels in an envelope, and nothing else changes."""
    passed: list[Any] = []
    async with ActorSystem(children=[door(passed)]) as system:
        ref = system.ref("a")
        with system.trace("a"):
            ref.tell(1)
            asked = asyncio.ensure_future(ref.ask(2))
            await asyncio.sleep(1)
            ref.tell("crash")
            ref.tell("open")
            ref.tell(3)
            assert await asked == ("passed", 2)
            await asyncio.sleep(1)
        assert passed == [1, 2, 3]
        assert ref.incarnation == 2
