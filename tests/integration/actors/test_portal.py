"""The portal: a system in a thread of its own, used from other threads."""

from __future__ import annotations

import asyncio
import contextvars
import logging
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import CancelledError, Future
from typing import Any

import pytest

from bifrost.actors import Actor, ActorSystem, ChildSpec, Delivery, Mailbox
from bifrost.actors.hosts import Portal
from bifrost.errors import ActorError, ActorStopped, AskTimeout, StartFailed, SupervisorGaveUp
from tests.integration.actors.hosted import BOOM, Recorder, no_thread_left, wait_until, worker

VARIABLE: contextvars.ContextVar[str] = contextvars.ContextVar("VARIABLE", default="none")


def test_a_portal_leaves_nothing_behind() -> None:
    """Thread, loop and executor threads of a portal are gone when close returns, and the tree stopped in reverse."""
    recorder = Recorder()

    async def job(_: Actor[Any]) -> str:
        return await asyncio.to_thread(lambda: threading.current_thread().name)

    with no_thread_left():
        system = ActorSystem("plant", [worker("a", recorder), worker("b", recorder), worker("c", recorder)])
        portal = Portal(system).start()
        assert portal.ask("b", 42).result(5) == 42
        assert "bifrost-plant" in portal.ask("a", job).result(5)
        assert any(thread.name == "bifrost-plant" and not thread.daemon for thread in threading.enumerate())
        report = portal.close()
    assert report.clean
    assert recorder.stopped() == ["c", "b", "a"]
    assert system.loop.is_closed()
    assert portal.error is None


def test_close_may_be_repeated_from_any_thread() -> None:
    """Every close returns the one report, whether it came first, at the same time or after the thread was gone."""
    portal = Portal(ActorSystem("plant", [worker("a")])).start()
    reports: list[object] = []
    closers = [threading.Thread(target=lambda: reports.append(portal.close())) for _ in range(8)]
    for closer in closers:
        closer.start()
    for closer in closers:
        closer.join(10)
    reports.append(portal.close())
    assert len(reports) == 9
    assert len(set(map(repr, reports))) == 1


def test_close_in_the_own_thread_is_refused() -> None:
    """An actor that closes its own portal gets an error that says what to do; close_soon is what it may call."""

    async def close(_: Actor[Any]) -> str:
        with pytest.raises(ActorError, match="close_soon"):
            portal.close()
        with pytest.raises(ActorError, match="close_soon"):
            await portal.aclose()
        portal.close_soon()
        return "closing"

    with no_thread_left():
        down: Future[object] = Future()
        portal = Portal(ActorSystem("plant", [worker("a")])).start()
        portal.on_down(down.set_result)
        assert portal.ask("a", close).result(5) == "closing"
        assert down.result(5) is None
        assert portal.close().clean


def test_a_portal_that_never_started_can_be_closed() -> None:
    """Closing first means never starting: start and call refuse."""
    portal = Portal(ActorSystem("plant"))
    with pytest.raises(ActorError, match="not started"):
        portal.call(asyncio.sleep, 0)
    assert portal.close().clean
    with pytest.raises(ActorError, match="started before"):
        portal.start()
    with pytest.raises(ActorStopped):
        portal.call(asyncio.sleep, 0).result(5)


def test_a_failed_start_is_raised_and_leaves_nothing() -> None:
    """A child that does not start: its siblings are rolled back, the thread ends, start raises what happened."""
    recorder = Recorder()

    def refuse() -> Actor[Any]:
        raise BOOM

    with no_thread_left():
        portal = Portal(ActorSystem("plant", [worker("a", recorder), ChildSpec(id="bad", start=refuse)]))
        with pytest.raises(StartFailed) as failed:
            portal.start()
    assert failed.value.child_id == "bad"
    assert failed.value.cause is BOOM
    assert recorder.stopped() == ["a"]
    assert isinstance(portal.error, StartFailed)


def test_a_loop_that_cannot_be_made_is_told() -> None:
    """An exception of the loop factory comes out of start."""

    def broken() -> asyncio.AbstractEventLoop:
        raise OSError("too many open files")

    with no_thread_left(), pytest.raises(OSError, match="too many"):
        Portal(ActorSystem("plant"), loop_factory=broken).start()


def test_a_loop_that_makes_no_tasks_is_told() -> None:
    """A task factory that fails comes out of start, and the thread ends."""

    def broken(*_: Any, **__: Any) -> Any:
        raise TypeError("no such argument")

    def factory() -> asyncio.AbstractEventLoop:
        loop = asyncio.new_event_loop()
        loop.set_task_factory(broken)
        return loop

    with no_thread_left(), pytest.raises(TypeError, match="no such argument"):
        Portal(ActorSystem("plant", [worker("a")]), loop_factory=factory).start(timeout=5)


def test_a_start_that_takes_too_long_is_given_up() -> None:
    """A start raises TimeoutError at its deadline, and what had started is stopped."""
    recorder = Recorder()

    class Slow(Actor[Any]):
        async def on_start(self) -> None:
            await asyncio.sleep(30)

    with no_thread_left():
        slow = ChildSpec(id="slow", start=Slow, start_timeout=30, shutdown=0.1)
        portal = Portal(ActorSystem("plant", [worker("a", recorder), slow]))
        with pytest.raises(TimeoutError, match="did not start"):
            portal.start(timeout=0.2)
        portal.close()
    assert recorder.stopped() == ["a"]


def test_a_system_that_runs_elsewhere_is_refused_and_unharmed() -> None:
    """A second portal for one system raises and does not stop the first one's tree."""
    system = ActorSystem("plant", [worker("a")])
    portal = Portal(system).start()
    with pytest.raises(ActorError, match="started before"):
        Portal(system).start()
    assert portal.ask("a", 1).result(5) == 1
    assert portal.close().clean


def test_a_tree_that_gives_up_ends_the_portal() -> None:
    """on_down is called once with SupervisorGaveUp; calls in flight and later ones fail with it; tell says DEAD."""
    with no_thread_left():
        downs: list[BaseException | None] = []
        portal = Portal(ActorSystem("plant", [worker("a")], intensity=0)).start()
        portal.on_down(downs.append)
        ref = portal.system.ref("a")
        sleeping = portal.call(asyncio.sleep, 30)
        assert portal.post(ref, BOOM) is Delivery.ACCEPTED
        with pytest.raises(SupervisorGaveUp, match="boom"):
            sleeping.result(5)
        wait_until(lambda: bool(downs))
        with pytest.raises(SupervisorGaveUp):
            portal.ask(ref, 1).result(5)
        assert portal.post(ref, 1) is Delivery.DEAD
        portal.on_down(downs.append)  # too late: called at once
        assert [type(error) for error in downs] == [SupervisorGaveUp, SupervisorGaveUp]
        assert not portal.is_running
        assert portal.close().clean


def test_a_callback_of_on_down_that_fails_harms_nobody(caplog: pytest.LogCaptureFixture) -> None:
    """The other callbacks are called all the same, a withdrawn one is not, and close returns."""
    called: list[str] = []
    portal = Portal(ActorSystem("plant")).start()
    portal.on_down(lambda _: 1 / 0)
    portal.on_down(lambda _: called.append("second"))
    portal.on_down(lambda _: called.append("withdrawn"))()
    with caplog.at_level(logging.ERROR):
        assert portal.close().clean
    assert called == ["second"]
    assert "on_down" in caplog.text


def test_posts_keep_their_order_with_asks() -> None:
    """What one thread submits is handled in that order, posts and asks mixed, over many turns of the loop."""
    seen: list[int] = []

    class Log(Actor[int]):
        async def receive(self, message: int) -> int:
            seen.append(message)
            return message

    spec = ChildSpec(id="log", start=Log, mailbox=Mailbox(capacity=20_000))
    portal = Portal(ActorSystem("plant", [spec])).start()
    ref = portal.system.ref("log")
    asked: list[Future[Any]] = []
    for number in range(5_000):
        if number % 7 == 0:
            asked.append(portal.ask(ref, number, timeout=30))
        else:
            portal.post(ref, number)
    assert [future.result(30) for future in asked] == list(range(0, 5_000, 7))
    portal.ask(ref, -1, timeout=30).result(30)
    portal.close()
    assert seen == [*range(5_000), -1]


def test_many_posts_cost_few_wake_ups(monkeypatch: pytest.MonkeyPatch) -> None:
    """A thousand posts while the loop is busy wake it once."""
    recorder = Recorder()
    portal = Portal(ActorSystem("plant", [worker("a", recorder), worker("b", recorder)])).start()
    loop = portal.system.loop
    wakes: list[object] = []
    original = loop.call_soon_threadsafe

    def wake(*args: Any, **options: Any) -> object:
        wakes.append(args)
        return original(*args, **options)

    monkeypatch.setattr(loop, "call_soon_threadsafe", wake)
    blocked = portal.ask("a", "block", timeout=20)
    wait_until(lambda: not portal.is_responsive(0.02))
    wakes.clear()
    ref = portal.system.ref("b")
    for number in range(1_000):
        portal.post(ref, number)
    assert len(wakes) <= 1
    recorder.release.set()
    assert blocked.result(5) == "block"
    assert portal.ask(ref, "last").result(5) == "last"
    assert portal.system.dead_letters.counts == {}
    portal.close()


def test_a_thousand_asks_from_eight_threads_are_answered() -> None:
    """Each of 1,000 asks at once gets its own answer."""
    portal = Portal(ActorSystem("plant", [worker(f"w{n}", mailbox=Mailbox(capacity=8)) for n in range(4)])).start()
    answers: list[bool] = []

    def run(thread: int) -> None:
        futures = [(n, portal.ask(f"w{n % 4}", (thread, n), timeout=30)) for n in range(125)]
        answers.extend(future.result(30) == (thread, n) for n, future in futures)

    with no_thread_left():
        threads = [threading.Thread(target=run, args=(n,)) for n in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        portal.close()
    assert answers == [True] * 1_000


def test_an_ask_has_its_deadline() -> None:
    """AskTimeout comes when the handler is too slow, and also when the loop got to the request too late."""
    recorder = Recorder()
    portal = Portal(ActorSystem("plant", [worker("a", recorder), worker("b", recorder)])).start()
    begun = time.monotonic()
    with pytest.raises(AskTimeout):
        portal.ask("a", "hang", timeout=0.1).result(5)
    assert time.monotonic() - begun < 2
    blocked = portal.ask("b", "block", timeout=20)
    wait_until(lambda: not portal.is_responsive(0.02))
    late = portal.ask("b", "never seen", timeout=0.05)
    time.sleep(0.1)
    recorder.release.set()
    with pytest.raises(AskTimeout, match="has not seen"):
        late.result(5)
    assert blocked.result(5) == "block"
    portal.close(timeout=0.1)


def test_a_cancelled_ask_is_withdrawn() -> None:
    """Cancelling the future takes a request back that no handler has seen; a cancelled call's task is cancelled."""
    seen: list[Any] = []

    class Gate(Actor[Any]):
        async def receive(self, message: Any) -> None:
            seen.append(message)
            if isinstance(message, float):
                await asyncio.sleep(message)

    ended: Future[str] = Future()

    async def sleep() -> None:
        try:
            await asyncio.sleep(30)
        except asyncio.CancelledError:
            ended.set_result("cancelled")
            raise

    portal = Portal(ActorSystem("plant", [ChildSpec(id="gate", start=Gate)])).start()
    held = portal.ask("gate", 0.2)
    withdrawn = portal.ask("gate", "withdrawn")
    call = portal.call(sleep)
    portal.call(asyncio.sleep, 0).result(5)
    assert withdrawn.cancel()
    assert call.cancel()
    held.result(5)
    portal.ask("gate", "last").result(5)
    assert ended.result(5) == "cancelled"
    with pytest.raises(CancelledError):
        withdrawn.result(5)
    assert seen == [0.2, "last"]
    portal.close()


def test_close_settles_what_is_in_flight() -> None:
    """Asks and calls in flight when the portal closes all end, with ActorStopped or cancelled, and none hangs."""
    recorder = Recorder()
    portal = Portal(ActorSystem("plant", [worker("a", recorder, shutdown=0.1)])).start()
    asks = [portal.ask("a", "hang", timeout=60) for _ in range(20)]
    calls = [portal.call(asyncio.sleep, 60) for _ in range(20)]
    portal.call(asyncio.sleep, 0.01).result(5)
    portal.close()
    late = portal.ask("a", 1)
    for future in (*asks, *calls, late):
        assert isinstance(future.exception(5), ActorError)
    assert all(isinstance(future.exception(), ActorStopped) for future in (*calls, late))
    assert recorder.lines == ["start a", "cancelled a", "stop a"]


def test_a_call_runs_in_the_callers_context() -> None:
    """Context variables of the calling thread are seen by the coroutine, and what it sets stays in it."""

    async def read() -> str:
        before = VARIABLE.get()
        VARIABLE.set("changed")
        return before

    portal = Portal(ActorSystem("plant")).start()
    token = VARIABLE.set("caller")
    assert portal.call(read).result(5) == "caller"
    assert VARIABLE.get() == "caller"
    VARIABLE.reset(token)
    assert portal.call(read).result(5) == "none"
    portal.close()


def test_a_blocked_loop_is_seen_and_named() -> None:
    """is_responsive turns false, stack names the line, and close reports the thread instead of hanging."""
    recorder = Recorder()
    with no_thread_left():
        portal = Portal(ActorSystem("plant", [worker("a", recorder)], stop_timeout=0.1)).start()
        assert portal.is_responsive()
        blocked = portal.ask("a", "block", timeout=30)
        wait_until(lambda: not portal.is_responsive(0.05))
        assert "release.wait" in portal.stack()
        limit = portal.close_soon()
        assert limit < 15
        report = portal.report_after(0.0)
        assert report.timed_out
        assert "bifrost-plant" in report.leaked[0].what
        recorder.release.set()
        blocked.exception(5)
        assert portal.close().leaked == ()
    assert not portal.is_responsive(0.05)
    assert portal.stack() == ""


def test_a_job_that_blocks_a_thread_is_reported() -> None:
    """A thread job that outlives the system is named in the report, and close does not wait for it for ever."""
    recorder = Recorder()

    async def job(actor: Actor[Any]) -> None:
        actor.ctx.spawn_task(asyncio.to_thread(recorder.release.wait, 20))

    portal = Portal(ActorSystem("plant", [worker("a", recorder)])).start()
    portal.ask("a", job).result(5)
    begun = time.monotonic()
    report = portal.close()
    assert time.monotonic() - begun < 8
    recorder.release.set()
    assert not report.clean
    assert any(leak.what.startswith("thread bifrost-plant-job") for leak in report.leaked)


@pytest.mark.parametrize("interrupt", [SystemExit(3), KeyboardInterrupt()])
def test_an_interrupt_from_an_actor_goes_to_the_host(interrupt: BaseException) -> None:
    """SystemExit or KeyboardInterrupt out of a handler is no crash: the tree stops in order, and the host hears."""
    recorder = Recorder()
    with no_thread_left():
        down: Future[BaseException | None] = Future()
        portal = Portal(ActorSystem("plant", [worker("a", recorder), worker("b", recorder)])).start()
        portal.on_down(down.set_result)
        portal.post(portal.system.ref("a"), interrupt)
        assert down.result(10) is interrupt
        with pytest.raises(type(interrupt)):
            portal.raise_if_down()
        portal.close()
    assert recorder.stopped() == ["b", "a"]


def test_two_portals_do_not_see_each_other() -> None:
    """Same names, different trees: messages, crashes, dead letters and the end of one leave the other alone."""
    with no_thread_left():
        one = Portal(ActorSystem("plant", [worker("a")], intensity=0)).start()
        two = Portal(ActorSystem("plant", [worker("a")])).start()
        assert one.system.ref("a") != two.system.ref("a")
        one.post(one.system.ref("a"), BOOM)
        wait_until(lambda: not one.is_running)
        assert two.ask("a", 1).result(5) == 1
        assert two.system.ref("a").incarnation == 1
        assert two.system.dead_letters.counts == {}
        assert one.close().clean
        assert two.ask("a", 2).result(5) == 2
        assert two.close().clean


async def test_aclose_leaves_the_hosts_loop_free() -> None:
    """A coroutine on another loop closes the portal while its own loop goes on."""

    async def slow(_: Actor[Any]) -> None:
        await asyncio.sleep(0.2)

    portal = Portal(ActorSystem("plant", [worker("a")])).start()
    portal.post(portal.system.ref("a"), slow)
    ticks = 0

    async def tick() -> None:
        nonlocal ticks
        while True:
            await asyncio.sleep(0.01)
            ticks += 1

    ticking = asyncio.create_task(tick())
    report = await portal.aclose()
    ticking.cancel()
    assert report.clean
    assert ticks > 5
    assert (await portal.aclose()).clean


def test_the_process_is_left_alone() -> None:
    """No signal handler, loop policy, logging handler or current loop of the caller's thread comes with a portal."""
    before = (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGCHLD))
    policy = asyncio.get_event_loop_policy()
    with Portal(ActorSystem("plant", [worker("a")])).start() as portal:
        assert portal.ask("a", 1).result(5) == 1
        assert asyncio.get_event_loop_policy() is policy
        now = (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGCHLD))
        assert now == before
        assert logging.getLogger("bifrost").handlers == []
        assert logging.getLogger("bifrost.actors").handlers == []


FORGETFUL = """
import sys, threading, time
from bifrost.actors import Actor, ActorSystem, ChildSpec
from bifrost.actors.hosts import Portal

class Press(Actor):
    async def on_stop(self, reason):
        print("stopped in order", flush=True)

portal = Portal(ActorSystem("plant", [ChildSpec(id="press", start=Press)])).start()
{after}
"""


@pytest.mark.parametrize(
    "after",
    [
        "",
        "raise SystemExit(0)",
        "threading.Thread(target=lambda: (time.sleep(1.5), print('other thread', flush=True))).start()",
    ],
    ids=["end of the program", "exit", "another thread lives on"],
)
def test_a_portal_that_nobody_closes_ends_with_the_program(after: str) -> None:
    """The interpreter does not hang on a forgotten portal: its tree stops in order when nobody is left to close it."""
    script = FORGETFUL.format(after=after)
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [*(["other thread"] if "Thread" in after else []), "stopped in order"]
    assert "nobody is left" in done.stderr
