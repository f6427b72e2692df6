"""The state machine that hypothesis drives: a random tree, and random things done to it."""

from __future__ import annotations

import asyncio
import dataclasses
import itertools
from collections.abc import Callable
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from bifrost.actors import ActorSystem, DeadLetterReason, Lane, Strategy, SupervisorRef
from bifrost.actors.cell import Cell
from bifrost.actors.mailbox import Envelope
from bifrost.actors.meters import add_meter
from bifrost.errors import ActorError
from bifrost.testing.schedule import Schedule
from tests.unit.actors.model.acts import Act, Hang, Post, Repeat, Spawn, Stage, Stash, Tell, Watch, posts
from tests.unit.actors.model.trees import Branch, WorkerPlan, branches, intensities, strategies, workers
from tests.unit.actors.model.world import End, World

__all__ = ["RuntimeMachine", "Violation"]


class Violation(AssertionError):
    """The runtime broke a promise."""


class DeafMeter:
    """Hears of every message, which then takes the way of measured messages."""

    def sent(self, cell: Cell, envelope: Envelope) -> None:
        """A message is in the mailbox."""

    def begin(self, cell: Cell, envelope: Envelope) -> None:
        """A handler begins."""

    def end(self, cell: Cell, envelope: Envelope, token: object, error: BaseException | None) -> None:
        """The handler is done."""

    def dropped(self, cell: Cell, message: object, reason: DeadLetterReason) -> None:
        """A message was not handled."""


class RuntimeMachine(RuleBasedStateMachine):
    """A system, and what the world does to it."""

    def __init__(self) -> None:
        super().__init__()
        self.world = World()
        self._ids = itertools.count(1)
        self._is_open = False
        self._ends_calmly = False
        self._unmeasure: Callable[[], None] | None = None

    @initialize(
        first=workers(Stage.OK, Stage.SLOW),
        others=st.lists(branches(), min_size=1, max_size=3),
        strategy=strategies,
        intensity=intensities,
        schedule=st.one_of(st.none(), st.integers(0, 3)),
        end=st.sampled_from(End),
        calm=st.booleans(),
    )
    def start(
        self,
        *,
        first: WorkerPlan,
        others: list[Branch],
        strategy: Strategy,
        intensity: int,
        schedule: int | None,
        end: End,
        calm: bool,
    ) -> None:
        """Start the tree; if `calm`, it will have come to rest when it is stopped."""
        self._ends_calmly = calm
        self.world.end = end
        children = [branch.spec(f"n{number}", self.world) for number, branch in enumerate([first, *others])]
        self._is_open = True
        system = ActorSystem("system", children, strategy=strategy, intensity=intensity, stop_timeout=10.0, seed=1)
        if schedule is not None:
            system.companions.append(Schedule(schedule))
        self.world.open(system)
        self._judge()

    def _judge(self) -> None:
        if self.world.ledger.broken:
            raise Violation("\n".join(self.world.ledger.broken))

    def _advance(self, seconds: float = 0.0, turns: int = 1) -> None:
        async def nap() -> None:
            for _ in range(turns):
                await asyncio.sleep(seconds)

        self.world.run(nap())
        self._judge()

    @rule(what=posts(), turns=st.integers(0, 3))
    def send(self, what: tuple[Post, ...], turns: int) -> None:
        """A new sender outside of the tree sends some messages."""
        self.world.send_from_outside(what)
        self._advance(turns=turns)

    @rule(what=st.lists(posts(), min_size=2, max_size=3), turns=st.integers(0, 3))
    def send_together(self, what: list[tuple[Post, ...]], turns: int) -> None:
        """Some senders send in the same turn."""
        for each in what:
            self.world.send_from_outside(each)
        self._advance(turns=turns)

    @rule(seconds=st.sampled_from([0.01, 0.2, 0.3, 1.0, 2.0, 6.0, 30.0]))
    def wait(self, seconds: float) -> None:
        """Time goes by."""
        self._advance(seconds)
        self._look_for_lost_downs()

    def _look_for_lost_downs(self) -> None:
        untold = self.world.ledger.untold()
        if untold:
            self._advance(0.02)
            self._advance(turns=5)
            self.world.ledger.broken.extend(untold & self.world.ledger.untold())
            self._judge()

    @rule(turns=st.integers(1, 4))
    def turn(self, turns: int) -> None:
        """The loop turns."""
        self._advance(turns=turns)

    @rule(whom=st.integers(0, 11), turns=st.integers(0, 2))
    def kill(self, whom: int, turns: int) -> None:
        """An operator kills an actor."""
        self.world.loop.call_soon(self.world.ref(whom).kill)
        self._advance(turns=turns)

    @rule(whom=st.integers(0, 11), other=st.integers(0, 11), dies=st.booleans())
    def watch(self, whom: int, other: int, *, dies: bool) -> None:
        """An actor is told to watch another, which may die soon."""
        self._instruct(whom, Watch(other), dies=other if dies else None)

    @rule(whom=st.integers(0, 11), act=st.sampled_from([Spawn((Hang(),)), Repeat(0, 0.3), Stash()]), dies=st.booleans())
    def begin(self, whom: int, act: Act, *, dies: bool) -> None:
        """An actor is told to begin something that ends with it, and it may die soon."""
        self._instruct(whom, act, dies=whom if dies else None)

    def _instruct(self, whom: int, act: Act, *, dies: int | None) -> None:
        self.world.send_from_outside((Tell(whom, (act,), Lane.NORMAL),))
        self._advance(0.01)
        if dies is not None:
            self.world.loop.call_soon(self.world.ref(dies).kill)
            self._advance(0.01)
        self._look_for_lost_downs()

    @rule(whom=st.integers(0, 11))
    def drain(self, whom: int) -> None:
        """An operator lets an actor finish its queue."""
        self.world.ledger.drained.add(self.world.ref(whom))
        self.world.loop.call_soon(self.world.ref(whom).drain)
        self._advance()

    @rule()
    def measure(self) -> None:
        """A meter is attached, or the one that is there is taken off."""
        if self._unmeasure is None:
            self._unmeasure = add_meter(self.world.system, DeafMeter())
        else:
            self._unmeasure()
            self._unmeasure = None
        self._advance()

    @precondition(lambda self: bool(self.world.supervisors))
    @rule(whom=st.integers(0, 3))
    def kill_supervisor(self, whom: int) -> None:
        """An operator kills a branch."""
        self.world.loop.call_soon(self.world.supervisors[whom % len(self.world.supervisors)].kill)
        self._advance()

    @precondition(lambda self: bool(self.world.senders))
    @rule(which=st.integers(0, 11))
    def cancel_sender(self, which: int) -> None:
        """A sender outside of the tree is cancelled."""
        self.world.senders[which % len(self.world.senders)].cancel()
        self._advance()

    @rule(whom=st.integers(0, 11), verb=st.sampled_from(["terminate", "restart", "delete"]), turns=st.integers(0, 2))
    def administrate(self, whom: int, verb: str, turns: int) -> None:
        """An operator stops, restarts or forgets a child."""
        supervisor, name = self._above(whom)
        calls: dict[str, Callable[..., Any]] = {
            "terminate": supervisor.terminate_child,
            "restart": supervisor.restart_child,
            "delete": supervisor.delete_child,
        }
        self.world.call_from_outside(calls[verb](name, timeout=20.0))
        self._advance(turns=turns)

    def _above(self, whom: int) -> tuple[SupervisorRef, str]:
        above, _, name = self.world.ref(whom).path.rpartition("/")
        root = self.world.system.root
        return next((one for one in self.world.supervisors if one.path == above), root), name

    @rule(whom=st.integers(0, 11), plan=workers(*Stage))
    def replace(self, whom: int, plan: WorkerPlan) -> None:
        """An operator gives a child another specification, with the same mailbox."""
        supervisor, name = self._above(whom)
        try:
            old = supervisor.get_child_spec(name)
        except ActorError:
            return
        new = dataclasses.replace(plan.spec(name, self.world), mailbox=old.mailbox, drain=old.drain, kwargs=old.kwargs)
        self.world.call_from_outside(supervisor.replace_child(new, timeout=20.0))
        self._advance()

    @rule(plan=workers(*Stage), under=st.integers(0, 4), again=st.booleans())
    def start_child(self, plan: WorkerPlan, under: int, again: bool) -> None:
        """An operator adds a child, maybe one that was there before."""
        above = [self.world.system.root, *self.world.supervisors]
        name = f"d{1 if again else next(self._ids)}"
        self.world.call_from_outside(above[under % len(above)].start_child(plan.spec(name, self.world), timeout=20.0))
        self._advance()

    def teardown(self) -> None:
        """Stop the system, and see that nothing is left."""
        if not self._is_open:
            self.world.loop.close()
            return
        try:
            if self._ends_calmly and not self.world.ledger.broken:
                self.wait(60.0)
        finally:
            self.world.close()
        self._judge()
