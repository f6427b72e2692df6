"""Turns on a link: one at a time, in order, and nobody's departure gives a turn away twice."""

from __future__ import annotations

import asyncio

import pytest

from bifrost.errors import NotConnected
from bifrost.plc.modbus.exchanging import Tally
from bifrost.plc.modbus.turns import Turns


async def test_who_is_withdrawn_and_cancelled_at_once_gives_no_turn_away() -> None:
    """It never had one: the next has to wait for whoever has it."""
    turns, had = Turns(asyncio.get_running_loop()), []

    async def user(tally: Tally) -> None:
        await turns.take(tally)
        had.append(tally)

    first, leaving, last = Tally(), Tally(), Tally()
    await turns.take(first)
    tasks = [asyncio.create_task(user(tally)) for tally in (leaving, last)]
    await asyncio.sleep(0)
    turns.withdraw(leaving, NotConnected("closed"))
    tasks[0].cancel()
    with pytest.raises(asyncio.CancelledError):
        await tasks[0]
    await asyncio.sleep(0)
    assert had == []
    turns.pass_on()
    await tasks[1]
    assert had == [last]
    turns.pass_on()
    assert not turns.taken


async def test_who_is_handed_the_turn_and_cancelled_at_once_passes_it_on() -> None:
    """Else everybody behind would wait for ever."""
    turns = Turns(asyncio.get_running_loop())
    await turns.take(Tally())
    tasks = [asyncio.create_task(turns.take(Tally())) for _ in range(2)]
    await asyncio.sleep(0)
    turns.pass_on()
    tasks[0].cancel()
    await tasks[1]
    assert tasks[0].cancelled()
    assert turns.taken


async def test_a_turn_that_comes_too_early_is_lent_to_others() -> None:
    """A unit that is to be left alone for a second holds up nobody else."""
    loop = asyncio.get_running_loop()
    turns, until, order = Turns(loop), loop.time() + 1.0, []

    async def user(name: str, until: float) -> None:
        await turns.take_when(Tally(), lambda: until - loop.time())
        order.append(name)
        turns.pass_on()

    started = loop.time()
    await asyncio.gather(user("resting", until), user("other", started))
    assert order == ["other", "resting"]
    assert 1.0 <= loop.time() - started < 1.1
