"""Deterministic schedules: a seed decides which ready actor runs next, so that a race found once is replayed.

In: a seed, and a system whose scheduler asks which of its ready actors to run. Out: the choices, the same for the same
seed. `explore.py` runs a test under many of them.

The choice is between actors, after every single message, and an asked actor waits for its turn like any other. What
the runtime promises holds in every schedule: one message at a time, first in first out for each sender and lane. The
callbacks of the event loop itself keep their order: asyncio promises it, so a test that fails in another order has
found nothing. What else may decide, the test has to hold still: threads, sockets, the process's own random numbers.
"""

from __future__ import annotations

import functools
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bifrost.actors.system import ActorSystem

__all__ = ["Choice", "Schedule", "first_difference"]


@dataclass(frozen=True, slots=True)
class Choice:
    """One decision.

    Attributes:
        ready: how many actors were ready.
        index: which of them ran, by the order in which they became ready; 0 is first come, first served.
        ran: its path, if the schedule runs a system.
        first: the path of the one that had been ready for longest.
    """

    ready: int
    index: int
    ran: str = ""
    first: str = ""

    def __str__(self) -> str:
        who = f"{self.ran} before {self.first}: " if self.index and self.ran else f"{self.ran}: " if self.ran else ""
        return f"{who}number {self.index + 1} of {self.ready} ready actors"


class Schedule:
    """Decides which ready actor runs next, and remembers what it decided.

    Args:
        seed: what decides; None is first come, first served.
        script: decide so, by index, as far as the script goes, and first come, first served from there on.

    Attributes:
        choices: what was decided so far, where there was a choice: with one ready actor there is none.
    """

    def __init__(self, seed: int | None = None, *, script: Sequence[int] = ()) -> None:
        self.seed = seed
        self.choices: list[Choice] = []
        self._script = tuple(script)
        self._ready: Sequence[Callable[[], None]] = ()
        self._random = None if seed is None else random.Random(seed)  # noqa: S311 - it must repeat, not surprise

    def __repr__(self) -> str:
        return f"Schedule(seed={self.seed}, {len(self.choices)} choices)"

    def pick(self, ready: int) -> int:
        """The index of the actor to run next, of `ready` ones."""
        if ready < 2:
            return 0
        made = len(self.choices)
        if made < len(self._script):
            index = min(self._script[made], ready - 1)
        elif self._random is not None:
            index = self._random.randrange(ready)
        else:
            index = 0
        units = self._ready
        ran, first = (_path_of(units[index]), _path_of(units[0])) if len(units) == ready else ("", "")
        self.choices.append(Choice(ready, index, ran, first))
        return index

    def start(self, system: ActorSystem) -> None:
        """Run the actors of `system` from now on, one message at a time; `SystemBench` sees to it before the first."""
        scheduler = system.scheduler
        self._ready = scheduler.ready
        scheduler.pick = self.pick
        # One message, one turn of the loop: whoever is not picked stays behind what goes on meanwhile, for as long as
        # the seed wants.
        scheduler.units = scheduler.share = 1
        scheduler.inline = False
        scheduler.left = 0

    def stop(self) -> None:
        """Nothing to end: the choices stay readable."""


def _path_of(unit: Callable[[], None]) -> str:
    """Whose work it is: a method of a cell, perhaps with an argument set."""
    method = unit.func if isinstance(unit, functools.partial) else unit
    return str(getattr(getattr(method, "__self__", None), "path", ""))


def first_difference(one: Schedule, other: Schedule) -> str | None:
    """Where two runs of one test first went apart, in words; None if they made the same choices."""
    for number, (left, right) in enumerate(zip(one.choices, other.choices, strict=False), start=1):
        if left != right:
            return f"choice {number}: {left} against {right}"
    made = (len(one.choices), len(other.choices))
    if made[0] != made[1]:
        return f"choice {min(made) + 1}: one run ended after {min(made)} choices, the other after {max(made)}"
    return None
