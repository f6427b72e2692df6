"""A system inside a pykka actor, with the real pykka."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from types import TracebackType
from typing import Any

import pykka
import pytest

from bifrost.actors import Actor, ChildSpec, Delivery
from bifrost.actors.hosts.pykka import Ask, BifrostActor, SystemDown, Tell
from bifrost.errors import ActorCrashed, AskTimeout, ChildNotFound, SupervisorGaveUp
from tests.integration.actors.hosted import BOOM, Recorder, no_thread_left, wait_until, worker


@pytest.fixture(autouse=True)
def _pykka_ends() -> Iterator[None]:
    with no_thread_left():
        yield
        pykka.ActorRegistry.stop_all(timeout=10)


def test_the_tree_lives_as_long_as_the_pykka_actor() -> None:
    """Messages reach the tree through tell and ask; stopping the pykka actor stops the tree in reverse order."""
    recorder = Recorder()
    ref = BifrostActor.start("plant", [worker("a", recorder), worker("b", recorder)])
    assert ref.ask(Ask("a", 1), timeout=5) == 1
    assert ref.ask(Tell("b", 2), timeout=5) is Delivery.ACCEPTED
    ref.tell(Tell("a", 3))
    ref.stop(timeout=10)
    assert recorder.lines == ["start a", "start b", "stop b", "stop a"]


def test_errors_of_an_ask_reach_the_pykka_asker() -> None:
    """ActorCrashed and AskTimeout come out of pykka's ask, and the pykka actor lives on."""
    ref = BifrostActor.start("plant", [worker("a", shutdown=0.1)])
    with pytest.raises(ActorCrashed) as crashed:
        ref.ask(Ask("a", BOOM), timeout=5)
    assert crashed.value.cause is BOOM
    with pytest.raises(AskTimeout):
        ref.ask(Ask("a", "hang", timeout=0.1), timeout=5)
    assert ref.is_alive()


def test_proxy_methods_reach_the_tree() -> None:
    """`tell_actor`, `ask_actor` and `ask_soon` work through a pykka proxy; `ask_soon` blocks nobody."""
    proxy = BifrostActor.start("plant", [worker("a", shutdown=0.1), worker("b")]).proxy()
    assert proxy.ask_actor("a", 1).get(timeout=5) == 1
    assert proxy.tell_actor("a", 1).get(timeout=5) is Delivery.ACCEPTED
    slow = proxy.ask_soon("a", "hang", timeout=0.5).get(timeout=5)
    assert isinstance(slow, pykka.ThreadingFuture)
    begun = time.monotonic()
    assert proxy.ask_actor("b", 2).get(timeout=5) == 2
    assert time.monotonic() - begun < 0.4
    with pytest.raises(AskTimeout):
        slow.get(timeout=5)
    quick = proxy.ask_soon("b", 3).get(timeout=5)
    assert quick.get(timeout=5) == 3


def test_other_messages_are_the_subclasses() -> None:
    """A subclass handles its own messages and passes the rest on."""

    class Plant(BifrostActor):
        def on_receive(self, message: Any) -> Any:
            return "own" if message == "mine" else super().on_receive(message)

    ref = Plant.start("plant", [worker("a")])
    assert ref.ask("mine", timeout=5) == "own"
    assert ref.ask(Ask("a", 1), timeout=5) == 1


def test_a_tree_that_gives_up_fails_the_pykka_actor() -> None:
    """The pykka actor gets on_failure with SupervisorGaveUp, is unregistered, and its asks say that it is dead."""
    failures: list[BaseException | None] = []

    class Plant(BifrostActor):
        def on_failure(
            self,
            exception_type: type[BaseException] | None,
            exception_value: BaseException | None,
            traceback: TracebackType | None,
        ) -> None:
            failures.append(exception_value)
            super().on_failure(exception_type, exception_value, traceback)

    recorder = Recorder()
    ref = Plant.start("plant", [worker("a", recorder), worker("b", recorder)], intensity=0)
    ref.tell(Tell("a", BOOM))
    wait_until(lambda: bool(failures))
    assert isinstance(failures[0], SupervisorGaveUp)
    wait_until(lambda: not ref.is_alive())
    with pytest.raises(pykka.ActorDeadError):
        ref.ask(Ask("a", 1), timeout=5)
    assert pykka.ActorRegistry.get_by_class(Plant) == []
    assert recorder.stopped() == ["a", "b"]


def test_a_subclass_may_outlive_its_tree() -> None:
    """`on_system_down` decides: here the pykka actor notes the reason, and asks fail with SupervisorGaveUp."""
    downs: list[SystemDown] = []

    class Plant(BifrostActor):
        def on_system_down(self, down: SystemDown) -> None:
            downs.append(down)

    ref = Plant.start("plant", [worker("a")], intensity=0)
    ref.tell(Tell("a", BOOM))
    wait_until(lambda: bool(downs))
    assert isinstance(downs[0].error, SupervisorGaveUp)
    with pytest.raises(SupervisorGaveUp):
        ref.ask(Ask("a", 1), timeout=5)
    assert ref.is_alive()


def test_a_message_told_to_nobody_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    """A path at which nothing has started ends neither the pykka actor nor its tree; asked, it is the asker's error."""
    ref = BifrostActor.start("plant", [worker("a")])
    ref.tell(Tell("nobody", 1))
    assert ref.ask(Ask("a", 1), timeout=5) == 1
    assert "nothing has started at 'nobody'" in caplog.text
    assert ref.ask(Tell("nobody", 1), timeout=5) is Delivery.DEAD
    with pytest.raises(ChildNotFound):
        ref.ask(Ask("nobody", 1), timeout=5)
    assert ref.is_alive()


def test_a_failure_of_the_pykka_actor_stops_the_tree_in_order() -> None:
    """An unhandled exception in the pykka actor's own message stops the tree in reverse order."""

    class Plant(BifrostActor):
        def on_receive(self, message: Any) -> Any:
            if message == "fail":
                raise BOOM
            return super().on_receive(message)

    recorder = Recorder()
    ref = Plant.start("plant", [worker("a", recorder), worker("b", recorder)])
    ref.tell("fail")
    wait_until(lambda: recorder.stopped() == ["b", "a"])
    assert not ref.is_alive()


def test_stop_all_stops_the_tree() -> None:
    """The end that pykka itself has for of everything is an orderly stop of the tree."""
    recorder = Recorder()
    BifrostActor.start("plant", [worker("a", recorder), worker("b", recorder)]).ask(Ask("a", 1), timeout=5)
    pykka.ActorRegistry.stop_all(timeout=10)
    assert recorder.stopped() == ["b", "a"]


def test_a_tree_that_does_not_start_leaves_a_dead_actor(caplog: pytest.LogCaptureFixture) -> None:
    """Pykka logs the failed start; the actor is dead and no thread stays."""

    def refuse() -> Actor[Any]:
        raise BOOM

    ref = BifrostActor.start("plant", [ChildSpec(id="bad", start=refuse)])
    wait_until(lambda: not ref.is_alive())
    with pytest.raises(pykka.ActorDeadError):
        ref.ask(Ask("bad", 1), timeout=5)
    assert "StartFailed" in caplog.text


def test_a_tree_whose_owner_dies_without_a_word_stops_itself() -> None:
    """A subclass that fails in on_start after the tree has started: pykka calls no hook, and the tree stops anyway."""

    class Plant(BifrostActor):
        def on_start(self) -> None:
            super().on_start()
            raise BOOM

    recorder = Recorder()
    Plant.start("plant", [worker("a", recorder), worker("b", recorder)])
    wait_until(lambda: recorder.stopped() == ["b", "a"])


def test_two_pykka_actors_have_two_trees() -> None:
    """Trees of one name in two pykka actors are apart."""
    one = BifrostActor.start("plant", [worker("a")])
    two = BifrostActor.start("plant", [worker("a")], intensity=0)
    two.tell(Tell("a", BOOM))
    wait_until(lambda: not two.is_alive())
    assert one.ask(Ask("a", 1), timeout=5) == 1


def test_a_blocked_tree_does_not_block_the_pykka_actor_for_ever() -> None:
    """If a handler blocks the loop, an ask of the pykka actor ends with AskTimeout that names the line."""
    recorder = Recorder()
    ref = BifrostActor.start("plant", [worker("a", recorder)])
    ref.ask(Tell("a", "block"), timeout=5)
    time.sleep(0.1)
    with pytest.raises(AskTimeout, match=r"release\.wait"):
        ref.ask(Ask("a", 1, timeout=0.1), timeout=5)
    recorder.release.set()


def test_a_program_whose_main_thread_ends_keeps_its_pykka_actors() -> None:
    """As pykka has it, the actors outlive the main thread; the tree stops when its pykka actor is stopped."""
    script = """
import threading, time, pykka
from bifrost.actors import Actor, ChildSpec
from bifrost.actors.hosts.pykka import Ask, BifrostActor

class Press(Actor):
    async def receive(self, message): return message
    async def on_stop(self, reason): print("stopped", flush=True)

ref = BifrostActor.start("plant", [ChildSpec(id="press", start=Press)])
def later():
    time.sleep(1.5)
    print(ref.ask(Ask("press", "alive"), timeout=5), flush=True)
    ref.stop()
threading.Thread(target=later).start()
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=30, check=False)
    assert done.stdout.splitlines() == ["alive", "stopped"], done.stderr
    assert threading.active_count() >= 1
