"""Runs a test under many schedules, and says how to see a failure again.

In: a test's coroutine function that takes a `Schedule`. Out: nothing, or `RaceFound` with the seed, the few choices
that matter, and the test's own error. Each run has a `VirtualLoop` of its own, so a wait for ever is a failure too.
"""

from __future__ import annotations

import asyncio
import functools
import inspect
import os
from collections.abc import Callable, Coroutine, Iterable, Iterator
from typing import Any, Concatenate, ParamSpec

from bifrost.testing.schedule import Schedule, first_difference
from bifrost.testing.virtual_loop import VirtualLoop

__all__ = ["REPLAY_VARIABLE", "RaceFound", "explore", "under_schedules"]

REPLAY_VARIABLE = "BIFROST_SCHEDULE"
"""Environment variable: the one seed to run instead of all."""

_P = ParamSpec("_P")
_Test = Callable[[Schedule], Coroutine[Any, Any, object]]


class RaceFound(AssertionError):
    """A test that passes when actors run in the order of their mail fails in another order.

    Attributes:
        seed: of the schedule that showed it.
        script: the shortest way to it that was found; for ``Schedule(script=...)``.
        error: what the test raised.
    """

    def __init__(self, text: str, *, seed: int, script: tuple[int, ...], error: Exception) -> None:
        super().__init__(text)
        self.seed = seed
        self.script = script
        self.error = error


def explore(test: _Test, *, seeds: Iterable[int] = range(100), shrink: int = 200) -> int:
    """Run `test` first come, first served, then under each seed, and return how many runs there were.

    The environment variable ``BIFROST_SCHEDULE`` replaces the seeds by one.

    Args:
        test: makes its system with ``SystemBench(schedule=schedule)``, or adds it to `ActorSystem.companions`.
        seeds: which schedules to run.
        shrink: further runs at most, to find out which choices of a failing schedule matter.

    Raises:
        RaceFound: some schedule breaks the test.
        Exception: the test fails without any schedule: its own error, as it is.
    """
    replayed = os.environ.get(REPLAY_VARIABLE)
    _raise_if(_run(test, Schedule()))
    runs = 1
    for seed in seeds if not replayed else [int(replayed)]:
        schedule = Schedule(seed)
        error = _run(test, schedule)
        runs += 1
        if error is not None:
            raise _race(test, schedule, error, shrink) from error
    return runs


def under_schedules(
    seeds: int | Iterable[int] = 100, *, shrink: int = 200
) -> Callable[[Callable[Concatenate[Schedule, _P], Coroutine[Any, Any, object]]], Callable[_P, None]]:
    """Make an ordinary test of an ``async def`` whose first parameter is the schedule; fixtures may follow it.

    Args:
        seeds: how many, from 0, or which ones.
        shrink: as for `explore`.

    Example:
        >>> @under_schedules(200)
        ... async def test_two_clerks_never_overdraw(schedule: Schedule) -> None:
        ...     async with SystemBench(children, schedule=schedule) as bench: ...
    """
    chosen = range(seeds) if isinstance(seeds, int) else tuple(seeds)

    def decorate(test: Callable[Concatenate[Schedule, _P], Coroutine[Any, Any, object]]) -> Callable[_P, None]:
        @functools.wraps(test)
        def run(*args: _P.args, **kwargs: _P.kwargs) -> None:
            explore(lambda schedule: test(schedule, *args, **kwargs), seeds=chosen, shrink=shrink)

        # A test runner asks for the parameters: the schedule is not for it to give.
        signature = inspect.signature(test)
        rest = list(signature.parameters.values())[1:]
        run.__signature__ = signature.replace(parameters=rest, return_annotation=None)  # type: ignore[attr-defined]
        del run.__wrapped__
        return run

    return decorate


def _run(test: _Test, schedule: Schedule) -> Exception | None:
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        try:
            runner.run(test(schedule))
        except Exception as error:  # noqa: BLE001 - any failure of the test is what is looked for
            return error
    return None


def _raise_if(error: Exception | None) -> None:
    if error is not None:
        raise error


def _race(test: _Test, schedule: Schedule, error: Exception, shrink: int) -> RaceFound:
    seed = schedule.seed
    assert seed is not None
    lines = [f"the test fails under the schedule of seed {seed}: {type(error).__name__}: {error}"]
    again = Schedule(seed)
    second = _run(test, again)
    difference = first_difference(schedule, again)
    script = tuple(choice.index for choice in schedule.choices)
    if difference is not None or type(second) is not type(error):
        lines.append(f"a second run with the same seed went another way ({difference or 'at its end'}):")
        lines.append("something outside the actors decides too: threads, real time, random numbers, the order of a set")
    else:
        script = _shrink(test, script, type(error), shrink)
        short = Schedule(script=script)
        _run(test, short)
        matter = [(number, one) for number, one in enumerate(short.choices, start=1) if one.index]
        enough = "is" if len(matter) == 1 else "are"
        lines.append(f"of its {len(schedule.choices)} choices, {len(matter)} {enough} enough, the others as they come:")
        lines += [f"  choice {number}: {one}" for number, one in matter]
        lines.append(f"the same in short: Schedule(script={list(script)})")
    lines.append(f"see it again: {REPLAY_VARIABLE}={seed} in the environment, or Schedule({seed})")
    return RaceFound("\n".join(lines), seed=seed, script=script, error=error)


def _shrink(test: _Test, script: tuple[int, ...], kind: type[Exception], runs: int) -> tuple[int, ...]:
    """Make the schedule simpler as long as the test fails in the same way: fewer choices, earlier actors."""
    best = _trimmed(script)
    progress = True
    while progress:
        progress = False
        for candidate in _simpler(best):
            if runs == 0:
                return best
            runs -= 1
            if type(_run(test, Schedule(script=candidate))) is kind:
                best, progress = candidate, True
                break
    return best


def _simpler(script: tuple[int, ...]) -> Iterator[tuple[int, ...]]:
    """Schedules that depart less from the order of arrival, the boldest first."""
    tried = {script}
    size = len(script)
    while size:
        for at in range(0, len(script), size):
            head, piece, tail = script[:at], script[at : at + size], script[at + size :]
            smaller = [tuple(n // 2 for n in piece), tuple(max(n - 1, 0) for n in piece)]
            for instead in ((0,) * len(piece), (), *smaller):
                candidate = _trimmed(head + instead + tail)
                if candidate not in tried:
                    tried.add(candidate)
                    yield candidate
        size //= 2


def _trimmed(script: tuple[int, ...]) -> tuple[int, ...]:
    """Without the zeros at the end, which are what follows a script anyway."""
    while script and script[-1] == 0:
        script = script[:-1]
    return script
