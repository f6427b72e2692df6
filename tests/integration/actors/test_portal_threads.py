"""A portal among the threads and processes of its host: who joins, interrupts, outlives or forks it."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from concurrent.futures import wait

import pytest

from bifrost.actors import INFINITY, Actor, ActorSystem, ChildSpec, Delivery
from bifrost.actors.hosts import Portal, PortalSystem
from bifrost.actors.hosts import portal as portal_module
from bifrost.errors import SupervisorGaveUp
from tests.integration.actors.hosted import BOOM, Recorder, no_thread_left, wait_until, worker


class _SlowStart(Actor[object]):
    async def on_start(self) -> None:
        await asyncio.sleep(0.3)


class _Log(Actor[int]):
    def __init__(self, seen: list[int]) -> None:
        self.seen = seen

    async def receive(self, message: int) -> None:
        self.seen.append(message)


def _run(program: str, *, fails_with: str = "") -> str:
    """Run a program of its own and return what it prints."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", textwrap.dedent(program)],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    if fails_with:
        assert done.returncode != 0
        assert done.stderr.strip().splitlines()[-1] == fails_with
    else:
        assert done.returncode == 0, done.stderr
    return done.stdout


def test_many_threads_may_close_at_once() -> None:
    """No close fails because another one ends at the same moment, however often it is tried."""
    failed: list[BaseException] = []

    def close(portal: Portal) -> None:
        try:
            portal.close()
        except BaseException as error:  # noqa: BLE001 - the main thread reports it
            failed.append(error)

    for _ in range(20):
        portal = Portal(ActorSystem("plant", [worker("a")])).start()
        closers = [threading.Thread(target=close, args=(portal,)) for _ in range(8)]
        for closer in closers:
            closer.start()
        for closer in closers:
            closer.join(20)
    assert failed == []


def test_a_thread_that_was_given_the_old_ident_is_not_the_portals() -> None:
    """The operating system gives the ident of an ended thread to a later one, which may ask and close nevertheless."""
    raised: list[object] = []

    def ask() -> None:
        try:
            system.ask("a", 1)
        except Exception as error:  # noqa: BLE001 - the main thread looks at it
            raised.append(error)

    system = PortalSystem("plant", [worker("a")], intensity=0)
    system.portal.start()
    system.tell("a", BOOM)
    wait_until(lambda: not system.portal.is_running)
    system.stop()
    for _ in range(20):
        thread = threading.Thread(target=ask)
        thread.start()
        thread.join(10)
    assert [type(error) for error in raised] == [SupervisorGaveUp] * 20


def test_a_cancelled_future_is_done_for_those_who_wait() -> None:
    """`concurrent.futures.wait` returns, whether the host cancelled before the beginning or the system's side did."""

    async def cancel_oneself() -> None:
        raise asyncio.CancelledError

    recorder = Recorder()
    with PortalSystem("plant", [worker("a", recorder)]) as system:
        system.tell("a", "block")
        early = system.portal.ask("a", 1)
        assert early.cancel()
        recorder.release.set()
        within = system.portal.call(cancel_oneself)
        assert wait([early, within], timeout=5).not_done == set()


@pytest.mark.skipif(sys.platform == "win32", reason="sends SIGINT")
def test_an_interrupt_at_the_end_of_the_start_stops_the_tree() -> None:
    """A Ctrl-C that arrives when the tree has just come up does not leave a tree that nobody can close."""

    def interrupt(*_: object) -> None:
        wait_until(lambda: portal.is_running)
        raise KeyboardInterrupt

    portal = Portal(ActorSystem("plant", [ChildSpec(id="a", start=_SlowStart)]))
    before = signal.signal(signal.SIGINT, interrupt)
    timer = threading.Timer(0.1, os.kill, [os.getpid(), signal.SIGINT])
    try:
        with no_thread_left():
            timer.start()
            with pytest.raises(KeyboardInterrupt):
                portal.start()
            timer.join()
    finally:
        signal.signal(signal.SIGINT, before)
        portal.close()


def test_a_companion_that_does_not_start_is_told() -> None:
    """What a companion raises comes out of the start as it is, and nothing is left of the thread."""

    class Exporter:
        def start(self, system: ActorSystem) -> None:
            raise ValueError("no exporter")

        def stop(self) -> None:
            raise AssertionError("it never started")

    with no_thread_left():
        portal = Portal(ActorSystem("plant", [worker("a")], telemetry=Exporter()))
        with pytest.raises(ValueError, match="no exporter"):
            portal.start()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_a_forked_process_is_told_that_the_portal_is_not_in_it() -> None:
    """After a fork, as prefork servers do, calls of the child fail at once and say why; the parent goes on."""
    text = _run("""
        import os, time
        from bifrost.actors import Actor, ChildSpec
        from bifrost.actors.hosts import PortalSystem
        from bifrost.errors import ActorStopped

        class Echo(Actor):
            async def receive(self, message):
                return message

        with PortalSystem("plant", [ChildSpec(id="a", start=Echo)]) as system:
            child = os.fork()
            if child == 0:
                begun = time.monotonic()
                try:
                    system.ask("a", 1)
                except ActorStopped as error:
                    print(error, flush=True)
                    print(system.tell("a", 1).name, system.portal.is_running, system.stop().clean, flush=True)
                print("at once" if time.monotonic() - begun < 1 else "late", flush=True)
                os._exit(0)
            os.waitpid(child, 0)
            print(system.ask("a", "the parent goes on"))
        """)
    assert text.splitlines() == [
        "system 'plant' runs in the process that this one was forked from: start a portal after the fork",
        "DEAD False True",
        "at once",
        "the parent goes on",
    ]


def test_a_job_in_a_thread_does_not_hold_up_the_end_of_the_program() -> None:
    """A program that ends without closing its portal ends, though the interpreter waits for a job first."""
    text = _run("""
        import asyncio, threading
        from bifrost.actors import Actor, ActorSystem, ChildSpec
        from bifrost.actors.hosts import Portal

        class Reader(Actor):
            async def on_start(self):
                self.ended = threading.Event()
                self.ctx.spawn_task(asyncio.to_thread(self.read), name="read")

            def read(self):
                reading.set()
                self.ended.wait()

            async def on_stop(self, reason):
                self.ended.set()
                print("stopped", flush=True)

        reading = threading.Event()
        Portal(ActorSystem("plant", [ChildSpec(id="reader", start=Reader)])).start()
        reading.wait()
        print("the main thread ends", flush=True)
        """)
    assert text.splitlines() == ["the main thread ends", "stopped"]


@pytest.mark.skipif(sys.platform == "win32", reason="sends SIGINT")
def test_a_second_interrupt_in_the_close_does_not_cut_it_short() -> None:
    """Ctrl-C in the block and again while the block ends: `on_stop` runs to its end before the process does."""
    text = _run(
        """
        import asyncio, os, signal, threading, time
        from bifrost.actors import Actor, ChildSpec
        from bifrost.actors.hosts import PortalSystem

        class Slow(Actor):
            async def on_stop(self, reason):
                print("stopping", flush=True)
                threading.Timer(0.1, os.kill, [os.getpid(), signal.SIGINT]).start()
                await asyncio.sleep(0.5)
                print("stopped", flush=True)

        with PortalSystem("plant", [ChildSpec(id="slow", start=Slow)]):
            threading.Timer(0.1, os.kill, [os.getpid(), signal.SIGINT]).start()
            time.sleep(20)
        """,
        fails_with="KeyboardInterrupt",
    )
    assert text.splitlines() == ["stopping", "stopped"]


def test_a_flood_of_posts_uses_up_neither_the_memory_nor_the_close(monkeypatch: pytest.MonkeyPatch) -> None:
    """Threads that post faster than the loop handles are told so, and the system closes in good time all the same."""
    monkeypatch.setattr(portal_module, "_MOST_WAITING", 2000)  # a full load of the real one takes seconds
    over = threading.Event()
    seen: set[Delivery] = set()

    def flood() -> None:
        ref = system.ref("a")
        while not over.is_set():
            seen.add(system.tell(ref, 1))

    floods = [threading.Thread(target=flood) for _ in range(2)]
    try:
        with PortalSystem("plant", [worker("a")]) as system:
            for thread in floods:
                thread.start()
            wait_until(lambda: Delivery.DROPPED in seen, timeout=20)
    finally:
        over.set()
    for thread in floods:
        thread.join(10)
    assert system.report is not None
    assert system.report.clean
    assert system.portal.dropped > 0


def test_wake_ups_that_cross_change_no_order() -> None:
    """A post does not overtake the ask before it, however many threads woke the loop in between."""
    seen: list[int] = []

    recorder = Recorder()
    with PortalSystem("plant", [worker("a", recorder), ChildSpec(id="log", start=_Log, args=(seen,))]) as system:
        ref = system.ref("log")
        system.tell("a", "block")
        for number in range(0, 1000, 2):
            system.portal.ask(ref, number)
            system.tell(ref, number + 1)
            system.portal._thread.wake()  # as a thread does that submits in this moment
        recorder.release.set()
        system.ask(ref, 1000)
    assert seen == list(range(1001))


def test_a_portal_that_is_closed_without_a_start_is_down() -> None:
    """Who waits for the end of a portal hears of it, even if it never began."""
    told: list[BaseException | None] = []
    portal = Portal(ActorSystem("plant", [worker("a")]))
    portal.on_down(told.append)
    portal.close()
    portal.close()
    assert told == [None]


def test_a_machine_without_threads_is_told_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """The failure to make a thread comes out of the start and ends every wait for the portal."""
    told: list[BaseException | None] = []
    none_left = RuntimeError("can't start new thread")

    def fail(_: threading.Thread) -> None:
        raise none_left

    portal = Portal(ActorSystem("plant", [worker("a")]))
    portal.on_down(told.append)
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", fail)
        with pytest.raises(RuntimeError, match="can't start new thread"):
            portal.start()
    assert told == [none_left]
    with pytest.raises(SupervisorGaveUp, match="can't start new thread"):
        portal.ask("a", 1).result(1)
    assert portal.close().clean


def test_a_wait_without_end_is_allowed() -> None:
    """An endless timeout is the longest that a thread can wait, not an OverflowError."""
    with PortalSystem("plant", [worker("a")]) as system:
        assert system.ask("a", 1, timeout=INFINITY) == 1


@pytest.mark.parametrize("error", [SystemExit(3), ValueError("no loop")], ids=repr)
def test_a_loop_factory_that_ends_the_thread_is_told(error: BaseException) -> None:
    """Whatever the factory raises comes out of the start at once."""

    def fail() -> asyncio.AbstractEventLoop:
        raise error

    begun = time.monotonic()
    with pytest.raises(type(error)):
        Portal(ActorSystem("plant", [worker("a")]), loop_factory=fail).start(timeout=5)
    assert time.monotonic() - begun < 4
