"""What exploring schedules promises, shown on plain choices; the actors follow in test_schedule.py."""

from __future__ import annotations

import asyncio
import itertools
from typing import Any

import pytest

from bifrost.testing import Deadlock, RaceFound, Schedule, explore, first_difference, under_schedules
from bifrost.testing.explore import REPLAY_VARIABLE


async def order_of(schedule: Schedule, waiting: str) -> str:
    """Run the letters in the schedule's order."""
    left, done = list(waiting), ""
    while left:
        done += left.pop(schedule.pick(len(left)))
    return done


async def c_before_b(schedule: Schedule) -> None:
    """Fails in those orders in which c comes before b, of six letters."""
    order = await order_of(schedule, "abcdef")
    if order.index("c") < order.index("b"):
        raise ValueError(order)


@pytest.mark.real_time
def test_a_seed_gives_the_same_choices_each_time() -> None:
    """Two schedules of one seed decide alike, two seeds differ, and no seed is first come, first served."""

    def order(schedule: Schedule) -> str:
        return asyncio.run(order_of(schedule, "abcdefgh"))

    assert order(Schedule(7)) == order(Schedule(7))
    assert len({order(Schedule(seed)) for seed in range(50)}) > 45
    assert order(Schedule()) == "abcdefgh"
    assert order(Schedule(script=[2, 0, 99])) == "cahbdefg"


def test_a_race_is_reported_with_its_seed_and_what_matters() -> None:
    """The report names the seed, the one choice that is enough, and two ways to see it again."""
    with pytest.raises(RaceFound) as raised:
        explore(c_before_b)
    race = raised.value
    assert isinstance(race.error, ValueError)
    assert race.__cause__ is race.error
    assert race.script in ((2,), (0, 1))
    text = str(race)
    assert f"the schedule of seed {race.seed}: ValueError" in text
    assert "of its 5 choices, 1 is enough" in text
    assert f"BIFROST_SCHEDULE={race.seed}" in text
    with pytest.raises(ValueError, match="c"):
        asyncio.run(c_before_b(Schedule(race.seed)))
    with pytest.raises(ValueError, match="c"):
        asyncio.run(c_before_b(Schedule(script=race.script)))


def test_a_correct_test_runs_under_every_seed() -> None:
    """Once first come, first served, then once for each seed."""
    seen = set()

    async def test(schedule: Schedule) -> None:
        seen.add((schedule.seed, await order_of(schedule, "abcd")))

    assert explore(test, seeds=range(30)) == 31
    assert len(seen) == 31
    assert (None, "abcd") in seen


def test_a_test_that_always_fails_is_no_race() -> None:
    """Its own error comes as it is, and no seed is run."""
    runs = []

    async def test(schedule: Schedule) -> None:
        runs.append(schedule)
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        explore(test)
    assert len(runs) == 1


def test_a_wait_for_ever_is_found_too() -> None:
    """A schedule under which somebody waits for ever ends with a Deadlock instead of hanging."""

    async def test(schedule: Schedule) -> None:
        if await order_of(schedule, "ab") == "ba":
            await asyncio.get_running_loop().create_future()

    with pytest.raises(RaceFound) as raised:
        explore(test)
    assert isinstance(raised.value.error, Deadlock)


def test_a_test_that_does_not_repeat_is_called_so() -> None:
    """If something else decides as well, the report says where the two runs parted."""
    counter = itertools.count()

    async def test(schedule: Schedule) -> None:
        schedule.pick(2 + next(counter) % 3)
        assert schedule.seed is None

    with pytest.raises(RaceFound, match=r"(?s)another way \(choice 1: .* against .*something outside the actors"):
        explore(test, seeds=[3])


def test_the_environment_names_one_seed(monkeypatch: pytest.MonkeyPatch) -> None:
    """With the variable set only that seed runs."""
    seeds: list[int | None] = []

    async def test(schedule: Schedule) -> None:
        seeds.append(schedule.seed)

    monkeypatch.setenv(REPLAY_VARIABLE, "41")
    explore(test)
    assert seeds == [None, 41]


@pytest.fixture
def word() -> str:
    return "abc"


_ORDERS: set[str] = set()


@under_schedules(40)
async def test_the_decorator_passes_fixtures_on(schedule: Schedule, word: str) -> None:
    """A decorated test is an ordinary test, with fixtures after the schedule."""
    _ORDERS.add(await order_of(schedule, word))


def test_the_decorated_test_ran_under_all_schedules() -> None:
    """All six orders of three came up in its forty runs."""
    if not _ORDERS:
        pytest.skip("run the whole file: this looks at the test before it")
    assert len(_ORDERS) == 6


def test_the_decorator_reports_a_race() -> None:
    """What explore raises comes out of the decorated test."""
    decorated: Any = under_schedules(100)(c_before_b)
    with pytest.raises(RaceFound, match="ValueError"):
        decorated()


def test_first_difference_names_the_choice() -> None:
    """It names the first choice that differs, or which run ended earlier; the same runs have none."""

    def run(*script: int) -> Schedule:
        schedule = Schedule(script=script)
        asyncio.run(order_of(schedule, "abcd"))
        return schedule

    assert first_difference(run(1, 2), run(1, 2)) is None
    assert first_difference(run(1, 2), run(1, 0, 1)) == (
        "choice 2: number 3 of 3 ready actors against number 1 of 3 ready actors"
    )
    shorter = Schedule(script=[1, 2])
    asyncio.run(order_of(shorter, "abcd"))
    shorter.choices.pop()
    assert first_difference(run(1, 2), shorter) == "choice 3: one run ended after 2 choices, the other after 3"
