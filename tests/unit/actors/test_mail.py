"""What becomes of a message at the edges: full, late, stopped, restarted, past the bound."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from bifrost.actors import (
    Actor,
    ActorState,
    ActorSystem,
    Backoff,
    ChildSpec,
    DeadLetterReason,
    Delivery,
    Down,
    DynamicSupervisor,
    Lane,
    Mailbox,
    OnRestart,
    Overflow,
    Restart,
)
from bifrost.actors.dead_letters import DeadLetter, DeadLetters
from bifrost.errors import ActorCrashed, ActorRestarted, ActorStopped, AskTimeout, MailboxFull

LONG_BACKOFF = Backoff(min=5.0, max=5.0, jitter=0.0)


class Puppet(Actor[Any]):
    """Awaits what it is sent, with itself as the argument; notes everything else in `seen`."""

    def __init__(self, seen: list[Any]) -> None:
        self.seen = seen

    async def receive(self, message: Any) -> object:
        if callable(message):
            return await message(self)
        self.seen.append(message)
        return message


def puppet(seen: list[Any], name: str = "a", **fields: Any) -> ChildSpec:
    return ChildSpec(id=name, start=Puppet, args=(seen,), **fields)


async def nap(_: Puppet) -> None:
    await asyncio.sleep(1)


async def fail(_: Puppet) -> None:
    raise ValueError("broken")


# Results


async def test_mail_to_a_restarting_actor_is_accepted_and_waits() -> None:
    """While a back-off runs, tell and send are taken, and the next incarnation handles them in order."""
    seen: list[Any] = []
    async with ActorSystem(children=[puppet(seen, backoff=LONG_BACKOFF)]) as system:
        ref = system.ref("a")
        ref.tell(fail)
        await asyncio.sleep(1)
        assert ref.state is ActorState.RESTARTING
        assert ref.tell("told") is Delivery.ACCEPTED
        await ref.send("sent")
        await ref.ask("asked", timeout=10)
        assert seen == ["told", "sent", "asked"]


async def test_a_full_mailbox_of_a_restarting_actor_is_full() -> None:
    """The bound holds while nobody handles: tell is dropped, send waits and gives up, ask times out."""
    seen: list[Any] = []
    spec = puppet(seen, backoff=LONG_BACKOFF, mailbox=Mailbox(capacity=1))
    async with ActorSystem(children=[spec]) as system:
        ref = system.ref("a")
        ref.tell(fail)
        await asyncio.sleep(1)
        assert ref.tell("fits") is Delivery.ACCEPTED
        assert ref.tell("too much") is Delivery.DROPPED
        with pytest.raises(MailboxFull):
            await ref.send("no room", timeout=1)
        with pytest.raises(AskTimeout):
            await ref.ask("no room either", timeout=1)
        await ref.send("waits", timeout=10)
        await asyncio.sleep(1)
    assert seen == ["fits", "waits"]


@pytest.mark.parametrize("overflow", [Overflow.DROP_NEWEST, Overflow.FAIL])
async def test_send_and_ask_are_refused_by_a_mailbox_that_drops(overflow: Overflow) -> None:
    """They do not wait where room is made by dropping: `MailboxFull` at once, and a dead letter."""
    seen: list[Any] = []
    async with ActorSystem(children=[puppet(seen, mailbox=Mailbox(capacity=1, overflow=overflow))]) as system:
        ref = system.ref("a")
        ref.tell("fits")
        begun = asyncio.get_running_loop().time()
        with pytest.raises(MailboxFull):
            await (ref.send("sent") if overflow is Overflow.FAIL else ref.ask("asked"))
        assert asyncio.get_running_loop().time() == begun
        assert system.dead_letters.counts == {"full": 1}
        await asyncio.sleep(1)
    assert seen == ["fits"]


async def test_an_ask_that_is_dropped_for_a_newer_message_fails_at_once() -> None:
    """With `drop_oldest` the victim's asker gets `MailboxFull`, not silence."""
    seen: list[Any] = []
    mailbox = Mailbox(capacity=1, overflow=Overflow.DROP_OLDEST)
    async with ActorSystem(children=[puppet(seen, mailbox=mailbox)]) as system:
        ref = system.ref("a")
        ref.tell(nap)
        await asyncio.sleep(0.1)
        asking = asyncio.create_task(ref.ask("old", timeout=60))
        await asyncio.sleep(0.1)
        assert ref.tell("new") is Delivery.ACCEPTED
        with pytest.raises(MailboxFull, match="the request was dropped"):
            await asking
        await asyncio.sleep(2)
    assert seen == ["new"]


async def test_tell_never_raises_whatever_the_key_function_does() -> None:
    """A conflation key that fails lets the message queue by itself."""
    seen: list[Any] = []
    mailbox = Mailbox(capacity=3, overflow=Overflow.CONFLATE, key=lambda message: message["tag"])
    async with ActorSystem(children=[puppet(seen, mailbox=mailbox)]) as system:
        ref = system.ref("a")
        assert [ref.tell(message) for message in ({"tag": 1}, "no tag", {"tag": 1, "new": True})] == [
            Delivery.ACCEPTED
        ] * 3
        await asyncio.sleep(1)
    assert seen == [{"tag": 1, "new": True}, "no tag"]


class Incomparable:
    """A key that cannot be compared with another one."""

    def __hash__(self) -> int:
        return 1

    def __eq__(self, other: object) -> bool:
        raise ValueError("no comparison")


@pytest.mark.parametrize("make_key", [lambda message: [message], lambda _: Incomparable()], ids=["hash", "equality"])
async def test_a_key_that_is_no_key_lets_the_message_queue_by_itself(make_key: Callable[[Any], Any]) -> None:
    """Neither a key without a hash nor one that fails in a comparison reaches who tells, or the handler's loop."""
    seen: list[Any] = []
    mailbox = Mailbox(overflow=Overflow.CONFLATE, key=make_key)
    async with ActorSystem(children=[puppet(seen, mailbox=mailbox)]) as system:
        ref = system.ref("a")
        assert [ref.tell(number) for number in (1, 2, 3)] == [Delivery.ACCEPTED] * 3
        await asyncio.sleep(1)
        assert ref.incarnation == 1
    assert seen == [1, 2, 3]


async def test_a_message_that_replaces_another_has_its_own_time_to_live() -> None:
    """What takes the place of a message that was soon too old is not too old with it."""
    seen: list[Any] = []
    mailbox = Mailbox(overflow=Overflow.CONFLATE, key=lambda message: message if callable(message) else message[0])
    async with ActorSystem(children=[puppet(seen, mailbox=mailbox)]) as system:
        ref = system.ref("a")
        ref.tell(nap)
        await asyncio.sleep(0.1)
        ref.tell(("x", 1), ttl=0.1)
        ref.tell(("x", 2))
        ref.tell(("y", 1))
        ref.tell(("y", 2), ttl=0.1)
        await asyncio.sleep(2)
        assert [(letter.message, letter.reason) for letter in system.dead_letters.recent] == [(("y", 2), "ttl")]
    assert seen == [("x", 2)]


async def test_none_and_other_odd_messages_are_messages() -> None:
    """Nothing that Python can hold is mistaken for the absence of a message."""
    seen: list[Any] = []
    odd = [None, (), 0, False, NotImplemented, ..., Delivery.DEAD, StopIteration]

    class Keeper(Actor[Any]):
        async def receive(self, message: Any) -> object:
            seen.append(message)
            return message

    async with ActorSystem(children=[ChildSpec(id="a", start=Keeper)]) as system:
        ref = system.ref("a")
        for message in odd:
            ref.tell(message)
        assert [await ref.ask(message) for message in odd] == odd
    assert seen == odd + odd


# The bound and what passes it


async def test_timers_and_notices_pass_the_bound() -> None:
    """A full mailbox loses neither a timer's message nor a `Down`, and is no fuller for others by them."""
    seen: list[Any] = []

    async def prepare(actor: Puppet) -> None:
        actor.ctx.timers.once("k", 0.5, "timer")
        actor.ctx.watch(actor.ctx.system.ref("b"))
        await asyncio.sleep(2)

    specs = [puppet([], "b"), puppet(seen, mailbox=Mailbox(capacity=2))]
    async with ActorSystem(children=specs) as system:
        ref = system.ref("a")
        ref.tell(prepare)
        await asyncio.sleep(0.1)
        ref.tell("one")
        await asyncio.sleep(1)
        system.ref("b").kill()
        await asyncio.sleep(0.1)
        assert ref.tell("two") is Delivery.ACCEPTED
        assert ref.tell("three") is Delivery.DROPPED
        await asyncio.sleep(3)
    assert isinstance(seen[0], Down)
    assert seen[1:] == ["one", "timer", "two"]


async def test_the_bound_counts_every_lane() -> None:
    """All lanes share the capacity, whatever a sender puts into SYSTEM included; room made in one is room for all."""
    seen: list[Any] = []
    async with ActorSystem(children=[puppet(seen, mailbox=Mailbox(capacity=3))]) as system:
        ref = system.ref("a")
        lanes = (Lane.HIGH, Lane.NORMAL, Lane.SYSTEM, Lane.NORMAL, Lane.HIGH, Lane.SYSTEM)
        told = [ref.tell(lane.name, lane=lane) for lane in lanes]
        assert told == [*[Delivery.ACCEPTED] * 3, *[Delivery.DROPPED] * 3]
        await asyncio.sleep(0.1)
        assert ref.tell("later") is Delivery.ACCEPTED
        await asyncio.sleep(0.1)
    assert seen == ["SYSTEM", "HIGH", "NORMAL", "later"]


# Stops and restarts


async def test_a_stop_is_taken_before_queued_messages() -> None:
    """After the message in hand nothing more is handled: what waits becomes dead letters, in order."""
    seen: list[Any] = []
    async with ActorSystem(children=[puppet(seen)]) as system:
        ref = system.ref("a")
        ref.tell(nap)
        for n in range(3):
            ref.tell(n)
        await asyncio.sleep(0.5)
        await system.root.terminate_child("a")
        assert seen == []
        assert [letter.message for letter in system.dead_letters.recent] == [0, 1, 2]
        assert system.dead_letters.counts == {"stopped": 3}


async def test_requests_that_expired_during_a_restart_are_not_handled() -> None:
    """A kept mailbox is purged of asks whose deadline passed or whose asker left; the others are handled."""
    seen: list[Any] = []
    async with ActorSystem(children=[puppet(seen, backoff=LONG_BACKOFF)]) as system:
        ref = system.ref("a")
        ref.tell(fail)
        await asyncio.sleep(0.1)
        expires = asyncio.create_task(ref.ask("expired", timeout=1))
        leaves = asyncio.create_task(ref.ask("abandoned", timeout=60))
        stays = asyncio.create_task(ref.ask("in time", timeout=60))
        await asyncio.sleep(2)
        leaves.cancel()
        assert await stays == "in time"
        assert isinstance(expires.exception(), AskTimeout)
        assert seen == ["in time"]


async def test_senders_that_wait_when_a_dropping_mailbox_restarts_are_told() -> None:
    """With `on_restart=drop` a waiting send and a waiting ask get `ActorRestarted`: safe to send again."""
    seen: list[Any] = []

    async def nap_and_fail(_: Puppet) -> None:
        await asyncio.sleep(1)
        raise ValueError("broken")

    spec = puppet(seen, mailbox=Mailbox(capacity=1, on_restart=OnRestart.DROP))
    async with ActorSystem(children=[spec]) as system:
        ref = system.ref("a")
        ref.tell(nap_and_fail)
        await asyncio.sleep(0.1)
        ref.tell("queued")
        calls = [asyncio.create_task(call) for call in (ref.send("sent", timeout=60), ref.ask("asked", timeout=60))]
        results = await asyncio.gather(*calls, return_exceptions=True)
        assert [type(result) for result in results] == [ActorRestarted, ActorRestarted]
        assert await ref.ask("again") == "again"
    assert seen == ["again"]


async def test_senders_that_wait_when_a_keeping_mailbox_restarts_get_in() -> None:
    """With `on_restart=keep` they keep their places in the queue over the restart."""
    seen: list[Any] = []

    async def nap_and_fail(_: Puppet) -> None:
        await asyncio.sleep(1)
        raise ValueError("broken")

    async with ActorSystem(children=[puppet(seen, mailbox=Mailbox(capacity=1))]) as system:
        ref = system.ref("a")
        ref.tell(nap_and_fail)
        await asyncio.sleep(0.1)
        ref.tell("queued")
        sending = asyncio.create_task(ref.send("sent", timeout=60))
        await asyncio.sleep(0)
        assert await ref.ask("asked", timeout=60) == "asked"
        await sending
    assert seen == ["queued", "sent", "asked"]


async def test_senders_that_wait_get_the_room_that_expired_mail_leaves_in_a_restart() -> None:
    """Nothing is queued any more that could be taken, and so let them in, later."""
    seen: list[Any] = []
    async with ActorSystem(children=[puppet(seen, mailbox=Mailbox(capacity=1))]) as system:
        ref = system.ref("a")

        async def crash_late(_: Puppet) -> None:
            await asyncio.sleep(1)
            raise ValueError("broken")

        ref.tell(crash_late)
        await asyncio.sleep(0.1)
        ref.tell("too late", ttl=0.5)
        await ref.send("in time")
        await asyncio.sleep(0)
    assert seen == ["in time"]


async def test_the_message_in_hand_is_never_tried_again() -> None:
    """However it ends, by a crash, a kill or a stop that overstays, its handler has run once."""
    entered: list[str] = []

    def enter(name: str, *, then: Callable[[Puppet], Awaitable[object]]) -> Callable[[Puppet], Awaitable[object]]:
        async def handler(actor: Puppet) -> None:
            entered.append(name)
            await then(actor)

        return handler

    async with ActorSystem(children=[puppet([], shutdown=0.5)]) as system:
        ref = system.ref("a")
        ref.tell(enter("crashes", then=fail))
        await asyncio.sleep(0.1)
        ref.tell(enter("is killed", then=nap))
        await asyncio.sleep(0.1)
        ref.kill()
        await asyncio.sleep(0.1)
        ref.tell(enter("overstays", then=lambda _: asyncio.sleep(100)))
        await asyncio.sleep(0.1)
        await system.root.terminate_child("a")
        await system.root.restart_child("a")
        await asyncio.sleep(1)
        assert ref.incarnation == 4
        assert system.dead_letters.counts == {"crashed": 3}
    assert entered == ["crashes", "is killed", "overstays"]


async def test_a_message_is_handled_or_a_dead_letter_and_never_both() -> None:
    """A handler that ends well although its actor is going down has handled its message."""
    seen: list[Any] = []

    async def finish_anyway(actor: Puppet) -> str:
        try:
            await asyncio.sleep(10)
        except asyncio.CancelledError:
            actor.seen.append("finished")
        return "finished"

    mailbox = Mailbox(capacity=1, overflow=Overflow.FAIL)
    async with ActorSystem(children=[puppet(seen, mailbox=mailbox)]) as system:
        ref = system.ref("a")
        asking = asyncio.create_task(ref.ask(finish_anyway, timeout=60))
        await asyncio.sleep(0.1)
        ref.tell("fits")
        ref.tell("too much")
        assert await asking == "finished"
        await asyncio.sleep(1)
        assert ref.incarnation == 2
        assert system.dead_letters.counts == {"full": 1}
    assert seen == ["finished", "fits"]


# Dead letters


async def test_every_reason_of_a_dead_letter() -> None:
    """Each says why; the stream keeps who, what and when."""
    seen: list[Any] = []
    specs = [
        puppet(seen, "full", mailbox=Mailbox(capacity=1)),
        puppet(seen, "stopped", restart=Restart.TEMPORARY),
        puppet(seen, "dropping", mailbox=Mailbox(on_restart=OnRestart.DROP)),
        puppet(seen, "crashing"),
        DynamicSupervisor.spec("no_handler"),
    ]
    async with ActorSystem(children=specs) as system:
        stopped = system.ref("stopped")
        await system.root.terminate_child("stopped")
        await asyncio.sleep(2)
        for message in (nap, "full"):
            system.ref("full").tell(message)
        stopped.tell("stopped")
        for message in (fail, "dropped"):
            system.ref("dropping").tell(message)
        system.ref("crashing").tell(fail)
        system.ref("no_handler").tell("no handler")
        await asyncio.sleep(0)
        await asyncio.sleep(0.5)
        letters = {letter.reason: letter for letter in system.dead_letters.recent if letter.message is not fail}
        assert {reason: (letter.path, letter.message) for reason, letter in letters.items()} == {
            DeadLetterReason.FULL: ("full", "full"),
            DeadLetterReason.STOPPED: ("stopped", "stopped"),
            DeadLetterReason.RESTARTING_DROP: ("dropping", "dropped"),
            DeadLetterReason.NO_HANDLER: ("no_handler", "no handler"),
        }
        assert all(letter.at == 2.0 for letter in letters.values())
        assert system.dead_letters.counts["crashed"] == 2
        assert len(system.dead_letters) == 6


def test_the_stream_of_dead_letters_is_bounded_and_its_counts_are_not() -> None:
    """The last ones are kept; every one is counted."""
    letters = DeadLetters(keep=3)
    for n in range(10):
        letters.add(DeadLetter("a", n, DeadLetterReason.FULL if n % 2 else DeadLetterReason.STOPPED, float(n)))
    assert [letter.message for letter in letters.recent] == [7, 8, 9]
    assert letters.counts == {"full": 5, "stopped": 5}
    assert len(letters) == 10


async def test_a_request_that_its_asker_gave_up_is_no_dead_letter() -> None:
    """The asker knows already: a withdrawn request leaves no letter, handled or not."""
    async with ActorSystem(children=[puppet([])]) as system:
        ref = system.ref("a")
        ref.tell(nap)
        for _ in range(3):
            with pytest.raises(AskTimeout):
                await ref.ask("in vain", timeout=0.1)
        await asyncio.sleep(2)
        assert system.dead_letters.counts == {}
        assert await ref.ask("in time") == "in time"


# Errors say what happened to the request


async def test_what_an_error_says_about_the_request_is_true() -> None:
    """Unseen after `ActorStopped`, `ActorRestarted` and `MailboxFull`; begun after `ActorCrashed`."""
    begun: list[str] = []

    def begin(name: str) -> Callable[[Puppet], Awaitable[None]]:
        async def handler(_: Puppet) -> None:
            begun.append(name)
            await asyncio.sleep(1)
            raise ValueError(name)

        return handler

    spec = puppet([], mailbox=Mailbox(capacity=1, overflow=Overflow.DROP_NEWEST, on_restart=OnRestart.DROP))
    async with ActorSystem(children=[spec]) as system:
        ref = system.ref("a")
        calls = {name: asyncio.create_task(ref.ask(begin(name), timeout=60)) for name in ("crash", "wait", "full")}
        await asyncio.sleep(0.1)
        more = asyncio.create_task(ref.ask(begin("restart"), timeout=60))
        results = dict(zip(calls, await asyncio.gather(*calls.values(), return_exceptions=True), strict=True))
        late = await asyncio.gather(more, return_exceptions=True)
        await ref.wait_running()
        await system.root.terminate_child("a")
        with pytest.raises(ActorStopped):
            await ref.ask(begin("stopped"))
        outcomes = {name: type(result) for name, result in {**results, "restart": late[0]}.items()}
    assert outcomes["crash"] is ActorCrashed
    assert set(outcomes.values()) == {ActorCrashed, ActorRestarted, MailboxFull}
    assert begun == [name for name, kind in outcomes.items() if kind is ActorCrashed]
