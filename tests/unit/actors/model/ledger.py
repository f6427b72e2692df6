"""What happened in a run, and every promise that it broke.

In: facts as they happen: lives of actors, messages sent, begun, handled, bounced. Out: a list of broken promises, in
words. Nothing is raised where it is found: that would be one more crash of an actor.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Hashable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from bifrost.actors import (
    ActorEvent,
    ActorRef,
    ActorRestarted,
    ActorStarted,
    ActorState,
    ActorStopped,
    ChildLeaked,
    DeadLettered,
    Delivery,
    Lane,
)
from bifrost.actors.dead_letters import DeadLetterReason

__all__ = ["Ledger", "Life", "Note", "Parcel", "Tick"]

_EPS = 1e-6


@dataclass(eq=False)
class Life:
    """One incarnation, as its own hooks saw it."""

    path: str
    number: int
    ref: ActorRef[object]
    doing: list[str] = field(default_factory=list)
    tasks: int = 0
    started: bool = False
    announced: bool = False
    stopped: int = 0
    fenced: bool = False
    over: bool = False
    pending_watches: dict[ActorRef[object], int] = field(default_factory=dict)
    owed_downs: dict[ActorRef[object], int] = field(default_factory=lambda: defaultdict(int))

    @property
    def name(self) -> str:
        """Path and number."""
        return f"{self.path}#{self.number}"

    @property
    def is_busy(self) -> bool:
        """True while code of the incarnation runs or waits."""
        return bool(self.doing or self.tasks)


@dataclass(eq=False)
class Note:
    """One message: who sent it how, and all that became of it."""

    number: int
    sender: str
    path: str
    kind: str
    lane: Lane
    sent_by: Life | None
    conflates: bool
    key: Hashable = None
    expires: float | None = None
    aside: bool = False
    delivery: Delivery | None = None
    outcome: str = "open"
    begun: list[Life] = field(default_factory=list)
    done: int = 0
    letters: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        begun = [life.name for life in self.begun]
        key = f", key {self.key}" if self.conflates else ""
        return (
            f"{self.kind} {self.number} of {self.sender} to {self.path} ({self.lane.name}{key}): "
            f"{self.delivery or self.outcome}, begun in {begun}, done {self.done}, dead letters {self.letters}"
        )


@dataclass(frozen=True, eq=False)
class Parcel:
    """A message on its way."""

    note: Note
    acts: tuple[object, ...]


@dataclass(frozen=True, eq=False)
class Tick:
    """A timer's message."""

    life: Life
    due: float
    periodic: bool
    seen: list[float] = field(default_factory=list)


class Ledger:
    """The facts of one run."""

    def __init__(self) -> None:
        self.broken: list[str] = []
        self.drained: set[ActorRef[object]] = set()
        self.lives: dict[str, list[Life]] = defaultdict(list)
        self.notes: list[Note] = []
        self.occupied: dict[asyncio.Task[object], Life] = {}
        self._last_begun: dict[Hashable, int] = {}

    def breach(self, text: str) -> None:
        """Note a broken promise."""
        self.broken.append(text)

    def expect(self, fact: object, text: str) -> None:
        """Note a broken promise unless `fact`."""
        if not fact:
            self.breach(text)

    # Lives

    def born(self, ref: ActorRef[object], number: int) -> Life:
        """An `on_start` begins."""
        life = Life(ref.path, number, ref)
        for old in self.lives[ref.path]:
            self.expect(old.fenced or not old.is_busy, f"{life.name} starts while {old.name} does {old.doing}")
            if old.ref == ref:
                self.expect(old.number < number, f"{life.name} starts after {old.name}")
                fine = old.fenced or old.over or not old.announced
                self.expect(fine, f"{life.name} starts before {old.name} was reported as ended")
        self.lives[ref.path].append(life)
        return life

    @contextmanager
    def doing(self, life: Life, what: str) -> Iterator[None]:
        """A hook of `life` runs: alone, and in a task that is its own."""
        self.expect(not life.doing, f"{life.name} does {what} while it does {life.doing}")
        self.expect(not life.over, f"{life.name} does {what} after it has ended")
        life.doing.append(what)
        task = asyncio.current_task()
        if task is None:
            self.breach(f"{life.name} does {what} in no task")
            yield
            return
        self.expect(task not in self.occupied, f"{life.name} does {what} in the task of {self.occupied.get(task)}")
        self.occupied[task] = life
        try:
            yield
        finally:
            self.expect(asyncio.current_task() is task, f"{life.name} changed its task while it did {what}")
            self.occupied.pop(task, None)
            life.doing.remove(what)

    def hear(self, event: ActorEvent) -> None:
        """Listen to the system's events."""
        if isinstance(event, ChildLeaked):
            self._life(event.path, event.incarnation).fenced = True
        elif isinstance(event, ActorStarted | ActorRestarted):
            self._life(event.path, event.incarnation).announced = True
        elif isinstance(event, ActorStopped):
            life = self._life(event.path, event.incarnation)
            self.expect(not life.over, f"{life.name} ended twice")
            self.expect(life.fenced or not life.is_busy, f"{life.name} ended while it does {life.doing}, {life.tasks}")
            self.expect(life.stopped <= 1, f"{life.name} ran on_stop {life.stopped} times")
            life.over = True
        elif isinstance(event, DeadLettered) and isinstance(event.message, Parcel):
            note = event.message.note
            note.letters.append(event.reason)
            if event.reason == DeadLetterReason.TTL:
                over = note.expires is not None and event.at >= note.expires - _EPS
                self.expect(over, f"called too old before its time: {note}")

    def _life(self, path: str, number: int) -> Life:
        return next(life for life in reversed(self.lives[path]) if life.number == number)

    # Messages

    def note(self, sender: str, life: Life | None, ref: ActorRef[object], kind: str, lane: Lane) -> Note:
        """A message is about to be sent."""
        conflates = ref.cell.spec.mailbox.key is not None
        note = Note(len(self.notes), sender, ref.path, kind, lane, life, conflates)
        note.key = note.number % 2 if conflates and kind != "ask" else None
        self.notes.append(note)
        return note

    def begin(self, note: Note, life: Life, now: float, *, drains: bool) -> None:
        """A handler has got the message."""
        self.expect(note.expires is None or now <= note.expires + _EPS, f"handled although it was too old: {note}")
        self.expect(not note.begun, f"handled twice, again in {life.name}: {note}")
        self.expect(not note.letters, f"handled after it was a dead letter, in {life.name}: {note}")
        self.expect(
            note.outcome not in ("ActorStopped", "AskCycle", "MailboxFull"), f"handled after it was refused: {note}"
        )
        self.expect(note.path == life.path, f"handled by {life.name}: {note}")
        drains = drains or life.ref in self.drained
        running = life.ref.state is ActorState.RUNNING or (drains and life.ref.state is ActorState.STOPPING)
        self.expect(running, f"handled in state {life.ref.state}: {note}")
        if note.kind == "ask":
            self.expect(note.outcome == "open", f"handled after the asker had gone: {note}")
        note.begun.append(life)
        if note.aside:
            return  # it comes back out of its order
        order = (note.sender, note.path, note.lane, note.key, note.conflates and note.kind == "ask")
        before = self._last_begun.get(order, -1)
        self.expect(before < note.number, f"overtaken by {before}: {note}")
        self._last_begun[order] = note.number

    def put_aside(self, note: Note) -> None:
        """The handler has stashed the message in hand."""
        note.begun.pop()
        note.aside = True

    def tick(self, tick: Tick, life: Life, now: float) -> None:
        """A timer's message has come."""
        self.expect(tick.life is life, f"a timer of {tick.life.name} came to {life.name}")
        self.expect(now >= tick.due - 1e-9, f"a timer of {life.name} came at {now} and was due at {tick.due}")
        self.expect(tick.periodic or not tick.seen, f"a timer of {life.name} came twice")
        tick.seen.append(now)

    # The end

    def untold(self) -> set[str]:
        """Who watches an incarnation that is over, has nothing else to do, and has not been told."""
        gone = (ActorState.STOPPED, ActorState.FAILED, ActorState.RESTARTING)
        texts = set()
        for life in (lives[-1] for lives in self.lives.values()):
            is_calm = life.ref.state is ActorState.RUNNING and life.ref.incarnation == life.number and not life.doing
            for ref, number in life.pending_watches.items() if is_calm else ():
                if ref.state in gone or ref.incarnation != number:
                    texts.add(f"{life.name} was never told of the end of {ref.path}#{number}")
        return texts

    def settle_accounts(self) -> None:
        """After the system has ended: every message has become exactly what was promised."""
        newest: set[Hashable] = set()
        for note in reversed(self.notes):
            self._settle(note, newest)
        for lives in self.lives.values():
            for life in lives:
                self.expect(life.fenced or not life.is_busy, f"{life.name} still does {life.doing}, {life.tasks}")
                told = life.stopped == 1 or not life.started or life.fenced
                self.expect(told, f"{life.name} had started, and its on_stop ran {life.stopped} times")

    def _settle(self, note: Note, newest: set[Hashable]) -> None:
        letters = len(note.letters)
        finished = [life for life in note.begun if not life.fenced]
        self.expect(len(note.begun) <= 1, f"handled twice: {note}")
        self.expect(letters <= 1, f"two dead letters: {note}")
        self.expect(not (note.done and letters and finished), f"handled and a dead letter: {note}")
        if note.begun and letters:
            self.expect(note.letters == [DeadLetterReason.CRASHED], f"not the reason of what was in hand: {note}")
        if note.kind == "ask":
            self._settle_ask(note)
            return
        self.expect(note.outcome != "open" or note.kind == "tell", f"neither sent nor failed: {note}")
        if note.delivery is Delivery.ACCEPTED or note.outcome == "sent":
            replaced = note.conflates and (note.path, note.key) in newest
            self.expect(note.done or letters or replaced, f"lost: {note}")
            newest.add((note.path, note.key))
        elif note.kind == "tell":
            self.expect(letters == 1 and not note.begun, f"refused, and not exactly a dead letter: {note}")
        elif note.outcome != "cancelled":
            self.expect(not note.begun, f"refused and handled: {note}")

    def _settle_ask(self, note: Note) -> None:
        self.expect(note.outcome != "open", f"neither answered nor failed: {note}")
        if note.outcome == "answered":
            self.expect(note.done == 1 and not note.letters, f"answered, and not handled: {note}")
        elif note.outcome == "ActorCrashed":
            had_it = note.begun or note.aside
            self.expect(had_it and len(note.letters) == 1, f"no crash in hand: {note}")
        elif note.outcome in ("ActorStopped", "ActorRestarted", "AskCycle", "MailboxFull"):
            self.expect(not note.begun, f"refused and handled: {note}")
