"""A system in plain threads: `PortalSystem`."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import threading
import time
from typing import Any

import pytest

from bifrost.actors import Actor, ActorState, ChildSpec, ChildStatus, Delivery, DynamicSupervisor, Mailbox
from bifrost.actors.hosts import PortalSystem
from bifrost.errors import (
    ActorCrashed,
    ActorError,
    ActorStopped,
    AskTimeout,
    ChildNotFound,
    ChildRunning,
    MailboxFull,
    StartFailed,
    SupervisorGaveUp,
)
from tests.integration.actors.hosted import BOOM, Recorder, no_thread_left, wait_until, worker


def test_the_block_starts_and_stops_the_tree() -> None:
    """Inside the block the tree answers; after it everything has stopped in reverse order and no thread is left."""
    recorder = Recorder()
    with no_thread_left():
        with PortalSystem("plant", [worker("a", recorder), worker("b", recorder)]) as system:
            assert system.ask("a", 1) == 1
            assert system.tell("a", 2) is Delivery.ACCEPTED
            system.send("b", 3)
            assert [child.id for child in system.snapshot().children] == ["a", "b"]
        assert system.report is not None
        assert system.report.clean
    assert recorder.lines == ["start a", "start b", "stop b", "stop a"]


def test_the_tree_is_administered_from_a_thread() -> None:
    """start_child, terminate_child, restart_child, delete_child and which_children, with their refusals."""
    with PortalSystem("plant", [DynamicSupervisor.spec("lines"), worker("a")]) as system:
        ref = system.start_child(worker("x"), under="lines")
        assert ref.path == "lines/x"
        assert system.ask(ref, 1) == 1
        system.terminate_child("a")
        assert system.ref("a").state is ActorState.STOPPED
        assert system.tell("a", 1) is Delivery.DEAD
        with pytest.raises(ActorStopped):
            system.ask("a", 1)
        assert system.restart_child("a") == system.ref("a")
        system.wait_running("a")
        with pytest.raises(ChildRunning):
            system.delete_child("a")
        system.terminate_child("a")
        system.delete_child("a")
        assert [(child.id, child.status) for child in system.which_children()] == [("lines", ChildStatus.RUNNING)]
        with pytest.raises(ChildNotFound):
            system.terminate_child("nobody", under="lines")
        with pytest.raises(ChildNotFound):
            system.tell("nobody", 1)


def test_a_crash_is_the_askers_and_the_supervisors() -> None:
    """An asker gets ActorCrashed with the cause, and the actor is there again on the same ref."""
    with PortalSystem("plant", [worker("a")]) as system:
        with pytest.raises(ActorCrashed) as crashed:
            system.ask("a", BOOM)
        assert crashed.value.cause is BOOM
        system.wait_running("a")
        assert system.ask("a", 1) == 1
        assert system.ref("a").incarnation == 2


def test_an_exception_of_the_block_ends_the_tree_in_order() -> None:
    """The host's own exception comes out unchanged, after every on_stop ran in reverse order."""
    recorder = Recorder()
    error = RuntimeError("the host failed")
    with no_thread_left():
        with (
            pytest.raises(RuntimeError) as raised,
            PortalSystem("plant", [worker("a", recorder), worker("b", recorder), worker("c", recorder)]),
        ):
            raise error
        assert raised.value is error
    assert recorder.stopped() == ["c", "b", "a"]


def test_a_tree_that_gives_up_fails_the_next_call_and_the_block() -> None:
    """SupervisorGaveUp comes from the next call that waits and from the end of the block."""
    recorder = Recorder()
    with (  # noqa: PT012 - the failure of a whole block is what is tested
        no_thread_left(),
        pytest.raises(SupervisorGaveUp, match="boom") as gave_up,
        PortalSystem("plant", [worker("a", recorder), worker("b", recorder)], intensity=0) as system,
    ):
        system.tell("a", BOOM)
        wait_until(lambda: not system.portal.is_running)
        with pytest.raises(SupervisorGaveUp):
            system.ask("b", 1)
        with pytest.raises(SupervisorGaveUp):
            system.snapshot()
    assert recorder.stopped() == ["a", "b"]
    assert gave_up.value.__cause__ is None


def test_the_blocks_own_exception_is_the_cause_of_the_trees() -> None:
    """If both fail, SupervisorGaveUp is raised and carries the block's exception."""
    error = RuntimeError("the host failed too")
    with pytest.raises(SupervisorGaveUp) as gave_up, PortalSystem("plant", [worker("a")], intensity=0) as system:  # noqa: PT012 - the failure of a whole block is what is tested
        system.tell("a", BOOM)
        wait_until(lambda: not system.portal.is_running)
        raise error
    assert gave_up.value.__cause__ is error


def test_a_failed_start_comes_out_of_the_with() -> None:
    """The block is not entered, and no thread stays."""

    class Broken(Actor[Any]):
        async def on_start(self) -> None:
            raise BOOM

    with (
        no_thread_left(),
        pytest.raises(StartFailed, match="bad"),
        PortalSystem("p", [ChildSpec(id="bad", start=Broken)]),
    ):
        raise AssertionError("entered")


def test_every_wait_has_a_deadline() -> None:
    """Every ask and send ends in time with their errors, and a blocked loop is named instead of waited for."""
    recorder = Recorder()
    small = Mailbox(capacity=1)
    with PortalSystem("plant", [worker("a", recorder, shutdown=0.1, mailbox=small)], stop_timeout=1) as system:
        with pytest.raises(AskTimeout):
            system.ask("a", "hang", timeout=0.1)
        system.tell("a", "queued")
        with pytest.raises(MailboxFull):
            system.send("a", "no room", timeout=0.1)
        system.portal.system.ref("a").kill()
        system.wait_running("a")
        system.portal.post(system.ref("a"), "block")
        wait_until(lambda: not system.portal.is_responsive(0.02))
        begun = time.monotonic()
        with pytest.raises(AskTimeout, match=r"release\.wait"):
            system.ask("a", 1, timeout=0.1)
        assert time.monotonic() - begun < 3
        recorder.release.set()


def test_blocking_calls_are_refused_in_the_systems_own_thread() -> None:
    """An actor that uses the facade would wait for itself: it gets an error that says what to do."""

    async def ask(_: Actor[Any]) -> None:
        with pytest.raises(ActorError, match="await the ref's method"):
            system.ask("b", 1)

    with PortalSystem("plant", [worker("a"), worker("b")]) as system:
        system.ask("a", ask)
        assert system.ref("a").incarnation == 1


def test_a_ref_in_a_foreign_thread_tells_and_does_not_ask() -> None:
    """`ActorRef.tell` works from any thread; awaiting `ask` on another loop is refused and names the way."""
    with PortalSystem("plant", [worker("a")]) as system:
        ref = system.ref("a")
        assert ref.tell(1) is Delivery.ACCEPTED
        with pytest.raises(ActorError, match="portal"):
            asyncio.run(ref.ask(1))


def test_two_systems_of_one_name_live_side_by_side() -> None:
    """The end of one is not noticed by the other."""
    with PortalSystem("plant", [worker("a")]) as one:
        with pytest.raises(SupervisorGaveUp), PortalSystem("plant", [worker("a")], intensity=0) as two:  # noqa: PT012 - the failure of a whole block is what is tested
            two.tell("a", BOOM)
            wait_until(lambda: not two.portal.is_running)
        assert one.ask("a", 1) == 1
        assert one.ref("a").incarnation == 1


INTERRUPTED = """
import sys, time
from bifrost.actors import Actor, ChildSpec
from bifrost.actors.hosts import PortalSystem

class Press(Actor):
    def __init__(self, name):
        self.name = name
    async def receive(self, message):
        import asyncio
        await asyncio.sleep(60)
    async def on_stop(self, reason):
        print("stopped", self.name, flush=True)

presses = [ChildSpec(id=name, start=Press, args=(name,), shutdown=0.2) for name in ("a", "b")]
try:
    with PortalSystem("plant", presses) as system:
        print("up", flush=True)
        {body}
except KeyboardInterrupt:
    print("interrupted", flush=True)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="sends SIGINT")
@pytest.mark.parametrize("body", ["time.sleep(30)", "system.ask('a', 1, timeout=30)"], ids=["busy", "in an ask"])
def test_ctrl_c_stops_the_tree_in_order(body: str) -> None:
    """KeyboardInterrupt in the host ends its wait, stops the tree in reverse order and goes on to the host."""
    script = INTERRUPTED.format(body=body)
    process = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "up\n"
        time.sleep(0.3)
        os.kill(process.pid, signal.SIGINT)
        out, _ = process.communicate(timeout=20)
    finally:
        process.kill()
    assert out.splitlines() == ["stopped b", "stopped a", "interrupted"]
    assert process.returncode == 0


def test_threads_share_one_system() -> None:
    """Eight threads tell and ask at once; each sees its own messages handled in its own order."""
    seen: dict[int, list[int]] = {}

    class Log(Actor[tuple[int, int]]):
        async def receive(self, message: tuple[int, int]) -> int:
            seen.setdefault(message[0], []).append(message[1])
            return message[1]

    def run(thread: int) -> None:
        for number in range(200):
            if number % 10 == 0:
                assert system.ask("log", (thread, number), timeout=30) == number
            else:
                system.tell("log", (thread, number))

    with PortalSystem("plant", [ChildSpec(id="log", start=Log, mailbox=Mailbox(capacity=5_000))]) as system:
        threads = [threading.Thread(target=run, args=(n,)) for n in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        system.ask("log", (99, 0))
    del seen[99]
    assert seen == {thread: list(range(200)) for thread in range(8)}
