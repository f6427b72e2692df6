"""What tell, send and ask promise, on a running system in virtual time."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import Any

import pytest

from bifrost.actors import (
    Actor,
    ActorSystem,
    ChildSpec,
    Delivery,
    Lane,
    Mailbox,
    OnRestart,
    Overflow,
    Restart,
)
from bifrost.errors import (
    ActorCrashed,
    ActorError,
    ActorRestarted,
    ActorStopped,
    AskTimeout,
    MailboxFull,
)


class Recorder(Actor[Any]):
    """Keeps what it gets; ("sleep", s) takes s seconds, an exception is raised, a callable is called."""

    def __init__(self, seen: list[Any]) -> None:
        self.seen = seen

    async def receive(self, message: Any) -> object:
        if isinstance(message, tuple) and message[0] == "sleep":
            await asyncio.sleep(message[1])
        if isinstance(message, BaseException):
            raise message
        if callable(message):
            message(self)
        self.seen.append(message)
        return ("seen", message)


def recorder(seen: list[Any], *, mailbox: Mailbox | None = None, restart: Restart = Restart.PERMANENT) -> ChildSpec:
    return ChildSpec(id="a", start=Recorder, args=(seen,), mailbox=mailbox or Mailbox(), restart=restart)


async def test_messages_of_one_sender_arrive_in_order() -> None:
    """Within a lane it is first in, first out, across tell, send and ask."""
    seen: list[Any] = []
    async with ActorSystem(children=[recorder(seen)]) as system:
        ref = system.ref("a")
        for n in range(100):
            ref.tell(n)
        await ref.send(100)
        assert await ref.ask(101) == ("seen", 101)
    assert seen == list(range(102))


async def test_lanes_go_before_each_other() -> None:
    """SYSTEM goes before HIGH and HIGH before NORMAL, whatever the order of sending."""
    seen: list[Any] = []
    async with ActorSystem(children=[recorder(seen)]) as system:
        ref = system.ref("a")
        for lane in (Lane.NORMAL, Lane.HIGH, Lane.SYSTEM, Lane.NORMAL, Lane.HIGH):
            ref.tell(lane.name, lane=lane)
        await ref.ask("end")
    assert seen == ["SYSTEM", "HIGH", "HIGH", "NORMAL", "NORMAL", "end"]


async def test_an_idle_actor_has_no_task() -> None:
    """A task exists only while there is mail: a hundred idle actors cost none."""
    specs = [ChildSpec(id=f"a{n}", start=Recorder, args=([],)) for n in range(100)]
    async with ActorSystem(children=specs) as system:
        await asyncio.sleep(1)
        assert asyncio.all_tasks() == {asyncio.current_task()}
        assert await system.ref("a7").ask(1) == ("seen", 1)


async def test_tell_to_a_full_mailbox_drops_and_says_so() -> None:
    """Tell never raises: what does not fit is DROPPED and becomes a dead letter."""
    seen: list[Any] = []
    async with ActorSystem(children=[recorder(seen, mailbox=Mailbox(capacity=2))]) as system:
        ref = system.ref("a")
        assert [ref.tell(n) for n in range(4)] == [*[Delivery.ACCEPTED] * 2, *[Delivery.DROPPED] * 2]
        assert system.dead_letters.counts == {"full": 2}
        assert [letter.message for letter in system.dead_letters.recent] == [2, 3]


async def test_send_waits_for_room() -> None:
    """Send holds the sender back until the slow receiver has room; nothing is lost or reordered."""
    seen: list[Any] = []
    async with ActorSystem(children=[recorder(seen, mailbox=Mailbox(capacity=2))]) as system:
        ref = system.ref("a")
        begun = asyncio.get_running_loop().time()
        for n in range(10):
            await ref.send(("sleep", 1, n))
        assert asyncio.get_running_loop().time() - begun == pytest.approx(7)
        await asyncio.sleep(10)
    assert [message[2] for message in seen] == list(range(10))


async def test_send_gives_up_at_its_deadline() -> None:
    """No room in time is MailboxFull, and the message is not delivered later."""
    seen: list[Any] = []
    async with ActorSystem(children=[recorder(seen, mailbox=Mailbox(capacity=1))]) as system:
        ref = system.ref("a")
        ref.tell(("sleep", 10))
        await asyncio.sleep(0)
        await ref.send("queued")
        with pytest.raises(MailboxFull, match="a: no room"):
            await ref.send("late", timeout=2)
        await asyncio.sleep(20)
    assert seen == [("sleep", 10), "queued"]


@pytest.mark.parametrize(
    ("overflow", "kept"),
    [(Overflow.DROP_NEWEST, [0, 1]), (Overflow.DROP_OLDEST, [2, 3]), (Overflow.BACKPRESSURE, [0, 1])],
)
async def test_overflow_policies_keep_what_they_say(overflow: Overflow, kept: list[int]) -> None:
    """Each policy drops the message that its name says, and the bound holds."""
    seen: list[Any] = []
    async with ActorSystem(children=[recorder(seen, mailbox=Mailbox(capacity=2, overflow=overflow))]) as system:
        for n in range(4):
            system.ref("a").tell(n)
        assert system.snapshot().children[0].mailbox_depth == 2
        await asyncio.sleep(1)
        assert system.dead_letters.counts == {"full": 2}
    assert seen == kept


async def test_conflate_keeps_the_latest_of_each_key() -> None:
    """A queued message with the same key is replaced where it stands; a new key does not exceed the bound."""
    seen: list[Any] = []
    mailbox = Mailbox(capacity=2, overflow=Overflow.CONFLATE, key=lambda message: message[0])
    async with ActorSystem(children=[recorder(seen, mailbox=mailbox)]) as system:
        told = [system.ref("a").tell(m) for m in [("x", 1), ("y", 1), ("x", 2), ("z", 1), ("y", 2)]]
        assert told[3] is Delivery.DROPPED
        await asyncio.sleep(1)
        assert system.ref("a").tell(("x", 3)) is Delivery.ACCEPTED
        await asyncio.sleep(1)
    assert seen == [("x", 2), ("y", 2), ("x", 3)]


async def test_overflow_fail_crashes_the_receiver() -> None:
    """With overflow=fail the receiver restarts when it falls behind; what was queued is kept."""
    seen: list[Any] = []
    async with ActorSystem(children=[recorder(seen, mailbox=Mailbox(capacity=2, overflow=Overflow.FAIL))]) as system:
        ref = system.ref("a")
        for n in range(3):
            ref.tell(n)
        await asyncio.sleep(1)
        assert ref.incarnation == 2
    assert seen == [0, 1]


async def test_ask_timeout_discards_a_queued_request_and_a_late_answer() -> None:
    """After AskTimeout a request still queued is never handled, and an answer that comes late reaches nobody."""
    seen: list[Any] = []
    async with ActorSystem(children=[recorder(seen)]) as system:
        ref = system.ref("a")
        first = asyncio.create_task(ref.ask(("sleep", 3), timeout=1))
        second = asyncio.create_task(ref.ask("queued", timeout=1))
        for task in (first, second):
            with pytest.raises(AskTimeout, match="no answer in 1 s"):
                await task
        assert await ref.ask("next") == ("seen", "next")
    assert seen == [("sleep", 3), "next"]


async def test_a_cancelled_ask_is_not_handled() -> None:
    """Cancelling the asker drops a request that is still queued."""
    seen: list[Any] = []
    async with ActorSystem(children=[recorder(seen)]) as system:
        ref = system.ref("a")
        ref.tell(("sleep", 1))
        task = asyncio.create_task(ref.ask("unwanted"))
        await asyncio.sleep(0.5)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await ref.ask("wanted")
    assert seen == [("sleep", 1), "wanted"]


async def test_a_crash_answers_the_ask_in_hand_and_keeps_the_queue() -> None:
    """The asker gets ActorCrashed with the cause, its message is not retried, and queued messages are handled after."""
    seen: list[Any] = []
    async with ActorSystem(children=[recorder(seen)]) as system:
        ref = system.ref("a")
        error = ValueError("broken")
        crashing = asyncio.create_task(ref.ask(error))
        waiting = asyncio.create_task(ref.ask("after"))
        with pytest.raises(ActorCrashed) as caught:
            await crashing
        assert caught.value.cause is error
        assert await waiting == ("seen", "after")
        assert ref.incarnation == 2
        assert [(letter.message, letter.reason) for letter in system.dead_letters.recent] == [(error, "crashed")]
    assert seen == ["after"]


async def test_a_mailbox_that_drops_bounces_what_was_queued_over_a_restart() -> None:
    """With on_restart=drop, queued asks get ActorRestarted and queued tells become dead letters."""
    seen: list[Any] = []
    async with ActorSystem(children=[recorder(seen, mailbox=Mailbox(on_restart=OnRestart.DROP))]) as system:
        ref = system.ref("a")
        ref.tell(ValueError("broken"))
        ref.tell("queued")
        with pytest.raises(ActorRestarted, match="safe to send it again"):
            await ref.ask("asked")
        await ref.wait_running()
        assert await ref.ask("again") == ("seen", "again")
        assert system.dead_letters.counts == {"crashed": 1, "restarting_drop": 2}
    assert seen == ["again"]


async def test_messages_to_a_stopped_actor_fail_at_once() -> None:
    """Tell says DEAD; send and ask raise ActorStopped without waiting."""
    seen: list[Any] = []
    async with ActorSystem(children=[recorder(seen)]) as system:
        ref = system.ref("a")
        await system.root.terminate_child("a")
        assert ref.tell(1) is Delivery.DEAD
        for call in (ref.send(2), ref.ask(3)):
            with pytest.raises(ActorStopped, match="a is stopped"):
                await call
        assert system.dead_letters.counts == {"stopped": 3}


async def test_queued_asks_fail_when_the_actor_stops() -> None:
    """A stop answers every queued ask and every waiting sender; none waits for its deadline."""
    seen: list[Any] = []
    async with ActorSystem(children=[recorder(seen, mailbox=Mailbox(capacity=1))]) as system:
        ref = system.ref("a")
        ref.tell(("sleep", 2))
        await asyncio.sleep(0)
        calls = [asyncio.create_task(call) for call in (ref.ask(1, timeout=60), ref.ask(2, timeout=60), ref.send(3))]
        await asyncio.sleep(1)
        await system.root.terminate_child("a")
        results = await asyncio.gather(*calls, return_exceptions=True)
        assert [type(result) for result in results] == [ActorStopped] * 3
        assert asyncio.get_running_loop().time() < 5


async def test_tell_works_from_any_thread_and_ask_refuses() -> None:
    """A foreign thread may tell; ask and send from there fail with a sentence that says why."""
    seen: list[Any] = []
    async with ActorSystem(children=[recorder(seen)]) as system:
        ref = system.ref("a")

        def work() -> tuple[list[Delivery], ActorError]:
            told = [ref.tell(n) for n in range(50)]
            with pytest.raises(ActorError, match="only tell") as caught:
                ref.ask(1).send(None)
            return told, caught.value

        told, _ = await asyncio.to_thread(work)
        assert set(told) == {Delivery.ACCEPTED}
        await ref.ask("end")
    assert seen == [*range(50), "end"]
    outcome: list[Delivery] = []
    thread = threading.Thread(target=lambda: outcome.append(ref.tell("too late")))
    thread.start()
    thread.join()
    assert outcome == [Delivery.DEAD]


async def test_a_busy_actor_lets_others_run() -> None:
    """A handler that never suspends gives way every few messages."""
    seen: list[Any] = []
    async with ActorSystem(children=[recorder(seen, mailbox=Mailbox(capacity=10_000))]) as system:
        for n in range(10_000):
            system.ref("a").tell(n)
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert 0 < len(seen) < 1000


async def test_timers_come_once_periodically_and_not_after_a_restart() -> None:
    """A timer's message comes on time; a key is replaced; a restart ends every timer."""
    seen: list[Any] = []
    loop = asyncio.get_running_loop()

    def stamp(label: str) -> Callable[[Recorder], None]:
        return lambda actor: actor.seen.append((label, loop.time()))

    def set_timers(actor: Recorder) -> None:
        actor.ctx.timers.once("k", 1, stamp("replaced"))
        actor.ctx.timers.once("k", 2, stamp("once"))
        actor.ctx.timers.every("p", 10, stamp("every"))

    async with ActorSystem(children=[recorder(seen)]) as system:
        begun = loop.time()
        system.ref("a").tell(set_timers)
        await asyncio.sleep(35)
        stamps = [(entry[0], round(entry[1] - begun, 6)) for entry in seen if isinstance(entry, tuple)]
        assert stamps == [("once", 2), ("every", 10), ("every", 20), ("every", 30)]
        system.ref("a").tell(ValueError("broken"))
        seen.clear()
        await asyncio.sleep(100)
        assert seen == []


async def test_periodic_ticks_do_not_pile_up() -> None:
    """While a tick is queued the next ones are left out, and the rate stays fixed."""
    seen: list[Any] = []

    def set_timer(actor: Recorder) -> None:
        actor.ctx.timers.every("p", 1, "tick")

    async with ActorSystem(children=[recorder(seen)]) as system:
        ref = system.ref("a")
        ref.tell(set_timer)
        ref.tell(("sleep", 10.5))
        await asyncio.sleep(10.2)
        assert system.snapshot().children[0].mailbox_depth == 1
        await asyncio.sleep(1)
        assert seen.count("tick") == 2
