"""Looking at the messages of one actor."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from bifrost.actors import Actor, ActorSystem, ChildSpec, Delivery, Mailbox
from bifrost.errors import ActorCrashed


class Worker(Actor[Any]):
    """Sleeps for numbers, crashes at exceptions."""

    async def receive(self, message: Any) -> object:
        if isinstance(message, Exception):
            raise message
        if isinstance(message, float):
            await asyncio.sleep(message)
        return message


def workers(*names: str, **options: Any) -> list[ChildSpec]:
    return [ChildSpec(id=name, start=Worker, **options) for name in names]


async def test_a_tap_shows_what_becomes_of_each_message() -> None:
    """Queued, begun after its wait, handled or crashed after its time; other actors' messages are not there."""
    async with ActorSystem(children=workers("a", "b")) as system:
        a = system.ref("a")
        with system.trace("a") as tap:
            a.tell(2.0)
            a.tell("next")
            system.ref("b").tell("elsewhere")
            await asyncio.sleep(3)
            with pytest.raises(ActorCrashed):
                await a.ask(ValueError("broken"))
        seen = [(one.what.value, one.message, one.seconds, one.detail) for one in tap.take()]
        assert [entry[:3] for entry in seen[:6]] == [
            ("queued", 2.0, None),
            ("queued", "next", None),
            ("begun", 2.0, 0.0),
            ("handled", 2.0, 2.0),
            ("begun", "next", 2.0),
            ("handled", "next", 0.0),
        ]
        assert [entry[0] for entry in seen[6:]] == ["queued", "begun", "crashed", "dropped"]
        assert [entry[3] for entry in seen[8:]] == ["ValueError: broken", "crashed"]
        assert tap.take() == []


async def test_a_tap_ends_with_its_block_and_leaves_no_trace() -> None:
    """Before and after it messages travel the short way, within it every kind is seen."""
    async with ActorSystem(children=workers("a")) as system:
        a = system.ref("a")
        assert system.meter is None
        assert await a.ask(1) == 1
        with system.trace("a") as tap:
            assert system.meter is not None
            assert await a.ask(2) == 2
            await a.send(3)
            assert a.tell(4) is Delivery.ACCEPTED
            await asyncio.sleep(0.1)
        assert system.meter is None
        assert await a.ask(5) == 5
        assert [one.message for one in tap.take() if one.what.value == "handled"] == [2, 3, 4]


async def test_a_tap_sees_what_is_dropped() -> None:
    """What finds the mailbox full or the actor stopped is shown with its reason."""
    async with ActorSystem(children=workers("a", mailbox=Mailbox(capacity=1))) as system:
        a = system.ref("a")
        with system.trace("a") as tap:
            for n in range(3):
                a.tell(n)
            await asyncio.sleep(1)
            await system.root.terminate_child("a")
            a.tell("late")
        dropped = [(one.message, one.detail) for one in tap.take() if one.what.value == "dropped"]
        assert dropped == [(1, "full"), (2, "full"), ("late", "stopped")]


async def test_a_tap_is_bounded() -> None:
    """The oldest entries go, and are counted."""
    async with ActorSystem(children=workers("a")) as system:
        with system.trace("a", keep=10) as tap:
            for n in range(20):
                await system.ref("a").ask(n)
        assert tap.missed == 50
        assert [one.message for one in tap.take()][-1] == 19


async def test_a_tap_can_be_read_as_it_goes() -> None:
    """The iteration waits for entries and ends when the block has ended."""
    lines: list[str] = []
    async with ActorSystem(children=workers("a")) as system:
        with system.trace("a") as tap:

            async def read() -> None:
                async for entry in tap:
                    lines.append(str(entry))  # noqa: PERF401 - the list is looked at meanwhile

            reading = asyncio.create_task(read())
            await system.ref("a").ask(1.5)
            await asyncio.sleep(0)
            assert len(lines) == 3
        await reading
    assert lines[2] == "1.500000 a handled 1.5 after 1.500000 s"


async def test_two_taps_and_a_restart() -> None:
    """Taps do not disturb each other; a path stays tapped over restarts, and before its actor starts."""
    async with ActorSystem() as system:
        with system.trace("a") as one:
            (spec,) = workers("a")
            a = await system.start_child(spec)
            a.tell(ValueError("broken"))
            await asyncio.sleep(1)
            with system.trace("a") as two:
                await a.ask("again")
            assert len(two.take()) == 3
            await a.ask("and again")
        assert [entry.what.value for entry in one.take()] == [
            *("queued", "begun", "crashed", "dropped"),
            *("queued", "begun", "handled") * 2,
        ]


async def test_a_meter_that_fails_does_not_affect_an_actor(caplog: pytest.LogCaptureFixture) -> None:
    """Its exceptions are logged, and the messages are handled."""

    class Broken:
        def sent(self, *_: Any) -> None:
            raise ZeroDivisionError

        begin = end = dropped = sent

    from bifrost.actors.meters import add_meter

    async with ActorSystem(children=workers("a")) as system:
        remove = add_meter(system, Broken())
        assert await system.ref("a").ask(1) == 1
        remove()
        remove()
        assert await system.ref("a").ask(2) == 2
    assert caplog.text.count("Broken.sent") == caplog.text.count("Broken.begin") == 1
    assert "Broken.end" not in caplog.text
