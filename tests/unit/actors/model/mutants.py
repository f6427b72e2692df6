"""Defects put into the runtime, one at a time, to see that the model finds them.

In: pytest's `monkeypatch`. Out: a runtime that breaks one promise, each in a way in which a real change could.
"""

from __future__ import annotations

import asyncio
import functools
import itertools
from collections.abc import Callable
from typing import Any, TypeVar

import pytest

from bifrost.actors import (
    ActorRef,
    ActorSystem,
    DeadLetterReason,
    Delivery,
    Down,
    Lane,
    Timers,
    ending,
    incarnation,
    worker,
)
from bifrost.actors.cell import Cell
from bifrost.actors.incarnation import Incarnation
from bifrost.actors.mailbox import Envelope
from bifrost.actors.worker import WorkerCell
from bifrost.errors import ActorCrashed

__all__ = ["MUTANTS"]

Patch = pytest.MonkeyPatch
T = TypeVar("T")

_tell = ActorRef.tell
_ask = ActorRef.ask


def _of_the_run(make: Callable[[], T]) -> Callable[[], T]:
    """State that begins anew with every run, so that a run does not depend on those before it."""
    states: dict[asyncio.AbstractEventLoop, T] = {}

    def state() -> T:
        loop = asyncio.get_running_loop()
        if loop not in states:
            states.clear()
            states[loop] = make()
        return states[loop]

    return state


def deliver_twice(patch: Patch) -> None:
    """Some messages arrive two times."""
    count = _of_the_run(itertools.count)

    def tell(self: ActorRef[Any], message: Any, *, lane: Lane = Lane.NORMAL, **more: Any) -> Delivery:
        if not next(count()) % 5:
            _tell(self, message, lane=lane, **more)
        return _tell(self, message, lane=lane, **more)

    patch.setattr(ActorRef, "tell", tell)


def swap(patch: Patch) -> None:
    """A message overtakes the one before it."""
    waiting = _of_the_run(dict[ActorRef[Any], Callable[[], Delivery]])

    def tell(self: ActorRef[Any], message: Any, **options: Any) -> Delivery:
        held = waiting()
        if self in held:
            delivery = _tell(self, message, **options)
            release(self)
            return delivery
        held[self] = functools.partial(_tell, self, message, **options)
        asyncio.get_running_loop().call_soon(release, self)
        return Delivery.ACCEPTED

    def release(ref: ActorRef[Any]) -> None:
        if ref in waiting():
            waiting().pop(ref)()

    patch.setattr(ActorRef, "tell", tell)


def lose(patch: Patch) -> None:
    """Some messages are accepted and never seen again."""
    count = _of_the_run(itertools.count)

    def tell(self: ActorRef[Any], message: Any, *, lane: Lane = Lane.NORMAL, **more: Any) -> Delivery:
        return _tell(self, message, lane=lane, **more) if next(count()) % 5 else Delivery.ACCEPTED

    patch.setattr(ActorRef, "tell", tell)


def forget_the_time_to_live(patch: Patch) -> None:
    """Messages are handled although they have become too old."""

    def tell(self: ActorRef[Any], message: Any, *, lane: Lane = Lane.NORMAL, **_: Any) -> Delivery:
        return _tell(self, message, lane=lane)

    patch.setattr(ActorRef, "tell", tell)


def lose_the_stash(patch: Patch) -> None:
    """What was put aside is forgotten at the end of the incarnation."""
    patch.setattr(worker, "take_back", lambda _inc: 0)


def lose_an_ask(patch: Patch) -> None:
    """Some asks are neither answered nor failed."""
    count = _of_the_run(itertools.count)

    async def ask(self: ActorRef[Any], message: Any, **options: Any) -> Any:
        if not next(count()) % 5:
            await asyncio.get_running_loop().create_future()
        return await _ask(self, message, **options)

    patch.setattr(ActorRef, "ask", ask)


def ask_too_long(patch: Patch) -> None:
    """The deadline of an ask is not kept."""

    async def ask(self: ActorRef[Any], message: Any, *, timeout: float, lane: Lane) -> Any:
        return await _ask(self, message, timeout=timeout + 0.1, lane=lane)

    patch.setattr(ActorRef, "ask", ask)


def answer_of_another(patch: Patch) -> None:
    """A late answer reaches the next asker."""
    answers = _of_the_run(list[Any])

    async def ask(self: ActorRef[Any], message: Any, **options: Any) -> Any:
        answers().append(await _ask(self, message, **options))
        return answers()[-2:][0]

    patch.setattr(ActorRef, "ask", ask)


def raise_the_cause(patch: Patch) -> None:
    """The asker gets the handler's own exception."""

    async def ask(self: ActorRef[Any], message: Any, **options: Any) -> Any:
        try:
            return await _ask(self, message, **options)
        except ActorCrashed as error:
            raise error.cause from None

    patch.setattr(ActorRef, "ask", ask)


def handle_in_the_askers_task(patch: Patch) -> None:
    """An ask calls the handler like a function."""

    async def ask(self: ActorRef[Any], message: Any, **options: Any) -> Any:
        inc = getattr(self.cell, "_inc", None)
        if inc is None or not inc.announced:
            return await _ask(self, message, **options)
        return await inc.actor.receive(message)

    patch.setattr(ActorRef, "ask", ask)


def report_the_end_too_early(patch: Patch) -> None:
    """The supervisor starts the next incarnation while the old one still stops."""
    end = ending.end_incarnation
    ends = _of_the_run(list[asyncio.Task[None]])

    async def end_incarnation(cell: WorkerCell, inc: Incarnation, leaks: list[str]) -> None:
        ends().append(asyncio.create_task(end(cell, inc, leaks)))
        await asyncio.sleep(0)

    patch.setattr(worker, "end_incarnation", end_incarnation)


def keep_timers(patch: Patch) -> None:
    """Timers outlive their incarnation."""
    patch.setattr(Timers, "cancel_all", lambda _self: None)


def keep_tasks(patch: Patch) -> None:
    """Tasks outlive their incarnation."""

    async def reap(*_: object) -> None:
        return None

    patch.setattr(ending, "_reap_tasks", reap)


def notify_twice(patch: Patch) -> None:
    """The end of an actor is told two times."""
    notify = WorkerCell.notify_down

    def notify_down(self: WorkerCell, inc: Incarnation, down: Down) -> None:
        notify(self, inc, down)
        notify(self, inc, down)

    patch.setattr(WorkerCell, "notify_down", notify_down)


def notify_nobody(patch: Patch) -> None:
    """The end of an actor is not told."""
    patch.setattr(WorkerCell, "notify_down", lambda *_: None)


def lose_a_dead_letter(patch: Patch) -> None:
    """What a crash took along is not reported."""
    publish = ActorSystem.dead_letter

    def dead_letter(self: ActorSystem, path: str, message: object, reason: DeadLetterReason, **facts: Any) -> None:
        if reason is not DeadLetterReason.CRASHED:
            publish(self, path, message, reason, **facts)

    patch.setattr(ActorSystem, "dead_letter", dead_letter)


def let_the_fenced_send(patch: Patch) -> None:
    """An abandoned incarnation goes on sending."""
    patch.setattr(Cell, "refuse_fenced", lambda self, message: self.put(Envelope(message)))


def never_abandon(patch: Patch) -> None:
    """A handler that ignores its cancellation holds up the stop for ever."""
    patch.setattr(incarnation, "GRACE_KILL", 1e9)


MUTANTS: list[Callable[[Patch], None]] = [
    deliver_twice,
    swap,
    lose,
    forget_the_time_to_live,
    lose_the_stash,
    lose_an_ask,
    ask_too_long,
    answer_of_another,
    raise_the_cause,
    handle_in_the_askers_task,
    report_the_end_too_early,
    keep_timers,
    keep_tasks,
    notify_twice,
    notify_nobody,
    lose_a_dead_letter,
    let_the_fenced_send,
    never_abandon,
]
