"""Links: actors that fall together."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from bifrost.actors import (
    Actor,
    ActorRef,
    ActorSystem,
    BlockingActor,
    ChildSpec,
    Crash,
    DynamicSupervisor,
    ExitReason,
    Killed,
    Normal,
    Restart,
    Supervisor,
)
from bifrost.actors.links import Exit
from bifrost.errors import ActorCrashed, ActorError, LinkedExit


class Climber(Actor[Any]):
    """Does as told: links, crashes, stops; notes what comes and why it ends."""

    def __init__(self, seen: list[Any], *, traps: bool = False) -> None:
        self.seen = seen
        self.traps = traps

    async def on_start(self) -> None:
        self.ctx.trap_exits = self.traps

    async def receive(self, message: Any) -> Any:
        if message == "crash":
            raise ValueError(message)
        if message == "stop":
            self.ctx.stop()
        elif isinstance(message, tuple) and message[0] == "link":
            self.ctx.link(message[1])
        elif isinstance(message, tuple) and message[0] == "unlink":
            self.ctx.unlink(message[1])
        elif message == "sleep":
            await asyncio.sleep(3600)
        else:
            self.seen.append(message)
        return message

    async def on_stop(self, reason: ExitReason) -> None:
        self.seen.append(reason)


def climber(child_id: str, seen: list[Any], restart: Restart = Restart.PERMANENT, *, traps: bool = False) -> ChildSpec:
    return ChildSpec(id=child_id, start=Climber, args=(seen,), kwargs={"traps": traps}, restart=restart)


def rope(
    a: list[Any], b: list[Any], *, b_traps: bool = False, a_restart: Restart = Restart.TEMPORARY
) -> list[ChildSpec]:
    """Two supervisors with one actor each."""
    return [
        Supervisor.spec("left", [climber("a", a, a_restart)]),
        Supervisor.spec("right", [climber("b", b, traps=b_traps)]),
    ]


@pytest.mark.parametrize("how", ["crash", "kill"])
@pytest.mark.parametrize("first", ["left/a", "right/b"])
async def test_an_abnormal_end_takes_the_linked_actor_with_it(how: str, first: str) -> None:
    """Across supervisors and in both directions; the other crashes with `LinkedExit` and its own supervisor decides."""
    seen: dict[str, list[Any]] = {"left/a": [], "right/b": []}
    async with ActorSystem(children=rope(*seen.values(), a_restart=Restart.PERMANENT)) as system:
        a, b = system.ref("left/a"), system.ref("right/b")
        await a.ask(("link", b))
        system.ref(first).kill() if how == "kill" else system.ref(first).tell("crash")
        await asyncio.sleep(1)
        assert (a.incarnation, b.incarnation) == (2, 2)
        other = "right/b" if first == "left/a" else "left/a"
        (own,), (taken,) = seen[first], seen[other]
        assert isinstance(own, Killed if how == "kill" else Crash)
        assert isinstance(taken, Crash)
        assert isinstance(taken.error, LinkedExit)
        assert taken.error.path == first


async def test_a_running_handler_of_the_linked_actor_is_cut_short() -> None:
    """The other's handler is cancelled and its asker gets `ActorCrashed`."""
    async with ActorSystem(children=rope([], [])) as system:
        a, b = system.ref("left/a"), system.ref("right/b")
        await a.ask(("link", b))
        asked = asyncio.ensure_future(b.ask("sleep", timeout=100))
        await asyncio.sleep(1)
        a.tell("crash")
        with pytest.raises(ActorCrashed):
            await asked


@pytest.mark.parametrize("how", ["stop", "terminate"])
async def test_a_normal_end_leaves_the_linked_actor_alone(how: str) -> None:
    """`Normal` and `Shutdown` take nobody with them."""
    seen: list[Any] = []
    async with ActorSystem(children=rope([], seen)) as system:
        a, b = system.ref("left/a"), system.ref("right/b")
        await a.ask(("link", b))
        if how == "stop":
            a.tell("stop")
        else:
            await system.supervisor("left").terminate_child("a")
        await asyncio.sleep(1)
        assert b.incarnation == 1
        assert seen == []


@pytest.mark.parametrize("how", ["crash", "stop"])
async def test_an_actor_that_traps_gets_a_message_instead(how: str) -> None:
    """Normal ends and crashes come as `Exit`; the actor goes on, and the link is gone."""
    seen: list[Any] = []
    async with ActorSystem(children=rope([], seen, b_traps=True, a_restart=Restart.PERMANENT)) as system:
        a, b = system.ref("left/a"), system.ref("right/b")
        await a.ask(("link", b))
        a.tell(how)
        await asyncio.sleep(1)
        (got,) = seen
        assert isinstance(got, Exit)
        assert (got.ref, got.incarnation, type(got.reason)) == (a, 1, Normal if how == "stop" else Crash)
        assert b.incarnation == 1
        a.tell("crash")
        await asyncio.sleep(1)
        assert len(seen) == 1


async def test_a_link_ends_with_the_incarnation() -> None:
    """After both were restarted they no longer fall together."""
    async with ActorSystem(children=rope([], [], a_restart=Restart.PERMANENT)) as system:
        a, b = system.ref("left/a"), system.ref("right/b")
        await a.ask(("link", b))
        a.tell("crash")
        await asyncio.sleep(1)
        assert (a.incarnation, b.incarnation) == (2, 2)
        a.tell("crash")
        await asyncio.sleep(1)
        assert (a.incarnation, b.incarnation) == (3, 2)


async def test_unlinking_from_either_side_ends_the_link() -> None:
    """A link taken back by the other side is gone on this one; linking twice is linking once."""
    async with ActorSystem(children=rope([], [], a_restart=Restart.PERMANENT)) as system:
        a, b = system.ref("left/a"), system.ref("right/b")
        await a.ask(("link", b))
        await a.ask(("link", b))
        await b.ask(("unlink", a))
        await b.ask(("unlink", a))
        a.tell("crash")
        await asyncio.sleep(1)
        assert b.incarnation == 1
        await a.wait_running()
        system.link(a, b)
        system.unlink(a, b)
        b.tell("crash")
        await asyncio.sleep(1)
        assert (a.incarnation, b.incarnation) == (2, 2)
        system.link(a, b)
        a.tell("crash")
        await asyncio.sleep(1)
        assert b.incarnation == 3


@pytest.mark.parametrize("traps", [False, True])
async def test_linking_with_an_actor_that_has_stopped_is_its_end(*, traps: bool) -> None:
    """As OTP's `noproc`: who traps gets the message at once, who does not crashes."""
    seen: list[Any] = []
    async with ActorSystem(children=rope([], seen, b_traps=traps)) as system:
        a, b = system.ref("left/a"), system.ref("right/b")
        a.tell("stop")
        await asyncio.sleep(1)
        b.tell(("link", a))
        await asyncio.sleep(1)
        assert b.incarnation == (1 if traps else 2)
        assert isinstance(seen[0], Exit if traps else Crash)


async def test_a_ring_of_links_falls_once() -> None:
    """Three actors linked in a ring all crash once each."""
    lists: list[list[Any]] = [[], [], []]
    specs = [climber(name, seen) for name, seen in zip("abc", lists, strict=True)]
    async with ActorSystem(children=[DynamicSupervisor.spec("d", intensity=3)], intensity=0) as system:
        refs = [await system.supervisor("d").start_child(spec) for spec in specs]
        for ref, peer in zip(refs, [*refs[1:], refs[0]], strict=True):
            await ref.ask(("link", peer))
        refs[0].tell("crash")
        await asyncio.sleep(1)
        assert [ref.incarnation for ref in refs] == [2, 2, 2]
        assert [len(seen) for seen in lists] == [1, 1, 1]


async def test_a_failed_start_takes_the_linked_actor_with_it() -> None:
    """An actor that links in `on_start` and then fails there ends the other."""

    class Failing(Climber):
        async def on_start(self) -> None:
            self.ctx.link(self.ctx.system.ref("b"))
            raise OSError("no device")

    seen: list[Any] = []
    async with ActorSystem(children=[climber("b", seen)]) as system:
        with pytest.raises(ActorError, match="no device"):
            await system.start_child(ChildSpec(id="a", start=Failing, args=([],)))
        await asyncio.sleep(1)
        assert system.ref("b").incarnation == 2
        assert isinstance(seen[0], Crash)


@pytest.mark.parametrize("blocking", [False, True])
@pytest.mark.real_time
async def test_nobody_watches_another_system(*, blocking: bool) -> None:
    """Two systems may run in two threads; a notice from one to the other would belong to neither."""

    class Plain(Actor[ActorRef[Any]]):
        async def receive(self, message: ActorRef[Any]) -> None:
            self.ctx.watch(message)

    class InThread(BlockingActor[ActorRef[Any]]):
        def receive(self, message: ActorRef[Any]) -> None:
            self.ctx.watch(message)

    spec = ChildSpec(id="a", start=InThread if blocking else Plain)
    async with ActorSystem("one", [spec]) as one, ActorSystem("two", [spec]) as two:
        with pytest.raises(ActorCrashed, match="a belongs to another system; watches stay within one"):
            await one.ref("a").ask(two.ref("a"))


async def test_a_supervisor_and_another_system_are_no_partners() -> None:
    """The text says what to do instead; an actor linked with itself is not linked."""
    async with ActorSystem("one", rope([], [])) as one, ActorSystem("two", [climber("x", [])]) as two:
        a = one.ref("left/a")
        with pytest.raises(ActorError, match="watch it instead"):
            one.link(a, one.ref("right"))
        with pytest.raises(ActorError, match="another system"):
            one.link(a, two.ref("x"))
        one.link(a, a)
        assert a.incarnation == 1
