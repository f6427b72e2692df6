"""From a crash to running again, and how a healthy actor fares while a thousand siblings crash.

In: the setting and the running OTP. Out: rows.

A crash logs an error with its traceback, by design. So each figure is taken twice: with a file as the log's handler, as
an application would have it, and with none (`logging.NullHandler`), which is what OTP's silenced logger is beside.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import statistics
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks._actors_messages import Echo, Sleeper
from benchmarks._actors_otp import Otp
from benchmarks._actors_table import Bar, MissingPeer, Round, Row, Setting, at, compete, solo
from bifrost.actors import Actor, ActorRef, ActorSystem, ChildSpec, DynamicSupervisor

__all__ = ["restart_rows", "storm_rows"]

_LOGS = ("to a file", "nowhere")
_SIBLINGS = 1_000
_ENDLESS = 1_000_000_000  # an intensity that no storm exceeds
_LONG = 30.0  # seconds that one restart, or one wave of them, may take at most


@contextlib.contextmanager
def logging_goes(where: str) -> Iterator[None]:
    """Configure the log as an application would, for the length of the block."""
    log = logging.getLogger("bifrost")
    with tempfile.TemporaryDirectory() as folder:
        handler = logging.FileHandler(Path(folder) / "bench.log") if where == "to a file" else logging.NullHandler()
        handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s %(message)s"))
        propagated, log.propagate = log.propagate, False
        log.addHandler(handler)
        try:
            yield
        finally:
            log.removeHandler(handler)
            log.propagate = propagated
            handler.close()


class Upset(Exception):
    """What the crashing actors raise."""


class Observer:
    """What the crashing actor tells of its lives; it is outside of them."""

    def __init__(self) -> None:
        self.raised = 0
        self.took: list[int] = []
        self.is_up: asyncio.Future[None] | None = None

    def up(self) -> None:
        """An `on_start` is about to return."""
        now = time.perf_counter_ns()
        if self.is_up is not None:
            self.took.append(now - self.raised)
            self.is_up.set_result(None)
            self.is_up = None


class Crasher(Actor[str]):
    """Crashes at every message but `hello`."""

    def __init__(self, observer: Observer) -> None:
        self.observer = observer

    async def on_start(self) -> None:
        """Tell when it runs again."""
        self.observer.up()

    async def receive(self, message: str) -> str:
        """Crash, or answer."""
        if message == "hello":
            return message
        self.observer.raised = time.perf_counter_ns()
        raise Upset(message)


def restart_round(count: int, share: float, where: str, *, until_answer: bool = False) -> Round:
    """Microseconds from the raise in the handler to the end of the next `on_start`, or to the next answer."""

    async def run() -> float:
        observer = Observer()
        loop = asyncio.get_running_loop()
        async with ActorSystem("bench", [DynamicSupervisor.spec("crowd", intensity=_ENDLESS, period=1.0)]) as system:
            ref = await system.supervisor("crowd").start_child(ChildSpec(id="crasher", start=Crasher, args=(observer,)))
            answered: list[int] = []
            for _ in range(count):
                up = observer.is_up = loop.create_future()
                ref.tell("crash")
                if until_answer:
                    assert await ref.ask("hello", timeout=_LONG) == "hello"
                    answered.append(time.perf_counter_ns() - observer.raised)
                async with asyncio.timeout(_LONG):
                    await up
            assert ref.incarnation == count + 1, f"{ref.incarnation - 1} restarts after {count} crashes"
        return at(answered if until_answer else observer.took, share) / 1e3

    def logged() -> float:
        with logging_goes(where):
            return asyncio.run(run())

    return logged


def restart_rows(setting: Setting, otp: Otp) -> list[Row]:
    """One actor that crashes again and again; its supervisor restarts it without delay."""
    count = setting.ops(1_000)
    rows = []
    for where in _LOGS:
        for index, share in enumerate((0.5, 0.99)):

            def theirs(index: int = index) -> float:
                return otp.figures("restart", count)[index] / 1e3

            peer = {"OTP, gen_server, silenced": theirs}
            bars = {name: Bar(150, of_ratio=False, at_most=True) for name in peer} if share == 0.5 else {}
            name = f"crash to running, log {where}, p{share * 100:g}"
            rows += compete(name, "us", restart_round(count, share, where), peer, setting, bars=bars)
        name = f"crash to next answer, log {where}, p50"
        rows += compete(name, "us", restart_round(count, 0.5, where, until_answer=True), {}, setting)
    return rows


# A thousand siblings

_STORM_BAR = Bar(5.0, of_ratio=False, at_most=True)
_WEATHER = (
    ("restarts", "/s", None),
    ("ask p50", "ms", None),
    ("ask p99", "ms", _STORM_BAR),
    ("ask max", "ms", None),
    ("loop lag p99", "ms", None),
    ("loop lag max", "ms", None),
    ("lag and ask p99", "ms", _STORM_BAR),
)


class Storm:
    """Makes all siblings crash at once, and again as soon as all run again."""

    def __init__(self) -> None:
        self.siblings: list[ActorRef[Any]] = []
        self.restarts = 0
        self.waited_for = 0
        self.all_up: asyncio.Future[None] | None = None

    def up(self) -> None:
        """A sibling runs."""
        self.restarts += 1
        self.waited_for -= 1
        if not self.waited_for and self.all_up is not None:
            self.all_up.set_result(None)

    async def rage(self) -> None:
        """Wave upon wave, until cancelled."""
        loop = asyncio.get_running_loop()
        while True:
            self.waited_for = len(self.siblings)
            self.all_up = loop.create_future()
            for ref in self.siblings:
                ref.tell("crash")
            async with asyncio.timeout(_LONG):
                await self.all_up


class Sibling(Actor[str]):
    """Crashes at every message."""

    def __init__(self, storm: Storm) -> None:
        self.storm = storm

    async def on_start(self) -> None:
        """Tell that it runs."""
        self.storm.up()

    async def receive(self, message: str) -> None:
        """Crash."""
        raise Upset(message)


async def ask_each_ms(ref: ActorRef[Any], seconds: float) -> tuple[list[float], list[float]]:
    """Ask, sleep for a millisecond, ask; how late each sleep ended, and how long each ask took, in ms."""
    lags, asks = [], []
    until = time.perf_counter() + seconds
    while (asleep := time.perf_counter()) < until:
        await asyncio.sleep(0.001)
        begun = time.perf_counter()
        await ref.ask("hello")
        lags.append((begun - asleep - 0.001) * 1e3)
        asks.append((time.perf_counter() - begun) * 1e3)
    return lags, asks


async def endure(answering: type[Actor[Any]], seconds: float) -> tuple[float, list[float], list[float]]:
    """Restarts per second, and the lags and asks of a healthy actor under the same supervisor."""
    storm = Storm()
    async with ActorSystem("bench", [DynamicSupervisor.spec("crowd", intensity=_ENDLESS, period=1.0)]) as system:
        crowd = system.supervisor("crowd")
        healthy = await crowd.start_child(ChildSpec(id="healthy", start=answering))
        for number in range(_SIBLINGS):
            spec = ChildSpec(id=f"sibling{number}", start=Sibling, args=(storm,))
            storm.siblings.append(await crowd.start_child(spec))
        before = storm.restarts
        raging = asyncio.create_task(storm.rage())
        lags, asks = await ask_each_ms(healthy, seconds)
        restarts = (storm.restarts - before) / seconds
        assert healthy.incarnation == 1, "the healthy actor crashed too"
        assert restarts > _SIBLINGS / seconds, "not even one wave of crashes was over"
        assert not raging.done(), f"the storm ended early: {raging.exception()!r}"
        raging.cancel()
        await asyncio.wait([raging])
    return restarts, lags, asks


def weather(restarts: float, lags: list[float], asks: list[float]) -> tuple[float, ...]:
    """One round's figures, in the order of the rows."""
    due = [lag + ask for lag, ask in zip(lags, asks, strict=True)]
    return restarts, at(asks, 0.5), at(asks, 0.99), max(asks), at(lags, 0.99), max(lags), at(due, 0.99)


def storm_rows(setting: Setting, otp: Otp) -> list[Row]:
    """A healthy actor is asked every millisecond while its siblings crash; medians over the rounds.

    The ask alone flatters: while the loop is stuck, nobody gets to ask. So the time by which the asker itself came late
    is held against the same bar.
    """
    seconds, rounds = max(1.0, 3.0 * setting.scale), min(setting.rounds, 3)
    peer = "OTP, the same"
    kinds = [(where, actor, how) for where in _LOGS for actor, how in ((Echo, "at once"), (Sleeper, "after sleep 0"))]
    ours: dict[tuple[str, str], list[tuple[float, ...]]] = {(where, how): [] for where, _, how in kinds}
    otps: list[tuple[float, ...]] = []
    rows = []
    for _ in range(rounds):
        try:
            crashes, *nanoseconds = otp.figures("storm", _SIBLINGS, int(seconds * 1e3))
            otps.append((crashes / seconds, *(figure / 1e6 for figure in nanoseconds)))
        except MissingPeer as missing:
            rows = [Row(what="storm", unit="ms", ours=None, peer=peer, note=f"missing: {missing}")]
        for where, answering, how in kinds:
            gc.collect()
            with logging_goes(where):
                ours[where, how].append(weather(*asyncio.run(endure(answering, seconds))))
    theirs = [statistics.median(column) for column in zip(*otps, strict=True)] or [None] * 7
    for (where, how), figures in ours.items():
        for (name, unit, bar), mine, their in zip(_WEATHER, zip(*figures, strict=True), theirs, strict=True):
            label = f"storm, log {where}, answers {how}: {name}"
            rows.append(solo(label, unit, statistics.median(mine), bar, peer=peer, theirs=their))
    return rows
